"""One command in a guest, as if it ran on the host: its terminal or its pipes, environment, folder
and exit status.

Called by init, so standard library only. Output travels in files that the host reads as they grow;
a line on the console says that there is more. Input comes the same way. Where the host has a
terminal the command gets one too.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import pty
import select
import shutil
import signal
import struct
import termios
import time
from typing import Any, NoReturn

from harness.venue import DOING_VARIABLE
from harness.venue.guest_io import hand_over, say
from harness.venue.init import OWN_TREES

READY, MORE, HEARD = "\x1eready", "\x1emore", "\x1eheard"
"""The last: words from the host have been read, or a piece of input has been taken and its file is
gone.
"""
INPUT, END_OF_INPUT, SIGNAL = "input", "end", "signal"
"""Words on the console, to the host and from it."""
STREAMS = {1: "stdout", 2: "stderr"}
INPUT_FILES, CLOCK_FILE, IDLE_FILE = "stdin.{}", "clock", "idle"
"""In the last: for how many days of virtual time no process has run."""
STUCK_FILE = "stuck"
"""Is there when the command was ended because nothing was left to wait for."""
DOING_FILE = "doing"
COPIED_FILES, COPIED_LIST = "copied.{}", "copied"
"""Files that are copied out, by their numbers, and the list of their names."""
DAY_S = 86400
IDLE_DAYS = 30
"""After so many days of virtual time in which no process ran or waited for a time, there is nothing
left to wait for.

The kernel's own timers that a process may wait for are shorter, but for those of SO_RCVTIMEO and
SO_SNDTIMEO.
"""
_TIMERS = ("hrtimer_wakeup", "it_real_fn", "posix_timer_fn", "timerfd_tmrproc")
"""What a process's sleep, timeout, interval timer or timer descriptor does in /proc/timer_list."""
_PIECE = 4096
"""A pipe that can be written to takes so many bytes at once."""


def main(job: dict[str, Any]) -> int:
    """Run the job's command to its end; returns its exit status, 128 + n for signal n."""
    began, began_at = time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    status = _Command(job).run()
    _copy_wanted(job, began_at)
    with open(f"{job['folder']}/{CLOCK_FILE}", "w", encoding="ascii") as file:
        file.write(str(time.clock_gettime(time.CLOCK_BOOTTIME) - began))
    return status


def _copy_wanted(job: dict[str, Any], began_at: float) -> None:
    """Copy the new files that the host wants to have to where it sees them, and list the names that
    they have here.
    """
    names: list[str] = []
    for pattern in job["wanted"]:
        for path in glob.glob(pattern):
            if os.path.isfile(path) and os.path.getmtime(path) >= began_at:
                shutil.copyfile(path, f"{job['folder']}/{COPIED_FILES.format(len(names))}")
                names.append(path)
    if names:
        with open(f"{job['folder']}/{COPIED_LIST}", "w", encoding="utf-8") as file:
            json.dump(names, file)


