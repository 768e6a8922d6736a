"""What a connection's demands need of keepalive and of the user timeout, and the settings with the
least probe traffic that do it.

There are two ways: without keepalive, where nothing needs it, and with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import msgspec

from harness.oracle.effects import Unpredictable
from harness.policy import answers, suggest_search
from harness.policy.answers import SECOND_NS
from harness.policy.facts import Facts
from harness.policy.settings import Connection
from harness.policy.suggest_search import Found, Needs, UserTimeouts
from harness.policy.suggest_user_timeout import Certainty, InFlight

GRIDS_MS = (1000, 100)
"""User timeouts are whole seconds or, where none of these does, tenths of a second."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so. `keepalive` None: it is off."""

    in_flight: InFlight
    keepalive: Needs | None = None


def blank(connection: Connection) -> Connection:
    """The connection with no settings of keepalive and no user timeout."""
    return with_settings(connection, None)


def with_settings(connection: Connection, found: Found | None) -> Connection:
    """The connection with these settings in place of its own, which come from no file."""
    keys = ("keepalive", "idle_s", "interval_s", "count", "user_timeout_s")
    values: dict[str, float | None] = dict.fromkeys(keys)
    if found is not None and found.idle_s:
        values |= {"idle_s": found.idle_s, "interval_s": found.interval_s, "count": found.count}
    if found is not None and found.user_timeout_ms:
        seconds, rest = divmod(found.user_timeout_ms, 1000)
        values["user_timeout_s"] = found.user_timeout_ms / 1000 if rest else seconds
    return msgspec.structs.replace(
        connection,
        terms=msgspec.structs.replace(connection.terms, **values),
        places={key: place for key, place in connection.places.items() if key not in keys},
        defaults={},
        notices=(),
    )


def ways(connection: Connection) -> Iterator[Way]:
    """Those that may meet the demands, the one without keepalive first."""
    facts = Facts(blank(connection))
    outage_s = facts.terms.survive_s or 0
    if outage_s and not all(_program_survives(facts, hz, outage_s) for hz in facts.hz):
        return
    outage_ns, idle_ns, silence_ns = _ns(outage_s), _idle_ns(facts), _silence_ns(facts)
    in_flight = InFlight(hz=facts.hz, within_ns=_in_flight_ns(facts), outage_ns=outage_ns)
    needs = Needs(hz=facts.hz, silence_ns=silence_ns, end_ns=idle_ns, outage_ns=outage_ns)
    if silence_ns is None and idle_ns is None:
        yield Way(in_flight=in_flight)
    elif facts.heartbeat is None:
        yield Way(in_flight=in_flight, keepalive=needs)
    else:
        yield from _beside_heartbeat(in_flight, needs, _ns(facts.heartbeat.every_s))


def _beside_heartbeat(in_flight: InFlight, needs: Needs, every_ns: int) -> Iterator[Way]:
    """With a heartbeat that is no answer to all demands. While it is unanswered keepalive waits."""
    end_ns = needs.end_ns
    if end_ns is None or end_ns > every_ns:
        within_ns = in_flight.within_ns
        if end_ns is not None:  # an unanswered heartbeat is data in flight: a user timeout ends it
            within_ns = min(end_ns - every_ns, within_ns or end_ns)
        sooner = msgspec.structs.replace(in_flight, within_ns=within_ns)
        for probes in _before_devices(needs, every_ns):
            yield Way(in_flight=sooner, keepalive=probes)
    if end_ns is not None:
        before = msgspec.structs.replace(needs, end_ns=min(end_ns, every_ns - 1))
        yield Way(in_flight=in_flight, keepalive=before)


def _before_devices(needs: Needs, every_ns: int) -> Iterator[Needs | None]:
    """Probes for the devices on the path alone: none, or those that outlive an outage, or those
    that go on until a heartbeat is sent, which outlives it.
    """
    if needs.silence_ns is None:
        yield None
        return
    probes = msgspec.structs.replace(needs, end_ns=None)
    yield probes
    if needs.outage_ns:
        yield msgspec.structs.replace(probes, outage_ns=0, patience_ns=every_ns)


def _program_survives(facts: Facts, hz: int, outage_s: float) -> bool:
    return facts.heartbeat_survives(hz, outage_s) and not facts.closes_before_again(hz, outage_s)


def _idle_ns(facts: Facts) -> int | None:
    """Within which TCP must give up an idle connection; None: no matter when, as nothing is
    demanded or the program itself is in time.
    """
    demand_s, beat, closes_s = facts.connection.idle_demand_s, facts.heartbeat, facts.closes_idle_s
    if demand_s is None or (closes_s is not None and closes_s <= demand_s):
        return None
    by_beat_ns = None if beat is None else answers.heartbeat_ns(beat)
    return None if by_beat_ns is not None and by_beat_ns <= _ns(demand_s) else _ns(demand_s)


