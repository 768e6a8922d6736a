"""ssh_config(5): a connection for each `Host` block, with what other blocks say of it.

The first value that is found counts. `Match` blocks other than `Match all` hold where their
criteria do, which a file does not tell; `Include` is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness.policy import openssh
from harness.policy.format import Format
from harness.policy.lines import Word
from harness.policy.openssh import Block, Role
from harness.policy.settings import Connection, Place, Terms

ROLE = Role(
    program="ssh",
    side="client",
    page="ssh_config(5)",
    interval="ServerAliveInterval",
    most="ServerAliveCountMax",
    ends_at_zero=False,
)
_DIRECTIVE = re.compile(r"^[ \t]*ServerAlive(Interval|CountMax)\b", re.MULTILINE | re.IGNORECASE)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """In the order of the file; one named "ssh" where there is no block. Raises PolicyError."""
    found = list(openssh.blocks(text, source, ROLE))
    named = [each for each in found if each.head is not None]
    if not named:
        only = openssh.connection("ssh", Place(source, 1, 1), found[0].values, ROLE)
        return openssh.with_includes([only], found)
    made = []
    for each in named:
        assert each.head is not None
        values = _in_force(each, found)
        made.append(openssh.connection(each.name, each.head.place, values, ROLE))
    return openssh.with_includes(made, found)


def _in_force(block: Block, found: Sequence[Block]) -> dict[str, Word]:
    """What holds for the hosts of a block: the first value of each directive."""
    values: dict[str, Word] = {}
    for each in found:
        if each is block or _covers(each, block):
            values = {**each.values, **values}
    return values


def _covers(other: Block, block: Block) -> bool:
    """Whether another block holds for the hosts of a block."""
    if other.head is None or other.name == "Match all":
        return True
    if other.head.text != "Host" or block.head is None:
        return False
    is_host = block.head.text == "Host"
    hosts = [each for each in block.criteria if not each.startswith("!")] if is_host else []
    return all(_matches(each, other.criteria) for each in hosts or ["?"])


def _matches(host: str, patterns: Sequence[str]) -> bool:
    """As ssh_config(5) has it: a pattern with "!" that fits excludes the host."""
    refused = (each[1:] for each in patterns if each.startswith("!"))
    return any(fnmatchcase(host, each) for each in patterns) and not any(
        fnmatchcase(host, each) for each in refused
    )


def write(terms: Terms) -> str:
    """Lines of a `Host` block. Raises UsageError."""
    return "Host *\n" + openssh.written(terms, ROLE)


def _fits(_path: Path, text: str) -> bool:
    return bool(_DIRECTIVE.search(text))


FORMAT = Format(
    name="ssh",
    title="ssh_config, ~/.ssh/config, or lines such as ServerAliveInterval 30",
    fits=_fits,
    read=read,
    write=write,
)
