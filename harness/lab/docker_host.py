"""A container as a host: its network is the container's, its programs run inside, and docker can
stop it.

It may be one of a lab's own or one that was given: faults work on either.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import FaultError, LabError
from harness.lab import container_exec
from harness.lab.docker_client import HOST_TREE, endpoint, pid_of, reconnect, words
from harness.lab.host import Host
from harness.lab.namespace import Namespace
from harness.system.threads import begin

if TYPE_CHECKING:
    import subprocess

    from harness.model.topology import HostSpec

REAPING_S = 0.001
"""How often it is looked whether a program has ended, while docker waits for that."""


class ContainerHost(Host):
    """A host that is a container: its namespace is the container's, its programs run inside."""

    keeps_ended = False

    def __init__(self, spec: HostSpec, container: Any, scratch: Path | None = None) -> None:
        """`scratch`: a folder that it shares with this machine, for what programs write.

        Raises LabError.
        """
        self.container = container
        self._pid = pid_of(container)
        super().__init__(spec, Namespace(self._pid))
        self._scratch = scratch
        self.come_back: Callable[[], None] = lambda: None
        """Called when docker has given the container a network anew."""
        self.leave: Callable[[], None] = lambda: None
        """Called before docker takes the container off a network."""
        self.cable: tuple[ContainerHost, str] | None = None
        """The docker network of its own link, where a lab has made it one, with the container that
        is on it.
        """

    @property
    def scratch_folder(self) -> Path:
        return self._scratch or super().scratch_folder

    def _environment(self) -> Mapping[str, str]:
        """This machine's where its programs are; else the image's."""
        if self.container.attrs["Config"]["Image"] == HOST_TREE:
            return os.environ
        pairs = (pair.partition("=") for pair in self.container.attrs["Config"]["Env"] or ())
        return {name: value for name, _, value in pairs}

    def _popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        return container_exec.popen(self._pid, *arguments, **options)

    def renew(self, container: Any | None = None) -> None:
        """It is another container, or the same one has been started again. Raises LabError."""
        if container is not None:
            self.container = container
        with words(LabError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        self._pid = pid_of(self.container)

    # --- what docker does to it ------------------------------------------------------------------

    @contextmanager
    def paused(self) -> Iterator[Callable[[], bool]]:
        """`docker pause` for the length of the block; yields whether docker says that it is.

        Raises FaultError.
        """
        name = self.container.name
        with words(FaultError, f"expected to pause container {name}"):
            self.container.pause()
        try:
            yield lambda: self.status() == "paused"
        finally:
            with words(FaultError, f"expected to unpause container {name}"):
                if self.status() == "paused":
                    self.container.unpause()

    def kill(self) -> Callable[[], None]:
        """`docker kill`: SIGKILL to the first process, and so to all.

        Returns when the programs here have ended; what it returns waits until docker is done.
        Raises FaultError.
        """
        return self._ending("kill", self.container.kill)

    def restart(self, grace_s: int) -> Callable[[], None]:
        """`docker restart`: told to end, killed after `grace_s`, started again with a new network.

        Returns as `kill` does. Raises FaultError.
        """

        def again() -> None:
            self.container.restart(timeout=grace_s)
            self.renew()
            self.come_back()

        return self._ending("restart", again)

    @contextmanager
    def disconnected(self, network: str) -> Iterator[Callable[[], bool]]:
        """`docker network disconnect` for the length of the block, then `docker network connect`,
        as it was.

        `network`: by name, "" for its own or the only one. Yields whether docker says that it is
        off, and the interface is gone. Raises FaultError.
        """
        holder, network = (
            (self, network or self._only_network()) if network or not self.cable else self.cable
        )
        devices, container = self.interfaces(), holder.container
        before = endpoint(container, network)
        holder.leave()
        with words(
            FaultError, f"expected to disconnect container {container.name} from network {network}"
        ):
            container.client.networks.get(network).disconnect(container)
        try:
            yield lambda: network not in holder.networks() and self.interfaces() < devices
        finally:
            reconnect(container, network, before)
            holder.come_back()

    def holds_programs(self) -> bool:
        """Whether the programs that were started on it are among its processes, by their control
        groups.
        """
        for program in self.programs:
            try:
                groups = Path(f"/proc/{program.pid}/cgroup").read_text()
            except OSError:
                continue  # it has ended
            if self.container.id not in groups:
                return False
        return True

    def interfaces(self) -> set[str]:
        """Its network interfaces but loopback, by name."""
        with self.entered():
            return {name for _, name in socket.if_nameindex()} - {"lo"}

    def networks(self) -> list[str]:
        """The networks that docker has it on, by name. Raises FaultError."""
        with words(FaultError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        return list(self.container.attrs["NetworkSettings"]["Networks"])

    def _only_network(self) -> str:
        found = self.networks()
        if len(found) != 1:
            which = ", ".join(found) or "none"
            raise FaultError(
                "expected the name of one of the networks of container "
                f"{self.container.name} ({which})"
            )
        return found[0]

    def status(self) -> str:
        """What docker says of it: running, paused, exited, … Raises FaultError."""
        with words(FaultError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        return str(self.container.status)

    def _ending(self, verb: str, action: Callable[[], None]) -> Callable[[], None]:
        """Do what ends all processes inside: docker waits for them, and they for us, whose children
        some are.
        """
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with words(FaultError, f"expected to {verb} container {self.container.name}"):
                    action()
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)

        thread = threading.Thread(target=work, name="docker")
        begin(thread)

        def await_end() -> None:
            while thread.is_alive():
                for program in self.programs:
                    program.poll()
                thread.join(REAPING_S)
            if failed:
                raise failed.pop()

        while thread.is_alive() and not (
            self.programs and all(p.poll() is not None for p in self.programs)
        ):
            thread.join(REAPING_S)
        if not thread.is_alive():
            await_end()
        return await_end
