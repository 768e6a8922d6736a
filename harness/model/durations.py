"""Durations as people write them: 90, "60s", "500ms", "1m30s", "2h".

The only place that reads them.

A bare number has the unit of its option or key; in scenario files, keys that end in `_s` take such
strings, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

EXAMPLES = "90s, 1m30s or 500ms"
_UNITS_US = {"d": 86_400_000_000, "h": 3_600_000_000, "min": 60_000_000, "m": 60_000_000}
_UNITS_US |= {"s": 1_000_000, "ms": 1_000, "us": 1}
_PART = r"(\d+)(?:\.(\d{1,9}))? ?(d|h|min|ms|us|m|s)"
_WHOLE = rf"{_PART}(?: ?{_PART})*"
PATTERN = r"^ *([0-9]+([.][0-9]{1,9})? ?(d|h|min|ms|us|m|s) ?)+ *$"
"""What all of them match, as a regular expression of JSON Schema; the order of units is not told.
"""
SIGNED_PATTERN = PATTERN.replace("^ *", "^ *-?", 1)
"""The same, of keys that may be negative in a file: "-1h"."""
_PER_US = 10**9
"""Durations are added up as whole numbers of 1e-9 microseconds, so that they are exact.

No module is needed for it.
"""
_RATES = frozenset({"kbit_s", "rate_kb_s"})
"""Keys that end in `_s` and mean "per second"."""


def seconds(text: str) -> float:
    """The seconds that a text stands for; a bare number is of them. Raises ValueError."""
    return _read(text, 1_000_000)


def milliseconds(text: str) -> float:
    """The milliseconds that a text stands for; a bare number is of them. Raises ValueError."""
    return _read(text, 1_000)


def _read(text: str, unit_us: int) -> float:
    try:
        number = float(text)
    except ValueError:
        return _with_units(text.strip(), unit_us)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, found {text}")
    return int(number) if number.is_integer() else number


def _with_units(text: str, unit_us: int = 1_000_000) -> float:
    """In the unit given; an integer where it is whole, as Linux takes keepalive's times."""
    parts = re.findall(_PART, text) if re.fullmatch(_WHOLE, text) else []
    sizes = [_UNITS_US[name] for _, _, name in parts]
    if not parts or sizes != sorted(set(sizes), reverse=True):
        raise ValueError(f"expected a duration such as {EXAMPLES}, found {text!r}")
    counts = [int(whole + fraction.ljust(9, "0")) for whole, fraction, _ in parts]
    total = sum(count * size for count, size in zip(counts, sizes, strict=True))
    whole, rest = divmod(total, unit_us * _PER_US)
    return total / (unit_us * _PER_US) if rest else whole


# --- in scenario files --------------------------------------------------------------------------


def is_seconds(key: str) -> bool:
    """Whether a key, which may be dotted and end in an index, holds a number of seconds."""
    name = key.rpartition(".")[2].partition("[")[0]
    return name.endswith("_s") and name not in _RATES


def number_in(value: Any) -> Any:
    """The seconds in a string with units; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        if value.lstrip().startswith("-"):
            return -_with_units(value.replace("-", " ", 1).strip())
        return _with_units(value)
    except ValueError:
        return value


def in_seconds(raw: Any) -> Any:
    """Plain data with a number in place of each duration under a key of seconds."""
    try:
        return _converted(raw, "")
    except RecursionError:  # the complaint about it is found later
        return raw


def _converted(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        # The values of an environment are the command's own business.
        return {
            name: inner if name == "env" else _converted(inner, str(name))
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_converted(item, key) for item in value]
    return number_in(value) if is_seconds(key) else value


# --- milliseconds taken for seconds -------------------------------------------------------------


def meant_milliseconds(value: object, most: float | None) -> str:
    """A hint for a number of seconds above `most` that would be sound as milliseconds, or
    nothing.
    """
    if most is None or not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if math.isnan(value):
        return ""
    if value <= most or value % 1000 or value / 1000 > most:
        return ""
    return f" (did you mean {value / 1000:g} s, which are {value:.0f} ms?)"


LONG_IDLE_S = 10_000
LONG_S = 1_000
"""From so many seconds on, a round number of them for a keepalive idle time, or for an interval or
a user timeout, is suspected to be milliseconds.
"""


def suspicion(value: float, least: float) -> str:
    """What a sound number of seconds means, and what may have been meant, or nothing where it is no
    suspect.
    """
    if value < least or value % 500:
        return ""
    return f"= {value:g} means {value:g} s ({spelled(value)}); did you mean {value / 1000:g} s?"


def too_few_milliseconds(seconds_found: float) -> str:
    """What whole milliseconds below one second mean, and what may have been meant where they were
    taken for seconds; nothing for more.
    """
    found_ms = round(seconds_found * 1000)
    if not 0 < found_ms < 1000:
        return ""
    return f"= {found_ms} means {found_ms} ms; did you mean {found_ms * 1000} ms ({found_ms} s)?"


def spelled(seconds: float) -> str:
    """As hours, minutes and seconds: "2 h 11 min 15 s"."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(hours, f"{hours} h"), (minutes, f"{minutes} min"), (rest, f"{rest:g} s")]
    return " ".join(text for number, text in parts if number) or "0 s"
