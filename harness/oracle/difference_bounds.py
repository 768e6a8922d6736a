"""Sets of moments known by how far apart they are at least and at most: a zone of a timed
automaton.

What is not known exactly - a late wake-up, the onset of a fault - is a difference between two
moments with two bounds. Kept as a matrix of such bounds, closed under addition (Dill 1989, "Timing
assumptions and verification of finite-state concurrent systems"): so what follows from all of them
together is never lost, however long the chain.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

FAR_NS = 1 << 62
"""More than any difference: no bound."""

Name = TypeVar("Name", bound=Hashable)


class Zone(Generic[Name]):
    """All assignments of moments, in nanoseconds, to names that keep to the bounds.

    Never empty, never changed.

    `_places`: the place of each name in the matrix `_most`, in order. `_most[a][b]`: how much later
    the moment at a is than the one at b, at most.
    """

    __slots__ = ("_most", "_places")

    def __init__(self, places: Mapping[Name, int], most: Sequence[Sequence[int]]) -> None:
        self._places, self._most = places, most

    @staticmethod
    def of(name: Name) -> Zone[Name]:
        """One moment alone."""
        return Zone({name: 0}, [[0]])

    @property
    def names(self) -> tuple[Name, ...]:
        """The names of all moments, in the order in which they were added."""
        return tuple(self._places)

    def __contains__(self, name: object) -> bool:
        """Whether there is a moment of that name."""
        return name in self._places

    def bounds(self, name: Name, since: Name) -> tuple[int, int]:
        """How much later a moment is than another one, at least and at most."""
        place, from_place = self._places[name], self._places[since]
        return -self._most[from_place][place], self._most[place][from_place]

    def with_moment(self, name: Name, since: Name, least_ns: int, most_ns: int) -> Zone[Name]:
        """With another moment, so much later than one that is known."""
        place = self._places[since]
        most = [[*row, _sum(row[place], -least_ns)] for row in self._most]
        most.append([*(_sum(most_ns, each_ns) for each_ns in self._most[place]), 0])
        return Zone({**self._places, name: len(self._places)}, most)

    def where(self, name: Name, since: Name, most_ns: int) -> Zone[Name] | None:
        """Only where a moment is so much later than another one at most; None where it never is."""
        place, from_place = self._places[name], self._places[since]
        beyond = self._most[from_place]
        if self._most[place][from_place] <= most_ns:
            return self
        if beyond[place] + most_ns < 0:
            return None
        most = []
        for row in self._most:
            upto_ns = _sum(row[place], most_ns)
            most.append(
                [
                    min(one_ns, _sum(upto_ns, two_ns))
                    for one_ns, two_ns in zip(row, beyond, strict=True)
                ]
            )
        return Zone(self._places, most)

    def without(self, names: Iterable[Name]) -> Zone[Name]:
        """The same for the other moments alone."""
        gone = set(names)
        left = [(name, place) for name, place in self._places.items() if name not in gone]
        if len(left) == len(self._places):
            return self
        most = [[self._most[place][each] for _, each in left] for _, place in left]
        return Zone({name: place for place, (name, _) in enumerate(left)}, most)

    def renamed(self, old: Name, new: Name) -> Zone[Name]:
        """The same with one moment under another name."""
        return Zone(
            {new if name == old else name: place for name, place in self._places.items()},
            self._most,
        )

    def meets(self, other: Zone[Name], name: Name) -> bool:
        """Whether every moment may be the same in both, counted from `name`."""
        pairs = ((self.bounds(each, name), other.bounds(each, name)) for each in self._places)
        return all(mine[0] <= theirs[1] and theirs[0] <= mine[1] for mine, theirs in pairs)

    def hull(self, other: Zone[Name]) -> Zone[Name]:
        """The smallest zone that holds both, which have the same names."""
        order = [other._places[name] for name in self._places]
        most = [
            [max(ns, theirs[place]) for ns, place in zip(row, order, strict=True)]
            for row, theirs in zip(self._most, (other._most[place] for place in order), strict=True)
        ]
        return Zone(self._places, most)


def _sum(one_ns: int, two_ns: int) -> int:
    return FAR_NS if FAR_NS in (one_ns, two_ns) else one_ns + two_ns
