"""Sets of moments known by how far apart they are at least and at most: a zone of a timed automaton.

What is not known exactly - a late wake-up, the onset of a fault - is a difference between two moments with two bounds.
Kept as a matrix of such bounds, closed under addition (Dill 1989, "Timing assumptions and verification of finite-state
concurrent systems"): so what follows from all of them together is never lost, however long the chain.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

FAR_NS = 1 << 62
"""More than any difference: no bound."""

Name = TypeVar("Name", bound=Hashable)


class Zone(Generic[Name]):
    """All assignments of moments, in nanoseconds, to names that keep to the bounds; never empty, never changed.

    `most[a, b]`: how much later than b a is at most.
    """

    __slots__ = ("most", "names")

    def __init__(self, names: tuple[Name, ...], most: Mapping[tuple[Name, Name], int]) -> None:
        self.names, self.most = names, most

    @staticmethod
    def of(name: Name) -> Zone[Name]:
        """One moment alone."""
        return Zone((name,), {(name, name): 0})

    def bounds(self, name: Name, since: Name) -> tuple[int, int]:
        """How much later a moment is than another one, at least and at most."""
        return -self.most[since, name], self.most[name, since]

    def with_moment(self, name: Name, since: Name, least_ns: int, most_ns: int) -> Zone[Name]:
        """With another moment, so much later than one that is known."""
        most = dict(self.most)
        for each in self.names:
            most[name, each] = _sum(most_ns, self.most[since, each])
            most[each, name] = _sum(self.most[each, since], -least_ns)
        most[name, name] = 0
        return Zone((*self.names, name), most)

    def where(self, name: Name, since: Name, most_ns: int) -> Zone[Name] | None:
        """Only where a moment is so much later than another one at most; None where it never is."""
        if self.most[name, since] <= most_ns:
            return self
        if self.most[since, name] + most_ns < 0:
            return None
        most = dict(self.most)
        for one in self.names:
            upto = _sum(self.most[one, name], most_ns)
            for two in self.names:
                most[one, two] = min(most[one, two], _sum(upto, self.most[since, two]))
        return Zone(self.names, most)

    def without(self, names: Iterable[Name]) -> Zone[Name]:
        """The same for the other moments alone."""
        gone = set(names)
        left = tuple(each for each in self.names if each not in gone)
        return Zone(left, {(one, two): self.most[one, two] for one in left for two in left})

    def renamed(self, old: Name, new: Name) -> Zone[Name]:
        """The same with one moment under another name."""
        by_name = {each: new if each == old else each for each in self.names}
        return Zone(tuple(by_name.values()), {(by_name[a], by_name[b]): ns for (a, b), ns in self.most.items()})

    def meets(self, other: Zone[Name], name: Name) -> bool:
        """Whether every moment may be the same in both, counted from `name`."""
        pairs = ((self.bounds(each, name), other.bounds(each, name)) for each in self.names)
        return all(mine[0] <= theirs[1] and theirs[0] <= mine[1] for mine, theirs in pairs)

    def hull(self, other: Zone[Name]) -> Zone[Name]:
        """The smallest zone that holds both, which have the same names."""
        return Zone(self.names, {key: max(ns, other.most[key]) for key, ns in self.most.items()})


def _sum(one_ns: int, two_ns: int) -> int:
    return FAR_NS if FAR_NS in (one_ns, two_ns) else one_ns + two_ns
