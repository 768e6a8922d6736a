"""sysctl.conf(5) and sysctl.d(5): the system's values, for all sockets with SO_KEEPALIVE."""

from __future__ import annotations

import re
from pathlib import Path

from harness.policy import lines, sysctls
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Terms

NAME = "system"
"""Of the connection: any socket that leaves these values to the system."""


def read(text: str, source: str) -> tuple[Connection, ...]:
    """One connection, or none where no sysctl of TCP is set. Raises PolicyError."""
    pairs = []
    for line in lines.lines(text, source):
        pair = _pair(line)
        if pair is not None and sysctls.is_about_tcp(pair[0]):
            pairs.append(pair)
    if not pairs:
        return ()
    return (sysctls.connection(NAME, pairs[0][0].place, pairs),)


def _pair(line: Word) -> tuple[Word, Word] | None:
    """Name and value. A dash before the name ignores errors when it is set."""
    pair = lines.pair(line)
    if pair is None:
        for first in lines.words(line, comment="#;")[:1]:
            if sysctls.is_about_tcp(first):
                raise error(lines.stripped(line), first.text, "a name, = and a value")
        return None
    key, value = pair
    return (lines.stripped(key.after(1)) if key.text.startswith("-") else key), value


def write(terms: Terms) -> str:
    """Lines of sysctl.conf. Raises UsageError."""
    found = sysctls.written(terms, "sysctl.conf")
    return "".join(f"{name} = {value}\n" for name, value in found.items())


def _fits(_path: Path, text: str) -> bool:
    return bool(re.search(r"^[ \t]*-?net[./]ipv4[./]tcp_keepalive_\w+\s*=", text, re.MULTILINE))


FORMAT = Format(
    name="sysctl",
    title="sysctl.conf, sysctl.d/*.conf, or lines such as net.ipv4.tcp_keepalive_time = 600",
    fits=_fits,
    read=read,
    write=write,
)
