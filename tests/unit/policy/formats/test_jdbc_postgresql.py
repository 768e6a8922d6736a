"""pgjdbc: URLs in the shapes of its documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy.formats.jdbc_postgresql import FORMAT
from harness.policy.settings import Connection, Place, Terms
from tests.unit.policy.formats.lines_of_text import only, refusal

HERE = Path("x")


def read(text: str) -> Connection:
    """The one connection of a text."""
    return only(FORMAT, text)


NAMES = {
    "jdbc:postgresql:database": "database",
    "jdbc:postgresql:/": "pgjdbc",
    "jdbc:postgresql://host/database": "host/database",
    "jdbc:postgresql://host:5433/": "host:5433",
    "jdbc:postgresql://host1:123,host2:456/database?targetServerType=primary": (
        "host1:123,host2:456/database"
    ),
    "jdbc:postgresql://localhost/test?user=fred@corp&password=secret@x&ssl=true": "localhost/test",
}


@pytest.mark.parametrize(("text", "name"), NAMES.items())
def test_keepalive_is_off_by_default(text: str, name: str) -> None:
    """And the driver says so; the connection is called after its host and database."""
    assert FORMAT.fits(HERE, text)
    found = read(text)
    assert (found.name, found.terms) == (name, Terms(keepalive=False))
    assert found.defaults == {"keepalive": "pgjdbc's default (PGProperty, tcpKeepAlive)"}
    assert "secret" not in str(found)


def test_keepalive_is_turned_on_with_the_systems_times() -> None:
    """The driver has no property for them."""
    found = read("jdbc:postgresql://h/d?ssl=true&tcpKeepAlive=TRUE")
    assert found.terms == Terms(keepalive=True)
    assert found.places == {"keepalive": Place("x", 1, 45)}


def test_what_does_not_watch_a_connection_is_told() -> None:
    """A timeout of reads, and parameters of another library."""
    found = read("jdbc:postgresql://h/d?socketTimeout=30&keepalives_idle=60")
    assert [str(each)[: str(each).index(" ")] for each in found.notices] == ["x:1:56:", "x:1:37:"]
    assert "keepalives_idle is libpq's, and pgjdbc ignores it" in str(found.notices[0])
    assert not read("jdbc:postgresql://h/d?socketTimeout=0").notices


WRONG = {
    "jdbc:postgresql://h/d?tcpKeepAlive=yes": "x:1:36: tcpKeepAlive: expected true or false",
    "jdbc:postgresql://h/d?tcpkeepalive=true": "x:1:23: tcpKeepAlive: expected the name tcpKeep",
    "jdbc:postgresql://h/d?socketTimeout=30s": "x:1:37: socketTimeout: expected whole seconds",
    "jdbc:postgresql://h/d?tcpKeepAlive=true&tcpKeepAlive=false": (
        "x:1:54: tcpKeepAlive: expected one value"
    ),
    "jdbc:postgresql://u:secret/x@h/d": "x:1:1: expected %40 in place of each @",
    "jdbc:mysql://u:secret@h/d": "x:1:1: expected a URL such as jdbc:postgresql://",
    "\n": "x:1:1: expected a URL such as jdbc:postgresql://",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error_without_a_password(text: str, message: str) -> None:
    """With line and column."""
    told = refusal(FORMAT, text)
    assert told.startswith(message)
    assert "secret" not in told


@pytest.mark.parametrize("keepalive", [True, False])
def test_what_is_written_reads_back(*, keepalive: bool) -> None:
    """And nothing is written that the driver has no property for."""
    assert FORMAT.write is not None
    assert read(FORMAT.write(Terms(keepalive=keepalive))).terms == Terms(keepalive=keepalive)
    with pytest.raises(UsageError, match="found idle_s"):
        FORMAT.write(Terms(keepalive=keepalive, idle_s=60))
