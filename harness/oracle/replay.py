"""The timers of an established connection, followed from one arming instant: net/ipv4/tcp_timer.c as a replay.

Three timers watch a peer that says nothing. Keepalive asks while nothing is to be sent; data in flight has the loss
probe and then the retransmission timer; data that cannot be sent has the probe timer. Keepalive stands back for the
other two. What they share is shared here as in the kernel: unanswered probes, the time of the last segment received,
the soft error. Data is a few bytes, less than a segment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from harness.oracle import timerwheel
from harness.oracle.backoff import LEAST_TIMEOUT_US, LONGEST_TIMEOUT_S, RETRIES
from harness.oracle.case import Asked, Case, End, Planned, Run, Tail
from harness.oracle.course import Course, Moment, When
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.path import Fate, Path
from harness.oracle.prediction import OutcomeKind

LEAST_WAIT = 2
"""TCP_TIMEOUT_MIN, in jiffies."""
RETRANSMITTED_SAMPLE_US = 1000
"""The round trip that the echo of a timestamp tells is at least one of its ticks (tcp_input.c:tcp_rtt_tsopt_us)."""
LONGEST_DELAY_NS = 300_000_000
"""More than an acknowledgement waits: TCP_DELACK_MAX, 200 ms, and what the timer wheel rounds."""
ICMP_BURST = 6
"""XRLIM_BURST_FACTOR (net/ipv4/inetpeer.c:inet_peer_xrlim_allow): so many ICMP errors at once, then one a time."""

ROUTE_BURST = 5
"""The same of errors about routes (net/ipv4/route.c:ip_rt_error_burst)."""
COUNTED = 256
"""icsk_retransmits has 8 bits: after so many retransmissions there seem to have been none, once."""


class _Timer(NamedTuple):
    """The write timer: what runs in which bucket."""

    handler: Callable[[int], None]
    bucket: int


def follow(case: Case, course: Course, late: int) -> Run:
    """Follow the timers from arming until something is noticed or the horizon passes.

    Every handler sets the next expiry as if it ran `late` jiffies after its bucket.
    """
    return _Replay(case, course, late).follow()


class _Replay:
    """The state of one replay; names as in struct tcp_sock where there is one."""

    def __init__(self, case: Case, course: Course, late: int) -> None:
        self.case, self.course, self.late = case, course, late
        self.path = Path(case.network, course)
        self.planned = list(case.planned)
        self.asked: list[Asked] = []
        self.end: Run | None = None
        self.received: When | None = None
        self.rearmed = False
        self.probes_out = 0
        self.soft_errno: str | None = None
        self.keepalive: int | None = None
        self.first_keepalive = case.settings.keepalive
        self.probe_counts = False
        self.timer: _Timer | None = None
        self.in_flight = self.queued = self.on_wire = self.is_fin = False
        self.retransmits = self.backoff = 0
        self.delivered: int | None = None
        self.exchanges = 0
        self.delays = False
        self.retrans_stamp: int | None = None
        self.probes_stamp: int | None = None
        self.srtt = 1
        self.rto = self.base = 0
        self.reverted = False
        self.icmp_tokens, self.icmp_last = ICMP_BURST * case.longest, 0

    def follow(self) -> Run:
        while self.end is None:
            self.case.spend()
            self._step()
        return self.end

    # --- what comes next -------------------------------------------------------------------------------

    def _step(self) -> None:
        timer = self._due_timer()
        bucket = self.keepalive if timer is None else timer.bucket
        over = bucket is None or self.course.passed(bucket, self.case.horizon_ns + 1)
        if self.planned and (over or self._comes_first(self.planned[0].moment, bucket)):
            self._happen(self.planned.pop(0))
        elif over:
            if not self._box_resets(Moment(self.case.horizon_ns)):
                self._finish("quiet")
        elif bucket is not None and not self._box_resets(bucket):
            if timer is None:
                self._on_keepalive(bucket)
            else:
                self.timer = None
                timer.handler(bucket)

    def _due_timer(self) -> _Timer | None:
        """The write timer where it is due first; else None, and keepalive's bucket is known if there is one.

        Where keepalive's bucket lies is asked for no earlier than it matters, since that narrows the phases: not before
        other moments that come first for sure, and not while there is data to be sent.
        """
        if self.in_flight or self.queued:
            return self.timer
        earliest = self._after_data(self.keepalive)
        if self.first_keepalive:
            first_ns = self.case.idle * self.case.tick
            if self.planned and self.planned[0].moment.ns + self.planned[0].moment.slack_ns <= first_ns:
                return self.timer or _Timer(self._on_probe, 1 << 61)
            earliest = self.course.armed + self.case.idle + 1
        if self.timer is not None and (earliest is None or self.timer.bucket <= earliest):
            return self.timer
        if self.first_keepalive:
            self.first_keepalive = False
            self.keepalive = self.course.fire_armed(self.case.idle)
            return self._due_timer()
        return None

    def _after_data(self, keepalive: int | None) -> int | None:
        """Keepalive's bucket, put off for the full idle time as often as it came while there was data to be sent."""
        while keepalive is not None and self.delivered is not None and keepalive < self.delivered:
            keepalive = self.course.fire(keepalive + self.late + self.case.idle, keepalive + 1)
        self.keepalive = keepalive
        return keepalive

    def _comes_first(self, moment: Moment, bucket: int | None) -> bool:
        return bucket is None or self.course.passed(bucket, moment.ns, moment.slack_ns)

    def _happen(self, planned: Planned) -> None:
        moment = planned.moment
        if planned.kind == "fin":
            self.path.arrive("the peer's FIN", moment.ns)
            self._finish("eof", why="the peer's kernel sends FIN when its process ends", end=End(moment))
            return
        if planned.kind == "rst":
            self.path.arrive("the RST", moment.ns)
            self._finish("detected", errno="ECONNRESET", why="an RST arrives", end=End(moment))
            return
        if self._box_resets(moment):
            return
        if moment.slack_ns > self.case.tick:
            self.course.drift_ns = moment.slack_ns
        if planned.kind in ("write", "shut"):
            if planned.kind == "shut" and (self.in_flight or self.queued):
                raise Unpredictable("the writing direction is shut while data is in flight")
            self.is_fin = planned.kind == "shut"
            self._write(moment)
        elif self.case.network.is_cut_at(moment.ns):
            raise Unpredictable("the peer writes while the path is cut: its retransmissions decide")
        elif self.queued and not self.in_flight:
            raise Unpredictable("the peer writes, and what was kept back goes with the acknowledgement")
        else:
            self._exchange(moment)

    def _box_resets(self, when: When) -> bool:
        """Whether a middlebox that resets both ends has forgotten the flow by then."""
        box = next(iter(self.case.network.boxes), None)
        if box is None or box.then != "reset-both":
            return False
        timeout, last = self.case.network.box_timeout(box), self.path.last_seen
        if not self.course.waited(when, last, timeout):
            return False
        timeout_ns = round((box.timeout_s or 0) * 1e9)
        # The handshake's last segment comes a little before arming, which takes some readings of the clock.
        lag_ns = max(self.case.machine.arming_lag_ns, self.case.write_slack_ns)
        # Its own program sees that segment some readings later, for which real time has left room already.
        seen_ns = 0 if self.case.machine.arming_lag_ns else self.case.write_slack_ns
        end = End(Moment(-lag_ns, lag_ns + seen_ns) if last is None else last, timeout_ns)
        self._finish("detected", errno="ECONNRESET", why="the firewall, whose state expired, resets both ends", end=end)
        return True

    def _finish(
        self, kind: OutcomeKind, *, errno: str | None = None, why: str = "", end: End | None = None, rst: bool = False
    ) -> None:
        self.end = Run(
            kind=kind,
            errno=errno,
            end=end,
            asked=tuple(self.asked),
            rst=rst,
            why=why or "nothing reaches the application",
            drift_ns=self.course.drift_ns,
        )

    def _hear(self, when: When) -> None:
        """A segment from the peer acknowledges all there is (tcp_input.c:tcp_ack)."""
        self.received, self.rearmed, self.probes_out, self.soft_errno = when, False, 0, None

    def _delays(self, moment: Moment) -> bool:
        """Whether the peer's kernel waits for its program to answer what it acknowledges, in vain.

        It does so after a first answer (tcp_output.c:tcp_event_data_sent, inet_csk_inc_pingpong_cnt).
        """
        return self.case.echoes and self.exchanges > 0 and self.case.network.may_stand_still(moment)

    def _delayed(self, moment: Moment) -> Moment:
        if self.case.machine.phase_ns is not None:
            raise Unpredictable("the peer's program stands still, and its kernel acknowledges at an unknown time")
        self.delays = True
        self.course.drift_ns = moment.slack_ns + LONGEST_DELAY_NS
        return Moment(moment.ns, self.course.drift_ns)

    def _exchange(self, moment: Moment) -> None:
        """Data comes from the peer, or is acknowledged and comes back as an echo.

        The observer's own acknowledgement of it is sent at once the first time; later it may wait for data to go with
        (tcp_input.c:__tcp_ack_snd_check, tcp_output.c:tcp_send_delayed_ack).
        """
        self._hear(moment)
        self.exchanges += 1
        if not self.case.echoes and moment.ns not in self.case.peer_writes_ns:
            return
        waits_ns = LONGEST_DELAY_NS if self.exchanges > 1 else 0
        if self.case.network.changes_within(moment.ns, waits_ns):
            raise Unpredictable("a delayed acknowledgement may meet the fault: nothing else is sent so soon after data")
        self.path.receive(Moment(moment.ns, moment.slack_ns + waits_ns))

    def _set(self, handler: Callable[[int], None], jiffies: int, when: When) -> None:
        if isinstance(when, Moment):
            bucket = self.course.fire_after(when, jiffies)
        else:
            bucket = self.course.fire(when + self.late + jiffies, when + 1)
        self.timer = _Timer(handler, bucket)

    # --- keepalive -------------------------------------------------------------------------------------

    def _on_keepalive(self, bucket: int) -> None:
        """tcp_timer.c:tcp_keepalive_timer."""
        case, course = self.case, self.course
        # Before the first answer the elapsed time holds the idle time, and after an answer to the
        # first probe it does wherever there are several rows: the interval is the longer one then.
        # A timer that was set for the rest of the idle time comes when all of it is over.
        received = self.received
        if isinstance(received, Moment) and not self.rearmed and not course.waited(bucket, received, case.idle):
            self.keepalive, self.rearmed = course.fire_after(received, case.idle, bucket + 1), True
        elif isinstance(received, int) and bucket - received < case.idle:
            self.keepalive = course.fire(received + self.late + case.idle, bucket + 1)
        elif self._gives_up(bucket):
            self._abort(bucket)
        else:
            self._probe(bucket)
            self.keepalive = None if self.end else course.fire(bucket + self.late + case.interval, bucket + 1)

    def _abort(self, bucket: int) -> None:
        """An RST, then the error: what the RST meets in its own host is the last soft error (inet6_csk_xmit)."""
        local = self.path.lost_at_the_end(bucket)
        self.soft_errno = (local.errno if local else None) or self.soft_errno
        why = self._reason()
        self._finish("detected", errno=self.soft_errno or "ETIMEDOUT", end=End(bucket), rst=local is None, why=why)

    def _gives_up(self, bucket: int) -> bool:
        """TCP_USER_TIMEOUT replaces the count, and needs one unanswered probe."""
        if self.case.user_timeout:
            return self.probes_out > 0 and self.course.waited(bucket, self.received, self.case.user_timeout)
        return self.probes_out >= self.case.settings.count

    def _probe(self, bucket: int) -> None:
        if self.course.first_probe is None and not self.asked:
            self.course.first_probe = bucket
        fate, effect = self.path.send(bucket, self.probes_out)
        local = fate == "lost-locally"
        self.asked.append(Asked(bucket, "probe", not local))
        if fate == "reset":
            why = f"{_resetter(effect)} answers probe {self.probes_out + 1} with RST"
            self._finish("detected", errno="ECONNRESET", end=End(bucket), why=why)
        elif fate == "answered":
            self._hear(bucket)
        else:
            self.probes_out += 1
            self.soft_errno = (effect.errno if effect and local else None) or self.soft_errno
            if (
                effect is not None
            ):  # an idle connection does not heed the error, but it counts among those that are sent
                self._is_answered(effect, bucket)

    def _reason(self) -> str:
        settings = self.case.settings
        text = f"{self.probes_out} {'probe' if self.probes_out == 1 else 'probes'} unanswered"
        if settings.user_timeout_ms:
            text = f"TCP_USER_TIMEOUT of {settings.user_timeout_ms / 1000:g} s passed with {text}"
        if self.soft_errno:
            text += f"; the soft error {self.soft_errno} of the last failed probe is reported"
        return text

    # --- data in flight --------------------------------------------------------------------------------

    def _write(self, moment: Moment) -> None:
        """A few bytes: sent at once, or kept back while others are in flight (Nagle, RFC 1122 4.2.3.4)."""
        if self.timer is not None and self.timer.handler == self._on_loss_probe:
            raise Unpredictable("data is written again before the loss probe of what was written before")
        if self.in_flight:
            self.queued = True
            return
        fate, effect = self.path.send(moment, 0)
        if self.queued:
            self._write_more(fate, effect)
            return
        if fate == "reset":
            why = f"{_resetter(effect)} answers the data with RST"
            self._finish("detected", errno="ECONNRESET", end=End(moment), why=why)
        elif fate == "answered" and self.is_fin:
            self._acknowledge_fin(moment)
        elif fate == "answered":
            self.probe_counts = False
            self._exchange(self._delayed(moment) if self._delays(moment) else moment)
            self._measure(0)
        elif effect is not None and fate == "lost-locally" and not effect.swallowed:
            self._sample_round_trip()
            self._park(effect, moment)
        else:
            self._sample_round_trip()
            self._refuse_echo(effect)
            self.in_flight, self.on_wire = True, fate != "lost-locally"
            self._report(effect, moment)
            self._set(self._on_loss_probe, self.rto, moment)

    def _acknowledge_fin(self, moment: Moment) -> None:
        """Delayed, on a connection without data until the next jiffy only (tcp_output.c:tcp_send_delayed_ack)."""
        if self.exchanges and self.case.settings.keepalive:
            raise Unpredictable("the FIN comes after data, and its acknowledgement is delayed by an unknown time")
        self._exchange(Moment(moment.ns + self.case.tick, moment.slack_ns))
        self._measure(0)

    def _write_more(self, fate: Fate, effect: Effect | None) -> None:
        """What its own host refused goes with it, if it can go now; else the probe timer stays as it is."""
        if effect is None or fate != "lost-locally" or effect.swallowed:
            raise Unpredictable("data is written when what was kept back before can be sent again")
        self.soft_errno = effect.errno or self.soft_errno

    def _refuse_echo(self, effect: Effect | None) -> None:
        """An echo that is lost is sent again by the peer's own timer, and acknowledges what it echoes."""
        if (
            self.case.echoes
            and effect is not None
            and effect.mechanism == "answers-lost"
            and effect.until_s is not None
        ):
            raise Unpredictable("the peer's echo is lost on a way that heals: its retransmission decides")

    def _sample_round_trip(self) -> None:
        """The timeout as it is now. In real time any round trip that is allowed may have been measured."""
        if self.delays or (not self.case.echoes and self.case.peer_writes_ns and self.exchanges > 1):
            raise Unpredictable("the peer delays its acknowledgements, which raises the timeout by an unknown time")
        longest = self.case.timeout(self.case.machine.rtt_ns // 1000)
        shortest = self.case.timeout(0)
        self.base = self.case.timeout(self.srtt >> 3)
        if longest > shortest:
            self.base = shortest
            while self.base < longest and not self.course.either():
                self.base += 1
        self.rto, self.backoff = self.base, 0

    def _measure(self, sample_us: int) -> None:
        """tcp_input.c:tcp_rtt_estimator, as far as it changes the timeout."""
        self.srtt = max(1, self.srtt + sample_us - (self.srtt >> 3))

    def _on_loss_probe(self, bucket: int) -> None:
        """tcp_output.c:tcp_send_loss_probe: sent again, or what was kept back in its place; then the timer in full.

        There is one at a time: what was sent again and acknowledged to the octet still counts as such until more is
        acknowledged (tcp_input.c:tcp_process_tlp_ack), and the retransmission comes at once in its place.
        """
        if self.probe_counts:
            self._set(self._on_retransmit, 1, bucket)
            return
        again = not self.queued
        if self._resend(bucket, "the loss probe"):
            self._set(self._on_retransmit, self.rto, bucket)
        else:
            self.probe_counts = again

    def _on_retransmit(self, bucket: int) -> None:
        """The timer's handler. What follows the first expiry is kept for other phases, of which many share it."""
        if self.retrans_stamp is not None:
            self._retransmit(bucket)
            return
        course, known = self.course, self.case.known.get(self._state(bucket))
        if known is not None and known.from_ns <= course.armed_ns <= known.until_ns:
            course.widest = max(course.widest, known.widest)
            course.limit(known.until_ns - course.armed_ns)
            self.end = msgspec.structs.replace(known.run, asked=(*self.asked, *known.run.asked))
        else:
            self._follow_and_keep(bucket)

    def _follow_and_keep(self, bucket: int) -> None:
        course, state, before = self.course, self._state(bucket), len(self.asked)
        forks, widest, room_ns = course.forks, course.widest, course.room_ns
        course.start_over()
        self._retransmit(bucket)
        end = self.follow()
        if course.forks == forks:
            tail = msgspec.structs.replace(end, asked=end.asked[before:])
            self.case.known[state] = Tail(tail, course.armed_ns, course.armed_ns + course.room_ns, course.widest)
        course.widest = max(course.widest, widest)
        course.room_ns = min(course.room_ns, room_ns)

    def _state(self, bucket: int) -> tuple[object, ...]:
        """All that what follows depends on, but for what a `Course` keeps account of."""
        timers = (bucket, self.base, self.late, self.keepalive, self.first_keepalive, self.course.drift_ns)
        data = (self.on_wire, self.is_fin, self.queued, self.delivered, self.exchanges, self.srtt, len(self.planned))
        peer = (self.received, self.rearmed, self.probes_out, self.soft_errno, self.icmp_tokens, self.icmp_last)
        return (*timers, *data, *peer, *self.path.memory)

    def _retransmit(self, bucket: int) -> None:
        """tcp_timer.c:tcp_retransmit_timer."""
        counted = self.retransmits % COUNTED != 0
        began = self.retrans_stamp if counted else None
        if began is not None and self.course.reached_ms(bucket, began, self.case.limit_ms):
            self._finish("detected", errno=self.soft_errno or "ETIMEDOUT", end=End(bucket), why=self._lost_reason())
            return
        self.probe_counts = False  # tcp_input.c:tcp_enter_loss
        if self.retrans_stamp is None:
            self.retrans_stamp = bucket
        self.retransmits += 1
        if not self._resend(bucket, f"retransmission {self.retransmits}"):
            return
        self.backoff += 1
        self.rto = min(2 * self.rto, self.case.longest)
        if self.reverted and self.retransmits % COUNTED:
            self.backoff -= 1
            self.rto = min(self.base << self.backoff, self.case.longest)
            self._set(self._on_retransmit, self.rto, bucket)
        else:
            self._set(self._on_retransmit, self._clamped(bucket), bucket)

    def _clamped(self, bucket: int) -> int:
        """tcp_timer.c:tcp_clamp_rto_to_user_timeout."""
        limit_ms = self.case.settings.user_timeout_ms
        if not limit_ms:
            return self.rto
        assert self.retrans_stamp is not None
        waits = [self._clamp(limit_ms - passed_ms) for passed_ms in self.course.elapsed_ms(bucket, self.retrans_stamp)]
        return waits[0] if waits[0] == waits[-1] or self.course.either() else waits[-1]

    def _clamp(self, left_ms: int) -> int:
        return min(self.rto, timerwheel.milliseconds_to_jiffies(left_ms, self.case.hz)) if left_ms > 0 else 1

    def _resend(self, bucket: int, what: str) -> bool:
        """Send what is in flight again; returns whether it is still unanswered."""
        fate, effect = self.path.send(bucket, self.retransmits)
        local = fate == "lost-locally"
        if effect is not None and local and not effect.swallowed:
            raise Unpredictable("data is in flight when its own host cannot send any more")
        # What never left the host before does not look like something sent again, and a FIN looks like a FIN.
        self.asked.append(Asked(bucket, "retransmit", not local and self.on_wire and not self.is_fin))
        self.on_wire = self.on_wire or not local
        self.reverted = False
        self._refuse_echo(effect)
        if fate == "reset":
            why = f"{_resetter(effect)} answers {what} with RST"
            self._finish("detected", errno="ECONNRESET", end=End(bucket), why=why)
        elif fate == "answered":
            self._deliver(bucket)
        else:
            self.reverted = self._report(effect, bucket) and effect is not None and effect.reverts
            return True
        return False

    def _deliver(self, bucket: int) -> None:
        """All that is in flight is acknowledged; what was kept back follows at once."""
        self._hear(bucket)
        self._measure(RETRANSMITTED_SAMPLE_US)
        if self.queued:
            self._measure(0)
        self.in_flight = self.queued = False
        self.delivered = bucket
        self.retransmits, self.retrans_stamp = 0, None

    def _report(self, effect: Effect | None, when: When) -> bool:
        """Whether what is lost is answered by an ICMP error that data in flight heeds."""
        if effect is not None and effect.unknown:
            raise Unpredictable(f"data is written, and {effect.unknown}")
        if effect is None or not self._is_answered(effect, when):
            return False
        self.soft_errno = effect.reported
        return True

    def _is_answered(self, effect: Effect, when: When) -> bool:
        """Whether an ICMP error is sent: a router sends no more than so many (icmp_ratelimit)."""
        if effect.reported is None:
            return False
        now = when if isinstance(when, int) else (self.course.armed_ns + when.ns) // self.case.tick
        interval = round(effect.reports_every_s * self.case.hz)
        burst = ROUTE_BURST if effect.charged_twice else ICMP_BURST
        self.icmp_tokens = min(self.icmp_tokens + now - self.icmp_last, burst * interval)
        self.icmp_last = now
        for _ in range(2 if effect.charged_twice else 1):
            if self.icmp_tokens < interval:
                return False
            self.icmp_tokens -= interval
        return True

    def _lost_reason(self) -> str:
        text = f"retransmissions go unanswered for {self.case.limit_ms / 1000:g} s (tcp_retries2 = {RETRIES})"
        if self.case.settings.user_timeout_ms:
            text = "the user timeout passes without an acknowledgement of the data"
        return text + (f"; the ICMP error says {self.soft_errno}" if self.soft_errno else "")

    # --- data that cannot be sent ----------------------------------------------------------------------

    def _park(self, effect: Effect, moment: Moment) -> None:
        """Data that its own host refuses to send stays in the queue; the probe timer tries it again."""
        self.queued = True
        self.soft_errno = effect.errno or self.soft_errno
        self._set(self._on_probe, self.base, moment)

    def _on_probe(self, bucket: int) -> None:
        """tcp_timer.c:tcp_probe_timer, tcp_output.c:tcp_send_probe0."""
        case = self.case
        if self.probes_stamp is None:
            self.probes_stamp = bucket
        elif case.user_timeout and self.course.waited(bucket, self.probes_stamp, case.user_timeout):
            why = "the user timeout passes and the data cannot be sent"
            self._finish("detected", errno=self.soft_errno or "ETIMEDOUT", end=End(bucket), why=why)
            return
        if self.probes_out >= RETRIES:
            why = f"{self.probes_out} attempts to send the data fail (tcp_retries2 = {RETRIES})"
            self._finish("detected", errno=self.soft_errno or "ETIMEDOUT", end=End(bucket), why=why)
            return
        fate, effect = self.path.send(bucket, 0)
        if fate == "lost-locally" and effect is not None and not effect.swallowed:
            self._try_later(effect, bucket)
            return
        self.probes_out = self.backoff = 0
        self.probes_stamp = None
        if fate == "reset":
            why = f"{_resetter(effect)} answers the data with RST"
            self._finish("detected", errno="ECONNRESET", end=End(bucket), why=why)
        elif fate == "answered":
            self.queued, self.delivered = False, bucket
            self._hear(bucket)
            self._measure(0)
        else:
            self.in_flight, self.queued, self.on_wire = True, False, fate != "lost-locally"
            self._report(effect, bucket)
            self._set(self._on_retransmit, self.rto, bucket)

    def _try_later(self, effect: Effect, bucket: int) -> None:
        case = self.case
        self.probes_out += 1
        self.soft_errno = effect.errno or self.soft_errno
        self.backoff = min(self.backoff + 1, RETRIES)
        steepest = (LONGEST_TIMEOUT_S * 1_000_000 // LEAST_TIMEOUT_US).bit_length()
        wait = min(self.base << min(self.backoff, steepest), case.longest)
        if case.user_timeout:
            assert self.probes_stamp is not None
            wait = min(wait, max(self.probes_stamp + case.user_timeout - bucket, LEAST_WAIT))
        self._set(self._on_probe, wait, bucket)


def _resetter(effect: Effect | None) -> str:
    expired = effect is not None and effect.mechanism == "expires"
    return "the firewall, whose state expired," if expired else "the peer's host"