class _Command:
    """The running command and what connects it with the host."""

    def __init__(self, job: dict[str, Any], console: int = 0) -> None:
        """`console`: the descriptor at which words from the host come."""
        self.job, self.console = job, console
        self.folder = str(job["folder"])
        kept = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.sinks = {
            number: os.open(f"{self.folder}/{name}", kept) for number, name in STREAMS.items()
        }
        self.outputs: dict[int, int] = {}
        self.stdin = -1
        self.pieces = [job["input"]] if job["input"] else []
        self.waiting = memoryview(b"")
        self.input_over = bool(job["input_over"])
        self.words = b""
        self.poller = select.poll()
        self.asked: dict[int, int] = {}
        """What the poller looks for, by descriptor."""

    def run(self) -> int:
        """Start, serve until the end, drain.

        It goes before all others: an ordinary process that was put aside may never run again while
        another spins.
        """
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        _hush_console()
        wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        pid = self._start()
        idle_days, before = 0, _activity()
        while True:
            ready = self._serve(wake, pid)
            status = _reap(pid) if wake in ready else None
            if status is not None:
                self._drain()
                return (
                    os.waitstatus_to_exitcode(status)
                    if status & 0x7F == 0
                    else 128 + (status & 0x7F)
                )
            if not ready:
                now = _activity()
                idle_days = idle_days + 1 if now == before else 0
                before = now
                self._note_idle(idle_days)
                if idle_days >= IDLE_DAYS and self.input_over and not _timers():
                    self._note_stuck()
                    _send(pid, signal.SIGKILL)

    def _note_idle(self, days: int) -> None:
        """Tell the host that the command waits, which it cannot see otherwise."""
        file = os.open(f"{self.folder}/{IDLE_FILE}", os.O_WRONLY | os.O_CREAT)
        os.write(file, f"{days:8}".encode())
        hand_over(file)
        os.close(file)

    def _note_stuck(self) -> None:
        os.close(os.open(f"{self.folder}/{STUCK_FILE}", os.O_WRONLY | os.O_CREAT))

    def _start(self) -> int:
        """Fork; the child gets a terminal or pipes, as the host's own are."""
        terminal = self.job["terminal"]
        if terminal:
            pid, master = pty.fork()
            if pid == 0:
                self._become()
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *terminal, 0, 0))
            self.outputs[master], self.stdin = 1, master
            return pid
        ends = {number: os.pipe() for number in (0, 1, 2)}
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for number, (read_end, write_end) in ends.items():
                os.dup2(read_end if number == 0 else write_end, number)
            os.closerange(3, 1024)
            self._become()
        self.stdin = ends[0][1]
        os.close(ends[0][0])
        for number in STREAMS:
            os.close(ends[number][1])
            self.outputs[ends[number][0]] = number
        return pid

    def _become(self) -> NoReturn:
        """In the child: turn into the command. A status of 127 or 126 as a shell would give.

        While a program computes no time passes there, so the scheduler would let it go on for ever.
        As SCHED_IDLE it is put aside whenever another process wakes: this one, to pass on what it
        has written before, and the kernel's own, to pass on an interrupt.
        """
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        program, folder = self.job["argv"][0], self.job["cwd"]
        try:
            os.chdir(folder)
        except OSError as error:
            _end(
                126,
                (
                    f"expected the working directory in the guest, found {error.strerror}: "
                    f"{folder}{_fix(folder)}"
                ),
            )
        try:
            env = {**self.job["env"], DOING_VARIABLE: f"{self.folder}/{DOING_FILE}"}
            os.execvpe(program, self.job["argv"], env)  # noqa: S606 - no shell wanted
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            _end(status, f"{program}: {error.strerror}{_fix(os.path.dirname(program) or '/')}")

    def _serve(self, wake: int, pid: int) -> set[int]:
        """Wait for input, a day at most; the descriptors that have some."""
        self._feed()
        wanted = {
            self.console: select.POLLIN,
            wake: select.POLLIN,
            **dict.fromkeys(self.outputs, select.POLLIN),
        }
        if self.stdin >= 0 and (self.waiting or self.pieces):
            wanted[self.stdin] = wanted.get(self.stdin, 0) | select.POLLOUT
        self._ask(wanted)
        ready = dict(self.poller.poll(DAY_S * 1000))
        for descriptor, events in ready.items():
            if descriptor == wake:
                os.read(wake, 4096)
            elif descriptor == self.console:
                self._listen(pid)
            elif descriptor in self.outputs and events != select.POLLOUT:
                self._copy(descriptor)
        return set(ready)

    def _ask(self, wanted: dict[int, int]) -> None:
        """Change what the poller looks for."""
        if wanted == self.asked:
            return
        for descriptor in self.asked.keys() - wanted.keys():
            self.poller.unregister(descriptor)
        for descriptor, events in wanted.items():
            self.poller.register(descriptor, events)
        self.asked = wanted

    def _copy(self, descriptor: int) -> None:
        """Output onward to the host."""
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # a terminal whose other end is gone
            data = b""
        if data:
            sink = self.sinks[self.outputs[descriptor]]
            os.write(sink, data)
            hand_over(sink)
            os.posix_fadvise(
                sink, 0, 0, os.POSIX_FADV_DONTNEED
            )  # the guest's memory keeps no copy of it
            say(MORE)
        else:
            del self.outputs[descriptor]
            if descriptor != self.stdin:
                os.close(descriptor)

    def _listen(self, pid: int) -> None:
        """Messages from the host: more input, its end, a signal."""
        self.words += os.read(self.console, 4096)
        *lines, self.words = self.words.split(b"\n")
        say(HEARD)
        for word, _, rest in (line.decode().strip().partition(" ") for line in lines):
            if word == INPUT:
                self.pieces.append(rest)
            elif word == END_OF_INPUT:
                self.input_over = True
            elif word == SIGNAL:
                _send(pid, int(rest))

    def _take(self, name: str) -> memoryview:
        """A piece of input, in a file of its own: the size of a file that grows on the host is not
        seen here.
        """
        path = f"{self.folder}/{name}"
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        say(HEARD)
        return memoryview(data)

    def _feed(self) -> None:
        """Pass waiting input on; close the command's input after the last of it."""
        if self.stdin < 0:
            return
        if not self.waiting and self.pieces:
            self.waiting = self._take(self.pieces.pop(0))
        try:
            if self.waiting and select.select([], [self.stdin], [], 0)[1]:
                self.waiting = self.waiting[os.write(self.stdin, self.waiting[:_PIECE]) :]
        except BrokenPipeError:
            self.waiting, self.pieces, self.input_over = memoryview(b""), [], True
        if not (self.waiting or self.pieces) and self.input_over and self.stdin not in self.outputs:
            os.close(self.stdin)
            self.stdin = -1

    def _drain(self) -> None:
        """What was written before the end, but not what a process left behind goes on writing."""
        for descriptor in list(self.outputs):
            while descriptor in self.outputs and select.select([descriptor], [], [], 0)[0]:
                self._copy(descriptor)


