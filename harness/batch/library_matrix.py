"""The matrix of libraries: every cell of the suites that are named, with the versions that are
installed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import msgspec

from harness.errors import CapabilityError, UsageError
from harness.judge.verdict import Verdict
from harness.report.documents import MatrixCell
from harness.report.library_matrix import row
from harness.scenario import suites
from harness.scenario.loader import SUITES
from harness.scenario.schema import Scenario
from harness.scenario.suites import Cell, Suite
from harness.system import fixes
from harness.system.spelling import did_you_mean
from harness.system.user_dirs import libraries_folder

PATIENCE_S = 30.0
"""How long a server may take to tell its version."""

LAST_OWN_STATUS = 125
"""Above it a shell, a loader or a signal ended what was started (sh(1))."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: each cell with its suite and scenario.

    By the suite's name the versions.
    """

    cells: tuple[tuple[Suite, Cell], ...]
    scenarios: tuple[Scenario, ...]
    versions: dict[str, tuple[str, str]]

    def rows(self, verdicts: Sequence[Verdict]) -> list[MatrixCell]:
        """A row for each cell, given the verdicts in the order of the scenarios."""
        return [
            row(each, *self.versions[each.name], cell, verdict)
            for (each, cell), verdict in zip(self.cells, verdicts, strict=True)
        ]


def find(words: Sequence[str]) -> Found:
    """What words name.

    Raises ScenarioError, UsageError (nothing there), CapabilityError (a library is missing).
    """
    for word in words:
        if not suites.scenarios([word]):
            known = [found.name for found in suites.find([SUITES])]
            raise UsageError(
                f"expected {SUITES}, or one of {', '.join(known)}, found "
                f"{word}{did_you_mean(word, known)}"
            )
    wanted = suites.scenarios(words)
    names = {scenario.name for scenario in wanted}
    asked = suites.find(words)
    cells = [
        (each, cell) for each in asked for cell in each.cells if suites.name_of(each, cell) in names
    ]
    return Found(
        cells=tuple(cells),
        scenarios=tuple(wanted),
        versions={each.name: (suites.version(each), _server(each)) for each in asked},
    )


def _server(found: Suite) -> str:
    """What the server says of its version. Raises CapabilityError where there is none."""
    if not found.server_version:
        return "of the same version"
    argv = [word.replace("{libraries}", str(libraries_folder())) for word in found.server_version]
    try:
        said = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )
    except OSError as error:
        raise CapabilityError(
            f"server of {found.name}", f"{argv[0]}: {error.strerror}", fixes.libraries()
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CapabilityError(f"server of {found.name}", f"{error}", fixes.libraries()) from error
    words = (said.stdout or said.stderr).strip().partition("\n")[0]
    if (
        not words or said.returncode > LAST_OWN_STATUS
    ):  # mosquitto -h tells its version and ends with 3
        raise CapabilityError(
            f"server of {found.name}", f"{' '.join(argv)}: {words or 'nothing'}", fixes.libraries()
        )
    return words
