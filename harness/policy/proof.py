"""What can be tried of a checked connection, and how a measurement compares with the prediction.

Pure: `harness.batch.proving` makes scenarios of the questions and runs them in guests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from harness.model.firewall_presets import Pickup, Then
from harness.model.topology import Side
from harness.oracle.effects import Unpredictable
from harness.oracle.prediction import Settings
from harness.policy import answers, overview, words
from harness.policy.answers import SECOND_NS, Window
from harness.policy.facts import Facts, earlier
from harness.policy.settings import Connection, Heartbeat, Hop

Kind = Literal["idle", "in-flight", "path", "outage-idle", "outage-in-flight"]
"""idle, in-flight: when is a dead peer detected? path: is a packet sent before a device drops the
state? outage-idle, outage-in-flight: is an outage survived?"""
End = Literal["kept", "lost", "may-be-lost"]
"""What becomes of a connection. may-be-lost: the phase of the kernel's timers decides."""
Comparison = Literal["confirmed", "refuted", "not-shown", "not-proven"]
"""confirmed: measured as predicted. refuted: it was not. not-shown: a loss was possible, and did
not come in this run. not-proven: it could not be measured."""
HEARTBEAT_SLACK_NS = 1_000_000
"""How much later than documented a heartbeat in a guest may act: its program reads the clock, which
takes some time there."""
BY_PROGRAM = "the program closes it, not the kernel"
"""Why a claim is not proven that the program's own timeout decides."""
RESET_ASSUMED: Then = "reset"
"""What a late packet meets in a trial where no behaviour is documented: the connection is lost
either way."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A middlebox that drops the state of idle connections, as a trial builds it."""

    timeout_s: int
    then: Then
    pickup: Pickup


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial is made of. Equal questions need one trial.

    `device` is set for the kind "path", `outage_s` for the two kinds of outages.
    """

    kind: Kind
    hz: int
    settings: Settings
    side: Side = "client"
    heartbeat: Heartbeat | None = None
    device: Device | None = None
    outage_s: float | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The oracle's answer to a question about a connection.

    `window`: of "idle" and "in-flight", when the peer is given up; of "path", when the first probe
    is sent; None where there is no such moment. `unknown`: why the oracle has no answer.
    `by_program`: the program's own timeout decides, not the kernel; no program that is run has one.
    """

    connection: str
    title: str
    question: Question
    ends: End
    window: Window | None = None
    unknown: str = ""
    by_program: bool = False


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has shown.

    `after_ns`: of "idle", from the last segment received to giving up; of "in-flight", the same
    from the write; of "path", the longest time before a probe without any packet. `how`: the errno
    or what gave up. `watched_ns`: how long. `mismatch`: how the run differs from what the oracle
    predicts for its phase. `run`: its run directory, below the folder of all.
    """

    ends: Literal["kept", "lost"]
    after_ns: int | None = None
    how: str = ""
    watched_ns: int = 0
    mismatch: str = ""
    run: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A claim beside its measurement; `why`: what contradicts it, or why it could not be tried."""

    claim: Claim
    comparison: Comparison
    measured: Measured | None = None
    why: str = ""


class Proofs(msgspec.Struct, frozen=True, kw_only=True):
    """Of all connections, in their order.

    `missing_hz`: for these there is no kernel; `missing_asked`: those of them that somebody asked
    for by name. `folder`: with the run directories; "" where nothing ran.
    """

    proofs: tuple[Proof, ...]
    missing_hz: tuple[int, ...] = ()
    missing_asked: tuple[int, ...] = ()
    folder: str = ""

    def having(self, comparison: Comparison) -> tuple[Proof, ...]:
        """Those that came out so."""
        return tuple(each for each in self.proofs if each.comparison == comparison)

    @property
    def is_complete(self) -> bool:
        """Whether all that was asked for could be measured, but for what a program decides."""
        answered = any(each.measured or each.claim.by_program for each in self.proofs)
        failed = any(not each.claim.by_program for each in self.having("not-proven"))
        return answered and not self.missing_asked and not failed


