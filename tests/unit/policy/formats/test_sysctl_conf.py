"""sysctl.conf: what it says of TCP, and one error for whatever is wrong."""

from __future__ import annotations

import msgspec
import pytest

from harness.errors import PolicyError, UsageError
from harness.policy import registry
from harness.policy.check import check
from harness.policy.formats.sysctl_conf import FORMAT, read
from harness.policy.registry import every_rule
from harness.policy.settings import Place, Terms

DISTRIBUTION = """\
# /etc/sysctl.conf - Configuration file for setting system variables
; another comment
#net.ipv4.tcp_keepalive_time=1

kernel.domainname = example.com
-net.ipv4.tcp_keepalive_time=300
net/ipv4/tcp_keepalive_time = 600
net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.accept_redirects
net.ipv4.tcp_keepalive_intvl\t=\t60
net.ipv4.tcp_keepalive_probes = 20
"""


def test_the_system_s_values_are_read() -> None:
    """The last one counts, comments and other sysctls do not."""
    (found,) = read(DISTRIBUTION, "s.conf")
    assert (found.terms.idle_s, found.terms.interval_s, found.terms.count) == (600, 60, 20)
    assert (found.name, found.keepalive) == ("system", True)
    assert found.places["idle_s"] == Place("s.conf", 7, 31)
    assert found.places["interval_s"] == Place("s.conf", 10, 32)


def test_what_is_left_to_the_kernel_is_found() -> None:
    """At the value that is set; the finding rests on an assumption and names it."""
    (connection,) = read("net.ipv4.tcp_keepalive_time = 60\n", "s.conf")
    (found,) = check([connection], list(every_rule().values())).findings
    assert (found.rule, str(found.place)) == ("KA002", "s.conf:1:31")
    assert any("assumed" in each.source for each in found.defaults)


def test_a_pattern_sets_all_that_it_fits() -> None:
    """As sysctl.d(5) has it."""
    (found,) = read("net.ipv4.tcp_keepalive_[it]* = 30\n", "s.conf")
    assert (found.terms.idle_s, found.terms.interval_s, found.terms.count) == (30, 30, None)


@pytest.mark.parametrize("pattern_first", [True, False])
def test_a_name_comes_before_a_pattern(*, pattern_first: bool) -> None:
    """Wherever it stands; of two patterns the last one counts."""
    patterns = "net.ipv4.tcp_keepalive_* = 9\nnet/ipv4/tcp_keepalive_[it]* = 5\n"
    named = "net.ipv4.tcp_keepalive_time = 600\n"
    text = f"{patterns}{named}" if pattern_first else f"{named}{patterns}"
    (found,) = read(text, "s.conf")
    assert (found.terms.idle_s, found.terms.interval_s, found.terms.count) == (600, 5, 9)


def test_a_file_about_something_else_has_no_connection() -> None:
    """And is no error."""
    assert read("vm.swappiness = 10\nnet.ipv4.tcp_syncookies = 1\n", "s.conf") == ()


def test_the_number_of_retransmissions_bounds_data_in_flight() -> None:
    """As a user timeout of that time would, but only while data is in flight."""
    (found,) = read("net.ipv4.tcp_retries2 = 15\nnet.ipv4.tcp_retries2 = 8\n", "s.conf")
    assert (found.terms.retries2, found.places["retries2"]) == (8, Place("s.conf", 2, 25))
    for demand_s, rules in ((105, ["KA005"]), (120, [])):
        terms = msgspec.structs.replace(found.terms, detect_in_flight_within_s=demand_s)
        result = check(
            [msgspec.structs.replace(found, terms=terms)], registry.selected(["KA005"], [])
        )
        assert [each.rule for each in result.findings] == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net.ipv4.tcp_keepalive_time = 10m", "s.conf:1:31: net.ipv4.tcp_keepalive_time: expected"),
        ("net.ipv4.tcp_keepalive_time = 0", "expected an integer from 1 to 32767 (anything els"),
        (
            "net.ipv4.tcp_keepalive_probes = 128",
            "from 1 to 127 (anything else has no model), found 128",
        ),
        ("net.ipv4.tcp_keepalive_intvl =", "s.conf:1:31: net.ipv4.tcp_keepalive_intvl: expected"),
        (" net.ipv4.tcp_keepalive_time 60", "s.conf:1:2: net.ipv4.tcp_keepalive_time: expected a"),
        ("net.ipv4.tcp_retries2 = x", "s.conf:1:25: net.ipv4.tcp_retries2: expected"),
    ],
)
def test_a_malformed_value_is_an_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(text, "s.conf")
    assert message in str(caught.value)


def test_data_in_flight_is_bounded_by_retransmissions() -> None:
    """A sysctl that KA005's fix names with the value that does it; no sysctl is a user timeout."""
    (found,) = read(f"{FILE_TIMES}net.ipv4.tcp_retries2 = 10\n", "s")
    terms = msgspec.structs.replace(found.terms, detect_within_s=120)
    made = msgspec.structs.replace(found, terms=terms)
    (finding,) = check([made], list(every_rule().values())).findings
    assert (finding.rule, finding.place) == ("KA005", Place("s", 4, 25))
    assert finding.fix == (
        "set retries2 to at most 8, or a user timeout in the program, or add a heartbeat with a "
        "timer apart from the sending (in this file: net.ipv4.tcp_retries2 for retries2)"
    )


FILE_TIMES = """\
net.ipv4.tcp_keepalive_time = 60
net.ipv4.tcp_keepalive_intvl = 10
net.ipv4.tcp_keepalive_probes = 3
"""


def test_what_is_written_is_read_back() -> None:
    """And what no sysctl sets is refused."""
    terms = Terms(idle_s=60, interval_s=10, count=3, retries2=8)
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "s.conf")
    assert msgspec.structs.replace(found.terms, keepalive=None) == terms
    with pytest.raises(UsageError, match=r"sysctl\.conf: expected .*found user_timeout_s"):
        FORMAT.write(Terms(idle_s=60, user_timeout_s=30))
