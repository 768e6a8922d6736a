"""The state of a connection: all of it is the key of what is remembered, and a replay depends on
nothing else.
"""

from __future__ import annotations

import msgspec
import pytest

from harness.oracle import established_timers
from harness.oracle.connection import ModelConnection
from harness.oracle.connection_state import ConnectionState
from harness.oracle.effects import Effect
from harness.oracle.established_query import Case, Question, Run, longest_ns
from harness.oracle.established_timers import armed, follow, step
from harness.oracle.phase_interval import PhaseInterval
from harness.oracle.prediction import Machine, Settings

SECOND_NS = 1_000_000_000
LOST = Effect(mechanism="lost", from_s=6.0)
OUTAGE = Effect(mechanism="lost", from_s=4.0, until_s=7.5)
NO_ROUTE = Effect(mechanism="lost-locally", from_s=3.0, until_s=9.3, errno="ENETUNREACH")
REPORTED = Effect(
    mechanism="lost", from_s=2.0, reported="EHOSTUNREACH", reverts=True, charged_twice=True
)
FORGETFUL = Effect(mechanism="expires", timeout_s=9.0, then="drop")
KEEPALIVE, SILENT = Settings(idle_s=3, interval_s=2, count=3), Settings(keepalive=False)
IMPATIENT = Settings(keepalive=False, user_timeout_ms=3000)


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(ConnectionState)])
def test_every_field_changes_the_key(name: str) -> None:
    """Also a field that is added later, whatever its type."""
    one, two = (ConnectionState(late=0, is_first_keepalive=True, icmp_tokens=0) for _ in range(2))
    assert one.key() == two.key()
    setattr(two, name, object())
    assert one.key() != two.key()


@pytest.mark.parametrize(
    ("settings", "effects", "writes_s", "echoes"),
    [
        pytest.param(KEEPALIVE, (LOST,), (), False, id="keepalive"),
        pytest.param(
            KEEPALIVE, (OUTAGE, FORGETFUL), (), False, id="keepalive, and a middlebox that forgets"
        ),
        pytest.param(SILENT, (LOST,), (8,), False, id="data in flight"),
        pytest.param(SILENT, (REPORTED,), (3,), False, id="data in flight, and ICMP errors"),
        pytest.param(KEEPALIVE, (OUTAGE, LOST), (1, 5), True, id="an outage, then data in flight"),
        pytest.param(KEEPALIVE, (NO_ROUTE,), (1, 4), True, id="data that cannot be sent"),
        pytest.param(
            IMPATIENT, (NO_ROUTE,), (4,), False, id="data that cannot be sent, and a user timeout"
        ),
        pytest.param(
            KEEPALIVE, (FORGETFUL,), (1, 5), True, id="echoes, and a middlebox that forgets"
        ),
    ],
)
def test_a_replay_goes_on_from_any_state_in_the_same_way(
    settings: Settings,
    effects: tuple[Effect, ...],
    writes_s: tuple[int, ...],
    echoes: bool,  # noqa: FBT001 - a parameter of pytest
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copy the state before a step, and follow the copy with everything else made anew: the rest is
    the same.
    """
    machine, horizon_ns = (
        Machine(hz=250, phase_ns=0),
        40 * SECOND_NS if settings.keepalive else longest_ns(settings, 250),
    )
    writes_ns = tuple(at_s * SECOND_NS for at_s in writes_s)

    def connected(state: ConnectionState | None = None) -> ModelConnection:
        case = Case(Question(settings, machine, effects, horizon_ns, writes_ns, echoes=echoes))
        state = state or armed(case, 0)
        phase = PhaseInterval((1 << 30) * case.tick, [], state, tick=case.tick, late=0, lag=0)
        return ModelConnection(case, phase, state)

    monkeypatch.setattr(
        established_timers, "_recall", established_timers._expire
    )  # nothing is remembered: each expiry is a step
    connection = connected()
    rests: list[tuple[int, Run]] = []
    for number in range(1000):
        if number < 10 or number % 30 == 0:
            copy = connected(msgspec.structs.replace(connection.state))
            rests.append((len(connection.asked), follow(copy.case, copy.phase, copy.state)))
        step(connection)
        if connection.end is not None:
            break
    assert connection.end is not None
    assert len(rests) > 3
    for before, rest in rests:
        assert rest == msgspec.structs.replace(connection.end, asked=connection.end.asked[before:])
