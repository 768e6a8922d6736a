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

    def idle(self, hz: int) -> Idle | None:
        """What keepalive does on an idle connection; None: it is off."""
        return answers.idle(self.settings, hz)

    def noticed_idle(self, hz: int, demand_s: float = answers.MOST_S) -> Window | None:
        """When a dead peer is noticed while the connection is idle; None: never.

        With a heartbeat these are bounds, sharp where only that decides whether a demand is met.
        """
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

    def noticed_in_flight(self, hz: int, demand_s: float) -> tuple[bool, Window]:
        """Whether a dead peer is noticed in time while data is in flight, and bounds of when."""
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
        """The same with data in flight, as far as retransmissions and the user timeout go."""
        return answers.survives_in_flight(self.settings, hz, round(outage_s * SECOND_NS))

    def strictest(self) -> Hop | None:
        """The device that forgets this connection first when it is idle; a packet after that is
        lost. What is behind a proxy never sees a packet of this connection.
        """
        reached = itertools.takewhile(lambda hop: not hop.proxy, self.connection.path)
        forgetting = [hop for hop in reached if hop.forgets(self.terms.side)]
        return min(forgetting, key=lambda hop: hop.limit_s or 0, default=None)

    def outlived(self, hz: int, limit_s: float) -> bool:
        """Whether keepalive sends a packet before a device forgets the flow."""
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
