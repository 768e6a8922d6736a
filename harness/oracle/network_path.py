"""What the network does with a segment that the observed side sends, as the effects of faults have
it.

`Network` is what is known beforehand. A `Path` decides, in one replay, the fate of each segment.
"""

from __future__ import annotations

import msgspec

from harness.oracle.connection_state import ConnectionState, Decided, MiddleboxMemory
from harness.oracle.effects import Effect, Mechanism, Span, Unpredictable, resolve
from harness.oracle.moment import Moment, When
from harness.oracle.phase_interval import Branch, PhaseInterval

UNANSWERED_REPEATS = 3
"""nf_conntrack_tcp_max_retrans: after as many unanswered repeats a flow's timeout falls to ..."""
UNANSWERED_TIMEOUT_S = 300
"""... nf_conntrack_tcp_timeout_max_retrans."""
CUTS: tuple[Mechanism, ...] = ("lost", "lost-locally", "answers-lost", "peer-forgot")
"""Through these nothing of the connection comes."""


class Network:
    """Effects sorted by mechanism, each of which may set in and wear off up to `delay_ns` late.

    `closing_ns`, `reset_ns`: when the peer's FIN, or an RST, arrives, or None where that is not
    before the horizon. `quiet_from_ns`: from when on nothing changes any more. Raises Unpredictable
    for combinations that no phase makes sense of.
    """

    def __init__(
        self, effects: tuple[Effect, ...], hz: int, delay_ns: int, horizon_ns: int
    ) -> None:
        self.hz, self.delay_ns = hz, delay_ns
        self.spans: dict[Mechanism, list[Span]] = {}
        for span in resolve(effects):
            self.spans.setdefault(span.effect.mechanism, []).append(span)
        for span in self.spans.get("impaired", []):
            raise Unpredictable(span.effect.unknown)
        self.restless = [s for spans in self.spans.values() for s in spans if s.unsettled_ns]
        self.boxes = [span.effect for span in self.spans.get("expires", [])]
        if len(self.boxes) > 1 and any(box.then == "reset-both" for box in self.boxes):
            raise Unpredictable(
                "one of several middleboxes resets both ends when it drops the state of the flow"
            )
        if self.boxes and "challenged" in self.spans:
            raise Unpredictable("a challenge ACK may renew what a middlebox knows of the flow")
        if "challenged" in self.spans and "peer-forgot" in self.spans:
            raise Unpredictable(
                "a challenge ACK may meet who knows nothing of the connection, and be "
                "answered by RST"
            )
        if any(box.then == "reset-both" for box in self.boxes) and any(
            self.spans.get(cut) for cut in CUTS
        ):
            raise Unpredictable(
                "where packets are lost decides what a middlebox that resets both ends sees"
            )
        edges = [
            edge + span.unsettled_ns
            for spans in self.spans.values()
            for span in spans
            for edge in span.edges_ns
        ]
        self.quiet_from_ns = max(edges, default=0) + delay_ns
        self.closing_ns = self._arrives_ns("peer-closed", horizon_ns, "the peer's FIN")
        self.reset_ns = self._arrives_ns("peer-reset", horizon_ns, "the RST")

    def box_timeout(self, box: Effect) -> int:
        """In jiffies."""
        return round((box.timeout_s or 0) * self.hz)

    def is_cut_at(self, ns: int) -> bool:
        """Whether anything stands in the way at a moment, or may."""
        spans = (span for mechanism in CUTS for span in self.spans.get(mechanism, []))
        return any(
            span.from_ns <= ns + self.delay_ns
            and (span.until_ns is None or ns < span.until_ns + self.delay_ns)
            for span in spans
        )

    def may_stand_still(self, moment: Moment) -> bool:
        """Whether the peer's program is stopped then, or may be."""
        begin, end = moment.ns, moment.ns + moment.slack_ns
        return any(
            span.from_ns <= end and (span.until_ns is None or begin < span.until_ns + self.delay_ns)
            for span in self.spans.get("peer-frozen", [])
        )

    def changes_within(self, ns: int, length_ns: int) -> bool:
        """Whether what becomes of a segment changes in a length of time, or may."""
        edges = (
            edge
            for mechanism in CUTS
            for span in self.spans.get(mechanism, [])
            for edge in span.edges_ns
        )
        return any(ns < edge + self.delay_ns and edge <= ns + length_ns for edge in edges)

    def _arrives_ns(self, mechanism: Mechanism, horizon_ns: int, what: str) -> int | None:
        sent = min((s.from_ns for s in self.spans.get(mechanism, [])), default=None)
        if sent is None or sent > horizon_ns:
            return None
        if self.is_cut_at(sent):
            raise Unpredictable(f"{what} is sent while the path is cut: its retransmission decides")
        return sent


