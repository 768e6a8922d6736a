"""POLICY.toml, the harness's own format: named connections that inherit from one table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from harness.errors import MISSING, PolicyError
from harness.model import durations
from harness.model.values import Problem
from harness.policy import demands, hops, toml_places
from harness.policy.format import Format
from harness.policy.other_files import NamedFile, Wanted
from harness.policy.settings import Connection, FileTerms, Place, Terms
from harness.policy.validation import problems
from harness.scenario import toml_file

_HOP = re.compile(r"\.path\[\d+\]$")
"""The key of a device on a path."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections with their settings and the demands that they must meet, for `harness check`."""

    defaults: Terms = Terms()
    """What each connection inherits of the keys that it does not state itself."""
    connections: dict[str, Terms] = {}
    """The connections by name."""
    files: dict[str, FileTerms] = {}
    """Demands on the connections in files of other software, by the path from this folder."""


class _Source:
    """A policy's text: where each of its keys stands, and errors that say so."""

    def __init__(self, text: str, name: str) -> None:
        self.name, self._positions = name, toml_places.places(text)
        self._by_key = {toml_places.dotted(path): path for path in self._positions}

    def place(self, path: toml_places.Path) -> Place | None:
        """Of a key, or None where it is not there."""
        found = self._positions.get(path)
        return None if found is None else Place(self.name, found.line, found.column)

    def below(self, table: toml_places.Path) -> dict[str, Place]:
        """The places of all keys in a table, by their dotted names in it."""
        size = len(table)
        inner = [path for path in self._positions if len(path) > size and path[:size] == table]
        return {
            toml_places.dotted(path[size:]): place for path in inner if (place := self.place(path))
        }

    def error(self, key: str, value: object, expected: str) -> PolicyError:
        """At the key, or at the table that lacks it."""
        near = key
        while near and near not in self._by_key:
            near = near[: max(near.rfind("."), near.rfind("["), 0)]
        place = self.place(self._by_key[near]) if near else None
        return PolicyError(str(place or Place(self.name, 1, 1)), key, value, expected)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """The connections of a policy, in its order, without those of files that it names.

    Raises PolicyError, with line and column.
    """
    raw, file, policy = _decoded(text, source)
    if not file.connections and not file.files:
        raise policy.error(
            "connections", MISSING, "a table for each connection, such as [connections.orders-db]"
        )
    defaults = durations.in_seconds(raw.get("defaults", {}))
    _refuse(policy, "defaults", problems(file.defaults))
    if file.defaults.match is not None:
        expected = "no such key: each connection says for itself which sockets it is about"
        raise policy.error("defaults.match", msgspec.to_builtins(file.defaults.match), expected)
    for name, terms in file.connections.items():
        _refuse(policy, f"connections.{name}", problems(terms))
    tables: Any = durations.in_seconds(raw.get("connections", {}))
    shared = policy.below(("defaults",))
    return tuple(
        _connection(name, table, defaults, shared, policy) for name, table in tables.items()
    )


def _decoded(text: str, source: str) -> tuple[dict[str, Any], File, _Source]:
    raw = toml_file.tables(text, source)
    policy = _Source(text, source)
    try:
        return raw, msgspec.convert(durations.in_seconds(raw), File), policy
    except (msgspec.ValidationError, OverflowError) as error:
        raise _explained(raw, policy, str(error)) from None


def others(text: str, source: str) -> tuple[NamedFile, ...]:
    """The files that a policy names. Raises PolicyError, with line and column."""
    if "files" not in text:
        return ()
    raw, file, policy = _decoded(text, source)
    tables: Any = durations.in_seconds(raw.get("files", {}))
    defaults: Any = durations.in_seconds(raw.get("defaults", {}))
    # Settings are the files' own: of the defaults they inherit demands alone.
    shared = _Table(
        {key: value for key, value in defaults.items() if key in (*demands.KEYS, "ignore")},
        policy.below(("defaults",)),
    )
    return tuple(
        _named(path, tables[path], each, shared, policy) for path, each in file.files.items()
    )


