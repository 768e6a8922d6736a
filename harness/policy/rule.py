"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from harness.policy.facts import Facts
from harness.policy.settings import Place

Level = Literal["error", "warning", "note"]
"""error: a demand is not met; warning: the settings mislead, or break soon; note: good to know, and
no failure."""
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
"""The worst first."""


WindowSeconds = tuple[float, float | None]
"""Earliest and latest."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule finds wrong with a connection.

    `expected`, `found`, `fix`: parts of a sentence each. `keys`: the keys of the policy that cause
    it, the likeliest first; `fix_keys`: those that `fix` is about, None for the same. `hz`: where
    it is so, of all that were asked for; empty where HZ has no say. `window_s`: the figure in
    `found`, earliest and latest; the latest is None where it was not computed exactly, as the
    earliest decides.
    """

    expected: str
    found: str
    fix: str
    keys: tuple[str, ...] = ()
    fix_keys: tuple[str, ...] | None = None
    hz: tuple[int, ...] = ()
    window_s: WindowSeconds | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule.

    `page`: what `harness explain` prints, in Markdown. `find`: None for what is found about a
    policy itself.
    """

    id: str
    level: Level
    title: str
    page: str
    find: Callable[[Facts], Iterator[Draft]] | None


class Default(msgspec.Struct, frozen=True):
    """A value that nobody stated."""

    key: str
    """Its key."""
    value: bool | int | float | str
    """The value."""
    source: str
    """Whose default it is, in words."""

    def __str__(self) -> str:
        value = f"{self.value:g}" if isinstance(self.value, float) else f"{self.value}"
        value = value.lower() if isinstance(self.value, bool) else value
        return f"{self.key} = {value}, {self.source}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A draft with its rule and its connection.

    `place`: of the value that causes it, None for options. `defaults`: values that it rests on and
    that nobody stated.
    """

    rule: str
    level: Level
    title: str
    connection: str
    expected: str
    found: str
    fix: str
    hz: tuple[int, ...] = ()
    window_s: WindowSeconds | None = None
    place: Place | None = None
    defaults: tuple[Default, ...] = ()

    @property
    def message(self) -> str:
        """What is wrong, which values nobody stated, and the way to fix it."""
        unstated = f". Not stated: {'; '.join(map(str, self.defaults))}" if self.defaults else ""
        return f"expected {self.expected}, found {self.found}{unstated}. Fix: {self.fix}"
