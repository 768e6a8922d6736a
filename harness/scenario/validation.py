"""Contradictions between the values of a scenario, each of which has the right type. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import MISSING, ScenarioError
from harness.faults.base import unknown_host
from harness.model.programs import PARTNERS, Alive, Command, IdleState
from harness.model.topology import SIDES, Layout, Side, layout, other
from harness.model.values import Problem
from harness.scenario.claim_validation import expectation_problems, named_for, table_problems
from harness.scenario.fault_validation import contradictions, host_problems, program_problems
from harness.scenario.schema import SOMETIME, Endpoint, Scenario

MOST_ONSETS = 1000
"""Of all faults of a scenario: each is compared with each other one."""
_SIGNS = (
    "how the command shows a detection: prints, exits, closes or reconnects, as { prints "
    '= "^lost" }'
)


def check(scenario: Scenario, source: str) -> None:
    """Raise ScenarioError for the first contradiction in `scenario`.

    `source`: the origin of the scenario, for the message.
    """
    for problem in problems(scenario):
        raise ScenarioError(source, problem.key, problem.value, problem.expected)


def problems(scenario: Scenario) -> Iterator[Problem]:
    """All contradictions in `scenario`."""
    where = layout(scenario.topology)
    onsets = sum(fault.times for fault in scenario.faults)
    if onsets > MOST_ONSETS:
        expected = f"at most {MOST_ONSETS} onsets of faults in all, each of `times` counted"
        yield Problem("faults", onsets, expected)
        return
    yield from table_problems(scenario)
    yield from _middle_problems(scenario, where)
    for side in scenario.judged:
        for problem in _judged_problems(scenario.seen_by(side), where, scenario.judged):
            yield named_for(side, problem) if scenario.expect.of_ends else problem
    yield from host_problems(scenario)
    yield from program_problems(scenario)
    yield from _heartbeat_problems(scenario, where)
    for side in SIDES:
        yield from _endpoint_problems(side, scenario.endpoint(side))


def _judged_problems(
    scenario: Scenario, where: Layout, judged: tuple[Side, ...]
) -> Iterator[Problem]:
    """Contradictions that depend on which side is judged: here the one of [expect]."""
    for index, fault in enumerate(scenario.faults):
        for problem in (*fault.mistimed(), *fault.misplaced(where)):
            yield Problem(f"faults[{index}].{problem.key}", problem.value, problem.expected)
        if scenario.expect.side in fault.processes() and scenario.expect.outcome != "any":
            yield Problem(
                f"faults[{index}].on",
                scenario.expect.side,
                "the other side: a stopped program cannot detect anything",
            )
    if not any(
        problem
        for fault in scenario.faults
        for problem in (*fault.mistimed(), *fault.misplaced(where))
    ):
        yield from contradictions(scenario, where)
    yield from expectation_problems(scenario.expect, scenario.faults)
    yield from _late_problems(scenario)
    yield from _state_problems(scenario)
    yield from _unseen_problems(scenario, judged)
    yield from _unrecovered_problems(scenario)


def _unrecovered_problems(scenario: Scenario) -> Iterator[Problem]:
    """A claim that data passes again, where nobody sends any, or no other connection is made."""
    side, expect = scenario.expect.side, scenario.expect
    ends = (scenario.client, scenario.server)
    if expect.recovers_s is None or any(end.command or end.heartbeat for end in ends):
        return
    key, value = "expect.recovers_s", list(expect.recovers_s)
    if expect.outcome in SOMETIME:
        expected = (
            f"no such key with outcome {expect.outcome!r}: the built-in program makes no other "
            "connection"
        )
        yield Problem(key, value, expected)
    removed_s = max((f.restored_s for f in scenario.faults if f.restored_s is not None), default=0)
    if not any(at_s > removed_s for end in ends for at_s in end.writes_at_s):
        expected = (
            f"a time after {removed_s:g} s, when the last fault is removed, so that there is data "
            "that can pass"
        )
        yield Problem(f"{side}.writes_at_s", list(scenario.endpoint(side).writes_at_s), expected)


def _middle_problems(scenario: Scenario, where: Layout) -> Iterator[Problem]:
    """Contradictions of the proxy and of the standby server."""
    by, proxied = scenario.topology.proxy, scenario.topology.kind == "proxied"
    command, standby = scenario.proxy.command, scenario.standby
    if by is not None and not proxied:
        yield Problem("topology.proxy", by, 'this key only with kind = "proxied"')
    elif command is not None and not proxied:
        yield Problem(
            "proxy.command", command.argv[0], 'this table only with topology.kind = "proxied"'
        )
    elif command is not None and by not in (None, "command"):
        yield Problem("topology.proxy", by, "no such key with [proxy.command], which is the proxy")
    elif command is None and by == "command":
        yield Problem(
            "proxy.command", MISSING, 'a table [proxy.command], as topology.proxy is "command"'
        )
    for key, in_middle in (
        ("proxy", command),
        ("standby", None if standby is None else standby.command),
    ):
        for problem in () if in_middle is None else in_middle.problems_in_the_middle():
            yield Problem(f"{key}.command.{problem.key}", problem.value, problem.expected)
    free = [
        name
        for name in where.middle
        if name != where.proxy and where.host(name).interfaces[0].address
    ]
    if standby is not None and standby.on not in free:
        hosts = (
            "a host in the middle that has an address "
            f"({', '.join(free) or 'this topology has none'})"
        )
        yield Problem("standby.on", standby.on, hosts)


def _endpoint_problems(side: Side, endpoint: Endpoint) -> Iterator[Problem]:
    if round(endpoint.user_timeout_s * 1000, 6) % 1:
        yield Problem(
            f"{side}.user_timeout_s", endpoint.user_timeout_s, "seconds in whole milliseconds"
        )
    if list(endpoint.writes_at_s) != sorted(endpoint.writes_at_s):
        yield Problem(f"{side}.writes_at_s", list(endpoint.writes_at_s), "times in ascending order")
    if not endpoint.writes_at_s and endpoint.write_bytes != Endpoint().write_bytes:
        yield Problem(
            f"{side}.write_bytes", endpoint.write_bytes, "no such key without writes_at_s"
        )
    if endpoint.command is not None:
        yield from _command_problems(side, endpoint, endpoint.command)
    if endpoint.settings_via == "sysctl" and endpoint.keepalive_settings is None:
        yield Problem(f"{side}.settings_via", "sysctl", "this key only with keepalive")
    last_s = max(endpoint.writes_at_s, default=0.0)
    if endpoint.shuts_at_s is not None and endpoint.shuts_at_s <= last_s and endpoint.writes_at_s:
        yield Problem(
            f"{side}.shuts_at_s", endpoint.shuts_at_s, f"a time after the last write, {last_s:g} s"
        )


def _unseen_problems(scenario: Scenario, judged: tuple[Side, ...]) -> Iterator[Problem]:
    """Claims about an observed command that the command cannot show."""
    side, expect = scenario.expect.side, scenario.expect
    unseen = scenario.endpoint(other(side)).command
    if unseen is not None and unseen.alive is not None and other(side) not in judged:
        expected = f"no such key: only the {side} is judged"
        yield Problem(f"{other(side)}.command.alive", unseen.alive.prints, expected)
    command = scenario.endpoint(side).command
    if command is None or expect.outcome == "any":
        return
    if expect.outcome == "survives" and command.alive is None:
        expected = (
            'alive = { prints = "pattern", within_s = 60 }: a line that it prints while its '
            "connection works"
        )
        yield Problem(f"{side}.command.alive", MISSING, expected)
    recovers = expect.outcome == "as-predicted" and expect.recovers_s is not None
    silent = command.alive is None or expect.outcome == "noticed"
    if not command.shows and silent and not recovers:
        yield Problem(f"{side}.command.detects", MISSING, _SIGNS)
    if command.alive is not None and expect.outcome in ("survives", "never"):
        yield from _hasty_signs(side, command.alive, scenario)
    # Of "as-predicted" the plan says that nothing is predicted.
    if expect.outcome not in ("noticed", "never", "survives", "as-predicted"):
        yield Problem(
            "expect.outcome", expect.outcome, '"noticed", "never" or "survives" of a command'
        )
    if expect.reports is not None and not (command.detects.prints or command.detects.exits):
        yield Problem(
            "expect.reports", expect.reports, f"this key only with {side}.command.detects.prints"
        )


def _hasty_signs(side: Side, alive: Alive, scenario: Scenario) -> Iterator[Problem]:
    """A sign of life right after the last change, which may be about earlier data."""
    bound_s = scenario.expect.bound_s
    if bound_s is None:
        return
    outages = [
        outage for fault in scenario.faults if not fault.standing for outage in fault.outages()
    ]
    changes = [
        at_s for outage in outages for at_s in (outage.at_s, outage.until_s) if at_s is not None
    ]
    left_s = bound_s - max((at_s for at_s in changes if at_s < bound_s), default=0.0)
    if alive.within_s > left_s:
        expected = (
            f"{left_s:g} s at most, what expect.bound_s leaves after the last change; or a later "
            "bound_s"
        )
        yield Problem(f"{side}.command.alive.within_s", alive.within_s, expected)


def _command_problems(side: Side, endpoint: Endpoint, command: Command) -> Iterator[Problem]:
    """Contradictions of a command, and keys that only the built-in program takes."""
    for problem in command.problems():
        yield Problem(f"{side}.command.{problem.key}", problem.value, problem.expected)
    plain = Endpoint(
        command=command,
        keepalive=endpoint.keepalive,
        settings_via=endpoint.settings_via,
        retries2=endpoint.retries2,
        image=endpoint.image,
    )
    for key in Endpoint.__struct_fields__:
        if getattr(endpoint, key) != getattr(plain, key):
            value = getattr(endpoint, key)
            yield Problem(
                f"{side}.{key}",
                value,
                "no such key with a command, which sets up its own connection",
            )
    if endpoint.keepalive_settings is not None and endpoint.settings_via == "socket":
        expected = "no such key with a command, unless settings_via is sysctl"
        yield Problem(f"{side}.keepalive", endpoint.keepalive, expected)


def _heartbeat_problems(scenario: Scenario, where: Layout) -> Iterator[Problem]:
    """Heartbeats without a fitting peer, or on a connection that is not read or not made yet."""
    client, server = scenario.client.heartbeat, scenario.server.heartbeat
    wanted = None if client is None else PARTNERS.get(client.design)
    if client is not None and wanted is None:
        yield Problem(
            "client.heartbeat.design", client.design, f"a client's ({', '.join(PARTNERS)})"
        )
    elif wanted is not None and (server is None or server.design != wanted):
        found = MISSING if server is None else server.design
        yield Problem("server.heartbeat.design", found, f"{wanted!r}, which goes with the client's")
    elif server is not None and client is None:
        yield Problem("client.heartbeat", MISSING, "the design that goes with the server's")
    if isinstance(client, IdleState):
        for name in client.servers:
            if name not in where.host_names or name == "client":
                yield unknown_host("client.heartbeat.servers", name, where)
    for side in SIDES:
        end = scenario.endpoint(side)
        if end.heartbeat is not None and not end.reads:
            yield Problem(
                f"{side}.reads", end.reads, "true with a heartbeat, whose answers must be read"
            )
        if end.heartbeat is not None and end.shuts_at_s is not None:
            yield Problem(
                f"{side}.shuts_at_s",
                end.shuts_at_s,
                "no such key with a heartbeat, which goes on writing",
            )
        if end.heartbeat is not None and scenario.state == "connecting":
            yield Problem(
                f"{side}.heartbeat",
                end.heartbeat.design,
                'this key only with state = "established"',
            )


def _state_problems(scenario: Scenario) -> Iterator[Problem]:
    """Keys that do not fit the observed state, and claims that no data can prove."""
    if scenario.state == "connecting":
        if scenario.expect.side != "client":
            yield Problem("expect.side", scenario.expect.side, '"client" with state = "connecting"')
        for side in SIDES:
            endpoint = scenario.endpoint(side)
            for key, value in (
                ("writes_at_s", list(endpoint.writes_at_s)),
                ("shuts_at_s", endpoint.shuts_at_s),
            ):
                if value not in ([], None):
                    yield Problem(
                        f"{side}.{key}", value, 'this key only with state = "established"'
                    )
        if scenario.client.command is not None:
            yield from _attempt_problems(scenario.client.command)
    observed = scenario.endpoint(scenario.expect.side)
    if scenario.expect.outcome == "survives" and not scenario.can_echo and observed.command is None:
        expected = (
            'another outcome: "survives" is shown by an echo, which needs two built-in programs '
            "that read"
        )
        yield Problem("expect.outcome", "survives", expected)
    if scenario.expect.outcome == "eof" and not scenario.endpoint(scenario.expect.side).reads:
        yield Problem(
            "expect.outcome",
            "eof",
            "another outcome: a side with reads = false does not see the end of the stream",
        )


def _attempt_problems(command: Command) -> Iterator[Problem]:
    """Keys that do not apply to a client that is observed while it connects."""
    why = 'with state = "connecting", where times count from the first SYN'
    if command.ready.prints or command.ready.listens:
        key = "prints" if command.ready.prints else "listens"
        yield Problem(
            f"client.command.ready.{key}", getattr(command.ready, key), f"no such key {why}"
        )
    if command.connection != 1:
        yield Problem("client.command.connection", command.connection, f"1 {why}")


def _late_problems(scenario: Scenario) -> Iterator[Problem]:
    """Faults and writes after the end of the watch."""
    bound_s = scenario.expect.bound_s
    if bound_s is None:
        return
    expected = f"a time before expect.bound_s, {bound_s:g} s, when the watch is over"
    for index, fault in enumerate(scenario.faults):
        if not fault.standing and fault.outages()[-1].at_s >= bound_s:
            yield Problem(f"faults[{index}].at_s", fault.at_s, expected)
    for side in SIDES:
        end = scenario.endpoint(side)
        if end.writes_at_s and end.writes_at_s[-1] >= bound_s:
            yield Problem(f"{side}.writes_at_s", list(end.writes_at_s), expected)
        if end.shuts_at_s is not None and end.shuts_at_s >= bound_s:
            yield Problem(f"{side}.shuts_at_s", end.shuts_at_s, expected)