def claims(connections: Sequence[Connection]) -> tuple[Claim, ...]:
    """Of each connection at each HZ."""
    every = [Facts(each) for each in connections]
    return tuple(claim for each in every for hz in each.hz for claim in _claims(each, hz))


def compare(claim: Claim, measured: Measured) -> Proof:
    """Hold a measurement against the prediction."""
    why = measured.mismatch or _contradiction(claim, measured)
    if why:
        return Proof(claim=claim, comparison="refuted", measured=measured, why=why)
    is_shown = claim.ends != "may-be-lost" or measured.ends == "lost"
    return Proof(
        claim=claim, comparison="confirmed" if is_shown else "not-shown", measured=measured
    )


def unproven(claim: Claim, why: str) -> Proof:
    """A claim that could not be measured."""
    return Proof(claim=claim, comparison="not-proven", why=why)


# --- what is claimed ----------------------------------------------------------------------------


def _claims(facts: Facts, hz: int) -> Iterator[Claim]:
    yield _told(facts, hz, "idle", "idle, dead peer")
    yield _told(facts, hz, "in-flight", "in flight, dead peer")
    hop = facts.strictest()
    if hop is not None:
        yield _told(facts, hz, "path", f"first packet, {hop.title} ({hop.limit_s} s)")
    demand_s = facts.terms.survive_s
    idle_s, in_flight_s = demand_s, demand_s
    if demand_s is None:  # the outages that the report says are survived
        idle_s = (overview.survived_idle_ns(facts, hz) or 0) / SECOND_NS
        in_flight_s = overview.survived_in_flight_ns(facts, hz) / SECOND_NS
    if idle_s:
        yield _told(facts, hz, "outage-idle", f"outage of {words.plain(idle_s)} s, idle", idle_s)
    if in_flight_s:
        title = f"outage of {words.plain(in_flight_s)} s, in flight"
        yield _told(facts, hz, "outage-in-flight", title, in_flight_s)


def _told(facts: Facts, hz: int, kind: Kind, title: str, outage_s: float | None = None) -> Claim:
    """With the oracle's answer, or the reason why there is none."""
    question = _question(facts, hz, kind, outage_s)
    name = facts.connection.name
    kernel = Facts(_without_closing(facts.connection))
    try:
        ends, window = _answer(kernel, question)
        own = _closed(facts, question, ends, window)
    except Unpredictable as error:
        unknown = str(error)
        return Claim(
            connection=name, title=title, question=question, ends="may-be-lost", unknown=unknown
        )
    if own is not None:
        ends, window = own
    return Claim(
        connection=name,
        title=title,
        question=question,
        ends=ends,
        window=window,
        by_program=own is not None,
    )


def _without_closing(connection: Connection) -> Connection:
    terms = connection.terms
    alone = msgspec.structs.replace(terms, idle_close_s=None, inactivity_close_s=None)
    return msgspec.structs.replace(connection, terms=alone)


def _closed(
    facts: Facts, question: Question, ends: End, window: Window | None
) -> tuple[End, Window | None] | None:
    """The answer where the program's own timeout changes that of the kernel; None: it does not."""
    kind = question.kind
    if kind == "idle":
        closes_s = facts.closes_idle_s
        if closes_s is None or (window is not None and window.high_ns <= closes_s * SECOND_NS):
            return None
        return "lost", earlier(window, closes_s)
    if kind == "path":
        kept = ends == "kept" or not facts.outlived(question.hz, _limit_s(facts))
        return None if kept else ("kept", None)
    outage_s = question.outage_s
    if kind == "outage-in-flight" and ends == "kept" and outage_s is not None:
        closes = facts.closes_before_again(question.hz, outage_s)
        return ("may-be-lost", None) if closes else None
    return None


def _limit_s(facts: Facts) -> int:
    """The shortest idle timeout of the path, which has one."""
    hop = facts.strictest()
    assert hop is not None
    assert hop.limit_s is not None
    return hop.limit_s


