"""systemd.socket: options on the socket that listens."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import PolicyError, UsageError
from harness.policy import reader
from harness.policy.check import check
from harness.policy.formats.systemd_socket import FORMAT, read
from harness.policy.registry import every_rule
from harness.policy.settings import Place, Terms

UNIT = """\
[Unit]
Description=OpenSSH Server Socket
KeepAliveProbes=99

[Socket]
ListenStream=22
; a comment
KeepAlive = yes
KeepAliveTimeSec=1min 30s
KeepAliveIntervalSec=10500ms
KeepAliveProbes=5
Accept=yes
FreeBind=yes

[Install]
WantedBy=sockets.target
"""


def test_the_options_of_the_section_are_read() -> None:
    """In whole seconds, as systemd sets them."""
    (found,) = read(UNIT, "etc/ssh.socket")
    assert found.name == "ssh.socket"
    assert found.terms == Terms(
        keepalive=True, idle_s=90, interval_s=10, count=5, side="server", set_on="listener"
    )
    assert found.places["idle_s"] == Place("etc/ssh.socket", 9, 18)
    assert found.place == Place("etc/ssh.socket", 6, 14)


def test_keepalive_is_off_by_default() -> None:
    """Then the other options have no effect, which is told."""
    (found,) = read("[Socket]\nListenStream=[::]:80\nKeepAliveTimeSec=60\n", "a.socket")
    assert found.keepalive is False
    assert [str(each) for each in found.notices] == [
        "a.socket:3:18: KeepAliveTimeSec has no effect without KeepAlive=yes"
    ]
    demand = msgspec.structs.replace(found.terms, detect_idle_within_s=60)
    result = check([msgspec.structs.replace(found, terms=demand)], list(every_rule().values()))
    (finding,) = result.findings
    assert str(finding.defaults[0]).endswith("systemd's default (systemd.socket(5))")


@pytest.mark.parametrize("address", ["/run/x.sock", "@abstract", "vsock:2:1234"])
def test_a_socket_of_another_kind_is_no_connection(address: str) -> None:
    """Nor is a unit that listens on none."""
    assert read(f"[Socket]\nListenStream={address}\nKeepAlive=yes\n", "a.socket") == ()
    assert read("[Socket]\nListenDatagram=53\n", "a.socket") == ()


def test_an_empty_value_takes_back_what_was_set() -> None:
    """As in all units."""
    (found,) = read("[Socket]\nKeepAlive=yes\nKeepAliveTimeSec=60\nKeepAliveTimeSec=\n", "a")
    assert (found.keepalive, found.terms.idle_s) == (True, None)
    (found,) = read("[Socket]\nListenStream=22\nListenStream=\nListenStream=80\n", "a")
    assert found.place == Place("a", 4, 14)
    assert read("[Socket]\nListenStream=22\nListenStream=\nListenStream=/run/x\n", "a") == ()
    (found,) = read("[Socket]\nListenStream=/run/x\nListenStream=\nKeepAlive=yes\n", "a")
    assert found.place == Place("a", 4, 11)


def test_a_drop_in_has_no_address() -> None:
    """Its options are read all the same."""
    (found,) = read("[Socket]\nKeepAlive=no\n", "ssh.socket.d/keepalive.conf")
    assert (found.terms.keepalive, found.place.line if found.place else 0) == (False, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("KeepAlive=si", "a.socket:2:11: KeepAlive: expected yes or no, found si"),
        ("KeepAliveTimeSec=soon", "a.socket:2:18: KeepAliveTimeSec: expected a time such as 90"),
        ("KeepAliveTimeSec=5 parsec", "expected a time such as 90 or 1min 30s, found 5 parsec"),
        ("KeepAliveTimeSec=10h", "KeepAliveTimeSec: expected an integer from 1 to 32767"),
        ("KeepAliveProbes=0", "a.socket:2:17: KeepAliveProbes: expected an integer from 1 to 127"),
    ],
)
def test_a_malformed_value_is_an_error(line: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(f"[Socket]\n{line}\nListenStream=1\n", "a.socket")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["ssh.socket", "ssh.socket.d/x.conf", "x"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """A unit or a drop-in."""
    assert reader.of_file(Path(name), UNIT, name).name == "systemd"


def test_what_is_written_is_read_back() -> None:
    """And a user timeout is refused."""
    terms = Terms(idle_s=60, interval_s=10, count=3)
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "a.socket")
    assert (found.terms.idle_s, found.terms.interval_s, found.terms.count) == (60, 10, 3)
    with pytest.raises(UsageError, match="systemd: expected"):
        FORMAT.write(Terms(user_timeout_s=30))
