"""JSON Schemas of the files that people write and of the documents that the harness writes, made
from the types that read and write them.

Those of files are of draft 7, which editors know best, and those of documents of draft 2020-12.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from harness.faults import FAULTS
from harness.model import durations
from harness.policy.formats import policy_toml
from harness.policy.registry import every_rule
from harness.policy.settings import DemandTerms, FileTerms, Terms
from harness.report import (
    check_document,
    documents,
    examine_json,
    struct_schema,
    timeline_schema,
)
from harness.report.struct_schema import Node
from harness.scenario import suites
from harness.scenario.schema import Scenario

DRAFT = "http://json-schema.org/draft-07/schema#"


def render(kind: str) -> bytes:
    """The schema of a key of KINDS."""
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


FILES: dict[str, Callable[[], Node]] = {"policy": _policy, "scenario": _scenario, "suite": _suite}
DOCUMENTS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "verdict": (documents.VerdictFile, "The verdict of a run (verdict.json)"),
    "report": (documents.RunReport, "The results of harness run (--json)"),
    "fuzz": (documents.FuzzReport, "The results of harness fuzz (--json)"),
    "examine": (examine_json.ExaminationDocument, "What harness examine found (--json)"),
    "check": (check_document.CheckReport, "The findings of harness check (--output-format json)"),
    "matrix": (documents.MatrixReport, "The results of harness matrix (--json)"),
}
KINDS: dict[str, Callable[[], Node]] = {
    **FILES,
    **{
        kind: functools.partial(struct_schema.document, wanted, f"{title} of keepalive-harness")
        for kind, (wanted, title) in DOCUMENTS.items()
    },
    "timeline": timeline_schema.line,
}


def _of(wanted: type[msgspec.Struct], title: str) -> Node:
    _, tables = struct_schema.described(wanted)
    for fault in FAULTS.values():
        if (table := tables.get(fault.__name__)) is not None:
            _lead(table, FAULTS[fault.kind_name()].summary)
    whole = tables.pop(wanted.__name__)
    return {"$schema": DRAFT, **_in_toml(whole), "title": title, "$defs": _in_toml(tables)}


def _lead(table: Node, summary: str) -> None:
    """Begin the description of a fault with its summary, also where it stands for a key's."""
    plain = table["description"]
    whole = f"{summary}.\n\n{plain}"
    for node in (table, *table["properties"].values()):
        if node["description"] == plain:
            node["description"] = whole


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
        signed = node.get("minimum", 0) < 0
        pattern = durations.SIGNED_PATTERN if signed else durations.PATTERN
        return {**node, "type": [node["type"], "string"], "pattern": pattern}
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
