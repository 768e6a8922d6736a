"""Demands that no settings meet together: which one to give up, and by how much."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

import msgspec

from harness.policy import suggest_ways
from harness.policy.facts import Facts
from harness.policy.settings import Connection, Hop
from harness.policy.suggest_search import first

Key = Literal[
    "detect_within_s",
    "detect_idle_within_s",
    "detect_in_flight_within_s",
    "survive_s",
    "path",
]
LONGEST_S = 2_000_000
"""More than anything that settings can meet, and less than a device's longest idle timeout."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """One of a connection.

    `asked_s`: its value; of `path` the shortest idle timeout of the device `device`.
    """

    key: Key
    asked_s: float
    device: str = ""


class Relief(msgspec.Struct, frozen=True, kw_only=True):
    """A demand that the others leave no room for. With `met_s` in its place all are met."""

    demand: Demand
    met_s: float


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Why there are no settings.

    `reliefs`: each is enough on its own. `hz`: the demands are met in a fleet of one of these HZ
    alone. `together`: demands that must be given up together, where none alone is enough.
    """

    reliefs: tuple[Relief, ...]
    hz: tuple[int, ...] = ()
    together: tuple[Demand, ...] = ()


def conflict(connection: Connection) -> Conflict:
    """Of a connection whose demands no settings meet."""
    stated = demands(connection)
    reliefs = tuple(found for each in stated if (found := _relief(connection, each)) is not None)
    hz = Facts(connection).hz
    alone = [
        each for each in hz if len(hz) > 1 and suggest_ways.is_possible(_at_hz(connection, each))
    ]
    together = () if reliefs or alone else _together(connection, stated)
    return Conflict(reliefs=reliefs, hz=tuple(alone), together=together)


def demands(connection: Connection) -> tuple[Demand, ...]:
    """Those that it states and that say something."""
    return tuple(_demands(connection))


def without(connection: Connection, given_up: Demand) -> Connection:
    """The connection without one of its demands."""
    if given_up.key == "path":
        return _with_idle_timeouts(connection, None)
    terms = msgspec.structs.replace(connection.terms, **{given_up.key: None})
    return msgspec.structs.replace(connection, terms=terms)


def _demands(connection: Connection) -> Iterator[Demand]:
    terms = connection.terms
    is_split = terms.detect_idle_within_s and terms.detect_in_flight_within_s
    if terms.detect_within_s and not is_split:
        yield Demand(key="detect_within_s", asked_s=terms.detect_within_s)
    if terms.detect_idle_within_s:
        yield Demand(key="detect_idle_within_s", asked_s=terms.detect_idle_within_s)
    if terms.detect_in_flight_within_s:
        yield Demand(key="detect_in_flight_within_s", asked_s=terms.detect_in_flight_within_s)
    if terms.survive_s:
        yield Demand(key="survive_s", asked_s=terms.survive_s)
    hop = Facts(connection).strictest()
    if hop is not None and hop.limit_s is not None:
        yield Demand(key="path", asked_s=hop.limit_s, device=hop.title)


def _relief(connection: Connection, demand: Demand) -> Relief | None:
    """The nearest value of a demand that is met for sure, in whole seconds or, below ten seconds,
    in tenths.
    """
    grid = 10 if demand.asked_s < 10 and demand.key != "path" else 1
    asked = round(demand.asked_s * grid)
    if demand.key == "survive_s":
        tried = range(asked - 1, -1, -1)
    else:
        tried = range(asked + 1, LONGEST_S * grid)
    place = first(
        tried, lambda each: suggest_ways.is_possible(_relaxed(connection, demand, each / grid))
    )
    if place == len(tried):
        return None
    met_s = tried[place] / grid
    return Relief(demand=demand, met_s=met_s)


def _relaxed(connection: Connection, demand: Demand, value_s: float) -> Connection:
    if demand.key == "path":
        return _with_idle_timeouts(connection, round(value_s))
    terms = msgspec.structs.replace(connection.terms, **{demand.key: value_s or None})
    return msgspec.structs.replace(connection, terms=terms)


def _with_idle_timeouts(connection: Connection, least_s: int | None) -> Connection:
    """With no idle timeout of a middlebox below so many seconds, or with none."""

    def longer(hop: Hop) -> Hop:
        if least_s is None:
            return msgspec.structs.replace(hop, pickup="loose", then=None)
        return msgspec.structs.replace(hop, idle_timeout_s=max(least_s, hop.limit_s or 0))

    side = connection.terms.side
    path = tuple(longer(hop) if hop.forgets(side) else hop for hop in connection.path)
    terms = msgspec.structs.replace(connection.terms, path=path)
    return msgspec.structs.replace(connection, terms=terms)


def _at_hz(connection: Connection, hz: int) -> Connection:
    terms = msgspec.structs.replace(connection.terms, hz=(hz,))
    return msgspec.structs.replace(connection, terms=terms)


def _together(connection: Connection, stated: tuple[Demand, ...]) -> tuple[Demand, ...]:
    """The fewest demands without which the others are met."""
    for number in range(1, len(stated) + 1):
        for some in itertools.combinations(stated, number):
            left = connection
            for each in some:
                left = without(left, each)
            if suggest_ways.is_possible(left):
                return some
    return ()
