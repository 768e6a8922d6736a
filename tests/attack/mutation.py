"""Mutations of scenario files: of their bytes, and of their tables and values.

Pure: chance is given.
"""

from __future__ import annotations

import copy
import datetime as dt
import math
import random
from collections.abc import Sequence
from typing import Any, TypeAlias

Table: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[Any, Any]
"""A table or list, and the key or index of something in it."""

LONG = 50_000
TOKENS = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\r",
    b"\r\n",
    "\u202e\u2066".encode(),
    b"\xed\xa0\x80",
    b'"""',
    b"'''",
    b"[[",
    b"]]",
    b"[",
    b"=",
    b"{}",
    b"#",
    b"\\u0000",
    b"\\U0010ffff",
    b"nan",
    b"-inf",
    b"1e999",
    b"-0.0",
    b"0x7fffffffffffffff",
    b"9" * 400,
    b"true",
    b"1979-05-27T07:32:00Z",
    b"a" * LONG,
    b"[" * 2000,
)
"""What parsers stumble over."""
VALUES: tuple[Any, ...] = (
    0,
    -1,
    1,
    255,
    2**31,
    2**63 - 1,
    -(2**63),
    10**30,
    -0.0,
    1e-300,
    1e308,
    math.nan,
    math.inf,
    True,
    "",
    " ",
    "0",
    "1s",
    "1 day",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "\x00",
    "a\nb",
    "../../etc/passwd",
    "{scenario}",
    "{" * 40,
    "a" * LONG,
    [],
    [[]],
    [1, "a", {}],
    {},
    {"kind": "blackhole"},
    dt.date(1979, 5, 27),
    [4.0, 1.0],
    [math.nan, math.nan],
)
"""Values of each type and at each edge."""
KEYS = (
    "",
    "kind",
    "at_s",
    "for_s",
    "on",
    "name",
    "expect",
    "\x1b[1m",
    "clé",
    "a" * LONG,
    "__class__",
    "idle_s",
)


def mutated_bytes(chance: random.Random, text: bytes) -> bytes:
    """One to four changes of bytes."""
    changed = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        begin = chance.randint(0, len(changed))
        end = min(len(changed), begin + chance.choice((0, 1, 1, 4, 40, 400)))
        part = bytes(changed[begin:end])
        new = chance.choice(
            (
                b"",
                part * chance.choice((2, 3, 50)),
                chance.choice(TOKENS),
                chance.choice(TOKENS) + part,
                chance.randbytes(max(1, end - begin)),
                bytes(byte ^ 1 << chance.randrange(8) for byte in part),
            )
        )
        changed[begin:end] = new
    return bytes(changed)


def mutated_tables(chance: random.Random, table: Table, other: Table) -> Table:
    """One to three changes of keys and values; `other`: a file to take values and tables from."""
    changed = copy.deepcopy(table)
    for _ in range(chance.randint(1, 3)):
        places = _places(changed)
        if not places:
            return copy.deepcopy(other)
        holder, key = chance.choice(places)
        chance.choice((_replace, _replace, _remove, _rename, _multiply, _borrow, _add))(
            chance, (holder, key), other
        )
    return changed


def _places(value: Any) -> list[Place]:
    """Where each value is, outer ones first."""
    if isinstance(value, dict):
        inner: Sequence[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    else:
        return []
    return [(value, key) for key, _ in inner] + [
        place for _, part in inner for place in _places(part)
    ]


def _replace(chance: random.Random, place: Place, other: Table) -> None:
    del other
    holder, key = place
    holder[key] = copy.deepcopy(chance.choice(VALUES))


def _remove(chance: random.Random, place: Place, other: Table) -> None:
    del chance, other
    holder, key = place
    del holder[key]


def _rename(chance: random.Random, place: Place, other: Table) -> None:
    del other
    holder, key = place
    if isinstance(holder, dict):
        value = holder.pop(key)
        holder[chance.choice((*KEYS, f"{key}s", key[:-1], key.upper()))] = value
    else:
        holder.reverse()


def _multiply(chance: random.Random, place: Place, other: Table) -> None:
    """More of it: a list with so many, or a table so deep."""
    del other
    holder, key = place
    many = chance.choice((2, 20, 120))
    if isinstance(holder, list):
        holder += [copy.deepcopy(holder[key]) for _ in range(many)]
    elif isinstance(holder[key], str):
        holder[key] *= many
    elif isinstance(holder[key], int | float):
        holder[key] *= 10.0 ** chance.randint(-6, 6)
    else:
        for _ in range(many):
            holder[key] = {key: holder[key]}


def _borrow(chance: random.Random, place: Place, other: Table) -> None:
    holder, key = place
    places = _places(other)
    if places:
        from_holder, from_key = chance.choice(places)
        holder[key] = copy.deepcopy(from_holder[from_key])


def _add(chance: random.Random, place: Place, other: Table) -> None:
    """A key that some other file has, or none has, beside it."""
    holder, _ = place
    if isinstance(holder, list):
        holder.insert(0, copy.deepcopy(chance.choice(VALUES)))
    elif other and chance.random() < 0.5:
        key = chance.choice(list(other))
        holder[key] = copy.deepcopy(other[key])
    else:
        holder[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
