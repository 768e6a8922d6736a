"""The pytest plugin: scenario files as test items, fixtures for hand-written tests, and whole sessions in virtual time.

Here are its options and what --clock=virtual does. `scenarios` has the test items, `limits` how long they may take,
`labs` the `lab` fixture, and `services` the fixtures for what runs elsewhere.

The modules are loaded by every pytest run in an environment that has the package, so they import nothing at the top.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.venue import WALL_LIMIT_S, wall_limit

pytest_plugins = ("harness.pytest_plugin.labs", "harness.pytest_plugin.scenarios", "harness.pytest_plugin.services")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--harness-out`, `--lab`, `--clock` and what goes with it."""
    group = parser.getgroup("keepalive-harness")
    group.addoption(
        "--harness-out",
        metavar="DIR",
        type=Path,
        help="keep plans, timelines and captures of scenario files here (default: a state folder)",
    )
    group.addoption(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help="virtual: the whole session in a User-Mode Linux guest whose clock jumps (default: real)",
    )
    group.addoption(
        "--lab",
        choices=("netns", "docker"),
        default="netns",
        help="what hosts are, of scenarios and of the `lab` fixture: namespaces or containers (default: netns)",
    )
    group.addoption("--harness-kernel", metavar="NAME", help="the guest's kernel, see `harness kernel list`")
    group.addoption(
        "--harness-wall-limit",
        metavar="S",
        type=wall_limit,
        default=WALL_LIMIT_S,
        help="end the guest after S seconds here (default: 600; 0: never)",
    )
    group.addoption(
        "--harness-write",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="a folder outside of the project that tests may write, with --clock=virtual (repeat)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """With --clock=virtual: the session happens in a guest, where this hook finds nothing left to do."""
    if config.getoption("clock") != "virtual" or config.getoption("help") or config.getoption("version"):
        return None
    if config.getoption("lab") != "netns":
        raise pytest.UsageError("--lab docker: expected --clock real with it, as containers' time is this machine's")
    from harness import capabilities
    from harness.errors import CapabilityError, HarnessError, UsageError

    if capabilities.clock() == "virtual":
        return None
    from harness.signals import Terminated, told_to_end
    from harness.venue import session

    try:
        with told_to_end():
            ended = session.run(config)
    except (UsageError, CapabilityError) as error:
        raise pytest.UsageError(str(error)) from error
    except HarnessError as error:
        sys.stderr.write(f"harness: {error}\n")
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
        config.addinivalue_line("markers", "timeout(seconds): without effect, because pytest-timeout is switched off")
