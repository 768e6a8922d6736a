"""postgresql.conf: units, quotes, and the server's side."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.formats.postgresql_conf import FORMAT
from harness.policy.settings import Connection, Place, Terms

SAMPLE = """\
listen_addresses = '*'          # what IP address(es) to listen on;
#tcp_keepalives_idle = 0        # TCP_KEEPIDLE, in seconds;
                                # 0 selects the system default
tcp_keepalives_idle = 1min
tcp_keepalives_interval 10      # the equals sign is optional
TCP_Keepalives_Count = '6'
tcp_user_timeout = '30 s'
shared_buffers = 128MB
"""


def read(text: str) -> Connection:
    """The server's connections."""
    (found,) = FORMAT.read(text, "p")
    return found


def server(**terms: float | bool | None) -> Terms:
    """As PostgreSQL's server has them: keepalive always on."""
    return Terms(**{"side": "server", "keepalive": True, "user_timeout_s": 0, **terms})  # type: ignore[arg-type]


def test_the_shapes_of_the_sample_file() -> None:
    """Comments, quotes, units, names in capitals, and no equals sign."""
    found = read(SAMPLE)
    assert found.terms == server(idle_s=60, interval_s=10, count=6, user_timeout_s=30)
    assert found.places == {
        "idle_s": Place("p", 4, 23),
        "interval_s": Place("p", 5, 25),
        "count": Place("p", 6, 25),
        "user_timeout_s": Place("p", 7, 21),
    }


def test_0_is_the_systems_value() -> None:
    """As is a parameter that is not there; the switch itself is always on."""
    found = read("tcp_keepalives_idle = 0\ntcp_keepalives_count = 0\nidle_session_timeout = 0\n")
    assert found.terms == server()
    assert set(found.defaults) == {"side", "keepalive", "user_timeout_s"}
    assert "idle_s" in found.places


@pytest.mark.parametrize(
    ("written", "idle_s"),
    [("90", 90), ("90s", 90), ("1.5min", 90), ("90000ms", 90), ("1499ms", 1), ("2h", 7200)],
)
def test_numbers_with_and_without_units(written: str, idle_s: int) -> None:
    """Rounded to seconds, as the server does."""
    assert read(f"tcp_keepalives_idle = {written}").terms.idle_s == idle_s


def test_milliseconds_are_the_unit_of_timeouts() -> None:
    """Without a unit of their own."""
    found = read("tcp_user_timeout = 30000\n")
    assert found.terms.user_timeout_s == 30


BOTH = "idle_session_timeout = 5min\nidle_in_transaction_session_timeout = 60000\n"


def test_two_timeouts_close_idle_sessions() -> None:
    """Inside and outside of transactions: the longer one counts."""
    found = read(BOTH)
    assert (found.terms.idle_close_s, found.places["idle_close_s"]) == (300, Place("p", 1, 24))
    assert not found.notices
    other = read(BOTH.replace("60000", "1h"))
    assert (other.terms.idle_close_s, other.places["idle_close_s"].line) == (3600, 2)


@pytest.mark.parametrize("index", [0, 1])
def test_one_of_them_alone_is_no_detection(index: int) -> None:
    """It is told, also where the other one is turned off."""
    lines = BOTH.splitlines()
    off = f"{lines[1 - index].partition('=')[0]}= 0"
    for text in (lines[index], f"{lines[index]}\n{off}"):
        found = read(text)
        assert found.terms.idle_close_s is None
        (notice,) = found.notices
        where = ("outside of", "inside")[index]
        assert f"{notice.directive} closes sessions {where} transactions alone" in str(notice)


def test_the_last_line_counts() -> None:
    """As the server reads it."""
    found = read("tcp_keepalives_idle = 5\ntcp_keepalives_idle = 7\n")
    assert (found.terms.idle_s, found.places["idle_s"].line) == (7, 2)


def test_a_check_of_the_connection_is_no_detection() -> None:
    """It is told."""
    (notice,) = read("client_connection_check_interval = 10s\n").notices
    assert str(notice).startswith("p:1:36: client_connection_check_interval finds a connection")
    assert not read("client_connection_check_interval = 0\n").notices


WRONG = {
    "tcp_keepalives_idle = 1 m": "p:1:1: tcp_keepalives_idle: expected name = value",
    "tcp_keepalives_idle = '1m'": "p:1:24: tcp_keepalives_idle: expected seconds, or a number with",
    "tcp_keepalives_idle =": "p:1:1: tcp_keepalives_idle: expected name = value",
    "\ntcp_keepalives_idle = -1": "p:2:23: tcp_keepalives_idle: expected seconds",
    "tcp_keepalives_idle = 12h": "p:1:23: tcp_keepalives_idle: expected an integer from 1 to 32767",
    "tcp_keepalives_count = 3s": "p:1:24: tcp_keepalives_count: expected a number of probes",
    "tcp_user_timeout = 30S": "p:1:20: tcp_user_timeout: expected milliseconds, or a number with",
    "tcp_keepalive_idle = 5": "p:1:1: tcp_keepalives_idle: expected the name tcp_keepalives_idle",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        FORMAT.read(text, "p")
    assert str(caught.value).startswith(message)


def test_lines_that_are_not_about_tcp_may_be_anything() -> None:
    """The server judges them."""
    assert read("some thing = else = x\n@\n").terms == server()


def test_it_is_told_by_its_content_where_the_name_says_nothing() -> None:
    """By one of the parameters."""
    assert FORMAT.fits(Path("conf.d/10-net.conf"), "port = 5432\n tcp_user_timeout=5s\n")
    assert not FORMAT.fits(Path("x.conf"), "port = 5432\n#tcp_user_timeout=5s\n")


def test_what_is_written_reads_back() -> None:
    """And nothing is written that the server has no parameter for."""
    terms = server(idle_s=60, interval_s=10, count=6, user_timeout_s=30.5, idle_close_s=7)
    assert FORMAT.write is not None
    assert read(FORMAT.write(terms)).terms == terms
    for other in (Terms(keepalive=False, idle_s=5), Terms(user_timeout_s=5)):
        with pytest.raises(UsageError, match="expected keepalive, which it always turns on"):
            FORMAT.write(other)
