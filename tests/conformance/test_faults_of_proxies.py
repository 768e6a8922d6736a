"""What a toxiproxy is told to do: each toxic bites, is what was asked for, and is taken back
alone.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from harness.api.lab_session import Workbench
from harness.errors import FaultError
from harness.faults import (
    ProcessKill,
    ProxyDown,
    ToxicBandwidth,
    ToxicLatency,
    ToxicLimitData,
    ToxicResetPeer,
    ToxicSlicer,
    ToxicSlowClose,
    ToxicTimeout,
)
from harness.lab import toxiproxy_server
from harness.lab.host import Host
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import Topology, layout
from tests.conformance.calls import foreseen
from tests.conformance.test_faults import LOST_S, Case, bench, build, of

__all__ = ["bench", "build"]

pytestmark = [pytest.mark.conformance, pytest.mark.needs("toxiproxy-server")]

PROXIED = Topology(kind="proxied")
AT_ONCE = 20


def toxics(host: Host) -> dict[str, Any]:
    """What the server on a host knows of its proxy, by name."""
    with toxiproxy_server.calls(host) as library:
        found: dict[str, Any] = toxiproxy_server.proxy(library).toxics()
    return found


@of(ToxicLatency, ToxicBandwidth, ToxicSlicer)
def test_what_slows_data_down_bites_and_heals(bench: Workbench, case: Case) -> None:
    """In place until data meets it, then bit.

    Data arrives all the same, and the server knows no toxic afterwards.
    """
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert len(toxics(bench.host("proxy"))) == 1
        assert link.echo()
        assert evidence().level == "bit"
    assert toxics(bench.host("proxy")) == {}
    assert link.echo()


@of(ToxicTimeout)
def test_what_throws_data_away_bites(bench: Workbench, case: Case) -> None:
    """Data does not come back; the connection is closed when its time is up or, without one, when
    it heals.
    """
    assert isinstance(case.fault, ToxicTimeout)
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert not link.echo(LOST_S)
        assert evidence().level == "bit"
        assert link.wait(within_s=1.0).kind == ("eof" if case.fault.timeout_ms else "quiet")
    assert link.wait(within_s=1.0).kind == "eof"
    assert bench.connect().echo()


@of(ToxicResetPeer, ToxicLimitData)
def test_what_ends_connections_at_data_bites(bench: Workbench, case: Case) -> None:
    """An idle connection stays, one with data reads the end; a new one stays when it is healed.

    The answer before the fault shows that both connections of the proxy are joined: toxiproxy sends
    RST in place of FIN where they are joined only after the toxic was added (link.go:Start).
    """
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert link.wait(within_s=LOST_S).kind == "quiet"
        assert evidence().level == "in-place"
        assert not link.echo(0.5)
        seen = link.wait(within_s=1.0)
        assert (seen.kind, seen.errno) == ("eof", None)
        assert evidence().level == "bit"
    assert bench.connect().echo()


@pytest.mark.parametrize(
    "case", [Case(ToxicResetPeer(timeout_ms=0, from_start=True), PROXIED)], ids=str
)
def test_a_toxic_from_the_start_resets(bench: Workbench, case: Case) -> None:
    """It starts the proxy that it is told to, and is there before any connection."""
    with case.fault.inject(bench.lab) as evidence:
        link = bench.connect()
        assert evidence().level == "in-place"
        assert not link.echo(0.5)
        assert link.wait(within_s=1.0).errno == "ECONNRESET"
        assert evidence().level == "bit"
    assert bench.connect().echo()


@of(ToxicSlowClose)
def test_the_end_comes_late(bench: Workbench, case: Case) -> None:
    """Downstream it is held back.

    Upstream the client, who has not ended anything, is not concerned.
    """
    assert isinstance(case.fault, ToxicSlowClose)
    link = bench.connect(processes=frozenset({"server"}))
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        with ProcessKill().inject(bench.lab):
            held = case.fault.stream == "downstream"
            assert link.wait(within_s=0.1).kind == ("quiet" if held else "eof")
            assert link.wait(within_s=1.0).kind == "eof"
            if held:
                assert evidence().level == "bit"


@of(ProxyDown)
def test_a_proxy_that_is_down_closes_and_comes_back(bench: Workbench, case: Case) -> None:
    """Its connection ends at once, and a new one is taken when it is up again."""
    link = bench.connect()
    assert link.echo()
    with bench.inject(case.fault) as injection:
        expected, seen = link.predict(), link.wait()
        assert injection.gather().level == "bit"
    assert seen.kind == "eof"
    assert foreseen(seen, expected)
    assert bench.connect().echo()


@pytest.mark.parametrize("case", [Case(ToxicLatency(latency_ms=10), PROXIED)], ids=str)
def test_healing_removes_that_toxic_alone(bench: Workbench, case: Case) -> None:
    """Another one, of another stream, stays; and an error inside of the block is not replaced."""
    bench.connect()
    other = ToxicLatency(latency_ms=10, stream="upstream")
    with other.inject(bench.lab):
        with pytest.raises(ZeroDivisionError), case.fault.inject(bench.lab):
            raise ZeroDivisionError
        assert set(toxics(bench.host("proxy"))) == {"latency_upstream"}


@pytest.mark.parametrize("case", [Case(ToxicLatency(latency_ms=10), PROXIED)], ids=str)
def test_what_the_server_refuses_is_a_fault_error(bench: Workbench, case: Case) -> None:
    """A second toxic of one name, with the server's own words."""
    bench.connect()
    with (
        case.fault.inject(bench.lab),
        pytest.raises(FaultError, match=r"found it refuses: .*toxic already exists"),
        case.fault.inject(bench.lab),
    ):
        pass


