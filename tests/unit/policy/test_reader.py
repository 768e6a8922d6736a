"""Which format a file has: told by its name, then by its content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy import reader
from harness.policy.format import Format
from harness.policy.settings import Connection, Terms


def made(name: str, *names: str, content: str | None = None) -> Format:
    """A format whose files have these names, or contain this text."""
    return Format(
        name=name,
        title=f"{name}'s files",
        names=names,
        fits=lambda _, text: content is not None and content in text,
        read=lambda *_: (Connection(name=name, terms=Terms()),),
    )


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Format]:
    """Three of them."""
    found = [
        made("alpha", "alpha.conf", "alpha.d/*.conf", content="[alpha]"),
        made("beta", "*.beta", content="listen"),
        made("gamma", content="listen"),
    ]
    known = {each.name: each for each in found}
    monkeypatch.setattr(reader, "every_format", lambda: known)
    return known


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("alpha.conf", "", "alpha"),
        ("alpha.d/10-x.conf", "", "alpha"),
        ("x.beta", "[alpha]", "beta"),
        ("other.conf", "[alpha]", "alpha"),
        ("POLICY.toml", "[alpha]", "policy"),
    ],
)
def test_a_name_comes_before_content(name: str, text: str, expected: str) -> None:
    """And the harness's own format before any other."""
    assert reader.of_file(Path("etc", name), text, name).name == expected


def test_a_file_that_fits_several_formats_is_refused() -> None:
    """With the options that choose one."""
    with pytest.raises(UsageError, match="Fix: --format beta or --format gamma"):
        reader.of_file(Path("x"), "listen", "x")


def test_a_file_that_fits_no_format_is_refused() -> None:
    """With all formats."""
    with pytest.raises(UsageError, match=r"(?s)x: expected a file.*alpha +alpha's files\n  beta"):
        reader.of_file(Path("x"), "", "x")


def test_a_format_is_forced_by_its_name(tmp_path: Path) -> None:
    """Whatever the file is called."""
    (tmp_path / "x.beta").write_text("")
    assert reader.read(tmp_path / "x.beta", "x.beta", "gamma")[0].name == "gamma"
    with pytest.raises(UsageError, match=r"expected a format \(alpha, .*did you mean gamma"):
        reader.read(tmp_path / "x.beta", "x.beta", "gama")


@pytest.mark.parametrize(
    ("argument", "is_text"),
    [
        ("postgresql://h", True),
        ("jdbc:mysql://h", True),
        ("amqp+x://h", True),
        ("host = h", True),
        (f"x://h?{'a' * 9000}", True),
        ("host=h keepalives=1", True),
        ("POLICY.toml", False),
        ("/etc/x=1", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_a_url_or_a_connection_string_is_no_file(argument: str, *, is_text: bool) -> None:
    """Nor is any other argument a text."""
    assert reader.is_text(argument) is is_text


def test_a_file_comes_before_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one has such a name."""
    monkeypatch.chdir(tmp_path)
    Path("a=b").touch()
    assert not reader.is_text("a=b")
    assert reader.is_text("a=c")


def test_a_text_has_the_format_of_its_content() -> None:
    """Its connections have no place, as those of options."""
    (found,) = reader.read_text("[alpha]", "<argument 1>")
    assert (found.name, found.place, found.places) == ("alpha", None, {})
    (found,) = reader.read_text("listen", "<argument 1>", "beta")
    assert found.name == "beta"


@pytest.mark.parametrize("text", ["x://me:secret@h", "listen secret"])
def test_a_text_of_no_format_is_not_shown(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(UsageError, match=r"^<argument 1>: expected a file, or a URL") as caught:
        reader.read_text(text, "<argument 1>")
    assert "secret" not in str(caught.value)
