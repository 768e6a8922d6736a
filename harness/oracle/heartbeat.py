"""When one of two programs with heartbeats gives the other up, under a scenario's faults. Pure.

`predict` follows both programs with `harness.oracle.heartbeat_search`, from a scenario's faults to
the window in which the observed one gives its peer up, or TCP reports an error to it, or nothing
happens. What a design documents by itself is in `harness.oracle.heartbeat_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from harness.model.programs import AnyHeartbeat, IdleState, Separate
from harness.model.topology import SIDES, Side, other
from harness.oracle import heartbeat_search
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.heartbeat_model import Disturbance, Ended, Ending, Rules, World
from harness.oracle.heartbeat_rules import nanoseconds, rules_of
from harness.oracle.prediction import Machine, Outcome, Prediction, Settings, hull

PATIENCE_NS = 900_000_000_000
"""What tcp_retries2 = 15 stands for is more than that: 924.6 s, from the first repetition."""
BEGUN_NS = 1_000_000
"""Virtual time: how long before the observed side the other one may have been armed."""
FORGOTTEN: frozenset[str] = frozenset({"peer-forgot", "peer-reset"})
"""What the peer may see of something that the observer sees as one of these."""
ENDINGS: dict[str, Ending] = {
    "peer-forgot": "forgot",
    "peer-closed": "closed",
    "peer-reset": "reset",
    "peer-frozen": "frozen",
}


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Both designs, and the side that is observed.

    `connects_back`: whether the server reaches the client's port (`separate`). `reconnects`: the
    next of the client's servers is there at once.
    """

    client: AnyHeartbeat
    server: AnyHeartbeat
    side: Side
    connects_back: bool = True
    reconnects: bool = False


def predict(
    pair: Pair,
    machine: Machine,
    effects: Mapping[Side, tuple[Effect, ...]],
    horizon_ns: int,
    *,
    writes_ns: Mapping[Side, tuple[int, ...]] | None = None,
    settings: Mapping[Side, Settings] | None = None,
) -> Prediction:
    """Everything that a side may see, with windows from arming and from the last data received.

    `effects`: what happens, as each side sees it. `writes_ns`: when each side writes a few octets.
    `settings`: of the sockets; keepalive is off by default.

    Raises Unpredictable where the order of things is left to chance, or TCP has a say that is not
    modelled.
    """
    client, side = pair.client, pair.side
    written = writes_ns or dict.fromkeys(SIDES, ())
    given = settings or dict.fromkeys(SIDES, Settings(keepalive=False))
    rules: dict[Side, Rules] = {
        "client": rules_of(client, "client"),
        "server": rules_of(pair.server, "server"),
    }
    if isinstance(client, Separate) and not pair.connects_back:
        rules["client"] = msgspec.structs.replace(rules["client"], beats=False)
    heals = any(effect.until_s is not None for effect in effects[side])
    if isinstance(client, Separate) and heals and any(written.values()):
        raise Unpredictable(
            "data and heartbeats are on two connections, and each heals in its own time"
        )
    world = _world(side, rules, effects, machine, written, horizon_ns)
    if isinstance(client, Separate) and world.box_ns is not None:
        raise Unpredictable("a middlebox drops the state of each of two flows in its own time")
    world = _with_patience(world, given)
    _refuse_keepalive(world, given[side], apart=isinstance(client, Separate))
    ends = heartbeat_search.follow(world)
    if isinstance(client, Separate) and any(end.since_read_ns is None for end in ends):
        ends = [
            msgspec.structs.replace(end, since_read_ns=None) for end in ends
        ]  # the announced port was data
    again_ns = _reconnects_ns(client, machine) if pair.reconnects and side == "client" else None
    return Prediction(
        outcomes=_outcomes(ends, again_ns), probe_windows_ns=(), horizon_ns=horizon_ns
    )


