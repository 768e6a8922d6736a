"""What `harness predict` computes: plain numbers in, predictions out.

Words and JSON are the reports' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.errors import UsageError
from harness.model import durations
from harness.model.programs import PARTNERS, AnyHeartbeat
from harness.model.topology import Side
from harness.oracle import closing, established, handshake, heartbeat_rules, zerowindow
from harness.oracle.effects import Effect
from harness.oracle.established_query import Question, longest_ns
from harness.oracle.other_systems import SYSTEMS, Name, System
from harness.oracle.prediction import Machine, Outcome, Prediction, Settings
from harness.plan.local_machine import local_machine
from harness.system.spelling import did_you_mean

State = Literal["in-flight", "connecting", "zero-window"]
Left = Literal["accepting", "closing"]
MOST_S = 2_147_483
"""For other systems' settings: what 31 bits of milliseconds hold, a limit of this harness."""
MOST_PROBES = 1000
"""The same for their number."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What an idle connection with these settings sees when its peer falls silent."""

    settings: Settings
    hz: int
    hz_source: str
    kernel: str
    prediction: Prediction

    @property
    def outcome(self) -> Outcome:
        """The one outcome there is when every segment is lost."""
        return self.prediction.outcomes[0]


def of_options(
    idle_s: int, interval_s: int, count: int, user_timeout_s: float, hz: int | None
) -> Forecast:
    """Predict for plain numbers. Raises UsageError for what the kernel would refuse."""
    check_keepalive(idle_s, interval_s, count)
    check_user_timeout(user_timeout_s)
    check_hz(hz)
    machine = local_machine()
    settings = Settings(
        idle_s=idle_s,
        interval_s=interval_s,
        count=count,
        user_timeout_ms=round(user_timeout_s * 1000),
    )
    found = hz or machine.hz
    horizon_ns = 2 * (
        (idle_s + (count + 2) * interval_s) * 1_000_000_000 + settings.user_timeout_ms * 1_000_000
    )
    horizon_ns += 10_000_000_000
    prediction = established.predict(
        Question(settings, Machine(hz=found), (Effect(mechanism="lost"),), horizon_ns)
    )
    return Forecast(
        settings=settings,
        hz=found,
        hz_source="--hz" if hz else machine.hz_source,
        kernel=machine.kernel,
        prediction=prediction,
    )


def check_keepalive(idle_s: int, interval_s: int, count: int) -> None:
    """Raises UsageError."""
    for name, value, most in (
        ("--idle", idle_s, 32767),
        ("--interval", interval_s, 32767),
        ("--count", count, 127),
    ):
        if not 1 <= value <= most:
            hint = "" if name == "--count" else durations.meant_milliseconds(value, most)
            limits = f"a whole number from 1 to {most} (the kernel's limits)"
            raise UsageError(f"{name}: expected {limits}, found {value}{hint}")


def check_user_timeout(seconds: float) -> None:
    """Raises UsageError."""
    if not 0 <= seconds <= 2_147_483:
        hint = durations.meant_milliseconds(seconds, 2_147_483)
        raise UsageError(f"--user-timeout: expected 0 to 2147483 seconds, found {seconds:g}{hint}")
    if round(seconds * 1000, 6) % 1:
        raise UsageError(f"--user-timeout: expected seconds in whole milliseconds, found {seconds}")


def check_rtt(milliseconds: float) -> None:
    """Raises UsageError."""
    if not 0 <= milliseconds <= 10_000:
        raise UsageError(f"--rtt: expected 0 to 10000 milliseconds, found {milliseconds:g}")


def check_hz(hz: int | None) -> None:
    """Raises UsageError."""
    if hz is not None and not 12 <= hz <= 10_000:
        raise UsageError(f"--hz: expected a kernel's HZ, such as 100, 250, 300 or 1000, found {hz}")


class Giving(msgspec.Struct, frozen=True, kw_only=True):
    """When a sender that gets no answer gives up, in a state of the connection.

    `rtt_ms`: its measured round trip.

    `answered`: so many window probes were answered before, and times count from the last of them.
    """

    state: State
    user_timeout_s: float
    rtt_ms: float
    answered: int = 0
    hz: int
    hz_source: str
    prediction: Prediction

    @property
    def outcome(self) -> Outcome:
        """The one outcome there is when every segment is lost in silence."""
        return self.prediction.outcomes[0]


