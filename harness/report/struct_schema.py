"""JSON Schema of structs, with descriptions.

A key's description is the string below it in the source, as `ast` finds it; where there is none, it
is the docstring of its struct.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import msgspec.inspect as types

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Node = dict[str, Any]


def document(wanted: type[msgspec.Struct], title: str) -> Node:
    """The schema of a document of that type."""
    node, tables = described(wanted)
    return {"$schema": DRAFT, "title": title, **node, "$defs": tables}


def described(wanted: type[msgspec.Struct]) -> tuple[Node, dict[str, Node]]:
    """The schema of a type as msgspec makes it, and those of all structs that it is made of."""
    (node,), tables = msgspec.json.schema_components((wanted,), ref_template="#/$defs/{name}")
    for cls in set(structs(types.type_info(wanted))):
        _describe(cls, tables[cls.__name__])
    return node, tables


def structs(kind: types.Type) -> Iterator[type[msgspec.Struct]]:
    """All structs that a type is made of. One may hold others of its own type."""
    return _structs(kind, set())


def _structs(kind: types.Type, known: set[type[msgspec.Struct]]) -> Iterator[type[msgspec.Struct]]:
    parts: tuple[types.Type, ...] = ()
    if isinstance(kind, types.StructType):
        if kind.cls in known:
            return
        known.add(kind.cls)
        yield kind.cls
        parts = tuple(field.type for field in kind.fields)
    elif isinstance(kind, types.UnionType):
        parts = kind.types
    elif isinstance(kind, types.TupleType):
        parts = kind.item_types
    elif isinstance(kind, types.VarTupleType):
        parts = (kind.item_type,)
    elif isinstance(kind, types.DictType):
        parts = (kind.value_type,)
    elif isinstance(kind, types.Metadata):
        parts = (kind.type,)
    for each in parts:
        yield from _structs(each, known)


def _describe(cls: type[msgspec.Struct], table: Node) -> None:
    own = {
        key: text
        for base in reversed(cls.__mro__)
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct
        for key, text in strings_below(base).items()
    }
    for key, node in table["properties"].items():
        node["description"] = own.get(key, table["description"])


def strings_below(cls: type) -> dict[str, str]:
    """The string below each annotated name in the body of a class, by the name."""
    for node in _module(cls.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return dict(_texts(node))
    return {}


@cache
def _module(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[name]))


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            yield field.target.id, inspect.cleandoc(str(below.value.value))
