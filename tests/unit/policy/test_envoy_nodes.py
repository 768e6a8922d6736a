"""Fields of Envoy's configuration: names, durations and percentages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import PolicyError
from harness.policy.envoy_nodes import at, document, items, number, percent, seconds
from harness.policy.yaml_places import Node


def node(text: str) -> Node:
    """The value of field `f`."""
    found = at(document(f'{{"f": {text}}}', "e"), "f")
    assert found is not None
    return found


def test_fields_are_found_by_both_of_their_names() -> None:
    """A null is as good as none."""
    root = document('{"aField": {"b_field": [1, 2]}, "c": null}', "e")
    assert [each.scalar for each in items(root, "a_field", "b_field")] == ["1", "2"]
    assert at(root, "c") is None
    assert at(root, "a_field", "d", "e") is None
    assert items(root, "c", "d") == ()


def test_numbers_durations_and_percentages() -> None:
    """64-bit numbers may be strings, a percentage is a message."""
    assert number(node('"7"'), "f") == 7
    assert seconds(node('"1.5s"'), "f") == 1.5
    assert percent(node('{"value": 12.5}'), "f") == 12.5


@pytest.mark.parametrize(
    ("text", "read", "message"),
    [
        ("1.5", number, "e:1:7: f: expected a whole number, found 1.5"),
        ("[]", number, "e:1:7: f: expected a whole number, found"),
        ("-1", number, "e:1:7: f: expected a whole number, found -1"),
        ("5", seconds, "e:1:7: f: expected a duration in seconds, such as 60s or 0.5s, found 5"),
        ('"-1s"', seconds, "e:1:7: f: expected a duration in seconds"),
        ("15", percent, "e:1:7: f: expected a percentage from 0 to 100, as value, found nothing"),
        ('{"value": 101}', percent, "e:1:17: f: expected a percentage from 0 to 100"),
        ('{"value": "a"}', percent, "e:1:17: f: expected a percentage from 0 to 100"),
    ],
)
def test_what_a_field_cannot_be_is_an_error(
    text: str, read: Callable[[Node, str], float], message: str
) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(node(text), "f")
    assert str(caught.value).startswith(message)


def test_an_empty_file_is_an_empty_node() -> None:
    """It has no clusters."""
    assert items(document("# nothing\n", "e"), "static_resources", "clusters") == ()
