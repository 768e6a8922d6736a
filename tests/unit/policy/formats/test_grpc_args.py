"""gRPC channel arguments: objects as grpc-js takes them, pairs as Python takes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.formats.grpc_args import FORMAT
from harness.policy.settings import Connection, Heartbeat, Place, Terms

WATCHING = """\
{
  "grpc.keepalive_time_ms": 30000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.http2.max_pings_without_data": 0,
  "grpc.service_config": "{\\"methodConfig\\": [{}]}"
}
"""
PAIRS = '[["grpc.keepalive_time_ms", 30000],\n ["grpc.lb_policy_name", "round_robin"]]'
BEAT = Heartbeat(every_s=30, timeout_s=5, apart=True)


def read(text: str) -> Connection:
    """The channel."""
    (found,) = FORMAT.read(text, "g")
    return found


def as_pairs(text: str) -> str:
    """The same arguments as Python takes them, on the same lines."""
    pairs = re.sub(r"^  (.*?):(.*?)(,?)$", r"[ \1,\2]\3", text[1:-2], flags=re.MULTILINE)
    return f"[{pairs}]"


def test_pings_without_calls_are_a_heartbeat() -> None:
    """And their timeout is the user timeout, too."""
    found = read(as_pairs(WATCHING))
    assert found.terms == Terms(heartbeat=BEAT, user_timeout_s=5)
    assert found.places["heartbeat.every_s"] == Place("g", 2, 29)
    assert found.places["heartbeat.timeout_s"] == Place("g", 3, 32)
    assert found.places["user_timeout_s"] == Place("g", 3, 32)
    assert found.defaults == {}


def test_grpc_js_sets_no_user_timeout() -> None:
    """Neither a stated nor a default one; it is told."""
    found = read(WATCHING)
    assert found.terms == Terms(heartbeat=BEAT)
    assert str(found.notices[0]).startswith(
        "g:2:29: grpc.keepalive_time_ms sets no TCP_USER_TIMEOUT in grpc-js"
    )
    assert read('{"grpc.keepalive_time_ms": 30000}').terms == Terms()


@pytest.mark.parametrize("left_out", ["permit_without_calls", "max_pings_without_data"])
def test_pings_that_need_calls_watch_no_idle_connection(left_out: str) -> None:
    """The user timeout stays; it is told what is missing."""
    lines = [line for line in WATCHING.splitlines() if left_out not in line]
    found = read(as_pairs("\n".join([*lines, ""])))
    assert found.terms == Terms(user_timeout_s=5)
    assert "does not watch an idle connection without grpc.keepalive_permit" in str(
        found.notices[0]
    )


def test_pairs_are_arguments_as_well() -> None:
    """The timeout has its default."""
    found = read(PAIRS)
    assert found.terms == Terms(user_timeout_s=20)
    assert list(found.defaults) == ["user_timeout_s"]
    assert found.notices[0].place == Place("g", 1, 29)


def test_a_client_sends_no_pings_by_default() -> None:
    """Nor with the largest number."""
    assert read('{"grpc.max_receive_message_length": -1}').terms == Terms()
    assert read('{"grpc.keepalive_time_ms": 2147483647}').terms == Terms()


def test_a_server_is_told_by_its_arguments() -> None:
    """It sends pings every two hours by default, with calls alone."""
    found = read('{"grpc.max_connection_idle_ms": 300000}')
    assert found.terms == Terms(side="server", idle_close_s=300)
    pairs = read('[["grpc.max_connection_idle_ms", 300000]]')
    assert pairs.terms == Terms(side="server", idle_close_s=300, user_timeout_s=20)
    watching = WATCHING.replace(
        '"grpc.keepalive_time_ms": 30000', '"grpc.http2.max_ping_strikes": 2'
    )
    assert read(watching).terms == Terms(
        side="server",
        heartbeat=Heartbeat(every_s=7200, timeout_s=5, apart=True),
    )


def test_frequent_pings_are_told_to_need_the_servers_consent() -> None:
    """Below five minutes."""
    (notice,) = read(as_pairs(WATCHING)).notices
    assert "is below 300000 ms: a server closes the connection" in str(notice)
    assert not read(as_pairs(WATCHING.replace("30000", "300000"))).notices


WRONG = {
    "{": "g:1:2: expected valid JSON, found Expecting property name",
    '{"grpc.keepalive_time_ms": "30s"}': (
        'g:1:28: grpc.keepalive_time_ms: expected milliseconds, or 2147483647 for none, found "30s"'
    ),
    '{"grpc.keepalive_time_ms": 0}': "g:1:28: grpc.keepalive_time_ms: expected milliseconds",
    '{"grpc.keepalive_timeout_ms": 2.5}': "g:1:31: grpc.keepalive_timeout_ms: expected millisec",
    '{"grpc.keepalive_permit_without_calls": 2}': (
        "g:1:41: grpc.keepalive_permit_without_calls: expected 0 or 1, found 2"
    ),
    '{"grpc.keepAliveTimeMs": 5}': "g:1:26: grpc.keepalive_time_ms: expected the name grpc.keep",
    '{"grpc.keepalive_time_ms": 5,\n"grpc.keepalive_time_ms": 6}': (
        "g:2:27: grpc.keepalive_time_ms: expected one value for this key"
    ),
    '{"methodConfig": []}': "g:1:1: expected an object or an array of pairs with channel arguments",
    "[1]": "g:1:1: expected an object or an array of pairs with channel arguments",
    "5": "g:1:1: expected an object or an array of pairs with channel arguments",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        FORMAT.read(text, "g")
    assert str(caught.value).startswith(message)


def test_it_is_told_by_its_content() -> None:
    """It has no name."""
    assert FORMAT.fits(Path("x.json"), WATCHING)
    assert FORMAT.fits(Path("x.json"), PAIRS)
    assert not FORMAT.fits(Path("x.json"), '{"methodConfig": []}')


@pytest.mark.parametrize(
    "terms", [Terms(heartbeat=BEAT, user_timeout_s=5), Terms(heartbeat=BEAT), Terms()]
)
def test_what_is_written_reads_back(terms: Terms) -> None:
    """As JSON."""
    assert FORMAT.write is not None
    written = FORMAT.write(terms)
    assert json.loads(written)
    assert read(written).terms == terms


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(heartbeat=BEAT, user_timeout_s=9), "the user timeout as its timeout_s"),
        (Terms(user_timeout_s=5), "the user timeout as its timeout_s"),
        (Terms(idle_s=5), "found idle_s"),
    ],
)
def test_what_arguments_cannot_express_is_refused(terms: Terms, message: str) -> None:
    """With what they can."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match=message):
        FORMAT.write(terms)
