"""Whether what the harness writes is valid against the types and the schemas that it publishes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from harness.batch.batch import VERDICT_FILE
from harness.model.events import KINDS
from harness.report import timeline_schema
from harness.report.documents import VerdictFile
from harness.timeline import FILE_NAME, Event


def check(document: type[msgspec.Struct], data: bytes) -> dict[str, Any]:
    """A document of that type; returns it as a script reads it.

    It has all keys with values of their types, and no key that is not described.
    """
    decoded = msgspec.json.decode(data, type=document)
    found: dict[str, Any] = json.loads(data)
    assert json.loads(msgspec.json.encode(decoded)) == found
    return found


def check_event(event: Event) -> None:
    """An event: its kind is known, and its data has all keys of the kind and no others."""
    assert event.kind in KINDS, f"{event.kind}: expected a key of harness.model.events.KINDS"
    msgspec.convert(event.data, KINDS[event.kind])
    required, known = _keys(event.kind)
    assert required <= event.data.keys() <= known, f"{event.kind}: {sorted(event.data)}"


def check_run(folder: Path) -> None:
    """The verdict and the timeline of a run directory."""
    check(VerdictFile, (folder / VERDICT_FILE).read_bytes())
    for line in (folder / FILE_NAME).read_bytes().splitlines():
        check_event(msgspec.json.decode(line, type=Event))


def problems(kind: str, document: object) -> list[str]:
    """What is wrong with a document by the schema that `harness schema` prints, with where."""
    return [f"{each.json_path}: {each.message}" for each in _validator(kind).iter_errors(document)]


@cache
def _keys(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """The keys that an event's data must have, and those that it may have."""
    of_data = msgspec.inspect.type_info(KINDS[kind])
    assert isinstance(of_data, msgspec.inspect.StructType)
    return (
        frozenset(f.encode_name for f in of_data.fields if not timeline_schema.is_optional(f)),
        frozenset(f.encode_name for f in of_data.fields),
    )


@cache
def _validator(kind: str) -> Any:
    import jsonschema

    from harness.cli import schema

    made = json.loads(schema.render(kind))
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)
