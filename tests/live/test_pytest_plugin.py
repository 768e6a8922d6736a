"""The pytest plugin as its users meet it: real pytest sessions in processes of their own, on real
labs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness import timeline
from harness.system import kernel_clock
from harness.venue.kernel import Kernel
from tests.live.command import FEW_PLUGINS
from tests.live.sessions import HEAD, PROVEN, REFUTED, RESET

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.live]

UNCLEAR = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[[faults]]
kind = "blackhole"
at_s = 0.2
for_s = 0.2

[expect]
outcome = "survives"
bound_s = 1.5
"""
"""Nothing is sent during the outage, so the blackhole meets no packet."""


@pytest.fixture(autouse=True)
def state(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, and sessions with few plugins."""
    folder = pytester.path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("PYTEST_ADDOPTS", FEW_PLUGINS)
    return folder


def write(pytester: pytest.Pytester, **scenarios: str) -> None:
    """Scenario files by name; two underscores make a folder."""
    for name, text in scenarios.items():
        path = pytester.path / f"{name.replace('__', '/')}.scenario.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# --- scenario files -----------------------------------------------------------------------------


def test_scenario_files_are_tests_and_run_together(pytester: pytest.Pytester) -> None:
    """Each file is an item named after it, and none has to wait until another one is over."""
    write(pytester, nets__first=PROVEN, nets__second=PROVEN, third=PROVEN)
    pytester.makepyfile(test_a="def test_before(): pass", test_z="def test_after(): pass")
    result = pytester.runpytest_subprocess("-v", "-Werror", "--harness-out", "kept")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "nets/first.scenario.toml::first PASSED*",
            "nets/second.scenario.toml::second PASSED*",
            "third.scenario.toml::third PASSED*",
        ]
    )
    lengths = [
        length_of(pytester.path / "kept" / name) for name in ("nets/first", "nets/second", "third")
    ]
    assert max(begun for begun, _ in lengths) < min(ended for _, ended in lengths)


def length_of(folder: Path) -> tuple[int, int]:
    """When a run was armed and when it ended, in CLOCK_MONOTONIC."""
    events = timeline.load(folder)
    opened = int(events[0].data["monotonic_ns"])
    armed = next(event for event in events if event.kind == "subject.armed")
    return opened + armed.t_ns, opened + max(event.t_ns for event in events)


def test_scenarios_stand_together_while_other_tests_wait(pytester: pytest.Pytester) -> None:
    """A test between two scenario files runs when both are judged, not while one of them counts
    milliseconds.
    """
    write(pytester, a__first=RESET, c__last=RESET)
    (pytester.path / "b").mkdir()
    (pytester.path / "b" / "test_between.py").write_text("def test_between(): pass")
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*::first PASSED*", "*::last PASSED*", "*::test_between PASSED*"], consecutive=True
    )


def test_a_refuted_claim_fails_with_its_picture(pytester: pytest.Pytester) -> None:
    """The report has the reason, the claim in words, the lanes and where the run is kept,
    complete.
    """
    write(pytester, nets__refuted='summary = "A reboot is silence"\n' + REFUTED)
    result = pytester.runpytest_subprocess("--harness-out", "kept")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*_ scenario nets/refuted _*",
            (
                "fail: expected errno ETIMEDOUT, found ECONNRESET 1.0?? s after arming; the "
                "oracle predicted ECONNRESET*"
            ),
            "scenario: A reboot is silence",
            "claim: ETIMEDOUT*",
            "fault *┣━ peer-reboot ━*",
            "predicted *ECONNRESET 1.000 to 1.0?? s*█*",
            "detected *ECONNRESET 1.0?? s*▲*",
            "run directory: kept/nets/refuted",
            "FAILED nets/refuted.scenario.toml::refuted - fail: expected errno*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    folder = pytester.path / "kept" / "nets" / "refuted"
    names = {"plan.json", "timeline.jsonl", "client.pcapng", "server.pcapng", "verdict.json"}
    assert {path.name for path in folder.iterdir()} - {"attempts"} == names
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "fail"
    assert json.loads((folder / "plan.json").read_text())["scenario"]["name"] == "nets/refuted"


def test_what_cannot_be_judged_is_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inconclusive run is no pass and no skip.

    Also in the JUnit report, where a refuted claim is a failure, and in the summary of a step of
    GitHub Actions.
    """
    write(pytester, unclear=UNCLEAR, refuted=REFUTED)
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = pytester.runpytest_subprocess("--junit-xml=report.xml")
    result.assert_outcomes(failed=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            (
                "inconclusive: fault 0 (blackhole) left no evidence that it acted: 0 packets "
                "dropped; nothing*"
            )
        ]
    )
    assert "Traceback" not in result.stdout.str()
    page = summary.read_text().splitlines()
    assert page[0] == "### pytest: 0 pass, 1 fail, 1 inconclusive"
    rows = [line for line in page if line.startswith(("| fail (", "| inconclusive ("))]
    assert [row.split(" | ")[1] for row in rows] == ["refuted", "unclear"]
    (suite,) = ET.parse(pytester.path / "report.xml").getroot()  # noqa: S314 - pytest wrote it
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    cases = {case.get("name"): case for case in suite}
    assert [child.tag for child in cases["unclear"]] == ["properties", "error"]
    assert [child.tag for child in cases["refuted"]] == ["properties", "failure"]
    (failure,) = cases["refuted"].iter("failure")
    assert re.fullmatch(
        "fail: expected errno ETIMEDOUT, found ECONNRESET .*", failure.get("message") or ""
    )
    assert "\npredicted " in (failure.text or "")
    said = {each.get("name"): each.get("value") for each in cases["refuted"].iter("property")}
    assert {"clock", "hz", "claim", "window"} <= set(said)
    assert (said["clock"], said["hz"]) == ("real", str(kernel_clock.hz()[0]))
    assert re.fullmatch(r"1\.000 to 1\.\d\d\d s after arming", said["window"] or "")


