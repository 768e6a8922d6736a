"""Demands of live sockets, from options and from a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.model.live_sockets import LiveSocket, Network, Options, Survey, Sysctls
from harness.policy import reader, registry
from harness.policy.audit.groups import groups
from harness.policy.audit.judging import Audit, Demands, audit
from harness.policy.formats import policy_toml
from harness.policy.settings import Terms
from tests.unit.policy.audit.surveys import (
    LINUX,
    OFF,
    ON,
    REDIS,
    SET,
    UNKNOWN,
    accepted,
    connected,
    survey,
)

KA101 = registry.named("KA101")
MATCH = 'match = { program = "redis-server", port = 6379 }\n'


def audited(found: Survey, policy: str = "", **keys: Any) -> Audit:
    """With demands as keys, and a policy's text."""
    wanted = Demands(
        terms=msgspec.convert(keys, Terms),
        keys=tuple(keys),
        policy=policy_toml.read(policy, "P.toml") if policy else (),
    )
    return audit(groups(found), wanted, registry.selected([], []), found.hz)


def rules(found: Audit) -> set[tuple[str, str]]:
    """The rules that fired, with the beginning of the name."""
    return {(each.rule, each.connection.split()[0]) for each in found.result.findings}


def test_without_demands_nothing_is_judged() -> None:
    """Though the figures are there, at this kernel's HZ; a demand of HZ alone changes them."""
    found = audited(survey(accepted(), connected(options=SET)))
    assert (found.result.findings, found.result.exit_status) == ((), 0)
    app, redis = found.rows
    assert redis.idle is not None
    assert redis.idle.worst_s is None
    assert app.idle is not None
    assert (app.idle.hz, app.idle.met) == (250, None)
    found = audited(survey(connected(options=SET)), hz=[1000])
    assert found.rows[0].idle is not None
    assert (found.rows[0].idle.hz, found.result.findings) == (1000, ())


def test_demands_hold_for_all_connections() -> None:
    """Not for listeners, which are no connections."""
    listener = LiveSocket(network=1, near_port=6379, far_port=None, options=OFF, holders=(REDIS,))
    found = audited(survey(listener, accepted(), connected(options=SET)), detect_within_s=120)
    assert {("KA001", "redis-server"), ("KA005", "redis-server")} <= rules(found)
    assert {each.level for each in found.result.findings if each.connection.startswith("app")} == {
        "warning",
        "note",
    }
    assert found.result.exit_status == 1
    assert [row.idle.met for row in found.rows if row.idle is not None] == [True, None, False]


def test_a_policy_judges_what_it_matches() -> None:
    """By its first connection that does; its own demands come before the options'."""
    text = f"[connections.cache]\n{MATCH}detect_idle_within_s = 60\nhz = [1000]\n"
    found = audited(survey(accepted(), connected()), text)
    assert rules(found) == {("KA001", "redis-server")}
    assert str(found.result.findings[0].place) == "P.toml:1:2"
    assert found.unmatched == ()
    both = audited(survey(accepted(), connected()), text, detect_idle_within_s=30.0)
    expected = {each.connection.split()[0]: each.expected for each in both.result.findings}
    assert "60 s" in expected["redis-server"]
    assert "30 s" in expected["app"]


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ('{ program = "redis-server" }', True),
        ("{ port = 6379 }", True),
        ('{ program = "redis-server", port = 6380 }', False),
        ('{ program = "redis" }', False),
    ],
)
def test_a_match_is_of_program_and_port(match: str, matches: bool) -> None:  # noqa: FBT001
    """Each of which may be left out."""
    text = f"[connections.cache]\nmatch = {match}\ndetect_idle_within_s = 60\n"
    found = audited(survey(accepted()), text)
    assert (found.result.exit_status, found.unmatched) == ((1, ()) if matches else (3, ("cache",)))


