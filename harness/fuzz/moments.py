"""What decides when something happens in a random scenario: near a probe, a write, a
retransmission.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from harness.model.topology import Layout, Side, other
from harness.scenario.schema import Keepalive

LATEST = 1.13
"""A timer of more than 63 jiffies fires at most an eighth of its time late: 8**level of 63 *
8**(level - 1).
"""
RETRANSMISSIONS = 12
"""Times near one of so many, the last of them some 800 s after the write."""
Alive = Keepalive | bool
"""Keepalive's settings, or that it is off."""


class Case(NamedTuple):
    """What a fault's strategy has to know.

    `writes_s`: of both sides, in the order of time, and the shutdown.

    `shuts`: the observer shuts its writing direction.
    """

    chance: Random
    where: Layout
    observer: Side
    alive: Alive
    writes_s: tuple[float, ...]
    shuts: bool = False

    @property
    def peer(self) -> Side:
        """The side that is not observed."""
        return other(self.observer)


def milliseconds(least: float, most: float) -> st.SearchStrategy[float]:
    """Seconds in whole milliseconds; the bounds are in milliseconds."""
    first = max(0, round(least))
    return st.integers(first, max(first, round(most))).map(lambda ms: ms / 1000)


@st.composite
def near_probes(draw: st.DrawFn, alive: Keepalive) -> float:
    """Seconds after arming, before or at one of an idle connection's probes, or the abort."""
    near_s = alive.idle_s + draw(st.integers(0, alive.count)) * alive.interval_s
    return draw(
        milliseconds(0, 1000 * near_s) | milliseconds(1000 * (near_s - 1), 1000 * LATEST * near_s)
    )


def moments(alive: Alive) -> st.SearchStrategy[float]:
    """Of something written, or of the shutdown, seconds after arming."""
    moment = milliseconds(0, 20_000) | milliseconds(0, 400_000)
    return moment | near_probes(alive) if isinstance(alive, Keepalive) else moment


def writes_s(alive: Alive) -> st.SearchStrategy[tuple[float, ...]]:
    """Moments of writing, seconds after arming."""
    return st.lists(moments(alive), min_size=1, max_size=3, unique=True).map(
        lambda found: tuple(sorted(found))
    )


@st.composite
def onsets(draw: st.DrawFn, case: Case) -> float:
    """Seconds after arming: before something is sent, so that the fault meets it."""
    choices = [milliseconds(0, 5000)]
    if isinstance(case.alive, Keepalive):
        choices += [near_probes(case.alive), milliseconds(0, 1000 * case.alive.idle_s)]
    for write_s in case.writes_s:
        choices += [milliseconds(1000 * write_s - 300, 1000 * write_s - 6)] * 2
        choices.append(near_retransmissions(write_s))
    return draw(st.one_of(choices))


@st.composite
def near_retransmissions(draw: st.DrawFn, write_s: float) -> float:
    """The timeout doubles, from 0.2 s on, and the wheel makes it longer by some."""
    after_s = 0.2 * (2 ** draw(st.integers(1, RETRANSMISSIONS)) - 1)
    return draw(
        milliseconds(1000 * (write_s + 0.9 * after_s), 1000 * (write_s + LATEST * after_s + 0.5))
    )


@st.composite
def lengths(draw: st.DrawFn, case: Case, at_s: float) -> float | None:
    """How long an outage lasts: mostly until near something that is sent again, or for ever."""
    if case.chance.random() < 0.5:
        return None
    ends = [milliseconds(1, 300_000).map(lambda s: at_s + s)]
    if isinstance(case.alive, Keepalive):
        ends += [near_probes(case.alive)] * 2
    ends += [near_retransmissions(write_s) for write_s in case.writes_s]
    until_s = draw(st.one_of(ends))
    return round(until_s - at_s, 3) if until_s > at_s + 0.001 else None
