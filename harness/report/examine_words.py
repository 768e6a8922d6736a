"""What an end did, in words for tables, pages and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from harness.examine.findings import (
    CellReport,
    EndReport,
    Examination,
    Grade,
    Mechanism,
    Recovery,
    Sign,
)
from harness.judge.reasons import clipped
from harness.model import durations
from harness.model.topology import SIDES, Side
from harness.model.values import count
from harness.system.escapes import in_a_line

WORDS_SHOWN = 60
"""So many characters of what a program printed stand in a table; the timeline has all of them."""
NAMED = 4
"""So many faults a headline names."""
SYMBOLS: dict[Grade, str] = {"good": "ok", "bad": "BAD", "unknown": "?", "none": "-"}
ORDER: dict[Grade, int] = {"bad": 0, "unknown": 1, "good": 2, "none": 3}
BY_KERNEL: frozenset[Mechanism | None] = frozenset(
    {"rst", "keepalive", "user-timeout", "retransmissions"}
)
"""Where one of these decided, it is the kernel that ended the connection."""
_AT_ONCE_S = 0.0005


def seconds(value: float) -> str:
    """A measured time."""
    return "at once" if 0 <= value < _AT_ONCE_S else f"after {value:.3f} s"


def bound(value: float) -> str:
    """How long something was watched."""
    return durations.spelled(round(value))


def sign(found: Sign, by: Mechanism | None = None) -> str:
    """How an end showed a detection. `by`: what decided."""
    words = clipped(in_a_line(found.found), WORDS_SHOWN)
    if found.how == "exit":
        said = "" if found.said is None else f", having printed {_quoted(found.said)}"
        return f"exits with {words}{said}"
    if found.how == "output":
        return f"prints {_quoted(found.found)}" + (" (a guess)" if found.guessed else "")
    if found.how == "close":
        return f"{'loses' if by in BY_KERNEL else 'closes'} its connection ({words})"
    if found.how == "reconnect":
        return "connects anew"
    if found.how == "error":
        return f"gets {words}"
    return "reads the end of the stream" if found.how == "end-of-file" else f"gives up ({words})"


def _quoted(line: str) -> str:
    return f'"{clipped(in_a_line(line), WORDS_SHOWN)}"'


def end(cell: CellReport, side: Side) -> str:
    """What an end did, as a table shows it."""
    found = cell.end(side)
    if found.finding == "unknown":
        return "could not be examined"
    if found.finding == "struck":
        return "(struck by the fault)"
    if found.sign is None:
        return _without_sign(cell, found)
    by = None if found.attribution is None else found.attribution.by
    parts = [f"{sign(found.sign, by)} {_when(found.sign)}"]
    if found.finding == "false-alarm":
        parts[0] = f"false alarm: {parts[0]}"
    if found.attribution is not None:
        parts.append(found.attribution.words)
    parts += [] if found.error is None or found.error in parts[0] else [found.error]
    parts += [] if found.recovery is None else [recovery(found.recovery)]
    return "; ".join(parts)


def _when(found: Sign) -> str:
    return f"{-found.at_s:.3f} s before the fault" if found.at_s < 0 else seconds(found.at_s)


def _without_sign(cell: CellReport, found: EndReport) -> str:
    if found.finding == "never":
        why = "" if found.attribution is None else f": {found.attribution.words}"
        return f"detects nothing in {bound(cell.watched_s)}{why}"
    return "goes on" if found.recovery is None else recovery(found.recovery)


def recovery(found: Recovery) -> str:
    """How an end works again."""
    where = "on the same connection" if found.connection == "same" else "on a new connection"
    if found.by == "stands":
        return "the connection stands; nothing was sent on it"
    if found.by == "handshake":
        return f"connected again {seconds(found.after_s)}, nothing received since"
    return f"data passes again {where} {seconds(found.after_s)}"


def effort(found: EndReport) -> str:
    """What an end sent between the fault and its detection; "" where that was nothing."""
    kinds = {
        "keepalive probe": found.probes,
        "retransmission": found.retransmissions,
        "segment of data": found.writes,
    }
    plural = {"segment of data": "segments of data"}
    return ", ".join(
        f"{number} {name if number == 1 else plural.get(name, name + 's')}"
        for name, number in kinds.items()
        if number
    )


def left(found: EndReport) -> str:
    """What was left of an end that is the worse for the fault; "" where nothing is remarkable."""
    if found.left is None or found.finding == "unaffected":
        return ""
    halves = [s for s in found.left.sockets if s.state not in ("LISTEN", "TIME_WAIT")]
    unsent = sum(socket.unsent for socket in halves)
    states = ", ".join(sorted({socket.state for socket in halves}))
    words = [f"{len(halves)} open: {states}"] if halves else []
    return "; ".join(words + ([f"{unsent} octets unsent"] if unsent else []))


def headline(report: Examination, side: Side) -> str:
    """The one sentence about an end that matters most."""
    examined = [cell for cell in report.cells if cell.end(side).grade in ("good", "bad")]
    if not examined:
        is_struck = all(cell.end(side).finding == "struck" for cell in report.cells)
        why = "was struck by every fault itself" if is_struck else "could not be examined"
        return f"The {side} {why}."
    never = _titles(examined, side, "never")
    alarms = _titles(examined, side, "false-alarm")
    lost = [
        cell.title
        for cell in examined
        if cell.end(side).grade == "bad" and cell.end(side).finding == "detected"
    ]
    said = [
        f"never detects {_listed(never)}" if never else "",
        f"gives a false alarm under {_listed(alarms)}" if alarms else "",
        f"does not work again after {_listed(list(dict.fromkeys(lost)))}" if lost else "",
    ]
    wrong = [words for words in said if words]
    if wrong:
        return f"The {side} {'; it '.join(wrong)}."
    unknown = sum(cell.end(side).grade == "unknown" for cell in report.cells)
    rest = f" {count(unknown, 'fault')} could not be examined." if unknown else ""
    return f"{_all_good(examined, side)}{rest}"


def _all_good(examined: Sequence[CellReport], side: Side) -> str:
    times = [
        found.sign.at_s
        for found in (cell.end(side) for cell in examined)
        if found.finding == "detected" and found.sign is not None
    ]
    slowest = f", the slowest after {max(times):.1f} s" if times else ""
    return f"The {side} detects every fault that it must{slowest}, without a false alarm."


def _titles(cells: Sequence[CellReport], side: Side, finding: str) -> list[str]:
    return list(dict.fromkeys(c.title for c in cells if c.end(side).finding == finding))


def _listed(titles: Sequence[str]) -> str:
    shown = list(titles[:NAMED])
    if len(titles) > NAMED:
        shown.append(f"{len(titles) - NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def worst_first(report: Examination) -> list[CellReport]:
    """The cells, those with something bad first, each group in the order of the grid."""
    return sorted(report.cells, key=lambda cell: ORDER[grade(cell)])


def grade(cell: CellReport) -> Grade:
    """The worse of both ends'."""
    return min((cell.end(side).grade for side in SIDES), key=ORDER.__getitem__)
