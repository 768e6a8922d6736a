"""A lab is taken down as a whole, whatever fails meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import LabError
from harness.lab import processes
from harness.lab.base_lab import WiredLab
from harness.lab.namespace import Network
from harness.lab.processes import Ended
from harness.model.topology import Topology


def test_everything_is_closed_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose programs cannot be ended, one that cannot be closed, and a process that stays in
    a network.
    """
    done: list[str] = []

    def part(name: str, *fails: str) -> Any:
        def step(verb: str) -> Any:
            def act() -> None:
                done.append(f"{verb} {name}")
                if verb in fails:
                    raise LabError(f"expected to {verb} {name}")

            return act

        network = Network(1, 1, "boot")
        namespace = SimpleNamespace(network=network)
        return SimpleNamespace(
            namespace=namespace, network=network, kill_programs=step("kill"), close=step("close")
        )

    lab = WiredLab(Topology(kind="direct", family="ipv4"))
    lab._hosts = {"client": part("client", "kill"), "server": part("server", "close")}
    lab._retired = [part("retired")]

    def end(owned: list[processes.Owned], *, held: bool) -> Ended:
        done.append(f"end {len(owned)} {held}")
        return Ended([], [(each, "process 7: it has not ended") for each in owned[:1]])

    monkeypatch.setattr(processes, "end", end)
    with pytest.raises(LabError):
        lab.close()
    assert sorted(done) == sorted(
        [
            "kill client",
            "kill server",
            "end 3 True",
            "close client",
            "close server",
            "close retired",
        ]
    )
    assert done.index("end 3 True") == 2, "after the programs, before the networks are let go of"
    lab.close()
    assert done[6:] == ["end 0 True"], "there is nothing more to take down"

    lab._hosts = {"client": part("client")}
    with pytest.raises(
        LabError,
        match="expected every process in client - server to end, found process 7: it has not",
    ):
        lab.close()
