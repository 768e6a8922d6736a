"""Toxics and the proxy's own faults: what they tell the server, where they may be, and what they
mean to the client.
"""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

from harness.errors import CapabilityError, ScenarioError
from harness.faults import (
    AnyFault,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
    ProxyDown,
    Route,
    ToxicBandwidth,
    ToxicLatency,
    ToxicLimitData,
    ToxicResetPeer,
    ToxicSlicer,
    ToxicSlowClose,
    ToxicTimeout,
)
from harness.faults.of_toxiproxy import Seen
from harness.faults.route import address_seen
from harness.faults.toxiproxy import Toxic
from harness.lab import toxiproxy_server
from harness.model.machine import MachineFacts
from harness.model.topology import Proxy, Topology, layout
from harness.plan.planner import make
from harness.scenario.loader import checked, from_mapping
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

MACHINE = MachineFacts(kernel="6.18.0", hz=1000, hz_source="given", cpus=2, clock="virtual")
PROXIED = Topology(kind="proxied")
WHERE = layout(PROXIED)
QUIET = Seen(data=0, passed=0, ends=0, closed=0)

TOLD: dict[str, tuple[Toxic, dict[str, int]]] = {
    "latency": (ToxicLatency(latency_ms=20, jitter_ms=5), {"latency": 20, "jitter": 5}),
    "bandwidth": (ToxicBandwidth(rate_kb_s=7), {"rate": 7}),
    "slow_close": (ToxicSlowClose(delay_ms=9), {"delay": 9}),
    "timeout": (ToxicTimeout(timeout_ms=11), {"timeout": 11}),
    "reset_peer": (ToxicResetPeer(timeout_ms=13), {"timeout": 13}),
    "slicer": (
        ToxicSlicer(average_bytes=10, size_variation_bytes=3, delay_us=4),
        {"average_size": 10, "size_variation": 3, "delay": 4},
    ),
    "limit_data": (ToxicLimitData(bytes=17), {"bytes": 17}),
}


@pytest.mark.parametrize(
    ("toxic", "fault", "attributes"), [(name, *told) for name, told in TOLD.items()], ids=TOLD
)
def test_what_the_server_is_told(toxic: str, fault: Toxic, attributes: dict[str, int]) -> None:
    """Toxiproxy's own names and units; no toxic has bitten before anything came."""
    assert (fault.toxic, fault.attributes(), fault.stream) == (toxic, attributes, "downstream")
    assert not fault.standing
    assert not fault.bites(QUIET)
    assert fault.kind == f"toxic-{toxic.replace('_', '-')}"


BITES: dict[str, tuple[Toxic, Seen, bool]] = {
    "latency, data": (ToxicLatency(latency_ms=1), Seen(data=1, passed=0, ends=0, closed=0), True),
    "slicer, whole": (
        ToxicSlicer(average_bytes=9),
        Seen(data=1, passed=1, ends=0, closed=0),
        False,
    ),
    "slicer, in pieces": (
        ToxicSlicer(average_bytes=9),
        Seen(data=1, passed=2, ends=0, closed=0),
        True,
    ),
    "slow close, the end": (
        ToxicSlowClose(delay_ms=1),
        Seen(data=0, passed=0, ends=1, closed=0),
        True,
    ),
    "timeout, closed": (ToxicTimeout(timeout_ms=1), Seen(data=0, passed=0, ends=0, closed=1), True),
    "timeout, the peer closed": (
        ToxicTimeout(timeout_ms=1),
        Seen(data=0, passed=0, ends=1, closed=1),
        False,
    ),
    "limit, not yet": (ToxicLimitData(bytes=9), Seen(data=1, passed=1, ends=0, closed=0), False),
    "limit, reached": (ToxicLimitData(bytes=9), Seen(data=1, passed=1, ends=0, closed=1), True),
    "limit, the peer closed": (
        ToxicLimitData(bytes=9),
        Seen(data=1, passed=1, ends=1, closed=1),
        False,
    ),
    "reset, data": (ToxicResetPeer(timeout_ms=1), Seen(data=1, passed=0, ends=0, closed=0), True),
}


@pytest.mark.parametrize(("fault", "seen", "bitten"), BITES.values(), ids=BITES)
def test_what_shows_that_it_bit(fault: Toxic, seen: Seen, *, bitten: bool) -> None:
    """And what may have had another cause does not."""
    assert fault.bites(seen) is bitten


