"""A container is given back as it was found: in which order, and what stays to be done."""

from __future__ import annotations

import pytest

from harness.errors import FaultError, LabError
from harness.lab import attached_undo
from harness.lab.attached_undo import Change, Changed, Done, Paused
from tests.unit.lab.fake_container import PREFIX, SAVED, FakeContainer, fake_container, off


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> FakeContainer:
    """One that runs, and to whose network the calls of the kernel go."""
    return fake_container(monkeypatch)


def restored(container: FakeContainer, *changes: Change) -> list[str]:
    """The lines that are said of what was undone."""
    done = Done(at="", container=container.id, name=container.name, prefix=PREFIX, changes=changes)
    return list(attached_undo.restored(container, done))


# --- the order ----------------------------------------------------------------------------------


def test_the_last_change_is_undone_first(container: FakeContainer) -> None:
    """Docker's changes before those within the network: a network must be connected first."""
    container.status, container.down = "paused", {"eth0", "eth1"}
    del container.attrs["NetworkSettings"]["Networks"]["front"]
    del container.attrs["NetworkSettings"]["Networks"]["back"]
    changes = (
        container.changed("eth0"),
        off("front"),
        Paused(),
        container.changed("eth1"),
        off("back"),
    )
    assert restored(container, *changes) == [
        "connected container web to network back",
        "unpaused container web",
        "connected container web to network front",
        f"removed packet filter {PREFIX}_1 of container web",
        f"removed packet filter {PREFIX}_2 of container web",
        "set up again eth1 of container web",
        "set up again eth0 of container web",
    ]
    assert container.did == [
        *("connected to back as ['back']", "unpause", "connected to front as ['front']"),
        *(f"table {PREFIX}_1 deleted", f"table {PREFIX}_2 deleted", "eth1 up", "eth0 up"),
    ]
    assert container.network.closed == 1


def test_addresses_that_were_lost_are_given_back(container: FakeContainer) -> None:
    """Routes are given back to an interface that lost no address, without a line."""
    container.lost, container.tables = {"eth1"}, []
    assert restored(container, container.changed("eth0"), container.changed("eth1")) == [
        "gave back addresses and routes to eth1 of container web"
    ]
    assert container.did == ["eth1 given back", "eth0 given back"]


def test_what_is_in_order_is_left_alone(container: FakeContainer) -> None:
    """A container that runs again and is on its network; tables of others."""
    container.tables = ["theirs", f"{PREFIX}0_1"]
    assert restored(container, Paused(), off("front")) == []
    assert container.did == []


def test_what_docker_has_made_anew_is_left_alone(container: FakeContainer) -> None:
    """An interface in another network namespace, under another index, or gone."""
    container.tables, container.down = [], {"eth0", "eth1"}
    elsewhere = Changed(container.network.identity + 1, "eth0", 2, SAVED)
    renumbered = Changed(container.network.identity, "eth1", 30, SAVED)
    assert restored(container, elsewhere, renumbered, container.changed("eth7")) == []
    assert container.did == []


@pytest.mark.parametrize("status", ["exited", "dead", "created"])
def test_a_container_that_does_not_run_has_no_network(
    status: str, container: FakeContainer
) -> None:
    """It is on its networks again, for when it is started; all else went with its network."""
    container.status = status
    del container.attrs["NetworkSettings"]["Networks"]["front"]
    changes = (container.changed("eth0"), Paused(), off("front"))
    assert restored(container, *changes) == ["connected container web to network front"]
    assert container.network.closed == 0


# --- what fails half-way ------------------------------------------------------------------------


def test_a_container_that_docker_restarts_is_for_later(container: FakeContainer) -> None:
    """Nothing is done to it."""
    container.status = "restarting"
    with pytest.raises(LabError, match="found it restarting; try again"):
        restored(container, Paused(), off("front"))
    assert container.did == []


def test_where_docker_fails_nothing_else_is_tried(container: FakeContainer) -> None:
    """What was undone before that stays undone, and is found in order the next time."""
    container.status = "paused"
    del container.attrs["NetworkSettings"]["Networks"]["front"]
    failing = "connected to front as ['front']"
    container.fails[failing] = FaultError("no such network")
    changes = (off("front"), Paused())
    with pytest.raises(FaultError, match="no such network"):
        restored(container, *changes)
    assert container.did == ["unpause", failing]
    container.fails, container.did = {}, []
    assert restored(container, *changes)[0] == "connected container web to network front"
    assert container.did[:2] == [failing, f"table {PREFIX}_1 deleted"]


@pytest.mark.parametrize("failing", [f"table {PREFIX}_2 deleted", "eth1 up"])
def test_where_the_kernel_fails_it_is_said_of_which_container(
    failing: str, container: FakeContainer
) -> None:
    """Its namespace is let go of all the same, and the rest is done the next time."""
    container.down = {"eth0", "eth1"}
    container.fails[failing] = OSError("no buffer space")
    changes = (container.changed("eth0"), container.changed("eth1"))
    with pytest.raises(
        LabError, match="expected to restore the network of container web, found no buffer space"
    ):
        restored(container, *changes)
    assert container.did[-1] == failing
    assert container.network.closed == 1
    container.fails = {}
    restored(container, *changes)
    assert (container.down, container.tables) == (set(), ["theirs", f"{PREFIX}0_1"])
