"""Two programs with heartbeats and the path between them, followed through every order of events
that bounds allow.

A timed automaton. The states of both programs, of the path and of the messages on it are discrete;
the moments of all pending events are a zone. Each event that can come next is followed, and the
zone keeps what its coming first says of the moments of the others. Where several orders lead to the
same state their zones are united. TCP is modelled as far as the programs see it: a lost message
comes again after the path has healed, one back-off step later at most (net/ipv4/tcp_timer.c), and
TCP itself gives up data that stays unacknowledged for too long.

How long programs take to wake up, and segments to cross, is bounded, never assumed. Raises
Unpredictable where what TCP does depends on more than that.
"""

from __future__ import annotations

from harness.oracle.difference_bounds import Zone
from harness.oracle.effects import Unpredictable
from harness.oracle.heartbeat_events import (
    ARMED,
    FLOW_EXPIRES,
    NOW,
    Begins,
    Ends,
    Event,
    PingDue,
    Point,
    TimerExpires,
    Writes,
)
from harness.oracle.heartbeat_model import BOX_SLACK_NS, Ended, State, World
from harness.oracle.heartbeat_step import Step

MOST_STEPS = 20_000


def follow(world: World) -> list[Ended]:
    """Every way it can end."""
    ended: list[Ended] = []
    waiting: list[tuple[State, Zone[Point]]] = []
    _add(waiting, State(), _beginning(world))
    for _ in range(MOST_STEPS):
        if not waiting:
            return ended
        place = min(range(len(waiting)), key=lambda index: _next_ns(waiting[index][1]))
        state, zone = waiting.pop(place)
        if _may_be_over(zone, world.horizon_ns):
            ended.append(Ended(kind="quiet", why=_why_quiet(state)))
        for event in _events(zone):
            first = _where_first(zone, event, world.horizon_ns)
            if first is None:
                continue
            for step in Step(world, state, first.renamed(event, NOW)).carry_out(event):
                if step.ended is not None:
                    ended.append(step.ended)
                else:
                    _add(waiting, step.state, step.zone.without([NOW]))
    raise Unpredictable("too many orders of events are possible")


def _beginning(world: World) -> Zone[Point]:
    zone: Zone[Point] = Zone.of(ARMED)
    for side, rules in world.rules.items():
        apart_ns = 0 if side == world.observer else world.begun_ns
        least, most = -apart_ns, apart_ns + world.late_ns
        zone = zone.with_moment(
            TimerExpires(side),
            ARMED,
            least + rules.first_ns,
            most + rules.first_ns + rules.slack_ns,
        )
        if rules.ping_ns is not None:
            zone = zone.with_moment(
                PingDue(side), ARMED, least + rules.ping_ns, most + rules.ping_ns
            )
        for number, at_ns in enumerate(world.writes[side]):
            zone = zone.with_moment(Writes(side, number), ARMED, at_ns, at_ns + world.late_ns)
    for number, each in enumerate(world.disturbances):
        most_ns = (
            each.from_ns + world.delay_ns + (0 if each.ending == "forgot" else each.unsettled_ns)
        )
        zone = zone.with_moment(Begins(number), ARMED, each.from_ns, most_ns)
        if each.until_ns is not None:
            most_ns = (
                each.until_ns
                + world.delay_ns
                + each.unsettled_ns
                + (world.late_ns if each.ending else 0)
            )
            zone = zone.with_moment(Ends(number), ARMED, each.until_ns, most_ns)
    if world.box_ns is not None:
        zone = zone.with_moment(
            FLOW_EXPIRES, ARMED, world.box_ns - world.begun_ns, world.box_ns + BOX_SLACK_NS
        )
    return zone


def _why_quiet(state: State) -> str:
    if state.on or state.box_gone or state.forgot != "no":
        return "no timer runs out before the watch is over"
    return "something always comes in time"


def _events(zone: Zone[Point]) -> list[Event]:
    """All pending events."""
    return [point for point in zone.names if isinstance(point, Event)]


def _next_ns(zone: Zone[Point]) -> int:
    return min((zone.bounds(event, ARMED)[0] for event in _events(zone)), default=0)


def _may_be_over(zone: Zone[Point], horizon_ns: int) -> bool:
    """Whether nothing more need happen before the horizon."""
    rest: Zone[Point] | None = zone
    for event in _events(zone):
        rest = None if rest is None else rest.where(ARMED, event, -horizon_ns)
    return rest is not None


def _where_first(zone: Zone[Point], event: Event, horizon_ns: int) -> Zone[Point] | None:
    """The part of the zone in which an event comes before all other pending ones, and before the
    horizon.
    """
    first = zone.where(event, ARMED, horizon_ns)
    for each in _events(zone):
        first = None if first is None else first.where(event, each, 0)
    return first


def _add(waiting: list[tuple[State, Zone[Point]]], state: State, zone: Zone[Point]) -> None:
    """Add what is to be followed, united with an entry of the same state whose zone meets this
    one.
    """
    for index, (known, other_zone) in enumerate(waiting):
        if (
            known == state
            and set(other_zone.names) == set(zone.names)
            and other_zone.meets(zone, ARMED)
        ):
            waiting[index] = state, other_zone.hull(zone)
            return
    waiting.append((state, zone))
