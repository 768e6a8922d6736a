"""What faults, subjects and probes need of a lab: hosts with a network namespace each, and the lab
that holds them.

A Host works on any namespace, whoever made it; only making and rebooting hosts differs between
labs.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from harness.errors import FaultError
from harness.lab import folders, processes
from harness.lab.host_network import HostNetwork
from harness.lab.ledger import LEDGER
from harness.lab.namespace import Namespace
from harness.lab.process import Program
from harness.lab.processes import MARK_VARIABLE
from harness.model.topology import HostSpec, Layout

if TYPE_CHECKING:
    from harness.lab.watched import Watched

DEFAULTS: Mapping[str, str] = {"PYTHONUNBUFFERED": "1"}
"""Variables of the programs that run on a host, unless they are set already: Python prints each
line at once.
"""


class Lab(Protocol):
    """A built topology. Leaving it as a context manager takes everything down."""

    layout: Layout
    watched: Watched | None
    """What tells the connection that a run is about from all else.

    None: there is no such, and all counts.
    """

    def host(self, name: str) -> Host:
        """The host of that name. Raises KeyError."""

    def settle_carrier(self, name: str, device: str) -> None:
        """Wait until both ends of an interface's link know whether it has carrier.

        The kernel tells them from a work queue (net/core/link_watch.c:linkwatch_event), which a
        busy machine delays by seconds. After CARRIER_WAIT_S it is waited no longer.
        """

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Give the host a fresh namespace with the same addresses.

        Nothing escapes from the old one.

        `mac`: the MAC address of an endpoint's interface from then on, as another machine would
        have it.
        """


class Launch(NamedTuple):
    """How a program was started: the arguments of `Host.start`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None
    folder: str | None
    scratch: Path | None


class Host(HostNetwork):
    """One machine of a lab: its network, and the programs that run on it."""

    keeps_ended = True
    """Whether an ended program stays as a zombie, until it is closed.

    A container does not end before that is gone.
    """

    def __init__(self, spec: HostSpec, namespace: Namespace) -> None:
        super().__init__(spec, namespace)
        self._programs: list[tuple[Program, str]] = []
        self._killed: list[Program] = []
        self._launches: dict[Program, Launch] = {}
        self._scratches: dict[str, Path] = {}
        self.restarts = True
        """Whether `start_again` starts anything: a run that is over switches that off."""
        self.starting_again: Callable[[], None] = lambda: None
        """Called before `start_again` starts a program: the host may have another namespace by
        now.
        """
        self.restarted: Callable[[Program], None] = lambda _: None
        """Called with each program that `start_again` has started."""

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        scratch: Path | None = None,
    ) -> Program:
        """Run a program on the host, written to the ledger first. Raises SubjectError.

        `env`: on top of the host's own environment and `DEFAULTS`. `scratch`: a folder that goes
        with the program and is made for it.
        """
        what = f"{name} on {self.name}: {' '.join(argv)}"
        token = LEDGER.announce("program", what, scratch, network=self.namespace.network)
        try:
            if scratch is not None:
                scratch.mkdir(mode=0o755, exist_ok=scratch in self._scratches.values())
            marked = {**DEFAULTS, **self._environment(), **(env or {}), MARK_VARIABLE: token}
            program = Program(
                name,
                argv,
                marked,
                folder,
                owns_children=scratch is not None,
                keeps_ended=self.keeps_ended,
                popen=self._popen,
            )
        except BaseException:
            LEDGER.abandon(token)
            raise
        if scratch is not None:  # only programs that are none of ours write over their environment
            LEDGER.started(token, program.pid)
        self._programs.append((program, token))
        self._launches[program] = Launch(name, argv, env, folder, scratch)
        if scratch is not None:
            self._scratches[token] = scratch
            program.strays = functools.partial(self._strays, program)
        return program

    def _strays(self, program: Program) -> dict[int, int]:
        """What a program left behind that has no mark any more, where no other command is on the
        host.
        """
        others = (each for each, _ in self._programs if each is not program and each.owns_children)
        if self.namespace.network is None or any(each.poll() is None for each in others):
            return {}
        return processes.strays(self.namespace.network)

    def start_again(self, ended: Program, *, keeps_scratch: bool = True) -> None:
        """Start a program once more that has ended, with the same arguments and in its place.

        `keeps_scratch`: its scratch folder is as the ended program left it; otherwise the folder is
        empty. Does nothing where `restarts` is false. Raises SubjectError, LabError.
        """
        if not self.restarts:
            return
        launch = self._launches[ended]
        place = next(
            (number for number, (each, _) in enumerate(self._programs) if each is ended), 0
        )
        for entry in [entry for entry in self._programs if entry[0] is ended]:
            self._programs.remove(entry)
            self._killed.append(ended)
            ended.kill()
            if entry[1] not in self._scratches:
                LEDGER.settle(entry[1])
        if launch.scratch is not None and not keeps_scratch:
            folders.remove(launch.scratch)
        self.starting_again()
        program = self.start(*launch)
        self._programs.insert(place, self._programs.pop())
        self.restarted(program)

    @property
    def scratch_folder(self) -> Path:
        """Where folders are made for programs, that they see under the same name."""
        return Path(tempfile.gettempdir())

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs that run on the host, or have ended by themselves."""
        return tuple(program for program, _ in self._programs)

    def _environment(self) -> Mapping[str, str]:
        """The environment that programs on the host begin with."""
        return os.environ

    def _popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        """subprocess.Popen on the host. Raises OSError."""
        with self.entered():
            return subprocess.Popen(*arguments, **options)

    @contextmanager
    def running(self, name: str, argv: Sequence[str]) -> Iterator[Program]:
        """A program that runs on the host for the length of the block. Raises SubjectError."""
        program = self.start(name, argv)
        try:
            yield program
        finally:
            for entry in self._programs:
                if entry[0] is program:  # not where a reboot has ended it already
                    self._programs.remove(entry)
                    program.close()
                    LEDGER.settle(entry[1])
                    break

    @property
    def program(self) -> Program:
        """The program under test on this host, the first one started. Raises FaultError."""
        if not self._programs:
            raise FaultError(f"expected a program on host {self.name}, found none")
        return self._programs[0][0]

    def kill_programs(self) -> None:
        """Kill every program on the host, with all that it left behind.

        What they printed can still be read.

        Their folders stay: the programs may be started again.
        """
        entries, self._programs = self._programs, []
        for program, _ in reversed(entries):
            self._killed.append(program)
            program.kill()
        tokens = {*self._scratches, *(token for _, token in entries)}
        left = LEDGER.end_leftovers(tokens) if tokens else set()
        for token in tokens - self._scratches.keys() - left:
            LEDGER.settle(token)

    def close(self) -> None:
        """End its programs, remove their folders and let go of its namespace."""
        self.kill_programs()
        while self._killed:
            self._killed.pop().close()
        while self._scratches:
            LEDGER.settle(self._scratches.popitem()[0])
        self.namespace.close()
