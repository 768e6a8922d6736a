"""A container as a host: its network is the container's, its programs run inside, and docker can stop it.

It may be one of a lab's own or one that was given: faults work on either.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import FaultError, LabError
from harness.lab import inside
from harness.lab.containers import HOST_TREE, endpoint, pid_of, reconnect, words
from harness.lab.host import Host
from harness.lab.namespace import Namespace

if TYPE_CHECKING:
    import subprocess

    from harness.lab.topology import HostSpec


class ContainerHost(Host):
    """A host that is a container: its namespace is the container's, its programs run inside."""

    def __init__(self, spec: HostSpec, container: Any, scratch: Path | None = None) -> None:
        """`scratch`: a folder that it shares with this machine, for what programs write. Raises LabError."""
        self.container = container
        self._pid = pid_of(container)
        super().__init__(spec, Namespace(self._pid))
        self._scratch = scratch
        self.come_back: Callable[[], None] = lambda: None
        """Called when docker has given the container a network anew."""

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
        return inside.popen(self._pid, *arguments, **options)

    def renew(self, container: Any | None = None) -> None:
        """It is another container, or the same one has been started again. Raises LabError."""
        if container is not None:
            self.container = container
        with words(LabError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        self._pid = pid_of(self.container)

    # --- what docker does to it ------------------------------------------------------------------------

    @contextmanager
    def paused(self) -> Iterator[Callable[[], bool]]:
        """`docker pause` for the length of the block; yields whether docker says that it is. Raises FaultError."""
        name = self.container.name
        with words(FaultError, f"expected to pause container {name}"):
            self.container.pause()
        try:
            yield lambda: self.status() == "paused"
        finally:
            with words(FaultError, f"expected to unpause container {name}"):
                if self.status() == "paused":
                    self.container.unpause()

    def kill(self) -> None:
        """`docker kill`: SIGKILL to the first process, and so to all. Raises FaultError."""
        with words(FaultError, f"expected to kill container {self.container.name}"):
            self._while_reaping(self.container.kill)

    def restart(self, grace_s: float) -> None:
        """`docker restart`: told to end, killed after `grace_s`, started again with a new network.

        Raises FaultError.
        """
        with words(FaultError, f"expected to restart container {self.container.name}"):
            self._while_reaping(lambda: self.container.restart(timeout=round(grace_s)))
        self.renew()
        self.come_back()

    @contextmanager
    def disconnected(self, network: str) -> Iterator[Callable[[], bool]]:
        """`docker network disconnect` for the length of the block, then `docker network connect`, as it was.

        Yields whether docker says that it is off. Raises FaultError.
        """
        before = endpoint(self.container, network)
        client = self.container.client
        with words(FaultError, f"expected to disconnect container {self.container.name} from network {network}"):
            client.networks.get(network).disconnect(self.container)
        try:
            yield lambda: network not in self.networks()
        finally:
            reconnect(self.container, network, before)
            self.come_back()

    def networks(self) -> list[str]:
        """The networks that docker has it on, by name. Raises FaultError."""
        with words(FaultError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        return list(self.container.attrs["NetworkSettings"]["Networks"])

    def status(self) -> str:
        """What docker says of it: running, paused, exited, … Raises FaultError."""
        with words(FaultError, f"expected to look at container {self.container.name}"):
            self.container.reload()
        return str(self.container.status)

    def _while_reaping(self, action: Callable[[], object]) -> None:
        """Do what ends all processes inside: docker waits for them, and they for us, whose children some are."""
        failed: list[BaseException] = []

        def work() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)

        thread = threading.Thread(target=work, name="docker")
        thread.start()
        while thread.is_alive():
            for program in self.programs:
                program.poll()
            time.sleep(0.001)
        if failed:
            raise failed[0]
