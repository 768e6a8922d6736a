from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.traces import network_untouched
from tests.live.command import CHECKOUT, COMMAND, PATIENCE_S, environment

pytestmark = pytest.mark.live

NOBODY = 65534
SCENARIOS = ("outcomes/peer-rebooted", "outcomes/firewall-resets", "link/own-ipv6")


POWERLESS = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--")
"""Drops root's powers within a user namespace, but for the one it takes to map user 0 into a
further one.
"""


class User(NamedTuple):
    """A folder of an ordinary user's own, and what a command line must begin with to be run as that
    user.
    """

    folder: Path
    uid: int
    prefix: tuple[str, ...]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """An ordinary user who can read this checkout and its Python: nobody, where the tests run as
    root.
    """
    for tool in ("unshare", "mount", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(
                f"{tool} of util-linux is needed to become an ordinary user, and is not on PATH"
            )
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        user = User(Path(name), os.geteuid(), POWERLESS)
        if _is_root():
            os.chown(name, NOBODY, NOBODY)
            stash = stack.enter_context(tempfile.TemporaryDirectory())
            prefix = (
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-ec",
                _script(Path(stash)),
                "sh",
            )
            user = User(Path(name), NOBODY, prefix)
        found = _run(
            user.prefix,
            sys.executable,
            "-c",
            "import harness.cli.main, pyroute2, rich",
            cwd=user.folder,
        )
        if found.returncode:
            pytest.skip(f"an ordinary user cannot use this checkout and its Python: {found.stderr}")
        yield user


def _is_root() -> bool:
    """Root of the machine: in a user namespace the tests are an ordinary user's already, with
    powers to be dropped.
    """
    return (
        Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
        and os.geteuid() == 0
    )


def _script(stash: Path) -> str:
    """Shell commands, for a mount namespace of their own, that end in what they are given, run as
    nobody.

    Folders that nobody may enter, such as /root, are replaced there by folders with only what is
    needed in them.
    """
    needed = (Path(sys.base_prefix), Path(sys.prefix), CHECKOUT)
    closed = {
        tree: next((p for p in reversed(tree.parents) if not p.stat().st_mode & 0o001), None)
        for tree in needed
    }
    aside = {
        tree: stash / str(number) for number, tree in enumerate(needed) if closed[tree] is not None
    }
    for copy in aside.values():
        copy.mkdir()
    commands = [
        *(["mount", "--bind", str(tree), str(copy)] for tree, copy in aside.items()),
        *(
            ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(barrier)]
            for barrier in set(closed.values()) - {None}
        ),
        *(["mkdir", "-p", str(tree)] for tree in aside),
        *(["mount", "--bind", str(copy), str(tree)] for tree, copy in aside.items()),
    ]
    lines = [shlex.join(command) for command in commands]
    return "\n".join(
        [*lines, f'exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"']
    )


