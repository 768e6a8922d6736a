"""From demands to settings: those that meet all of them with the least probe traffic, or which
demand to give up. A pure function.
"""

from __future__ import annotations

import msgspec

from harness.oracle.effects import Unpredictable
from harness.policy import suggest_relief, suggest_ways
from harness.policy.check import Checked, Result, check
from harness.policy.registry import every_rule
from harness.policy.settings import Connection
from harness.policy.suggest_relief import Conflict, Demand


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A demand that makes probes more frequent.

    `idle_s`: the idle time that there could be without it; None: keepalive would not be needed.
    """

    demand: Demand
    idle_s: int | None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is suggested for one connection.

    `result`: every rule applied to the connection with the settings; None: there are none that meet
    its demands, for the reason in `conflict`, or `unanswered` says why that is not known. `lines`:
    in the words of its file's software; `unwritable`: why that has no directives for settings that
    meet the demands.
    """

    asked: Connection
    result: Result | None = None
    costs: tuple[Cost, ...] = ()
    conflict: Conflict | None = None
    unanswered: str = ""
    lines: str = ""
    unwritable: str = ""

    @property
    def checked(self) -> Checked | None:
        """The connection with the settings."""
        return None if self.result is None else self.result.checked[0]

    @property
    def exit_status(self) -> int:
        """0 where settings meet the demands, 1 where none do, 3 where that is not known.

        1 also where the software has no directives for them, and where an error is left that no
        settings can mend, such as a heartbeat that is too rare for a proxy.
        """
        if self.unanswered:
            return 3
        if (
            self.unwritable
            or self.result is None
            or any(each.level == "error" for each in self.result.findings)
        ):
            return 1
        return 3 if self.result.unanswered else 0


def suggest(connection: Connection) -> Suggestion:
    """Settings for a connection in place of those that it has."""
    try:
        found = suggest_ways.settings(connection)
    except Unpredictable as error:
        return Suggestion(asked=connection, unanswered=str(error))
    if found is None:
        return Suggestion(asked=connection, conflict=suggest_relief.conflict(connection))
    suggested = _without_idle_suppressions(suggest_ways.with_settings(connection, found))
    return Suggestion(
        asked=connection,
        result=_checked(suggested),
        costs=_costs(connection, found.idle_s) if found.idle_s else (),
    )


def _checked(connection: Connection) -> Result:
    return check([connection], list(every_rule().values()))


def _without_idle_suppressions(connection: Connection) -> Connection:
    """Without those of its suppressions that hide nothing with the new settings."""
    hidden = {each.rule for each in _checked(connection).checked[0].suppressed}
    kept = {rule: why for rule, why in connection.terms.ignore.items() if rule in hidden}
    terms = msgspec.structs.replace(connection.terms, ignore=kept)
    return msgspec.structs.replace(connection, terms=terms)


def _costs(connection: Connection, idle_s: int) -> tuple[Cost, ...]:
    """The demands without which the idle time could be longer."""
    costs = []
    for demand in suggest_relief.demands(connection):
        found = suggest_ways.known_settings(suggest_relief.without(connection, demand))
        if found is not None and (not found.idle_s or found.idle_s > idle_s):
            costs.append(Cost(demand=demand, idle_s=found.idle_s or None))
    return tuple(costs)
