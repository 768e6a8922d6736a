"""Which format a file has: told by its name, then by its content."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy import formats as harness_formats
from harness.policy import reader
from harness.policy.file_names import FILE_NAMES
from harness.policy.format import Format
from harness.policy.settings import Connection, Terms

NAMES = {"alpha": ("alpha.conf", "alpha.d/*.conf"), "beta": ("*.beta",), "delta": ("*.d/x.conf",)}


def made(name: str, content: str | None = None) -> Format:
    """A format whose files contain this text."""
    return Format(
        name=name,
        title=f"{name}'s files",
        fits=lambda _, text: content is not None and content in text,
        read=lambda *_: (Connection(name=name, terms=Terms()),),
    )


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of them."""
    found = [
        made("alpha", "[alpha]"),
        made("beta", "listen"),
        made("delta"),
        made("gamma", "listen"),
    ]
    known = {each.name: each for each in found}
    monkeypatch.setattr(reader, "FILE_NAMES", NAMES)
    monkeypatch.setattr(reader, "_of_module", known.__getitem__)
    monkeypatch.setattr(reader, "every_format", lambda: known)


@pytest.mark.usefixtures("formats")
@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("alpha.conf", "", "alpha"),
        ("alpha.d/10-x.conf", "", "alpha"),
        ("x.beta", "[alpha]", "beta"),
        ("other.conf", "[alpha]", "alpha"),
    ],
)
def test_a_name_comes_before_content(name: str, text: str, expected: str) -> None:
    """Only where no name fits is content looked at."""
    assert reader.of_file(Path("etc", name), text, name).name == expected


@pytest.mark.usefixtures("formats")
def test_a_file_that_fits_several_formats_is_refused() -> None:
    """With the options that choose one."""
    with pytest.raises(UsageError, match="Fix: --format beta or --format gamma"):
        reader.of_file(Path("x"), "listen", "x")
    with pytest.raises(UsageError, match="Fix: --format alpha or --format delta"):
        reader.of_file(Path("alpha.d/x.conf"), "", "x")


@pytest.mark.usefixtures("formats")
def test_a_file_that_fits_no_format_is_refused() -> None:
    """With all formats."""
    with pytest.raises(UsageError, match=r"(?s)x: expected a file.*alpha +alpha's files\n  beta"):
        reader.of_file(Path("x"), "", "x")


@pytest.mark.usefixtures("formats")
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


@pytest.mark.usefixtures("formats")
def test_a_text_has_the_format_of_its_content() -> None:
    """Its connections have no place, as those of options."""
    (found,) = reader.read_text("[alpha]", "<argument 1>")
    assert (found.name, found.place, found.places) == ("alpha", None, {})
    (found,) = reader.read_text("listen", "<argument 1>", "beta")
    assert found.name == "beta"


@pytest.mark.usefixtures("formats")
@pytest.mark.parametrize("text", ["x://me:secret@h", "listen secret"])
def test_a_text_of_no_format_is_not_shown(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(UsageError, match=r"^<argument 1>: expected a file, or a URL") as caught:
        reader.read_text(text, "<argument 1>")
    assert "secret" not in str(caught.value)


def test_names_are_those_of_modules() -> None:
    """A pattern of no format would never be found."""
    modules = {each.name for each in pkgutil.iter_modules(harness_formats.__path__)}
    assert set(FILE_NAMES) <= modules


def test_a_file_loads_the_module_of_its_own_format_alone() -> None:
    """The others take longer to load than a policy to check."""
    script = (
        "import sys; from pathlib import Path; from harness.policy import reader;"
        "reader.of_file(Path('POLICY.toml'), '', 'x');"
        "print(*(each for each in sys.modules if each.startswith('harness.policy.formats.')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["harness.policy.formats.policy_toml"]