def test_a_match_that_fits_nothing_is_not_answered() -> None:
    """Beside the findings; a connection without a match is none of the audit's."""
    text = '[connections.cache]\nmatch = { program = "redis-sever", port = 6379 }\nidle_s = 60\n'
    found = audited(survey(accepted()), f"{text}[connections.other]\nidle_s = 60\n")
    (one,) = found.result.unanswered
    assert (one.rule, one.connection, found.unmatched) == ("KA101", "cache", ("cache",))
    assert 'no live connection matches { program = "redis-sever", port = 6379 }' in one.why
    assert found.result.exit_status == 3
    ignored = audited(survey(accepted()), f'{text}ignore = {{ KA101 = "a job of the night" }}\n')
    assert (ignored.result.exit_status, ignored.unmatched) == (0, ("cache",))


def test_of_some_processes_one_match_is_enough() -> None:
    """The policy is about the others, too."""
    missing = "[connections.none]\nmatch = { port = 1 }\n"
    wanted = Demands(policy=policy_toml.read(f"[connections.cache]\n{MATCH}{missing}", "P.toml"))
    some = audit(groups(survey(accepted(options=SET))), wanted, (KA101,), 250, is_whole=False)
    assert (some.result.exit_status, some.unmatched) == (0, ("none",))
    nothing = audit(groups(survey(connected())), wanted, (KA101,), 250, is_whole=False)
    assert nothing.result.exit_status == 3


def test_long_names_match_as_far_as_the_kernel_keeps_them() -> None:
    """15 octets."""
    long = msgspec.structs.replace(REDIS, program="a-very-long-nam")
    text = '[connections.x]\nmatch = { program = "a-very-long-name" }\ndetect_within_s = 9\n'
    assert audited(survey(accepted(holders=(long,))), text).unmatched == ()


def test_settings_that_differ_from_the_policy_are_found() -> None:
    """Each at its line (KA101); demands are judged by what is live."""
    text = f"[connections.cache]\n{MATCH}idle_s = 60\ncount = 6\nuser_timeout_s = 20\n"
    found = audited(survey(accepted(options=ON)), text)
    differing = [each for each in found.result.findings if each.rule == "KA101"]
    assert [(each.place and each.place.line, each.expected, each.found) for each in differing] == [
        (3, "idle_s = 60, as cache states", "7200, as net.ipv4.tcp_keepalive_time"),
        (4, "count = 6, as cache states", "9, as net.ipv4.tcp_keepalive_probes"),
        (5, "user_timeout_s = 20, as cache states", "0"),
    ]
    off = audited(survey(accepted(options=OFF)), text)
    assert ("keepalive = true, as cache states", "false") in [
        (each.expected, each.found) for each in off.result.findings
    ]
    same = Options(keepalive=True, idle_s=60, interval_s=75, count=6, user_timeout_ms=20_000)
    assert "KA101" not in dict(rules(audited(survey(accepted(options=same)), text)))


def test_sockets_are_compared_with_the_file_of_their_software(tmp_path: Path) -> None:
    """Which a policy names: each difference at its line there, or with whose default it is."""
    (tmp_path / "redis.conf").write_text("# less than usual\ntcp-keepalive 60\n")
    table = f'[files."redis.conf"]\n{MATCH}detect_within_s = 900\n'
    (tmp_path / "P.toml").write_text(table)
    policy = reader.read(tmp_path / "P.toml", "P.toml", "policy")
    live = Options(keepalive=True, idle_s=300, interval_s=100, count=3, user_timeout_ms=0)
    wanted = Demands(policy=policy)
    found = audit(groups(survey(accepted(options=live))), wanted, registry.selected([], []), 250)
    differing = [each for each in found.result.findings if each.rule == "KA101"]
    assert {(str(each.place), each.expected, each.found) for each in differing} == {
        ("redis.conf:2:15", "idle_s = 60, as redis-server states", "300"),
        ("redis.conf:2:15", "interval_s = 20, as redis-server states", "100"),
    }
    (tmp_path / "redis.conf").write_text("maxclients 10\ntimeout 0\n")
    policy = reader.read(tmp_path / "P.toml", "P.toml", "policy")
    found = audit(groups(survey(accepted(options=ON))), Demands(policy=policy), (KA101,), 250)
    assert "idle_s = 300, redis-server's default" in found.result.findings[0].expected


