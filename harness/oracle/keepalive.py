"""An idle connection with keepalive: net/ipv4/tcp_timer.c:tcp_keepalive_timer as a pure function.

`_replay` follows the timer from one arming instant to the end. What `predict` returns holds for every
instant: the exact window in which the application can learn of the dead peer, and with which errno.

Trying every jiffy of the wheel's period would take minutes, and sampling would miss things: a probe's
distance from arming falls as arming moves on, then jumps up by a bucket, so an outage may be met by
phases in the middle and by none at either end. Instead each replay notes, at every comparison, how much
later arming could be for it to come out the same (`Course`). The next replay starts just beyond, and
what lies between has one history, jiffy for jiffy. A handful of replays cover the whole period.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from harness.oracle import timerwheel
from harness.oracle.course import Course
from harness.oracle.effects import Effect, resolve
from harness.oracle.path import Network, Path
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, OutcomeKind, Prediction, Settings, hull


def phases(settings: Settings, hz: int) -> int:
    """The period, in jiffies, after which arming later changes nothing but the date."""
    idle = timerwheel.seconds_to_jiffies(settings.idle_s, hz)
    interval = timerwheel.seconds_to_jiffies(settings.interval_s, hz)
    return max(timerwheel.granularity(idle), timerwheel.granularity(interval))


def predict(settings: Settings, machine: Machine, effects: tuple[Effect, ...], horizon_ns: int) -> Prediction:
    """Everything that can happen, over all that is not known: phase, delays of faults, late handlers.

    The windows are exact in virtual time. Where `machine` admits lateness they hold a little more than can
    happen, never less, but for one thing: a late handler sets the next expiry later, and of all handlers
    either every one is taken to do so or none.

    Raises Unpredictable where the model does not cover a combination of effects.
    """
    ends: dict[tuple[OutcomeKind, str | None, bool], list[_Stretch]] = {}
    windows: list[tuple[int, int]] = []
    gaps: list[tuple[int, int]] = []
    for stretch in _stretches(_Case(settings, machine, effects, horizon_ns)):
        run = stretch.run
        ends.setdefault((run.kind, run.errno, run.rst), []).append(stretch)
        for index, bucket in enumerate(run.seen[:MAX_PROBE_WINDOWS]):
            window = stretch.window_ns(bucket)
            if index == len(windows):
                windows.append(window)
            windows[index] = hull([windows[index], window])
        for index, gap in enumerate(stretch.gaps_ns()[: MAX_PROBE_WINDOWS - 1]):
            if index == len(gaps):
                gaps.append(gap)
            gaps[index] = hull([gaps[index], gap])
    outcomes = (_outcome(stretches, machine, effects) for stretches in ends.values())
    return Prediction(
        outcomes=tuple(sorted(outcomes, key=lambda o: (o.kind, o.window_ns or (0, 0), o.rst))),
        probe_windows_ns=tuple(windows),
        horizon_ns=horizon_ns,
        probe_gaps_ns=tuple(gaps),
    )


def _outcome(stretches: list[_Stretch], machine: Machine, effects: tuple[Effect, ...]) -> Outcome:
    """Fold the stretches of one kind of end into its hull."""
    first = stretches[0].run
    window: tuple[int, int] | None = None
    if first.kind == "detected":
        window = hull([stretch.window_ns(stretch.run.bucket) for stretch in stretches])
    elif first.kind == "eof":
        onset = min(s.from_ns for s in resolve(effects) if s.effect.mechanism == "peer-closed")
        window = (onset, onset + machine.injection_ns)
    sent = [len(stretch.run.probes) for stretch in stretches]
    seen = [len(stretch.run.seen) for stretch in stretches]
    by_probes: dict[int, tuple[int, int] | None] = dict.fromkeys(sorted(set(seen)), window)
    if first.kind == "detected":
        for number in by_probes:
            same = [stretch for stretch in stretches if len(stretch.run.seen) == number]
            by_probes[number] = hull([stretch.window_ns(stretch.run.bucket) for stretch in same])
    return Outcome(
        kind=first.kind,
        errno=first.errno,
        window_ns=window,
        probes=(min(sent), max(sent)),
        probes_seen=(min(seen), max(seen)),
        rst=first.rst,
        why=first.why,
        window_by_probes=by_probes,
    )


# --- all arming instants -------------------------------------------------------------------------------


class _Case:
    """A prediction's question in the kernel's units: jiffies, and nanoseconds after arming."""

    def __init__(self, settings: Settings, machine: Machine, effects: tuple[Effect, ...], horizon_ns: int) -> None:
        hz = machine.hz
        self.settings, self.horizon_ns = settings, horizon_ns
        self.idle = timerwheel.seconds_to_jiffies(settings.idle_s, hz)
        self.interval = timerwheel.seconds_to_jiffies(settings.interval_s, hz)
        self.user_timeout = timerwheel.milliseconds_to_jiffies(settings.user_timeout_ms, hz)
        self.period = phases(settings, hz)
        self.tick = timerwheel.tick_ns(hz)
        self.late = machine.late_jiffies
        self.lag = -(-machine.arming_lag_ns // self.tick)
        self.network = Network(effects, hz, machine.injection_ns, horizon_ns)


class _Stretch(msgspec.Struct, frozen=True):
    """Arming instants that share the history `run`, from `armed_ns` on.

    Everything but the first probe happens at the same jiffy for all of them, and arming is up to
    `spread_ns` later than `armed_ns`; relative to the first probe it is `first_spread_ns` at most.
    """

    run: Run
    case: _Case
    armed_ns: int
    first_spread_ns: int
    spread_ns: int

    def window_ns(self, bucket: int) -> tuple[int, int]:
        """When after arming the handler of `bucket` runs; the lower end itself is excluded."""
        is_first = bool(self.run.probes) and bucket == self.run.probes[0]
        spread = self.first_spread_ns if is_first else self.spread_ns
        after_ns = bucket * self.case.tick - self.armed_ns
        return after_ns - spread - 1, after_ns + self.case.late * self.case.tick

    def gaps_ns(self) -> list[tuple[int, int]]:
        """From each probe on the wire to the next; the first one may be nearer in some of the rows."""
        gaps = []
        for earlier, later in itertools.pairwise(self.run.seen):
            gap = (later - earlier) * self.case.tick
            nearer = self.spread_ns - self.first_spread_ns if earlier == self.run.probes[0] else 0
            gaps.append((gap - nearer, gap))
        return gaps


def _stretches(case: _Case) -> Iterator[_Stretch]:
    """Stretches of arming instants that together cover the wheel's period, for every lateness.

    The period is laid out in rows. The timer is armed anywhere in a row for one and the same first
    bucket; there are several rows only where the interval's buckets are wider than the idle time's, and
    what follows the first probe is then mostly the same for all rows. So a stretch is a rectangle: some
    rows, some part of each.
    """
    width = timerwheel.granularity(case.idle)
    row_ns = width * case.tick
    origin_ns = ((case.idle // case.period + 2) * case.period - case.idle) * case.tick
    whole = (0, case.period // width - 1, 0, row_ns - 1)
    pending = [(late, whole) for late in range(case.late + 1)]
    while pending:
        late, (row, last_row, start, end) = pending.pop()
        armed_ns = origin_ns + row * row_ns + start
        replays = _all_replays(case, armed_ns, late)
        room = min(course.room_ns for _, course in replays)
        same_row_end = min(end, start + room, *(start + c.first_room_ns for _, c in replays))
        same_last_row = min(
            last_row,
            row + (room - (same_row_end - start)) // row_ns,
            *(row + course.first_later // width for _, course in replays),
        )
        spread = same_row_end - start
        for run, _ in replays:
            yield _Stretch(run, case, armed_ns, spread, spread + (same_last_row - row) * row_ns)
        if same_last_row < last_row:
            pending.append((late, (same_last_row + 1, last_row, start, same_row_end)))
        if same_row_end < end:
            pending.append((late, (row, last_row, same_row_end + 1, end)))


def _all_replays(case: _Case, armed_ns: int, late: int) -> list[tuple[Run, Course]]:
    """One arming instant, every way that the unknown delays allow."""
    replays = []
    script: list[bool] = []
    while True:
        course = Course(armed_ns, script, tick=case.tick, late=case.late, lag=case.lag)
        replays.append((_replay(case, course, late), course))
        while script and not script[-1]:
            script.pop()
        if not script:
            return replays
        script[-1] = False


# --- one arming instant --------------------------------------------------------------------------------


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one replay: the buckets at which it came and `probes` were sent (`seen`: on the wire)."""

    kind: OutcomeKind
    errno: str | None = None
    bucket: int = 0
    probes: tuple[int, ...] = ()
    seen: tuple[int, ...] = ()
    rst: bool = False
    why: str = "nothing reaches the application"


