"""Figures of an attack, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What came of all rounds of one kind."""

    kind: str
    rounds: int = 0
    attempts: int = 0
    inconclusive: int = 0
    wall_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, attempts: int, inconclusive: int, failures: Sequence[str], wall_s: float) -> None:
        """One more round."""
        self.rounds += 1
        self.attempts += attempts
        self.inconclusive += inconclusive
        self.failures += failures
        self.wall_s += wall_s


def table(tallies: Sequence[Tally]) -> str:
    """A row for each kind, and one for all."""
    rows = [
        "| attack | rounds | attempts | failures | inconclusive | minutes |",
        "|---|---|---|---|---|---|",
    ]
    whole = Tally("all")
    for each in tallies:
        rows.append(_row(each))
        whole.add(each.attempts, each.inconclusive, each.failures, each.wall_s)
        whole.rounds += each.rounds - 1
    return "\n".join([*rows, _row(whole)])


def _row(each: Tally) -> str:
    cells = (
        each.kind,
        each.rounds,
        each.attempts,
        len(each.failures),
        each.inconclusive,
        f"{each.wall_s / 60:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"
