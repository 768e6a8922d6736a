"""What ssh_config(5) and sshd_config(5) have in common: lines, blocks, and a heartbeat.

OpenSSH sends a message after the interval without data from the peer, and again after each further
interval. When one more would be due than CountMax allows without an answer, it ends the connection:
after 60 s with 15 and 3 (clientloop.c, server_alive_check; the manual says "approximately 45
seconds"). Its timer runs apart from the sending. With a CountMax of 0 sshd sends messages and ends
no connection: the retransmissions of the first message do so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from harness.errors import UsageError
from harness.policy import lines, stated
from harness.policy.directives import refuse_others
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

KEEPALIVE = "TCPKeepAlive"
_ENDLESS = 1000
"""Messages without an answer in place of 0, which means that none ends the connection: more than
are sent until TCP gives up the first one.
"""
_ONLY_SENT = "0 ends no connection: messages are sent, and TCP alone gives up a dead peer"
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LINE = re.compile(r"\s*([A-Za-z]\w*)(?:\s*=\s*|\s+)(.*?)\s*$")


class Role(msgspec.Struct, frozen=True):
    """ssh or sshd: its words for the heartbeat. `side`: "client" or "server"."""

    program: str
    side: str
    page: str
    interval: str
    most: str
    ends_at_zero: bool


class Block(msgspec.Struct):
    """What stands below a `Host` or `Match` line, or before the first one (`head` is None).

    `values`: by directive, as the manual spells it; the first of several counts.
    """

    head: Word | None
    criteria: tuple[str, ...]
    values: dict[str, Word]
    includes: list[Word]

    @property
    def name(self) -> str:
        """As it is written: "Host *.example.com"."""
        return " ".join(filter(None, (self.head.text if self.head else "", *self.criteria)))


def blocks(text: str, source: str, role: Role) -> Iterator[Block]:
    """All of a file, beginning with what stands before the first one."""
    known = {each.lower(): each for each in (KEEPALIVE, role.interval, role.most)}
    current = Block(head=None, criteria=(), values={}, includes=[])
    for line in lines.lines(text, source):
        match = _LINE.match(line.text)
        if match is None:
            continue
        keyword = match[1].lower()
        if keyword in ("host", "match"):
            yield current
            head = Word(match[1].capitalize(), line.after(match.start(1)).place)
            current = Block(head=head, criteria=tuple(match[2].split()), values={}, includes=[])
        elif keyword == "include":
            current.includes.append(Word("Include", line.after(match.start(1)).place))
        elif keyword in known:
            value = _unquoted(Word(match[2], line.after(match.start(2)).place))
            current.values.setdefault(known[keyword], value)
    yield current


def with_includes(made: Sequence[Connection], found: Sequence[Block]) -> tuple[Connection, ...]:
    """The first connection tells which lines of the file are not followed."""
    notices = tuple(lines.not_followed(each) for block in found for each in block.includes)
    first, *others = made
    return (msgspec.structs.replace(first, notices=first.notices + notices), *others)


def _unquoted(word: Word) -> Word:
    """Without quotes, and without a comment after it."""
    text = word.text.partition(" #")[0].rstrip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return Word(text[1:-1], word.after(1).place)
    return Word(text, word.place)


def connection(name: str, place: Place, values: Mapping[str, Word], role: Role) -> Connection:
    """Of the directives that are in force. Raises PolicyError."""
    found: dict[str, Stated] = {}
    notices = []
    if KEEPALIVE in values:
        word = values[KEEPALIVE]
        if word.text.lower() not in ("yes", "no", "true", "false"):
            raise error(word, KEEPALIVE, "yes or no")
        found["keepalive"] = _stated(word.text.lower() in ("yes", "true"), word, KEEPALIVE)
    page = role.page
    filled = {
        "side": Filled(role.side, f"{role.program} is the {role.side}"),
        "keepalive": Filled(value=True, source=f"OpenSSH's default ({page}, {KEEPALIVE})"),
    }
    every_s = _seconds(values[role.interval], role.interval) if role.interval in values else 0
    most = _count(values, role)
    if every_s:
        for key in ("heartbeat.every_s", "heartbeat.timeout_s"):
            found[key] = _stated(every_s, values[role.interval], role.interval)
        if most is not None:
            found["heartbeat.misses"] = _stated(most or _ENDLESS, values[role.most], role.most)
        filled["heartbeat.misses"] = Filled(3, f"OpenSSH's default ({page}, {role.most})")
        if most != 0:
            filled["heartbeat.apart"] = Filled(value=True, source="OpenSSH's own timer")
    if most is not None and not (every_s and most):
        why = f"has no effect without {role.interval}" if not every_s else _ONLY_SENT
        notices.append(Notice(values[role.most].place, role.most, why, ("heartbeat",)))
    directives = {
        "heartbeat.every_s": role.interval,
        "heartbeat.timeout_s": role.interval,
        "heartbeat.misses": role.most,
    }
    return stated.connection(name, place, found, filled, notices, directives)


def _count(values: Mapping[str, Word], role: Role) -> int | None:
    """How many messages may be unanswered; None: not stated."""
    if role.most not in values:
        return None
    least = 0 if role.ends_at_zero else 1
    expected = f"an integer from {least} to 1000"
    return lines.integer(values[role.most], role.most, expected, least=least, most=1000)


def _seconds(word: Word, directive: str) -> int:
    """A time of sshd_config(5), TIME FORMATS: "90", "1m30s"."""
    if not re.fullmatch(r"(?:[0-9]{1,9}[sSmMhHdDwW]?)+", word.text):
        raise error(word, directive, "a time such as 30 or 1m30s")
    parts = re.findall(r"([0-9]+)([a-z]?)", word.text.lower())
    return sum(int(number) * _UNITS_S[unit] for number, unit in parts)


def _stated(value: object, word: Word, directive: str) -> Stated:
    return Stated(value=value, place=word.place, directive=directive, written=word.text)


def written(terms: Terms, role: Role) -> str:
    """The lines that set these terms. Raises UsageError."""
    refuse_others(terms, ("keepalive", "heartbeat"), role.program)
    found = []
    if terms.keepalive is not None:
        found.append(f"{KEEPALIVE} {'yes' if terms.keepalive else 'no'}")
    beat = terms.heartbeat
    if beat is not None:
        if beat.every_s != beat.timeout_s or beat.every_s % 1:
            raise UsageError(
                f"{role.program}: expected a heartbeat that waits as long for each answer as for "
                f"the first message, in whole seconds, found {beat.every_s:g} s and "
                f"{beat.timeout_s:g} s. Fix: choose the same for both"
            )
        found += [f"{role.interval} {round(beat.every_s)}", f"{role.most} {beat.misses}"]
    return "".join(f"{each}\n" for each in found)