def test_a_bad_file_is_a_collection_error(pytester: pytest.Pytester) -> None:
    """The loader's message is shown as it is, nothing is run, and the session is interrupted."""
    write(pytester, good=PROVEN, wrong="[expect]\noutcom = 'eof'\n", torn="[expect\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines_random(
        [
            "wrong.scenario.toml: expect.outcom: expected *outcome*, found 'eof'",
            "torn.scenario.toml: expected valid TOML, found *",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert not (pytester.path / "state").exists()


def test_scenarios_of_containers_and_guests_are_left_out(pytester: pytest.Pytester) -> None:
    """With the option that would not; with virtual time there are no containers."""
    write(
        pytester,
        paused='[[faults]]\nkind = "container-pause"\nat_s = 1\n',
        mine='[server]\nimage = "redis:7"\n' + PROVEN,
        stepped='[[faults]]\nkind = "wall-clock"\nstep_s = "1h"\nat_s = 1\n',
    )
    pytester.makepyfile(test_a="def test_it(): pass")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines_random(
        [
            "*it needs containers: pytest --lab docker",
            "*it needs virtual time: pytest --clock virtual",
        ]
    )
    result = pytester.runpytest_subprocess("paused.scenario.toml")
    result.stdout.fnmatch_lines(
        ["*faults[[]0[]].kind: expected a lab of containers, by --lab docker, found*"]
    )
    result = pytester.runpytest_subprocess("--lab", "docker", "--clock", "virtual")
    result.stderr.fnmatch_lines(["*--lab docker: expected --clock real with it*"])


def test_what_cannot_be_planned_is_a_collection_error(pytester: pytest.Pytester) -> None:
    """A claim that nobody could judge is refused before anything runs."""
    misplaced = PROVEN.replace('kind = "blackhole"', 'kind = "link-down"\non = "bridge"')
    write(pytester, misplaced=misplaced)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*expected a host of this topology (client, router, server), found 'bridge'*"]
    )


def test_selection_runs_only_what_is_selected(pytester: pytest.Pytester, state: Path) -> None:
    """With -k the other scenarios are not even started; with --collect-only none is."""
    write(pytester, outage=RESET, reboot=REFUTED)
    pytester.runpytest_subprocess("--collect-only").stdout.fnmatch_lines(
        ["*<ScenarioItem outage>", "*2 tests collected*"]
    )
    assert not state.exists()
    result = pytester.runpytest_subprocess("-k", "outage", "--harness-out", "kept")
    result.assert_outcomes(passed=1, deselected=1)
    assert [path.name for path in (pytester.path / "kept").iterdir()] == ["outage"]


def test_the_first_failure_can_end_the_session(pytester: pytest.Pytester, state: Path) -> None:
    """With -x the session ends at once, though other scenarios still run, and leaves no process and
    no ledger.
    """
    frozen = (
        "[[faults]]\nkind = 'process-freeze'\nat_s = 0\n\n[expect]\noutcome = 'never'\nbound_s = "
        "60\n"
    )
    write(pytester, a=REFUTED, b=frozen)
    result = pytester.runpytest_subprocess("-x", "--harness-out", "kept")
    result.assert_outcomes(failed=1)
    assert "run.ended" not in {event.kind for event in timeline.load(pytester.path / "kept" / "b")}
    assert list((state / "keepalive-harness" / "ledger").iterdir()) == []
    assert not processes_with(str(pytester.path))


def processes_with(word: str) -> list[str]:
    """Command lines that mention a word, but for this process's."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


def test_a_folder_that_cannot_be_made_is_told_once_for_each(pytester: pytest.Pytester) -> None:
    """No scenario waits for a run that can never begin."""
    write(pytester, a=PROVEN, b=PROVEN)
    (pytester.path / "file").touch()
    result = pytester.runpytest_subprocess("--harness-out", "file/kept")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["expected a folder for the run directories, found *; name another one with --harness-out"]
        * 2
    )


def test_files_of_one_name_are_told_apart(pytester: pytest.Pytester) -> None:
    """Two folders may hold scenarios of one name, inside and outside of the root folder."""
    write(pytester, a__same=REFUTED, b__same=UNCLEAR)
    outside = pytester.mkdir("outside") / "same.scenario.toml"
    outside.write_text(UNCLEAR)
    inner = pytester.mkdir("inner")
    (inner / "pytest.ini").touch()
    shutil.move(pytester.path / "a", inner / "a")
    result = pytester.runpytest_subprocess(
        "--rootdir", inner, inner / "a", pytester.path / "b", outside, "--harness-out", "kept"
    )
    result.assert_outcomes(failed=1, errors=2)
    assert len(list((pytester.path / "kept").rglob("verdict.json"))) == 3


def test_a_second_run_of_an_item_is_a_new_run(pytester: pytest.Pytester) -> None:
    """What repeats items, as plugins that rerun failures do, gets a fresh verdict."""
    write(pytester, reboot=REFUTED)
    pytester.makeconftest(
        """
        import pytest
        from _pytest.runner import runtestprotocol

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            for attempt in range(2):
                runtestprotocol(item, nextitem=nextitem, log=True)
            return True
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2)
    assert (
        len(list((pytester.path / "state" / "keepalive-harness" / "runs").rglob("verdict.json")))
        == 1
    )
    assert float(result.duration) > 2 * 1.0


