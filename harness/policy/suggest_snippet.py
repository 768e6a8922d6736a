"""The settings that are suggested, in the words of a program or of a configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from harness.errors import UsageError
from harness.model.topology import Side
from harness.policy import reader, suggest_shapes
from harness.policy.check import Checked, check
from harness.policy.registry import every_rule
from harness.policy.rule import Finding
from harness.policy.settings import Connection, Terms
from harness.policy.suggest_limits import LIMITS
from harness.system.spelling import did_you_mean

SETSOCKOPT = "setsockopt"
"""The name of the system call's lines among the formats."""
OWN = "policy"
"""POLICY.toml, which has words for demands and path, too."""
SETS_RETRIES = frozenset({"compose", "pod", OWN, "sysctl"})
"""They set net.ipv4.tcp_retries2, which is the system's everywhere else."""
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

    @property
    def lacking(self) -> tuple[Finding, ...]:
        """Errors and warnings about what was read back, but for what no settings can mend."""
        found = () if self.checked is None else self.checked.findings
        return tuple(each for each in found if each.level != "note" and each.rule not in LIMITS)


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
    """A connection's settings in a format; where that has fewer directives, other settings that
    meet the same demands. Raises UsageError where that has no words for any.
    """
    if name == SETSOCKOPT:
        return Snippet(text=_python(connection))
    settings = {key: getattr(connection.terms, key) for key in SETTINGS}
    if connection.keepalive:
        settings["keepalive"] = True
    try:
        return _written(connection, settings, name)
    except UsageError as error:
        found = _in_another_shape(connection, name)
        if found is not None:
            return found
        raise UsageError(f"{error}{_hint(connection, settings, name)}") from None


def _in_another_shape(connection: Connection, name: str) -> Snippet | None:
    for shape in suggest_shapes.shapes(connection):
        for number in range(shape.most, 0, -1):
            try:
                found = _written(connection, shape.settings(number), name)
            except UsageError:
                break  # no software takes some numbers of a shape and not others
            if not found.lacking:
                return found
    return None


def _written(connection: Connection, settings: dict[str, Any], name: str) -> Snippet:
    """These settings, as they are written, and read back. Raises UsageError."""
    own = connection.terms if name == OWN else Terms(side=connection.terms.side)
    text = writers()[named(name)](msgspec.structs.replace(own, **settings))
    every = reader.named(name).read(text, f"the lines for {name}")
    if not every:  # such as a sysctl.conf without a sysctl of TCP
        return Snippet(text=text)
    read = every[0]
    back = {key: getattr(read.terms, key) for key in suggest_shapes.SETTINGS}
    if name not in SETS_RETRIES:
        back["retries2"] = connection.terms.retries2
    seen = suggest_shapes.changed(connection, back)
    seen = msgspec.structs.replace(seen, defaults=read.defaults, notices=read.notices)
    (checked,) = check([seen], list(every_rule().values())).checked
    return Snippet(text=text, checked=checked)


def _hint(connection: Connection, settings: dict[str, Any], name: str) -> str:
    """What would do in place of what a format refuses."""
    hints = []
    other: Side = "client" if connection.terms.side == "server" else "server"
    needs_user_timeout = bool(settings["user_timeout_s"])
    if needs_user_timeout:
        hints.append("demand nothing of data in flight (--detect-idle-within)")
    if _accepts(Terms(side=other, **settings), name):
        hints.append(f"write the {other}'s settings (--side {other})")
    if not needs_user_timeout and _accepts(Terms(side=connection.terms.side, keepalive=True), name):
        hints.append("switch keepalive on there, and set the system's times (--for sysctl)")
    return "".join(f", or {each}" for each in hints)


def _accepts(terms: Terms, name: str) -> bool:
    try:
        writers()[name](terms)
    except UsageError:
        return False
    return True


def _python(connection: Connection) -> str:
    found = options(connection)
    if not found:
        return "# no option is needed\n"
    return "".join(
        f"sock.setsockopt(socket.{each.level}, socket.{each.name}, {each.value})\n"
        for each in found
    )
