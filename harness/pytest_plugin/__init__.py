"""The pytest plugin: scenario files and policies as test items, fixtures for hand-written tests,
and whole sessions in virtual time.

`options` has the command-line and ini options, `session` what --clock=virtual does, `progress` how
such a session says what it is doing, and `durations` how long its tests took in real time.
`scenarios`, `baselines` and `policies` have the test items, `limits` how long those of scenarios
may take, `html_report` their figures in pytest-html's page, `labs` the `lab` fixture, `services`
the fixtures for what runs elsewhere, and `step_summary` what GitHub Actions shows of a session.

The modules are loaded by every pytest run in an environment that has the package, so they import
nothing at the top.
"""

from __future__ import annotations

import sys

import pytest

from harness.pytest_plugin import options

pytest_plugins = (
    # Before `durations` and `scenarios`, which import them: pytest wants to import plugins itself.
    "harness.pytest_plugin.progress",
    "harness.pytest_plugin.step_summary",
    "harness.pytest_plugin.durations",
    # Before `html_report` and `baselines`, which import it.
    "harness.pytest_plugin.scenarios",
    "harness.pytest_plugin.baselines",
    "harness.pytest_plugin.html_report",
    "harness.pytest_plugin.labs",
    "harness.pytest_plugin.policies",
    "harness.pytest_plugin.services",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--clock`, `--lab`, `--harness-out` and what goes with them, each with an ini option."""
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """With --clock=virtual: the session happens in a guest, where this hook finds nothing left to
    do.
    """
    if config.getoption("help") or config.getoption("version"):
        return None
    given = options.of(config)
    if given.clock != "virtual":
        return None
    if given.lab != "netns":
        raise pytest.UsageError(
            "--lab docker: expected --clock real with it, as containers' time is this machine's"
        )
    from harness.system.kernel_clock import clock

    return None if clock() == "virtual" else _in_a_guest(config, given)


def _in_a_guest(config: pytest.Config, given: options.Options) -> int:
    """Run the session there; its exit status. Raises pytest.UsageError."""
    from harness.errors import CapabilityError, HarnessError, UsageError
    from harness.pytest_plugin import session
    from harness.system import streams
    from harness.system.escapes import visible
    from harness.system.signals import Terminated, told_to_end

    try:
        with told_to_end():
            ended = session.run(config, given)
    except (UsageError, CapabilityError) as error:
        raise pytest.UsageError(visible(str(error))) from error
    except HarnessError as error:
        streams.complain(str(error))
        return pytest.ExitCode.INTERNAL_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("harness: interrupted\n")
        return pytest.ExitCode.INTERRUPTED
    except Terminated as end:
        sys.stderr.write(f"harness: ended by {end.signal.name}\n")
        return 128 + end.signal
    sys.stderr.write(f"harness: {ended.virtual_s:.2f} s of virtual time in {ended.wall_s:.2f} s\n")
    return ended.status


def pytest_configure(config: pytest.Config) -> None:
    """Without pytest-timeout its marker has no effect, and is no error."""
    if not config.pluginmanager.has_plugin("timeout"):
        config.addinivalue_line(
            "markers", "timeout(seconds): without effect, because pytest-timeout is switched off"
        )
