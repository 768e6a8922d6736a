"""Every exception the harness raises on purpose.

HarnessError             says what was expected, found, where, and what to do
├─ UsageError            bad command line, scenario file or Python value; nothing built  (exit 2)
│   ├─ ScenarioError     names file, key, value and what was expected
│   │   └─ PolicyError   the same of a policy, with line and column
│   └─ ScenarioErrors    several of them, a line each
├─ CapabilityError       this machine or kernel cannot do what was asked for              (exit 3)
├─ LabError              the lab could not be built or broke while in use                 (exit 3)
├─ FaultError            a fault could not be injected or healed                          (exit 3)
├─ SubjectError          a program under test did not start, get ready or answer          (exit 3)
├─ StallError       this process did not run when it mattered: nothing is proven     (exit 3)
└─ GuestError            a virtual-time guest did not boot, panicked or got stuck         (exit 3)

Beside the tree: oracle.effects.Unpredictable, which a plan turns into words, and
signals.Terminated.
"""

from __future__ import annotations

from collections.abc import Sequence


class HarnessError(Exception):
    """Root of the tree; `exit_status` is what the command line ends with."""

    exit_status = 3


class UsageError(HarnessError):
    """The request itself is wrong; nothing was built."""

    exit_status = 2


class ScenarioError(UsageError):
    """A scenario (file or value) is not acceptable.

    `source` is the file or "<python>", `key` the dotted path inside it, `value` what was found
    there and `expected` what would have been accepted.
    """

    def __init__(self, source: str, key: str, value: object, expected: str) -> None:
        self.source, self.key, self.value, self.expected = source, key, value, expected
        found = "nothing" if value is MISSING else _shortened(repr(value))
        at = f" {_shortened(key)}:" if key else ""
        super().__init__(f"{source}:{at} expected {expected}, found {found}")


class NotPredictedError(ScenarioError):
    """A scenario needs a prediction, and the oracle has none; `reason` says why."""

    def __init__(self, source: str, key: str, value: object, expected: str, reason: str) -> None:
        super().__init__(source, key, value, expected)
        self.reason = reason


LONGEST = 400
"""Characters of a key or a value that a message shows."""


def _shortened(text: str) -> str:
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}...{text[-half:]}"


class ScenarioErrors(UsageError):
    """Several scenarios are not acceptable; `errors` has what is wrong with each."""

    def __init__(self, errors: Sequence[ScenarioError]) -> None:
        self.errors = tuple(errors)
        lines = "".join(f"\n  {error}" for error in self.errors)
        super().__init__(f"expected sound scenarios, found {len(self.errors)} that are not:{lines}")


class PolicyError(ScenarioError):
    """A policy is not acceptable; `source` is its file, the line and the column of the value."""


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


MISSING = _Missing()
"""Marks a key that is not there at all in a ScenarioError."""


class CapabilityError(HarnessError):
    """Something this machine lacks; `fix` is the command or setting that would provide it."""

    def __init__(self, what: str, found: str, fix: str) -> None:
        self.what, self.found, self.fix = what, found, fix
        super().__init__(f"{what}: {found}. Fix: {fix}")


class LabError(HarnessError):
    """The lab could not be built, or broke while it was used."""


class FaultError(HarnessError):
    """A fault could not be injected or healed."""


class SubjectError(HarnessError):
    """A program under test did not start, did not get ready or did not answer."""


class GuestError(HarnessError):
    """A guest did not boot, panicked, got stuck or ended without a result."""


class StallError(HarnessError):
    """This process did not run from `from_s` to `until_s` after arming, and an assertion hangs on
    that.
    """

    def __init__(self, from_s: float, until_s: float, doubt: str) -> None:
        self.from_s, self.until_s = from_s, until_s
        found = f"found that it did not from {from_s:.3f} to {until_s:.3f} s after arming"
        fix = "run the test again, with less beside it or in virtual time (pytest --clock=virtual)"
        super().__init__(f"expected that this process runs all the time, {found}: {doubt}; {fix}")