def _question(facts: Facts, hz: int, kind: Kind, outage_s: float | None) -> Question:
    """What is tried. With data in flight a heartbeat counts only if its timer runs apart."""
    beat = facts.heartbeat
    counts = beat is not None and (not kind.endswith("in-flight") or beat.apart)
    hop = facts.strictest() if kind == "path" else None
    return Question(
        kind=kind,
        hz=hz,
        settings=facts.settings,
        side=facts.terms.side
        if hop is not None and hop.pickup_in_force == "outbound"
        else "client",
        heartbeat=beat if counts else None,
        device=None if hop is None else _device(hop),
        outage_s=outage_s,
    )


def _device(hop: Hop) -> Device:
    assert hop.limit_s is not None
    return Device(timeout_s=hop.limit_s, then=hop.late or RESET_ASSUMED, pickup=hop.pickup_in_force)


def _answer(facts: Facts, question: Question) -> tuple[End, Window | None]:
    """Raises Unpredictable."""
    if question.kind == "idle":
        return _idle(facts, question.hz)
    if question.kind == "in-flight":
        return _in_flight(facts, question.hz)
    if question.kind == "path":
        return _path(facts, question.hz)
    return _outage(facts, question)


def _idle(facts: Facts, hz: int) -> tuple[End, Window | None]:
    window = facts.noticed_idle(hz, facts.connection.idle_demand_s or answers.MOST_S)
    return ("kept" if window is None else "lost"), window


def _in_flight(facts: Facts, hz: int) -> tuple[End, Window | None]:
    """Exact, where it can be computed: a run takes longer than that."""
    settings, beat = facts.settings, facts.heartbeat
    try:
        tcp = answers.given_up(settings.user_timeout_ms, hz, settings.retries2)
    except Unpredictable:
        tcp = answers.in_flight_bounds(settings, hz)
    if beat is None or not beat.apart:
        return "lost", tcp
    beat_ns = answers.heartbeat_ns(beat)
    return "lost", Window(min(tcp.low_ns, beat_ns), min(tcp.high_ns, beat_ns))


def _path(facts: Facts, hz: int) -> tuple[End, Window | None]:
    limit_s, beat = _limit_s(facts), facts.heartbeat
    found = facts.idle(hz)
    window = None if found is None else found.first_probe
    if beat is not None and beat.every_s < limit_s:
        return "kept", None
    if window is None or window.low_ns >= limit_s * SECOND_NS:
        return "lost", window
    return ("kept" if facts.outlived(hz, limit_s) else "may-be-lost"), window


def _outage(facts: Facts, question: Question) -> tuple[End, Window | None]:
    hz, outage_s = question.hz, question.outage_s
    assert outage_s is not None
    if question.kind == "outage-idle":
        kept = facts.survives(hz, outage_s)
    else:
        kept = facts.survives_in_flight(hz, outage_s)
    if question.heartbeat is not None:
        kept = kept and facts.heartbeat_survives(hz, outage_s)
    return ("kept" if kept else "may-be-lost"), None


# --- what contradicts it ------------------------------------------------------------------------


def _contradiction(claim: Claim, measured: Measured) -> str:
    """Why a measurement refutes the claim; "" where it does not."""
    if claim.ends == "kept" and measured.ends == "lost":
        return f"the connection was lost ({measured.how}), and should not have been"
    if claim.ends == "lost" and measured.ends == "kept":
        return f"nothing ended the connection within {words.seconds(measured.watched_ns)}"
    if claim.window is None or measured.after_ns is None:
        return ""
    slack_ns = 0 if claim.question.heartbeat is None else HEARTBEAT_SLACK_NS
    latest_ns = claim.window.high_ns + slack_ns
    if claim.window.low_ns <= measured.after_ns <= latest_ns:
        return ""
    return f"{words.seconds(measured.after_ns)} is outside {words.window(claim.window)}"
