"""nginx.conf as directives with places, and one error for whatever is malformed."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError
from harness.policy.lines import Word
from harness.policy.nginx_blocks import parse, seconds
from harness.policy.settings import Place

TEXT = """\
a; # { a comment }
log main '$x "{;}"
\t${y} it\\'s';
b \\; "c d" ${e{f} {
  g 1; g 2;
  if ($x ~ "^(a|b)$") { h; }
}
"""


def test_words_are_without_quotes_and_know_where_they_stand() -> None:
    """Also beyond a quoted line break."""
    root = parse(TEXT, "n")
    assert [each.name for each in root.inner] == ["a", "log", "b"]
    assert root.inner[1].words[2].text == '$x "{;}"\n\t${y} it\\\'s'
    assert [(each.text, each.place) for each in root.inner[2].words] == [
        ("b", Place("n", 4, 1)),
        ("\\;", Place("n", 4, 3)),
        ("c d", Place("n", 4, 6)),
        ("${e{f}", Place("n", 4, 12)),
    ]
    inner = root.inner[2].argument("g")
    assert inner is not None
    assert (inner.text, inner.place) == ("2", Place("n", 5, 10))
    assert root.inner[2].all("if")[0].inner[0].name == "h"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "n:1:1: a: expected ; or { and } after it, found the end of the file"),
        ("a {\n b;\n", "n:1:1: a: expected ; or { and } after it, found the end of the file"),
        ("a { b }", "n:1:7: b: expected ; or { after it, found }"),
        ("a;\n}", "n:2:1: expected a directive, found }"),
        ("a; ;", "n:1:4: expected the name of a directive, found ;"),
        ('a "b;\n', 'n:1:3: expected a word, or the quote that ends one, found "'),
    ],
)
def test_what_is_malformed_is_an_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        parse(text, "n")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("75", 75), ("1m30s", 90), ("1h 30m", 5400), ("500ms", 0.5), ("1M", 2592000)],
)
def test_times_have_nginx_s_units(text: str, expected_s: float) -> None:
    """Several, from the largest on, with spaces or without."""
    assert seconds(Word(text, Place("n", 1, 1)), "keepalive_timeout") == expected_s


@pytest.mark.parametrize("text", ["", "x", "1.5s", "5 minutes", "-1"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    """Where it stands."""
    with pytest.raises(
        PolicyError, match=r"^n:1:1: keepalive_timeout: expected a time such as 75s"
    ):
        seconds(Word(text, Place("n", 1, 1)), "keepalive_timeout")
