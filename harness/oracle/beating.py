"""Two programs with heartbeats and what lies between them, followed through every order of events that bounds allow.

A timed automaton: the states of both detectors, of the path and of the messages on it are discrete; the moments of
all that is pending are a zone. What can come next is tried one by one, and what the others say about its moment is
kept. Where several orders lead to the same state their zones are put together. TCP is in it as far as it shows: a
message that is lost comes again after the path has healed, one back-off step later at most (net/ipv4/tcp_timer.c), and
data that stays unacknowledged for too long is TCP's own to give up.

How long programs take to wake up, and segments to cross, is bounded, never assumed. Raises Unpredictable where what TCP
does depends on more than that.
"""

from __future__ import annotations

from harness.oracle.effects import Unpredictable
from harness.oracle.scene import Scene
from harness.oracle.world import ARMED, BOX, BOX_SLACK_NS, NOW, Ended, State, World
from harness.oracle.zones import Zone

MOST_STEPS = 20_000


def follow(world: World) -> list[Ended]:
    """Every way it can end."""
    ended: list[Ended] = []
    waiting: list[tuple[State, Zone]] = []
    _add(waiting, State(), _beginning(world))
    for _ in range(MOST_STEPS):
        if not waiting:
            return ended
        place = min(range(len(waiting)), key=lambda index: _next_ns(waiting[index][1]))
        state, zone = waiting.pop(place)
        if _may_be_over(zone, world.horizon_ns):
            ended.append(Ended(kind="quiet", why=_why_quiet(state)))
        for event in _events(zone):
            now = _first(zone, event, world.horizon_ns)
            if now is None:
                continue
            for scene in Scene(world, state, now, event).happen():
                if scene.ended is not None:
                    ended.append(scene.ended)
                else:
                    _add(waiting, scene.state, scene.zone.without([NOW]))
    raise Unpredictable("too many orders of events are possible")


def _beginning(world: World) -> Zone:
    zone = Zone.of(ARMED)
    for side, rules in world.rules.items():
        apart_ns = 0 if side == world.observer else world.begun_ns
        least, most = -apart_ns, apart_ns + world.late_ns
        zone = zone.with_moment(f"timer {side}", ARMED, least + rules.first_ns, most + rules.first_ns + rules.slack_ns)
        if rules.ping_ns is not None:
            zone = zone.with_moment(f"ping {side}", ARMED, least + rules.ping_ns, most + rules.ping_ns)
        for number, at_ns in enumerate(world.writes[side]):
            zone = zone.with_moment(f"write {side} {number}", ARMED, at_ns, at_ns + world.late_ns)
    for number, each in enumerate(world.happenings):
        most_ns = each.from_ns + world.delay_ns + (0 if each.ending == "forgot" else each.unsettled_ns)
        zone = zone.with_moment(f"begins {number}", ARMED, each.from_ns, most_ns)
        if each.until_ns is not None:
            most_ns = each.until_ns + world.delay_ns + each.unsettled_ns + (world.late_ns if each.ending else 0)
            zone = zone.with_moment(f"ends {number}", ARMED, each.until_ns, most_ns)
    if world.box_ns is not None:
        zone = zone.with_moment(BOX, ARMED, world.box_ns - world.begun_ns, world.box_ns + BOX_SLACK_NS)
    return zone


def _why_quiet(state: State) -> str:
    if state.on or state.box_gone or state.forgot != "no":
        return "no timer runs out before the watch is over"
    return "something always comes in time"


def _events(zone: Zone) -> list[str]:
    return [name for name in zone.names if not name.startswith("~")]


def _next_ns(zone: Zone) -> int:
    return min((zone.bounds(event, ARMED)[0] for event in _events(zone)), default=0)


def _may_be_over(zone: Zone, horizon_ns: int) -> bool:
    """Whether nothing more need happen before the horizon."""
    rest: Zone | None = zone
    for event in _events(zone):
        rest = None if rest is None else rest.where(ARMED, event, -horizon_ns)
    return rest is not None


def _first(zone: Zone, event: str, horizon_ns: int) -> Zone | None:
    """Where this comes before everything else that is pending, and before the horizon."""
    first = zone.where(event, ARMED, horizon_ns)
    for each in _events(zone):
        first = None if first is None else first.where(event, each, 0)
    return first


def _add(waiting: list[tuple[State, Zone]], state: State, zone: Zone) -> None:
    """Put down what is to be followed, together with what differs from it in its moments alone."""
    for index, (known, other_zone) in enumerate(waiting):
        if known == state and set(other_zone.names) == set(zone.names) and other_zone.meets(zone, ARMED):
            waiting[index] = state, other_zone.hull(zone)
            return
    waiting.append((state, zone))