def _world(
    side: Side,
    rules: Mapping[Side, Rules],
    effects: Mapping[Side, tuple[Effect, ...]],
    machine: Machine,
    writes_ns: Mapping[Side, tuple[int, ...]],
    horizon_ns: int,
) -> World:
    box = _box(effects, side, horizon_ns)
    disturbances = tuple(_disturbances(effects, side))
    if box is not None and any(each.cuts for each in disturbances):
        raise Unpredictable("where packets are lost decides what a middlebox sees of them")
    return World(
        observer=side,
        rules=rules,
        disturbances=disturbances,
        writes=writes_ns,
        patience_ns=dict.fromkeys(SIDES, PATIENCE_NS),
        horizon_ns=horizon_ns,
        late_ns=machine.write_ns,
        flight_ns=machine.rtt_ns,
        begun_ns=begun_ns(machine),
        delay_ns=machine.injection_ns,
        rtt_ns=machine.rtt_ns,
        box_ns=None if box is None else nanoseconds(box.timeout_s or 0),
        box_resets=box is not None and box.then == "reset",
    )


def _box(effects: Mapping[Side, tuple[Effect, ...]], side: Side, horizon_ns: int) -> Effect | None:
    """The middlebox that forgets the flow before the horizon, if there is one."""
    boxes = {
        each: [
            e
            for e in effects[each]
            if e.mechanism == "expires" and nanoseconds(e.timeout_s or 0) < horizon_ns
        ]
        for each in SIDES
    }
    if not boxes["client"] and not boxes["server"]:
        return None
    if (
        len(boxes[side]) != 1
        or boxes["client"] != boxes["server"]
        or boxes[side][0].then == "reset-both"
    ):
        raise Unpredictable(
            "middleboxes that treat the two directions differently, reset both ends, or are several"
        )
    return boxes[side][0]


def _disturbances(effects: Mapping[Side, tuple[Effect, ...]], side: Side) -> Iterator[Disturbance]:
    """Effects as both sides see them, put together: one fault is one disturbance."""
    yield from _cuts(effects, side)
    seen = {(effect.mechanism, effect.from_s) for effect in effects[side]}
    for effect in effects[side]:
        ending = ENDINGS.get(effect.mechanism, "")
        if ending:
            ending = "not-reading" if effect.not_reading else ending
            yield _disturbance([effect], frozenset(), frozenset(), ending)
        elif effect.mechanism not in (
            "lost",
            "lost-locally",
            "answers-lost",
            "syn-lost",
            "expires",
        ):
            raise Unpredictable(
                effect.unknown or f"no model of a heartbeat under {effect.mechanism!r}"
            )
    for effect in effects[other(side)]:
        if effect.mechanism in FORGOTTEN:
            if not any((mechanism, effect.from_s) in seen for mechanism in FORGOTTEN):
                raise Unpredictable("the state of the flow is dropped in one direction alone")
        elif effect.mechanism not in (
            "lost",
            "lost-locally",
            "answers-lost",
            "syn-lost",
            "expires",
        ):
            raise Unpredictable(
                effect.unknown or f"no model of a heartbeat under {effect.mechanism!r}"
            )


def _cuts(effects: Mapping[Side, tuple[Effect, ...]], side: Side) -> Iterator[Disturbance]:
    """The outages, each with whose segments are lost."""
    groups: dict[tuple[float, float | None], list[tuple[Side, Effect]]] = {}
    for each in SIDES:
        for effect in effects[each]:
            if effect.mechanism in ("lost", "lost-locally", "answers-lost"):
                groups.setdefault((effect.from_s, effect.until_s), []).append((each, effect))
    for (_, until_s), views in groups.items():
        cuts = {
            other(each) if effect.mechanism == "answers-lost" else each for each, effect in views
        }
        own = frozenset(each for each, effect in views if effect.mechanism == "lost-locally")
        if {each for each, _ in views} == {side}:
            # Nothing is said of what the peer sees: it is its host that is gone.
            if until_s is not None:
                raise Unpredictable(
                    "a host that stands still: what its program then does first is not known"
                )
            cuts = set(SIDES)
        yield _disturbance([effect for _, effect in views], frozenset(cuts), own, "")


def _disturbance(
    effects: Sequence[Effect], cuts: frozenset[Side], own: frozenset[Side], ending: Ending
) -> Disturbance:
    first = effects[0]
    return Disturbance(
        from_ns=nanoseconds(first.from_s),
        until_ns=None if first.until_s is None else nanoseconds(first.until_s),
        unsettled_ns=max(nanoseconds(effect.unsettled_s) for effect in effects),
        cuts=cuts,
        own=own,
        ending=ending,
    )


