"""Error messages for plain data that cannot become a struct, for the person who wrote it.

msgspec decides whether data is valid; this module says why not. It walks the data along the types
that msgspec itself sees (msgspec.inspect), so that a new key or a new fault needs no new words
here. Imported when there is something to complain about, no earlier.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import msgspec.inspect as types

from harness.errors import MISSING
from harness.model import durations
from harness.system.spelling import did_you_mean, hint, nearest

LONGEST = 80
"""Characters of a value that are shown."""


class Complaint(msgspec.Struct, frozen=True):
    """One thing that is wrong: the dotted key, what was found there, and what was expected."""

    key: str
    value: object
    expected: str


class Plainly(str):
    """Text to be shown as it stands, not as a quoted string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def complaints(raw: object, wanted: type[msgspec.Struct]) -> Iterator[Complaint]:
    """All errors in `raw` as a `wanted`, in the order of `raw`; none where it is valid."""
    return _walk(raw, types.type_info(wanted), "")


def shown(value: object) -> object:
    """The value as messages show it: a long one is shortened."""
    try:
        short = len(repr(value)) <= LONGEST
        text = reprlib.repr(value)
    except (RecursionError, ValueError):  # nested or an integer beyond what Python will spell out
        return Plainly(f"a very long {type(value).__name__}")
    return value if short else Plainly(text)


# --- finding it ---------------------------------------------------------------------------------


def _walk(value: object, kind: types.Type, key: str) -> Iterator[Complaint]:
    if isinstance(kind, types.UnionType):
        yield from _alternatives(value, kind, key)
    elif isinstance(kind, types.StructType) and isinstance(value, Mapping):
        yield from _table(value, kind, key)
    elif isinstance(kind, types.VarTupleType | types.TupleType) and isinstance(value, list | tuple):
        yield from _array(value, kind, key)
    elif isinstance(kind, types.DictType) and isinstance(value, Mapping):
        for name, found in value.items():
            yield from _walk(found, kind.value_type, _join(key, str(name)))
    elif not _is_sound(durations.number_in(value) if durations.is_seconds(key) else value, kind):
        yield Complaint(key, shown(value), in_words(kind, key) + _hint(value, kind, key))


def _hint(value: object, kind: types.Type, key: str) -> str:
    """What may have been meant."""
    if isinstance(kind, types.LiteralType):
        return did_you_mean(value, [str(choice) for choice in kind.values])
    if isinstance(kind, types.IntType | types.FloatType) and durations.is_seconds(key):
        if isinstance(value, str) and durations.number_in(value) == value:
            return f", or a duration such as {durations.EXAMPLES}"
        return durations.meant_milliseconds(value, kind.le)
    if isinstance(kind, types.VarTupleType) and _is_choice_of(value, kind.item_type):
        return f' (did you mean ["{value}"]?)'
    return ""


def _is_choice_of(value: object, kind: types.Type) -> bool:
    """Whether a value is one of the words of a type."""
    each_kind = kind.types if isinstance(kind, types.UnionType) else (kind,)
    return any(isinstance(each, types.LiteralType) and value in each.values for each in each_kind)


_CONTAINERS = types.StructType | types.TupleType | types.VarTupleType | types.DictType
_PLAIN: dict[type[types.Type], type] = {
    types.StrType: str,
    types.BoolType: bool,
    types.NoneType: type(None),
}


def _is_sound(value: object, kind: types.Type) -> bool:
    """Whether a value that is not a container is valid.

    A type that is unknown here counts as valid: msgspec decides.
    """
    if isinstance(kind, types.IntType | types.FloatType):
        number = int if isinstance(kind, types.IntType) else int | float
        return isinstance(value, number) and not isinstance(value, bool) and _is_within(value, kind)
    if isinstance(kind, types.LiteralType):
        return isinstance(value, str | int) and value in kind.values
    if type(kind) in _PLAIN:
        return isinstance(value, _PLAIN[type(kind)])
    return not isinstance(kind, _CONTAINERS)


