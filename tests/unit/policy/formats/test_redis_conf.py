"""redis.conf: tcp-keepalive sets three options, and timeout closes some idle clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.check import check
from harness.policy.formats.redis_conf import FORMAT
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms

SAMPLE = """\
# TCP keepalive.
# tcp-keepalive 300
bind 127.0.0.1 -::1
Timeout 0
TCP-keepalive "60"
save 3600 1 300 100
requirepass secret
"""


def read(text: str) -> Connection:
    """The server's connections."""
    (found,) = FORMAT.read(text, "r")
    return found


def server(**terms: float | bool | None) -> Terms:
    """As redis-server has them."""
    return Terms(**{"side": "server", "keepalive": True, **terms})  # type: ignore[arg-type]


def test_one_number_stands_for_three_options() -> None:
    """The interval is a third of it, and the count is 3."""
    found = read(SAMPLE)
    assert found.terms == server(idle_s=60, interval_s=20, count=3)
    assert {found.places[key] for key in ("keepalive", "idle_s", "interval_s", "count")} == {
        Place("r", 5, 16)
    }
    assert "secret" not in str(found)


def test_an_empty_file_has_the_servers_default() -> None:
    """300 s; a finding says whose default that is."""
    found = read("port 6379\n")
    assert found.terms == server(idle_s=300, interval_s=100, count=3)
    demanding = Connection(
        name="r",
        terms=Terms(keepalive=True, idle_s=300, interval_s=100, count=3, detect_within_s=60),
        defaults=found.defaults,
    )
    late = check((demanding,), list(every_rule().values())).findings
    assert any("redis-server's default" in each.message for each in late)


def test_0_turns_keepalive_off() -> None:
    """And the last line counts."""
    found = read("tcp-keepalive 60\ntcp-keepalive 0\n")
    assert found.terms == server(keepalive=False)
    assert found.places["keepalive"] == Place("r", 2, 15)


def test_a_timeout_that_leaves_out_subscribers_is_no_detection() -> None:
    """It is told."""
    found = read("tcp-keepalive 0\ntimeout 30\n")
    assert found.terms == server(keepalive=False)
    (notice,) = found.notices
    assert str(notice).startswith("r:2:9: timeout does not close connections of subscribers")
    assert not read(SAMPLE).notices


def test_no_interval_is_shorter_than_a_second() -> None:
    """As in redis-server."""
    assert read("tcp-keepalive 2\n").terms == server(idle_s=2, interval_s=1, count=3)


WRONG = {
    "tcp-keepalive 5m": "r:1:15: tcp-keepalive: expected seconds from 1 to 32767, or 0",
    "tcp-keepalive -1": "r:1:15: tcp-keepalive: expected seconds from 1 to 32767, or 0",
    "tcp-keepalive 60000": "r:1:15: tcp-keepalive: expected an integer from 1 to 32767",
    "tcp-keepalive": "r:1:1: tcp-keepalive: expected one number of seconds, found nothing",
    "timeout 1 2": "r:1:9: timeout: expected one number of seconds, found 1 2",
    "timeout 5m": "r:1:9: timeout: expected whole seconds",
    "tcp_keepalive 5": "r:1:1: tcp-keepalive: expected the name tcp-keepalive",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        FORMAT.read(text, "r")
    assert str(caught.value).startswith(message)


def test_it_is_told_by_its_content_where_the_name_says_nothing() -> None:
    """By tcp-keepalive."""
    assert FORMAT.fits(Path("6379.conf"), SAMPLE)
    assert not FORMAT.fits(Path("6379.conf"), "# tcp-keepalive 300\n")


@pytest.mark.parametrize(
    "terms",
    [
        server(idle_s=60, interval_s=20, count=3),
        server(keepalive=False),
    ],
)
def test_what_is_written_reads_back(terms: Terms) -> None:
    """All of it."""
    assert FORMAT.write is not None
    assert read(FORMAT.write(terms)).terms == terms


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(idle_s=60, interval_s=10, count=3), "expected an interval of 20 s and a count of 3"),
        (Terms(user_timeout_s=5), "found user_timeout_s"),
        (Terms(keepalive=True), "expected keepalive with an idle_s"),
        (Terms(idle_close_s=60), "found idle_close_s"),
    ],
)
def test_what_redis_cannot_express_is_refused(terms: Terms, message: str) -> None:
    """With what it can."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match=message):
        FORMAT.write(terms)
