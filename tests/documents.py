"""Whether what the harness writes is valid against the schemas that it publishes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import msgspec

from harness.cli import schema


def check(kind: str, data: bytes) -> dict[str, Any]:
    """A document of a key of `schema.DOCUMENTS`; returns it as a script reads it.

    It has all keys with values of their types, and no key that is not described.
    """
    decoded = msgspec.json.decode(data, type=schema.DOCUMENTS[kind][0])
    found: dict[str, Any] = json.loads(data)
    assert json.loads(msgspec.json.encode(decoded)) == found
    return found


def problems(kind: str, document: object) -> list[str]:
    """What is wrong with a document by the schema that `harness schema` prints, with where."""
    return [f"{each.json_path}: {each.message}" for each in _validator(kind).iter_errors(document)]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    made = json.loads(schema.render(kind))
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)
