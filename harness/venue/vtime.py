"""`harness vtime`: any command in virtual time, from the host's side."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from harness.errors import GuestError, UsageError
from harness.system import plain_files, streams
from harness.system.signals import Terminated
from harness.venue import WALL_LIMIT_S, guest_command
from harness.venue.guest_process import LOOK_S, Guest, boot
from harness.venue.kernel import Kernel
from harness.venue.output import OutputCopy
from harness.venue.silence import Silence
from harness.venue.wanted_files import WantedFile, WantedFiles

FIRST_INPUT = 1 << 20
"""So many bytes of input, if they are here already, a guest finds when it begins.

The rest comes while it runs.
"""
_AHEAD = 16
"""So many pieces of input may lie before a guest that does not take them."""
_PIECE = 65536
INTERRUPT = b"\x03"
"""What a terminal sends for Ctrl-C while it is raw."""
CLOCK_VARIABLE = "KEEPALIVE_HARNESS_CLOCK"
"""Set to "virtual" in the command's environment."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: exit status, virtual and wall seconds."""

    status: int
    virtual_s: float
    wall_s: float


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs a command. `flag`: what the options of the caller begin with, for messages.

    `grace_s`: how long the command may go on after an interrupt, in seconds of wall time; None:
    until the second interrupt. Then the guest is ended.
    """

    flag: str = "--"
    grace_s: float | None = None


COMMAND_LINE = Caller()


def run(
    kernel: Kernel,
    argv: Sequence[str],
    *,
    write: Sequence[Path] = (),
    wanted: Sequence[WantedFile] = (),
    wall_limit_s: float = WALL_LIMIT_S,
    with_input: bool = True,
    caller: Caller = COMMAND_LINE,
    words: Sequence[str] = (),
) -> Ended:
    """Run a command as if here: its terminal or pipes, environment, working directory and exit
    status.

    `write`: folders it may write. `wanted`: files that are copied out at its end. What it writes
    elsewhere is lost. `wall_limit_s`: 0 for none. `with_input`: whether it gets this process's
    standard input, or an empty one. `words`: more for the kernel's command line. Raises UsageError
    for a command or folder that does not exist, GuestError for a guest that got stuck or died.
    """
    _check(argv, write, caller.flag)
    started = time.monotonic()
    with_input = (
        with_input and sys.__stdin__ is not None
    )  # None: it was closed when this process began
    job: dict[str, Any] = {
        "module": guest_command.__name__,
        "argv": list(argv),
        "cwd": os.getcwd(),  # noqa: PTH109 - a string is wanted
        "env": {**os.environ, CLOCK_VARIABLE: "virtual"},
        "terminal": _terminal() if with_input else None,
        "wanted": [file.pattern for file in wanted],
    }
    files = WantedFiles(wanted)
    with boot(
        kernel,
        job,
        [path.resolve() for path in write],
        prepare=_fill_input if with_input else _no_input,
        words=words,
    ) as guest:
        _serve(guest, caller, wall_limit_s, started)
        status = guest.status()
        virtual_s = _virtual_s(guest)
        files.take(guest.folder)
    return Ended(status=status, virtual_s=virtual_s, wall_s=time.monotonic() - started)


def _serve(guest: Guest, caller: Caller, wall_limit_s: float, started: float) -> None:
    """Pass input and output on until the command has ended by itself. Raises GuestError.

    `started`: the moment (time.monotonic) from which the limit counts.
    """
    command = guest.job["argv"][0]
    most = f" of at most {wall_limit_s:g} s ({caller.flag}wall-limit)" if wall_limit_s else ""
    try:
        raw = guest.job["terminal"] is not None
        with _Relay(guest, raw=raw, grace_s=caller.grace_s, limits=most) as relay:
            in_time = relay.serve(started + wall_limit_s if wall_limit_s else float("inf"))
    except (KeyboardInterrupt, Terminated):
        if doing := _doing(guest):
            streams.complain(f"the guest was ended during {doing}")
        raise
    if not in_time:
        raise GuestError(
            f"{command} did not end in {wall_limit_s:g} s of wall time ({caller.flag}wall-limit); "
            f"{_state(guest, relay)}{_during(guest)}; {guest.last_words()}"
        )
    if (guest.folder / guest_command.STUCK_FILE).exists():
        raise GuestError(
            f"{command} has nothing left to wait for: "
            f"for {guest_command.IDLE_DAYS} days of virtual time no process ran{_during(guest)}"
        )


def _virtual_s(guest: Guest) -> float:
    """How long the command took.

    A program in the guest may write to that file, too. Raises GuestError.
    """
    found = ""
    with suppress(OSError, ValueError):
        found = plain_files.read_text(guest.folder / guest_command.CLOCK_FILE)
        return float(found)
    raise GuestError(
        f"expected seconds in the guest's file {guest_command.CLOCK_FILE!r}, found {found[:40]!r}"
    )


def _doing(guest: Guest) -> str:
    """The activity that the command reports, "" where it reports none.

    One file for each process that says something.
    """
    said = []
    for path in sorted(guest.folder.glob(f"{guest_command.DOING_FILE}*")):
        with suppress(OSError):
            said.append(plain_files.read_text(path))
    return ", ".join(filter(None, said))


def _during(guest: Guest) -> str:
    doing = _doing(guest)
    return f", during {doing}" if doing else ""


def _idle_days(guest: Guest) -> int:
    """For how many days of virtual time no process has run there."""
    try:
        return int(plain_files.read_text(guest.folder / guest_command.IDLE_FILE))
    except (OSError, ValueError):
        return 0


def _state(guest: Guest, relay: _Relay) -> str:
    """Whether a guest that was killed here was idle or busy."""
    days = _idle_days(guest)
    if not days:
        return "it was at work: no day of virtual time has passed without a process running"
    words = f"it was idle: no process has run for {days} days of virtual time"
    return words if relay.input_over else f"{words}, and its standard input is still open"


def _check(argv: Sequence[str], write: Sequence[Path], flag: str) -> None:
    if not argv:
        raise UsageError("expected a command after --, found none")
    if shutil.which(argv[0]) is None:
        path = Path(argv[0])
        found = (
            "a folder"
            if path.is_dir()
            else "a file that is not executable"
            if path.exists()
            else "nothing"
        )
        raise UsageError(f"expected a command that can be run, found {found} at {argv[0]!r}")
    for path in write:
        if not path.is_dir() or not os.access(path, os.W_OK):
            raise UsageError(f"{flag}write: expected a folder that can be written, found {path}")


def _terminal() -> tuple[int, int] | None:
    """Rows and columns where both input and output are a terminal."""
    if not (os.isatty(0) and os.isatty(1)):
        return None
    size = os.get_terminal_size(1)
    return size.lines, size.columns


def _fill_input(folder: Path) -> dict[str, object]:
    """Put the first of the input, if it is here already, where the guest finds it, so that it need
    not wait for it.
    """
    name, over = guest_command.INPUT_FILES.format(0), False
    with (folder / name).open("wb") as file:
        while (
            not over
            and file.tell() < FIRST_INPUT
            and not os.isatty(0)
            and select.select([0], [], [], 0)[0]
        ):
            data = _read_input()
            file.write(data)
            over = not data
    return {"input": name, "input_over": over}


def _no_input(_: Path) -> dict[str, object]:
    return {"input": None, "input_over": True}


def _read_input() -> bytes:
    """Some of the input that has come.

    Nothing at its end, and where it cannot be read, as under nohup.
    """
    try:
        return os.read(0, _PIECE)
    except OSError:
        return b""


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class _Relay:
    """Copies the command's output here as it comes, and input there."""

    def __init__(self, guest: Guest, *, raw: bool, grace_s: float | None, limits: str = "") -> None:
        """`limits`: of the time that the command may take, for its progress."""
        self.guest, self.raw, self.grace_s = guest, raw, grace_s
        self.limits, self.began = limits, time.monotonic()
        self.silence = Silence(self._progress, on_terminal=raw)
        self.pieces = 0
        self.ahead: list[Path] = []
        """Pieces that the guest may not have taken yet."""
        self.ready = False
        self.output = OutputCopy(guest)
        self.saved: list[Any] | None = None
        self.interrupts = 0
        self.unheard = 0
        """Interrupts typed at a terminal that the guest has not taken: it takes none while a
        program in it spins.
        """
        self.gives_up = float("inf")
        """When the guest is ended (time.monotonic), because an interrupt has not ended its
        command.
        """
        self.replaced: Any = None
        self.input_over = bool(guest.job.get("input_over"))

    def __enter__(self) -> Self:
        if self.raw:
            self.saved = termios.tcgetattr(0)
            tty.setraw(0)
        if _is_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.replaced = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
        if self.replaced is not None:
            signal.signal(signal.SIGINT, self.replaced)

    def _interrupted(self, *_: object) -> None:
        """Pass the first interrupt to the command, in `serve`; the second ends the guest."""
        self.interrupts += 1
        if self.interrupts > 1:
            raise KeyboardInterrupt
        self._begin_grace()
        until = "" if self.grace_s is None else f", and so do {self.grace_s:g} s"
        os.write(
            2, f"harness: passed on to the command; once more ends the guest{until}\n".encode()
        )

    def _begin_grace(self) -> None:
        if self.grace_s is not None:
            self.gives_up = time.monotonic() + self.grace_s

    def serve(self, deadline: float) -> bool:
        """Until the guest ends; False when `deadline` (time.monotonic) came first."""
        passed_on = 0
        while time.monotonic() < deadline:
            if self._serve_once(min(deadline, time.monotonic() + LOOK_S)):
                self.output.copy()
                return True
            self.silence.look()
            if time.monotonic() > self.gives_up:
                raise KeyboardInterrupt
            if self.ready and self.interrupts > passed_on:
                passed_on = self.interrupts
                self._tell(f"{guest_command.SIGNAL} {int(signal.SIGINT)}")
        self.output.copy()
        return False

    def _serve_once(self, until: float) -> bool:
        """Whatever comes first: the guest's lines, input, nothing by `until`.

        True when the guest has ended.
        """
        assert self.guest.process.stdout is not None
        sources: list[Any] = [self.guest.process.stdout]
        if self.ready and not self.input_over and self._has_room():
            sources.append(0)
        ready = select.select(sources, [], [], max(0.0, until - time.monotonic()))[0]
        if 0 in ready:
            self._pass_input()
        if self.guest.process.stdout in ready:
            lines = self.guest.read(0)
            self.ready |= guest_command.READY in (lines or ())
            if guest_command.HEARD in (lines or ()):
                self._heard()
            if self.output.copy():
                self.silence.broken()
            return lines is None
        return False

    def _progress(self) -> str:
        """What is awaited, and for how long already."""
        gone = f"{time.monotonic() - self.began:.0f} s gone{self.limits}"
        if not self.ready:
            return f"{gone}: the guest boots"
        idle = _idle_days(self.guest)
        waits = f"; no process has run for {idle} days of virtual time" if idle else ""
        return f"{gone}: {Path(self.guest.job['argv'][0]).name} runs{_during(self.guest)}{waits}"

    def _heard(self) -> None:
        """The guest accepts messages now.

        From then on an interrupt typed at a terminal is the command's business.
        """
        self.unheard = 0
        if not self.interrupts:
            self.gives_up = float("inf")

    def _has_room(self) -> bool:
        """Whether there may be more input before the guest.

        Always from a terminal, where an interrupt may come.
        """
        if len(self.ahead) >= _AHEAD and not self.raw:
            self.ahead = [path for path in self.ahead if path.exists()]
        return len(self.ahead) < _AHEAD or self.raw

    def _pass_input(self) -> None:
        data = _read_input()
        if self.raw:
            self.silence.broken()
        if not data:
            self.input_over = True
            self._tell(guest_command.END_OF_INPUT)
            return
        if self.raw and INTERRUPT in data:
            self.unheard += 1
            if self.unheard > 1:
                raise KeyboardInterrupt
            self._begin_grace()
        self.pieces += 1
        path = self.guest.folder / guest_command.INPUT_FILES.format(self.pieces)
        try:
            plain_files.create(path, data)
        except FileExistsError:
            raise GuestError(
                f"expected no file in the place of the guest's next input, found one at {path}"
            ) from None
        self.ahead.append(path)
        self._tell(f"{guest_command.INPUT} {path.name}")

    def _tell(self, words: str) -> None:
        assert self.guest.process.stdin is not None
        with suppress(BrokenPipeError):
            self.guest.process.stdin.write(words.encode() + b"\n")
            self.guest.process.stdin.flush()
