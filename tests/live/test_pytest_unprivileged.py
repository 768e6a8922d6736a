"""The pytest plugin where pytest is an ordinary user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from tests.live.sessions import HEAD, REFUTED, RESET

pytestmark = [pytest.mark.live]

NOBODY = 65534
PATH = os.pathsep.join((str(Path(harness.__file__).parent.parent), sysconfig.get_path("purelib")))


def ordinary_users_python() -> list[str]:
    """A command that runs Python, with everything this one has, without privileges.

    Skips where there is none.
    """
    if os.geteuid() != 0:
        return [sys.executable]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in filter(None, (sys.executable, shutil.which(version, path=os.defpath))):
        command = [*without_privileges(), name]
        # Twice, because its child may find out what it is not allowed that this one was before
        # setpriv was done.
        child = "subprocess.run([sys.executable, '-c', ''], check=True)"
        probe = f"import subprocess, sys, harness.api.lab_session, pytest; {child}"
        if (
            subprocess.run(
                [*command, "-c", probe], capture_output=True, env=environment("/"), check=False
            ).returncode
            == 0
        ):
            return command
    pytest.skip(f"no {version} with these packages that uid {NOBODY} may run")


def without_privileges() -> list[str]:
    """setpriv(1) to an ordinary user; skips where it is not there."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip(
            "running as root, and there is no setpriv (util-linux) to become an ordinary user with"
        )
    return [setpriv, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--"]


def environment(home: str) -> dict[str, str]:
    """What an ordinary user's process is given."""
    return {"PATH": os.defpath, "HOME": home, "PYTHONPATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder that the ordinary user may reach and write.

    Root's temporary folders are closed to others.
    """
    folder = Path(f"/tmp/harness-test-{os.getpid()}-{time.monotonic_ns()}")  # noqa: S108
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest session of an ordinary user in a folder.

    Skips where the machine has no user namespaces for them.
    """
    command = ordinary_users_python()
    doctor = subprocess.run(
        [*command, "-m", "harness", "doctor"],
        cwd=folder,
        env=environment(str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    if doctor.returncode != 0:
        pytest.skip(f"this machine gives ordinary users no labs: {doctor.stdout}{doctor.stderr}")
    return subprocess.run(
        [*command, "-m", "pytest", "-p", "no:cacheprovider", "-v", *arguments],
        cwd=folder,
        env=environment(str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_ordinary_users_scenarios_leave_the_session_alone(users_folder: Path) -> None:
    """Scenario files are run in another process: the other tests keep network and user, even beside
    threads.
    """
    (users_folder / "reboot.scenario.toml").write_text(RESET)
    (users_folder / "test_a.py").write_text(
        textwrap.dedent(
            f"""
            import os, threading, time
            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()

            def test_own_network():
                assert os.getuid() == {NOBODY if os.geteuid() == 0 else os.geteuid()}
                assert os.readlink("/proc/self/ns/net") == {str(Path("/proc/self/ns/net").readlink())!r}
            """  # noqa: E501
        )
    )
    done = as_ordinary_user(users_folder)
    assert "reboot.scenario.toml::reboot PASSED" in done.stdout
    assert "test_own_network PASSED" in done.stdout
    assert done.returncode == 0


def test_an_ordinary_users_lab(users_folder: Path) -> None:
    """With `lab`, pytest enters namespaces of its own before the first test, and localhost works
    on.
    """
    (users_folder / "test_a.py").write_text(
        textwrap.dedent(HEAD)
        + textwrap.dedent(
            """
            import os, threading

            def test_first():
                threading.Thread(target=threading.Event().wait, daemon=True).start()
                with socket.create_server(("127.0.0.1", 0)) as server:
                    socket.create_connection(server.getsockname()).close()

            def test_reboot(lab):
                net = lab("direct")
                link = net.connect(ALIVE)
                with net.inject(PeerReboot()):
                    seen = link.wait()
                assert seen.errno == "ECONNRESET"
            """
        )
    )
    done = as_ordinary_user(users_folder)
    assert done.stdout.count(" PASSED") == 2, done.stdout + done.stderr
    assert done.returncode == 0


def test_an_ordinary_user_without_namespaces_is_told(users_folder: Path) -> None:
    """Where labs cannot be built, each test that needs one says why and what would help.

    None is skipped.
    """
    (users_folder / "reboot.scenario.toml").write_text(REFUTED)
    (users_folder / "conftest.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(30,), "
        "daemon=True).start()\n"
    )
    (users_folder / "test_a.py").write_text("def test_lab(lab):\n    lab()\n")
    done = as_ordinary_user(users_folder, "test_a.py", "--tb=short")
    assert "1 failed" in done.stdout
    assert (
        "network namespaces: not root, and a process with 2 threads cannot enter a user namespace"
        in done.stdout
    )
    assert "Fix: run as root" in done.stdout