class Path:
    """The fates of segments in one replay, in the order in which they are sent.

    What earlier segments left behind is in the connection's state: `middleboxes` and `settled`. A
    method that returns a fate, or a `Branch`, decides it for this replay, see `PhaseInterval`.
    """

    def __init__(self, network: Network, phase: PhaseInterval, state: ConnectionState) -> None:
        self._network, self._phase, self._state = network, phase, state
        self._boxes = [
            _Middlebox(effect, network, phase, state, place)
            for place, effect in enumerate(network.boxes)
        ]

    @property
    def last_seen(self) -> When | None:
        """The last packet that the nearest middlebox saw for sure; None: of the handshake."""
        return self._state.middleboxes[0].last

    def send(self, when: When, unanswered: int) -> Decided:
        """The fate of what is sent in the handler of a bucket or by the program, with the effect
        that decides it.
        """
        if self._state.settled is not None:
            return self._state.settled
        decided = self._send(when, unanswered)
        if not self._boxes and self._phase.decide_surely_past(when, self._network.quiet_from_ns):
            self._state.settled = decided
        return decided

    def _send(self, when: When, unanswered: int) -> Decided:
        if self._first_in_force("parked", when) is not None:
            raise Unpredictable(
                "what is sent waits until a neighbour is known again, and comes late"
            )
        if any(self._decide_unsettled(span, when) for span in self._network.restless):
            raise Unpredictable(
                "a probe falls into the moment after a change of carrier; move the fault's time"
            )
        local = self.lost_locally(when)
        if local is not None:
            return "lost-locally", local
        lost = self._first_in_force("lost", when)
        cut = lost or self._first_in_force("answers-lost", when)
        for box in self._boxes:
            if cut is not None and unanswered >= UNANSWERED_REPEATS:
                box.refuse_impatience(when, UNANSWERED_TIMEOUT_S * self._network.hz)
            if lost is not None:
                box.lose_near(when)
            elif box.decide_forgotten(when, answered=cut is None):
                return ("reset", box.effect) if box.effect.then != "drop" else ("lost", box.effect)
        forgot = self._first_in_force("peer-forgot", when)
        if cut is not None:
            if forgot is not None and forgot.midway:
                raise Unpredictable(
                    "which comes first on the way, what cuts it or what has dropped its state"
                )
            return "lost", self._doubted(cut, when)
        return ("reset", forgot) if forgot is not None else ("answered", None)

    def receive(self, when: When) -> None:
        """The peer sends, and all middleboxes see it."""
        for box in self._boxes:
            if box.decide_forgotten(when, answered=True):
                raise Unpredictable(
                    "the peer writes when a middlebox has dropped the state of the flow"
                )

    def lost_locally(self, when: When) -> Effect | None:
        """What keeps the host from sending.

        Raises Unpredictable where several things do, with different errors.
        """
        spans = self._network.spans.get("lost-locally", [])
        found = [span.effect for span in spans if self._decide_in_force(span, when)]
        if len({(effect.errno, effect.swallowed) for effect in found}) > 1:
            raise Unpredictable(
                "several things keep the host from sending, and which error it is depends on "
                "all of them"
            )
        return found[0] if found else None

    def lost_at_the_end(self, bucket: int) -> Effect | None:
        """What keeps a RST that is sent by the handler of `bucket` in the host."""
        for span in self._network.spans.get("lost-locally", []):
            if span.unsettled_ns and self._decide_unsettled(span, bucket):
                return span.effect if self._phase.fork() else None
        return self.lost_locally(bucket)

    def arrive(self, what: str, sent_ns: int) -> None:
        """The peer's FIN, or an RST, comes through.

        Raises Unpredictable where a middlebox may be in its way.
        """
        for box in self._boxes:
            box.refuse_stale(what, sent_ns + self._network.delay_ns)

    def _doubted(self, cut: Effect, when: When) -> Effect:
        """The effect, with a doubt if there is another: an ICMP error may not be sent then, or be
        lost itself.
        """
        cuts = [
            span
            for mechanism in ("lost", "answers-lost")
            for span in self._network.spans.get(mechanism, ())
        ]
        if len(cuts) == 1 or not any(span.effect.reported for span in cuts):
            return cut
        if sum(self._decide_in_force(span, when) for span in cuts) == 1:
            return cut
        return msgspec.structs.replace(
            cut, unknown="of two cuts one decides if an ICMP error comes back"
        )

    def _first_in_force(self, mechanism: Mechanism, when: When) -> Effect | None:
        spans = self._network.spans.get(mechanism, ())
        return next((span.effect for span in spans if self._decide_in_force(span, when)), None)

    def _decide_in_force(self, span: Span, when: When) -> Branch:
        decide_past, delay = self._phase.decide_past, self._network.delay_ns
        begun = decide_past(when, span.from_ns, delay)
        return begun and (span.until_ns is None or not decide_past(when, span.until_ns, delay))

    def _decide_unsettled(self, span: Span, when: When) -> Branch:
        decide_past, length = self._phase.decide_past, span.unsettled_ns + self._network.delay_ns
        return any(
            decide_past(when, edge) and not decide_past(when, edge + length)
            for edge in span.edges_ns
        )


