"""sshd_config: the server's heartbeat, for all clients and in Match blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError
from harness.policy import reader
from harness.policy.facts import Facts
from harness.policy.formats.sshd_config import FORMAT, read
from harness.policy.overview import overview
from harness.policy.settings import Connection, Heartbeat, Place, Terms

NOTHING = Connection(name="nothing", terms=Terms())
"""Neither keepalive nor a heartbeat."""

FILE = """\
Port 22
#ClientAliveInterval 0
TCPKeepAlive yes
ClientAliveInterval 5m
ClientAliveInterval 1
Subsystem sftp /usr/lib/openssh/sftp-server

Match User anoncvs
    X11Forwarding no
Match Group ops Address 10.0.0.0/8
    ClientAliveInterval 30
    ClientAliveCountMax 0
"""


def test_a_match_block_that_differs_is_a_connection() -> None:
    """A count of 0 ends no connection, but messages are sent."""
    sshd, ops = read(FILE, "d")
    assert (sshd.name, sshd.terms.side) == ("sshd", "server")
    assert sshd.terms.heartbeat == Heartbeat(every_s=300, timeout_s=300, misses=3, apart=True)
    assert (ops.name, ops.place) == ("Match Group ops Address 10.0.0.0/8", Place("d", 10, 1))
    (notice,) = ops.notices
    assert str(notice).startswith("d:12:25: ClientAliveCountMax 0 ends no connection: messages are")


@pytest.mark.parametrize("interval_s", [1, 300])
def test_a_count_of_0_keeps_a_path_and_leaves_a_dead_peer_to_tcp(interval_s: int) -> None:
    """The message that is not answered is sent again until tcp_retries2 ends it; where data waits
    already, the message adds nothing.
    """
    text = f"TCPKeepAlive no\nClientAliveInterval {interval_s}\nClientAliveCountMax 0\n"
    (sshd,) = read(text, "d")
    facts = Facts(sshd)
    found = overview(facts)
    assert (found.silence.worst_s, found.silence.hz) == (interval_s, None)
    assert found.idle.worst_s is not None
    assert interval_s + 947 < found.idle.worst_s <= interval_s + 1166
    assert found.in_flight.worst_s == overview(Facts(NOTHING)).in_flight.worst_s
    assert not facts.in_flight_is_bounded
    assert facts.heartbeat_survives(100, 800)


def test_a_malformed_value_is_an_error() -> None:
    """With line and column."""
    with pytest.raises(PolicyError, match=r"^d:1:21: ClientAliveCountMax: expected an integer"):
        read("ClientAliveCountMax x\n", "d")


@pytest.mark.parametrize("name", ["sshd_config", "sshd_config.d/10.conf", "x"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """Of the system."""
    assert reader.of_file(Path(name), FILE, name).name == "sshd"


def test_what_is_written_is_read_back() -> None:
    """The heartbeat."""
    beat = Heartbeat(every_s=30, timeout_s=30, misses=2, apart=True)
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(Terms(heartbeat=beat)), "d")
    assert found.terms.heartbeat == beat
