"""The parts of Envoy's configuration that say something about connections, as nodes.

Fields may be written as in the proto files (`idle_timeout`) or as JSON names (`idleTimeout`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from harness.policy import json_places, yaml_places
from harness.policy.lines import Word, error, integer
from harness.policy.settings import Place
from harness.policy.yaml_places import Node

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)s")


def document(text: str, source: str) -> Node:
    """The whole file, JSON or YAML. Raises PolicyError."""
    if text.lstrip().startswith("{"):
        value, places = json_places.loaded(text, source)
        return _node(value, (), places)
    found = yaml_places.documents(text, source)
    return found[0] if found else Node(Place(source, 1, 1))


def _node(value: Any, path: json_places.Path, places: dict[json_places.Path, Place]) -> Node:
    if isinstance(value, dict):
        mapping = {key: _node(each, (*path, key), places) for key, each in value.items()}
        return Node(places[path], mapping=mapping)
    if isinstance(value, list):
        inner = (_node(each, (*path, index), places) for index, each in enumerate(value))
        return Node(places[path], sequence=tuple(inner))
    return Node(places[path], scalar=value if isinstance(value, str) else json.dumps(value))


def at(node: Node, *path: str) -> Node | None:
    """The node below these fields; None: one of them is missing or null."""
    found: Node | None = node
    for key in path:
        if found is not None:
            found = found.mapping.get(key) or found.mapping.get(_json_name(key))
    if found is None or found.scalar in ("", "null", "~"):
        return None
    return found


def _json_name(field: str) -> str:
    return re.sub(r"_(.)", lambda letter: letter[1].upper(), field)


def items(node: Node, *path: str) -> tuple[Node, ...]:
    """Of a repeated field; none where it is missing."""
    found = at(node, *path)
    return found.sequence if found else ()


def resources(root: Node, kind: str) -> Iterator[Node]:
    """The clusters or the listeners, of a bootstrap or of a file of resources (xDS)."""
    yield from items(root, "static_resources", f"{kind}s")
    for each in items(root, "resources"):
        if has_type(each, kind.capitalize()):
            yield each


def has_type(node: Node, message: str) -> bool:
    """Whether its `@type` names this message."""
    found = node.mapping.get("@type")
    return found is not None and (found.scalar or "").endswith(f".{message}")


def number(node: Node, field: str, *, least: int = 0) -> int:
    """The whole number that a field holds. Raises PolicyError."""
    return integer(node.word(field, "a whole number"), field, "a whole number", least=least)


def seconds(node: Node, field: str) -> float:
    """The duration that a field holds. Raises PolicyError."""
    expected = "a duration in seconds, such as 60s or 0.5s"
    word = node.word(field, expected)
    found = _DURATION.fullmatch(word.text)
    if found is None:
        raise error(word, field, expected)
    return float(found[1])


def percent(node: Node, field: str) -> float:
    """The value of a Percent. Raises PolicyError."""
    value = at(node, "value")
    expected = "a percentage from 0 to 100, as value"
    word = value.word(field, expected) if value else Word("nothing", node.place)
    if not re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]+)?", word.text) or float(word.text) > 100:
        raise error(word, field, expected)
    return float(word.text)