def _fix(folder: str) -> str:
    """What to do where the host has a folder and the guest may have none of that name.

    "" elsewhere.
    """
    hidden = any(
        os.path.commonpath((tree, os.path.abspath(folder))) == tree for tree in OWN_TREES.values()
    )
    trees = ", ".join(OWN_TREES.values())
    return (
        f"; a guest has its own {trees}: add --write {folder}, or use another folder"
        if hidden
        else ""
    )


def _end(status: int, words: str) -> NoReturn:
    """End this process, with a line on standard error."""
    os.write(2, f"harness vtime: {words}\n".encode(errors="surrogateescape"))
    os._exit(status)


def _hush_console() -> None:
    """Switch the echo off, so that messages from the host do not come back to it."""
    modes = termios.tcgetattr(0)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, modes)
    say(READY)


def _send(pid: int, number: int) -> None:
    """A signal to the command and the processes of its group.

    To it alone as long as it has made no group.
    """
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        os.kill(pid, number)


def _reap(pid: int) -> int | None:
    """Reap ended processes; the wait status of `pid` if it was one of them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def _activity() -> list[str]:
    """What changes when any thread of any process but this one runs: how often each has gone to
    sleep.
    """
    marks = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if not file.read(1):
                        continue  # a thread of the kernel
                for thread in os.listdir(f"/proc/{name}/task"):
                    with open(
                        f"/proc/{name}/task/{thread}/status", encoding="ascii", errors="replace"
                    ) as file:
                        marks += [f"{thread} {line}" for line in file if "ctxt_switches" in line]
            except OSError:
                continue
    return marks


def _timers() -> bool:
    """Whether any process waits for a time or has set a timer."""
    try:
        with open("/proc/timer_list", encoding="ascii", errors="replace") as file:
            return any(name in line for line in file for name in _TIMERS)
    except OSError:
        return False
