"""HAProxy: the client side of frontends, and the server side of backends.

Each side of a proxy is a connection of its own: HAProxy ends the one and begins the other. Defaults
are those of its configuration manual: keepalive is off, and a timeout that is not set is infinite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.policy import haproxy_sections, lines, stated
from harness.policy.directives import refuse_others
from harness.policy.format import Format
from harness.policy.haproxy_sections import Section, is_tcp, parameter, time_us
from harness.policy.lines import Word
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.stated import Filled, Stated

_SIDES = {"client": ("cli", ("frontend", "listen")), "server": ("srv", ("listen", "backend"))}
"""HAProxy's names of its two sides, and the sections that have them."""
_PROBING = {"idle_s": "idle", "interval_s": "intvl", "count": "cnt"}
"""The last parts of its directives."""


def read(text: str, source: str) -> tuple[Connection, ...]:
    """Two connections for a `listen`, one for a frontend or a backend. Raises PolicyError.

    Where `tcp-ut` differs, or a client waits in a request or a tunnel for longer, there are more.
    """
    sections = haproxy_sections.sections(text, source)
    backends = {each.name: each for each in sections if each.kind != "frontend"}
    told: set[Notice] = set()
    return tuple(found for each in sections for found in _of_section(each, backends, told))


def _of_section(
    section: Section, backends: Mapping[str, Section], told: set[Notice]
) -> Iterator[Connection]:
    notices = [each for each in _notices(section) if each not in told]
    told.update(notices)
    for side, (_, kinds) in _SIDES.items():
        listed = section.binds if side == "client" else section.servers
        ends = [each for each in listed if _is_tcp(each, side)]
        if section.kind not in kinds or not ends:
            continue
        title = f"{section.kind} {section.name}"
        title += f" ({side}s)" if section.kind == "listen" else ""
        tunnel = _tunnel(section, backends)
        for name, end in _different(title, ends, side):
            made = _settings(section, side, end)
            waiting = _serving(section, backends) if side == "client" else []
            for each, closing in _timeouts(section, side, tunnel, waiting):
                yield _connection(f"{name}{each}", section, side, {**made, **closing}, notices)
                notices = []


def _is_tcp(end: Sequence[Word], side: str) -> bool:
    address = end[0 if side == "client" else 1 :][:1]
    return bool(address) and is_tcp(address[0].text)


def _different(
    title: str, ends: Sequence[Sequence[Word]], side: str
) -> Iterator[tuple[str, Sequence[Word]]]:
    """The bind or server lines, one for all where their user timeouts are the same."""
    timeouts = [(value.text if (value := parameter(each, "tcp-ut")) else None) for each in ends]
    if len(set(timeouts)) == 1:
        yield title, ends[0]
        return
    kind = "bind" if side == "client" else "server"
    for end in ends:
        yield f"{title}, {kind} {end[0].text}", end


def _tunnel(section: Section, backends: Mapping[str, Section]) -> Stated | None:
    """The timeout of tunnels; a frontend has that of its default backend."""
    owner = section
    named = section.value("default_backend")
    if section.kind == "frontend" and named is not None:
        owner = backends.get(named.text, section)
    return _time(owner, "timeout tunnel")


def _serving(section: Section, backends: Mapping[str, Section]) -> list[Section]:
    """Whose servers answer a client: all backends where an expression chooses one."""
    if section.kind == "listen" and section.servers:
        return [section]
    default = section.value("default_backend")
    names = [each.text for each in [*section.uses, *([default] if default else [])]]
    if all(each in backends for each in names):
        return [backends[each] for each in names]
    return [each for each in backends.values() if each.servers]