# --- time limits --------------------------------------------------------------------------------

SHORT_LIMIT = """
    import pytest

    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker(pytest.mark.timeout(4))
"""


def test_a_scenario_that_hangs_ends_with_its_timeline(pytester: pytest.Pytester) -> None:
    """A timeout mark of one's own goes before the plan's; what had happened by then is shown."""
    write(pytester, slow=UNCLEAR.replace("bound_s = 1.5", "bound_s = 60"))
    pytester.makeconftest(SHORT_LIMIT)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "Timeout (>4.0s) from pytest-timeout.",
            (
                "time limit: 4 s, set by the timeout marker; the scenario may take * s of real "
                "time by its plan; *"
            ),
            "timeline so far:",
            "*s  opened *",
            "*s  subject.armed *client *",
            "*s  fault.injected *fault=blackhole*",
            "run directory: *slow",
        ]
    )


def test_without_the_timeout_plugin_scenarios_are_still_collected(
    pytester: pytest.Pytester,
) -> None:
    """Switched off, it is not missed, not even where unknown marks are errors."""
    write(pytester, quick=RESET)
    result = pytester.runpytest_subprocess("--collect-only", "-p", "no:timeout", "--strict-markers")
    result.stdout.fnmatch_lines(["*<ScenarioItem quick>", "*1 test collected*"])