def test_a_difference_can_be_suppressed() -> None:
    """A suppression for `harness check` that hides nothing here is no finding."""
    ignored = 'ignore = { KA101 = "rolling", KA003 = "behind a proxy" }'
    text = f"[connections.cache]\n{MATCH}idle_s = 60\n{ignored}\n"
    found = audited(survey(accepted(options=ON)), text)
    assert {each.rule for each in found.result.findings} == {"KA002"}
    assert [each.rule for one in found.result.checked for each in one.suppressed] == ["KA101"]


def test_unknown_options_cannot_be_judged() -> None:
    """KA102; what is known is shown."""
    told = Options(keepalive=True)
    found = audited(survey(accepted(options=told)), detect_within_s=120)
    assert [each.rule for each in found.result.unanswered] == ["KA102"]
    assert (found.result.exit_status, found.rows[0].idle) == (3, None)
    assert audited(survey(accepted(options=UNKNOWN))).result.exit_status == 0
    zero = msgspec.structs.replace(ON, interval_s=0)
    sysctls = msgspec.structs.replace(LINUX, interval_s=0)
    network = Network(1, sysctls, frozenset((6379,)))
    found = audited(survey(accepted(options=zero), network=network), detect_within_s=120)
    assert "sysctl of 0" in found.result.unanswered[0].why


def test_data_in_flight_under_another_limit_of_retransmissions() -> None:
    """That of the network namespace, not what a policy states or 15."""
    network = Network(1, Sysctls(7200, 75, 9, retries=8), frozenset((6379,)))
    unbounded = survey(
        accepted(options=msgspec.structs.replace(SET, user_timeout_ms=0)), network=network
    )
    found = audited(unbounded, detect_within_s=150)
    assert (dict(rules(found)), found.result.unanswered) == ({}, ())
    assert found.rows[0].in_flight is not None
    assert found.rows[0].in_flight.worst_s == pytest.approx(109, abs=3)
    late = audited(unbounded, f"[connections.cache]\n{MATCH}retries2 = 5\ndetect_within_s = 90\n")
    assert "KA005" in dict(rules(late))


def test_no_model_covers_a_limit_of_no_retransmissions() -> None:
    """No figure and no finding, but an answer that is missing."""
    network = Network(1, Sysctls(7200, 75, 9, retries=0), frozenset((6379,)))
    unbounded = msgspec.structs.replace(SET, user_timeout_ms=0)
    found = audited(survey(accepted(options=unbounded), network=network), detect_within_s=150)
    assert (found.result.exit_status, found.rows[0].in_flight) == (3, None)
    assert [(each.rule, "tcp_retries2 is 0" in each.why) for each in found.result.unanswered] == [
        ("KA005", True)
    ]
    bounded = audited(survey(accepted(options=SET), network=network), detect_within_s=120)
    assert bounded.result.unanswered == ()
    assert bounded.rows[0].in_flight is not None


def test_sysctls_are_told_where_a_finding_rests_on_them() -> None:
    """Of the network namespace, not Linux's own defaults; a tuned sysctl is nobody's omission."""
    sysctls = Sysctls(idle_s=600, interval_s=75, count=9, retries=15)
    network = Network(1, sysctls, frozenset((6379,)))
    tuned = msgspec.structs.replace(ON, idle_s=600)
    found = audited(survey(accepted(options=tuned), network=network), detect_idle_within_s=60)
    late = next(each for each in found.result.findings if each.rule == "KA015")
    assert ("idle_s", 600) in [(each.key, each.value) for each in late.defaults]
    assert all("net.ipv4" in each.source for each in late.defaults)
