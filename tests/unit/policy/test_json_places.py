"""JSON with the line and column of every value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PolicyError
from harness.policy.json_places import loaded
from harness.policy.settings import Place

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_every_value_knows_where_it_stands() -> None:
    """Keys may hold quotes, and values brackets."""
    text = '{"a": [1, {"b\\"": "]"}],\n\t"c" : -2.5e3, "d": []}\n'
    value, places = loaded(text, "f")
    assert value == {"a": [1, {'b"': "]"}], "c": -2500, "d": []}
    assert {path: (each.line, each.column) for path, each in places.items()} == {
        (): (1, 1),
        ("a",): (1, 7),
        ("a", 0): (1, 8),
        ("a", 1): (1, 11),
        ("a", 1, 'b"'): (1, 19),
        ("c",): (2, 8),
        ("d",): (2, 21),
    }


@given(VALUES, st.sampled_from([None, 2]))
def test_the_text_at_a_place_is_the_value(value: object, indent: int | None) -> None:
    """For all documents."""
    text = json.dumps(value, indent=indent)
    found, places = loaded(text, "f")
    assert found == value
    lines = text.split("\n")
    for path, place in places.items():
        inner = value
        for key in path:
            inner = inner[key]  # type: ignore[index]
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert json.JSONDecoder().raw_decode(rest)[0] == inner


WRONG = {
    "": "f:1:1: expected valid JSON, found Expecting value",
    '{"a": 1,\n}': "f:2:1: expected valid JSON",
    '{"a": 1, "a": 2}': "f:1:15: a: expected one value for this key, found a second one",
    "[" * 100_000: "f:1:1: expected valid JSON, found arrays or objects within each other",
    "1" * 5000: "f:1:1: expected valid JSON, found Exceeds the limit",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=range(len(WRONG)))
def test_what_is_wrong_has_a_place(text: str, message: str) -> None:
    """One error."""
    with pytest.raises(PolicyError) as caught:
        loaded(text, "f")
    assert str(caught.value).startswith(message)


def test_places_bear_the_name_of_the_file() -> None:
    """For findings."""
    assert loaded("1", "dir/f.json")[1] == {(): Place("dir/f.json", 1, 1)}
