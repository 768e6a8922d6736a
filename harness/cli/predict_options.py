"""The options of `harness predict`, in groups that fit each other."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from harness.model import durations

STATES = ("idle", "in-flight", "zero-window", "connecting", "accepting", "closing")
SYSTEMS = ("linux", "freebsd", "macos", "windows", "aix", "solaris")
_IDLE = ("idle", "interval", "count")
_FIT: dict[str, tuple[str, ...]] = {
    "--heartbeat": ("heartbeat", "side", "set"),
    "--system": ("system", *_IDLE),
    "--state in-flight": ("state", "user_timeout", "rtt", "hz"),
    "--state zero-window": ("state", "user_timeout", "answered", "hz"),
    "--state connecting": ("state", "user_timeout", "hz"),
    "--state accepting": ("state", "hz"),
    "--state closing": ("state", "user_timeout", "rtt", "hz"),
}
"""What else fits an option, beside --json."""
_USAGE = """harness predict [--idle S] [--interval S] [--count N] [--user-timeout S] [--hz N]
       harness predict --system SYSTEM [--idle S] [--interval S] [--count N]
       harness predict --state STATE [--user-timeout S] [--rtt MS] [--answered N] [--hz N]
       harness predict --heartbeat DESIGN [--side {client,server}] [--set KEY=VALUE]"""


class _FittingHelp(argparse.Action):
    """Show the options that fit those before it, or all where there are none."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        *_: object,
    ) -> None:
        """Print it, and end the program."""
        chosen = (
            "--heartbeat"
            if namespace.heartbeat is not None
            else "--system"
            if namespace.system != "linux"
            else f"--state {namespace.state}"
        )
        if chosen in _FIT:
            parser.usage = None
            for action in parser._actions:  # noqa: SLF001 - no other way
                if action.dest not in (*_FIT[chosen], "json", "help"):
                    action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def add_to(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command with its options."""
    predict = add(
        "predict",
        "Compute when TCP, or a heartbeat of the application, gives up on a silent peer",
        "harness predict --idle 7200 --interval 75 --count 9",
        usage=_USAGE,
        conflict_handler="resolve",
    )
    predict.add_argument(
        "-h",
        "--help",
        dest="help",
        default=argparse.SUPPRESS,
        action=_FittingHelp,
        help="show this help; after --state, --system or --heartbeat only the options that fit",
    )
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--hz",
        metavar="N",
        type=int,
        help="HZ of the kernel, in place of this one's; Linux alone, without --heartbeat",
    )
    _add_settings(predict)
    _add_systems(predict)
    _add_states(predict)
    _add_designs(predict)


def _add_settings(predict: argparse.ArgumentParser) -> None:
    """Settings of an idle connection with keepalive."""
    keepalive = predict.add_argument_group("settings of the socket")
    for option, text in (
        ("--idle", "TCP_KEEPIDLE, 1 to 32767 s (default: 7200)"),
        ("--interval", "TCP_KEEPINTVL, 1 to 32767 s (default: 75)"),
    ):
        keepalive.add_argument(option, metavar="S", type=duration, help=text)
    keepalive.add_argument(
        "--count", metavar="N", type=int, help="TCP_KEEPCNT, 1 to 127 (default: 9)"
    )
    keepalive.add_argument(
        "--user-timeout",
        metavar="S",
        type=duration,
        default=0.0,
        help="TCP_USER_TIMEOUT, which replaces the count; also with --state (default: 0, off)",
    )


def _add_systems(predict: argparse.ArgumentParser) -> None:
    """Keepalive elsewhere than on Linux."""
    systems = predict.add_argument_group("keepalive of another system, with --idle and so on")
    systems.add_argument(
        "--system",
        choices=SYSTEMS,
        default="linux",
        help="compute what its source or manual says, which is not measured; AIX rounds times to "
        "0.5 s, Windows to 0.001 s (default: linux)",
    )


def _add_states(predict: argparse.ArgumentParser) -> None:
    """Connections on which another timer than keepalive's decides."""
    states = predict.add_argument_group("a connection that is not idle: other timers decide")
    states.add_argument(
        "--state",
        choices=STATES,
        default="idle",
        help="in-flight: data is not acknowledged; zero-window: the peer's window is closed; "
        "connecting: the SYN is not answered; accepting: the SYN-ACK is not answered; closing: "
        "the FIN is not answered (default: idle)",
    )
    states.add_argument(
        "--rtt",
        metavar="MS",
        type=milliseconds,
        default=0.0,
        help="with in-flight and closing: the longest round-trip time, in ms (default: 0)",
    )
    states.add_argument(
        "--answered",
        metavar="N",
        type=int,
        help="with zero-window, without --user-timeout: how many window probes the peer answered "
        "before it died (default: 0)",
    )


def _add_designs(predict: argparse.ArgumentParser) -> None:
    """Heartbeats of the application."""
    designs = predict.add_argument_group(
        "a heartbeat of the application, in place of TCP's own timers"
    )
    designs.add_argument(
        "--heartbeat",
        metavar="DESIGN",
        help="simple, separate, urgent, idle-timer or idle-state",
    )
    designs.add_argument(
        "--side",
        choices=("client", "server"),
        help="the end that detects the dead peer (default: client)",
    )
    designs.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a key of either end's design, as in scenarios (repeatable; example: --set idle_s=30)",
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
