"""YAML, and JSON as a part of it, as nodes that know where they stand.

The parser is imported when a file is read: it takes longer to load than most files to check.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import msgspec

from harness.errors import PolicyError
from harness.policy.lines import Word, error
from harness.policy.settings import Place
from harness.scenario.decode_errors import Plainly


class Node(msgspec.Struct, frozen=True):
    """A value: a scalar, a mapping or a sequence; the other two are empty.

    `scalar`: as it is written, without quotes; None: it is no scalar. `keys`: where the keys of the
    mapping stand.
    """

    place: Place
    scalar: str | None = None
    mapping: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    sequence: tuple[Node, ...] = ()

    def at(self, *path: str) -> Node | None:
        """The node below these keys, or None."""
        found: Node | None = self
        for key in path:
            found = None if found is None else found.mapping.get(key)
        return found

    def word(self, directive: str, expected: str) -> Word:
        """A scalar as a word. Raises PolicyError for a mapping or a sequence."""
        if self.scalar is not None:
            return Word(self.scalar, self.place)
        what = "a mapping" if self.mapping else "a sequence" if self.sequence else "nothing"
        raise error(Word(what, self.place), directive, expected)


def documents(text: str, source: str) -> tuple[Node, ...]:
    """All documents of a file that are not empty.

    Raises PolicyError where it is no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

    try:
        with warnings.catch_warnings():  # an anchor may be given anew
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            found = list(YAML(typ="safe", pure=True).compose_all(text))
        return tuple(_Nodes(source).of(each) for each in found if each is not None)
    except MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        at = _place(mark, source) if mark else Place(source, 1, 1)
        what = failure.problem or failure.context or "something else"
        raise PolicyError(str(at), "", Plainly(what), "valid YAML") from None
    except (YAMLError, RecursionError) as failure:
        what = "nodes within each other without end"
        if isinstance(failure, YAMLError):
            what = " ".join(str(failure).split())
        raise PolicyError(f"{source}:1:1", "", Plainly(what), "valid YAML") from None


def _place(mark: Any, source: str) -> Place:
    return Place(source, mark.line + 1, mark.column + 1)


class _Nodes:
    """Made of the parser's nodes, each once: an alias is the same node again."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._made: dict[int, Node] = {}

    def of(self, raw: Any) -> Node:
        """A node and all below it. Raises RecursionError for one that contains itself."""
        known = self._made.get(id(raw))
        if known is None:
            known = self._made[id(raw)] = self._node(raw)
        return known

    def _node(self, raw: Any) -> Node:
        place = _place(raw.start_mark, self._source)
        if raw.id == "scalar":
            return Node(place, scalar=str(raw.value))
        if raw.id == "sequence":
            return Node(place, sequence=tuple(map(self.of, raw.value)))
        mapping: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for merged in self._merged(raw):
            mapping |= merged.mapping
            keys |= merged.keys
        for key, value in raw.value:
            if key.id == "scalar" and key.tag != _MERGE:
                mapping[str(key.value)] = self.of(value)
                keys[str(key.value)] = _place(key.start_mark, self._source)
        return Node(place, mapping=mapping, keys=keys)

    def _merged(self, raw: Any) -> Iterator[Node]:
        """What `<<` takes over; of several mappings the first counts."""
        for key, value in raw.value:
            if key.tag == _MERGE:
                found = self.of(value)
                yield from reversed(found.sequence or (found,))


_MERGE = "tag:yaml.org,2002:merge"
