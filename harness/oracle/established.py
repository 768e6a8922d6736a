"""An established connection whose peer says nothing: what comes of it, over all that is not known
beforehand.

Detection is late by what the timer wheel rounds, and how much that is depends on the jiffy at which
the connection was armed. Nobody knows it beforehand, so the prediction covers every arming instant
of the wheel's period and every delay of faults: all that can happen, and nothing that cannot.

Neither trying every instant nor trying some of them would do: the period has 262,144 jiffies for
the default of two hours at HZ=1000, and a probe's distance from arming falls as arming moves on,
then jumps up by a bucket, so an outage may be met by phases in the middle and by none at either
end. Instead each replay notes, at every comparison, how much later arming could be for it to come
out the same (`PhaseInterval`). The next replay starts just beyond, and what lies between has one
history, jiffy for jiffy.

In virtual time the instant can be chosen (`Machine.phase_ns`): then one replay is all there is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import msgspec

from harness.oracle import timerwheel
from harness.oracle.established_query import Case, NoticedAt, Question, Run
from harness.oracle.established_timers import armed, follow
from harness.oracle.moment import Moment
from harness.oracle.phase_interval import PhaseInterval
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Asking, Prediction, Settings
from harness.oracle.window_union import Gathering

REMEMBERED = 256
"""So many answers; one takes up to a second of computing."""


def phases(settings: Settings, hz: int) -> int:
    """The period, in jiffies, after which arming an idle connection later changes nothing but the
    date.
    """
    idle = timerwheel.seconds_to_jiffies(settings.idle_s, hz)
    interval = timerwheel.seconds_to_jiffies(settings.interval_s, hz)
    return max(timerwheel.granularity(idle), timerwheel.granularity(interval))


@functools.lru_cache(maxsize=REMEMBERED)
def predict(question: Question) -> Prediction:
    """Everything that can happen, over all that is not known: phase, delays of faults, late
    handlers.

    The answers to the last questions are remembered: scenarios that differ in what the question
    leaves out, such as the address family, ask the same.

    The windows are exact in virtual time. Where the machine admits lateness they hold a little more
    than can happen, never less, but for one thing: a late handler sets the next expiry later, and
    of all handlers either every one is taken to do so or none.

    Raises Unpredictable where the model does not cover a combination of effects.
    """
    case = Case(question)
    found, roles = Gathering(), set[Asking]()
    for stretch in _all_stretches(case):
        run, seen = stretch.run, stretch.run.seen
        window = None if run.end is None else stretch.end_ns()
        found.add(
            run.kind,
            run.errno,
            window,
            sent=len(run.asked),
            seen=len(seen),
            why=run.why,
            rst=run.rst,
        )
        roles.update([asked.role for asked in run.asked])
        stretch.add_windows(found, seen[:MAX_PROBE_WINDOWS])
    return found.prediction(
        question.horizon_ns, "both" if len(roles) > 1 else next(iter(roles), "probe")
    )


# --- all arming instants ------------------------------------------------------------------------


class _Stretch(msgspec.Struct, frozen=True):
    """Arming instants that share the history `run`, from `armed_ns` on.

    Everything but the first probe happens at the same jiffy for all of them, and arming is up to
    `spread_ns` later than `armed_ns`; relative to the first probe it is `first_spread_ns` at most.
    """

    run: Run
    case: Case
    armed_ns: int
    first_spread_ns: int
    spread_ns: int

    def window_ns(self, bucket: int) -> tuple[int, int]:
        """When after arming the handler of `bucket` runs; the lower end itself is excluded."""
        is_first = bool(self.run.asked) and bucket == self.run.asked[0].bucket
        spread = self.first_spread_ns if is_first else self.spread_ns
        after_ns = bucket * self.case.tick - self.armed_ns
        return after_ns - spread - 1, after_ns + self.case.late * self.case.tick + self.run.drift_ns

    def end_ns(self) -> tuple[int, int]:
        """When after arming it ends."""
        end: NoticedAt | None = self.run.end
        assert end is not None
        if isinstance(end.when, Moment):
            window = (end.when.ns, end.when.ns + end.when.slack_ns)
        else:
            window = self.window_ns(end.when)
        return window[0] + end.after_ns, window[1] + end.after_ns + end.slack_ns

    def add_windows(self, found: Gathering, seen: tuple[int, ...]) -> None:
        """The window of each probe on the wire, and how long it is to the next.

        The first is nearer in some rows.
        """
        tick, above_ns = self.case.tick, self.case.late * self.case.tick + self.run.drift_ns
        start, below_ns = 0, self.spread_ns + 1
        # What comes later by more than the machine is slow meets other buckets.
        shifts_ns = 2 * self.run.drift_ns if self.run.drift_ns > self.case.machine.write_ns else 0
        if seen and seen[0] == self.run.asked[0].bucket:
            found.probes.add(0, *self.window_ns(seen[0]))
            start = 1
        for index in range(start, len(seen)):
            after_ns = seen[index] * tick - self.armed_ns
            found.probes.add(index, after_ns - below_ns, after_ns + above_ns)
        for index in range(len(seen) - 1):
            gap_ns = (seen[index + 1] - seen[index]) * tick
            nearer_ns = self.spread_ns - self.first_spread_ns if index < start else 0
            found.gaps.add(index, gap_ns - nearer_ns - shifts_ns, gap_ns + shifts_ns)


def _all_stretches(case: Case) -> Iterator[_Stretch]:
    if case.machine.phase_ns is None and case.is_idle:
        yield from _rectangles(case)
    else:
        yield from _sweep(case)


def _beginning(case: Case) -> int:
    """A multiple of every bucket's width."""
    return (1 << timerwheel.SHIFT * timerwheel.LEVELS) * case.tick


