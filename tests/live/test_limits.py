"""Where the machine or its settings do not allow what was asked for, nothing is refuted: no exit
status of 1.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.scenario import toml_file
from tests.live import test_unprivileged
from tests.live.command import COMMAND, Ended, environment
from tests.live.test_unprivileged import User

pytestmark = pytest.mark.live

SHORT = "outcomes/peer-closes"
user = test_unprivileged.user


def ended(folder: Path, before: str, *arguments: str, command: tuple[str, ...] = COMMAND) -> Ended:
    """The end of a `harness` command that a shell began after something else; {} stands for it."""
    itself = f"exec {shlex.join((*command, *arguments))}"
    script = before.replace("{}", itself) if "{}" in before else f"{before}; {itself}"
    found = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env=environment(folder / "state"),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(found.returncode, found.stdout, found.stderr)


@pytest.mark.parametrize(
    ("before", "arguments", "status", "words"),
    [
        (
            "ulimit -n 16",
            ("run", SHORT),
            3,
            "open files: a limit of 16, fewer than a run needs. Fix: raise it",
        ),
        (
            "ulimit -v 150000",
            ("run", SHORT),
            3,
            "memory: a limit of 150000 KiB of address space, fewer than",
        ),
        ("{} 2>/dev/full", ("plan", "./none"), 2, ""),
        ("{} >&- 2>&-", ("plan", "./none"), 2, ""),
        (
            "{}",
            ("plan", "/dev/zero"),
            2,
            "/dev/zero: expected a readable file, found a fifo, socket or device",
        ),
        (
            "mkfifo x.scenario.toml",
            ("plan", "."),
            2,
            "x.scenario.toml: expected a readable file, found a fifo",
        ),
        ("mkfifo x.toml", ("show", "./x.toml"), 2, "found a FIFO, socket or device at"),
    ],
)
def test_limits(
    tmp_path: Path, before: str, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """What is missing is said, as far as anything can be said, with the fix; no command hangs."""
    found = ended(tmp_path, before, *arguments)
    assert found.status == status, found.err
    assert words in found.err


@pytest.mark.virtual
@pytest.mark.usefixtures("kernel")
def test_few_open_files_for_a_guest(tmp_path: Path) -> None:
    """A guest would panic."""
    found = ended(tmp_path, "ulimit -n 128", "vtime", "true")
    assert (found.status, "a limit of 128, fewer than a guest needs" in found.err) == (3, True), (
        found.err
    )


def test_a_full_disk(tmp_path: Path) -> None:
    """Where runs cannot be recorded any more, the path and another one are named, and what is done
    is shown.
    """
    (tmp_path / "small").mkdir()
    namespace = ["unshare", "--mount", "--propagation", "private"]
    prefix = [*namespace, *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    mount = "mount -t tmpfs -o size=200k tmpfs small"
    if subprocess.run(
        [*prefix, "sh", "-c", mount], cwd=tmp_path, check=False, stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("this machine lets nobody mount")
    arguments = ("run", "outcomes", "--out", "small/out")
    found = ended(
        tmp_path,
        "{}",
        "sh",
        "-c",
        f'{mount}; exec "$@"',
        "sh",
        *COMMAND,
        *arguments,
        command=tuple(prefix),
    )
    assert found.status == 2, found.err
    assert "No space left on device" in found.err
    assert "name another folder with --out DIR" in found.err
    assert "of 16 scenarios are done" in found.out


def test_a_report_without_room(tmp_path: Path) -> None:
    """It is missed after the table that shows the same."""
    found = ended(tmp_path, "{}", "run", SHORT, "--json", "/dev/full", "--junit", "there.xml")
    assert found.status == 2, found.err
    assert "expected room for a report, found No space left on device at /dev/full" in found.err
    assert "1 pass, 0 fail, 0 inconclusive" in found.out
    assert (tmp_path / "there.xml").exists()


def test_few_processes(user: User) -> None:
    """Of an ordinary user: root may have any number."""
    found = test_unprivileged._run(
        user.prefix, "prlimit", "--nproc=1", *COMMAND, "run", SHORT, cwd=user.folder
    )
    assert found.returncode == 3
    assert "Fix: raise the limits of processes (`ulimit -u`)" in found.stderr


def test_long_keys_and_files(tmp_path: Path) -> None:
    """No error is as long as what it is about, and none takes as long as a file may be."""
    claim = '[[faults]]\nkind = "link-down"\non = "server"\n'
    flaps = f"{claim}at_s = 1\nfor_s = 0.01\nevery_s = 0.05\ntimes = 100\n"
    texts = {
        "long-key": f"[client.{'k' * 100_000}]\n",
        "deep-key": f"[client{'.k' * 4_000}]\n",
        "large": f"# {'k' * toml_file.MOST_BYTES}\n",
        "flapping": flaps * 300,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.scenario.toml").write_text(text)
    found = ended(tmp_path, "{}", "plan", ".")
    assert found.status == 2, found.err
    assert "large.scenario.toml: expected at most 131072 bytes, found 131075 bytes" in found.err
    assert "faults: expected at most 1000 onsets of faults in all" in found.err
    assert len(found.err) < 10_000
