"""The time limit of a scenario as a test: it counts what it limits, and a limit of the user's goes
before it.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest
import pytest_timeout

from harness.model.machine import MachineFacts
from harness.model.programs import Command, Detects, OwnProxy, Ready, Standby
from harness.model.topology import SIDES, Topology
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.pytest_plugin import limits
from harness.pytest_plugin.scenarios import ScenarioItem
from harness.runner.execute import ECHO_TIMEOUT_S, STARTING_STEPS, longest_ns
from harness.scenario import catalogue
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.venue import host
from tests.live.sessions import RESET

pytest_plugins = ["pytester"]

TOO_LATE_NS = 1
"""So long after the phase that is asked for the wait for the next one is the longest."""

NEVER = Detects(prints="never said")


@functools.cache
def shipped() -> tuple[Scenario, ...]:
    """All of it, but for what needs containers, which have no virtual time."""
    return tuple(catalogue.find([]))


def planned(scenario: Scenario, hz: int) -> Plan:
    """For one phase of the timer wheel, which takes the oracle little time.

    The rest of the plan is as ever.
    """
    machine = MachineFacts(kernel="6.18.0", hz=hz, hz_source="given", cpus=1, clock="virtual")
    exact = msgspec.structs.replace(scenario.expect, window="exact")
    return make(msgspec.structs.replace(scenario, expect=exact), machine)


def takes_ns(plan: Plan) -> int:
    """How long the run takes at most once its lab stands, added up from what
    `harness.runner.execute` does.
    """
    waits_ns = 0
    if plan.machine.clock == "virtual":
        moment_ns = plan.arming_ns(0) + TOO_LATE_NS
        waits_ns = plan.arming_ns(moment_ns) - moment_ns
    return waits_ns + plan.watch_ns + max(plan.reconnects_within_ns, round(ECHO_TIMEOUT_S * 1e9))


def test_every_scenario_of_the_catalogue_fits_into_its_limit() -> None:
    """Alone in a session: the batch gives up after the run's longest length, and the test's limit
    is later still.

    The slower the kernel's tick, the longer the wait for a phase: the rest of the plan need not be
    made anew for that.
    """
    fast = [planned(scenario, 1000) for scenario in shipped()]
    slow = [
        msgspec.structs.replace(plan, machine=msgspec.structs.replace(plan.machine, hz=100))
        for plan in fast
    ]
    for plan in (*fast, *slow):
        gives_up_ns = host.gives_up_after_ns([plan])
        assert gives_up_ns >= takes_ns(plan) + host.OVERTIME_NS, plan.name
        assert limits.of_plans_s([plan]) * 1e9 >= gives_up_ns, plan.name


def test_real_time_has_no_phase_to_wait_for() -> None:
    """Nobody can choose it there, so that it is not in the limit of a run that hangs."""
    virtual = planned(shipped()[0], 250)
    real = msgspec.structs.replace(
        virtual, machine=msgspec.structs.replace(virtual.machine, clock="real")
    )
    assert longest_ns(virtual) - longest_ns(real) == virtual.period_ns


@pytest.mark.parametrize("key", ["client", "server", "proxy", "standby"])
def test_each_program_may_take_its_time_to_get_ready(key: str) -> None:
    """Each as long as its table says; an end is awaited twice."""

    def longest(within_s: float) -> int:
        command = Command(
            argv=("it",),
            ready=Ready(within_s=within_s),
            detects=NEVER if key == "client" else Detects(),
        )
        tables = {
            "proxy": OwnProxy(command=command),
            "standby": Standby(on="router", command=command),
        }
        topology = Topology(kind="proxied" if key == "proxy" else "routed")
        expect = Expect(outcome="never", bound_s=1.0)
        table = tables.get(key, Endpoint(command=command))
        about = Scenario(name="it", topology=topology, expect=expect, **{key: table})  # type: ignore[arg-type]
        return longest_ns(planned(about, 250))

    times = STARTING_STEPS if key in SIDES else 1
    assert longest(100.0) - longest(10.0) == times * 90_000_000_000


# --- whose limit it is --------------------------------------------------------------------------

MARKED = """
    import pytest

    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker(pytest.mark.timeout({}))
"""


@pytest.mark.parametrize(
    ("mark", "option", "environment", "ini", "effective_s", "source"),
    [
        ("1", "2", "3", "4", 1, "timeout marker"),
        ("func_only=True", "2", "3", "4", 2, "option --timeout"),
        (None, "0", "3", "4", 0, "option --timeout"),
        (None, None, "3", "4", 3, "environment variable PYTEST_TIMEOUT"),
        (None, None, None, "4", 4, "ini option timeout in "),
        (None, None, None, None, None, None),
        ("func_only=True", None, None, None, None, None),
    ],
)
def test_a_limit_of_the_users_goes_before_the_plans(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *,
    mark: str | None,
    option: str | None,
    environment: str | None,
    ini: str | None,
    effective_s: float | None,
    source: str | None,
) -> None:
    """In the order of pytest-timeout, which is asked what holds in the end."""
    if mark is not None:
        pytester.makeconftest(MARKED.format(mark))
    if environment is None:
        monkeypatch.delenv("PYTEST_TIMEOUT", raising=False)
    else:
        monkeypatch.setenv("PYTEST_TIMEOUT", environment)
    pytester.makeini("[pytest]\n" + (f"timeout = {ini}\n" if ini else ""))
    file = pytester.path / "quick.scenario.toml"
    file.write_text(RESET)
    (item,), _ = pytester.inline_genitems(file, *([f"--timeout={option}"] if option else []))
    assert isinstance(item, ScenarioItem)
    settings: Any = pytest_timeout._get_item_settings(item)
    assert settings.func_only is (mark == "func_only=True" and source is not None)
    if source is None:
        assert settings.timeout == limits.of_plans_s([item.plan])
        return
    assert settings.timeout == effective_s
    limit = limits.of_user(item)
    assert limit is not None
    assert limit.source.startswith(source)
    assert source in limits.explain(item, item.plan)


def test_without_pytest_timeout_there_is_no_limit(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor an option of its to ask for: an error of a scenario is told as ever."""

    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("harness.pytest_plugin.scenarios._Runs.result", broken)
    monkeypatch.setenv("PYTEST_TIMEOUT", "1")
    (pytester.path / "quick.scenario.toml").write_text(RESET)
    result = pytester.runpytest_inprocess("-p", "no:timeout")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*RuntimeError: unforeseen", "time limit: none; the scenario may take *"]
    )
