"""haproxy.cfg as sections of words: quoting, `defaults`, and what a section takes from them.

See sections 2.2 (quoting), 2.5 (time) and 4 (proxies) of HAProxy's configuration manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from harness.policy.lines import Word, error, lines

PROXIES = ("frontend", "listen", "backend")
_SECTION = re.compile(
    r"(global|defaults|frontend|listen|backend|peers|resolvers|userlist|mailers|program|cache"
    r"|http-errors|ring|log-forward|fcgi-app|traces|crt-store|acme|log-profile)\b"
)
_PIECE = re.compile(r"""\\.|"(?:\\.|[^"\\])*"?|'[^']*'?|[^\s"'\\#]+|\\$""")
_UNITS_US = {
    "us": 1,
    "ms": 1000,
    "s": 10**6,
    "m": 60 * 10**6,
    "h": 3600 * 10**6,
    "d": 86400 * 10**6,
}
_TIMES = ("client", "server", "tunnel", "http-keep-alive", "http-request")


class Section(msgspec.Struct):
    """A section: `kind`, its name as it is written, its lines, and what is set in it.

    `values`: by directive, such as "timeout client" and "option clitcpka", the words after it; of
    an option that is turned off none but the directive itself, see `off`. `own`: the directives of
    the section itself; the others come from defaults. `uses`: the backends of `use_backend`.
    """

    head: Word
    name: str
    values: dict[str, Word]
    off: set[str]
    own: set[str]
    places: dict[str, Word]
    default_server: tuple[Word, ...] = ()
    binds: list[list[Word]] = []
    servers: list[list[Word]] = []
    uses: list[Word] = []

    @property
    def kind(self) -> str:
        """Such as "frontend"."""
        return self.head.text

    def value(self, directive: str) -> Word | None:
        """What is written after a directive that is in force."""
        return self.values.get(directive)


def sections(text: str, source: str) -> list[Section]:
    """All proxies of a file, with what they take from defaults. Raises PolicyError."""
    defaults: dict[str, Section] = {}
    latest: Section | None = None
    current: Section | None = None
    found = []
    for line in lines(text, source):
        words = _words(line)
        if not words:
            continue
        if _SECTION.fullmatch(words[0].text):
            current = _begun(words, latest, defaults)
            if current.kind == "defaults":
                latest = defaults[current.name] = current
            elif current.kind in PROXIES:
                found.append(current)
        elif current is not None and current.kind in ("defaults", *PROXIES):
            _add(current, words)
    return found


def _words(line: Word) -> list[Word]:
    """Without quotes, up to a comment."""
    found: list[Word] = []
    end = -1
    for match in _PIECE.finditer(_without_comment(line.text)):
        piece = match[0]
        piece = piece.strip(piece[0]) if piece[0] in "\"'" else piece.removeprefix("\\")
        if match.start() == end:
            found[-1] = Word(found[-1].text + piece, found[-1].place)
        else:
            found.append(Word(piece, line.after(match.start()).place))
        end = match.end()
    return found


def _without_comment(text: str) -> str:
    quoted = ""
    for index, letter in enumerate(text):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "\"'":
            quoted = letter
        elif letter == "#" and text[index - 1 : index] != "\\":
            return text[:index]
    return text


def _begun(
    words: Sequence[Word], latest: Section | None, defaults: Mapping[str, Section]
) -> Section:
    """A section with the settings of the defaults that it names, or of the latest before it."""
    names = [each.text for each in words[1:]]
    base = latest if words[0].text != "defaults" else None
    if "from" in names:
        named = names[names.index("from") + 1 :][:1]
        base = defaults.get(named[0]) if named else None
        if base is None:
            expected = "the name of a defaults section above"
            raise error(words[names.index("from") + 1], "from", expected)
        names = names[: names.index("from")]
    return Section(
        head=words[0],
        name=names[0] if names else "",
        values=dict(base.values) if base else {},
        off=set(base.off) if base else set(),
        own=set(),
        places=dict(base.places) if base else {},
        default_server=base.default_server if base else (),
        binds=[],
        servers=[],
        uses=[],
    )


def _add(section: Section, words: Sequence[Word]) -> None:
    """One line of a section, if it matters here."""
    first, rest = words[0], list(words[1:])
    if first.text in ("no", "default") and rest[:1] and rest[0].text == "option":
        for each in _options(rest[1:]):
            section.values.pop(each, None)
            (section.off.add if first.text == "no" else section.off.discard)(each)
            _stated(section, each, first)
    elif first.text == "option":
        for each in _options(rest):
            section.values[each] = rest[0]
            section.off.discard(each)
            _stated(section, each, first)
    elif first.text == "timeout" and rest[:1] and rest[0].text in _TIMES:
        _set(section, f"timeout {rest[0].text}", first, rest[1:])
    elif first.text in ("mode", "default_backend") or re.match(r"(cli|srv)tcpka-", first.text):
        _set(section, first.text, first, rest)
    elif first.text == "use_backend":
        section.uses += rest[:1]
    elif first.text == "bind":
        section.binds.append(rest)
    elif first.text == "default-server":
        section.default_server = (*rest, *section.default_server)
    elif first.text in ("server", "server-template"):
        skipped = 1 if first.text == "server" else 2
        section.servers.append([*rest[:1], *rest[skipped:], *section.default_server])


def _options(rest: Sequence[Word]) -> list[str]:
    """`option tcpka` is both sides'."""
    name = rest[0].text if rest else ""
    return {
        "tcpka": ["option clitcpka", "option srvtcpka"],
        "clitcpka": ["option clitcpka"],
        "srvtcpka": ["option srvtcpka"],
    }.get(name, [])


def _set(section: Section, directive: str, at: Word, rest: Sequence[Word]) -> None:
    if not rest:
        raise error(Word("", at.place), directive, "a value after it")
    section.values[directive] = rest[0]
    _stated(section, directive, at)


def _stated(section: Section, directive: str, at: Word) -> None:
    section.own.add(directive)
    section.places[directive] = at


def parameter(words: Sequence[Word], name: str) -> Word | None:
    """The word after a keyword of a bind or server line; of several the first counts here, as the
    words of `default-server` come last. Raises PolicyError where nothing follows.
    """
    for index, each in enumerate(words):
        if each.text == name:
            if index + 1 == len(words):
                raise error(Word("", each.place), name, "a time after it")
            return words[index + 1]
    return None


def time_us(word: Word, directive: str, unit: str) -> int:
    """A time in microseconds; `unit`: of a number without one. Raises PolicyError."""
    match = re.fullmatch(r"([0-9]{1,15})(us|ms|s|m|h|d)?", word.text)
    if match is None:
        raise error(word, directive, f"a time such as 30s or 5m, or a number ({unit})")
    return int(match[1]) * _UNITS_US[match[2] or unit]


def is_tcp(address: str) -> bool:
    """Whether an address of a bind or server line is one of TCP."""
    return not re.match(r"/|unix@|uxst@|uxdg@|abns@|abnsz@|sockpair@|quic[46]@|udp", address)
