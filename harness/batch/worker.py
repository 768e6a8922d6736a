"""A batch in a process of its own, for callers that have threads, work to do, or a network that
they want to keep.

The caller hands over plans and waits; the child runs and judges them, leaves complete run
directories and says, in a line of JSON for each, which is ready. The child ends with its standard
input, so also when the caller is killed, and takes everything down that it had built.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from harness import timeline
from harness.batch import batch
from harness.errors import HarnessError
from harness.judge.result import Result
from harness.judge.verdict import judge
from harness.plan.plan import Plan
from harness.system.threads import begin
from harness.venue import host

_CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); from harness.batch.worker import main; "
    "sys.exit(main(sys.argv[2]))"
)
TELLING_S = 5.0
"""How long a message to a caller that has ended may take."""
GRACE_S = 60.0
"""How long the child may take to end when it is told to: docker takes its time with containers."""


class Message(msgspec.Struct, omit_defaults=True):
    """What the child says: the name of a scenario whose run directory is complete, or why it gave
    up.
    """

    done: str = ""
    attempts: int = 1
    wall_s: float | None = None
    error: str = ""


class Batch:
    """A running child. Iterate over `results`, from one thread; `close` from any."""

    def __init__(self, plans: Sequence[Plan], out: Path) -> None:
        """Start it. Raises HarnessError."""
        self._plans = {plan.name: plan for plan in plans}
        self._out = out
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the results
        package = str(Path(__file__).resolve().parents[2])
        try:
            # -P: a json.py in the caller's working directory is none of ours. Nor is our folder its
            # programs' business.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, package, str(out)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
            )
        except OSError as error:
            raise HarnessError(
                f"expected to start {sys.executable}, found {error.strerror}"
            ) from error

    def results(self) -> Iterator[Result]:
        """Each plan's result as it comes. Raises HarnessError where the child gives up or dies."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        missing = set(self._plans)
        with suppress(BrokenPipeError):  # then it is dead already, which is told below
            self._process.stdin.write(msgspec.json.encode(list(self._plans.values())) + b"\n")
            self._process.stdin.flush()
        with self._process.stdout as said, self._words:
            for line in said:
                message = msgspec.json.decode(line, type=Message)
                if message.error:
                    raise HarnessError(message.error)
                missing.discard(message.done)
                yield self._result(message)
            if missing:
                status = self._process.wait()
                self._words.seek(0)
                words = self._words.read().decode(errors="replace").strip() or "without a word"
                raise HarnessError(
                    f"the process that ran the scenarios ended with status {status}: {words}"
                )

    def _result(self, message: Message) -> Result:
        plan = self._plans[message.done]
        events, attempts = timeline.load(host.folder_of(self._out, plan)), message.attempts
        verdict = judge(plan, events)
        return Result(
            plan=plan, events=events, verdict=verdict, attempts=attempts, wall_s=message.wall_s
        )

    def close(self) -> None:
        """End the child, whether it is done or not, and wait until it is gone."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_telling = threading.Lock()


class _Teller:
    """Tells the caller how the batch goes."""

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """The caller does not ask."""

    def done(self, result: Result) -> None:
        _tell(Message(done=result.plan.name, attempts=result.attempts, wall_s=result.wall_s))


def _tell(message: Message) -> None:
    with _telling:
        sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
        sys.stdout.buffer.flush()


def _end_with_caller() -> None:
    from harness.lab import ledger

    sys.stdin.buffer.read()
    # For good: a run that this clears away is no result. Nobody may read what is being told.
    _telling.acquire(timeout=TELLING_S)
    ledger.end()
    os._exit(1)


def main(out: str) -> int:
    """Be the child."""
    from harness.lab.namespace import ensure_privileges

    plans = msgspec.json.decode(sys.stdin.buffer.readline(), type=list[Plan])
    try:
        ensure_privileges()  # while there is one thread
        begin(threading.Thread(target=_end_with_caller, daemon=True))
        batch.run(plans, Path(out), _Teller(), retries=batch.default_retries(plans))
    except HarnessError as error:
        _tell(Message(error=str(error)))
        return error.exit_status
    except OSError as error:
        _tell(Message(error=f"expected folders for the runs in {out}, found {error}"))
        return HarnessError.exit_status
    return 0