def _replay(case: _Case, course: Course, late: int) -> Run:
    """Follow the timer from arming until something is noticed or the horizon passes.

    Every handler sets the next expiry as if it ran `late` jiffies after its bucket.
    """
    path = Path(case.network, course)
    if not case.settings.keepalive:
        return _end_of_file((), ()) if path.is_closed(course.armed, over=True) else Run(kind="quiet")
    probes: list[int] = []
    seen: list[int] = []
    received, unanswered, soft_errno = None, 0, None
    bucket = course.fire(course.armed + case.idle, course.armed)
    while True:
        over = course.passed(bucket, case.horizon_ns + 1)
        if path.is_closed(bucket, over=over):
            return _end_of_file(tuple(probes), tuple(seen))
        if over:
            return Run(kind="quiet", probes=tuple(probes), seen=tuple(seen))
        # Before the first answer the elapsed time holds the idle time, and after an answer to the
        # first probe it does wherever there are several rows: the interval is the longer one then.
        if received is not None and bucket - received < case.idle:
            bucket = course.fire(received + late + case.idle, bucket + 1)
            continue
        if _gives_up(case, course, bucket, received, unanswered):
            return Run(
                kind="detected",
                errno=soft_errno or "ETIMEDOUT",
                bucket=bucket,
                probes=tuple(probes),
                seen=tuple(seen),
                rst=not path.is_cut_locally(bucket),
                why=_reason(case.settings, unanswered, soft_errno),
            )
        probes.append(bucket)
        course.first_probe = probes[0]
        fate, effect = path.send(bucket, unanswered)
        local = fate == "lost-locally"
        if not local:
            seen.append(bucket)
        if fate == "reset":
            return Run(
                kind="detected",
                errno="ECONNRESET",
                bucket=bucket,
                probes=tuple(probes),
                seen=tuple(seen),
                why=f"{_resetter(effect)} answers probe {unanswered + 1} with RST",
            )
        if fate == "answered":
            received, unanswered, soft_errno = bucket, 0, None
        else:
            unanswered += 1
            soft_errno = (effect.errno if effect and local else None) or soft_errno
        bucket = course.fire(bucket + late + case.interval, bucket + 1)


def _end_of_file(probes: tuple[int, ...], seen: tuple[int, ...]) -> Run:
    why = "the peer's kernel sends FIN when its process ends"
    return Run(kind="eof", probes=probes, seen=seen, why=why)


def _gives_up(case: _Case, course: Course, bucket: int, received: int | None, unanswered: int) -> bool:
    """TCP_USER_TIMEOUT replaces the count, and needs one unanswered probe."""
    if case.user_timeout:
        return unanswered > 0 and course.waited(bucket, received, case.user_timeout)
    return unanswered >= case.settings.count


def _reason(settings: Settings, unanswered: int, soft_errno: str | None) -> str:
    text = f"{unanswered} {'probe' if unanswered == 1 else 'probes'} unanswered"
    if settings.user_timeout_ms:
        text = f"TCP_USER_TIMEOUT of {settings.user_timeout_ms / 1000:g} s passed with {text}"
    if soft_errno:
        text += f"; the soft error {soft_errno} of the last failed probe is reported"
    return text


def _resetter(effect: Effect | None) -> str:
    expired = effect is not None and effect.mechanism == "expires"
    return "the firewall, whose state expired," if expired else "the peer's host"
