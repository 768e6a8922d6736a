"""The documented example: a public project's own tests in virtual time."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.lab import toxiproxy_server

SCRIPT = Path(__file__).parents[2] / "ci/public-suite"
UNREACHABLE = 75
"""The script's exit status where the package could not be fetched, and for no other reason."""
NAME = "paho_mqtt-2.1.0"
ANOTHER = {
    "PKG-INFO": "Metadata-Version: 2.1\nName: paho-mqtt\nVersion: 2.1.0\n",
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',  # noqa: E501
    "backend.py": f"""
import pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    made = pathlib.Path(folder, "{NAME}.dist-info")
    made.mkdir()
    (made / "METADATA").write_text(pathlib.Path("PKG-INFO").read_text())
    return made.name
""",
}
"""A package of the same name and version."""


@pytest.mark.virtual
@pytest.mark.usefixtures("kernel")
def test_a_public_projects_tests_pass_in_virtual_time() -> None:
    """As `ci/public-suite` prints them."""
    ended = subprocess.run(
        [SCRIPT], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode == UNREACHABLE:
        pytest.skip(
            "the package is neither in the cache nor on a reachable index: "
            f"{ended.stderr.strip()[-200:]}"
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "108 passed" in ended.stdout


@pytest.mark.parametrize("found", [{}, ANOTHER], ids=["nothing", "another package"])
def test_what_is_not_there_and_what_is_not_right_are_told_apart(
    tmp_path: Path, found: dict[str, str]
) -> None:
    """A package that cannot be fetched has a status of its own.

    One that is not the pinned one is an error.
    """
    (tmp_path / "index").mkdir()
    if found:
        _pack(tmp_path / "index" / f"{NAME}.tar.gz", found)
    places = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "index"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    # ci/setup, which it calls, has nothing to build then.
    places["PATH"] = os.pathsep.join((str(toxiproxy_server.folder()), os.environ["PATH"]))
    ended = subprocess.run(
        [SCRIPT, "--real"],
        env={**os.environ, **places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (2 if found else UNREACHABLE), ended.stderr
    assert (
        "is not the one that is pinned here" if found else "pip could not fetch paho-mqtt"
    ) in ended.stderr
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def _pack(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
