"""ssh_config: blocks, the first value that counts, and a heartbeat."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import PolicyError, UsageError
from harness.policy import reader
from harness.policy.check import check
from harness.policy.formats.ssh_config import FORMAT, read
from harness.policy.registry import every_rule
from harness.policy.settings import Heartbeat, Place, Terms

FILE = """\
# Site-wide defaults for some commonly used options.
Include /etc/ssh/ssh_config.d/*.conf
ServerAliveCountMax 4

Host bastion.example.com
    User ops
    ServerAliveInterval 1m30s   # rarely
Host *.example.com !old.example.com
    serveraliveinterval=15
    TCPKeepAlive "no"
Host old.example.com
    HashKnownHosts yes
Match user root
    ServerAliveInterval 5
Host *
    TCPKeepAlive yes
    ServerAliveInterval 60
"""


def test_each_block_is_a_connection_with_the_first_value_of_each_directive() -> None:
    """Also with those of other blocks that hold for its hosts."""
    found = {each.name: each.terms for each in read(FILE, "c")}
    assert list(found) == [
        "Host bastion.example.com",
        "Host *.example.com !old.example.com",
        "Host old.example.com",
        "Match user root",
        "Host *",
    ]
    beats = {
        name: (terms.heartbeat.every_s, terms.heartbeat.misses, terms.keepalive)
        for name, terms in found.items()
        if terms.heartbeat
    }
    assert list(beats.values()) == [
        (90, 4, False),
        (15, 4, False),
        (60, 4, True),
        (5, 4, True),
        (60, 4, True),
    ]


def test_values_know_where_they_stand() -> None:
    """Also inherited ones."""
    bastion = read(FILE, "c")[0]
    assert bastion.place == Place("c", 5, 1)
    assert bastion.places["heartbeat.every_s"] == Place("c", 7, 25)
    assert bastion.places["heartbeat"] == Place("c", 7, 25)
    assert bastion.places["heartbeat.misses"] == Place("c", 3, 21)
    assert bastion.places["keepalive"] == Place("c", 10, 19)


def test_the_heartbeat_ends_after_one_interval_more_than_messages() -> None:
    """15 and 3 take 60 s, as OpenSSH's code counts; the count is OpenSSH's default."""
    (made,) = read("ServerAliveInterval 15\n", "c")
    assert made.terms.heartbeat == Heartbeat(every_s=15, timeout_s=15, misses=3, apart=True)
    late = msgspec.structs.replace(made.terms, detect_within_s=59)
    found = check([msgspec.structs.replace(made, terms=late)], list(every_rule().values()))
    assert {each.rule for each in found.findings} == {"KA015"}
    assert found.findings[0].place == Place("c", 1, 21)
    default = "OpenSSH's default (ssh_config(5), ServerAliveCountMax)"
    assert default in {each.source for each in found.findings[0].defaults}


def test_without_a_heartbeat_keepalive_is_on_and_the_system_s() -> None:
    """As nobody chose it, that is no finding by itself."""
    (made,) = read("", "c")
    assert (made.name, made.keepalive, made.terms.heartbeat) == ("ssh", True, None)
    assert not check([made], list(every_rule().values())).findings


def test_a_count_without_an_interval_is_told() -> None:
    """It has no effect."""
    (made,) = read("ServerAliveCountMax 2\n", "c")
    assert [str(each) for each in made.notices] == [
        "c:1:21: ServerAliveCountMax has no effect without ServerAliveInterval"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ServerAliveInterval soon", "c:1:21: ServerAliveInterval: expected a time such as 30 or"),
        ("ServerAliveInterval", ""),
        ("ServerAliveInterval 15.5", "expected a time such as 30 or 1m30s, found 15.5"),
        ("ServerAliveCountMax 0", "c:1:21: ServerAliveCountMax: expected an integer from 1 to"),
        ("TCPKeepAlive maybe", "c:1:14: TCPKeepAlive: expected yes or no, found maybe"),
    ],
)
def test_a_malformed_value_is_an_error(line: str, message: str) -> None:
    """With line and column; a directive without any is ssh's to refuse."""
    if not message:
        assert len(read(line, "c")) == 1
        return
    with pytest.raises(PolicyError) as caught:
        read(line, "c")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["ssh_config", "home/.ssh/config", "ssh_config.d/x.conf", "x"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """Of a user, or of the system."""
    assert reader.of_file(Path(name), FILE, name).name == "ssh"


def test_what_is_written_is_read_back() -> None:
    """And what ssh has no word for is refused."""
    terms = Terms(keepalive=False, heartbeat=Heartbeat(every_s=30, timeout_s=30, misses=2))
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "c")
    assert found.terms.keepalive is False
    assert found.terms.heartbeat == Heartbeat(every_s=30, timeout_s=30, misses=2, apart=True)
    uneven = Terms(heartbeat=Heartbeat(every_s=30, timeout_s=10))
    for each in (uneven, Terms(idle_s=60)):
        with pytest.raises(UsageError, match="ssh: expected"):
            FORMAT.write(each)
