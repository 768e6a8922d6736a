"""The options of `harness predict`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.model import durations


def add_to(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command with its options, in groups that belong together."""
    predict = add(
        "predict",
        "Compute when TCP gives up on a silent peer",
        "harness predict --idle 7200 --interval 75 --count 9",
    )
    predict.add_argument(
        "--hz",
        metavar="N",
        type=int,
        help="the kernel's HZ (default: this kernel's; example: --hz 250)",
    )
    predict.add_argument("--json", action="store_true", help="print JSON")
    _add_settings(predict)
    _add_states(predict)
    _add_designs(predict)


def _add_settings(predict: argparse.ArgumentParser) -> None:
    """Settings of an idle connection with keepalive."""
    keepalive = predict.add_argument_group("settings of the socket")
    keepalive.add_argument(
        "--idle",
        metavar="S",
        type=duration,
        help="TCP_KEEPIDLE, 1 to 32767 s (default: 7200; example: --idle 60)",
    )
    keepalive.add_argument(
        "--interval",
        metavar="S",
        type=duration,
        help="TCP_KEEPINTVL, 1 to 32767 s (default: 75; example: --interval 10)",
    )
    keepalive.add_argument(
        "--count",
        metavar="N",
        type=int,
        help="TCP_KEEPCNT, 1 to 127 (default: 9; example: --count 3)",
    )
    keepalive.add_argument(
        "--user-timeout",
        metavar="S",
        type=duration,
        default=0.0,
        help="TCP_USER_TIMEOUT (default: 0, off; example: --user-timeout 2.5)",
    )
    keepalive.add_argument(
        "--system",
        choices=("linux", "freebsd", "macos", "windows", "aix", "solaris"),
        default="linux",
        help="compute it for another system, as its source or manual says; not measured. AIX "
        "rounds times to 0.5 s, "
        "Windows to 0.001 s (default: linux; example: --system aix)",
    )


def _add_states(predict: argparse.ArgumentParser) -> None:
    """Connections on which another timer than keepalive's decides."""
    states = predict.add_argument_group("connections that are not idle")
    states.add_argument(
        "--state",
        choices=("idle", "in-flight", "zero-window", "connecting", "accepting", "closing"),
        default="idle",
        help="in-flight: data waits for its acknowledgement; zero-window: the peer's window is "
        "closed; connecting: "
        "the SYN is not answered; accepting: the SYN-ACK is not answered; closing: the FIN is "
        "not answered (default: "
        "idle; example: --state closing)",
    )
    states.add_argument(
        "--rtt",
        metavar="MS",
        type=milliseconds,
        default=0.0,
        help=(
            "with --state in-flight and closing: the longest round-trip time, in ms (default: 0; "
            "example: --rtt 30)"
        ),
    )
    states.add_argument(
        "--answered",
        metavar="N",
        type=int,
        help="with --state zero-window: how many window probes the peer answered before it died "
        "(default: 0; "
        "example: --answered 5)",
    )


def _add_designs(predict: argparse.ArgumentParser) -> None:
    """Heartbeats of the application."""
    designs = predict.add_argument_group(
        "heartbeats of the application, in place of TCP's own timers"
    )
    designs.add_argument(
        "--heartbeat",
        metavar="DESIGN",
        help="simple, separate, urgent, idle-timer or idle-state (example: --heartbeat simple)",
    )
    designs.add_argument(
        "--side",
        choices=("client", "server"),
        help="with --heartbeat: which end detects the dead peer (default: client)",
    )
    designs.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="with --heartbeat: set a key of either end's design, as in scenarios (repeatable; "
        "example: "
        "--set idle_s=30)",
    )


def duration(text: str) -> float:
    """Seconds, with or without a unit."""
    try:
        return durations.seconds(text)
    except ValueError:
        expected = f"expected seconds, or a duration such as {durations.EXAMPLES}, found {text}"
        raise argparse.ArgumentTypeError(expected) from None


def milliseconds(text: str) -> float:
    """Milliseconds, with or without a unit."""
    try:
        return durations.milliseconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected milliseconds, or a duration such as 30ms, found {text}"
        ) from None
