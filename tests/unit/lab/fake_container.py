"""A container that somebody runs, without docker and without a network."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.lab import attached_undo, docker_client, docker_host, nftables, rtnetlink
from harness.lab.attached_undo import Changed, Disconnected
from harness.lab.rtnetlink import SavedInterface
from tests.unit.fake_lab import FakeNamespace

TOKEN = "0123456789abcdef" * 2
PREFIX = "harness_0123456789ab"
SAVED = SavedInterface((("10.0.0.2", 24, socket.AF_INET, "10.0.0.255"),), (), ())
NOTHING = SavedInterface((), (), ())


class FakeNetwork(FakeNamespace):
    """A network namespace; `closed` counts how often somebody let go of it."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    def close(self) -> None:
        """Let go of it."""
        self.closed += 1


class FakeContainer:
    """A container with its network. `did`: its record; `fails`: errors, by line of the record."""

    def __init__(self) -> None:
        self.id, self.name, self.status = "c0ffee" * 4, "web", "running"
        self.attrs: dict[str, Any] = {"NetworkSettings": {"Networks": {"front": {}, "back": {}}}}
        self.did: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.network = FakeNetwork()
        self.indices, self.down, self.lost = {"eth0": 2, "eth1": 3}, set[str](), set[str]()
        self.tables = ["theirs", f"{PREFIX}_1", f"{PREFIX}0_1", f"{PREFIX}_2"]

    def do(self, what: str) -> None:
        """Write it down, or fail."""
        self.did.append(what)
        if what in self.fails:
            raise self.fails[what]

    def reload(self) -> None:
        """Docker is asked; it knows nothing new."""

    def pause(self) -> None:
        """As docker does."""
        self.do("pause")
        self.status = "paused"

    def unpause(self) -> None:
        """As docker does."""
        self.do("unpause")
        self.status = "running"

    def nft(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        """Its packet filter."""
        if "delete" in command:
            name = command["delete"]["table"]["name"]
            self.do(f"table {name} deleted")
            self.tables.remove(name)
        return [
            {"metainfo": {}},
            *({"table": {"family": "inet", "name": name}} for name in self.tables),
        ]

    def connect(self, _: object, network: str, before: dict[str, Any]) -> None:
        """As `docker_client.reconnect` does."""
        self.do(f"connected to {network} as {before['aliases']}")

    def bring_up(self, device: str, saved: SavedInterface) -> None:
        """As `rtnetlink.bring_up` does."""
        assert saved == SAVED
        self.do(f"{device} up")
        self.down.discard(device)

    def give_back(self, device: str, saved: SavedInterface) -> None:
        """As `rtnetlink.give_back` does."""
        assert saved == SAVED
        self.do(f"{device} given back")
        self.lost.discard(device)

    def changed(self, device: str) -> Changed:
        """What the ledger says of one of its interfaces."""
        return Changed(self.network.identity, device, self.indices.get(device, 9), SAVED)


def fake_container(monkeypatch: pytest.MonkeyPatch) -> FakeContainer:
    """One that runs, and to whose network the calls of the kernel go."""
    made = FakeContainer()
    for module in (attached_undo, docker_host):
        monkeypatch.setattr(module, "Namespace", lambda _: made.network)
    monkeypatch.setattr(docker_host, "pid_of", lambda _: 7)
    monkeypatch.setattr(docker_client, "pid_of", lambda _: 7)
    monkeypatch.setattr(docker_client, "reconnect", made.connect)
    monkeypatch.setattr(nftables, "run", made.nft)
    monkeypatch.setattr(
        socket, "if_nameindex", lambda: [(index, name) for name, index in made.indices.items()]
    )
    monkeypatch.setattr(rtnetlink, "flags", lambda device: set() if device in made.down else {"UP"})
    monkeypatch.setattr(
        rtnetlink, "saved", lambda device: NOTHING if device in made.lost else SAVED
    )
    monkeypatch.setattr(rtnetlink, "bring_up", made.bring_up)
    monkeypatch.setattr(rtnetlink, "give_back", made.give_back)
    return made


def off(network: str) -> Disconnected:
    """What the ledger says of a network that the container is off."""
    return Disconnected(network, {"aliases": [network]})
