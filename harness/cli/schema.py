"""JSON Schemas of the files that people write, made from the types that read them.

They are of draft 7, which editors know best. A key's description is the string below it in the
source, as `ast` finds it; where there is none, it is the docstring of its table.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import msgspec.inspect as types

from harness.faults import FAULTS, Fault
from harness.model import durations
from harness.policy.formats import policy_toml
from harness.policy.registry import every_rule
from harness.policy.settings import DemandTerms, FileTerms, Terms
from harness.scenario import suites
from harness.scenario.schema import Scenario

DRAFT = "http://json-schema.org/draft-07/schema#"
Node = dict[str, Any]


def render(kind: str) -> bytes:
    """The schema of one kind of files, a key of KINDS."""
    return msgspec.json.format(msgspec.json.encode(KINDS[kind]()), indent=2) + b"\n"


def _policy() -> Node:
    made = _of(policy_toml.File, "A policy of harness check (POLICY.toml, *.policy.toml)")
    for each in (Terms, FileTerms, DemandTerms):
        made["$defs"][each.__name__]["properties"]["ignore"] |= {
            "properties": {
                rule.id: {
                    "type": "string",
                    "pattern": r"\S",
                    "description": f"Why not: {rule.title}.",
                }
                for rule in every_rule().values()
            },
            "additionalProperties": False,
        }
    return made


def _scenario() -> Node:
    return _of(Scenario, "A scenario of keepalive-harness (*.scenario.toml)")


def _suite() -> Node:
    """A suite has parts of a scenario, and the rest of it for each cell."""
    made = _of(suites.Suite, "A suite of keepalive-harness (*.suite.toml)")
    for key in ("name", "folder"):
        del made["properties"][key]
    whole = _scenario()
    made["$defs"] = whole["$defs"] | made.get("$defs", {})
    made["properties"]["scenario"] |= {
        "properties": {key: whole["properties"][key] for key in sorted(suites.SHARED)},
        "additionalProperties": False,
    }
    return made


KINDS: dict[str, Callable[[], Node]] = {"policy": _policy, "scenario": _scenario, "suite": _suite}


def _of(wanted: type[msgspec.Struct], title: str) -> Node:
    made = msgspec.json.schema(wanted)
    tables: dict[str, Node] = made["$defs"]
    for cls in set(_structs(types.type_info(wanted))):
        _describe(cls, tables[cls.__name__])
    whole = tables.pop(wanted.__name__)
    return {"$schema": DRAFT, **_in_toml(whole), "title": title, "$defs": _in_toml(tables)}


# --- descriptions -------------------------------------------------------------------------------


def _structs(kind: types.Type) -> Iterator[type[msgspec.Struct]]:
    """All structs that a type is made of."""
    if isinstance(kind, types.StructType):
        yield kind.cls
        for field in kind.fields:
            yield from _structs(field.type)
    elif isinstance(kind, types.UnionType):
        for each in kind.types:
            yield from _structs(each)
    elif isinstance(kind, types.TupleType):
        for each in kind.item_types:
            yield from _structs(each)
    elif isinstance(kind, types.VarTupleType):
        yield from _structs(kind.item_type)
    elif isinstance(kind, types.DictType):
        yield from _structs(kind.value_type)


def _describe(cls: type[msgspec.Struct], table: Node) -> None:
    own = {
        key: text
        for base in reversed(cls.__mro__)
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct
        for key, text in _strings_below(base).items()
    }
    if issubclass(cls, Fault):
        table["description"] = f"{FAULTS[cls.kind_name()].summary}.\n\n{table['description']}"
    for key, node in table["properties"].items():
        node["description"] = own.get(key, table["description"])


def _strings_below(cls: type) -> dict[str, str]:
    """The string below each annotated name in the body of a class, by the name."""
    for node in _module(cls.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return dict(_described(node))
    return {}


@cache
def _module(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[name]))


def _described(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            yield field.target.id, inspect.cleandoc(str(below.value.value))


# --- what TOML and draft 7 have -----------------------------------------------------------------


def _in_toml(node: Any, key: str = "") -> Any:
    """The same without null, with durations as strings where a key takes seconds."""
    if isinstance(node, list):
        return [_in_toml(each, key) for each in node]
    if not isinstance(node, dict):
        return node
    made = {name: _in_toml(inner, key) for name, inner in node.items() if name != "properties"}
    if "properties" in node:
        made["properties"] = {
            name: _in_toml(inner, name) for name, inner in node["properties"].items()
        }
    return _without_null(_of_draft_7(_with_durations(made, key)))


def _with_durations(node: Node, key: str) -> Node:
    if node.get("type") in ("integer", "number") and durations.is_seconds(key):
        return {**node, "type": [node["type"], "string"], "pattern": durations.PATTERN}
    return node


def _of_draft_7(node: Node) -> Node:
    """Its arrays have one type of items here; a reference has nothing beside it; nothing is
    required by an empty array.
    """
    if "prefixItems" in node:
        first, *rest = node.pop("prefixItems")
        assert all(each == first for each in rest)
        node["items"] = first
    if "$ref" in node and len(node) > 1:
        node = {"allOf": [{"$ref": node.pop("$ref")}], **node}
    if node.get("required") == []:
        del node["required"]
    return node


def _without_null(node: Node) -> Node:
    """TOML has none. A default that is a whole table says nothing, as each key has its own."""
    if "default" in node and (node["default"] is None or isinstance(node["default"], dict)):
        del node["default"]
    if "anyOf" not in node:
        return node
    choices = [each for each in node.pop("anyOf") if each.get("type") != "null"]
    return {"anyOf": choices, **node} if len(choices) > 1 else _of_draft_7(choices[0] | node)
