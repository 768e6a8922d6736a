"""sshd_config(5): one connection for all clients, and one for each `Match` block that differs.

`Include` is not followed.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.policy import openssh
from harness.policy.format import Format
from harness.policy.openssh import Role
from harness.policy.settings import Connection, Place, Terms

ROLE = Role(
    program="sshd",
    side="server",
    page="sshd_config(5)",
    interval="ClientAliveInterval",
    most="ClientAliveCountMax",
    ends_at_zero=True,
)
_DIRECTIVE = re.compile(r"^[ \t]*ClientAlive(Interval|CountMax)\b", re.MULTILINE | re.IGNORECASE)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """Of what stands before the first block, and of each block with that. Raises PolicyError."""
    blocks = list(openssh.blocks(text, source, ROLE))
    first, *others = blocks
    found = [openssh.connection("sshd", Place(source, 1, 1), first.values, ROLE)]
    for each in others:
        if each.values and each.head is not None:
            values = {**first.values, **each.values}
            found.append(openssh.connection(each.name, each.head.place, values, ROLE))
    return openssh.with_includes(found, blocks)


def write(terms: Terms) -> str:
    """Lines of sshd_config. Raises UsageError."""
    return openssh.written(terms, ROLE)


def _fits(_path: Path, text: str) -> bool:
    return bool(_DIRECTIVE.search(text))


FORMAT = Format(
    name="sshd",
    title="sshd_config, or lines such as ClientAliveInterval 30",
    fits=_fits,
    read=read,
    write=write,
)
