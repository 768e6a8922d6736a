"""MySQL Connector/J: URLs in the shapes of its developer guide."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy.formats.jdbc_mysql import FORMAT
from harness.policy.settings import Connection, Place, Terms
from tests.unit.policy.formats.lines_of_text import only, refusal

HERE = Path("x")


def read(text: str) -> Connection:
    """The one connection of a text."""
    return only(FORMAT, text)


NAMES = {
    "jdbc:mysql://": "mysql",
    "jdbc:mysql://host1:33060/sakila": "host1:33060/sakila",
    "jdbc:mysql://sandy:secret@myhost1:1111,myhost2:2222/db": "myhost1:1111,myhost2:2222/db",
    "jdbc:mysql:loadbalance://myhost1:1111,myhost2:2222/db?user=sandy&password=secret@1": (
        "myhost1:1111,myhost2:2222/db"
    ),
    "jdbc:mysql:replication://source,replica1/db": "source,replica1/db",
    "jdbc:mysql+srv://_mysql._tcp.host1.domain.com/db": "_mysql._tcp.host1.domain.com/db",
    "jdbc:mysql://address=(host=myhost)(port=1111)(password=secret)/db": "mysql",
    "jdbc:mysql://(host=myhost,port=1111,password=secret)/db": "mysql",
    "jdbc:mysql://sandy:secret@[myhost1:1111,address=(host=myhost2)(port=2222)]/db": "mysql",
}


@pytest.mark.parametrize(("text", "name"), NAMES.items())
def test_keepalive_is_on_by_default(text: str, name: str) -> None:
    """With the system's times; hosts that hold keys and values of their own give no name."""
    assert FORMAT.fits(HERE, text)
    found = read(text)
    assert (found.name, found.terms) == (name, Terms(keepalive=True))
    assert list(found.defaults) == ["keepalive"]
    assert "secret" not in str(found)


def test_keepalive_may_be_off() -> None:
    """A timeout of reads, in milliseconds, is told to watch nothing."""
    found = read("jdbc:mysql://h/d?tcpKeepAlive=false&socketTimeout=60000&connectTimeout=10000")
    assert found.terms == Terms(keepalive=False)
    assert found.places == {"keepalive": Place("x", 1, 31)}
    (notice,) = found.notices
    assert str(notice).startswith("x:1:51: socketTimeout ends a read that waits")


WRONG = {
    "jdbc:mysql://h/d?tcpKeepAlive=1": "x:1:31: tcpKeepAlive: expected true or false, found 1",
    "jdbc:mysql://h/d?TcpKeepAlive=true": "x:1:18: tcpKeepAlive: expected the name tcpKeepAlive",
    "jdbc:mysql://h/d?socketTimeout=1m": "x:1:32: socketTimeout: expected whole milliseconds",
    "jdbc:mysql://(host=h,tcpKeepAlive=false)/d": (
        "x:1:1: expected tcpKeepAlive and socketTimeout after the question mark"
    ),
    "jdbc:postgresql://u:secret@h/d": "x:1:1: expected a URL such as jdbc:mysql://",
    "": "x:1:1: expected a URL such as jdbc:mysql://",
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
    with pytest.raises(UsageError, match="found user_timeout_s"):
        FORMAT.write(Terms(keepalive=keepalive, user_timeout_s=60))
