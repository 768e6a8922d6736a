"""Files in folders that a guest or a program under test may write, opened without following links.

Such a program can put a symbolic link in the place of a file that the harness is about to write,
and so have it write elsewhere. A FIFO in the place of a file that the harness is about to read
would let it wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def plain(path: str | Path, flags: int, *, folder: int | None = None) -> int:
    """An opener for `open`: only a regular file, or a new one, will do.

    Raises OSError for anything else.

    `folder`: a descriptor of the folder that a relative path begins in.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read(path: Path) -> bytes:
    """The content of a regular file. Raises OSError."""
    with open(path, "rb", opener=plain) as file:
        return file.read()


def read_named(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file that the user named, through links, too.

    Raises OSError, EFBIG for a larger one.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if stat.S_ISREG(found.st_mode) and found.st_size <= most_bytes:
            return os.read(descriptor, most_bytes)
    finally:
        os.close(descriptor)
    if stat.S_ISREG(found.st_mode):
        raise OSError(errno.EFBIG, f"{found.st_size} bytes", str(path))
    raise OSError(errno.EINVAL, "a FIFO, socket or device", str(path))


def read_text(path: Path) -> str:
    """The same, as text; octets that are none are replaced. Raises OSError."""
    return read(path).decode(errors="replace")


def write(path: Path, data: bytes) -> None:
    """Make a regular file, or write over one. Raises OSError."""
    with open(path, "wb", opener=plain) as file:
        file.write(data)


def create(path: Path, data: bytes) -> None:
    """Make a file where there is nothing yet. Raises OSError."""
    with open(path, "xb", opener=plain) as file:
        file.write(data)
