"""AMQP URLs, in the shapes of RabbitMQ's documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy.formats.amqp_url import FORMAT
from harness.policy.settings import Connection, Heartbeat, Place, Terms
from tests.unit.policy.formats.lines_of_text import only, refusal


def read(text: str) -> Connection:
    """The one connection of a text."""
    return only(FORMAT, text)


def beat(timeout_s: int) -> Heartbeat:
    """Sent every half of the timeout; the peer is given up after two intervals."""
    return Heartbeat(every_s=timeout_s / 2, timeout_s=timeout_s / 2, misses=3, apart=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("amqp://", "amqp"),
        ("amqp://user:secret@host:10000/vhost", "host:10000/vhost"),
        ("amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "hoast:10000/v/host"),
        ("amqps://myhost?cacertfile=/path/to/ca.pem&verify=verify_peer", "myhost"),
        ("amqp://myhost?connection_timeout=10000", "myhost"),
    ],
)
def test_the_default_is_rabbitmqs(text: str, name: str) -> None:
    """60 s."""
    assert FORMAT.fits(Path("x"), text)
    found = read(text)
    assert (found.name, found.terms) == (name, Terms(heartbeat=beat(60)))
    assert set(found.defaults.values()) == {
        "RabbitMQ's default heartbeat of 60 s (Heartbeats guide)"
    }
    assert "secret" not in str(found)


def test_a_heartbeat_gives_up_after_two_intervals() -> None:
    """Of 5 s each, of which the first has one half before the first heartbeat."""
    found = read("amqp://myhost?heartbeat=5&connection_timeout=10000")
    assert found.terms.heartbeat == beat(5)
    assert found.places["heartbeat"] == Place("x", 1, 25)
    assert found.terms.heartbeat is not None
    whole = found.terms.heartbeat.every_s + 3 * found.terms.heartbeat.timeout_s
    assert whole == 2 * 5


def test_that_rabbitmq_may_take_longer_is_told() -> None:
    """Up to three intervals, at the value or at the URL without one."""
    (notice,) = read("amqp://myhost?heartbeat=5").notices
    assert str(notice).startswith("x:1:25: heartbeat = 5 gives a silent peer up after 10 s by")
    assert str(notice).endswith("may take 15 s")
    (notice,) = read("amqp://myhost").notices
    assert str(notice).startswith("x:1:1: heartbeat = 60 gives a silent peer up after 120 s by")


def test_0_asks_for_none() -> None:
    """Nothing watches then."""
    found = read("amqp://myhost?heartbeat=0")
    assert not found.notices
    assert found.terms == Terms()
    assert found.places == {"heartbeat": Place("x", 1, 25)}


WRONG = {
    "amqp://h?heartbeat=5s": "x:1:20: heartbeat: expected whole seconds, or 0 for none, found 5s",
    "amqp://h?heartbeat=70000": "x:1:20: heartbeat: expected whole seconds",
    "amqp://h?heartbeat=5&heartbeat=6": "x:1:32: heartbeat: expected one value for it",
    "amqp://h?heart_beat=5": "x:1:10: heartbeat: expected the name heartbeat",
    "amqp://u:secret#1/@h": "x:1:1: expected %40 in place of each @",
    "mqtt://u:secret@h": "x:1:1: expected a URL such as amqp://",
    "": "x:1:1: expected a URL such as amqp://",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error_without_a_password(text: str, message: str) -> None:
    """With line and column."""
    told = refusal(FORMAT, text)
    assert told.startswith(message)
    assert "secret" not in told


@pytest.mark.parametrize("terms", [Terms(heartbeat=beat(30)), Terms(heartbeat=beat(5)), Terms()])
def test_what_is_written_reads_back(terms: Terms) -> None:
    """All of it."""
    assert FORMAT.write is not None
    assert read(FORMAT.write(terms)).terms == terms


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(heartbeat=Heartbeat(every_s=30, timeout_s=10, apart=True)), "timeout_s = 10"),
        (Terms(heartbeat=Heartbeat(every_s=5, timeout_s=5, misses=3)), "apart = false"),
        (Terms(idle_s=5), "found idle_s"),
    ],
)
def test_what_a_url_cannot_express_is_refused(terms: Terms, message: str) -> None:
    """With what it can."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match=message):
        FORMAT.write(terms)
