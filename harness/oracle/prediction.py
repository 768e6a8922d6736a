"""What the oracle is asked, and what it answers: plain values, for every state of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

OutcomeKind = Literal["detected", "noticed", "eof", "quiet"]
Asking = Literal["probe", "retransmit", "both", "syn"]
"""The role of the segments with which TCP asks a silent peer for a sign of life.

Of SYN those after the first.
"""
NOUNS: dict[Asking, str] = {
    "probe": "probe",
    "retransmit": "retransmission",
    "both": "probe",
    "syn": "retransmission",
}
"""The same in words; where both are sent retransmissions count among the probes."""
MAX_PROBE_WINDOWS = 32
"""Predictions list the windows of this many probes; a live peer is probed for ever."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options on the observed socket, as the kernel holds them; `keepalive` is SO_KEEPALIVE.

    `idle_s`, `interval_s` in whole seconds, `count` in probes, `user_timeout_ms` 0 when not set.
    `retries2`: net.ipv4.tcp_retries2 of its network namespace, which counts without a user timeout.
    """

    idle_s: int = 7200
    interval_s: int = 75
    count: int = 9
    keepalive: bool = True
    user_timeout_ms: int = 0
    retries2: int = 15


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the prediction depends on beside the settings.

    `late_jiffies`: how many jiffies late a timer handler may run (1 on SMP in real time: the timer
    of one CPU waits for another CPU to advance jiffies; 0 in virtual time). `arming_lag_ns`: how
    long after the last segment of the handshake the options may be set. `injection_ns`: how late a
    fault may be injected or healed, or data be written; less than a keepalive interval. `rtt_ns`:
    the longest round trip that the handshake may have measured, from which the first
    retransmission's timeout comes. `write_ns`: how late data may be written. `phase_ns`: the
    instant of arming, since a multiple of every bucket's width, where it is known, up to
    `phase_slack_ns` later.
    """

    hz: int
    late_jiffies: int = 0
    arming_lag_ns: int = 0
    injection_ns: int = 0
    rtt_ns: int = 0
    write_ns: int = 0
    phase_ns: int | None = None
    phase_slack_ns: int = 0

    def in_phase(self, phase_ns: int, slack_ns: int) -> Machine:
        """The same, armed at an instant of choice or up to so much later."""
        return msgspec.structs.replace(self, phase_ns=phase_ns, phase_slack_ns=slack_ns)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One possible end.

    `window_ns` counts from arming; None for "quiet": nothing until the horizon.

    `probes` is how many probes TCP sends before it, as (least, most); `probes_seen` those that
    reach the wire. `rst`: an RST segment leaves this host at the abort. `window_by_probes`: the
    window for each number of probes seen, since `window_ns` spans them all and what lies between
    two of them cannot happen. `since_read_ns`: the same from the last data that came from the peer,
    where that decides ("noticed"). `reconnects_ns`: from the outcome to the connection that takes
    the place of the lost one, None where there is none.
    """

    kind: OutcomeKind
    errno: str | None
    window_ns: tuple[int, int] | None
    probes: tuple[int, int]
    probes_seen: tuple[int, int]
    rst: bool
    why: str
    window_by_probes: dict[int, tuple[int, int] | None] = {}
    since_read_ns: tuple[int, int] | None = None
    reconnects_ns: tuple[int, int] | None = None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can happen until the horizon; more than one outcome where the phase decides.

    `asking`: what counts as a probe here, keepalive's or a retransmission. `probe_windows_ns`: the
    window after arming in which each probe on the wire is sent, earliest first; `probe_gaps_ns`:
    how long each of them but the last is before the next, with no handler late.
    """

    outcomes: tuple[Outcome, ...]
    probe_windows_ns: tuple[tuple[int, int], ...]
    horizon_ns: int
    probe_gaps_ns: tuple[tuple[int, int], ...] = ()
    asking: Asking = "probe"


def hull(windows: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The smallest window that holds them all."""
    return min(low for low, _ in windows), max(high for _, high in windows)
