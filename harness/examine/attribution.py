"""Which timer or segment made an end detect the fault: the measured time held against the oracle.

The oracle is asked about the connection from the last segment on that came from the peer and was
neither a keepalive probe nor the answer to one: keepalive counts from there. Where data is in
flight, it is asked from the moment on in which that was written, or earlier data was acknowledged.
"""

from __future__ import annotations

import msgspec

from harness.examine.course import Course
from harness.examine.findings import Attribution, Mechanism, Sign, SocketSettings
from harness.examine.settings import as_oracle_takes
from harness.model.values import count
from harness.oracle import established
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question, limit_ms, longest_ns
from harness.oracle.prediction import Settings
from harness.plan.allowances import tolerances
from harness.plan.fault_effects import effects_on
from harness.plan.plan import Plan
from harness.timeline import Event

REACTION_NS = 200_000_000
"""How long a program may take to show what its kernel told it: select, poll and epoll may wake up
0.1 s late (fs/select.c), and a closed socket is looked up every 0.1 s.
"""
BEYOND_NS = 600_000_000_000
"""The oracle is asked about so much more time, so that its window is whole."""
_CUTS = ("lost", "lost-locally", "answers-lost")


def of_sign(plan: Plan, course: Course, sign: Sign, settings: SocketSettings | None) -> Attribution:
    """What made the end show this sign. It came after the fault."""
    assert course.fault_ns is not None
    at_ns = course.fault_ns + round(sign.at_s * 1e9)
    late_ns = round(sign.late_s * 1e9)
    answer = _answered(course, at_ns - late_ns, at_ns)
    if answer is not None:
        return answer
    since = _last_heard(course, at_ns)
    if settings is not None and since is not None:
        kernel = _by_kernel(plan, course, settings, since.t_ns, (at_ns - late_ns, at_ns))
        if kernel is not None:
            return kernel
    if any(e.mechanism == "lost-locally" for e in effects_on(plan.scenario, course.side)):
        return Attribution(
            by="unknown", words="which timer it was is not known: no link to send on"
        )
    return Attribution(by="own-timer", words=_own_timer(since, at_ns))


def of_silence(course: Course, settings: SocketSettings | None) -> Attribution | None:
    """Why an end detects nothing, where its settings tell: nothing asks whether the peer lives."""
    assert course.fault_ns is not None
    asked = any(
        course.sent(role, course.fault_ns, course.end_ns)
        for role in ("probe", "data", "retransmit")
    )
    if settings is None or settings.keepalive or asked:
        return None
    return Attribution(by="nothing", words="keepalive is off, and nothing was sent after the fault")


def _answered(course: Course, from_ns: int, at_ns: int) -> Attribution | None:
    """The RST or FIN that arrived just before the sign, which came between two moments.

    What arrives after this end's own FIN or RST only answers that.
    """
    came = [e for e in _before_own_close(course) if e.data["way"] == "in" and e.t_ns <= at_ns]
    ends = [e for e in came if e.data["role"] == "rst" or "F" in e.data["flags"]]
    if not ends or ends[-1].t_ns < from_ns - REACTION_NS:
        return None
    if ends[-1].data["role"] != "rst":
        return Attribution(by="fin", words="the end of the stream arrived (FIN)")
    first = ends[0]
    if first.data["role"] == "rst":
        return Attribution(by="rst", words="an RST arrived")
    ago_s = (ends[-1].t_ns - first.t_ns) / 1e9
    return Attribution(
        by="rst", words=f"an RST arrived, {ago_s:.3f} s after the end of the stream (FIN)"
    )


def _before_own_close(course: Course) -> list[Event]:
    """The watched connection's segments until this end closes it itself, after the fault.

    By their order: in virtual time an answer may have the same time stamp.
    """
    assert course.fault_ns is not None
    for number, event in enumerate(course.watched):
        is_end = event.data["role"] == "rst" or "F" in event.data["flags"]
        if is_end and event.data["way"] == "out" and event.t_ns > course.fault_ns:
            return course.watched[:number]
    return course.watched


def _last_heard(course: Course, at_ns: int) -> Event | None:
    """The last segment from the peer, without answers to probes: keepalive's idle time and a
    program's own timers begin there. The peer's own probes do not count: a segment out of the
    window is only answered (net/ipv4/tcp_input.c:tcp_validate_incoming).
    """
    heard = [
        event
        for event in _before_own_close(course)
        if event.data["way"] == "in"
        and event.t_ns <= at_ns
        and event.data["role"] not in ("answer", "probe")
    ]
    return heard[-1] if heard else None


