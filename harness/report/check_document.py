"""The JSON document of `harness check` as types, from which `harness schema check` is made."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.policy.check import Unanswered
from harness.policy.overview import Overview
from harness.policy.proof import Comparison, End, Kind
from harness.policy.rule import Default, Level, WindowSeconds

Format = Literal[1]
FORMAT: Format = 1
"""Of this document, and of that of `harness audit`."""


class CheckedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one connection, as the kernel has them."""

    name: str
    """Its name in the file."""
    file: str | None
    """The file; null for options."""
    line: int | None
    """Its line, from 1."""
    column: int | None
    """Its column, from 1."""
    keepalive: bool
    """SO_KEEPALIVE."""
    idle_s: int
    """TCP_KEEPIDLE, seconds."""
    interval_s: int
    """TCP_KEEPINTVL, seconds."""
    count: int
    """TCP_KEEPCNT."""
    user_timeout_s: float
    """TCP_USER_TIMEOUT, seconds; 0: not set."""
    overview: Overview | None
    """The answers to five questions; null where the oracle has none."""


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule finds wrong."""

    rule: str
    """The rule: KA003."""
    level: Level
    """error: a demand is not met; warning: the settings mislead, or break soon; note: no
    failure.
    """
    title: str
    """The rule's title."""
    connection: str
    """The name of the connection."""
    file: str | None
    """The file of the value that causes it; null for options."""
    line: int | None
    """Its line, from 1."""
    column: int | None
    """Its column, from 1."""
    expected: str
    """What is expected, in words."""
    found: str
    """What is found, in words."""
    fix: str
    """How to fix it, in words."""
    hz: tuple[int, ...]
    """The values of CONFIG_HZ for which it is so; empty where that has no say."""
    window_s: WindowSeconds | None
    """The figure in `found` in seconds, [earliest, latest]; latest is null where the earliest
    decides.
    """
    defaults: tuple[Default, ...]
    """The values that it rests on and that nobody stated."""


class SuppressedFinding(CheckFinding, frozen=True, kw_only=True):
    """A finding that the policy ignores."""

    reason: str
    """Why, as the policy says."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction beside its measurement in virtual time. Times are in seconds."""

    connection: str
    """The name of the connection."""
    kind: Kind
    """idle, in-flight: when is a dead peer detected? path: is a packet sent before a device drops
    its state? outage-idle, outage-in-flight: is an outage survived?
    """
    question: str
    """The same in words."""
    hz: int
    """CONFIG_HZ of the kernel."""
    predicted: End | None
    """What becomes of the connection; null where the oracle has no answer."""
    by_program: bool
    """Whether the program's own timeout decides: that is not measured."""
    predicted_s: tuple[float, float] | None
    """When, [earliest, latest]; null where there is no such moment."""
    measured: Literal["kept", "lost"] | None
    """What became of it; null where nothing was measured."""
    measured_s: float | None
    """When; null where there was no such moment."""
    how: str | None
    """The errno, or what gave the peer up."""
    result: Comparison
    """confirmed; refuted; not-shown: a loss was possible, and did not come; not-proven."""
    why: str
    """What contradicts it, or why it could not be tried."""
    run: str | None
    """Its run directory, below `folder`."""


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """All predictions with their measurements."""

    proofs: tuple[Trial, ...]
    """In the order of the connections."""
    missing_hz: tuple[int, ...]
    """The values of CONFIG_HZ for which no kernel is built."""
    folder: str
    """Has the run directories; empty where nothing ran."""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `harness check --output-format json`."""

    format: Format
    """The number of this format."""
    exit_status: int
    """The exit status of the command."""
    connections: tuple[CheckedConnection, ...]
    """The connections, in the order of the files."""
    findings: tuple[CheckFinding, ...]
    """What is wrong, the worst first."""
    suppressed: tuple[SuppressedFinding, ...]
    """What is ignored."""
    proof: Trials | None
    """The measurements of --prove; null without it."""
    unanswered: tuple[Unanswered, ...]
    """The rules that could not be applied."""
