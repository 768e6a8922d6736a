"""What an attack is given: a folder, a source of chance, and commands of the harness that are
watched to their end.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.attack import processes

CHECKOUT = Path(__file__).parents[2]
HARNESS = (sys.executable, "-m", "harness")
HEEDFUL = ("env", "--default-signal=HUP,INT,TERM")
"""A shell starts what runs in its background with SIGINT ignored, and that is inherited."""
LIMIT_S = 180.0
"""A command that has not ended after so long hangs, unless its processes have waited for a CPU for
a tenth of that.
"""
MOST_LIMITS = 5
"""Of one that has, it cannot be told after so many such times whether it hangs."""
STATUSES = frozenset({0, 1, 2, 3})
"""What a command of the harness ends with where no signal was sent to it."""
DEFECT = "is a defect of the harness"
"""What the command line says after an exception that it has not raised on purpose."""
LAST_LINES = 12
LONGEST_LINE = 300
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_EARLY_INTERRUPT = re.compile(r"^KeyboardInterrupt\b", re.MULTILINE)
_BEFORE_ANY_CODE = ("Could not import runpy module", "Failed to import the site module")
"""How Python begins where an interrupt comes before it runs any code; it ends with status 1 then
(Modules/main.c:pymain_run_module, Python/pylifecycle.c:init_import_site).
"""
_LOST_INTERRUPT = re.compile(
    (
        r"^Exception ignored [^\n]*\nTraceback \(most recent call last\):\n(?:[ "
        r"\t][^\n]*\n)*KeyboardInterrupt\b[^\n]*$"
    ),
    re.MULTILINE,
)
"""How Python tells of an interrupt that came while it ran a weak reference's callback or a
destructor.

