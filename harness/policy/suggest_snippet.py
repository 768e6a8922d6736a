"""The settings that are suggested, in the words of a program or of a configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from harness.errors import UsageError
from harness.policy import reader
from harness.policy.check import Checked, check
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Terms
from harness.system.spelling import did_you_mean

SETSOCKOPT = "setsockopt"
"""The name of the system call's lines among the formats."""
SETTINGS = ("keepalive", "idle_s", "interval_s", "count", "user_timeout_s")


class Option(msgspec.Struct, frozen=True):
    """An argument of setsockopt(2): level and name as in C and in Python."""

    level: str
    name: str
    value: int


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a format.

    `checked`: the connection as these lines were read back, with its demands; None for lines that
    nothing reads.
    """

    text: str
    checked: Checked | None = None


def options(connection: Connection) -> tuple[Option, ...]:
    """Those that differ from the system's."""
    settings, found = connection.settings, []
    if settings.keepalive:
        found += [
            Option("SOL_SOCKET", "SO_KEEPALIVE", 1),
            Option("IPPROTO_TCP", "TCP_KEEPIDLE", settings.idle_s),
            Option("IPPROTO_TCP", "TCP_KEEPINTVL", settings.interval_s),
            Option("IPPROTO_TCP", "TCP_KEEPCNT", settings.count),
        ]
    if settings.user_timeout_ms:
        found.append(Option("IPPROTO_TCP", "TCP_USER_TIMEOUT", settings.user_timeout_ms))
    return tuple(found)


def writers() -> Mapping[str, Callable[[Terms], str]]:
    """The formats that can be written, by name, without the lines for setsockopt."""
    every = reader.every_format()
    return {name: each.write for name, each in every.items() if each.write is not None}


def named(name: str) -> str:
    """The same name where there is such a format. Raises UsageError."""
    known = [SETSOCKOPT, *writers()]
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(f"--for: expected one of: {', '.join(known)}, found {name}{hint}")
    return name


def snippet(connection: Connection, name: str) -> Snippet:
    """A connection's settings in a format. Raises UsageError where that has no words for them."""
    if name == SETSOCKOPT:
        return Snippet(text=_python(connection))
    settings = {key: getattr(connection.terms, key) for key in SETTINGS}
    if connection.keepalive:
        settings["keepalive"] = True
    text = writers()[named(name)](Terms(**settings))
    (read, *_) = reader.named(name).read(text, f"the lines for {name}")
    back = {key: getattr(read.terms, key) for key in SETTINGS}
    terms = msgspec.structs.replace(connection.terms, **back)
    seen = msgspec.structs.replace(connection, terms=terms, defaults=read.defaults)
    (checked,) = check([seen], list(every_rule().values())).checked
    return Snippet(text=text, checked=checked)


def _python(connection: Connection) -> str:
    found = options(connection)
    if not found:
        return "# no option is needed\n"
    return "".join(
        f"sock.setsockopt(socket.{each.level}, socket.{each.name}, {each.value})\n"
        for each in found
    )
