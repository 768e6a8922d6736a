"""An established connection in one replay: its state, its path, and what the handlers of all its
timers share.
"""

from __future__ import annotations

from harness.oracle.connection_state import ConnectionState, Handler, WriteTimer
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Asked, Case, NoticedAt, Run
from harness.oracle.moment import Moment, When
from harness.oracle.network_path import Path
from harness.oracle.phase_interval import PhaseInterval
from harness.oracle.prediction import OutcomeKind

LONGEST_DELAY_NS = 300_000_000
"""More than an acknowledgement waits: TCP_DELACK_MAX, 200 ms, and what the timer wheel rounds."""


class ModelConnection:
    """What a handler gets: the question `case`, the interval `phase` that its comparisons narrow,
    `state` and `path`.

    `asked`: the segments sent so far that ask for a sign of life; `end`: the end, once it has come.
    No handler reads either to decide what comes next; everything that does decide is in `state`.
    """

    def __init__(self, case: Case, phase: PhaseInterval, state: ConnectionState) -> None:
        self.case, self.phase, self.state = case, phase, state
        self.path = Path(case.network, phase, state)
        self.asked: list[Asked] = []
        self.end: Run | None = None

    def finish(
        self,
        kind: OutcomeKind,
        *,
        errno: str | None = None,
        why: str = "",
        end: NoticedAt | None = None,
        rst: bool = False,
    ) -> None:
        """The connection ends, or the watch is over."""
        self.end = Run(
            kind=kind,
            errno=errno,
            end=end,
            asked=tuple(self.asked),
            rst=rst,
            why=why or "nothing reaches the application",
            drift_ns=self.state.drift_ns,
        )

    def finish_reset(self, when: When, effect: Effect | None, what: str) -> None:
        """A segment is answered with RST."""
        expired = effect is not None and effect.mechanism == "expires"
        who = "the firewall, whose state expired," if expired else "the peer's host"
        self.finish(
            "detected",
            errno="ECONNRESET",
            end=NoticedAt(when),
            why=f"{who} answers {what} with RST",
        )

    def finish_timed_out(self, bucket: int, why: str) -> None:
        """TCP gives up: the error is the soft error, if there is one
        (tcp_timer.c:tcp_write_err).
        """
        self.finish(
            "detected", errno=self.state.soft_errno or "ETIMEDOUT", end=NoticedAt(bucket), why=why
        )

    def set_write_timer(self, handler: Handler, jiffies: int, when: When) -> None:
        """Set the write timer at a moment, or in the handler of a bucket (tcp_reset_xmit_timer)."""
        if isinstance(when, Moment):
            bucket = self.phase.fire_after(when, jiffies)
        else:
            bucket = self.phase.fire(when + self.state.late + jiffies, when + 1)
        self.state.write_timer = WriteTimer(handler, bucket)

    def exchange(self, moment: Moment) -> None:
        """Data comes from the peer, or is acknowledged and comes back as an echo.

        The observer acknowledges the first data at once, later data perhaps only together with data
        of its own (tcp_input.c:__tcp_ack_snd_check, tcp_output.c:tcp_send_delayed_ack).
        """
        self.state.on_acknowledgement(moment)
        self.state.exchanges += 1
        if not self.case.echoes and moment.ns not in self.case.peer_writes_ns:
            return
        waits_ns = LONGEST_DELAY_NS if self.state.exchanges > 1 else 0
        if self.case.network.changes_within(moment.ns, waits_ns):
            raise Unpredictable(
                "a delayed acknowledgement may meet the fault: nothing else is sent so soon "
                "after data"
            )
        self.path.receive(Moment(moment.ns, moment.slack_ns + waits_ns))
