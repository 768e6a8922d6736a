"""What a scenario may say about the state that is observed, and about what the endpoints do."""

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from harness.faults import Failover, HostSuspend, PeerReboot, ProcessFreeze, ProcessKill
from harness.model.programs import Command, Detects, OwnProxy, Standby
from harness.model.topology import SIDES, Side, Topology
from harness.scenario.loader import checked
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

WRITER = Endpoint(writes_at_s=(1.0,), write_bytes=5_000_000)
NOT_READING = Endpoint(reads=False, receive_buffer_bytes=4096)
SHUTTER = Endpoint(writes_at_s=(1.0,), shuts_at_s=2.0)

COMMAND = Endpoint(command=Command(argv=("server",)))

OWN = OwnProxy(command=Command(argv=("haproxy",)))

SOUND = {
    "a proxy of one's own that comes back": Scenario(
        topology=Topology(kind="proxied", proxy="command"),
        proxy=OWN,
        faults=(ProcessKill(on="proxy", for_s=2),),
    ),
    "a relay that comes back": Scenario(
        topology=Topology(kind="proxied", proxy="relay"), faults=(ProcessKill(on="proxy", for_s=2),)
    ),
    "a standby": Scenario(standby=Standby(on="router", command=Command(argv=("server",)))),
    "a command on a host that has come back": Scenario(
        server=COMMAND, faults=(PeerReboot(at_s=1, starts_program=True), ProcessFreeze(at_s=2))
    ),
    "killed again and again": Scenario(server=COMMAND, faults=(ProcessKill(at_s=1, for_s=1),)),
    "connecting": Scenario(state="connecting"),
    "connecting, not reading": Scenario(state="connecting", server=NOT_READING),
    "connecting, alive": Scenario(
        state="connecting", client=Endpoint(keepalive=True, user_timeout_s=6.0)
    ),
    "a full window": Scenario(
        client=WRITER, server=NOT_READING, expect=Expect(outcome="never", bound_s=9)
    ),
    "closing": Scenario(client=SHUTTER, expect=Expect(side="server", outcome="eof")),
    "closing at once": Scenario(
        client=Endpoint(shuts_at_s=0.0), expect=Expect(outcome="never", bound_s=9)
    ),
    "suspended": Scenario(
        faults=(HostSuspend(at_s=1, for_s=1),), expect=Expect(outcome="survives", bound_s=9)
    ),
}

