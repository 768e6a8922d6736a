"""What `harness audit` found, as text and as JSON."""

from __future__ import annotations

import json

import msgspec
import pytest

from harness.model.live_sockets import LiveSocket, Network, Options, Process, Survey, Unread
from harness.policy import registry
from harness.policy.audit.changes import changes
from harness.policy.audit.groups import groups
from harness.policy.audit.judging import Audit, Demands, audit
from harness.policy.settings import Terms
from harness.report import audit_json, audit_text
from tests.unit.policy.audit.surveys import (
    LINUX,
    OFF,
    ON,
    REDIS,
    SET,
    accepted,
    connected,
    survey,
)

LISTENER = LiveSocket(network=1, near_port=6379, far_port=None, options=ON, holders=(REDIS,))
UNREAD = Unread(what="process", number=2, why="it takes a right", fix="run as root")


def audited(found: Survey, detect_within_s: float | None = None) -> Audit:
    """With or without a demand."""
    wanted = Demands()
    if detect_within_s:
        terms = Terms(detect_within_s=detect_within_s)
        wanted = Demands(terms=terms, keys=("detect_within_s",))
    return audit(groups(found), wanted, registry.selected([], []), found.hz)


def lines(found: Survey, *unread: Unread, detect_within_s: float | None = None) -> list[str]:
    """Of the text, with single blanks."""
    text = audit_text.describe(audited(found, detect_within_s), unread)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_line_for_each_group() -> None:
    """With where values come from, and figures; a legend explains what is there alone."""
    many = [accepted(options=SET, far_port=port) for port in range(40_000, 50_000)]
    found = lines(survey(LISTENER, *many, connected()), UNREAD)
    assert found[1].startswith(
        "app www 200 1 to port 5432 off 7200 s sysctl 75 s sysctl 9 sysctl off never up to "
    )
    assert found[2].startswith("redis-server redis 100 1 listening at 6379 on 7200 s sysctl ")
    assert found[3].startswith(
        "redis-server redis 100 10000 accepted at 6379 on 60 s 10 s 6 30 s up to "
    )
    assert [line.partition(":")[0] for line in found[5:]] == [
        "sysctl",
        "listening",
        "not read",
        "10002 TCP sockets of 2 processes in 3 groups",
    ]
    assert found[-2] == "not read: 2 processes: it takes a right. Fix: run as root"
    assert len(lines(survey(connected(options=SET)))) == 4


def test_findings_come_first() -> None:
    """And the counts last."""
    found = lines(survey(connected()), detect_within_s=120)
    assert found[0].startswith("error KA001 app to port 5432: ")
    assert "never (NOT 120)" in found[-4]
    assert found[-1].startswith("1 TCP socket of 1 process in 1 group; 2 errors, ")


def test_containers_that_are_alike_are_a_line() -> None:
    """With the number of their network namespaces."""
    two = survey(accepted(), msgspec.structs.replace(accepted(), network=2))
    networks = {key: Network(10 + key, LINUX, frozenset((6379,))) for key in (1, 2)}
    found = lines(msgspec.structs.replace(two, networks=networks))
    assert found[1].startswith("redis-server redis 100 2 accepted at 6379 in 2 networks off ")


def test_no_sockets() -> None:
    """No table."""
    assert lines(survey()) == ["0 TCP sockets of 0 processes in 0 groups"]


def test_what_is_not_known_is_a_question_mark() -> None:
    """Also a figure that a sysctl without a model decides."""
    told = Options(keepalive=True)
    (row,) = [
        line for line in lines(survey(accepted(options=told, holders=()))) if "accepted" in line
    ]
    assert row == "? ? 1 accepted at 6379 on ? ? ? ? ? ?"
    network = Network(1, msgspec.structs.replace(LINUX, retries=0), frozenset((6379,)))
    found = lines(survey(accepted(), network=network))
    assert found[1].endswith(" never ?")
    assert any("tcp_retries2 is 0 in a network namespace" in line for line in found)


def test_another_limit_of_retransmissions_is_told() -> None:
    """Below the table, where it decides a figure."""
    network = Network(1, msgspec.structs.replace(LINUX, retries=8), frozenset((6379,)))
    said = "detected, in flight: net.ipv4.tcp_retries2 is 8 in a network namespace, and not 15"
    assert any(line.startswith(said) for line in lines(survey(accepted(), network=network)))
    bounded = lines(survey(accepted(options=SET), network=network))
    assert not any("retries2" in line for line in bounded)


def test_names_of_programs_cannot_write_on_the_terminal() -> None:
    """A program chooses its name."""
    bad = Process(1, "\x1b[31m\nroot", "x")
    assert "\x1b" not in audit_text.describe(audited(survey(accepted(holders=(bad,)))), ())


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ((), (OFF,), "at  + {} off 7200/75/9: 0 -> 1 socket; detected never idle, up to "),
        ((OFF, OFF), (OFF,), "at  ~ {} off 7200/75/9: 2 -> 1 socket; detected never idle, up to "),
        ((SET,), (), "at  - {} on 60/10/6, user timeout 30 s: 1 -> 0 sockets; detected up to "),
    ],
)
def test_a_change_is_a_line(
    before: tuple[Options, ...], after: tuple[Options, ...], line: str
) -> None:
    """With the options that come or go."""
    first, second = (
        audited(survey(*(accepted(options=options) for options in each))).rows
        for each in (before, after)
    )
    (change,) = changes(first, second)
    title = "redis-server accepted at 6379, user redis, keepalive"
    assert audit_text.changed(change, "at").startswith(line.format(title))


def test_json_has_every_value_with_its_source() -> None:
    """And the findings as `harness check` has them."""
    found = audited(survey(connected(), accepted(options=SET)), 120)
    document = json.loads(audit_json.render(found, [UNREAD]))
    app, redis = document["sockets"]
    assert (app["program"], app["role"], app["ports"], app["number"], app["pids"]) == (
        "app",
        "connected",
        [5432],
        1,
        [200],
    )
    assert app["options"]["idle_s"] == {"value": 7200, "from": "net.ipv4.tcp_keepalive_time"}
    assert redis["options"]["user_timeout_s"] == {"value": 30.0, "from": "socket"}
    assert (app["detected_idle"]["worst_s"], app["detected_idle"]["met"]) == (None, False)
    assert redis["detected_idle"]["met"]
    assert document["unread"][0]["number"] == 2
    assert document["exit_status"] == 1
    assert {each["rule"] for each in document["findings"]} >= {"KA001", "KA005"}