def _run(prefix: tuple[str, ...], *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = environment(cwd / "state") | {"HOME": str(cwd)}
    return subprocess.run(
        [*prefix, *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def user_with_namespaces(user: User) -> User:
    """An ordinary user whom this machine lets make user namespaces."""
    found = _run(user.prefix, "unshare", "--user", "--map-root-user", "true", cwd=user.folder)
    if found.returncode:
        pytest.skip(f"this machine gives an ordinary user no user namespace: {found.stderr}")
    return user


def test_an_ordinary_user_can_run_everything(user_with_namespaces: User) -> None:
    """Labs, captures, reboots and firewalls need no root: in a user namespace the same scenarios
    pass.
    """
    user = user_with_namespaces
    options = (
        "--json",
        "-",
        "--out",
        "out",
        "--retries",
        "5",
    )  # an ordinary user has no real-time priority
    with network_untouched():
        found = _run(user.prefix, *COMMAND, "run", *SCENARIOS, *options, cwd=user.folder)
    assert found.returncode == 0, found.stderr
    results = {scenario["name"]: scenario for scenario in json.loads(found.stdout)["scenarios"]}
    assert {name: results[name]["verdict"] for name in SCENARIOS} == dict.fromkeys(
        SCENARIOS, "pass"
    )
    assert {results[name]["errno"] for name in SCENARIOS} == {"ECONNRESET", "ENETUNREACH"}
    assert {path.stat().st_uid for path in (user.folder / "out").rglob("*")} == {user.uid}


def test_doctor_says_how(user_with_namespaces: User) -> None:
    """`harness doctor` finds everything there for an ordinary user, by way of a user namespace."""
    found = _run(user_with_namespaces.prefix, *COMMAND, "doctor", cwd=user_with_namespaces.folder)
    assert found.returncode == 0, found.stdout
    assert "user namespace" in found.stdout
    assert "MISSING" not in found.stdout


def test_threads_forbid_a_user_namespace(user_with_namespaces: User) -> None:
    """A process with a second thread cannot enter a user namespace.

    The error says so, and what to do instead.
    """
    code = """
import threading
from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges
end = threading.Event()
threading.Thread(target=end.wait).start()
try:
    ensure_privileges()
except CapabilityError as error:
    print(error)
finally:
    end.set()
"""
    found = _run(
        user_with_namespaces.prefix, sys.executable, "-c", code, cwd=user_with_namespaces.folder
    )
    assert found.stdout == (
        "network namespaces: not root, and a process with 2 threads cannot enter a user namespace. "
        "Fix: run as root, or let the harness start before other threads do; or run with --clock "
        "virtual, which "
        "needs no rights\n"
    )


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs commands without any right, where no user namespace may be made: in one that forbids
    more of them.
    """
    script = f'echo 0 > /proc/sys/user/max_user_namespaces && exec {shlex.join(POWERLESS)} "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-ec", script, "sh")
    found = _run(prefix, "true", cwd=tmp_path)
    if found.returncode:
        pytest.skip(
            f"this machine gives no user namespace in which to forbid others: {found.stderr}"
        )
    return lambda *arguments: _run(prefix, *COMMAND, *arguments, cwd=tmp_path)


def test_without_any_right_the_reason_and_the_fix_are_told(
    refused: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Neither root nor user namespaces: the run is not judged but refused, with exit status 3, and
    nothing is run.
    """
    found = refused("run", "outcomes/peer-alive", "--out", "out")
    assert found.returncode == 3
    assert "network namespaces: not root, and user namespaces are not allowed here" in found.stderr
    assert "Fix: run as root, or" in found.stderr
    assert "or run with --clock virtual, which needs no rights" in found.stderr
    assert not list((tmp_path / "out").iterdir())
    doctor = refused("doctor")
    assert doctor.returncode == 3
    assert "MISSING  namespaces" in doctor.stdout
    assert "fix: run as root" in doctor.stdout


def test_predictions_need_no_right(
    refused: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """What is computed, not run, works for everybody."""
    for arguments in (
        ("list",),
        ("plan", "outcomes"),
        ("predict", "--idle", "60", "--interval", "10", "--count", "3"),
    ):
        found = refused(*arguments)
        assert (found.returncode, found.stderr) == (0, "")


AUDIT = """
import socket, subprocess, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
client.recv(1)
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
"""A client of a port that holds its connection while a command runs."""


UNREAD = {"value": None, "from": "unknown"}


def _may_trace() -> bool:
    """Whether Yama lets a process trace its parent, as any other one of the same user."""
    try:
        return Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip() == "0"
    except OSError:  # no Yama
        return True


def test_an_audit_shows_own_sockets_and_names_the_right_that_is_missing_for_others(
    user: User,
) -> None:
    """The kernel tells that keepalive is on at the other end, and no more; a demand of it is not
    answered.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        port = str(server.getsockname()[1])
        audit = (*COMMAND, "audit", "--detect-within", "120", "--select", "KA102")
        command = (*user.prefix, sys.executable, "-c", AUDIT, port, *audit)
        with subprocess.Popen(
            [*command, "--output-format", "json"],
            cwd=user.folder,
            env=environment(user.folder / "state") | {"HOME": str(user.folder)},
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            accepted, _ = server.accept()
            with accepted:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                accepted.send(b"x")
                out, _ = running.communicate()
    report = json.loads(out)
    found = {each["role"]: each for each in report["sockets"] if each["ports"] == [int(port)]}
    own = found["connected"]["options"]["idle_s"]
    assert own == ({"value": 60, "from": "socket"} if _may_trace() else UNREAD)
    if not _is_root():  # then the other end is the same user's
        return
    other = found["accepted"]
    assert (other["program"], other["user"], other["options"]["idle_s"]["value"]) == (
        None,
        "root",
        None,
    )
    assert other["options"]["keepalive"] == {"value": True, "from": "socket"}
    assert other["name"] in {each["connection"] for each in report["unanswered"]}
    assert running.returncode == 3
    assert "CAP_SYS_PTRACE" in {each["what"]: each["why"] for each in report["unread"]}["process"]