It has nobody to raise KeyboardInterrupt to there, prints it, and goes on. The harness sends such an
interrupt again (`harness.system.signals.told_to_end`), but neither before that begins nor in the
sessions of pytest.
"""


class Ended(NamedTuple):
    """A command that has ended, after so long."""

    status: int
    out: str
    err: str
    wall_s: float

    def __str__(self) -> str:
        lines = [line[:LONGEST_LINE] for line in (*self.out.splitlines(), *self.err.splitlines())]
        return "\n".join([f"exit status {self.status}", *lines[-LAST_LINES:]])


class Command:
    """A command at work in a folder of its own."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.argv, self.folder = tuple(argv), folder
        self.began_s = time.monotonic()
        self.interrupted = False
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [*HEEDFUL, *argv],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def words(self) -> str:
        """The command as a person would write it."""
        return (
            " ".join(self.argv)
            .replace(" ".join(HARNESS), "harness")
            .replace(sys.executable, "python")
        )

    def ended(self) -> Ended:
        """What it left, once it has ended."""
        out, err = (
            (self.folder / name).read_text(errors="replace") for name in ("stdout", "stderr")
        )
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out, err, time.monotonic() - self.began_s)

    def send(self, number: signal.Signals) -> None:
        """A signal, where it is still there."""
        self.interrupted |= number == signal.SIGINT
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def wait(self, limit_s: float) -> bool:
        """Whether it has ended by then."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(limit_s)
        return self.process.returncode is not None


class Arena:
    """One round of one kind of attack.

    `attempts`: how often the product was attacked; `failures`: in words, each what did not hold;
    `inconclusive`: runs that could not be judged, in words, which is no failure. `temporary`: where
    commands put temporary files.
    """

    def __init__(self, folder: Path, temporary: Path, chance: random.Random) -> None:
        self.folder, self.temporary, self.chance = folder, temporary, chance
        self.state = folder / "state"
        self.attempts = 0
        self.failures: list[str] = []
        self.inconclusive: list[str] = []
        self._commands: list[Command] = []

    @property
    def environment(self) -> dict[str, str]:
        """That of each command: a state folder and a folder for guests of the round's own."""
        given = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        places = {
            "XDG_STATE_HOME": str(self.state),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(CHECKOUT),
        }
        return {**given, **places, "COLUMNS": "120"}

    def start(self, *arguments: str, program: Sequence[str] = HARNESS) -> Command:
        """A command that goes on in the background."""
        command = Command(
            [*program, *arguments], self.folder / f"command-{len(self._commands)}", self.environment
        )
        self._commands.append(command)
        return command

    def harness(self, *arguments: str, statuses: Collection[int] = STATUSES) -> Ended:
        """A command of the harness, from start to end, with the checks that hold for each."""
        return self.await_end(self.start(*arguments), statuses)

    def await_end(self, command: Command, statuses: Collection[int] = STATUSES) -> Ended:
        """Wait for the end, and check what was printed and the exit status."""
        if self._ends(command):
            ended = command.ended()
            self.check(command, ended, statuses)
            return ended
        command.send(signal.SIGKILL)
        command.process.wait()
        return command.ended()

    def _ends(self, command: Command) -> bool:
        """Whether it ends in time.

        Notes it where it does not: as wrong, or on a busy machine as not to be judged.
        """
        waited_s = 0.0
        for _ in range(MOST_LIMITS):
            if command.wait(LIMIT_S):
                return True
            before_s, waited_s = waited_s, processes.waited_s(command.process.pid)
            if waited_s - before_s < LIMIT_S / 10:
                self.wrong(f"{command.words} did not end within {LIMIT_S:g} s")
                return False
        self.unjudged(f"{command.words} did not end, and waited for a CPU for {waited_s:.0f} s")
        return False

    def check(self, command: Command, ended: Ended, statuses: Collection[int]) -> None:
        """What holds for each command: a status that is documented, no traceback, no control
        characters.
        """
        if ended.status not in statuses:
            self.wrong(f"{command.words}: expected exit status {sorted(statuses)}, found {ended}")
        fault = complaint(ended, interrupted=command.interrupted)
        if fault:
            self.wrong(f"{command.words}: {fault}: {ended}")

    def wrong(self, what: str) -> None:
        """Note what did not hold."""
        self.failures.append(what)

    def unjudged(self, what: str) -> None:
        """Note a run that was inconclusive, and why."""
        self.inconclusive.append(what)

    def right(self, holds: bool, what: Callable[[], Any] | str) -> None:  # noqa: FBT001 - it reads as an assertion
        """Note what did not hold, unless it did."""
        if not holds:
            self.wrong(what if isinstance(what, str) else str(what()))

    def end(self) -> None:
        """End what this round still has at work."""
        for command in self._commands:
            command.send(signal.SIGKILL)
            command.process.wait()

    def check_nothing_left(self) -> None:
        """After the commands have ended, `harness clean` removes all that they left, and says so
        once.
        """
        self.end()
        self.harness("clean", statuses={0})
        again = self.harness("clean", statuses={0})
        self.right(
            again.out == "nothing to remove\n",
            lambda: f"a second `harness clean` found more: {again}",
        )
        ledgers = [
            str(path) for path in self.state.rglob("*.jsonl") if path.parent.name == "ledger"
        ]
        self.right(not ledgers, f"ledgers are left: {ledgers}")
        left = [path.name for path in self.temporary.iterdir()]
        self.right(not left, f"temporary files are left: {left}")
        for process in processes.end_leftovers():
            self.wrong(f"a process is left: {process}")


def complaint(ended: Ended, *, interrupted: bool = False) -> str:
    """What a command must never print; "" where it did not.

    `interrupted`: whether SIGINT was sent to it.

    Two tracebacks are Python's own: of an interrupt that comes while the interpreter is still
    starting, and of one that it has lost.
    """
    both = (
        ended.out + ended.err
    )  # a program under test may print a traceback: the verdict shows its last lines
    early = _EARLY_INTERRUPT.search(ended.err) and (
        ended.status == -signal.SIGINT or (interrupted and ended.err.startswith(_BEFORE_ANY_CODE))
    )
    told = _LOST_INTERRUPT.sub("", ended.err) if interrupted else ended.err
    if DEFECT in both or ("Traceback (most recent call last)" in told and not early):
        return "a traceback"
    if "INTERNALERROR" in both:
        return "an internal error"
    found = _CONTROL.search(both)
    return f"a control character ({found.group()!r})" if found else ""
