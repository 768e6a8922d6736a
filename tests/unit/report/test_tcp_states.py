"""Predictions for connections that are not idle, and for other systems."""

from __future__ import annotations

import json

import pytest

from harness.errors import UsageError
from harness.plan import predict
from harness.report import tcp_states


def test_data_in_flight_in_words() -> None:
    """The folklore of 15 minutes, with what happens when and why."""
    text = tcp_states.describe(predict.of_state("in-flight", 0.0, 0.0, 1000))
    assert (
        "given up        947.928 to 952.024 s after the write, 15 min 47.93 s to 15 min 52.02 s"
        in text
    )
    assert "data sent again 16 times" in text
    assert [f" retransmission {number} " in text for number in (1, 5, 15, 16)] == [
        True,
        True,
        True,
        False,
    ]
    assert "loss probe         200 ms (TCP_RTO_MIN) and the round trip" in text
    assert "retransmission 1   as long again" in text
    assert "retransmission 9   twice as long" in text
    assert "retransmission 15  120 s, the longest there is (TCP_RTO_MAX)" in text
    assert "tcp_retries2 = 15" in text


def test_connecting_in_words() -> None:
    """Ten repetitions of the SYN, or fewer with a user timeout."""
    text = tcp_states.describe(predict.of_state("connecting", 0.0, 0.0, 1000))
    assert "132.392 to 136.488 s after the call of connect" in text
    assert "SYN sent again  10 times" in text
    assert "user timeout 10 s, HZ=1000" in tcp_states.describe(
        predict.of_state("connecting", 10.0, 0.0, 1000)
    )


def test_a_closed_window_in_words() -> None:
    """All 15 probes are listed, counted on from the answered ones, and what is presumed is said."""
    text = tcp_states.describe(predict.of_state("zero-window", 0.0, 0.0, 250))
    assert "probes sent     15\n" in text
    assert "presumes        that the peer answered no window probe" in text
    assert [f" window probe {number} " in text for number in (1, 12, 15, 16)] == [
        True,
        True,
        True,
        False,
    ]
    text = tcp_states.describe(predict.of_state("zero-window", 0.0, 0.0, 250, answered=5))
    assert "1532.416 to 1534.208 s after the last answered probe" in text
    assert [f" window probe {number} " in text for number in (5, 6, 20, 21)] == [
        False,
        True,
        True,
        False,
    ]


def test_what_is_left_of_a_connection_in_words() -> None:
    """Each line has its rule; the FIN's first repetition is the loss probe, and all of them are
    there.
    """
    lines = tcp_states.describe_kept(predict.of_left("closing", 0.0, 0.0, 250)).splitlines()[2:-2]
    assert all(len(line.strip().split("  ")) >= 3 for line in lines)
    assert "FIN, loss probe" in lines[0]
    assert "close: socket gone" in lines[9]
    assert "FIN, retransmission 15 (shutdown)" in lines[16]
    assert "120 s, the longest there is" in lines[16]
    text = tcp_states.describe_kept(predict.of_left("accepting", 0.0, 0.0, 250))
    assert "SYN-ACK 2          1 s (TCP_TIMEOUT_INIT" in text
    assert "SYN-ACK 6          twice as long" in text


def test_states_as_json() -> None:
    """Seconds, with their origin."""
    document = json.loads(tcp_states.as_json(predict.of_state("in-flight", 6.0, 0.0, 1000)))
    assert (document["origin"], document["window_s"], document["retransmissions"]) == (
        "write",
        [6.416, 6.48],
        [5, 5],
    )
    assert len(document["retransmission_windows_s"]) == 5


def test_another_system_in_words() -> None:
    """Its defaults where nothing is given; marked as documented."""
    text = tcp_states.describe_system(predict.of_system("freebsd", None, None, None))
    assert "7800 s after the last segment received, 2 h 10 min 0.00 s" in text
    assert "documented, not measured  sys/netinet/tcp_timer.c" in text
    document = json.loads(tcp_states.system_as_json(predict.of_system("aix", 120, 75, 8)))
    assert (document["detection_s"], document["probes"], document["measured"]) == (795, 9, False)


def test_what_cannot_be_is_refused() -> None:
    """With the option's name."""
    with pytest.raises(UsageError, match="--rtt: expected 0 to 10000"):
        predict.of_state("in-flight", 0.0, -1.0, None)
    with pytest.raises(UsageError, match="--count: expected 10, which Windows"):
        predict.of_system("windows", None, None, 5)
    with pytest.raises(UsageError, match="--idle: expected more than 0"):
        predict.of_system("macos", 0, None, None)