def _with_patience(world: World, settings: Mapping[Side, Settings]) -> World:
    """How long TCP itself goes on with data that is not acknowledged, with the user timeout of each
    socket.
    """
    limits = {each: settings[each].user_timeout_ms * 1_000_000 for each in SIDES}
    patience_ns = {each: min(PATIENCE_NS, limits[each] or PATIENCE_NS) for each in SIDES}
    return msgspec.structs.replace(world, patience_ns=patience_ns)


def _refuse_keepalive(world: World, settings: Settings, *, apart: bool) -> None:
    """Raise Unpredictable where keepalive may decide, which it never does while data is in flight.

    A heartbeat that is sent before keepalive would give up, or before its first probe can meet RST,
    stays in flight; but not where heartbeats are `apart`, on a connection of their own.
    """
    forgotten = (
        any(each.ending == "forgot" for each in world.disturbances) or world.box_ns is not None
    )
    if not settings.keepalive or not (forgotten or any(each.cuts for each in world.disturbances)):
        return
    if settings.user_timeout_ms:
        raise Unpredictable("keepalive and the user timeout have a say beside the heartbeat")
    if apart:
        raise Unpredictable("keepalive watches the data connection, apart from the heartbeats")
    rules = world.rules[world.observer]
    beats_ns = (
        rules.ping_ns if rules.ping_ns is not None else rules.first_ns if rules.beats else None
    )
    patience_ns = settings.idle_s * 1_000_000_000
    if not forgotten:
        patience_ns += settings.interval_s * settings.count * 1_000_000_000
    if beats_ns is None or beats_ns + 2 * world.late_ns + world.flight_ns >= patience_ns:
        raise Unpredictable("keepalive may decide before the next heartbeat is sent")


def _reconnects_ns(client: AnyHeartbeat, machine: Machine) -> tuple[int, int] | None:
    if not isinstance(client, IdleState) or not client.servers:
        return None
    wait_ns = nanoseconds(min(client.retry_s, client.most_retry_s))
    return wait_ns, wait_ns + 2 * machine.write_ns + machine.rtt_ns


def _outcomes(ends: list[Ended], reconnects_ns: tuple[int, int] | None) -> tuple[Outcome, ...]:
    """Ends of one kind whose windows touch are one outcome."""
    merged: list[Ended] = []
    for end in sorted(
        ends, key=lambda each: (each.kind, each.errno or "", each.window_ns or (0, 0))
    ):
        last = merged[-1] if merged else None
        if last is None or (last.kind, last.errno) != (end.kind, end.errno) or _apart(last, end):
            merged.append(end)
        elif last.window_ns and end.window_ns:
            sinces = [
                since for since in (last.since_read_ns, end.since_read_ns) if since is not None
            ]
            merged[-1] = msgspec.structs.replace(
                last,
                window_ns=hull((last.window_ns, end.window_ns)),
                since_read_ns=hull(sinces) if sinces else None,
            )
    return tuple(
        Outcome(
            kind=end.kind,
            errno=end.errno,
            window_ns=None
            if end.window_ns is None
            else (max(0, end.window_ns[0]), end.window_ns[1]),
            probes=(0, 0),
            probes_seen=(0, 0),
            rst=False,
            why=end.why,
            since_read_ns=end.since_read_ns if end.kind == "noticed" else None,
            reconnects_ns=None if end.kind == "quiet" else reconnects_ns,
        )
        for end in merged
    )


def _apart(one: Ended, two: Ended) -> bool:
    return (
        one.window_ns is not None
        and two.window_ns is not None
        and two.window_ns[0] > one.window_ns[1]
    )


def first_beat_ns(client: AnyHeartbeat) -> int:
    """How long after arming the client sends its first heartbeat at the earliest.

    Its server never sends one before.
    """
    rules = rules_of(client, "client")
    return rules.first_ns if rules.ping_ns is None else min(rules.ping_ns, rules.first_ns)


def begun_ns(machine: Machine) -> int:
    """How long before the observed side the other one may have been armed."""
    return machine.arming_lag_ns or BEGUN_NS