REFUSED = {
    "no proxy": (
        'topology.kind = "routed"',
        'kind = "toxic-latency"\nlatency_ms = 1',
        "faults[0].kind",
    ),
    "a relay": (
        'topology = {kind = "proxied", proxy = "relay"}',
        'kind = "toxic-latency"\nlatency_ms = 1',
        "faults[0].kind",
    ),
    "a proxy of one's own": (
        'topology.kind = "proxied"\nproxy.command.argv = ["haproxy"]',
        'kind = "toxic-latency"\nlatency_ms = 1',
        "faults[0].kind",
    ),
    "down without a proxy": ("", 'kind = "proxy-down"', "faults[0].kind"),
    "kill without a proxy": ("", 'kind = "process-kill"\non = "proxy"', "faults[0].on"),
    "freeze without a proxy": ("", 'kind = "process-freeze"\non = "proxy"', "faults[0].on"),
    "reboot without a proxy": ("", 'kind = "peer-reboot"\non = "proxy"', "faults[0].on"),
    "a proxy on a router": ('topology = {kind = "routed", proxy = "relay"}', "", "topology.proxy"),
    "more jitter than latency": (
        "=",
        'kind = "toxic-latency"\nlatency_ms = 1\njitter_ms = 2',
        "faults[0].jitter_ms",
    ),
    "no rate": ("=", 'kind = "toxic-bandwidth"\nrate_kb_s = 0', "faults[0].rate_kb_s"),
    "no average": ("=", 'kind = "toxic-slicer"\naverage_bytes = 0', "faults[0].average_bytes"),
    "all variation": (
        "=",
        'kind = "toxic-slicer"\naverage_bytes = 2\nsize_variation_bytes = 2',
        "faults[0].size_variation_bytes",
    ),
    "sideways": (
        "=",
        'kind = "toxic-latency"\nlatency_ms = 1\nstream = "sideways"',
        "faults[0].stream",
    ),
    "toxicity": (
        "=",
        'kind = "toxic-latency"\nlatency_ms = 1\ntoxicity = 0.5',
        "faults[0].toxicity",
    ),
    "timed, from the start": (
        "=",
        'kind = "toxic-latency"\nlatency_ms = 1\nfrom_start = true\nat_s = 1',
        "faults[0].at_s",
    ),
    "twice the same": (
        "=",
        (
            'kind = "toxic-timeout"\ntimeout_ms = 1\n[[faults]]\nkind = '
            '"toxic-timeout"\ntimeout_ms = 2\nat_s = 1'
        ),
        "faults[1].at_s",
    ),
    "told while frozen": (
        "=",
        (
            'kind = "process-freeze"\non = "proxy"\n[[faults]]\nkind = '
            '"toxic-latency"\nlatency_ms = 1\nat_s = 1'
        ),
        "faults[1].at_s",
    ),
    "told after its death": (
        "=",
        'kind = "process-kill"\non = "proxy"\n[[faults]]\nkind = "proxy-down"\nat_s = 1',
        "faults[1].at_s",
    ),
    "told after the reboot": (
        "=",
        'kind = "peer-reboot"\non = "proxy"\n[[faults]]\nkind = "proxy-down"\nat_s = 1',
        "faults[1].at_s",
    ),
    "rebooted with a toxic": (
        "=",
        (
            'kind = "toxic-latency"\nlatency_ms = 1\n[[faults]]\nkind = "peer-reboot"\non = '
            '"proxy"\nat_s = 1'
        ),
        "faults[1].at_s",
    ),
}


