"""Windows gathered from one way to go after another into a prediction."""

from __future__ import annotations

from harness.oracle.prediction import Asking, Outcome, OutcomeKind, Prediction, hull


class Hulls:
    """At each place the smallest window that holds all that were added there."""

    def __init__(self) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []

    def add(self, index: int, low: int, high: int) -> None:
        """Places are filled in order."""
        if index == len(self._lows):
            self._lows.append(low)
            self._highs.append(high)
            return
        # Millions of calls: min() and max() would take twice as long.
        if low < self._lows[index]:  # noqa: PLR1730
            self._lows[index] = low
        if high > self._highs[index]:  # noqa: PLR1730
            self._highs[index] = high

    def all(self) -> tuple[tuple[int, int], ...]:
        """In the order of places."""
        return tuple(zip(self._lows, self._highs, strict=True))


class Gathering:
    """Everything that can happen, in nanoseconds after arming: ends by kind, and `probes` and
    `gaps` on the wire.
    """

    def __init__(self) -> None:
        self.probes, self.gaps = Hulls(), Hulls()
        self._ends: dict[tuple[OutcomeKind, str | None, bool], _Ends] = {}

    def add(
        self,
        kind: OutcomeKind,
        errno: str | None,
        window_ns: tuple[int, int] | None,
        *,
        sent: int,
        seen: int,
        why: str,
        rst: bool = False,
    ) -> None:
        """One end, after so many probes of which so many were seen on the wire.

        No window where nothing is detected.
        """
        key = (kind, errno, rst)
        if key not in self._ends:
            self._ends[key] = _Ends(why)
        self._ends[key].add(window_ns, sent, seen)

    def prediction(self, horizon_ns: int, asking: Asking) -> Prediction:
        """All of it."""
        outcomes = [ends.outcome(*key) for key, ends in self._ends.items()]
        return Prediction(
            outcomes=tuple(sorted(outcomes, key=lambda o: (o.kind, o.window_ns or (0, 0), o.rst))),
            probe_windows_ns=self.probes.all(),
            horizon_ns=horizon_ns,
            probe_gaps_ns=self.gaps.all(),
            asking=asking,
        )


class _Ends:
    """All ends of one kind, by how many probes were seen; the first one's reason stands for all."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._sent: set[int] = set()
        self._by_seen: dict[int, tuple[int, int] | None] = {}

    def add(self, window_ns: tuple[int, int] | None, sent: int, seen: int) -> None:
        self._sent.add(sent)
        known = self._by_seen.setdefault(seen, None)
        if window_ns is not None:
            self._by_seen[seen] = window_ns if known is None else hull((known, window_ns))

    def outcome(self, kind: OutcomeKind, errno: str | None, rst: bool) -> Outcome:  # noqa: FBT001 - a key's parts
        seen = sorted(self._by_seen)
        windows = [window for window in self._by_seen.values() if window is not None]
        return Outcome(
            kind=kind,
            errno=errno,
            window_ns=hull(windows) if windows else None,
            probes=(min(self._sent), max(self._sent)),
            probes_seen=(seen[0], seen[-1]),
            rst=rst,
            why=self._why,
            window_by_probes={number: self._by_seen[number] for number in seen},
        )
