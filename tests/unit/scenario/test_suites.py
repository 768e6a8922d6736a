"""Suites of libraries: cells become scenarios, and verdicts become a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.batch import library_matrix
from harness.errors import CapabilityError, ScenarioError, UsageError
from harness.judge.verdict import Verdict
from harness.report import library_matrix as report
from harness.scenario import suites
from harness.scenario.suites import Cell, Suite
from tests.unit.report.test_text import shown

TEXT = """
library = "some-py"
package = "Some-Library"
summary = "some-py at its defaults"
[scenario.client.command]
argv = ["{libraries}/some-py/bin/python", "{scenario}/client.py", "{load}"]
detects = { prints = "^lost: (.*)" }
[scenario.server.command]
argv = ["some-server"]
ready = { listens = true }
[[cells]]
fault = "blackhole"
load = "idle"
documented_s = [20.0, 40.0]
documents = "a ping every 20 s, and 20 s of patience"
source = "https://example.org/keepalive"
[[cells]]
fault = "firewall"
load = "trickle"
documents = "nothing"
bound_s = 600
[[cells]]
fault = "proxied"
load = "full"
documented_s = [20.0, 40.0]
documents = "a ping every 20 s, and 20 s of patience"
known_failure = "120 s"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with one suite, and a cache with its library."""
    (tmp_path / "scenarios" / "libraries").mkdir(parents=True)
    (tmp_path / "scenarios" / "libraries" / "some.suite.toml").write_text(TEXT)
    libraries = tmp_path / "cache" / "keepalive-harness" / "libraries"
    (libraries / "some-py" / "lib/python3.11/site-packages/some_library-1.2.dist-info").mkdir(
        parents=True
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(suites, "catalogue", lambda: tmp_path / "scenarios")
    return tmp_path


def test_each_cell_is_a_scenario(folder: Path) -> None:
    """With its fault and load, what is documented as the claim, and folders where the file says
    so.
    """
    one, two, three = suites.scenarios(["libraries"])
    assert one.name == "libraries/some/blackhole-idle"
    assert one.client.command is not None
    assert one.client.command.argv[1:] == (f"{folder}/scenarios/libraries/client.py", "{load}")
    assert one.client.command.load == "idle"
    assert (one.expect.outcome, one.expect.window_s, one.expect.origin) == (
        "noticed",
        (20.0, 40.0),
        "fault",
    )
    assert one.expect.source == "https://example.org/keepalive"
    assert [fault.kind for fault in one.faults] == ["blackhole"]
    assert (two.expect.outcome, two.expect.bound_s, two.topology.proxy) == ("never", 600.0, None)
    assert [fault.standing for fault in two.faults] == [True]
    assert (three.topology.proxy, three.known_failure) == ("relay", "120 s")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("libraries", 3),
        ("libraries/", 3),
        ("libraries/some", 3),
        ("libraries/some/proxied-full", 1),
        ("libraries/some/proxied", 0),
        ("libraries/so", 0),
    ],
)
def test_cells_are_found_by_name(folder: Path, word: str, names: int) -> None:
    """All of them, those of one suite, or one."""
    del folder
    assert len(suites.scenarios([word])) == names


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'load = "full"',
            'load = "fuller"',
            "cells[2].load: expected one of: full, idle, trickle (did you mean full?)",
        ),
        (
            'fault = "proxied"\nload = "full"',
            'fault = "blackhole"\nload = "idle"',
            "cells[2]: expected each cell once",
        ),
        (
            "[20.0, 40.0]",
            "[40.0, 20.0]",
            "expect.window_s: expected [earliest, latest], in that order",
        ),
        ('argv = ["some-server"]', "argv = []", "server.command.argv: expected an array"),
        ('summary = "some-py at its defaults"', "", "summary: expected a string, found nothing"),
    ],
)
def test_mistakes_are_named(folder: Path, old: str, new: str, words: str) -> None:
    """With the key; of what all cells share when the first one is made."""
    (folder / "scenarios" / "libraries" / "some.suite.toml").write_text(TEXT.replace(old, new))
    with pytest.raises(ScenarioError) as caught:
        suites.scenarios(["libraries"])
    assert words in str(caught.value)


def test_a_library_that_is_not_there(folder: Path) -> None:
    """Has no version, and the fix is named."""
    (found,) = suites.find(["libraries"])
    assert suites.version(found) == "1.2"
    with pytest.raises(CapabilityError, match=r"call .*ci/libraries"):
        suites.version(msgspec.structs.replace(found, package="another"))
    with pytest.raises(
        UsageError, match="expected libraries, or one of libraries/some, found libraries/other"
    ):
        library_matrix.find(["libraries/other"])
    server = folder / "scenarios" / "libraries" / "some.suite.toml"
    server.write_text(f'server_version = ["/no/such/server"]\n{TEXT}')
    with pytest.raises(CapabilityError, match="/no/such/server: No such file or directory"):
        library_matrix.find(["libraries"])


def verdict(name: str, **facts: Any) -> Verdict:
    """Of one cell."""
    common: dict[str, Any] = {
        "verdict": name,
        "cause": "confirmed",
        "reason": "because",
        "clock": "virtual",
    }
    common |= {"kernel": "7", "hz": 1000, "side": "client"}
    return Verdict(name="cell", **{**common, **facts})


def some(
    documented_s: tuple[float, float] | None = (20.0, 40.0), known: str = ""
) -> tuple[Suite, Cell]:
    """A suite with one cell."""
    cell = Cell(
        fault="blackhole",
        load="idle",
        documented_s=documented_s,
        documents="a ping",
        source="here",
        known_failure=known,
    )
    return Suite(
        library="l", package="p", summary="s", scenario={}, cells=(cell,), name="libraries/some"
    ), cell


@pytest.mark.parametrize(
    ("documented_s", "measured_s", "finding"),
    [
        ((20.0, 40.0), 30.0, "met"),
        ((20.0, 40.0), 40.5, "exceeded"),
        ((20.0, 40.0), 10.0, "early"),
        ((20.0, 40.0), None, "never detected"),
        (None, 10.0, "not promised, detected"),
        (None, None, "not promised, not detected"),
    ],
)
def test_what_is_found(
    documented_s: tuple[float, float] | None, measured_s: float | None, finding: str
) -> None:
    """Documented against measured, in a word, in every form of the table."""
    found, cell = some(documented_s)
    detected_ns = None if measured_s is None else round(measured_s * 1e9)
    outcome = "quiet" if detected_ns is None else "noticed"
    judged = verdict("pass", outcome=outcome, detected_ns=detected_ns)
    row = report.row(
        found,
        "1.2",
        "server 3",
        cell,
        judged,
    )
    assert row.finding == finding
    assert finding in "\n".join(shown(report.table([row]), 200))
    page = report.markdown([row], "virtual time")
    assert f"| {finding} |" in page
    assert "## some: p 1.2" in page
    assert (
        msgspec.json.decode(report.as_json([row], "virtual time"))["cells"][0]["finding"] == finding
    )


def test_what_is_known_and_what_is_not_judged() -> None:
    """Known failures are marked, and what could not be judged is told with its reason."""
    found, cell = some(known="120 s")
    row = report.row(
        found, "1.2", "", cell, verdict("pass", detected_ns=120_000_000_000, reports="TimeoutError")
    )
    assert "exceeded (known)" in report.markdown([row], "")
    row = report.row(found, "1.2", "", cell, verdict("inconclusive"))
    assert row.finding is None
    text = "\n".join(shown(report.table([row]), 200))
    assert "inconclusive" in text
    assert "some/blackhole-idle: because" in text
