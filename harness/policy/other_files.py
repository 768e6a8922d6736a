"""Files of other software that a policy names, and the demands that it states for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness.errors import PolicyError
from harness.policy import demands
from harness.policy.settings import Connection, Place, Terms


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy states for connections of a file, with what it states for all connections.

    `keys`: those of `terms` that it states. `places`: of its suppressions, "ignore.KA004";
    `inherited`: those of them that other connections have, too.
    """

    terms: Terms
    keys: tuple[str, ...]
    places: Mapping[str, Place]
    inherited: frozenset[str]


class NamedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a policy names.

    `path`: from the folder of the policy. `wanted`: for its connections; `one_by_one`: in place of
    that, by a connection's name. `error(key, value, expected)`: at a key of the file's table.
    """

    path: str
    format: str | None
    wanted: Wanted
    one_by_one: Mapping[str, Wanted]
    error: Callable[[str, object, str], PolicyError]


def applied(named: NamedFile, found: Sequence[Connection]) -> tuple[Connection, ...]:
    """The connections of the file with what the policy states for them.

    Raises PolicyError for a name that none of them has.
    """
    names = [each.name for each in found]
    for name in named.one_by_one:
        if name not in names:
            expected = f"the name of a connection in the file ({', '.join(names)})"
            raise named.error(f"connections.{name}", name, expected)
    return tuple(_applied(each, named.one_by_one.get(each.name, named.wanted)) for each in found)


def _applied(connection: Connection, wanted: Wanted) -> Connection:
    made = demands.applied(connection, wanted.terms, wanted.keys)
    return msgspec.structs.replace(
        made,
        terms=msgspec.structs.replace(
            made.terms, ignore=wanted.terms.ignore, match=wanted.terms.match
        ),
        places={**wanted.places, **made.places},
        inherited=wanted.inherited,
    )


def beside(policy: str, path: str) -> str:
    """A path from the folder of a policy, as seen from where the policy's own path begins."""
    return str(Path(policy).parent / path)
