"""The suites of client libraries, as `ci/libraries` installed them: cells of each kind on real
servers, virtually.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from harness.batch import batch, library_matrix
from harness.errors import CapabilityError
from harness.plan.planner import make
from harness.report import library_matrix as report
from harness.report.documents import MatrixReport
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests import documents
from tests.running import Silent

pytestmark = [pytest.mark.live, pytest.mark.virtual, pytest.mark.timeout(300)]

SAMPLE = (
    "grpcio/rebooted-idle",
    "grpcio-keepalive/blackhole-idle",
    "paho-mqtt/frozen-trickle",
    "psycopg/rebooted-idle",
    "redis-py/blackhole-idle",
    "redis-py/proxied-idle",
    "websockets/blackhole-idle",
    "websockets/blackhole-full",
    "websockets-sync/firewall-idle",
)
"""One of each suite, and cells in which nothing is promised, and in which a promise is not kept."""


def test_the_matrix_is_as_it_is_said_to_be(tmp_path: Path, kernel: Kernel) -> None:
    """Known failures included; all findings are there, in each form of the table."""
    try:
        found = library_matrix.find([f"libraries/{name}" for name in SAMPLE])
    except CapabilityError as reason:
        pytest.skip(f"client libraries are left out: {reason}")
    assert len(found.scenarios) == len(SAMPLE)
    plans = [make(scenario, uml.machine(kernel)) for scenario in found.scenarios]
    results = batch.run(
        plans, tmp_path / "out", Silent(), functools.partial(uml.run_all, kernel=kernel)
    )
    verdicts = [result.verdict for result in results]
    assert {verdict.name: verdict.reason for verdict in verdicts if verdict.verdict != "pass"} == {}
    rows = found.rows(verdicts)
    assert {"met", "exceeded", "not promised, not detected"} <= {row.finding for row in rows}
    page = report.markdown(rows, "virtual time")
    assert all(row.version in page for row in rows)
    documents.check(MatrixReport, report.as_json(rows, "virtual time"))