@pytest.mark.parametrize("case", [Case(ToxicLatency(latency_ms=10), PROXIED)], ids=str)
def test_a_toxic_that_is_gone_is_no_evidence(bench: Workbench, case: Case) -> None:
    """The server is asked, not believed."""
    link = bench.connect()
    with ExitStack() as stack:
        evidence = stack.enter_context(case.fault.inject(bench.lab))
        assert link.echo()
        with toxiproxy_server.calls(bench.host("proxy")) as library:
            library.Toxiproxy().reset()
        assert evidence().level == "none"
        healing = stack.pop_all()
    with pytest.raises(FaultError, match="toxic not found"):
        healing.close()


@pytest.mark.parametrize("case", [Case(ToxicLatency(latency_ms=10), PROXIED)], ids=str)
def test_a_server_that_does_not_answer_is_a_fault_error(
    bench: Workbench, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stands still: it never answers, so only the time limit ends the call.

    And one that is dead.
    """
    bench.connect()
    program = bench.host("proxy").program
    monkeypatch.setattr(toxiproxy_server, "ANSWER_S", 0.2)
    os.killpg(program.pid, signal.SIGSTOP)
    os.waitid(
        os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT
    )  # a thread of it may run on until then
    with (
        pytest.raises(FaultError, match=r"to answer, found .*timed out"),
        case.fault.inject(bench.lab),
    ):
        pass
    program.kill()
    with (
        pytest.raises(FaultError, match=r"to answer, found .*refused"),
        case.fault.inject(bench.lab),
    ):
        pass


@pytest.mark.parametrize("case", [Case(ToxicLatency(latency_ms=10), PROXIED)], ids=str)
def test_the_environment_and_other_users_do_not_mislead(
    bench: Workbench, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An HTTP proxy of the environment is not asked, and toxiproxy-python is as the tests' own code
    has set it.
    """
    import toxiproxy as users

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    monkeypatch.setattr(users.api.APIConsumer, "port", 1)
    link = bench.connect()
    with case.fault.inject(bench.lab) as evidence:
        assert link.echo()
        assert evidence().level == "bit"
    assert users.api.APIConsumer.port == 1
    assert users.api.requests.__name__ == "requests"


@pytest.mark.parametrize(
    "case", [Case(ToxicLatency(latency_ms=10), Topology(kind="proxied", proxy="relay"))], ids=str
)
def test_the_relay_has_no_toxics(case: Case) -> None:
    """Neither to the plan nor to a lab."""
    assert [problem.key for problem in case.fault.misplaced(layout(case.topology))] == ["kind"]
    with (
        NetnsLab(case.topology) as lab,
        pytest.raises(FaultError, match="expected a lab with a toxiproxy"),
        case.fault.inject(lab),
    ):
        pass


@pytest.mark.alone
def test_many_labs_at_once_do_not_mix() -> None:
    """Each has a proxy of its own name and port and a toxic of its own settings, and reads back
    exactly its own.
    """

    def own(number: int, lab: NetnsLab) -> tuple[dict[str, str], dict[str, object]]:
        toxiproxy_server.start(lab)
        host, name = lab.host("proxy"), f"own-{number}"
        with toxiproxy_server.calls(host) as library:
            server = library.Toxiproxy()
            server.create(upstream="127.0.0.1:7100", name=name, listen=f"127.0.0.1:{7200 + number}")
            server.get_proxy(name).add_toxic(
                type="latency", attributes={"latency": number, "jitter": 0}
            )
        listens: dict[str, str] = {}
        latencies: dict[str, object] = {}
        for _ in range(5):
            with (
                ToxicLatency(latency_ms=100 + number).inject(lab),
                toxiproxy_server.calls(host) as library,
            ):
                for each in library.Toxiproxy().proxies().values():
                    listens[each.name] = each.listen
                    latencies[each.name] = [
                        toxic.attributes["latency"] for toxic in each.toxics().values()
                    ]
        return listens, latencies

    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        labs = [stack.enter_context(NetnsLab(PROXIED)) for _ in range(AT_ONCE)]
        results = list(pool.map(own, range(AT_ONCE), labs))
    for number, (listens, found) in enumerate(results):
        assert listens == {
            "server": f"{labs[number].layout.entrance}:7000",
            f"own-{number}": f"127.0.0.1:{7200 + number}",
        }
        assert found == {"server": [100 + number], f"own-{number}": [number]}