def of_state(
    state: State, user_timeout_s: float, rtt_ms: float, hz: int | None, answered: int = 0
) -> Giving:
    """Predict for plain numbers; `answered` in window probes. Raises UsageError."""
    _check_answered(state, answered, user_timeout_s)
    check_user_timeout(user_timeout_s)
    check_hz(hz)
    check_rtt(rtt_ms)
    found = local_machine()
    settings = Settings(keepalive=False, user_timeout_ms=round(user_timeout_s * 1000))
    machine = Machine(hz=hz or found.hz, rtt_ns=round(rtt_ms * 1_000_000))
    if state == "connecting":
        prediction = handshake.predict(settings.user_timeout_ms, machine)
    elif state == "zero-window":
        prediction = zerowindow.predict_give_up(settings.user_timeout_ms, machine, answered)
    else:
        lost = (Effect(mechanism="lost"),)
        horizon_ns = longest_ns(settings, machine.hz)
        prediction = established.predict(
            Question(settings, machine, lost, horizon_ns, writes_ns=(0,))
        )
    return Giving(
        state=state,
        user_timeout_s=user_timeout_s,
        rtt_ms=rtt_ms,
        answered=answered,
        hz=machine.hz,
        hz_source="--hz" if hz else found.hz_source,
        prediction=prediction,
    )


def _check_answered(state: State, answered: int, user_timeout_s: float) -> None:
    if answered and state != "zero-window":
        raise UsageError(f"--answered: expected --state zero-window with it, found --state {state}")
    if answered < 0:
        raise UsageError(
            f"--answered: expected a number of window probes from 0 on, found {answered}"
        )
    if answered and user_timeout_s:
        raise UsageError(
            "--answered: expected no --user-timeout with it, which counts from the first "
            "probe, answered or not"
        )


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the kernel does or gives up, in nanoseconds after the origin, and the rule
    behind it.

    No `why`: a repetition, whose rule its distance from the one before it tells.
    """

    what: str
    window_ns: tuple[int, int]
    why: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel keeps of a connection that no program holds, or that was shut, with what
    times count from.
    """

    state: Left
    origin: str
    user_timeout_s: float
    hz: int
    hz_source: str
    steps: tuple[Step, ...]


def of_left(state: Left, user_timeout_s: float, rtt_ms: float, hz: int | None) -> Kept:
    """Predict for plain numbers. Raises UsageError."""
    check_user_timeout(user_timeout_s)
    check_hz(hz)
    check_rtt(rtt_ms)
    if state == "accepting" and rtt_ms:
        raise UsageError(
            "--rtt: expected none with --state accepting, whose first timeout is always 1 s"
        )
    if state == "accepting" and user_timeout_s:
        raise UsageError(
            "--user-timeout: expected none with --state accepting, which it does not reach"
        )
    found = local_machine()
    machine = Machine(hz=hz or found.hz, rtt_ns=round(rtt_ms * 1_000_000))
    steps = (
        _accepting(machine)
        if state == "accepting"
        else _closing(machine, round(user_timeout_s * 1000))
    )
    return Kept(
        state=state,
        origin="syn" if state == "accepting" else "close",
        user_timeout_s=user_timeout_s,
        hz=machine.hz,
        hz_source="--hz" if hz else found.hz_source,
        steps=steps,
    )


def _accepting(machine: Machine) -> tuple[Step, ...]:
    request = handshake.answering(machine)
    steps = [
        Step(what=f"SYN-ACK {n + 1}", window_ns=each) for n, each in enumerate(request.resent_ns, 1)
    ]
    return (*steps, Step(what="request forgotten", window_ns=request.forgotten_ns, why=request.why))


def _closing(machine: Machine, user_timeout_ms: int) -> tuple[Step, ...]:
    orphan = closing.fin_wait1(machine, user_timeout_ms)
    owned = closing.fin_wait1(machine, user_timeout_ms, orphan=False)
    half, last = closing.fin_wait2(machine), closing.time_wait(machine)
    # The socket that still has its owner repeats the FIN as the orphan does, and goes on when that
    # is gone.
    repeats = [
        Step(what=_fin(n, len(orphan.resent_ns)), window_ns=each)
        for n, each in enumerate(owned.resent_ns)
    ]
    return (
        *repeats[: len(orphan.resent_ns)],
        Step(what="close: socket gone", window_ns=orphan.over_ns, why=orphan.why),
        *repeats[len(orphan.resent_ns) :],
        Step(what="shutdown: ETIMEDOUT", window_ns=owned.over_ns, why=owned.why),
        Step(
            what="in FIN_WAIT2",
            window_ns=half.over_ns,
            why=f"{half.why}; counted from the FIN's ACK",
        ),
        Step(
            what="in TIME_WAIT",
            window_ns=last.over_ns,
            why=f"{last.why}; counted from the peer's FIN",
        ),
    )


