"""Suggested settings in the words of software."""

from __future__ import annotations

import msgspec
import pytest

from harness.errors import UsageError
from harness.policy import reader, suggest_snippet
from harness.policy.check import check
from harness.policy.registry import every_rule
from harness.policy.suggest import suggest
from tests.unit.policy.policies import connection

FULL = {"detect_within_s": 120, "survive_s": 20, "hz": [250]}
IDLE = {"detect_idle_within_s": 120, "survive_s": 20, "hz": [250]}


ALL = frozenset(suggest_snippet.writers())
TIMES_OF_THE_SYSTEM = {"mysql_jdbc", "pgjdbc", "redis_url"}
"""They switch keepalive on and have no directive for its times."""
NO_USER_TIMEOUT = {"nginx", "redis", "systemd"}


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_written_reads_back_and_passes(name: str, side: str) -> None:
    """In every format that has words for it."""
    for demands in (FULL, IDLE):
        lacks = set(TIMES_OF_THE_SYSTEM)
        lacks |= NO_USER_TIMEOUT if demands is FULL else set()
        lacks |= {"nginx"} if side == "client" else set()
        found = suggest(connection(**demands, side=side)).checked
        assert found is not None
        if name in lacks:
            with pytest.raises(UsageError, match="expected"):
                suggest_snippet.snippet(found.connection, name)
            continue
        written = suggest_snippet.snippet(found.connection, name)
        assert written.text.endswith("\n")
        assert written.checked is not None
        assert written.lacking == ()
        terms = written.checked.connection.terms
        if terms.heartbeat is None and terms.retries2 is None and name != "redis":
            assert written.checked.connection.settings == found.connection.settings


@pytest.mark.parametrize(
    ("name", "line", "less"),
    [
        ("redis", "tcp-keepalive 56", "tcp-keepalive 57"),
        ("amqp", "amqp://HOST/%2f?heartbeat=60", "amqp://HOST/%2f?heartbeat=61"),
        ("sshd", "ClientAliveInterval 60", "ClientAliveInterval 61"),
        ("grpc", '"grpc.keepalive_time_ms", 91000', '"grpc.keepalive_time_ms", 92000'),
    ],
)
def test_software_with_fewer_directives_gets_what_it_can_say(
    name: str, line: str, less: str
) -> None:
    """With the least traffic: a second more does not do."""
    asked = connection(detect_idle_within_s=120, survive_s=20)
    found = suggest(asked).checked
    assert found is not None
    text = suggest_snippet.snippet(found.connection, name).text
    assert line in text
    (read, *_) = reader.named(name).read(text.replace(line, less), "lines")
    demands = {"detect_idle_within_s": 120, "survive_s": 20}
    terms = msgspec.structs.replace(read.terms, **demands)
    seen = msgspec.structs.replace(read, terms=terms)
    assert check([seen], list(every_rule().values())).exit_status == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sysctl", "net.ipv4.tcp_retries2 = {}"),
        ("compose", "net.ipv4.tcp_retries2: {}"),
        ("pod", '- name: net.ipv4.tcp_retries2\n      value: "{}"'),
    ],
)
def test_the_system_bounds_data_in_flight_by_retransmissions(name: str, line: str) -> None:
    """It has no user timeout. One more would not do."""
    asked = connection(detect_within_s=120)
    found = suggest(asked).checked
    assert found is not None
    text = suggest_snippet.snippet(found.connection, name).text
    assert line.format(8) in text
    (read,) = reader.named(name).read(text.replace(line.format(8), line.format(9)), "lines")
    terms = msgspec.structs.replace(read.terms, detect_within_s=120)
    late = check([msgspec.structs.replace(read, terms=terms)], list(every_rule().values()))
    assert [each.rule for each in late.findings if each.level == "error"] == ["KA005"]


def test_no_sysctl_may_be_needed() -> None:
    """Then there is nothing to read back."""
    found = suggest(connection(detect_in_flight_within_s=3000)).checked
    assert found is not None
    assert suggest_snippet.snippet(found.connection, "sysctl").text == ""


def test_what_would_do_in_place_of_a_refused_setting_is_told() -> None:
    """Another side, other demands, or the system's settings."""
    cases = {
        ("nginx", "IDLE"): "write the server's settings (--side server)",
        ("pgjdbc", "IDLE"): "set the system's times (--for sysctl)",
        ("systemd", "FULL"): "demand nothing of data in flight (--detect-idle-within)",
    }
    for (name, demands), hint in cases.items():
        found = suggest(connection(**(FULL if demands == "FULL" else IDLE))).checked
        assert found is not None
        with pytest.raises(UsageError) as error:
            suggest_snippet.snippet(found.connection, name)
        assert hint in str(error.value)


def test_nothing_is_needed_without_demands() -> None:
    """A comment says so."""
    found = suggest(connection()).checked
    assert found is not None
    assert suggest_snippet.snippet(found.connection, "setsockopt").text.startswith("# no option")