def _in_flight_since(course: Course, at_ns: int) -> int | None:
    """Since when data was in flight: it was written, or earlier data was acknowledged. None where
    all of it was.
    """
    acked, acked_ns = None, 0
    written: list[tuple[int, int]] = []
    for event in course.watched:
        data = event.data
        if event.t_ns > at_ns:
            break
        if data["way"] == "out" and data["role"] == "data":
            written.append((event.t_ns, data["seq"] + data["length"]))
        elif data["way"] == "in" and "A" in data["flags"] and _is_after(data["ack"], acked):
            acked, acked_ns = data["ack"], event.t_ns
    left = [sent_ns for sent_ns, end in written if _is_after(end, acked)]
    return max(left[0], acked_ns) if left else None


def _is_after(number: int, acked: int | None) -> bool:
    """Whether a sequence number is later than the acknowledged one, modulo 2**32 (RFC 9293)."""
    return acked is None or 0 < (number - acked) % 2**32 < 2**31


def _by_kernel(
    plan: Plan,
    course: Course,
    settings: SocketSettings,
    heard_ns: int,
    between_ns: tuple[int, int],
) -> Attribution | None:
    """The kernel's timer whose exact window holds the measured time; None where there is none."""
    at_ns = between_ns[1]
    flying_ns = _in_flight_since(course, at_ns)
    in_flight, since_ns = flying_ns is not None, flying_ns or heard_ns
    question = _question(plan, course, settings, since_ns, at_ns, in_flight=in_flight)
    if question is None or not _is_plausible(question, at_ns - since_ns, in_flight=in_flight):
        return None
    try:
        prediction = established.predict(question)
    except Unpredictable:
        return None
    allowance_ns = plan.allowance_ns + REACTION_NS
    for outcome in prediction.outcomes:
        window = outcome.window_ns
        if outcome.kind != "detected" or window is None:
            continue
        if window[0] <= at_ns - since_ns and between_ns[0] - since_ns <= window[1] + allowance_ns:
            by = _mechanism(question.settings, in_flight=in_flight)
            shift_s = course.since_fault_s(since_ns)
            span = (window[0] / 1e9 + shift_s, window[1] / 1e9 + shift_s)
            repeated = len(course.sent("retransmit", since_ns, at_ns))
            words = _kernel_words(question.settings, by, repeated)
            return Attribution(by=by, words=words, window_s=span)
    return None


def _is_plausible(question: Question, after_ns: int, *, in_flight: bool) -> bool:
    """Whether a timer of the kernel may have been due at all.

    The oracle's answer can take half a minute; it is not asked where no answer can fit.
    """
    settings, hz = question.settings, question.machine.hz
    if in_flight:
        least_ns = limit_ms(settings, hz) * 900_000
        return least_ns <= after_ns <= longest_ns(settings, hz)
    if not settings.keepalive:
        return False
    probing_s = 0 if settings.user_timeout_ms else settings.interval_s * settings.count
    return after_ns >= (settings.idle_s + probing_s) * 1_000_000_000


def _question(
    plan: Plan,
    course: Course,
    settings: SocketSettings,
    since_ns: int,
    at_ns: int,
    *,
    in_flight: bool,
) -> Question | None:
    """What the oracle is asked; None where the fault is of a kind that it has no answer for."""
    assert course.armed is not None
    effects = []
    for effect in effects_on(plan.scenario, course.side):
        if effect.mechanism not in _CUTS or effect.unknown:
            return None
        from_ns = course.armed.t_ns + round(effect.from_s * 1e9)
        effects.append(_shifted(effect, from_ns - since_ns))
    return Question(
        as_oracle_takes(settings, plan, course),
        tolerances(plan.machine),
        tuple(effects),
        horizon_ns=2 * (at_ns - since_ns) + BEYOND_NS,
        writes_ns=(0,) if in_flight else (),
    )


def _shifted(effect: Effect, from_ns: int) -> Effect:
    """The same effect in the time of the question, which begins no earlier than 0."""
    from_s = max(0.0, from_ns / 1e9)
    until_s = None
    if effect.until_s is not None:
        until_s = max(from_s, from_s + effect.until_s - effect.from_s)
    return msgspec.structs.replace(effect, from_s=from_s, until_s=until_s)


def _mechanism(settings: Settings, *, in_flight: bool) -> Mechanism:
    if settings.user_timeout_ms:
        return "user-timeout"
    return "retransmissions" if in_flight else "keepalive"


def _kernel_words(settings: Settings, by: Mechanism, retransmissions: int) -> str:
    if by == "user-timeout":
        return f"TCP_USER_TIMEOUT, {settings.user_timeout_ms / 1000:g} s"
    if by == "retransmissions":
        sent = count(retransmissions, "retransmission")
        return f"data in flight was given up after {sent} (tcp_retries2 = {settings.retries2})"
    return (
        f"keepalive: {settings.idle_s} s idle + {settings.count} probes x {settings.interval_s} s"
    )


def _own_timer(since: Event | None, at_ns: int) -> str:
    if since is None:
        return "the program's own timer"
    silent_s = (at_ns - since.t_ns) / 1e9
    return f"the program's own timer, {silent_s:.3f} s after the peer's last segment"