@pytest.mark.parametrize(("topology", "fault", "key"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(topology: str, fault: str, key: str) -> None:
    """By the key that is wrong. "=" stands for a toxiproxy."""
    head = 'topology.kind = "proxied"' if topology == "=" else topology
    text = f"{head}\n[[faults]]\n{fault}\n" if fault else head
    raw = {"name": "refused", "expect": {"outcome": "never", "bound_s": 9.0}, **tomllib.loads(text)}
    with pytest.raises(ScenarioError) as caught:
        checked(from_mapping(raw, "test"), "test")
    assert caught.value.key == key


def test_toxics_of_two_streams_go_together() -> None:
    """And so do different ones of one stream, and a proxy that is switched off while they are
    there.
    """
    faults = (
        ToxicLatency(latency_ms=1),
        ToxicLatency(latency_ms=1, stream="upstream"),
        ToxicSlicer(average_bytes=1),
        ProxyDown(at_s=1),
    )
    scenario = Scenario(
        name="many", topology=PROXIED, faults=faults, expect=Expect(outcome="never", bound_s=9)
    )
    assert checked(scenario, "test") == scenario


PREDICTED: dict[str, tuple[AnyFault, str, str | None]] = {
    "killed": (ProcessKill(on="proxy", at_s=1), "eof", None),
    "frozen": (ProcessFreeze(on="proxy", at_s=1), "quiet", None),
    "rebooted": (PeerReboot(on="proxy", at_s=1), "detected", "ECONNRESET"),
    "down": (ProxyDown(at_s=1), "eof", None),
    "timeout": (ToxicTimeout(timeout_ms=500, at_s=1), "eof", None),
    "timeout, for good": (ToxicTimeout(timeout_ms=0, at_s=1), "quiet", None),
    "timeout, healed": (ToxicTimeout(timeout_ms=0, at_s=1, for_s=1), "eof", None),
}


def _planned(
    fault: AnyFault, proxy: Proxy | None = None, writes_at_s: tuple[float, ...] = ()
) -> Scenario:
    return Scenario(
        name="planned",
        topology=Topology(kind="proxied", proxy=proxy),
        client=Endpoint(
            keepalive=Keepalive(idle_s=2, interval_s=1, count=2), writes_at_s=writes_at_s
        ),
        faults=(fault,),
        expect=Expect(bound_s=9),
    )


@pytest.mark.parametrize(("fault", "kind", "errno"), PREDICTED.values(), ids=PREDICTED)
def test_what_the_proxy_does_to_an_idle_client_is_predicted(
    fault: AnyFault, kind: str, errno: str | None
) -> None:
    """It is the client's TCP peer, and with data in play nothing is predicted."""
    prediction = make(_planned(fault), MACHINE).prediction
    assert prediction is not None
    (outcome,) = prediction.outcomes
    assert (outcome.kind, outcome.errno) == (kind, errno)
    with pytest.raises(ScenarioError, match="a proxy passes on what is written"):
        make(_planned(fault, writes_at_s=(0.5,)), MACHINE)


@pytest.mark.parametrize(
    "fault",
    [PeerReboot(at_s=1), ProcessFreeze(at_s=1), ToxicLatency(latency_ms=1, at_s=1)],
    ids=str,
)
def test_what_is_behind_the_proxy_is_not_predicted(fault: AnyFault) -> None:
    """Nor what a toxic does to data."""
    with pytest.raises(ScenarioError, match="a proxy answers for the other end"):
        make(_planned(fault), MACHINE)


def test_each_end_sees_the_proxy_in_place_of_the_other() -> None:
    """As an address, in a route."""
    near, far = (WHERE.host("proxy").facing(side).address for side in ("client", "server"))
    assert address_seen(WHERE, "client", "server") == near == WHERE.entrance
    assert address_seen(WHERE, "server", "client") == far
    assert address_seen(WHERE, "proxy", "server") == WHERE.address("server")
    assert not list(Route(on="proxy", becomes="lost", to="server").misplaced(WHERE))


def test_a_server_is_found_on_path_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then in the cache; and where it is nowhere, the fix is told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CapabilityError, match=r"neither on PATH nor at .*call .*ci/setup"):
        toxiproxy_server.server()
    on_path = tmp_path / "bin" / toxiproxy_server.NAME
    for program in (toxiproxy_server.folder() / toxiproxy_server.NAME, on_path):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho toxiproxy-server version 9.9.9\n")
        program.chmod(0o755)
        assert toxiproxy_server.server() == str(program)
        assert toxiproxy_server.version() == "9.9.9"
    on_path.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(CapabilityError, match="does not run"):
        toxiproxy_server.version()


def test_without_the_library_the_fix_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is imported before it is needed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        CapabilityError, match=r"not installed. Fix: (call .*ci/setup|.* -m pip install )"
    ):
        toxiproxy_server.check_library()


def test_the_library_is_the_harness_own() -> None:
    """The same code under another name, so that neither sees what the other sets."""
    import toxiproxy as users

    own = toxiproxy_server._library()
    assert own is not users
    assert own is toxiproxy_server._library()
    assert own.__file__ == users.__file__
    assert own.api.APIConsumer is not users.api.APIConsumer
    assert own.server.APIConsumer is own.api.APIConsumer
    assert sys.modules["toxiproxy"] is users
