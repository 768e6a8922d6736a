"""URLs: hosts, parameters with their places, and passwords that nobody sees."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PolicyError
from harness.policy.lines import Word
from harness.policy.settings import Place
from harness.policy.urls import each_line, fits, parsed

SCHEME = re.compile("x://")


def word(text: str) -> Word:
    """At the beginning of a file."""
    return Word(text, Place("f", 1, 1))


def test_a_url_is_cut_into_decoded_parts() -> None:
    """Without user and password."""
    found = parsed(word("x://me:pw@a%2Eb:1,[::1]:2/d%20b?k=v%26w&empty=&n.m=1"), SCHEME, "x://h")
    assert (found.hosts, found.path) == ("a.b:1,[::1]:2", "/d b")
    assert [(key.text, value.text, value.place.column) for key, value in found.parameters] == [
        ("k", "v&w", 35),
        ("empty", "", 47),
        ("n.m", "1", 52),
    ]
    assert found.name("x") == "a.b:1,[::1]:2/d b"


def test_a_url_without_a_host_has_another_name() -> None:
    """A path alone is one."""
    assert parsed(word("x://"), SCHEME, "x://h").name("other") == "other"
    assert parsed(word("x:///"), SCHEME, "x://h").name("other") == "other"
    assert parsed(word("x:///d"), SCHEME, "x://h").name("other") == "/d"


def test_lines_may_be_empty_or_comments() -> None:
    """The first other one tells the format."""
    text = "\n# y://a\n  x://b \r\nx://c\n"
    assert [(each.text, each.place) for each in each_line(text, "f")] == [
        ("x://b", Place("f", 3, 3)),
        ("x://c", Place("f", 4, 1)),
    ]
    assert fits(text, SCHEME)
    assert not fits("y://a\nx://b", SCHEME)
    assert not fits("", SCHEME)


@given(noise=st.text(st.sampled_from("abc123:/?#@[]%&= "), max_size=9), at_in_query=st.booleans())
def test_no_message_shows_a_part_of_a_password(*, noise: str, at_in_query: bool) -> None:
    """However it is written: what was not encoded is refused, or ends before the last @."""
    text = f"x://user:Sec{noise}Ret@host:1/db?k=v"
    try:
        shown = parsed(word(text), SCHEME, "x://h", at_in_query=at_in_query).name("")
    except PolicyError as error:
        shown = str(error)
    assert "Sec" not in shown
    assert "Ret" not in shown


@pytest.mark.parametrize("text", ["x://h:1a", "x://h h", "x://user:secret", "x://h?=1", "x://h?a"])
def test_what_is_no_url_is_refused_unseen(text: str) -> None:
    """With its place."""
    with pytest.raises(PolicyError) as caught:
        parsed(word(text), SCHEME, "x://h")
    assert str(caught.value).startswith("f:1:")
    assert str(caught.value).endswith("found something else (not shown)")