def _is_within(value: float, kind: types.IntType | types.FloatType) -> bool:
    """Whether a number is within its bounds; NaN is within none."""
    return (
        value == value  # noqa: PLR0124 - NaN is not
        and (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _alternatives(value: object, kind: types.UnionType, key: str) -> Iterator[Complaint]:
    """The complaint of the alternative that was meant, going by the value's shape."""
    tables = [t for t in kind.types if isinstance(t, types.StructType)]
    if tables and tables[0].tag_field and isinstance(value, Mapping):
        yield from _tagged(value, tables, key)
        return
    if any(next(_walk(value, each, key), None) is None for each in kind.types):
        return
    for each in kind.types:
        table = isinstance(each, types.StructType) and isinstance(value, Mapping)
        array = isinstance(each, types.VarTupleType | types.TupleType) and isinstance(
            value, list | tuple
        )
        if table or array:
            yield from _walk(value, each, key)
            return
    hints = (_hint(value, each, key) for each in kind.types)
    yield Complaint(key, shown(value), in_words(kind, key) + next(filter(None, hints), ""))


def _tagged(
    value: Mapping[object, object], tables: Sequence[types.StructType], key: str
) -> Iterator[Complaint]:
    field = str(tables[0].tag_field)
    tag = value.get(field, MISSING)
    for table in tables:
        if table.tag == tag:
            yield from _table(value, table, key)
            return
    tags = [str(table.tag) for table in tables]
    named = [str(table.tag) for table in tables if tag in getattr(table.cls, "also_called", ())]
    near = hint(named or nearest(tag, tags))
    yield Complaint(
        _join(key, field),
        shown(tag),
        f"a {field}{near}, {_one_of(tags)}" if near else _one_of(tags),
    )


def _table(value: Mapping[object, object], kind: types.StructType, key: str) -> Iterator[Complaint]:
    fields = {field.encode_name: field for field in kind.fields}
    known = [kind.tag_field, *fields] if kind.tag_field else [*fields]
    for name, found in value.items():
        if name in fields:
            yield from _walk(found, fields[str(name)].type, _join(key, str(name)))
        elif name != kind.tag_field and kind.forbid_unknown_fields:
            expected = f"another key, one of {', '.join(known)}{did_you_mean(name, known)}"
            yield Complaint(_join(key, str(name)), shown(found), expected)
    for name, field in fields.items():
        if field.required and name not in value:
            yield Complaint(_join(key, name), MISSING, in_words(field.type, name))


def _array(
    value: Sequence[object], kind: types.VarTupleType | types.TupleType, key: str
) -> Iterator[Complaint]:
    if isinstance(kind, types.TupleType) and len(value) != len(kind.item_types):
        yield Complaint(key, shown(value), in_words(kind, key))
        return
    if isinstance(kind, types.VarTupleType) and len(value) < (kind.min_length or 0):
        yield Complaint(key, shown(value), f"{in_words(kind, key)}, at least {kind.min_length}")
        return
    for index, item in enumerate(value):
        each = kind.item_types[index] if isinstance(kind, types.TupleType) else kind.item_type
        yield from _walk(item, each, f"{key}[{index}]")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


# --- saying it ----------------------------------------------------------------------------------


def in_words(kind: types.Type, key: str) -> str:
    """What a key of this type takes, in words; the unit is told by the key's last letters."""
    match kind:
        case types.IntType():
            words = "an integer" + _bounds(kind) + _unit(key)
        case types.FloatType():
            words = "a number" + _bounds(kind) + _unit(key)
        case types.VarTupleType(item_type=types.UnionType() as item):
            each = _any_of(item, key)
            words = (
                f"an array of tables, [[{key}]] in TOML, each {each.removeprefix('a table ')}"
                if all(isinstance(one, types.StructType) for one in item.types)
                else f"an array in [], each of it {each}"
            )
        case types.VarTupleType():
            words = f"an array, each of it {in_words(kind.item_type, key)}"
        case types.DictType():
            words = f"a table of names, each with {in_words(kind.value_type, key)}"
        case types.TupleType():
            words = f"an array of {len(kind.item_types)}, each {in_words(kind.item_types[0], key)}"
        case _:
            words = _any_of(kind, key)
    return words


def _any_of(kind: types.Type, key: str) -> str:
    """Alternatives; None is left out, as what is not there cannot be written."""
    each_kind = kind.types if isinstance(kind, types.UnionType) else (kind,)
    tags: dict[str, list[str]] = {}
    words, tables = [], []
    for each in each_kind:
        match each:
            case types.StructType(tag_field=None):
                tables.append(f"a table of {', '.join(field.encode_name for field in each.fields)}")
            case types.StructType():
                tags.setdefault(str(each.tag_field), []).append(str(each.tag))
            case types.LiteralType():
                words.append(_one_of([str(value) for value in each.values]))
            case types.StrType():
                words.append("a string")
            case types.BoolType():
                words += ["true", "false"]
            case types.NoneType():
                pass
            case _:
                words.append(in_words(each, key) if each is not kind else "something else")
    tables += [f"a table with a {field} ({', '.join(names)})" for field, names in tags.items()]
    *most, last = [*words, *tables] or ["nothing"]
    return f"{', '.join(most)} or {last}" if most else last


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"one of: {', '.join(names)}"


def _bounds(kind: types.IntType | types.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {_spell(kind.ge)} to {_spell(kind.le)}"
    bounds = ((kind.gt, "above"), (kind.ge, "of at least"), (kind.lt, "below"), (kind.le, "up to"))
    return " and".join(f" {words} {_spell(bound)}" for bound, words in bounds if bound is not None)


def _spell(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _unit(key: str) -> str:
    return " (seconds)" if durations.is_seconds(key) else ""
