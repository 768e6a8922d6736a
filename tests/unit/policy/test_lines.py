"""Words of a text in lines know where they stand."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError
from harness.policy import lines
from harness.policy.lines import Word
from harness.policy.settings import Place


def word(text: str) -> Word:
    """In the third column."""
    return Word(text, Place("f", 1, 3))


def test_words_stand_in_a_line_and_a_column() -> None:
    """Up to a comment."""
    first, second = lines.lines("a  bc # d\r\n\tx=1\r\n", "f")[:2]
    assert [(each.text, each.place.column) for each in lines.words(first)] == [("a", 1), ("bc", 4)]
    assert [(each.text, str(each.place)) for each in lines.words(second)] == [("x=1", "f:2:2")]


@pytest.mark.parametrize("text", ["# a = b", "; a = b", "", "a b", " = b"])
def test_what_is_no_pair_is_none(text: str) -> None:
    """A comment, nothing, no separator, no key."""
    assert lines.pair(word(text)) is None


def test_a_pair_has_both_places() -> None:
    """Without the spaces around them."""
    found = lines.pair(word(" key =  the value "))
    assert found is not None
    assert [(each.text, each.place.column) for each in found] == [("key", 4), ("the value", 11)]


def test_a_word_is_divided() -> None:
    """At the first separator."""
    head, rest = word("a:b:c").part(":")
    assert (head.text, rest) == ("a", Word("b:c", Place("f", 1, 5)))
    assert word("a").part(":")[1] is None


@pytest.mark.parametrize("text", ["", "1.5", "x", "-1", "10", "9" * 30, "٣"])
def test_what_is_no_such_number_is_an_error_where_it_stands(text: str) -> None:
    """With the directive, and what it takes."""
    assert lines.integer(word("9"), "count", "1 to 9", least=1, most=9) == 9
    with pytest.raises(PolicyError, match=r"^f:1:3: count: expected 1 to 9, found "):
        lines.integer(word(text), "count", "1 to 9", least=1, most=9)
