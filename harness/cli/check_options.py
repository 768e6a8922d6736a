"""The options of `harness check` and `harness explain`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.cli.predict_options import duration

FORMATS = ("text", "json", "github", "gitlab", "junit", "sarif")
FLAGS = {
    "keepalive": "--no-keepalive",
    "idle_s": "--idle",
    "interval_s": "--interval",
    "count": "--count",
    "user_timeout_s": "--user-timeout",
    "side": "--side",
    "detect_within_s": "--detect-within",
    "detect_idle_within_s": "--detect-idle-within",
    "detect_in_flight_within_s": "--detect-in-flight-within",
    "survive_s": "--survive",
    "path": "--path",
    "hz": "--hz",
}
"""The keys of a policy that have an option, which describe one connection together."""


def add_to(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands."""
    check = add(
        "check",
        (
            "Check TCP settings against demands: is a dead peer detected in time, is an idle "
            "connection kept"
        ),
        "harness check --idle 340 --interval 10 --count 3 --path aws-nlb --detect-within 400",
    )
    check.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="policies, configuration of other software, or URLs such as "
        "'postgresql://db/orders?keepalives_idle=60' (default: POLICY.toml, unless settings of one "
        "connection are given)",
    )
    check.add_argument(
        "--format",
        metavar="NAME",
        help="format of the files (default: told by the name or the content of each; a wrong "
        "NAME lists them)",
    )
    add_output(check)
    check.add_argument("--html", metavar="FILE", help="also write the findings as one HTML page")
    check.add_argument(
        "--prove",
        action="store_true",
        help="also run each prediction in virtual time, in a guest with that HZ, and show the "
        "measurement beside it (needs `harness kernel build --hz N`)",
    )
    add_rules(check)
    _add_settings(check)
    add_path(check)
    add_demands(check)
    explain = add(
        "explain", "Explain a rule of harness check, or list all of them", "harness explain KA003"
    )
    explain.add_argument(
        "rule", metavar="ID", nargs="?", help="id of a rule (default: list the rules)"
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """The format of the report."""
    command.add_argument(
        "--output-format",
        choices=FORMATS,
        default="text",
        help="format of the findings (default: text)",
    )
    command.add_argument(
        "--strict",
        action="store_true",
        help="with --output-format sarif: end with 1 or 3 as with the other formats, and not with "
        "0 once the report is written",
    )


def add_rules(command: argparse.ArgumentParser) -> None:
    """Which rules are applied."""
    rules = command.add_argument_group("rules")
    for option, text in (
        ("--select", "apply these rules only (repeatable; example: --select KA003,KA009)"),
        (
            "--ignore",
            (
                "leave these rules out (repeatable; to suppress one with a reason, write it in "
                "the policy)"
            ),
        ),
    ):
        rules.add_argument(
            option, metavar="ID,…", type=_words, action="extend", default=[], help=text
        )


def _add_settings(check: argparse.ArgumentParser) -> None:
    settings = check.add_argument_group("settings of one connection, in place of a file")
    settings.add_argument(
        "--no-keepalive",
        dest="keepalive",
        action="store_const",
        const=False,
        help="SO_KEEPALIVE off",
    )
    for option, text in (
        ("--idle", "TCP_KEEPIDLE; turns keepalive on (system: 7200)"),
        ("--interval", "TCP_KEEPINTVL; turns keepalive on (system: 75)"),
    ):
        settings.add_argument(option, dest=f"{option[2:]}_s", metavar="S", type=duration, help=text)
    settings.add_argument(
        "--count", metavar="N", type=int, help="TCP_KEEPCNT; turns keepalive on (system: 9)"
    )
    settings.add_argument(
        "--user-timeout",
        dest="user_timeout_s",
        metavar="S",
        type=duration,
        help="TCP_USER_TIMEOUT (system: off)",
    )
    add_side(settings)


def add_side(settings: argparse._ActionsContainer) -> None:
    """The end with the settings."""
    settings.add_argument(
        "--side", choices=("client", "server"), help="the end with these settings (default: client)"
    )


def add_path(
    command: argparse.ArgumentParser,
    *,
    more: str = ", for files that do not state them, too",
    hz: str = "100,250,300,1000",
) -> None:
    """The devices on the way, and HZ. `more`: about the group. `hz`: the default, in words."""
    path = command.add_argument_group(f"path and kernels{more}")
    path.add_argument(
        "--path",
        metavar="HOP",
        type=hop,
        action="append",
        help="a device on the path: a preset such as aws-nlb, or an idle timeout with what a "
        "later packet "
        "meets, such as 350:reset, 600:drop or 60:proxy (repeatable)",
    )
    path.add_argument(
        "--hz",
        metavar="N,…",
        type=_numbers,
        help=f"HZ of the kernels in the fleet (default: {hz})",
    )


def add_demands(
    command: argparse.ArgumentParser, *, more: str = ", for files that do not state them, too"
) -> None:
    """What settings must achieve. `more`: about the group."""
    demands = command.add_argument_group(f"demands{more}")
    for option, text in (
        ("--detect-within", "detect a dead peer within S seconds, idle and with data in flight"),
        ("--detect-idle-within", "the same for an idle connection alone"),
        ("--detect-in-flight-within", "the same with data in flight alone"),
        ("--survive", "survive an outage of S seconds"),
    ):
        key = f"{option[2:].replace('-', '_')}_s"
        demands.add_argument(option, dest=key, metavar="S", type=duration, help=text)


def hop(text: str) -> str | dict[str, object]:
    """A preset's name, or a table of a device. Raises ArgumentTypeError."""
    timeout, colon, then = text.partition(":")
    if not timeout[:1].isdecimal():
        return text
    limit_s = duration(timeout)
    if not float(limit_s).is_integer():
        raise argparse.ArgumentTypeError(f"expected an idle timeout in whole seconds, found {text}")
    found: dict[str, object] = {"idle_timeout_s": limit_s}
    if then == "proxy":
        found["proxy"] = True
    elif then in ("drop", "reset", "reset-both"):
        found["then"] = then
    elif colon:
        expected = "drop, reset, reset-both or proxy after the colon"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {then or 'nothing'}")
    return found


def _words(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(each) for each in _words(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers such as 250,1000, found {text}"
        ) from None
