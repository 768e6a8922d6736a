"""The documented example: a public project's own tests in virtual time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "ci/public-suite"
UNREACHABLE = 2
"""The script's exit status where the package could not be fetched."""


@pytest.mark.live
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("kernel")
def test_a_public_projects_tests_pass_in_virtual_time() -> None:
    """As `ci/public-suite` prints them."""
    ended = subprocess.run([SCRIPT], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode == UNREACHABLE:
        pytest.skip(f"the package is neither in the cache nor on a reachable index: {ended.stderr.strip()[-200:]}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "108 passed" in ended.stdout
