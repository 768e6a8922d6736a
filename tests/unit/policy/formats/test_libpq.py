"""libpq: URLs and keyword strings in the shapes of PostgreSQL's documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.formats.libpq import FORMAT
from harness.policy.settings import Connection, Place, Terms
from tests.unit.policy.formats.lines_of_text import only, refusal

HERE = Path("x")


def read(text: str) -> Connection:
    """The one connection of a text."""
    return only(FORMAT, text)


NAMES = {
    "postgresql://": "libpq",
    "postgresql://localhost": "localhost",
    "postgresql://localhost:5433": "localhost:5433",
    "postgresql://localhost/mydb": "localhost/mydb",
    "postgresql://user:secret@localhost": "localhost",
    "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp": (
        "localhost/otherdb"
    ),
    "postgresql://host1:123,host2:456/somedb?target_session_attrs=any": (
        "host1:123,host2:456/somedb"
    ),
    "postgresql:///mydb?host=localhost&port=5433": "localhost:5433/mydb",
    "postgresql://[2001:db8::1234]/database": "[2001:db8::1234]/database",
    "postgres://u:p%40ss%2Fword@db.example/orders": "db.example/orders",
    "host=localhost port=5432 dbname=mydb connect_timeout=10": "localhost:5432/mydb",
    "host = db.example  dbname = 'my db' password = 'it\\'s secret'": "db.example/my db",
    "dbname='postgresql://u:secret@h/d' port=5": "libpq",
}


@pytest.mark.parametrize(("text", "name"), NAMES.items())
def test_a_connection_is_called_after_its_host_and_database(text: str, name: str) -> None:
    """Without user and password; keepalive is on, as libpq turns it on."""
    assert FORMAT.fits(HERE, text)
    found = read(text)
    assert (found.name, found.terms) == (name, Terms(keepalive=True))
    assert list(found.defaults) == ["keepalive"]
    assert "secret" not in str(found)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_url_of_sqlalchemy_names_a_driver(driver: str) -> None:
    """That is built on libpq, which the parameters are passed on to."""
    text = f"postgresql+{driver}://u:secret@h/d?keepalives_idle=60"
    assert FORMAT.fits(HERE, text)
    found = read(text)
    assert (found.name, found.terms) == ("h/d", Terms(keepalive=True, idle_s=60))
    assert "secret" not in str(found)


def test_a_driver_without_libpq_is_refused() -> None:
    """It turns keepalive on by no such parameter."""
    text = "postgresql+asyncpg://u:secret@h/d"
    assert FORMAT.fits(HERE, text)
    with pytest.raises(PolicyError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("x:1:12: expected a driver that is built on libpq (psycopg, ")
    assert message.endswith("found asyncpg")


def test_parameters_of_a_url_have_their_places() -> None:
    """The user timeout is in milliseconds; 0 is the system's."""
    found = read(
        "# the orders\n\n  postgresql://h/d?keepalives_idle=60&keepalives_interval=10"
        "&keepalives_count=0&tcp_user_timeout=30000"
    )
    assert found.terms == Terms(keepalive=True, idle_s=60, interval_s=10, user_timeout_s=30)
    assert found.place == Place("x", 3, 3)
    assert found.places == {
        "idle_s": Place("x", 3, 36),
        "interval_s": Place("x", 3, 59),
        "count": Place("x", 3, 79),
        "user_timeout_s": Place("x", 3, 98),
    }


def test_the_last_of_two_values_counts() -> None:
    """As in libpq."""
    assert read("host=h keepalives_idle=60 keepalives_idle='7'").terms.idle_s == 7


def test_keepalive_may_be_off() -> None:
    """A value without effect is told: libpq sets no user timeout then, either."""
    found = read("host=h keepalives=0 keepalives_idle=60 tcp_user_timeout=10000")
    assert found.terms == Terms(keepalive=False, idle_s=60)
    assert list(map(str, found.notices)) == [
        "x:1:37: keepalives_idle has no effect with keepalives=0",
        "x:1:57: tcp_user_timeout has no effect with keepalives=0",
    ]


