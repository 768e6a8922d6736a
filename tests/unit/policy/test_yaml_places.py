"""YAML as nodes with places."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError
from harness.policy.settings import Place
from harness.policy.yaml_places import documents

TEXT = """\
base: &base {a: 1, b: 2}
other: &other {a: 5, c: 6}
both:
  <<: [*base, *other]
  b: 3
list:
- x
- 'y z'
"""


def test_nodes_know_where_they_stand() -> None:
    """Scalars without their quotes."""
    (root,) = documents(TEXT, "f")
    listed = root.at("list")
    assert listed is not None
    assert [(each.scalar, each.place) for each in listed.sequence] == [
        ("x", Place("f", 7, 3)),
        ("y z", Place("f", 8, 3)),
    ]
    assert root.keys["list"] == Place("f", 6, 1)
    assert root.at("list", "x") is None


def test_merged_keys_come_after_own_ones() -> None:
    """And the first of several mappings counts."""
    (root,) = documents(TEXT, "f")
    both = root.at("both")
    assert both is not None
    assert {key: each.scalar for key, each in both.mapping.items()} == {
        "a": "1",
        "b": "3",
        "c": "6",
    }
    assert both.keys["b"].line == 5


def test_an_anchor_may_be_given_anew() -> None:
    """The last one before an alias counts."""
    (root,) = documents("a: &x 1\nb: &x 2\nc: *x\n", "f")
    found = root.at("c")
    assert found is not None
    assert found.scalar == "2"


def test_aliases_cost_nothing() -> None:
    """A file of a hundred bytes cannot become one of gigabytes."""
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    (root,) = documents(f"l0: &l0 x\n{levels}", "f")
    assert len(root.mapping) == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", "f:2:1: expected valid YAML, found "),
        ("a: b: c\n", "f:1:5: expected valid YAML, found "),
        ("a: *nobody\n", "f:1:4: expected valid YAML, found "),
        ("&a [*a]\n", "expected valid YAML, found "),
        ("[" * 1000, "expected valid YAML, found nodes within each other without end"),
        ("a: \x07\n", "expected valid YAML, found "),
    ],
)
def test_what_is_no_yaml_is_an_error(text: str, message: str) -> None:
    """Where that is known, with line and column."""
    with pytest.raises(PolicyError) as caught:
        documents(text, "f")
    assert message in str(caught.value)