class _Middlebox:
    """A stateful middlebox, whose memory of the flow is at `place` in the connection's state."""

    def __init__(
        self,
        effect: Effect,
        network: Network,
        phase: PhaseInterval,
        state: ConnectionState,
        place: int,
    ) -> None:
        self.effect, self._timeout = effect, network.box_timeout(effect)
        self._phase, self._state, self._place = phase, state, place

    def _remember(self, last: When | None, doubtful: When | None = None) -> None:
        memories, place, memory = (
            self._state.middleboxes,
            self._place,
            MiddleboxMemory(last, doubtful),
        )
        self._state.middleboxes = (
            (memory,) if len(memories) == 1 else (*memories[:place], memory, *memories[place + 1 :])
        )

    def decide_forgotten(self, when: When, *, answered: bool) -> Branch:
        """Decide whether the middlebox finds no state for a packet.

        A packet that finds it renews it.
        """
        known = self._state.middleboxes[self._place]
        if not self._phase.decide_waited(when, known.last, self._timeout):
            self._remember(when)
            return False
        if known.doubtful is not None and not self._phase.decide_waited(
            when, known.doubtful, self._timeout
        ):
            raise Unpredictable(
                "whether the middlebox saw the probes that were lost decides if it has expired"
            )
        if self.effect.then != "drop" and not answered:
            raise Unpredictable("a middlebox answers with RST while answers are lost on the way")
        return True

    def lose_near(self, when: When) -> None:
        """A packet is lost, before the middlebox or beyond it."""
        known = self._state.middleboxes[self._place]
        if not self._phase.decide_waited(when, known.latest, self._timeout):
            self._remember(known.last, doubtful=when)
        elif self.effect.then != "drop":
            raise Unpredictable(
                "whether a probe is lost before or beyond the expired middlebox decides if "
                "RST comes"
            )

    def refuse_impatience(self, when: When, shortened: int) -> None:
        """Repeats that go unanswered shorten the timeout, to so many jiffies, where the middlebox
        sees them.
        """
        known = self._state.middleboxes[self._place]
        if self._timeout > shortened and self._phase.decide_waited(when, known.latest, shortened):
            raise Unpredictable(
                "conntrack shortens the timeout of a flow with repeated unanswered packets to "
                f"{UNANSWERED_TIMEOUT_S} s (nf_conntrack_tcp_max_retrans), and the next packet "
                "comes later than that"
            )

    def refuse_stale(self, what: str, sent_ns: int) -> None:
        """What the peer sends so long after arming must not find the flow forgotten."""
        phase, last = self._phase, self._state.middleboxes[self._place].last
        if last is None:
            waits_ns = sent_ns + phase.lag * phase.tick
        elif isinstance(last, Moment):
            waits_ns = sent_ns - last.ns + phase.tick
        else:
            waits_ns = phase.armed_ns + sent_ns - last * phase.tick
        room_ns = (self._timeout - 1) * phase.tick - waits_ns - 1
        if room_ns < 0:
            raise Unpredictable(
                f"{what} may come when the middlebox has dropped the state of the flow"
            )
        if isinstance(last, int):
            phase.limit(room_ns, of_first=last == phase.first_probe)