def _sweep(case: Case) -> Iterator[_Stretch]:
    """Stretches one after the other, until they cover the period of the widest bucket that any of
    them met.

    Where the phase is known, what of it is left open is all there is to cover.
    """
    known = case.machine.phase_ns is not None
    for late in range(case.late + 1):
        origin_ns = _beginning(case) + (case.machine.phase_ns or 0)
        done_ns, cover_ns = 0, case.machine.phase_slack_ns + 1 if known else 1
        while done_ns < cover_ns:
            replays = _all_replays(case, origin_ns + done_ns, late, rows=False)
            if not known:
                cover_ns = max(cover_ns, *(phase.widest * case.tick for _, phase in replays))
            spread = min(cover_ns - done_ns - 1, *(phase.room_ns for _, phase in replays))
            for run, _ in replays:
                yield _Stretch(run, case, origin_ns + done_ns, spread, spread)
            done_ns += spread + 1


def _rectangles(case: Case) -> Iterator[_Stretch]:
    """Stretches of arming an idle connection that together cover the wheel's period, for every
    lateness.

    The period is laid out in rows. The timer is armed anywhere in a row for one and the same first
    bucket; there are several rows only where the interval's buckets are wider than the idle time's,
    and what follows the first probe is then mostly the same for all rows. So a stretch is a
    rectangle: some rows, some part of each.
    """
    period = phases(case.settings, case.hz)
    width = timerwheel.granularity(case.idle)
    row_ns = width * case.tick
    origin_ns = ((case.idle // period + 2) * period - case.idle) * case.tick
    whole = (0, period // width - 1, 0, row_ns - 1)
    pending = [(late, whole) for late in range(case.late + 1)]
    while pending:
        late, (row, last_row, start, end) = pending.pop()
        armed_ns = origin_ns + row * row_ns + start
        replays = _all_replays(case, armed_ns, late, rows=True)
        room = min(phase.room_ns for _, phase in replays)
        same_row_end = min(
            end, start + room, *(start + phase.first_room_ns for _, phase in replays)
        )
        same_last_row = min(
            last_row,
            row + (room - (same_row_end - start)) // row_ns,
            *(row + phase.first_later // width for _, phase in replays),
        )
        spread = same_row_end - start
        for run, _ in replays:
            yield _Stretch(run, case, armed_ns, spread, spread + (same_last_row - row) * row_ns)
        if same_last_row < last_row:
            pending.append((late, (same_last_row + 1, last_row, start, same_row_end)))
        if same_row_end < end:
            pending.append((late, (row, last_row, same_row_end + 1, end)))


def _all_replays(
    case: Case, armed_ns: int, late: int, *, rows: bool
) -> list[tuple[Run, PhaseInterval]]:
    """One arming instant, every way that the unknown delays allow."""
    replays = []
    script: list[bool] = []
    while True:
        state = armed(case, late)
        phase = PhaseInterval(
            armed_ns, script, state, tick=case.tick, late=case.late, lag=case.lag, rows=rows
        )
        replays.append((follow(case, phase, state), phase))
        while script and not script[-1]:
            script.pop()
        if not script:
            return replays
        script[-1] = False
