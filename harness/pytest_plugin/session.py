"""A whole pytest session in virtual time: the same arguments, in a guest, with its files where they
belong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.batch.batch import new_folder
from harness.errors import GuestError, UsageError
from harness.lab.run_folders import RUN_MARK
from harness.pytest_plugin.options import FLAG, Options
from harness.report import step_summary
from harness.system import plain_files
from harness.venue import seeding, vtime
from harness.venue.kernel import Kernel, find
from harness.venue.wanted_files import WantedFile

GRACE_S = 3.0
"""How long after an interrupt a session may still report and tear down, in seconds of wall time."""
_REPORTING = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
"""Of sessions that come to their end and so write their reports."""


def run(config: pytest.Config, options: Options) -> vtime.Ended:
    """Run pytest there with the arguments that it was given here.

    Raises UsageError, CapabilityError, GuestError.

    What it writes below its root folder, the working directory, --harness-out and --harness-write
    is written here too; its JUnit file and coverage data are copied out at the end where they lie
    elsewhere.
    """
    kernel = _kernel(options.kernel)
    command = _python()
    report = _report(config)
    before = _stamp(report)
    with _out(options.out) as out:
        folders = _folders(config, out)
        ended = vtime.run(
            kernel,
            [*command, "-m", "pytest", f"--harness-out={out}", *_arguments(config)],
            write=[*folders, *options.write],
            wanted=_wanted(report, folders),
            wall_limit_s=options.wall_limit_s,
            with_input=_wants_input(config),
            caller=vtime.Caller(flag=FLAG, grace_s=None if _debugs(config) else GRACE_S),
            words=seeding.words(kernel, options.seed, f"{FLAG}seed"),
        )
    if report and ended.status in _REPORTING and _stamp(report) in (None, before):
        raise GuestError(
            f"--junit-xml: expected a report of the session at {report}, found none (status "
            f"{ended.status})"
        )
    if report and ended.status in _REPORTING:
        _put_wall_time(report, ended.wall_s)
    return ended


def _put_wall_time(report: Path, wall_s: float) -> None:
    """Let the session's length in the JUnit report be real time, as its tests' are."""
    document = ET.fromstring(plain_files.read(report))  # noqa: S314 - pytest wrote it
    for suite in document.iter("testsuite"):
        suite.set("time", f"{wall_s:.3f}")
    plain_files.write(report, ET.tostring(document, encoding="utf-8", xml_declaration=True))


def _kernel(name: str | None) -> Kernel:
    try:
        return find(name)
    except UsageError as error:
        raise UsageError(str(error).replace("--kernel", f"{FLAG}kernel", 1)) from error


def _python() -> list[str]:
    """The interpreter with its flags, so that it has the same search path: the working directory
    where -m put it.
    """
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    by_name = getattr(sys.modules["__main__"], "__spec__", None) is not None
    return [sys.executable, *flags, *([] if by_name or sys.flags.safe_path else ["-P"])]


def _arguments(config: pytest.Config) -> list[str]:
    """What pytest was given, by its command line or by a call of pytest.main. Raises UsageError."""
    plugins = config.invocation_params.plugins or ()
    objects = [plugin for plugin in plugins if not isinstance(plugin, str)]
    if objects:
        raise UsageError(
            f"--clock=virtual: expected plugins by their names, found the object {objects[0]!r}, "
            "which lives in this process and not in the guest"
        )
    return [
        *(word for plugin in plugins for word in ("-p", str(plugin))),
        *map(str, config.invocation_params.args),
    ]


def _wants_input(config: pytest.Config) -> bool:
    """Whether tests or a debugger may read the standard input.

    Without it the guest can tell a deadlock.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    if _debugs(config) and capture is not None:
        capture.suspend_global_capture(in_=True)  # it has put /dev/null there
    return _debugs(config) or getattr(config.option, "capture", "no") == "no"


def _debugs(config: pytest.Config) -> bool:
    """Whether pytest may stop in a debugger, whose prompt an interrupt does not end."""
    return bool(getattr(config.option, "usepdb", False) or getattr(config.option, "trace", False))


@contextmanager
def _out(given: Path | None) -> Iterator[Path]:
    """The folder for run directories: a new one of ours where none was given, gone if nothing is
    put into it.
    """
    if given is not None:
        try:
            given.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{FLAG}out: expected a folder that can be made, found {error.strerror}: {given}"
            ) from error
        if not os.access(given, os.W_OK):
            raise UsageError(f"{FLAG}out: expected a folder that can be written, found {given}")
        yield given.absolute()
        return
    try:
        out = new_folder()
    except UsageError as error:
        raise UsageError(f"{error} with {FLAG}out") from error
    try:
        yield out
    finally:
        if [path.name for path in out.iterdir()] == [RUN_MARK]:
            shutil.rmtree(out)


def _folders(config: pytest.Config, out: Path) -> list[Path]:
    """Where a session writes by itself, the outermost alone.

    A folder that nobody may write is not among them.
    """
    wanted = [config.rootpath, config.invocation_params.dir, out]
    found: list[Path] = []
    for folder in sorted({path.resolve() for path in wanted}):
        usable = folder.is_dir() and folder != Path("/") and os.access(folder, os.W_OK)
        if usable and not any(folder.is_relative_to(outer) for outer in found):
            found.append(folder)
    return found


def _report(config: pytest.Config) -> Path | None:
    """The JUnit file that is wanted. Raises UsageError where it could not be written."""
    given = getattr(config.option, "xmlpath", None)
    if not given:
        return None
    path = Path(os.path.expandvars(given)).expanduser().absolute()
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if (
        path.is_dir()
        or (nearest != path and not nearest.is_dir())
        or not os.access(nearest, os.W_OK)
    ):
        raise UsageError(f"--junit-xml: expected a file that can be written, found {given}")
    return path


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    if path is None or not path.exists():
        return None
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _wanted(report: Path | None, folders: list[Path]) -> list[WantedFile]:
    """The files that are wanted and lie in none of the folders."""
    data = os.environ.get("COVERAGE_FILE")
    wanted = [WantedFile(report)] if report else []
    summary = step_summary.wanted()
    if summary is not None and summary.exists():
        wanted.append(WantedFile(summary))
    if data:
        wanted.append(WantedFile(Path(data).expanduser().absolute(), with_siblings=True))
    return [
        file for file in wanted if not any(file.path.is_relative_to(folder) for folder in folders)
    ]