REFUSED = {
    "a built-in program started again": (
        Scenario(faults=(ProcessKill(for_s=2),)),
        (
            r"faults\[0\].for_s: expected no such key without \[server.command\]: the built-in "
            r"server is not .*, found 2"
        ),
    ),
    "a built-in program on a fresh host": (
        Scenario(faults=(PeerReboot(starts_program=True),)),
        r"faults\[0\].starts_program: expected no such key without \[server.command\]",
    ),
    "a proxy started again": (
        Scenario(topology=Topology(kind="proxied"), faults=(ProcessKill(on="proxy", for_s=2),)),
        (
            r"faults\[0\].for_s: expected no such key without \[proxy.command\]: the built-in "
            r"proxy is not started again"
        ),
    ),
    "a proxy of one's own on a router": (
        Scenario(proxy=OWN),
        r'proxy.command: expected this table only with topology.kind = "proxied", found .haproxy.',
    ),
    "a proxy of one's own beside another": (
        Scenario(topology=Topology(kind="proxied", proxy="relay"), proxy=OWN),
        (
            r"topology.proxy: expected no such key with \[proxy.command\], which is the proxy, "
            r"found 'relay'"
        ),
    ),
    "a proxy of one's own that is not there": (
        Scenario(topology=Topology(kind="proxied", proxy="command")),
        r"proxy.command: expected a table .proxy.command., as topology.proxy is .command.",
    ),
    "a proxy that notices": (
        Scenario(
            topology=Topology(kind="proxied"),
            proxy=OwnProxy(command=Command(argv=("haproxy",), detects=Detects(exits=True))),
        ),
        r"proxy.command.detects: expected no such key: only an end of the connection is judged",
    ),
    "a standby beside the router": (
        Scenario(
            topology=Topology(kind="firewalls"),
            standby=Standby(on="router", command=Command(argv=("server",))),
        ),
        (
            r"standby.on: expected a host in the middle that has an address \(firewall-a, "
            r"firewall-b\), found 'router'"
        ),
    ),
    "a standby on a switch": (
        Scenario(
            topology=Topology(kind="switched"),
            standby=Standby(on="switch", command=Command(argv=("server",))),
        ),
        (
            r"standby.on: expected a host in the middle that has an address \(this topology has "
            r"none\), found 'switch'"
        ),
    ),
    "counting from a healing that never comes": (
        Scenario(faults=(ProcessKill(),), expect=Expect(origin="healed")),
        r"expect.origin: expected \"armed\" or \"fault\" where no fault ends: .*, found 'healed'",
    ),
    "a program on a host that forgot it": (
        Scenario(faults=(PeerReboot(at_s=1), ProcessFreeze(at_s=2))),
        (
            r"faults\[1\].at_s: expected a time before 1, when the server becomes a host that "
            r"runs no program, found 2"
        ),
    ),
    "writing while it stands still": (
        Scenario(server=Endpoint(writes_at_s=(1.0, 5.0)), faults=(ProcessFreeze(at_s=4, for_s=2),)),
        (
            r"server.writes_at_s: expected no moment at which the program stands still, found "
            r"\[1.0, 5.0\]"
        ),
    ),
    "connecting, seen by the server": (
        Scenario(state="connecting", expect=Expect(side="server")),
        r"expect.side: expected \"client\" with state = .connecting., found 'server'",
    ),
    "connecting, writing": (
        Scenario(state="connecting", server=WRITER),
        r"server.writes_at_s: expected this key only with state = \"established\", found \[1.0\]",
    ),
    "connecting, shutting": (
        Scenario(state="connecting", client=Endpoint(shuts_at_s=0.0)),
        r"client.shuts_at_s: expected this key only with state = \"established\", found 0.0",
    ),
    "an echo from an end that does not read": (
        Scenario(server=NOT_READING, expect=Expect(outcome="survives")),
        'expect.outcome: expected another outcome: "survives" is shown by an echo',
    ),
    "an echo after the end": (
        Scenario(server=SHUTTER, expect=Expect(outcome="survives")),
        'expect.outcome: expected another outcome: "survives" is shown by an echo',
    ),
    "an end that is not read": (
        Scenario(client=NOT_READING, expect=Expect(outcome="eof")),
        "expect.outcome: expected another outcome: a side with reads = false",
    ),
    "writing after the end": (
        Scenario(client=Endpoint(writes_at_s=(1.0, 3.0), shuts_at_s=3.0)),
        "client.shuts_at_s: expected a time after the last write, 3 s, found 3.0",
    ),
    "nothing written": (
        Scenario(client=Endpoint(write_bytes=0)),
        "client.write_bytes: expected an integer from 1 to 67108864, found 0",
    ),
    "a suspended host's timers": (
        Scenario(faults=(HostSuspend(),), server=Endpoint(keepalive=Keepalive(idle_s=5))),
        "server.keepalive: expected false: in a lab the keepalive timers of server go on",
    ),
    "a suspended host's writes": (
        Scenario(faults=(HostSuspend(),), server=WRITER),
        "server.writes_at_s: expected no writes on a host that is suspended",
    ),
    "seen by a suspended host": (
        Scenario(faults=(HostSuspend(on="client"),)),
        r"faults\[0\].on: expected the other side: a stopped program cannot detect",
    ),
    "seen by a host that is replaced": (
        Scenario(faults=(Failover(on="client"),)),
        r"faults\[0\].on: expected the other side: the observed side cannot be replaced",
    ),
    "replaced for a time": (
        Scenario(faults=(Failover(for_s=1.0),)),
        r"faults\[0\].for_s: expected no such key: what has been taken over stays so",
    ),
    "replaced while suspended": (
        Scenario(faults=(HostSuspend(at_s=1), Failover(at_s=2))),
        (
            r"faults\[1\].at_s: expected a time at which fault 0 \(host-suspend\) does not act "
            r"on the same host"
        ),
    ),
}


@pytest.mark.parametrize("scenario", SOUND.values(), ids=SOUND)
def test_what_goes_together(scenario: Scenario) -> None:
    """Is taken as it is."""
    assert checked(scenario) == scenario


@pytest.mark.parametrize(("scenario", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not(scenario: Scenario, words: str) -> None:
    """Is refused with the key, what was found there, and what is expected."""
    with pytest.raises(ScenarioError, match=words):
        checked(scenario)


def test_a_command_is_the_proxy_where_none_is_named() -> None:
    """The topology says so afterwards."""
    given = Scenario(topology=Topology(kind="proxied", family="ipv6"), proxy=OWN)
    assert checked(given).topology == Topology(kind="proxied", family="ipv6", proxy="command")


def test_a_host_may_be_replaced_and_reboot() -> None:
    """One after the other."""
    scenario = Scenario(faults=(Failover(at_s=1), PeerReboot(at_s=2)))
    assert checked(scenario) == scenario


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("end", "can"), [(Endpoint(), True), (WRITER, True), (NOT_READING, False), (SHUTTER, False)]
)
def test_who_can_echo(side: Side, end: Endpoint, *, can: bool) -> None:
    """Both must read and write to the end for the client's data to come back."""
    assert Scenario(**{side: end}).can_echo is can  # type: ignore[arg-type]
