from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import CapabilityError
from harness.venue import init, trial
from harness.venue.kernel import Kernel, Manifest

PANIC = "echo 'Kernel panic - not syncing: ptrace set fp regs failed, errno = 28'; exit 134"


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def of_paper(tmp_path: Path, script: str, release: str = "7.2.13") -> Kernel:
    """A kernel that is a shell script."""
    path = tmp_path / "linux"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    manifest = Manifest(
        release=release, hz=1000, seccomp=True, compiler="", executable_sha256="", built=""
    )
    return Kernel(f"linux-{release}-hz1000", path, manifest)


def test_a_kernel_that_does_the_job_passes(tmp_path: Path) -> None:
    """It has left the status of success."""
    trial.try_out(of_paper(tmp_path, f'printf 0 >"$HOME/{init.STATUS_FILE}"'))


@pytest.mark.parametrize(
    ("release", "fix"),
    [("6.1.170", "Linux 6.16 or later"), ("6.15.3", "Linux 6.16"), ("7.2.13", "another source")],
)
def test_a_kernel_that_panics_is_refused_with_its_last_words(
    tmp_path: Path, release: str, fix: str
) -> None:
    """And with the releases that do not need what it fails at."""
    with pytest.raises(
        CapabilityError, match=r"the guest panicked; its last words:\n.*ptrace set fp regs"
    ) as caught:
        trial.try_out(of_paper(tmp_path, PANIC, release))
    assert str(caught.value).startswith(
        f"kernel linux-{release}-hz1000: a guest with it does not work here: "
    )
    assert fix in caught.value.fix


def test_a_kernel_whose_clock_stands_still_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it says so or never ends."""
    with pytest.raises(CapabilityError, match="its clock did not jump"):
        trial.try_out(of_paper(tmp_path, f'printf 1 >"$HOME/{init.STATUS_FILE}"'))
    monkeypatch.setattr(trial, "LIMIT_S", 0.3)
    with pytest.raises(CapabilityError, match=r"did not end in 0\.3 s of wall time; .*\nbegun"):
        trial.try_out(of_paper(tmp_path, "echo begun; exec sleep 100"))