# --- tests written by hand ----------------------------------------------------------------------


@pytest.mark.virtual
def test_hand_written_tests(pytester: pytest.Pytester, kernel: Kernel) -> None:
    """Every fault from Python: what is seen lies in what was predicted, before it was seen, in a
    guest's exact time.
    """
    pytester.makepyfile(
        textwrap.dedent(HEAD)
        + textwrap.dedent(
            """
            @pytest.mark.parametrize(("kind", "family", "fault", "name"), [
                ("switched", "ipv6", PeerReboot(), "ECONNRESET"),
                ("routed", "ipv4", Blackhole(), "ETIMEDOUT"),
                ("direct", "ipv6", LinkDown(on="client"), "ENETUNREACH"),
            ])
            def test_faults(lab, kind, family, fault, name):
                net = lab(kind, family)
                link = net.connect(ALIVE)
                with net.inject(fault):
                    expected = link.predict()
                    seen = link.wait()
                assert seen.errno == name
                assert seen in expected

            def test_a_firewall_stands_before_the_connection_is_made(lab):
                net = lab()
                with net.inject(FirewallIdle(timeout_s=1, then="reset")):
                    link = net.connect(Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3)))
                    expected = link.predict()
                    seen = link.wait()
                assert seen.errno == "ECONNRESET"
                assert seen in expected

            def test_a_killed_process_says_fin(lab):
                net = lab()
                link = net.connect(ALIVE, processes=("server",))
                with net.inject(ProcessKill()):
                    expected = link.predict()
                    seen = link.wait()
                assert (seen.kind, seen.errno) == ("eof", None)
                assert seen in expected

            def test_a_living_peer_answers(lab):
                link = lab("direct").connect()
                assert link.echo()
                assert link.wait(0.1).kind == "quiet"
                assert link.wait(0.1) in link.predict()

            def test_own_programs_and_sockets(lab):
                net = lab("switched")
                answer = "import socket; s = socket.create_server((sys.argv[1], 80)); print(flush=True);"
                answer += "c = s.accept()[0]; c.sendall(c.recv(9).upper())"
                program = net.start("server", [sys.executable, "-c", "import sys; " + answer, net.address("server")])
                program.read_line(5)
                with net.host("client").socket(socket.AF_INET) as mine:
                    mine.settimeout(5)
                    mine.connect((net.address("server"), 80))
                    mine.sendall(b"hello")
                    assert mine.recv(9) == b"HELLO"
                assert program.wait(5) == 0

            def test_two_labs_do_not_see_each_other(lab):
                first, second = lab("direct"), lab("direct")
                assert first.address("server") == second.address("server")
                with first.host("server").socket(socket.AF_INET) as listener:
                    listener.bind((first.address("server"), 80))
                    listener.listen()
                    with second.host("client").socket(socket.AF_INET) as mine:
                        mine.settimeout(5)
                        with pytest.raises(ConnectionRefusedError):
                            mine.connect((second.address("server"), 80))
            """  # noqa: E501
        )
    )
    result = pytester.runpytest_subprocess(
        "-Werror", "--clock=virtual", f"--harness-kernel={kernel.path}"
    )
    result.assert_outcomes(passed=8)


