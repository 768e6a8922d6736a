"""A container that is attached to: each change is in the ledger for as long as it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from harness.errors import FaultError, LabError
from harness.lab import attached_lab, docker_client
from harness.lab.attached_lab import AttachedLab
from harness.lab.attached_undo import Paused, undo
from harness.lab.entries import Entry
from harness.lab.ledger import LEDGER
from harness.model.topology import HostSpec, Interface
from tests.unit.lab.fake_container import TOKEN, FakeContainer, FakeNetwork, fake_container, off


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> FakeContainer:
    """One that runs, and to whose network the calls of the kernel go."""
    return fake_container(monkeypatch)


class Ledger:
    """Stands for `LEDGER`: the changes noted, by kind, each time; and what was settled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.noted: list[list[str]] = []
        self.settled: list[str] = []
        self.data: dict[str, Any] = {}
        monkeypatch.setattr(LEDGER, "announce", lambda *_: TOKEN)
        monkeypatch.setattr(LEDGER, "note", self._note)
        monkeypatch.setattr(LEDGER, "settle", self.settled.append)
        monkeypatch.setattr(docker_client, "place", lambda: "unix:///docker.sock")

    def _note(self, token: str, data: dict[str, Any]) -> None:
        assert token == TOKEN
        self.data = data
        self.noted.append([change["type"] for change in data["changes"]])


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Nothing in it."""
    return Ledger(monkeypatch)


class Client:
    """A client of docker that knows one container."""

    def __init__(self, container: FakeContainer) -> None:
        self.containers, self.closed = self, False
        self._container = container

    def get(self, name: str) -> FakeContainer:
        """By its ID. Raises docker's NotFound."""
        import docker.errors

        if name != self._container.id:
            raise docker.errors.NotFound(name)
        return self._container

    def close(self) -> None:
        """It is asked no more."""
        self.closed = True


def attached(container: FakeContainer) -> tuple[AttachedLab, attached_lab._Given, Client]:
    """The lab of a container, as `__enter__` leaves it, with the host that is the container."""
    lab, client = AttachedLab("web"), Client(container)
    interface = Interface(name="eth0", toward="client", mac="", address="10.0.0.2", prefix=24)
    lab._client = client
    lab._host = attached_lab._Given(HostSpec(name="server", interfaces=(interface,)), container)
    lab._host.enter_ledger("container web")
    return lab, lab._host, client


@pytest.mark.usefixtures("ledger")
def test_a_change_is_written_down_before_and_until_it_is_undone(
    container: FakeContainer, ledger: Ledger
) -> None:
    """Each by itself, in the order of the changes."""
    _, host, _ = attached(container)
    with host.paused():
        assert ledger.noted == [[], ["Paused"]]
        with host._noted(off("front")):
            assert ledger.noted[2:] == [["Paused", "Disconnected"]]
    assert ledger.noted[3:] == [["Paused"], []]
    assert container.did == ["pause", "unpause"]


def test_a_change_that_cannot_be_undone_stays_written_down(
    container: FakeContainer, ledger: Ledger
) -> None:
    """So that whoever cleans does it."""
    _, host, _ = attached(container)
    container.fails["unpause"] = FaultError("docker does not answer")
    with pytest.raises(FaultError, match="docker does not answer"), host.paused():
        pass
    assert ledger.noted == [[], ["Paused"]]


def test_leaving_undoes_what_was_not_healed(container: FakeContainer, ledger: Ledger) -> None:
    """The ledger's entry is settled after that; the client and all namespaces are closed."""
    lab, host, client = attached(container)
    retired = FakeNetwork()
    lab._retired.append(retired)
    host._note(Paused())
    container.status = "paused"
    lab.__exit__(None, None, None)
    assert container.did[0] == "unpause"
    assert ledger.settled == [TOKEN]
    assert (retired.closed, client.closed) == (1, True)


def test_what_could_not_be_undone_is_for_a_later_cleaning(
    container: FakeContainer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry stays open, and says what is left; cleaning reads it and does it."""
    lab, host, client = attached(container)
    host._note(Paused(), container.changed("eth0"))
    container.status, container.down = "paused", {"eth0"}
    container.fails["eth0 up"] = OSError("no buffer space")
    with pytest.raises(LabError, match="no buffer space"):
        lab.__exit__(None, None, None)
    assert (ledger.settled, client.closed) == ([], True)

    @contextmanager
    def at(where: str) -> Iterator[Client]:
        assert where == "unix:///docker.sock"
        yield client

    monkeypatch.setattr(docker_client, "is_gone", lambda _: False)
    monkeypatch.setattr(docker_client, "at", at)
    container.fails = {}
    entry = Entry(
        "attached",
        TOKEN,
        "container web",
        data=msgspec.json.decode(msgspec.json.encode(ledger.data)),
    )
    assert undo(entry) == ["set up again eth0 of container web"]
    container.id = "another"
    assert undo(entry) == ["removed what is said of container web, which is gone"]
    monkeypatch.setattr(docker_client, "is_gone", lambda _: True)
    assert undo(entry) == [
        "removed what is said of container web, whose daemon at unix:///docker.sock is gone"
    ]
    assert undo(Entry("attached", TOKEN)) == []
