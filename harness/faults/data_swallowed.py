"""Data swallowed: a middlebox takes some payloads, acknowledges them, and does not pass them on.

All else passes, so that TCP at both ends finds nothing wrong, as with a proxy that filters messages
of one kind, such as heartbeats. It happens where streams end: a packet filter that dropped the
segments would make TCP send them again. So the harness's own relay does it, which stands between
two connections (harness/programs/tcp_relay.py). Evidence: how many payloads it has swallowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from harness.errors import MISSING, FaultError
from harness.faults.base import Evidence, Fault
from harness.faults.blackhole import Direction
from harness.faults.process import give_order
from harness.model.topology import Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect
from harness.programs.tcp_relay import ANY, NOTES, PASSING, SIZES, SWALLOWING

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.lab.process import Program

Octets = Annotated[int, msgspec.Meta(ge=SIZES[0], le=SIZES[1])]
Range = Annotated[tuple[Octets, ...], msgspec.Meta(min_length=2, max_length=2)]
"""Not tuple[Octets, Octets]: beside a bounded number msgspec 0.23 takes an address for its length,
and crashes.
"""
MOST_OCTETS = 1000
"""Of a beginning."""
_WAYS: dict[Direction, str] = {"both": "to-server,to-client"}


class DataSwallowed(Fault, frozen=True, kw_only=True, tag="data-swallowed"):
    """Payloads of a size or with a beginning vanish at the relay.

    A payload is what the relay reads at once: what one write sends, unless several writes or a
    large one come in other pieces.
    """

    octets: Octets | Range | None = None
    """Payloads of so many octets, or of so many at least and at most."""
    starts_with: str | None = None
    """Payloads that begin with this text (UTF-8)."""
    starts_with_hex: str | None = None
    """Payloads that begin with these octets, such as "89 00", an unmasked WebSocket ping."""
    direction: Direction = "both"
    """Which way the payloads go."""

    summary: ClassVar[str] = "payloads of a size or with a beginning vanish at the relay"
    also_called: ClassVar[tuple[str, ...]] = (
        *("payload-swallowed", "payload-dropped", "data-dropped", "data-loss", "message-loss"),
        *("heartbeat-swallowed", "heartbeat-loss", "ping-swallowed", "ping-loss"),
    )
    undrawn: ClassVar[str] = "it is a proxy's, and the oracle has no model of what a proxy passes"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if layout.proxied_by == "command":
            expected = (
                "another fault: only the harness's own relay swallows payloads, and "
                "[proxy.command] is the proxy"
            )
            yield Problem("kind", self.kind, expected)
        elif layout.proxied_by != "relay":
            expected = 'a topology with the harness\'s own relay: kind = "proxied", proxy = "relay"'
            yield Problem("kind", self.kind, expected)
        texts = {"starts_with": self.starts_with, "starts_with_hex": self.starts_with_hex}
        given = {key: text for key, text in texts.items() if text is not None}
        if len(given) == len(texts):
            yield Problem("starts_with_hex", self.starts_with_hex, "no such key beside starts_with")
        elif not given and self.octets is None:
            expected = "octets of a payload (5, or [1, 20]), starts_with or starts_with_hex"
            yield Problem("octets", MISSING, expected)
        for key, text in given.items():
            if not 0 < len(_octets(key, text) or b"") <= MOST_OCTETS:
                kind = "octets in hexadecimal, such as 89 00" if "hex" in key else "octets of text"
                yield Problem(key, text, f"1 to {MOST_OCTETS} {kind}")
        least, *_, most = self._sizes
        if least > most:
            yield Problem("octets", [least, most], "the least octets, then the most")

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset() if layout.proxy is None else frozenset({layout.proxy})

    def proxy_must(self, layout: Layout) -> Literal["exist", "answer"] | None:
        return "answer"

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        unknown = "a relay swallows some payloads"
        return (
            Effect(mechanism="impaired", from_s=self.at_s, until_s=self.until_s, unknown=unknown),
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        """The least octets and the most."""
        if isinstance(self.octets, int):
            return self.octets, self.octets
        return self.octets or SIZES

    @property
    def beginning(self) -> bytes:
        """What payloads begin with that are swallowed."""
        if self.starts_with is not None:
            return _octets("starts_with", self.starts_with) or b""
        return _octets("starts_with_hex", self.starts_with_hex or "") or b""

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        if lab.layout.proxied_by != "relay" or lab.layout.proxy is None:
            raise FaultError(
                f'{self.kind}: expected a lab with a relay (proxy = "relay"), found one without'
            )
        relay = lab.host(lab.layout.proxy).program
        least, *_, most = self._sizes
        ways = _WAYS.get(self.direction, self.direction)
        order = f"swallow {ways} {least} {most} {self.beginning.hex() or ANY}\n"
        give_order(relay, order.encode(), SWALLOWING)

        def evidence() -> Evidence:
            shown = relay.shown_name() if relay.poll() is None else "gone"
            if shown != SWALLOWING:
                return Evidence(level="none", found=f"the relay is {shown}")
            noted = _noted(relay)
            ours = [p for p in noted if lab.watched is None or lab.watched.is_at(p)]
            others = len(noted) - len(ours)
            found = f"{count(len(ours), 'payload')} swallowed by the relay"
            if others:
                found += f"; besides {count(others, 'payload')} of other connections"
            return Evidence(level="bit" if ours else "in-place", found=found, others=others)

        try:
            yield evidence
        finally:
            if relay.poll() is None:
                give_order(relay, b"pass\n", PASSING)


def _noted(relay: Program) -> list[list[int]]:
    """The ports of each payload that the relay has swallowed, in order; none where it is gone."""
    try:
        lines = Path(f"/proc/{relay.pid}/cwd/{NOTES}").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    return [[int(port) for port in line.split()] for line in lines]


def _octets(key: str, text: str) -> bytes | None:
    """The octets that the value of a key stands for, None where it stands for none."""
    try:
        return bytes.fromhex(text) if key == "starts_with_hex" else text.encode()
    except ValueError:
        return None
