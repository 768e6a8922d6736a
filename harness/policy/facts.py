"""What a rule may ask about a connection: settings, demands and the oracle's answers at each HZ."""

from __future__ import annotations

import itertools

from harness.policy import answers
from harness.policy.answers import SECOND_NS, Idle, Window
from harness.policy.settings import Connection, Heartbeat, Hop, Terms


class Facts:
    """One connection. All methods raise Unpredictable where the oracle does."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.terms: Terms = connection.terms
        self.settings = connection.settings
        self.hz: tuple[int, ...] = tuple(sorted(set(self.terms.hz)))

    @property
    def heartbeat(self) -> Heartbeat | None:
        """Of the application."""
        return self.terms.heartbeat

    @property
    def closes_idle_s(self) -> float | None:
        """After so long the program closes an idle connection by itself; None: it never does."""
        found = (self.terms.idle_close_s, self.terms.inactivity_close_s)
        return min((each for each in found if each is not None), default=None)

    def idle(self, hz: int) -> Idle | None:
        """What keepalive does on an idle connection; None: it is off."""
        return answers.idle(self.settings, hz)

    def noticed_idle(self, hz: int, demand_s: float = answers.MOST_S) -> Window | None:
        """When a dead peer is detected while the connection is idle, or the connection is closed
        anyway; None: never.

        With a heartbeat these are bounds, sharp where only that decides whether a demand is met.
        """
        found, closes_s = self._noticed_idle(hz, demand_s), self.closes_idle_s
        return found if closes_s is None else earlier(found, closes_s)

    def _noticed_idle(self, hz: int, demand_s: float) -> Window | None:
        found, beat = self.idle(hz), self.heartbeat
        if beat is None:
            return None if found is None else found.end
        # An unanswered heartbeat is data in flight, which keeps keepalive from acting, and which
        # TCP gives up by itself.
        every_ns, beat_ns = round(beat.every_s * SECOND_NS), answers.heartbeat_ns(beat)
        if found is not None and found.end.high_ns < every_ns:
            return found.end
        demand_ns = round(demand_s * SECOND_NS)
        tcp = answers.in_flight_bounds(self.settings, hz)
        if demand_ns < beat_ns:
            _, tcp = answers.noticed_in_flight(self.settings, hz, demand_ns - every_ns)
        low_ns = min(beat_ns, every_ns + tcp.low_ns)
        if found is not None and found.end.low_ns < every_ns:
            low_ns = min(low_ns, found.end.low_ns)
        return Window(low_ns, min(beat_ns, every_ns + tcp.high_ns))

    @property
    def in_flight_is_bounded(self) -> bool:
        """Whether anything but retransmissions ends a connection with data in flight."""
        apart = self.heartbeat is not None and self.heartbeat.apart
        return bool(self.settings.user_timeout_ms) or apart

    def noticed_in_flight(self, hz: int, demand_s: float) -> tuple[bool, Window]:
        """Whether a dead peer is detected in time while data is in flight, and bounds of when.

        `inactivity_close_s` is no bound: each byte that the program sends begins it anew.
        """
        demand_ns, beat = round(demand_s * SECOND_NS), self.heartbeat
        beat_ns = None if beat is None or not beat.apart else answers.heartbeat_ns(beat)
        if beat_ns is not None and beat_ns <= demand_ns:
            tcp = answers.in_flight_bounds(self.settings, hz)
            return True, Window(min(tcp.low_ns, beat_ns), min(tcp.high_ns, beat_ns))
        in_time, found = answers.noticed_in_flight(self.settings, hz, demand_ns)
        if beat_ns is None:
            return in_time, found
        return in_time, Window(min(found.low_ns, beat_ns), min(found.high_ns, beat_ns))

    def keepalive_alone(self, hz: int) -> Idle | None:
        """What keepalive does, where it may give up before a heartbeat is sent, or none is.

        An unanswered heartbeat is data in flight, which keeps keepalive from acting.
        """
        found, beat = self.idle(hz), self.heartbeat
        if found is None or beat is None or found.end.low_ns < beat.every_s * SECOND_NS:
            return found
        return None

    def survives(self, hz: int, outage_s: float) -> bool:
        """Whether an idle connection outlives an outage, as far as keepalive goes."""
        found = self.keepalive_alone(hz)
        return found is None or round(outage_s * SECOND_NS) <= found.outage_ns

    def heartbeat_survives(self, hz: int, outage_s: float) -> bool:
        """The same, as far as the heartbeat goes: TCP sends it again after the outage, and that is
        in time.
        """
        beat = self.heartbeat
        if beat is None:
            return True
        again_ns = answers.sent_again_ns(round(outage_s * SECOND_NS), hz)
        return again_ns < beat.misses * beat.timeout_s * SECOND_NS

    def survives_in_flight(self, hz: int, outage_s: float) -> bool:
        """The same with data in flight, as far as retransmissions, the user timeout and the
        program's own timeout go.
        """
        return not self.closes_before_again(hz, outage_s) and answers.survives_in_flight(
            self.settings, hz, round(outage_s * SECOND_NS)
        )

    def closes_before_again(self, hz: int, outage_s: float) -> bool:
        """Whether the program closes the connection before data is sent again after an outage."""
        closes_s = self.terms.inactivity_close_s
        if closes_s is None:
            return False
        again_ns = answers.sent_again_ns(round(outage_s * SECOND_NS), hz)
        return again_ns >= closes_s * SECOND_NS

    def strictest(self) -> Hop | None:
        """The device that drops the state of this connection first when it is idle; a packet after
        that is lost. What is behind a proxy never sees a packet of this connection.
        """
        reached = itertools.takewhile(lambda hop: not hop.proxy, self.connection.path)
        forgetting = [hop for hop in reached if hop.forgets(self.terms.side)]
        return min(forgetting, key=lambda hop: hop.limit_s or 0, default=None)

    def outlived(self, hz: int, limit_s: float) -> bool:
        """Whether keepalive sends a packet before a device drops the state of the flow, or the
        program has closed the connection by then.
        """
        if self.closes_idle_s is not None and self.closes_idle_s < limit_s:
            return True
        found = self.idle(hz)
        return found is not None and found.first_probe.high_ns < limit_s * SECOND_NS

    def which_hz(self, bad: tuple[int, ...]) -> str:
        """Where something is so, in words that say whether HZ decides it."""
        good = [str(hz) for hz in self.hz if hz not in bad]
        where = f"at HZ={', '.join(map(str, bad))}"
        return f"{where} (HZ decides: not at {', '.join(good)})" if good else where

    def worst_at(self, worst: int, bad: tuple[int, ...]) -> str:
        """Where a figure holds, and whether HZ decides that something is too late."""
        if len(bad) == len(self.hz):
            others = f", the worst of {', '.join(map(str, self.hz))}" if len(bad) > 1 else ""
            return f"at HZ={worst}{others}"
        also = [str(hz) for hz in bad if hz != worst]
        good = [str(hz) for hz in self.hz if hz not in bad]
        which = [f"also at {', '.join(also)}"] if also else []
        return f"at HZ={worst} (HZ decides: {', '.join([*which, 'not at ' + ', '.join(good)])})"


def earlier(found: Window | None, closes_s: float) -> Window:
    """What comes first: what was found, or that the program closes the connection."""
    closes_ns = round(closes_s * SECOND_NS)
    if found is None:
        return Window(closes_ns, closes_ns)
    return Window(min(found.low_ns, closes_ns), min(found.high_ns, closes_ns))
