"""Changes to a container that somebody else runs, as the ledger keeps them, and how they are
undone.

A change is written down before it is made. What others have changed since, or docker has made anew,
is left alone.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from harness.errors import LabError
from harness.lab import docker_client, nftables, rtnetlink
from harness.lab.entries import Entry
from harness.lab.namespace import Namespace
from harness.lab.rtnetlink import SavedInterface


class Paused(msgspec.Struct, frozen=True, tag=True):
    """Its processes stand still."""


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """It is off a network, on which it was with this endpoint."""

    network: str
    endpoint: dict[str, Any]


class Changed(msgspec.Struct, frozen=True, tag=True):
    """An interface is down, or without its addresses: how it is known again, and what is lost with
    it.

    `namespace`: the inode number of the network namespace. What is there under the same name, but
    in another one, or has another index, is not what was changed: docker has made it anew since.
    """

    namespace: int
    device: str
    index: int
    saved: SavedInterface


Change = Paused | Disconnected | Changed


class Done(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to a container at the moment.

    `at`: the daemon; `prefix`: of the names of tables in its network.
    """

    at: str
    container: str
    name: str
    prefix: str
    changes: tuple[Change, ...] = ()


def undo(entry: Entry) -> list[str]:
    """Undo what was done to a container, after a harness was killed; a line for each thing.

    Raises HarnessError.
    """
    if not entry.data:
        return []
    try:
        done = msgspec.convert(entry.data, Done)
    except msgspec.ValidationError as error:
        raise LabError(
            f"expected what this version writes down, found {error}; clean with the one that did"
        ) from error
    if done.prefix != table_prefix(entry.token):
        raise LabError(
            f"expected tables named after the entry's token, found {done.prefix!r}: those "
            "are others'"
        )
    if docker_client.is_gone(done.at):
        return [f"removed what is said of container {done.name}, whose daemon at {done.at} is gone"]
    import docker.errors

    with (
        docker_client.at(done.at) as client,
        docker_client.words(LabError, f"expected to restore {done.name}"),
    ):
        try:
            container = client.containers.get(done.container)
        except docker.errors.NotFound:
            return [f"removed what is said of container {done.name}, which is gone"]
        return list(restored(container, done))


def table_prefix(token: str) -> str:
    """What the names of the tables begin with that are put into a container's network."""
    return f"harness_{token[:12]}"


def restored(container: Any, done: Done) -> Iterator[str]:
    """Undo, a line for each thing: what is in order, or gone with the container's network, is left
    alone.
    """
    if container.status == "restarting":
        raise LabError(f"expected to look at container {done.name}, found it restarting; try again")
    networks = container.attrs["NetworkSettings"]["Networks"]
    for change in reversed(done.changes):
        if isinstance(change, Paused) and container.status == "paused":
            container.unpause()
            container.reload()
            yield f"unpaused container {done.name}"
        elif isinstance(change, Disconnected) and change.network not in networks:
            docker_client.reconnect(container, change.network, change.endpoint)
            networks = {**networks, change.network: {}}
            yield f"connected container {done.name} to network {change.network}"
    container.reload()
    if container.status not in ("running", "paused"):
        return
    namespace = Namespace(docker_client.pid_of(container))
    try:
        with namespace.entered():
            for table in _tables_removed(done.prefix):
                yield f"removed packet filter {table} of container {done.name}"
            for change in reversed(done.changes):
                if isinstance(change, Changed) and change.namespace == namespace.identity:
                    for what in _interface_restored(change):
                        yield f"{what} of container {done.name}"
    except OSError as error:
        raise LabError(
            f"expected to restore the network of container {done.name}, found {error}"
        ) from error
    finally:
        namespace.close()


def _tables_removed(prefix: str) -> Iterator[str]:
    for item in nftables.run({"list": {"tables": None}}):
        table = item.get("table", {})
        if str(table.get("name", "")).startswith(f"{prefix}_"):
            nftables.run({"delete": {"table": {"family": table["family"], "name": table["name"]}}})
            yield table["name"]


def _interface_restored(change: Changed) -> Iterator[str]:
    """Routes may be gone of one that is up and has its addresses: all of it is given back, whatever
    is said.
    """
    device = change.device
    if indices().get(device) != change.index:
        return
    if "UP" not in rtnetlink.flags(device):
        rtnetlink.bring_up(device, change.saved)
        yield f"set up again {device}"
        return
    lost = change.saved != rtnetlink.saved(device)
    rtnetlink.give_back(device, change.saved)
    if lost:
        yield f"gave back addresses and routes to {device}"


def indices() -> dict[str, int]:
    """Of the interfaces here, by name."""
    return {name: index for index, name in socket.if_nameindex()}
