"""JSON Schema of one line of a timeline (timeline.jsonl): an event of any kind."""

from __future__ import annotations

import inspect

import msgspec
import msgspec.inspect as types

from harness.model.events import KINDS
from harness.report.struct_schema import DRAFT, Node, described, strings_below, structs
from harness.timeline import Event


def line() -> Node:
    """The schema of a line: for each kind of event what its data is."""
    tables: dict[str, Node] = {}
    choices = []
    for kind, data in KINDS.items():
        node, found = described(data)
        tables |= found
        choices.append(_event(kind, data, node))
        for struct in structs(types.type_info(data)):
            _say_what_is_written(struct, tables[struct.__name__])
    return {
        "$schema": DRAFT,
        "title": "A line of a timeline (timeline.jsonl) of keepalive-harness",
        "oneOf": choices,
        "$defs": tables,
    }


def is_optional(field: types.Field) -> bool:
    """Whether an event may lack that key of its data."""
    return isinstance(field.type, types.Metadata) and bool((field.type.extra or {}).get("optional"))


def _event(kind: str, data: type[msgspec.Struct], node: Node) -> Node:
    words = strings_below(Event)
    return {
        "title": kind,
        "description": inspect.getdoc(data),
        "type": "object",
        "properties": {
            "t_ns": {"type": "integer", "description": words["t_ns"]},
            "kind": {"const": kind},
            "source": {"type": "string", "description": words["source"]},
            "data": node,
        },
        "required": ["t_ns", "kind", "source", "data"],
    }


def _say_what_is_written(struct: type[msgspec.Struct], table: Node) -> None:
    """Defaults are for the reader of older timelines; what is written says all."""
    fields = msgspec.inspect.type_info(struct)
    assert isinstance(fields, types.StructType)
    table["required"] = [each.encode_name for each in fields.fields if not is_optional(each)]
    for node in table["properties"].values():
        node.pop("default", None)
