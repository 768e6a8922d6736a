"""What faults mean to a connection: the vocabulary between faults and the oracle.

A fault says, for the side whose detection is predicted, which effects it has and from when to when.
The oracle knows effects only, so a new fault needs no change here as long as it does one of these
things to the path.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Mechanism = Literal[
    "lost",
    "lost-locally",
    "answers-lost",
    "peer-forgot",
    "peer-closed",
    "peer-reset",
    "peer-frozen",
    "expires",
    "challenged",
    "parked",
    "syn-lost",
    "impaired",
]
"""
lost          the observer's segments leave its host and vanish
lost-locally  the observer's own host cannot send them: nothing on the wire; `errno` may become
              the soft error
answers-lost  the peer sees the observer's segments, its answers vanish
peer-forgot   the observer's segments are answered with RST: by the peer's host or by something in
              between, that knows nothing of the connection
peer-closed   the peer's kernel sends FIN at the onset
peer-reset    an RST that is sure to be accepted reaches the observer at the onset
peer-frozen   the peer's program stands still, its kernel goes on answering
expires       a stateful middlebox drops its state after `timeout_s` without a packet, then drops or
              resets
challenged    the observer's host sends a segment of its own accord at the onset, a challenge ACK,
              and nothing answers it
parked        what is sent waits in a queue for something that may yet be found, and may come
              late
syn-lost      no new connection can be made; one that stands is not concerned
impaired      something that no model covers; `unknown` says what
"""


class Unpredictable(Exception):
    """No model covers this combination; the text says which. State the expectation by hand."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens to the path. Times are seconds after arming; `until_s` None: for ever.

    `unsettled_s`: for this long after `from_s` and after `until_s` the fate of a segment cannot be
    told, because the kernel itself is still making up its mind (carrier events run from a work
    queue). `errno`: for what is lost locally the error that a keepalive probe leaves as soft error,
    None where it leaves none. `swallowed`: what is lost locally counts as sent all the same (a
    device without carrier). `reported`: data that is lost so is answered by an ICMP error, which
    leaves this errno as soft error; an idle connection's probes are lost in silence all the same.
    `reverts`: the error is one of those that take the back-off of the retransmission timer back
    (RFC 6069: network and host unreachable, IPv6 no route). `reports_every_s`: how often whoever
    reports it may do so (net.ipv4.icmp_ratelimit, net.ipv6.icmp.ratelimit); `charged_twice`: each
    error counts twice against that (ipv4/route.c:ip_error does so beside
    icmp.c:icmpv4_xrlim_allow). `unknown`: why what becomes of data cannot be told, or of anything
    where the mechanism is "impaired". `not_reading`: of "peer-frozen": the program goes on and
    reads no more. `midway`: of "peer-forgot": it is something in between that answers with RST, or
    that does not know the flow. `timeout_s`, `then`: of a middlebox: after so long without a packet
    its state is dropped, and a later packet is dropped or answered with RST; "reset-both": both
    ends get RST in the moment of expiry.
    """

    mechanism: Mechanism
    from_s: float = 0.0
    until_s: float | None = None
    unsettled_s: float = 0.0
    errno: str | None = None
    swallowed: bool = False
    reported: str | None = None
    reverts: bool = False
    reports_every_s: float = 1.0
    charged_twice: bool = False
    unknown: str = ""
    not_reading: bool = False
    midway: bool = False
    timeout_s: float | None = None
    then: Literal["drop", "reset", "reset-both"] | None = None


class Span(msgspec.Struct, frozen=True):
    """An effect with its times in nanoseconds after arming, as the scenario asks for them.

    Each end may come later than that, by as much as injecting or healing a fault may take.
    """

    effect: Effect
    from_ns: int
    until_ns: int | None
    unsettled_ns: int

    @property
    def edges_ns(self) -> tuple[int, ...]:
        """The moments at which the effect sets in and wears off."""
        return (self.from_ns,) if self.until_ns is None else (self.from_ns, self.until_ns)


def resolve(effects: tuple[Effect, ...]) -> tuple[Span, ...]:
    """Place effects in time, to the nanosecond."""
    return tuple(
        Span(
            effect,
            from_ns=round(effect.from_s * 1e9),
            until_ns=None if effect.until_s is None else round(effect.until_s * 1e9),
            unsettled_ns=round(effect.unsettled_s * 1e9),
        )
        for effect in effects
    )