@pytest.mark.parametrize("text", ["postgresql:///d?keepalives_idle=60", "dbname=d host=''"])
def test_without_a_host_libpq_may_use_no_tcp(text: str) -> None:
    """Which is told."""
    (notice,) = read(text).notices
    assert str(notice).startswith("x:1:1: host is not stated: libpq then connects to a Unix sock")


@pytest.mark.parametrize(
    "text", ["postgresql://h", "postgresql:///d?host=h", "hostaddr=192.0.2.1", "service=orders"]
)
def test_where_a_host_is_or_may_be_named_nothing_is_told(text: str) -> None:
    """A service names it in another file."""
    assert not read(text).notices


def test_every_line_is_a_connection() -> None:
    """In the order of the file."""
    found = FORMAT.read("postgresql://a\n# b\nhost=c keepalives_idle=5\n", "x")
    assert [each.name for each in found] == ["a", "c"]


WRONG = {
    "postgresql://u:secret/x@h/d": "x:1:1: expected %40 in place of each @",
    "postgresql://u:secret?x@h/d": "x:1:1: expected %40 in place of each @",
    "postgresql://u:secret@x@h/d": "x:1:1: expected %40 in place of each @",
    "postgresql://u:secret": "x:1:1: expected a host and the number of a port",
    "postgresql://h/d?secret": "x:1:18: expected parameters such as name=value",
    "host=h secret": "x:1:8: expected key=value",
    "host=h password='secret": "x:1:8: expected key=value",
    "postgresql://h/d?keepalive_idle=3": (
        "x:1:18: keepalives_idle: expected the name keepalives_idle, found keepalive_idle"
    ),
    "postgresql://h/d?keepalives_idle=60s": (
        "x:1:34: keepalives_idle: expected seconds from 1 to 32767, or 0 for the system's, found "
        "60s"
    ),
    "postgresql://h/d?keepalives_idle=": "x:1:34: keepalives_idle: expected seconds",
    "postgresql://h/d?keepalives_idle=60000": (
        "x:1:34: keepalives_idle: expected an integer from 1 to 32767 (seconds) (did you mean 60 s"
    ),
    "postgresql://h/d?keepalives_count=200": (
        "x:1:35: keepalives_count: expected an integer from 1 to 127, found 200"
    ),
    "postgresql://h/d?tcp_user_timeout=30s": (
        "x:1:35: tcp_user_timeout: expected whole milliseconds, found 30s"
    ),
    "postgresql://h/d?keepalives=yes": "x:1:29: keepalives: expected 1 for on, or 0 for off",
    "postgresql://%2Fvar%2Flib%2Fpostgresql/d": "x:1:1: host: expected a host that is reached by",
    "host=/tmp": "x:1:6: host: expected a host that is reached by TCP, and no Unix socket",
    "mysql://u:secret@h/d": "x:1:1: expected key=value",
    "# nothing": "x:1:1: expected a connection string such as postgresql://",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error_without_a_password(text: str, message: str) -> None:
    """With line and column."""
    told = refusal(FORMAT, text)
    assert told.startswith(message)
    assert "secret" not in told


@pytest.mark.parametrize("text", ["[orders]\nhost=h", "tcp-keepalive 60", "a b", "", "x = 1\n"])
def test_other_files_are_not_its_own(text: str) -> None:
    """By content alone: it has no name."""
    assert not FORMAT.fits(HERE, text)


@pytest.mark.parametrize(
    "terms",
    [
        Terms(keepalive=True, idle_s=60, interval_s=10, count=6, user_timeout_s=115),
        Terms(keepalive=True, idle_s=60),
        Terms(keepalive=True, user_timeout_s=0.5),
        Terms(keepalive=False),
    ],
)
def test_what_is_written_reads_back(terms: Terms) -> None:
    """All of it."""
    assert FORMAT.write is not None
    written = FORMAT.write(terms)
    assert FORMAT.fits(HERE, written)
    assert read(written).terms == terms


def test_a_setting_without_a_parameter_is_not_written() -> None:
    """It is named."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match="found idle_close_s"):
        FORMAT.write(Terms(idle_close_s=5))
    with pytest.raises(UsageError, match="expected keepalive beside a user timeout"):
        FORMAT.write(Terms(keepalive=False, user_timeout_s=5))
