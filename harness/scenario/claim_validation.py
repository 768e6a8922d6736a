"""Contradictions of what a scenario claims: within the claim about one side, and between [expect]
and the tables of both ends. Pure.
"""

from __future__ import annotations

import errno as errno_numbers
from collections.abc import Iterator

import msgspec

from harness.errors import MISSING
from harness.faults import AnyFault
from harness.model.values import Problem
from harness.scenario.schema import OF_RUN, SOMETIME, EndExpect, Expect, Scenario
from harness.system.spelling import did_you_mean

_WITHOUT_MOMENT = ("survives", "never", "any")
"""Outcomes that claim no moment of a detection."""


def table_problems(scenario: Scenario) -> Iterator[Problem]:
    """What contradicts the tables of the ends, where there are any."""
    expect = scenario.expect
    tables = expect.of_ends
    if not tables:
        return
    if scenario.state == "connecting" and expect.server is not None:
        expected = 'no such table with state = "connecting": only the client is judged'
        yield Problem("expect.server", _Table(), expected)
    names = " and ".join(f"[expect.{side}]" for side in tables)
    for field in msgspec.structs.fields(Expect):
        value = getattr(expect, field.name)
        if field.name in (*OF_RUN, *tables) or value == field.default:
            continue
        fix = (
            "the table says which end is judged"
            if field.name == "side"
            else "move it into the table of the end that it is about"
        )
        yield Problem(f"expect.{field.name}", value, f"no such key beside {names}: {fix}")
    if expect.bound_s is not None and all(each.outcome in SOMETIME for each in tables.values()):
        expected = f"window_s in {names}, none of which takes a bound with its outcome"
        yield Problem("expect.bound_s", expect.bound_s, expected)
    for side, table in tables.items():
        if table.outcome == "any":
            expected = "another outcome: this one is for [expect], where it is about both ends"
            yield Problem(f"expect.{side}.outcome", "any", expected)


class _Table:
    """Stands for a whole table in a message."""

    def __repr__(self) -> str:
        return "a table"


def named_for(side: str, problem: Problem) -> Problem:
    """A problem of the claim about one end, with its key as the file has it."""
    name = problem.key.removeprefix("expect.")
    if name == problem.key or name not in EndExpect.__struct_fields__:
        return problem
    return msgspec.structs.replace(problem, key=f"expect.{side}.{name}")


def expectation_problems(expect: Expect, faults: tuple[AnyFault, ...]) -> Iterator[Problem]:
    """Contradictions of what is claimed about one side."""
    if expect.errno is not None:
        if expect.errno not in errno_numbers.errorcode.values():
            hint = did_you_mean(expect.errno, errno_numbers.errorcode.values())
            yield Problem(
                "expect.errno",
                expect.errno,
                f"an errno's name, such as ETIMEDOUT or ECONNRESET{hint}",
            )
        if expect.outcome not in ("detected", "as-predicted"):
            yield Problem("expect.errno", expect.errno, f"no errno with outcome {expect.outcome!r}")
    yield from _program_problems(expect)
    if expect.outcome == "any" and expect.bound_s is None:
        yield Problem(
            "expect.bound_s", MISSING, 'how long to watch, in seconds, with outcome = "any"'
        )
    if expect.window_s is not None:
        if expect.outcome in _WITHOUT_MOMENT:
            yield Problem(
                "expect.window_s", list(expect.window_s), f"bound_s with outcome {expect.outcome!r}"
            )
        if expect.window_s[0] > expect.window_s[1]:
            yield Problem(
                "expect.window_s", list(expect.window_s), "[earliest, latest], in that order"
            )
    yield from _recovery_problems(expect, faults)
    if expect.phase_ns and expect.window != "exact":
        yield Problem("expect.phase_ns", expect.phase_ns, 'this key only with window = "exact"')
    if expect.bound_s is not None and expect.outcome in SOMETIME:
        yield Problem("expect.bound_s", expect.bound_s, f"window_s with outcome {expect.outcome!r}")
    if expect.origin == "fault" and all(fault.standing for fault in faults):
        yield Problem("expect.origin", expect.origin, '"armed" in a scenario without timed faults')
    if expect.origin == "healed" and all(fault.restored_s is None for fault in faults):
        expected = (
            '"armed" or "fault" where no fault ends: give one of them for_s, or starts_program = '
            "true"
        )
        yield Problem("expect.origin", expect.origin, expected)


def _recovery_problems(expect: Expect, faults: tuple[AnyFault, ...]) -> Iterator[Problem]:
    """A claim of a recovery that no run can show."""
    if expect.recovers_s is None:
        return
    key, value = "expect.recovers_s", list(expect.recovers_s)
    if expect.recovers_s[0] > expect.recovers_s[1]:
        yield Problem(key, value, "[earliest, latest], in that order")
    if expect.outcome == "any":
        yield Problem(key, value, "none with outcome 'any'")
    if all(fault.restored_s is None for fault in faults):
        expected = (
            "no such key where no fault ends: give one of them for_s, or starts_program = true"
        )
        yield Problem(key, value, expected)


def _program_problems(expect: Expect) -> Iterator[Problem]:
    """Expectations about the program itself."""
    if expect.reports is not None and expect.outcome != "noticed":
        yield Problem("expect.reports", expect.reports, 'this key only with outcome = "noticed"')
    if expect.reconnects_s is not None:
        if expect.outcome in _WITHOUT_MOMENT:
            yield Problem(
                "expect.reconnects_s",
                list(expect.reconnects_s),
                f"none with outcome {expect.outcome!r}",
            )
        if expect.reconnects_s[0] > expect.reconnects_s[1]:
            yield Problem(
                "expect.reconnects_s",
                list(expect.reconnects_s),
                "[earliest, latest], in that order",
            )
