"""`harness predict`: options in, a prediction as text and as JSON out, with hints."""

from __future__ import annotations

import argparse

import msgspec

from harness.errors import UsageError
from harness.model import durations
from harness.plan import predict
from harness.report import heartbeat, prediction, tcp_states

DEFAULTS = {"idle": 7200, "interval": 75, "count": 9}
"""Linux's."""
_DECIDES = {
    "in-flight": (
        "while data waits to be acknowledged, retransmissions decide: until --user-timeout, or "
        "without one until they have been repeated net.ipv4.tcp_retries2 times"
    ),
    "zero-window": (
        "while the peer's window is closed, window probes decide: until --user-timeout, or "
        "without one until net.ipv4.tcp_retries2 of them are unanswered"
    ),
    "connecting": (
        "it begins once the connection is established; until then the SYN's retransmissions "
        "decide (--user-timeout, or net.ipv4.tcp_syn_retries)"
    ),
    "accepting": (
        "it begins once the connection is established; until then the SYN-ACK's "
        "retransmissions decide (net.ipv4.tcp_synack_retries)"
    ),
    "closing": (
        "while a FIN waits to be acknowledged, its retransmissions decide (--user-timeout, or "
        "net.ipv4.tcp_orphan_retries)"
    ),
}
"""What decides in place of keepalive, by --state."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction as text and as JSON. `hints`: options that look like mistakes."""

    text: str
    json: bytes
    hints: tuple[str, ...] = ()


def answer(options: argparse.Namespace) -> Answer:
    """Predict for the options of the command line. Raises UsageError."""
    if options.heartbeat is not None:
        return _of_heartbeat(options)
    if options.side is not None or options.set:
        raise UsageError(f"{'--set' if options.set else '--side'}: expected --heartbeat with it")
    if options.system != "linux":
        return _of_system(options)
    if options.answered is not None and options.state != "zero-window":
        raise UsageError(
            f"--answered: expected --state zero-window with it, found --state {options.state}"
        )
    if options.state == "idle":
        return _of_idle(options)
    hints = (*_no_say(options), *_milliseconds(options))
    if options.state in ("accepting", "closing"):
        kept = predict.of_left(options.state, options.user_timeout, options.rtt, options.hz)
        return Answer(
            text=tcp_states.describe_kept(kept), json=tcp_states.kept_as_json(kept), hints=hints
        )
    giving = predict.of_state(
        options.state, options.user_timeout, options.rtt, options.hz, options.answered or 0
    )
    return Answer(text=tcp_states.describe(giving), json=tcp_states.as_json(giving), hints=hints)


def _of_idle(options: argparse.Namespace) -> Answer:
    if options.rtt:
        raise UsageError(
            "--rtt: expected none with --state idle, where no round trip is waited for"
        )
    idle_s, interval_s, count = _keepalive(options)
    found = predict.of_options(idle_s, interval_s, count, options.user_timeout, options.hz)
    text, json = prediction.describe(found), prediction.as_json(found)
    return Answer(text=text, json=json, hints=_milliseconds(options))


def _keepalive(options: argparse.Namespace) -> tuple[int, int, int]:
    """Idle and interval in seconds, and the count.

    Raises UsageError for what the kernel would refuse.
    """
    given = [getattr(options, name) for name in DEFAULTS]
    idle_s, interval_s, count = (
        default if value is None else value
        for value, default in zip(given, DEFAULTS.values(), strict=True)
    )
    for option, value in (("--idle", idle_s), ("--interval", interval_s)):
        if value % 1:
            raise UsageError(
                f"{option}: expected whole seconds, as Linux takes them, found {value:g}"
            )
    predict.check_keepalive(idle_s, interval_s, count)
    return idle_s, interval_s, count


def _no_say(options: argparse.Namespace) -> tuple[str, ...]:
    """A hint where keepalive's settings are given for a state in which other timers decide."""
    given = [f"--{name}" for name in DEFAULTS if getattr(options, name) is not None]
    if not given:
        return ()
    _keepalive(options)
    return (
        (
            f"{', '.join(given)}: keepalive changes nothing in state {options.state}: "
            f"{_DECIDES[options.state]}"
        ),
    )


def _milliseconds(options: argparse.Namespace) -> tuple[str, ...]:
    """Hints for seconds that look like milliseconds."""
    least_s = {
        "idle": durations.LONG_IDLE_S,
        "interval": durations.LONG_S,
        "user_timeout": durations.LONG_S,
    }
    given = {name: getattr(options, name) for name in least_s}
    hints = {
        name: durations.suspicion(value, least_s[name])
        for name, value in given.items()
        if value is not None
    }
    return tuple(f"--{name.replace('_', '-')} {hint}" for name, hint in hints.items() if hint)


def _of_system(options: argparse.Namespace) -> Answer:
    others = options.user_timeout, options.hz, options.rtt, options.answered is not None
    if options.state != "idle" or any(others):
        raise UsageError(f"--system {options.system}: expected --idle, --interval and --count only")
    system = predict.of_system(options.system, options.idle, options.interval, options.count)
    return Answer(text=tcp_states.describe_system(system), json=tcp_states.system_as_json(system))


def _of_heartbeat(options: argparse.Namespace) -> Answer:
    """Bounds that hold on any kernel. Raises UsageError."""
    usual = {"state": "idle", "system": "linux", "user_timeout": 0.0, "rtt": 0.0}
    for name in (
        "state",
        "system",
        "idle",
        "interval",
        "count",
        "answered",
        "user_timeout",
        "rtt",
        "hz",
    ):
        if getattr(options, name) != usual.get(name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option}: expected none with --heartbeat, whose times are set with --set "
                "KEY=VALUE"
            )
    beating = predict.of_heartbeat(options.heartbeat, options.side or "client", options.set)
    return Answer(text=heartbeat.describe(beating), json=heartbeat.as_json(beating))