class _Table(msgspec.Struct, frozen=True):
    """Plain values, and where they stand."""

    values: Mapping[str, Any]
    places: Mapping[str, Place]

    def below(self, other: _Table) -> _Table:
        """With what another one states beside it: a value as a whole, suppressions one by one."""
        ignore = {**other.values.get("ignore", {}), **self.values.get("ignore", {})}
        kept = {key: at for key, at in other.places.items() if _is_inherited(key, self.values)}
        values = {**other.values, **self.values, "ignore": ignore}
        return _Table(values, {**kept, **self.places})


def _named(
    path: str, table: Mapping[str, Any], file: FileTerms, shared: _Table, policy: _Source
) -> NamedFile:
    key = toml_places.dotted(("files", path))
    own = {name: value for name, value in table.items() if name not in ("format", "connections")}
    whole = _Table(own, policy.below(("files", path))).below(shared)
    each = {
        name: _Table(inner, policy.below(("files", path, "connections", name)))
        for name, inner in table.get("connections", {}).items()
    }
    wanted = _wanted(whole, frozenset(whole.values["ignore"]), key, policy)
    one_by_one = {
        name: _wanted(
            inner.below(whole),
            frozenset(whole.values["ignore"]) - frozenset(inner.values.get("ignore", {})),
            toml_places.dotted(("files", path, "connections", name)),
            policy,
        )
        for name, inner in each.items()
    }

    def error(inner: str, value: object, expected: str) -> PolicyError:
        return policy.error(f"{key}.{inner}" if inner else key, value, expected)

    return NamedFile(
        path=path, format=file.format, wanted=wanted, one_by_one=one_by_one, error=error
    )


def _wanted(table: _Table, shared: frozenset[str], key: str, policy: _Source) -> Wanted:
    """`shared`: the rules that other connections ignore, too. Raises PolicyError."""
    terms = msgspec.convert(table.values, Terms)
    _refuse(policy, key, problems(terms))
    keys = tuple(key for key in demands.KEYS if key in table.values)
    # A finding points to the file, and not to the demand that it misses.
    places = {key: at for key, at in table.places.items() if key.startswith("ignore.")}
    return Wanted(
        terms=terms,
        keys=keys,
        places=places,
        inherited=frozenset(f"ignore.{rule}" for rule in shared),
    )


def _connection(
    name: str,
    table: Mapping[str, Any],
    defaults: Mapping[str, Any],
    shared: Mapping[str, Place],
    policy: _Source,
) -> Connection:
    """With what it inherits: a value as a whole, but suppressions one by one."""
    ignore = {**defaults.get("ignore", {}), **table.get("ignore", {})}
    own = policy.below(("connections", name))
    inherited = {key: place for key, place in shared.items() if _is_inherited(key, table)}
    return Connection(
        name=name,
        terms=msgspec.convert({**defaults, **table, "ignore": ignore}, Terms),
        place=policy.place(("connections", name)),
        places={**inherited, **own},
        inherited=frozenset(inherited),
    )


def _is_inherited(key: str, table: Mapping[str, Any]) -> bool:
    top, _, rule = key.partition(".")
    if top == "ignore":
        return rule not in table.get("ignore", {})
    return top.partition("[")[0] not in table


def _refuse(policy: _Source, table: str, found: tuple[Problem, ...]) -> None:
    for each in found:
        raise policy.error(f"{table}.{each.key}", each.value, each.expected)


def _explained(raw: object, policy: _Source, technical: str) -> PolicyError:
    from harness.scenario import decode_errors

    for each in decode_errors.complaints(raw, File):
        name = each.value if _HOP.search(each.key) else None
        known = hops.expected(name, as_option=False) if isinstance(name, str) else each.expected
        return policy.error(each.key, each.value, known)
    return policy.error("", decode_errors.Plainly(technical), "a policy")


def write(terms: Terms) -> str:
    """A connection with the keys that differ from what is so without them."""
    plain = msgspec.to_builtins(terms)
    usual = msgspec.to_builtins(Terms())
    lines = [
        f"{key} = {_toml(_shown(value))}" for key, value in plain.items() if value != usual[key]
    ]
    return "\n".join(["[connections.app]", *lines, ""])


def _shown(value: Any) -> Any:
    """Without the keys of an inner table that are not set."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner not in (None, False, "")}
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


FORMAT = Format(
    name="policy",
    title="POLICY.toml, or another name that ends in .toml",
    read=read,
    others=others,
    write=write,
)