def _settings(section: Section, side: str, end: Sequence[Word]) -> dict[str, Stated]:
    """Keepalive, and the user timeout of a bind or server line."""
    prefix = _SIDES[side][0]
    found: dict[str, Stated] = {}
    option = f"option {prefix}tcpka"
    is_on = section.value(option) is not None
    if is_on or option in section.off:
        at = section.places[option]
        found["keepalive"] = Stated(value=is_on, place=at.place, directive=option, written="")
    if is_on:
        found |= _probing(section, prefix)
    user_timeout = parameter(end, "tcp-ut")
    if user_timeout is not None:
        milliseconds = -(-time_us(user_timeout, "tcp-ut", "ms") // 1000)
        found["user_timeout_s"] = _stated(milliseconds / 1000, user_timeout, "tcp-ut")
    return found


def _probing(section: Section, prefix: str) -> dict[str, Stated]:
    """Idle time, interval and count, where the option is on."""
    found: dict[str, Stated] = {}
    for key, name in _PROBING.items():
        directive = f"{prefix}tcpka-{name}"
        word = section.value(directive)
        if word is None:
            continue
        if key == "count":
            value = lines.integer(word, directive, "an integer from 1 to 127", least=1, most=127)
        else:  # HAProxy rounds up
            value = -(-time_us(word, directive, "s") // 1_000_000)
        found[key] = _stated(value, word, directive)
    return found


def _timeouts(
    section: Section, side: str, tunnel: Stated | None, serving: Sequence[Section]
) -> Iterator[tuple[str, dict[str, Stated]]]:
    """After so long HAProxy closes a connection, with what to add to the connection's name.

    In mode http no timeout of the client runs while HAProxy waits for one of `serving`.
    """
    inactive = _time(section, f"timeout {side}")
    mode = section.value("mode")
    in_tunnels = None if tunnel is None else _named("inactivity_close_s", tunnel)
    if mode is None or mode.text != "http":
        yield "", _named("inactivity_close_s", inactive) if in_tunnels is None else in_tunnels
        return
    waiting = None
    if side == "client":
        waiting = _time(section, "timeout http-keep-alive") or _time(
            section, "timeout http-request"
        )
        waiting = waiting or inactive
    between = _named("inactivity_close_s", inactive) | _named("idle_close_s", waiting)
    yield "", between
    answers = [_named("inactivity_close_s", _time(each, "timeout server")) for each in serving]
    if between and answers:
        longest = max(answers, key=_closes_s)
        if _closes_s(longest) > _closes_s(between):
            yield ", in a request", longest
    if in_tunnels is not None:
        yield ", tunnels", in_tunnels


def _closes_s(closing: Mapping[str, Stated]) -> float:
    """The shortest of these; infinite where there is none."""
    return min((each.value for each in closing.values()), default=math.inf)


def _named(key: str, value: Stated | None) -> dict[str, Stated]:
    return {} if value is None else {key: value}


def _time(section: Section, directive: str) -> Stated | None:
    """None for one of 0, which HAProxy takes as not set."""
    word = section.value(directive)
    time_s = 0.0 if word is None else time_us(word, directive, "ms") / 1_000_000
    return None if word is None or not time_s else _stated(time_s, word, directive)


def _stated(value: float, word: Word, directive: str) -> Stated:
    return Stated(value=value, place=word.place, directive=directive, written=word.text)


def _connection(
    name: str, section: Section, side: str, found: Mapping[str, Stated], notices: Sequence[Notice]
) -> Connection:
    option = f"option {_SIDES[side][0]}tcpka"
    filled = {
        "keepalive": Filled(value=False, source=f"HAProxy's default ({option})"),
        "side": Filled(value="server" if side == "client" else "client", source="HAProxy's role"),
    }
    directives = {
        "keepalive": option,
        **{key: f"{_SIDES[side][0]}tcpka-{word}" for key, word in _PROBING.items()},
        "user_timeout_s": "tcp-ut",
    }
    return stated.connection(name, section.head.place, found, filled, notices, directives)


def _notices(section: Section) -> Iterator[Notice]:
    """The section's own directives that HAProxy ignores."""
    for side, (prefix, kinds) in _SIDES.items():
        option = f"option {prefix}tcpka"
        probing = [each for each in section.places if each.startswith(f"{prefix}tcpka-")]
        for directive in [option, f"timeout {side}", *probing]:
            is_own = directive in section.own
            if is_own and section.kind not in kinds:
                where = f"has no effect in a {section.kind}"
                yield Notice(section.places[directive].place, directive, where)
            elif directive in probing and section.kind in kinds and section.value(option) is None:
                without = f"has no effect without {option}"
                yield Notice(section.places[directive].place, directive, without, ("keepalive",))


def write(terms: Terms) -> str:
    """A frontend for settings of a server, or else a backend. Raises UsageError."""
    writable = (
        "keepalive",
        "idle_s",
        "interval_s",
        "count",
        "user_timeout_s",
        "inactivity_close_s",
    )
    refuse_others(terms, writable, "HAProxy")
    is_frontend = terms.side == "server"
    prefix, side = ("cli", "client") if is_frontend else ("srv", "server")
    values: dict[str, Any] = {
        f"{prefix}tcpka-idle": terms.idle_s,
        f"{prefix}tcpka-intvl": terms.interval_s,
        f"{prefix}tcpka-cnt": terms.count,
    }
    on = Connection(name="", terms=terms).keepalive
    written = ["frontend app" if is_frontend else "backend app", "mode tcp"]
    written += [f"{'' if on else 'no '}option {prefix}tcpka"]
    written += [f"{name} {value}" for name, value in values.items() if value is not None]
    if terms.inactivity_close_s is not None:
        written += [f"timeout {side} {round(terms.inactivity_close_s * 1000)}ms"]
    user_timeout = f" tcp-ut {round(terms.user_timeout_s * 1000)}" if terms.user_timeout_s else ""
    written += [("bind :8080" if is_frontend else "server app 192.0.2.1:8080") + user_timeout]
    return "\n    ".join(written) + "\n"


def _fits(_path: Path, text: str) -> bool:
    has_section = re.search(r"^(frontend|backend|listen)[ \t]+[\w.:-]+", text, re.MULTILINE)
    return bool(has_section) and bool(
        re.search(r"^[ \t]+(bind|server|mode|timeout|option)[ \t]", text, re.MULTILINE)
    )


FORMAT = Format(
    name="haproxy",
    title="haproxy.cfg, or another name with frontend and backend sections in it",
    fits=_fits,
    read=read,
    write=write,
)