def test_a_failing_test_shows_what_happened_in_its_labs(pytester: pytest.Pytester) -> None:
    """Each lab of a failed test has a section with its timeline; a test that passes has none."""
    pytester.makepyfile(
        textwrap.dedent(HEAD)
        + textwrap.dedent(
            """
            def test_wrong(lab):
                other, net = lab("direct"), lab("routed", "ipv6")
                link = net.connect(ALIVE)
                with net.inject(PeerReboot()):
                    assert link.wait().errno == "EPIPE"

            def test_right(lab):
                lab("switched")
            """
        )
    )
    result = pytester.runpytest_subprocess("-rA")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- lab 1 (direct, ipv4) -*",
            "*- lab 2 (routed, ipv6) -*",
            "*s  fault.injected *fault=peer-reboot*",
            "*s  subject.detected *errno=ECONNRESET*",
        ]
    )
    assert "(switched" not in result.stdout.str()


def test_mistakes_in_hand_written_tests_are_told(pytester: pytest.Pytester) -> None:
    """Each ends in one clear line, below the test's own line that is wrong.

    --full-trace shows the rest.
    """
    pytester.makepyfile(
        textwrap.dedent(HEAD)
        + textwrap.dedent(
            """
            def test_misplaced(lab):
                with lab("direct").inject(LinkDown(on="router")):
                    pass

            def test_without_evidence(lab):
                with lab().inject(Blackhole()):
                    pass

            def test_unknown_host(lab):
                lab("direct").host("router")

            def test_no_fault(lab):
                with lab("direct").inject("blackhole"):
                    pass

            def test_no_family(lab):
                lab("direct").host("client").socket("ipv4")

            def test_unknown_topology(lab):
                lab("rooted")
            """
        )
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(
        [
            (
                "*inject: faults[[]0[]].on: expected a host of this topology (client, server), "
                "found 'router'"
            ),
            (
                "*blackhole: expected evidence that it acted, found: 0 packets dropped; nothing "
                "was sent*"
            ),
            "*expected a host of client, server, found 'router'",
            '>*lab("direct").inject("blackhole"):',
            "E *inject: expected a fault *, found 'blackhole'",
            '>*lab("direct").host("client").socket("ipv4")',
            "E *socket: expected socket.AF_INET or socket.AF_INET6, found 'ipv4'",
            '>*lab("rooted")',
            "E *topology.kind: expected one of: * (did you mean routed?), found 'rooted'",
            "",
            "test_mistakes_in_hand_written_tests_are_told.py:*: ScenarioError",
        ]
    )
    result = pytester.runpytest_subprocess("--full-trace", "-k", "topology")
    result.stdout.fnmatch_lines(["*harness/api/lab_session.py:*"])


# --- sessions that have nothing to do with it ---------------------------------------------------


def test_a_plain_session_is_left_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without scenarios and `lab`, nothing heavy is loaded and no namespace is entered, whatever is
    called lab.
    """
    pytester.makepyfile(
        """
        import os, sys, threading
        import pytest

        @pytest.fixture
        def lab():
            return "chemistry"

        def test_plain(lab):
            heavy = {"pyroute2", "rich", "msgspec", "harness.batch.batch", "harness.api.lab_session"}
            assert not heavy & set(sys.modules)
            assert lab == "chemistry"
            for kind in ("user", "net"):
                assert os.readlink(f"/proc/self/ns/{kind}") == os.environ[kind]
            assert threading.active_count() == 1
        """  # noqa: E501
    )
    for kind in ("user", "net"):
        monkeypatch.setenv(kind, str(Path(f"/proc/self/ns/{kind}").readlink()))
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)
