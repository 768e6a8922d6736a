"""An outage that must be survived ends the connection.

An idle connection survives an outage if one of the probes is sent after it. The worst outage begins
just before the first probe: then interval * (count - 1) are left until the last one, however long
the idle time is, and nothing at all with a count of 1. The kernel's timers add a little to the
interval. 60/10/3 survives for sure, whenever they begin:

| HZ | outages up to |
|---|---|
| 100 | 20.24 s |
| 250 | 20.24 s |
| 300 | 20.03 s |
| 1000 | 20.24 s |

Data in flight survives an outage if it is retransmitted once more after it. Retransmissions double
their distance, so that a user timeout of 25 s does not survive an outage of 20 s: the last
retransmission comes after 13 s. A heartbeat gives up when all its misses are over; TCP sends the
unanswered one again in the same way, so that 10 s do not survive an outage of 8 s. While it is
unanswered keepalive does not act, and counts only where it is over before a heartbeat is sent.

The rule fires where an outage of `survive_s` ends an idle connection at some HZ, ends one with data
in flight, or a heartbeat may give up before it is sent again after the outage.

How to fix it: a longer interval or a higher count; a user timeout of twice the outage
and a little more; a heartbeat that waits longer.

Source: net/ipv4/tcp_timer.c:tcp_keepalive_timer, tcp_retransmit_timer.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import answers, remedies, words
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import Heartbeat


def _find(facts: Facts) -> Iterator[Draft]:
    outage_s, beat = facts.terms.survive_s, facts.heartbeat
    if outage_s is None:
        return
    expected = f"an outage of {words.plain(outage_s)} s survived"
    idle = tuple(hz for hz in facts.hz if not facts.survives(hz, outage_s))
    if idle:
        yield _ends_while_idle(facts, idle, f"{expected} while the connection is idle")
    in_flight = tuple(hz for hz in facts.hz if not facts.survives_in_flight(hz, outage_s))
    if in_flight:
        what, keys = _ended_by(facts, in_flight, outage_s)
        yield Draft(
            expected=f"{expected} while data is in flight",
            found=(
                f"{what}, over before anything is sent again after the outage, "
                f"{facts.which_hz(in_flight)}"
            ),
            fix=_fix_in_flight(facts, keys[0], outage_s),
            keys=keys,
            hz=in_flight,
        )
    patient = tuple(hz for hz in facts.hz if not facts.heartbeat_survives(hz, outage_s))
    if beat is not None and patient:
        yield _heartbeat_ends(facts, beat, patient, outage_s)


def _ended_by(facts: Facts, bad: tuple[int, ...], outage_s: float) -> tuple[str, tuple[str, ...]]:
    """What ends a connection with data in flight, and the keys that it is about."""
    timeout_s, closes_s = facts.settings.user_timeout_ms / 1000, facts.terms.inactivity_close_s
    if closes_s is not None and any(facts.closes_before_again(hz, outage_s) for hz in bad):
        what = f"an inactivity timeout of {words.plain(closes_s)} s"
        return what, ("inactivity_close_s", "survive_s")
    what = f"a user timeout of {timeout_s:g} s" if timeout_s else "retransmissions (tcp_retries2)"
    return what, ("user_timeout_s", "survive_s")


def _fix_idle(facts: Facts) -> str:
    """The user timeout replaces the count."""
    replaced: remedies.Key = "user_timeout_s" if facts.settings.user_timeout_ms else "count"
    keys: tuple[remedies.Key, ...] = ("interval_s", replaced)
    return remedies.any_of(remedies.at_least(facts, key, remedies.survives_idle) for key in keys)


def _fix_in_flight(facts: Facts, key: str, outage_s: float) -> str:
    if key != "user_timeout_s":
        return f"set {key} to {_again(facts, outage_s)} or more"
    return remedies.any_of(
        [remedies.at_least(facts, "user_timeout_s", remedies.survives_in_flight)]
    )


def _again(facts: Facts, outage_s: float) -> str:
    """How many seconds after it was first sent data is sent again beyond an outage, at most."""
    outage_ns = round(outage_s * SECOND_NS)
    return words.plain_up(max(answers.sent_again_ns(outage_ns, hz) for hz in facts.hz) / SECOND_NS)


def _heartbeat_ends(facts: Facts, beat: Heartbeat, bad: tuple[int, ...], outage_s: float) -> Draft:
    again = _again(facts, outage_s)
    patience = f"a heartbeat that gives up after {words.plain(beat.misses * beat.timeout_s)} s"
    return Draft(
        expected=f"an outage of {words.plain(outage_s)} s survived",
        found=(
            f"{patience} without an answer; after such an outage TCP sends it again up to {again} "
            f"s after it was first sent {facts.which_hz(bad)}"
        ),
        fix=f"set misses * timeout_s of the heartbeat above {again} s",
        keys=("heartbeat.timeout_s", "heartbeat.misses", "heartbeat"),
        hz=bad,
    )


def _ends_while_idle(facts: Facts, bad: tuple[int, ...], expected: str) -> Draft:
    lasts_s = {hz: found.outage_ns / SECOND_NS for hz in bad if (found := facts.idle(hz))}
    worst_hz = min(lasts_s, key=lambda hz: lasts_s[hz])
    return Draft(
        expected=expected,
        found=(
            f"{words.plain(lasts_s[worst_hz])} s from the first probe to the last "
            f"{facts.worst_at(worst_hz, bad)}: an outage that begins just before the first one "
            "swallows all"
        ),
        fix=_fix_idle(facts),
        keys=("count", "interval_s", "survive_s", "user_timeout_s"),
        hz=bad,
        window_s=(lasts_s[worst_hz], None),
    )


RULE = Rule(
    id="KA009",
    level="error",
    title="an outage that must be survived ends the connection",
    page=__doc__,
    find=_find,
)
