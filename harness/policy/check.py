"""From connections to findings: a pure function.

It reads no file and asks nothing of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness.oracle.effects import Unpredictable
from harness.policy import defaults, fix_words
from harness.policy.facts import Facts
from harness.policy.overview import Overview, overview
from harness.policy.proof import Proofs
from harness.policy.rule import LEVELS, Draft, Finding, Rule
from harness.policy.settings import Connection, Place

UNUSED = "KA100"
"""The rule about suppressions themselves."""


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that could not be applied to a connection, as no model covers it."""

    rule: str
    """The rule: KA003."""
    connection: str
    """The name of the connection."""
    why: str
    """Why there is no answer."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One connection.

    `suppressed`: what was found and is ignored. `overview`: None where the oracle has no answer.
    """

    connection: Connection
    findings: tuple[Finding, ...] = ()
    suppressed: tuple[Finding, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()
    overview: Overview | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Of all connections, in their order.

    `others`: findings about the policy, not about one connection. `proofs`: what guests have
    measured, None where nobody asked for it.
    """

    checked: tuple[Checked, ...]
    others: tuple[Finding, ...] = ()
    proofs: Proofs | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The worst first, then in the order of the files."""
        found = [each for one in self.checked for each in one.findings] + list(self.others)
        nowhere = Place("", 0, 0)
        return tuple(
            sorted(found, key=lambda each: (LEVELS.index(each.level), each.place or nowhere))
        )

    @property
    def unanswered(self) -> tuple[Unanswered, ...]:
        """Of all connections."""
        return tuple(each for one in self.checked for each in one.unanswered)

    @property
    def exit_status(self) -> int:
        """3 where a measurement refutes the oracle, else 1 for an error or a warning, else 3 where
        a rule could not be applied or a proof is missing, else 0.
        """
        proofs = self.proofs
        if proofs is not None and proofs.having("refuted"):
            return 3
        if any(each.level != "note" for each in self.findings):
            return 1
        return 3 if self.unanswered or (proofs is not None and not proofs.is_complete) else 0


def check(connections: Sequence[Connection], rules: Sequence[Rule]) -> Result:
    """Apply the rules to each connection."""
    checked = tuple(_check_one(connection, rules) for connection in connections)
    unused = next((rule for rule in rules if rule.id == UNUSED), None)
    if unused is None:
        return Result(checked=checked)
    applied = {rule.id for rule in rules if rule.find is not None}
    return Result(
        checked=tuple(_with_unused(one, unused, applied) for one in checked),
        others=tuple(_unused_defaults(checked, unused, applied)),
    )


def _check_one(connection: Connection, rules: Sequence[Rule]) -> Checked:
    facts = Facts(connection)
    kept: list[Finding] = []
    suppressed: list[Finding] = []
    unanswered: list[Unanswered] = []
    for rule in rules:
        if rule.find is None:
            continue
        found = suppressed if rule.id in connection.terms.ignore else kept
        try:
            for draft in rule.find(facts):  # what was found before it raises is kept
                found.append(_finding(rule, connection, draft))
        except Unpredictable as error:
            unanswered.append(Unanswered(rule=rule.id, connection=connection.name, why=str(error)))
    return Checked(
        connection=connection,
        findings=tuple(kept),
        suppressed=tuple(suppressed),
        unanswered=tuple(unanswered),
        overview=_overview(facts),
    )


def _finding(rule: Rule, connection: Connection, draft: Draft) -> Finding:
    fix_keys = draft.keys if draft.fix_keys is None else draft.fix_keys
    places = [connection.places[key] for key in draft.keys if key in connection.places]
    return Finding(
        rule=rule.id,
        level=rule.level,
        title=rule.title,
        connection=connection.name,
        expected=draft.expected,
        found="; ".join((draft.found, *_noticed(connection, draft.keys))),
        fix=fix_words.in_file(draft.fix, connection, fix_keys),
        hz=draft.hz,
        window_s=draft.window_s,
        place=places[0] if places else connection.place,
        defaults=defaults.among(connection, draft.keys),
    )


def _noticed(connection: Connection, keys: Sequence[str]) -> Iterator[str]:
    """What the file's notices say about a finding's keys."""
    about = {each.partition(".")[0] for each in keys}
    for each in connection.notices:
        if about.intersection(each.keys):
            yield f"{each.directive} {each.text}"


def _overview(facts: Facts) -> Overview | None:
    try:
        return overview(facts)
    except Unpredictable:
        return None


# --- suppressions that hide nothing -------------------------------------------------------------


def _unused_by(one: Checked, applied: set[str]) -> set[str]:
    """The rules that a connection ignores in vain."""
    busy = {each.rule for each in one.suppressed} | {each.rule for each in one.unanswered}
    return (set(one.connection.terms.ignore) & applied) - busy


def _with_unused(one: Checked, rule: Rule, applied: set[str]) -> Checked:
    connection = one.connection
    own = sorted(
        each for each in _unused_by(one, applied) if f"ignore.{each}" not in connection.inherited
    )
    if not own or rule.id in connection.terms.ignore:
        return one
    found = tuple(_finding(rule, connection, _unused_draft(each)) for each in own)
    return msgspec.structs.replace(one, findings=one.findings + found)


def _unused_defaults(
    checked: Sequence[Checked], rule: Rule, applied: set[str]
) -> Iterator[Finding]:
    """Those of each file's defaults that hide nothing at any connection."""
    entries: dict[tuple[str, Place | None], bool] = {}
    owners: dict[tuple[str, Place | None], Connection] = {}
    for one in checked:
        connection = one.connection
        unused = _unused_by(one, applied)
        for each in applied & set(connection.terms.ignore):
            key = f"ignore.{each}"
            if key in connection.inherited and rule.id not in connection.terms.ignore:
                entry = (each, connection.places.get(key))
                entries[entry] = entries.get(entry, True) and each in unused
                owners.setdefault(entry, connection)
    for (each, place), is_unused in sorted(entries.items(), key=lambda item: item[0][0]):
        if is_unused:
            finding = _finding(rule, owners[each, place], _unused_draft(each))
            yield msgspec.structs.replace(finding, connection="defaults")


def _unused_draft(ignored: str) -> Draft:
    return Draft(
        expected=f"a suppression of {ignored} that hides a finding",
        found=f"none: {ignored} finds nothing here",
        fix="delete the entry of ignore",
        keys=(f"ignore.{ignored}",),
    )