def _fin(place: int, shared: int) -> str:
    what = f"retransmission {place}" if place else "loss probe"
    return f"FIN, {what}{'' if place < shared else ' (shutdown)'}"


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """What another system's documentation says of an idle connection with these settings, in
    seconds and probes.
    """

    system: Name
    idle_s: float
    interval_s: float
    count: int
    measured: bool = False

    @property
    def facts(self) -> System:
        """The system."""
        return SYSTEMS[self.system]

    @property
    def detection_s(self) -> float:
        """From the last segment received."""
        return self.facts.detection_s(self.idle_s, self.interval_s, self.count)


def of_system(
    name: Name, idle_s: float | None, interval_s: float | None, count: int | None
) -> Documented:
    """The system's defaults for what is None. Raises UsageError for what it cannot be set to."""
    facts = SYSTEMS[name]
    if count is not None and facts.fixed_count and count != facts.count:
        raise UsageError(
            f"--count: expected {facts.count}, which {facts.title} has fixed, found {count}"
        )
    chosen = {
        "--idle": facts.idle_s if idle_s is None else idle_s,
        "--interval": facts.interval_s if interval_s is None else interval_s,
        "--count": facts.count if count is None else count,
    }
    for option, value in chosen.items():
        most, unit = (MOST_PROBES, "probes") if option == "--count" else (MOST_S, "seconds")
        if not 0 < value <= most:
            raise UsageError(
                f"{option}: expected more than 0 and at most {most} {unit}, found {value:g}"
            )
    for option in ("--idle", "--interval"):
        units = chosen[option] / facts.unit_s
        if abs(units - round(units)) > 1e-6:
            raise UsageError(
                f"{option}: expected a multiple of {facts.unit_s:g} s, the unit of {facts.title}, "
                f"found {chosen[option]:g}"
            )
    return Documented(
        system=name,
        idle_s=chosen["--idle"],
        interval_s=chosen["--interval"],
        count=int(chosen["--count"]),
    )


class Beating(msgspec.Struct, frozen=True, kw_only=True):
    """When a side with a heartbeat detects that its peer has fallen silent, as its design has
    it.
    """

    client: AnyHeartbeat
    server: AnyHeartbeat
    side: Side

    @property
    def bounds(self) -> heartbeat_rules.Bounds:
        """In nanoseconds, with the reasons."""
        return heartbeat_rules.documented(self.client, self.server, self.side)


def of_heartbeat(design: str, side: Side, settings: Sequence[str]) -> Beating:
    """A client's design and its server's, with settings such as "idle_s=30" of either.

    Raises UsageError.
    """
    if design not in PARTNERS:
        expected = f"a client's design ({', '.join(PARTNERS)})"
        hint = ", whose servers are reapers: --side server" if design in PARTNERS.values() else ""
        meant = did_you_mean(design, PARTNERS)
        raise UsageError(f"--heartbeat: expected {expected}{hint}, found {design}{meant}")
    defaults = [_heartbeat(design, {}), _heartbeat(PARTNERS[design], {})]
    chosen: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        known = dict.fromkeys(
            key for each in defaults for key in each.__struct_fields__ if key != "servers"
        )
        if not equals or key not in known:
            hint = did_you_mean(key, known)
            raise UsageError(
                f"--set: expected KEY=VALUE with one of {', '.join(known)}, found {setting}{hint}"
            )
        chosen[key] = _number(setting, value)
    client, server = (
        _heartbeat(
            each.design,
            {key: value for key, value in chosen.items() if key in each.__struct_fields__},
        )
        for each in defaults
    )
    return Beating(client=client, server=server, side=side)


def _heartbeat(design: str, values: dict[str, object]) -> AnyHeartbeat:
    try:
        made: AnyHeartbeat = msgspec.convert({"design": design, **values}, AnyHeartbeat)
    except msgspec.ValidationError as error:
        raise UsageError(f"--set: {error}".replace(" - at `$.", ": ").rstrip("`")) from error
    return made


def _number(setting: str, value: str) -> float | bool:
    if value in ("true", "false"):
        return value == "true"
    try:
        return durations.seconds(value)
    except ValueError:
        expected = f"a number, or a duration such as {durations.EXAMPLES}"
        raise UsageError(f"--set: expected {expected}, found {setting}") from None
