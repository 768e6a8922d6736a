"""Which scenarios the oracle's models do not cover, though each fault by itself is covered, and
why.
"""

from __future__ import annotations

import itertools

from harness.faults import (
    AddressRemoved,
    FinSwallowed,
    FirewallFlush,
    FirewallIdle,
    LinkDown,
    NeighbourDeath,
    PeerReboot,
    Route,
    RstInjected,
)
from harness.faults.base import interface_of
from harness.faults.host import NewHost
from harness.model.topology import Layout, Side, faces, layout, other
from harness.oracle.effects import Unpredictable
from harness.oracle.network_path import CUTS
from harness.plan.fault_effects import effects_on
from harness.scenario.schema import RETRIES, Scenario

LEAST_SEGMENT = 28
"""Octets of an MTU of 68, that of blackhole_netdev, without IPv4 and TCP headers."""
CONVERSING_S = 0.1
"""TCP_ATO_MIN, 40 ms, and what real time may add to two writes."""
SMALL_BUFFER = 16384
"""Octets that a receive buffer may have for how long it takes to fill to be known."""
MUCH_MORE = 4
"""What is written is so many times the buffer at least: the kernel doubles what was asked for."""


def fills(scenario: Scenario, side: Side) -> bool:
    """Whether one write fills the small buffer of a peer that does not read, and more waits."""
    writer, peer = scenario.endpoint(side), scenario.endpoint(other(side))
    buffer = peer.receive_buffer_bytes
    happens_more = peer.writes_at_s or writer.shuts_at_s is not None or peer.shuts_at_s is not None
    if peer.reads or not 0 < buffer <= SMALL_BUFFER or happens_more:
        return False
    return len(writer.writes_at_s) == 1 and writer.write_bytes >= MUCH_MORE * buffer


def refuse_uncovered(scenario: Scenario) -> None:
    """Raise Unpredictable, with the reason, where no model covers what the scenario puts
    together.
    """
    if scenario.topology.kind == "proxied":
        _refuse_what_passes_a_proxy(scenario)
    _refuse_own_end(scenario)
    _refuse_talk_at_once(scenario)
    _refuse_two_clocks(scenario)
    _refuse_small_segments(scenario)
    _refuse_first_word(scenario)
    _refuse_lost_rst(scenario)
    _refuse_half_closed(scenario)
    _refuse_requests_both_ways(scenario)
    _refuse_other_retries(scenario)


def _refuse_own_end(scenario: Scenario) -> None:
    """Raise Unpredictable where a fault ends or stops the program that is watched."""
    side = scenario.expect.side
    for fault in scenario.faults:
        if side in fault.processes() or (isinstance(fault, NewHost) and fault.on == side):
            raise Unpredictable(f"{fault.kind} acts on the {side}'s own program")


def _refuse_what_passes_a_proxy(scenario: Scenario) -> None:
    """Raise Unpredictable unless the client is idle, and all that happens is done by or to the
    proxy, its TCP peer.

    The proxy's own keepalive, where it has it on, is answered and changes nothing for the client.
    """
    where = layout(scenario.topology)
    if where.proxied_by == "command":
        raise Unpredictable("a proxy of one's own answers for the other end in its own way")
    if (
        scenario.expect.side != "client"
        or scenario.state != "established"
        or scenario.client.heartbeat is not None
    ):
        raise Unpredictable("a proxy answers for the other end")
    if any(
        end.writes_at_s or end.shuts_at_s is not None for end in (scenario.client, scenario.server)
    ):
        raise Unpredictable("a proxy passes on what is written, in its own time")
    for fault in scenario.faults:
        reboots = isinstance(fault, PeerReboot) and fault.on == where.proxy
        if not (reboots or fault.proxy_must(where)) or any(
            e.unknown for e in fault.effects(where, "client")
        ):
            raise Unpredictable("a proxy answers for the other end")
    if not scenario.faults:
        raise Unpredictable("a proxy answers for the other end")


def _refuse_talk_at_once(scenario: Scenario) -> None:
    """Raise Unpredictable where both sides write so close together that acknowledgements wait for
    data to go with.

    Who writes within 40 ms after data came (TCP_ATO_MIN) is taken to converse
    (tcp_output.c:tcp_event_data_sent).
    """
    if scenario.client.heartbeat is not None:
        return
    pairs = itertools.product(scenario.client.writes_at_s, scenario.server.writes_at_s)
    if any(abs(one - two) <= CONVERSING_S for one, two in pairs):
        raise Unpredictable(
            "both sides write within 0.1 s, and acknowledgements wait for data to go with"
        )


def _refuse_two_clocks(scenario: Scenario) -> None:
    """Raise Unpredictable where the other side's own keepalive decides as well.

    Its probes refresh a firewall's state; where they can still arrive, so can the RST with which it
    gives up.
    """
    side = scenario.expect.side
    if scenario.endpoint(other(side)).keepalive_settings is None:
        return
    silent = {"lost", "lost-locally", "peer-forgot", "peer-closed", "peer-frozen"}
    both_ways = all(
        effect.mechanism in silent and effect.until_s is None
        for view in (side, other(side))
        for effect in effects_on(scenario, view)
    )
    if not both_ways:
        raise Unpredictable(
            f"the {other(side)}'s keepalive is on too, and its probes or RST may pass"
        )