def _in_flight_ns(facts: Facts) -> int | None:
    """The same with data in flight."""
    demand_s, beat = facts.connection.in_flight_demand_s, facts.heartbeat
    if demand_s is None:
        return None
    by_beat_ns = None if beat is None or not beat.apart else answers.heartbeat_ns(beat)
    return None if by_beat_ns is not None and by_beat_ns <= _ns(demand_s) else _ns(demand_s)


def _silence_ns(facts: Facts) -> int | None:
    """Before which a probe must be sent, as a device drops its state; None: there is no such
    device, or the program is in time.
    """
    beat, closes_s, side = facts.heartbeat, facts.closes_idle_s, facts.terms.side
    reached = itertools.takewhile(lambda hop: not hop.proxy, facts.connection.path)
    limits = [hop.limit_s for hop in reached if hop.forgets(side) and hop.limit_s is not None]
    if beat is not None:
        limits = [limit_s for limit_s in limits if limit_s <= beat.every_s]
    if closes_s is not None:
        limits = [limit_s for limit_s in limits if limit_s <= closes_s]
    return min(limits) * SECOND_NS if limits else None


def settings(connection: Connection) -> Found | None:
    """The settings with the least probe traffic that meet all demands; None: there are none.

    Raises Unpredictable where no model covers settings that might.
    """
    return _best(ways(connection), _settings)


def known_settings(connection: Connection) -> Found | None:
    """The same among the user timeouts that bounds decide about, at less cost: the idle time may be
    a little shorter.
    """
    return _best(ways(connection), _known_settings)


def is_possible(connection: Connection) -> bool:
    """Whether bounds show that there are any, at even less cost."""
    return any(_is_possible(way) for way in ways(connection))


def _best(every: Iterable[Way], solve: Callable[[Way], Found | None]) -> Found | None:
    """The settings without keepalive, or else those with the least traffic.

    Raises Unpredictable where there is no answer for one way, and none another way.
    """
    best: Found | None = None
    unanswered: Unpredictable | None = None
    for way in every:
        try:
            found = solve(way)
        except Unpredictable as error:
            unanswered = error
            continue
        if found is None or (best is not None and found.idle_s <= best.idle_s):
            continue
        if not found.idle_s:
            return found
        best = found
    if best is None and unanswered is not None:
        raise unanswered
    return best


def _settings(way: Way) -> Found | None:
    if way.in_flight.needs_none():
        return _with(way, None)
    for grid_ms in GRIDS_MS:
        sure = _with_some(way, grid_ms, "sure")
        hoped = _with_some(way, grid_ms, "hoped", sure)
        if hoped is None:
            continue
        if sure is not None and _traffic(sure) == _traffic(hoped):
            return sure
        found = _with_some(way, grid_ms, "exact", sure)
        if found is not None:
            return found
        if hoped.user_timeout_ms > answers.MOST_FOLLOWED_S * 1000:
            raise Unpredictable(
                f"a user timeout of more than {answers.MOST_FOLLOWED_S} s might meet the demands, "
                "and is too long to be followed: leave more room between them"
            )
    return None


def _known_settings(way: Way) -> Found | None:
    if way.in_flight.needs_none("sure"):
        return _with(way, None)
    found = (_with_some(way, grid_ms, "sure") for grid_ms in GRIDS_MS)
    return next((each for each in found if each is not None), None)


def _is_possible(way: Way) -> bool:
    if way.in_flight.needs_none("sure"):
        return way.keepalive is None or suggest_search.is_possible(way.keepalive)
    for grid_ms in GRIDS_MS:
        timeouts = way.in_flight.timeouts(grid_ms, "sure")
        if timeouts is not None and (
            way.keepalive is None or suggest_search.is_possible(_needs(way.keepalive, timeouts))
        ):
            return True
    return False


def _with_some(
    way: Way, grid_ms: int, certainty: Certainty, known: Found | None = None
) -> Found | None:
    timeouts = way.in_flight.timeouts(grid_ms, certainty)
    return None if timeouts is None else _with(way, timeouts, known)


def _with(way: Way, timeouts: UserTimeouts | None, known: Found | None = None) -> Found | None:
    """With one of the user timeouts, or none. `known`: settings that do."""
    if way.keepalive is not None:
        return suggest_search.least_traffic(_needs(way.keepalive, timeouts), known)
    if timeouts is None:
        return Found(0, 0, 0)
    is_limited = way.in_flight.within_ns is not None
    return Found(0, 0, 0, timeouts.most_ms if is_limited else timeouts.least_ms)


def _needs(needs: Needs, timeouts: UserTimeouts | None) -> Needs:
    return msgspec.structs.replace(needs, user_timeouts=timeouts)


def _traffic(found: Found) -> tuple[int, int, int]:
    return found.idle_s, found.interval_s, found.count


def _ns(duration_s: float) -> int:
    return round(duration_s * SECOND_NS)
