"""What the network does with a segment that the observed side sends, as the effects of faults have it.

`Network` is what is known beforehand; a `Path` goes through one replay with it and remembers what a
middlebox saw.
"""

from __future__ import annotations

from typing import Literal

from harness.oracle.course import Course
from harness.oracle.effects import Effect, Mechanism, Span, Unpredictable, resolve

Fate = Literal["lost-locally", "lost", "reset", "answered"]
UNANSWERED_REPEATS = 3
"""nf_conntrack_tcp_max_retrans: after as many unanswered repeats a flow's timeout falls to ..."""
UNANSWERED_TIMEOUT_S = 300
"""... nf_conntrack_tcp_timeout_max_retrans."""


class Network:
    """Effects sorted by mechanism, each of which may set in and wear off up to `delay_ns` late.

    `closing_ns`: when the peer's FIN arrives, or None where that is not before the horizon.
    Raises Unpredictable for combinations that no phase makes sense of.
    """

    def __init__(self, effects: tuple[Effect, ...], hz: int, delay_ns: int, horizon_ns: int) -> None:
        self.hz, self.delay_ns = hz, delay_ns
        self.spans: dict[Mechanism, list[Span]] = {}
        for span in resolve(effects):
            self.spans.setdefault(span.effect.mechanism, []).append(span)
        for span in self.spans.get("impaired", []):
            raise Unpredictable(span.effect.unknown)
        self.restless = [s for spans in self.spans.values() for s in spans if s.unsettled_ns]
        boxes = self.spans.get("expires", [])
        if len(boxes) > 1:
            raise Unpredictable("more than one middlebox forgets idle flows")
        self.box = boxes[0].effect if boxes else None
        self.box_timeout = round((self.box.timeout_s or 0) * hz) if self.box else 0
        self.closing_ns = self._closing_ns(horizon_ns)

    def _closing_ns(self, horizon_ns: int) -> int | None:
        closing = min((s.from_ns for s in self.spans.get("peer-closed", [])), default=None)
        if closing is None or closing > horizon_ns:
            return None
        cuts: tuple[Mechanism, ...] = ("lost", "lost-locally", "answers-lost", "peer-forgot")
        for span in (s for mechanism in cuts for s in self.spans.get(mechanism, [])):
            begun = span.from_ns <= closing + self.delay_ns
            if begun and (span.until_ns is None or closing < span.until_ns + self.delay_ns):
                raise Unpredictable("the peer's FIN is sent while the path is cut: its retransmission decides")
        return closing


class Path:
    """The fates of segments in one replay, in the order in which they are sent."""

    def __init__(self, network: Network, course: Course) -> None:
        self._network, self._course = network, course
        # The last packet that the middlebox saw for sure (None: of the handshake), and a later one
        # that it saw only if it is nearer than the place where packets are lost.
        self._last: int | None = None
        self._doubtful: int | None = None

    def send(self, bucket: int, unanswered: int) -> tuple[Fate, Effect | None]:
        """The fate of a probe sent by the handler of `bucket`, with the effect that decided it."""
        if any(self._is_unsettled(span, bucket) for span in self._network.restless):
            raise Unpredictable("a probe falls into the moment after a change of carrier; move the fault's time")
        local = self._in_force("lost-locally", bucket)
        if local is not None:
            return "lost-locally", local
        lost = self._in_force("lost", bucket)
        cut = lost or self._in_force("answers-lost", bucket)
        box = self._network.box
        if box is not None:
            if cut is not None and unanswered >= UNANSWERED_REPEATS:
                self._refuse_impatience(bucket)
            if lost is not None:
                self._lose_near(box, bucket)
            elif self._is_forgotten(box, bucket, answered=cut is None):
                return ("reset", box) if box.then == "reset" else ("lost", box)
        if cut is not None:
            return "lost", cut
        forgot = self._in_force("peer-forgot", bucket)
        return ("reset", forgot) if forgot is not None else ("answered", None)

    def is_cut_locally(self, bucket: int) -> bool:
        """Whether a RST sent by the handler of `bucket` stays in the host."""
        for span in self._network.spans.get("lost-locally", []):
            if span.unsettled_ns and self._is_unsettled(span, bucket):
                return self._course.either()
        return self._in_force("lost-locally", bucket) is not None

    def is_closed(self, bucket: int, *, over: bool) -> bool:
        """Whether the peer's FIN has come by `bucket`, or by the horizon where that is `over`."""
        closing, delay = self._network.closing_ns, self._network.delay_ns
        if closing is None or not (over or self._course.passed(bucket, closing, delay)):
            return False
        if self._network.box is not None:
            self._refuse_stale_fin(closing + delay)
        return True

    def _in_force(self, mechanism: Mechanism, bucket: int) -> Effect | None:
        passed, delay = self._course.passed, self._network.delay_ns
        for span in self._network.spans.get(mechanism, ()):
            if passed(bucket, span.from_ns, delay) and (
                span.until_ns is None or not passed(bucket, span.until_ns, delay)
            ):
                return span.effect
        return None

    def _is_unsettled(self, span: Span, bucket: int) -> bool:
        length = span.unsettled_ns + self._network.delay_ns
        return any(
            self._course.passed(bucket, edge) and not self._course.passed(bucket, edge + length)
            for edge in span.edges_ns
        )

    def _is_forgotten(self, box: Effect, bucket: int, *, answered: bool) -> bool:
        """Whether the middlebox finds no state for a packet; a packet that finds it renews it."""
        timeout, waited = self._network.box_timeout, self._course.waited
        if not waited(bucket, self._last, timeout):
            self._last, self._doubtful = bucket, None
            return False
        if self._doubtful is not None and not waited(bucket, self._doubtful, timeout):
            raise Unpredictable("whether the middlebox saw the probes that were lost decides if it has expired")
        if box.then == "reset" and not answered:
            raise Unpredictable("a middlebox answers with RST while answers are lost on the way")
        return True

    def _lose_near(self, box: Effect, bucket: int) -> None:
        """A packet is lost, before the middlebox or beyond it."""
        if not self._course.waited(bucket, self._latest, self._network.box_timeout):
            self._doubtful = bucket
        elif box.then == "reset":
            raise Unpredictable("whether a probe is lost before or beyond the expired middlebox decides if RST comes")

    @property
    def _latest(self) -> int | None:
        return self._last if self._doubtful is None else self._doubtful

    def _refuse_impatience(self, bucket: int) -> None:
        """Repeats that go unanswered shorten the middlebox's timeout, where it sees them."""
        shortened = UNANSWERED_TIMEOUT_S * self._network.hz
        if self._network.box_timeout > shortened and self._course.waited(bucket, self._latest, shortened):
            raise Unpredictable(f"a middlebox forgets unanswered repeats after {UNANSWERED_TIMEOUT_S} s")

    def _refuse_stale_fin(self, fin_ns: int) -> None:
        """A FIN that comes `fin_ns` after arming must not find the flow forgotten."""
        course = self._course
        waits_ns = fin_ns + course.lag * course.tick
        if self._last is not None:
            waits_ns = course.armed_ns + fin_ns - self._last * course.tick
        room_ns = (self._network.box_timeout - 1) * course.tick - waits_ns - 1
        if room_ns < 0:
            raise Unpredictable("the peer's FIN may come when the middlebox has forgotten the flow")
        if self._last is not None:
            course.limit(room_ns, of_first=self._last == course.first_probe)