def _refuse_small_segments(scenario: Scenario) -> None:
    """Raise Unpredictable where a write is more than one segment because its own route was gone
    before.

    The route's device is then blackhole_netdev, whose MTU of 68 octets counts until the next
    segment is sent (tcp_output.c:tcp_current_mss): several segments have their loss probe after two
    jiffies instead of 200 ms.
    """
    side = scenario.expect.side
    end = scenario.endpoint(side)
    if end.write_bytes <= LEAST_SEGMENT or not end.writes_at_s:
        return
    own = (LinkDown, AddressRemoved, Route)
    gone_s = [
        fault.at_s for fault in scenario.faults if isinstance(fault, own) and fault.on == side
    ]
    if gone_s and min(gone_s) < max(end.writes_at_s):
        raise Unpredictable(
            f"its own route was gone, and so more than {LEAST_SEGMENT} octets are several segments"
        )


def _refuse_first_word(scenario: Scenario) -> None:
    """Raise Unpredictable where the server may be the first to send through a middlebox that has
    dropped the state of the flow.
    """
    if scenario.expect.side == "server":
        return  # its segments meet the middlebox in its own prediction
    where, writes = layout(scenario.topology), scenario.server.writes_at_s
    for fault in scenario.faults:
        if (
            isinstance(fault, FirewallFlush)
            and fault.pickup == "loose"
            and where.host(fault.on).translates
        ):
            if any(at_s >= fault.at_s for at_s in writes):
                raise Unpredictable(
                    "the NAT has dropped its mappings, and who writes first makes other ones"
                )
        elif isinstance(fault, FirewallIdle) and fault.how == "outbound" and writes:
            raise Unpredictable(
                "what the server writes is not taken up where the firewall has dropped the state "
                "of the flow"
            )


def _refuse_lost_rst(scenario: Scenario) -> None:
    """Raise Unpredictable where a forged RST may itself be lost on its way to the peer."""
    where, side = layout(scenario.topology), scenario.expect.side
    for forged in scenario.faults:
        if not isinstance(forged, RstInjected) or forged.toward == side:
            continue
        others = (fault for fault in scenario.faults if fault is not forged)
        for effect in (effect for fault in others for effect in fault.effects(where, side)):
            over = effect.until_s is not None and effect.until_s <= forged.at_s
            if effect.mechanism in CUTS and effect.from_s <= forged.at_s and not over:
                raise Unpredictable("the forged RST may be lost on its way to the peer")


def _refuse_other_retries(scenario: Scenario) -> None:
    """Raise Unpredictable where net.ipv4.tcp_retries2 is another one, and a model has its own
    number of repetitions, or the other end gives up by it.
    """
    side = scenario.expect.side
    if scenario.endpoint(other(side)).retries2 != RETRIES:
        raise Unpredictable(f"the {other(side)}'s tcp_retries2 is not the kernel's own {RETRIES}")
    own = scenario.client.heartbeat is not None or fills(scenario, side)
    if scenario.endpoint(side).retries2 != RETRIES and own:
        raise Unpredictable(
            f"a heartbeat or a full window, with another tcp_retries2 than {RETRIES}"
        )


def _refuse_half_closed(scenario: Scenario) -> None:
    """Raise Unpredictable where something besides the two ends has a view of a FIN, or data comes
    after it.
    """
    shuts = [end for end in (scenario.client, scenario.server) if end.shuts_at_s is not None]
    if not shuts:
        return
    where = layout(scenario.topology)
    tracked = any(host.tracks or host.translates for host in where.hosts)
    if tracked or any(isinstance(fault, FirewallIdle) for fault in scenario.faults):
        raise Unpredictable("a middlebox has other timeouts for a connection that is half closed")
    if any(isinstance(fault, FinSwallowed) for fault in scenario.faults):
        raise Unpredictable("the FIN of the side that shuts may be swallowed, too")
    server = scenario.server
    if server.shuts_at_s is not None and any(
        at_s >= server.shuts_at_s for at_s in scenario.client.writes_at_s
    ):
        raise Unpredictable("the server has shut its writing direction and cannot echo")


def _refuse_requests_both_ways(scenario: Scenario) -> None:
    """Raise Unpredictable where two neighbours forget each other.

    The request of one, which is not dropped, tells the other its MAC address anew
    (arp.c:arp_process, ndisc.c:ndisc_recv_ns), and when it asks depends on what it has to send.
    """
    where = layout(scenario.topology)
    forgetful = [fault for fault in scenario.faults if isinstance(fault, NeighbourDeath)]
    for one, two in itertools.permutations(forgetful, 2):
        over = one.until_s is not None and one.until_s <= two.at_s
        if (
            one.at_s <= two.at_s
            and not over
            and (one.on, two.on) == (_asked(where, two), _asked(where, one))
        ):
            raise Unpredictable(
                "two neighbours have forgotten each other, and the request of one reminds the other"
            )


def _asked(where: Layout, fault: NeighbourDeath) -> str:
    """The host with an IP address at the other end of the link whose neighbours are forgotten."""
    names, toward = where.host_names, interface_of(where.host(fault.on), fault.toward).toward
    step = 1 if faces(where, fault.on, toward) == "server" else -1
    index = names.index(toward)
    while where.host(names[index]).bridges:
        index += step
    return names[index]
