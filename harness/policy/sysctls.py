"""What sysctls say of TCP, wherever they are written.

They hold for the sockets of a network namespace that set SO_KEEPALIVE and leave a value to the
system (Documentation/networking/ip-sysctl.rst).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from harness.errors import UsageError
from harness.policy import lines, stated
from harness.policy.directives import refuse_others
from harness.policy.lines import Word
from harness.policy.settings import Connection, Place, Terms
from harness.policy.stated import Filled, Stated

TERMS = {
    "net.ipv4.tcp_keepalive_time": "idle_s",
    "net.ipv4.tcp_keepalive_intvl": "interval_s",
    "net.ipv4.tcp_keepalive_probes": "count",
    "net.ipv4.tcp_retries2": "retries2",
}
_LIMITS = {"idle_s": 32767, "interval_s": 32767, "count": 127, "retries2": 255}
ASSUMED = Filled(value=True, source="assumed: these sysctls hold for sockets with SO_KEEPALIVE")


def is_about_tcp(name: Word) -> bool:
    """Whether a sysctl matters here."""
    return bool(_meant(name))


def connection(name: str, place: Place, pairs: Sequence[tuple[Word, Word]]) -> Connection:
    """Of names and values; the last of a name counts. Raises PolicyError.

    A pattern sets what no name sets, before or after it (systemd-sysctl, src/sysctl/sysctl.c).
    """
    found: dict[str, Stated] = {}
    named = {each for key, _ in pairs if not _is_pattern(key) for each in _meant(key)}
    for key, value in pairs:
        for sysctl in _meant(key):
            if _is_pattern(key) and sysctl in named:
                continue
            term = TERMS[sysctl]
            most = _LIMITS[term]
            expected = f"an integer from 1 to {most} (anything else has no model)"
            number = lines.integer(value, sysctl, expected, least=1, most=most)
            found[term] = Stated(
                value=number, place=value.place, directive=sysctl, written=value.text
            )
    directives = {term: sysctl for sysctl, term in TERMS.items()}
    return stated.connection(name, place, found, {"keepalive": ASSUMED}, (), directives)


def written(terms: Terms, software: str) -> dict[str, int]:
    """The sysctls that set these terms. Raises UsageError for a term that none sets."""
    if terms.keepalive is False:
        raise UsageError(
            f"{software}: expected keepalive, found it off. Fix: turn it off in the program, as no "
            "sysctl does"
        )
    refuse_others(terms, ("keepalive", *TERMS.values()), software)
    values = {sysctl: getattr(terms, term) for sysctl, term in TERMS.items()}
    return {sysctl: value for sysctl, value in values.items() if value is not None}


def _is_pattern(key: Word) -> bool:
    return any(each in key.text for each in "*?[")


def _meant(key: Word) -> list[str]:
    """The sysctls that a name stands for; sysctl.d(5) allows slashes, and patterns."""
    name = key.text.replace("/", ".")
    return [each for each in TERMS if name == each or fnmatchcase(each, name)]
