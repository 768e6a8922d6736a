"""A scenario as a TOML file: the inverse of the loader."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.faults.base import Fault
from harness.scenario.schema import Scenario


def as_toml(scenario: Scenario) -> str:
    """The text of a scenario file, without the keys that have their default values."""
    import tomli_w

    table = table_of(scenario)
    table.pop("name", None)
    return tomli_w.dumps(table)


def table_of(value: msgspec.Struct) -> dict[str, Any]:
    """A struct's fields that differ from their defaults, as TOML has them."""
    config = value.__struct_config__
    table: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field else {}
    for field in msgspec.structs.fields(type(value)):
        found = getattr(value, field.name)
        timed = field.name == "at_s" and isinstance(value, Fault) and not value.standing
        if found == field.default and not timed:  # a file says when a fault sets in
            continue
        if isinstance(found, msgspec.Struct):
            found = table_of(found)
        elif isinstance(found, tuple):
            found = [table_of(each) if isinstance(each, msgspec.Struct) else each for each in found]
        if found not in ({}, []):
            table[field.name] = found
    return table
