"""The state of an established connection: every value on which the rest of a replay depends.

A replay keeps no other state. The key under which the rest of a replay is remembered is the tuple
of all fields, so a new field belongs to the key without being listed anywhere.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from harness.oracle.effects import Effect
from harness.oracle.moment import When

Fate = Literal["lost-locally", "lost", "reset", "answered"]
"""What becomes of a segment."""
Decided = tuple[Fate, Effect | None]
"""A fate, with the effect that decides it."""
Handler = Literal["loss-probe", "retransmit", "probe"]
"""What the write timer runs (icsk_pending: ICSK_TIME_LOSS_PROBE, ICSK_TIME_RETRANS,
ICSK_TIME_PROBE0).
"""
StateKey = tuple[object, ...]
"""A whole state as one hashable value."""


class WriteTimer(NamedTuple):
    """The write timer (icsk_retransmit_timer): its handler runs in the jiffy `bucket`."""

    handler: Handler
    bucket: int


class MiddleboxMemory(msgspec.Struct, frozen=True):
    """What a middlebox knows of the flow.

    `last`: the last packet that it saw for sure; None: the last of the handshake. `doubtful`: a
    later packet that was lost on the way, before the middlebox or beyond it.
    """

    last: When | None = None
    doubtful: When | None = None

    @property
    def latest(self) -> When | None:
        """The last packet that it saw, if it saw the doubtful one."""
        return self.last if self.doubtful is None else self.doubtful


class ConnectionState(msgspec.Struct, kw_only=True):
    """The state of one connection; names as in struct tcp_sock where there is one.

    Every field is hashable.

    `late`: how many jiffies after its bucket every handler sets the next timer. `drift_ns`: by how
    much later everything may come from now on, because the program's own moments may come later.
    `next_planned`: the place in `Case.planned` of what the programs do next.

    Keepalive. `keepalive`: the bucket of its timer. `is_first_keepalive`: its timer still runs from
    arming, and its bucket has not been asked for. `received`: when the last segment came from the
    peer. `is_rearmed`: the timer runs for the rest of the idle time after that segment.
    `probes_out`: unanswered probes, of keepalive or of data that cannot be sent. `soft_errno`:
    sk_err_soft.

    Data. `is_in_flight`: sent and not acknowledged. `is_queued`: written and not sent.
    `is_on_wire`: what is in flight has left the host once. `is_fin`: what is in flight is a FIN.
    `is_loss_probe_counted`: a loss probe was sent that has not ended yet (tlp_high_seq).
    `is_reverted`: an ICMP error takes back the back-off of the last retransmission. `delivered`:
    the bucket in which data was last acknowledged by the answer to a repetition. `exchanges`: how
    often data was acknowledged. `is_ack_delayed`: the peer delayed an acknowledgement. `base`: the
    retransmission timeout without back-off. `srtt`: the smoothed round trip in eighths of a
    microsecond.

    `icmp_tokens`, `icmp_last`: the limit of ICMP errors, see `harness.oracle.icmp_limits`.
    `middleboxes`: the memory of each. `settled`: the fate of every further segment, once no fault
    changes any more.
    """

    late: int
    drift_ns: int = 0
    next_planned: int = 0

    keepalive: int | None = None
    is_first_keepalive: bool
    received: When | None = None
    is_rearmed: bool = False
    probes_out: int = 0
    soft_errno: str | None = None

    write_timer: WriteTimer | None = None
    is_in_flight: bool = False
    is_queued: bool = False
    is_on_wire: bool = False
    is_fin: bool = False
    is_loss_probe_counted: bool = False
    is_reverted: bool = False
    delivered: int | None = None
    exchanges: int = 0
    is_ack_delayed: bool = False
    retransmits: int = 0
    backoff: int = 0
    retrans_stamp: int | None = None
    probes_stamp: int | None = None
    srtt: int = 1
    rto: int = 0
    base: int = 0

    icmp_tokens: int
    icmp_last: int = 0
    middleboxes: tuple[MiddleboxMemory, ...] = ()
    settled: Decided | None = None

    def key(self) -> StateKey:
        """All fields: connections with equal keys have the same future, apart from the instant of
        arming.
        """
        return msgspec.structs.astuple(self)

    def on_acknowledgement(self, when: When) -> None:
        """A segment from the peer acknowledges everything that was sent (tcp_input.c:tcp_ack)."""
        self.received, self.is_rearmed, self.probes_out, self.soft_errno = when, False, 0, None

    def measure_round_trip(self, sample_us: int) -> None:
        """Take a sample into the smoothed round trip (tcp_input.c:tcp_rtt_estimator, the part that
        matters here).
        """
        self.srtt = max(1, self.srtt + sample_us - (self.srtt >> 3))
