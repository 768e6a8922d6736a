"""The command line: arguments in, exit statuses out."""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from harness import __version__, capabilities, timeline
from harness.capabilities import Capability
from harness.cli import defects, main, request
from harness.cli.parser import parser
from harness.errors import CapabilityError, HarnessError, LabError, ScenarioError, UsageError
from harness.model.programs import Command, OwnProxy, Standby
from harness.plan import plan_file
from harness.scenario import catalogue, loader
from harness.scenario.schema import Endpoint, Scenario
from harness.system import user_dirs
from harness.timeline import Event
from harness.venue import kernel
from tests.unit.timelines import as_foreseen, changed, unreachable, without

COMMANDS = (
    "run",
    "list",
    "schema",
    "show",
    "new",
    "plan",
    "judge",
    "examine",
    "predict",
    "check",
    "suggest",
    "explain",
    "audit",
    "doctor",
    "clean",
    "kernel",
    "vtime",
    "fuzz",
    "inject",
    "matrix",
)


def ended(*arguments: str) -> int:
    """The exit status, also where argparse ends the program."""
    try:
        return main.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` ends well, says what the command does, and shows one call that the parser itself
    accepts.
    """
    assert ended(command, "--help") == 0
    out, err = capsys.readouterr()
    assert err == ""
    shown = " ".join(out.split())
    example = shown.rpartition("example: ")[2]
    assert example.startswith(f"harness {command}")
    parser(main.COMMANDS).parse_args(shlex.split(example)[1:])


def test_the_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of commands is complete, and this test knows all of them."""
    assert ended("--help") == 0
    shown = capsys.readouterr().out
    subparsers = next(
        a for a in parser(main.COMMANDS)._actions if isinstance(a, argparse._SubParsersAction)
    )
    assert set(subparsers.choices) == set(COMMANDS)
    assert all(f"    {command} " in shown for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the package's."""
    assert ended("--version") == 0
    assert capsys.readouterr() == (f"keepalive-harness {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["dance"], "expected one of: run, list, "),
        (["paln"], "(did you mean plan?), found paln"),
        (
            ["kernel", "biuld"],
            "expected one of: build, list, path (did you mean build?), found biuld",
        ),
        (
            ["run", "--clock", "virtul"],
            "--clock: expected one of: real, virtual (did you mean virtual?), found virtul",
        ),
        (["run", "--jobs", "0"], "--jobs: expected a whole number from 1 on, found 0"),
        (["run", "--jobs", "many"], "--jobs: expected a whole number from 1 on, found many"),
        (
            ["run", "--frobnicate"],
            "expected arguments that `harness run --help` lists, found --frobnicate",
        ),
        (["run", "--jnuit=x.xml"], "found --jnuit=x.xml (did you mean --junit?)"),
        (
            ["kernel", "list", "--hz", "100"],
            "expected arguments that `harness kernel list --help` lists, found --hz 100",
        ),
        (
            ["run", "--wall-limit", "-1"],
            "--wall-limit: expected seconds from 0 on (0: no limit), or a duration",
        ),
        (
            ["run", "--wall-limit", "9", "outcomes"],
            "--wall-limit: expected --clock virtual with it",
        ),
        (["run", "--seed", "9", "outcomes"], "--seed: expected --clock virtual with it"),
        (
            ["vtime", "--seed", "-9", "true"],
            "--seed: expected a whole number from 0 to 9223372036854775807, found -9",
        ),
        (
            ["matrix", "--wall-limit", "9", "libraries"],
            "--wall-limit: expected --clock virtual with it",
        ),
        (["plan"], "required: NAME"),
        (
            ["predict", "--idle", "0.5"],
            "--idle: expected whole seconds, as Linux takes them, found 0.5",
        ),
        (["predict", "--rtt", "5"], "--rtt: expected none with --state idle"),
        (
            ["predict", "--idle", "x", "--interval", "1", "--count", "1"],
            "--idle: expected seconds, or a duration such as 90s",
        ),
        (
            ["predict", "--idle", "0", "--interval", "1", "--count", "1"],
            "--idle: expected a whole number from 1",
        ),
        (["list", "outcomes/peer-dwon"], "did you mean outcomes/peer-down"),
        (["run", "no-such-thing"], "expected a scenario's name, folder or file"),
        (["judge", "/nonexistent"], "expected run directories"),
        (["judge"], "required: DIR"),
        (["predict", "--idle", "60000"], "found 60000 (did you mean 60 s, which are 60000 ms?)"),
        (
            ["predict", "--idle", "500ms"],
            "--idle: expected whole seconds, as Linux takes them, found 0.5",
        ),
        (
            ["predict", "--rtt", "fast"],
            "--rtt: expected milliseconds, or a duration such as 30ms, found fast",
        ),
        (["predict", "--heartbeat", "simpel"], "found simpel (did you mean simple?)"),
        (["inject", "balckhole", "--container", "x"], "found balckhole (did you mean blackhole?)"),
        (
            ["matrix", "libraries/redis-pi"],
            "found libraries/redis-pi (did you mean libraries/redis-py?)",
        ),
        (
            ["vtime", "--wall-limit", "soon"],
            "or a duration such as 90s, 1m30s or 500ms, found soon",
        ),
        (
            ["list", "--faults", "link"],
            "--faults: expected no names of scenarios with it, found link",
        ),
        (
            ["inject", "blackhole", "--container", "x", "--for", "0s"],
            "--for: expected seconds, more than 0, found 0s",
        ),
    ],
)
def test_bad_usage_ends_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said on standard error, and nothing is printed or run."""
    assert ended(*arguments) == 2
    out, err = capsys.readouterr()
    assert words in err.splitlines()[-1]
    assert re.match(r"harness.*: ", err.splitlines()[-1])
    assert out == ""


@pytest.mark.parametrize("text", ["postgresql:/u:SECRET@h/db", "u:SECRET@h", "a password=SECRET"])
@pytest.mark.parametrize(
    "command",
    [
        ["check", "--format", "libpq"],
        ["check", "x", "--format"],
        ["suggest"],
        ["audit", "--policy"],
        ["run"],
        ["plan"],
        ["list"],
        ["show"],
        ["fuzz"],
        [],
    ],
    ids=" ".join,
)
def test_no_message_shows_a_password(
    command: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL may be typed in the place of a name."""
    assert ended(*command, text) == 2
    out, err = capsys.readouterr()
    assert "(not shown)" in err
    assert "SECRET" not in out + err


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["run", "--frobnicate"], "usage: harness run "),
        (["predict", "--frobnicate"], "usage: harness predict "),
        (["kernel", "build", "--frobnicate"], "usage: harness kernel build "),
    ],
)
def test_an_unknown_option_shows_the_commands_own_usage(
    arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not that of the whole program, which has none of the command's options."""
    assert ended(*arguments) == 2
    assert capsys.readouterr().err.startswith(usage)


def test_durations_are_taken_wherever_seconds_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The same prediction in either spelling, and milliseconds for a round trip."""
    said = []
    for options in (
        ("--idle", "7200", "--interval", "75", "--user-timeout", "0.5"),
        ("--idle", "2h", "--interval", "1m15s", "--user-timeout", "500ms"),
    ):
        assert ended("predict", *options, "--hz", "250") == 0
        said.append(capsys.readouterr().out)
    for rtt in ("30", "30ms", "0.03s"):
        assert (
            ended(
                "predict",
                "--state",
                "in-flight",
                "--hz",
                "250",
                "--user-timeout",
                "3",
                "--rtt",
                rtt,
            )
            == 0
        )
        said.append(capsys.readouterr().out)
    for idle_s in ("idle_s=90", "idle_s=1m30s"):
        assert ended("predict", "--heartbeat", "simple", "--set", idle_s) == 0
        said.append(capsys.readouterr().out)
    assert [said[1], said[3], said[4], said[6]] == [said[0], said[2], said[2], said[5]]


def test_a_report_into_no_folder_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long run is not lost to a typing mistake in its last argument."""
    assert (
        ended("run", "outcomes", "--json", "/nonexistent/x.json", "--out", str(tmp_path / "out"))
        == 2
    )
    assert (
        "--json: expected a file that can be written, found /nonexistent/x.json"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("x"), 2),
        (ScenarioError("file", "key", 1, "2"), 2),
        (CapabilityError("a", "b", "c"), 3),
        (LabError("x"), 3),
        (HarnessError("x"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_status(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Errors of the harness are one line on standard error, without a traceback."""

    def failing(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setitem(main.COMMANDS, "doctor", failing)
    assert ended("doctor") == status
    assert capsys.readouterr().err.startswith("harness: ")


def test_a_defect_refutes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interpreter's exit status for an error that nobody expects is 1, which is that of a claim
    that failed.
    """

    def failing(_: argparse.Namespace) -> int:
        raise KeyError("healed")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setitem(main.COMMANDS, "doctor", failing)
    assert ended("doctor") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "harness: a defect of the harness: KeyError: 'healed'; nothing is proven or refuted."
    )
    kept = Path(line.rpartition(" in ")[2])
    assert kept.read_text().endswith("KeyError: 'healed'\n")
    assert kept.is_relative_to(tmp_path)
    assert user_dirs.found_state_folder() is not None  # which refuses a mode that others may use


def test_an_error_that_nothing_can_be_said_of_refutes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does one that comes while another is told, or a standard error that cannot be written."""

    def failing(_: object) -> int:
        raise MemoryError

    monkeypatch.setitem(main.COMMANDS, "doctor", failing)
    monkeypatch.setattr(defects, "tell", failing)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert ended("doctor") == 3
        assert ended("plan", "no-such-scenario") == 2


def test_list_shows_names_and_claims(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder's scenarios, each with its summary, in the order of their names."""
    assert ended("list", "outcomes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert any(line.startswith("outcomes/peer-down") and "ETIMEDOUT" in line for line in lines)


def test_list_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Each scenario of the catalogue with its summary."""
    assert ended("list") == 0
    shown = capsys.readouterr().out
    words = " ".join(shown.split())
    for scenario in catalogue.find([]):
        assert scenario.name in shown
        assert scenario.summary.split(":")[0] in words


def test_plan_shows_predictions_without_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each plan is a paragraph, with the kernel that it is for; nothing is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert ended("plan", "outcomes/peer-down", "outcomes/peer-alive", "link/own-ipv6") == 0
    first, second, third = capsys.readouterr().out.split("\n\n")
    assert first.startswith("outcomes/peer-down: ")
    assert "prediction  ETIMEDOUT" in first
    assert "prediction  nothing detected" in second
    assert third.startswith("link/own-ipv6: ")
    assert "ENETUNREACH" in third
    for part in (first, second, third):
        assert platform.release() in part
        assert "HZ=" in part
    assert list(tmp_path.iterdir()) == []


def saved(folder: Path, events: list[Event]) -> None:
    """A run directory by hand."""
    folder.mkdir(parents=True)
    plan_file.save(unreachable(), folder)
    encoded = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    (folder / timeline.FILE_NAME).write_bytes(encoded)


def test_judging_saved_runs_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run below the folder is drawn and judged; the worst of them is the exit status."""
    good = as_foreseen(unreachable())
    saved(tmp_path / "a" / "good", good)
    assert ended("judge", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "┣━ blackhole" in out
    assert "pass     by/hand" in out
    saved(tmp_path / "b", without(good, "run.ended"))
    assert ended("judge", str(tmp_path)) == 3
    saved(tmp_path / "c", changed(good, "subject.detected", errno="EPIPE"))
    assert ended("judge", str(tmp_path)) == 1
    assert ended("judge", str(tmp_path / "a" / "good")) == 0


def test_a_saved_run_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that cannot be read, or a timeline with garbage in it, is bad usage, and the file is
    named.
    """
    saved(tmp_path / "x", as_foreseen(unreachable()))
    (tmp_path / "x" / timeline.FILE_NAME).write_bytes(b"garbage\nmore\n")
    assert ended("judge", str(tmp_path)) == 2
    assert "timeline.jsonl:1: expected an event" in capsys.readouterr().err
    (tmp_path / "x" / plan_file.FILE_NAME).write_bytes(b"{}")
    assert ended("judge", str(tmp_path)) == 2
    assert "plan.json: expected a plan of format" in capsys.readouterr().err


def test_clean_with_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and ends well."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ended("clean", "--runs") == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_plan_ends_with_1_where_a_claim_contradicts_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After printing every plan, and with the names of those.

    A claim that is known to fail is none of them.
    """
    monkeypatch.chdir(tmp_path)
    text = (loader.catalogue() / "outcomes/peer-unreachable.scenario.toml").read_text()
    wrong = text.replace("window_s = [5.0, 5.4]", "window_s = [6.0, 6.4]")
    assert wrong != text
    (tmp_path / "wrong.scenario.toml").write_text(wrong)
    (tmp_path / "other.scenario.toml").write_text(text.replace("ETIMEDOUT", "EPIPE"))
    (tmp_path / "known.scenario.toml").write_text('known_failure = "5.1 s"\n' + wrong)
    (tmp_path / "right.scenario.toml").write_text(text)
    assert ended("plan", ".") == 1
    out, err = capsys.readouterr()
    assert [part.split(":")[0] for part in out.split("\n\n")] == [
        "known",
        "other",
        "right",
        "wrong",
    ]
    assert (
        err
        == "harness: expected claims that agree with the prediction, found others in other, wrong\n"
    )
    assert ended("plan", "known.scenario.toml", "right.scenario.toml") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "outcomes"),
        ("plan", "outcomes/peer-down", "outcomes/peer-alive"),
        ("predict", "--hz", "250"),
        ("predict", "--state", "closing", "--hz", "100"),
        ("predict", "--heartbeat", "simple"),
        ("predict", "--system", "aix"),
        ("run", "--help"),
        ("kernel", "list"),
    ],
    ids=" ".join,
)
def test_no_line_ends_in_blanks(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Into a file."""
    assert ended(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_kernels_are_listed_in_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However long a name is."""
    short, long = "linux-7.2.13-hz1000", "linux-7.2.13-hz1000-eb8b607c"
    manifest = SimpleNamespace(release="7.2.13", hz=1000, recipe="")
    kernels = [SimpleNamespace(name=n, manifest=manifest, path=f"/{n}") for n in (short, long)]
    monkeypatch.setattr(kernel, "installed", lambda: kernels)
    assert ended("kernel", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.index(" 7.2.13") for line in lines}) == 1
    assert len({line.index(" /") for line in lines}) == 1


def test_what_nobody_named_is_left_out_where_its_proxy_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said how many, and the fix; a machine that has the proxy leaves nothing out."""
    found = catalogue.find([])
    missing = Capability(
        name="toxiproxy-server", available=False, found="nowhere", fix="call ci/setup"
    )
    monkeypatch.setattr(capabilities, "toxiproxy", lambda: missing)
    kept = request._possible(found)
    behind = {each.name for each in found} - {each.name for each in kept}
    assert behind
    assert all(name.startswith("proxied/") for name in behind)
    said = f"left out {len(behind)} scenarios behind a toxiproxy: nowhere; fix: call ci/setup"
    assert said in capsys.readouterr().err
    monkeypatch.setattr(
        capabilities, "toxiproxy", lambda: msgspec.structs.replace(missing, available=True)
    )
    assert request._possible(found) == found


COMMANDED = """
[client.command]
argv = ["touch", "made"]
detects = { prints = "lost" }
[[faults]]
kind = "blackhole"
at_s = 0
[expect]
outcome = "never"
bound_s = 1
"""


@pytest.mark.parametrize("command", ["plan", "run"])
def test_files_of_strangers(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those that run a program of their own are refused on demand, before anything runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"{name}.scenario.toml").write_text(COMMANDED)
    assert ended(command, ".", "--no-commands") == 2
    said = capsys.readouterr().err
    for name in ("one", "two"):
        assert (
            f"scenario {name}: client.command.argv: expected no program of the scenario's own"
            in said
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.scenario.toml",
        "two.scenario.toml",
    ]


def test_what_is_a_program_of_a_scenarios_own() -> None:
    """Each command, wherever it runs, and each image."""
    command = Command(argv=("it", "-x"))
    every = Scenario(
        client=Endpoint(command=command),
        server=Endpoint(image="redis:7"),
        proxy=OwnProxy(command=command),
        standby=Standby(on="router", command=command),
    )
    assert [key for key, _ in every.programs] == [
        "client.command.argv",
        "proxy.command.argv",
        "standby.command.argv",
        "server.image",
    ]
    assert not Scenario().programs
    for key, _ in every.programs:
        assert key in str(_refused(every, key))


def _refused(scenario: Scenario, key: str) -> ScenarioError:
    """What is said of a scenario that has this program alone."""
    table = key.partition(".")[0]
    with pytest.raises(ScenarioError) as caught:
        loader.refuse_programs(Scenario(**{table: getattr(scenario, table)}))
    return caught.value


def test_plan_says_who_runs_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing of it where there are none."""
    (tmp_path / "one.scenario.toml").write_text(COMMANDED)
    assert ended("plan", str(tmp_path)) == 0
    assert "  runs        these commands as user " in capsys.readouterr().out
    assert ended("plan", "outcomes/peer-down") == 0
    assert "  runs " not in capsys.readouterr().out


def test_commands_that_nobody_named_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """`harness run --no-commands` goes on with the rest; the matrix has no rest."""
    some = [Scenario(name="a"), Scenario(name="b", client=Endpoint(command=Command(argv=("it",))))]
    assert request._without_programs(some, named=False) == some[:1]
    assert "left out 1 scenarios that run commands" in capsys.readouterr().err
    assert ended("matrix", "libraries", "--no-commands") == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_parsed_without_the_others(command: str) -> None:
    """Its options are the same as those of the whole command line."""
    alone, whole = (
        next(a for a in made._actions if isinstance(a, argparse._SubParsersAction)).choices
        for made in (parser(main.COMMANDS, command), parser(main.COMMANDS))
    )
    assert len(alone) < len(whole)
    assert alone[command].format_help() == whole[command].format_help()


def test_check_loads_nothing_that_runs_anything(tmp_path: Path) -> None:
    """It is to answer at once: neither labs nor what is slow to import."""
    policy = tmp_path / "POLICY.toml"
    policy.write_text("[connections.db]\nidle_s = 60\n")
    code = (
        "import sys; from harness.cli import main; "
        "main.main(['check', sys.argv[1], '--output-format', 'json']); "
        "print(*sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, str(policy)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "harness.policy.check" in loaded
    slow = {"rich", "pytest", "socket", "subprocess", "pkgutil", "ruamel", "json", "asyncio"}
    layers = {"api", "faults", "judge", "lab", "plan", "probes", "runner", "subjects", "venue.uml"}
    assert not loaded & (slow | {f"harness.{layer}" for layer in layers})
