"""`harness show` prints a scenario file; `harness new` writes one to start from."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.scenario import catalogue, loader, toml_file
from harness.system import plain_files

STARTER = Path(__file__).with_name("starter.scenario.toml")


def source_of(word: str) -> Path:
    """The file of one scenario, or of the suite that a library's cells come from.

    Raises UsageError.
    """
    files = catalogue.files_of(word)
    if len(files) > 1:
        expected = f"one scenario's name, found {word!r}, which holds {len(files)}"
        raise UsageError(f"expected {expected}; `harness list {word}` shows their names")
    return files[0]


def content_of(source: Path) -> bytes:
    """The octets of a scenario file, valid or not. Raises UsageError."""
    try:
        return plain_files.read_named(source, toml_file.MOST_BYTES)
    except OSError as error:
        raise UsageError(f"expected a scenario file, found {error.strerror} at {source}") from error


def create(file: Path | None, origin: str | None) -> Path:
    """Write a new scenario file: a copy of the scenario `origin`, or the commented starter.

    Raises UsageError.

    Without a file it goes into the working directory, under the original's name. Nothing is
    overwritten.
    """
    source = STARTER if origin is None else source_of(origin)
    if not source.name.endswith(loader.SUFFIX):
        raise UsageError(
            f"--from: expected a scenario, found {origin!r}, which is one cell of {source.name}"
        )
    target = _target(file, source.name)
    try:
        content = content_of(source)
        with target.open("xb") as stream:
            stream.write(content)
    except FileExistsError as error:
        raise UsageError(
            f"expected the name of a new file, found {target} there already; name another"
        ) from error
    return target


def _target(file: Path | None, name: str) -> Path:
    if file is None:
        return Path(name)
    if file.is_dir():
        return file / name
    if not file.parent.is_dir():
        raise UsageError(
            f"expected a file in a folder that is there, found no folder {file.parent}"
        )
    return file if file.suffix == ".toml" else file.with_name(file.name + loader.SUFFIX)
