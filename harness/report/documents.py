"""The documents that commands write with `--json`, and the verdict of a run directory, as types.

`harness schema` prints a JSON Schema of each. The string below a key describes it there. A key may
be added without a new format number; README.md in this folder says what else may change.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from harness.judge.reasons import Cause
from harness.judge.verdict import VerdictName
from harness.model.topology import LabKind, Side
from harness.oracle.prediction import OutcomeKind
from harness.scenario.schema import Origin
from harness.scenario.suites import FaultName
from harness.system.kernel_clock import Clock

Format = Literal[1]
FORMAT: Format = 1
"""Of all these documents. A key that is gone or has another meaning takes a higher number."""
WindowS = tuple[float, float]
"""Seconds: earliest, latest."""
Counts = tuple[int, int]
"""Least, most."""
Finding = Literal[
    "met",
    "exceeded",
    "early",
    "never detected",
    "not promised, detected",
    "not promised, not detected",
]


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one scenario. Times are seconds after `origin`."""

    name: str
    """The scenario's name."""
    summary: str
    """The scenario's summary."""
    verdict: VerdictName
    """pass: the claim holds; fail: it is refuted; inconclusive: the run cannot be judged."""
    cause: Cause
    """Why the verdict is what it is, for programs."""
    reason: str
    """The same for people, with figures. The wording may change at any time."""
    attempts: int
    """How often it was run: more than once where this machine was too busy before."""
    clock: Clock
    """real: on this kernel; virtual: in a guest with a clock of its own."""
    lab: LabKind
    """How the hosts were made: network namespaces, or containers."""
    side: Side
    """The end that is judged."""
    outcome: OutcomeKind | None
    """What was measured: detected (an error of the socket), noticed (by the program itself), eof
    (end of file), quiet (nothing detected); null where the run broke before that.
    """
    errno: str | None
    """The name of the socket's error, if there was one: ETIMEDOUT."""
    reports: str | None
    """What a command said of it, or how it showed it: heartbeat, output, exit, close, reconnect."""
    detected_s: float | None
    """When it was detected; null if it was not."""
    reconnected_s: float | None
    """From the detection to the new connection; with origin "healed" from the removal of the last
    fault to it. null if there was none.
    """
    recovered_s: float | None
    """From the moment at which no fault was on any more that ends, to the first data that passed
    then. null if none did, if another fault was injected before, or if no fault ends.
    """
    known_failure: str
    """What is known of a claim that does not hold; empty where it is to hold."""
    claimed: str
    """The whole claim in words."""
    claimed_window_s: WindowS | None
    """The scenario's window, [earliest, latest]; null where it names none."""
    predicted: str | None
    """The outcomes that the oracle predicts, in words; null where it predicts none."""
    predicted_window_s: WindowS | None
    """The oracle's window, [earliest, latest], without the allowance; null where it predicts
    none, or that nothing is detected.
    """
    allowance_s: float
    """How much later than the window may be because of this machine; 0 in virtual time."""
    origin: Origin
    """What all times of this result count from: armed (the options are set), fault (the first one
    is injected), healed (the last one is removed), last-received (the last segment from the living
    peer came).
    """
    probes: int | UnsetType | None = UNSET
    """Probes sent after arming, as captured on the judged end's host. Of idle connections alone;
    with data in flight there is `retransmissions`.
    """
    probes_expected: Counts | UnsetType | None = UNSET
    """How many probes the oracle predicts, [least, most]."""
    retransmissions: int | UnsetType | None = UNSET
    """Retransmissions sent after arming. Of connections with data in flight, or being made."""
    retransmissions_expected: Counts | UnsetType | None = UNSET
    """How many retransmissions the oracle predicts, [least, most]."""
    kernel: str
    """The release of the kernel that ran it."""
    hz: int
    """That kernel's CONFIG_HZ, the resolution of its timers in 1/s."""
    cites: tuple[int, ...]
    """The events that the verdict rests on: their lines in timeline.jsonl, counted from 0."""
    ends: tuple[ScenarioResult, ...]
    """Where both ends are judged, the result of each. The keys beside it are then those of the
    worse end, `side`; `claimed`, `predicted`, `reason` and `cites` are of both.
    """


class VerdictFile(ScenarioResult, frozen=True, kw_only=True):
    """`verdict.json` in a run directory."""

    format: Format
    """The number of this format. It is missing from files that were written before it was."""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `harness run --json` and `harness judge --json`."""

    format: Format
    """The number of this format."""
    verdict: VerdictName
    """The worst of all: fail before inconclusive before pass; inconclusive where nothing ran."""
    retried: int
    """How many scenarios were run more than once."""
    scenarios: tuple[ScenarioResult, ...]
    """The result of each, in the order of the plans."""


class FuzzCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the cases of `harness fuzz`."""

    agreed: int
    """The kernel did what the oracle had predicted."""
    met_nothing: int
    """The same, but a fault met no traffic."""
    unjudged: int
    """The run could not be judged."""
    disagreed: int
    """The kernel did something else."""


class FuzzDisagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A case in which kernel and oracle disagree, made as small as it could be."""

    case: str
    """The name of the case that it was made from."""
    again: bool
    """Whether it came again when it was run on its own."""
    file: str
    """The scenario file."""
    scenario: str
    """The text of that file, TOML."""
    result: ScenarioResult
    """The verdict on it."""


class FuzzReport(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `harness fuzz --json`."""

    format: Format
    """The number of this format."""
    verdict: VerdictName
    """fail: oracle and kernel disagreed; inconclusive: none agreed, or too few were judged."""
    seed: int
    """The same seed draws the same cases."""
    kernel: str
    """The release of the guests' kernel."""
    hz: int
    """That kernel's CONFIG_HZ."""
    cases: int
    """How many were run."""
    agreed: int
    """The kernel did what the oracle had predicted."""
    met_nothing: int
    """The same, but a fault met no traffic."""
    unjudged: int
    """The run could not be judged."""
    disagreed: int
    """The kernel did something else."""
    states: dict[str, FuzzCounts]
    """The same counts by the state of the connection."""
    faults: dict[str, int]
    """How many cases had a fault, by its kind."""
    forestalled: int
    """Drawn, but not run: a fault would have come after the end."""
    refused: dict[str, int]
    """Drawn, but not run: the oracle has no model of them. How often, by reason."""
    unjudged_verdicts: tuple[ScenarioResult, ...]
    """The runs that could not be judged."""
    disagreements: tuple[FuzzDisagreement, ...]
    """The smallest scenario of each disagreement."""


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under one load: what the library documents, and what was measured.

    Times are seconds after `origin`.
    """

    suite: str
    """The suite's name."""
    library: str
    """The package of the library."""
    version: str
    """The version that ran."""
    server: str
    """The server that it ran against."""
    fault: FaultName
    """What happens to the connection or its server."""
    load: str
    """What the client sends meanwhile: idle, trickle, full."""
    origin: Origin
    """What all times count from, as in the results of `harness run`."""
    documents: str
    """What the documentation says, in words."""
    documented_s: WindowS | None
    """The same as a window, [earliest, latest]; null where it promises nothing."""
    source: str
    """Where it says so."""
    measured_s: float | None
    """When the program detected it; null if it did not."""
    reports: str | None
    """The exception or errno that the program got."""
    finding: Finding | None
    """How both compare; null where the run could not be judged, see `reason`."""
    known: bool
    """Whether the suite marks the cell as a known failure."""
    verdict: VerdictName
    """The run's verdict."""
    reason: str
    """The verdict's reason, for people."""


class MatrixReport(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `harness matrix --json`."""

    format: Format
    """The number of this format."""
    circumstances: str
    """Clock, kernel and HZ, in words."""
    cells: tuple[MatrixCell, ...]
    """One for each cell of the suites."""
