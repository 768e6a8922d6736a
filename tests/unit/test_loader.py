"""Scenario files, plain data and Python values: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import loader
from harness.complaints import complaints
from harness.errors import ScenarioError, UsageError
from harness.faults import Blackhole, FirewallIdle, LinkDown
from harness.lab.topology import Topology
from harness.scenario import Endpoint, Expect, Keepalive, Scenario
from tests.unit import strategies

Write = Callable[[str, str | bytes], Path]


ENDPOINT_KEYS = "program, keepalive, user_timeout_s, settings_via, writes_at_s"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file in a fresh working directory, and give its path."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Write:
    """The same in a catalogue that is otherwise empty."""
    monkeypatch.setattr(loader, "catalogue", lambda: tmp_path / "catalogue")
    (tmp_path / "catalogue").mkdir()
    return lambda name, content: write(f"catalogue/{name}", content)


# --- refused -----------------------------------------------------------------------------------------

FAULT_KINDS = "blackhole, firewall-idle, link-down, peer-reboot, process-freeze, process-kill"
TOP_KEYS = "name, summary, topology, client, server, faults, expect"

REFUSED = {
    "unknown-key": ("retries = 3", f"retries: expected another key, one of {TOP_KEYS}, found 3"),
    "misspelled-table": (
        "[clint]\nx = 1",
        f"clint: expected another key, one of {TOP_KEYS} (did you mean client?), found {{'x': 1}}",
    ),
    "misspelled-key": (
        "[client.keepalive]\nidle = 3",
        "client.keepalive.idle: expected another key, one of idle_s, interval_s, count (did you mean idle_s?), found 3",
    ),
    "misspelled-key-of-a-fault": (
        '[[faults]]\nkind = "link-down"\non = "server"\nat = 3',
        "faults[0].at: expected another key, one of kind, at_s, for_s, on, toward (did you mean at_s?), found 3",
    ),
    "idle-0": (
        "client.keepalive.idle_s = 0",
        "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 0",
    ),
    "idle-32768": (
        "client.keepalive.idle_s = 32768",
        "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 32768",
    ),
    "interval-0": (
        "server.keepalive.interval_s = 0",
        "server.keepalive.interval_s: expected an integer from 1 to 32767 (seconds), found 0",
    ),
    "count-0": ("client.keepalive.count = 0", "client.keepalive.count: expected an integer from 1 to 127, found 0"),
    "count-128": (
        "client.keepalive.count = 128",
        "client.keepalive.count: expected an integer from 1 to 127, found 128",
    ),
    "idle-not-whole": (
        "client.keepalive.idle_s = 1.5",
        "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 1.5",
    ),
    "keepalive-a-number": (
        "client.keepalive = 1",
        "client.keepalive: expected true, false or a table of idle_s, interval_s, count, found 1",
    ),
    "endpoint-not-a-table": (
        "client = true",
        f"client: expected a table of {ENDPOINT_KEYS}, found True",
    ),
    "negative-time": (
        '[[faults]]\nkind = "blackhole"\nat_s = -1',
        "faults[0].at_s: expected a number from 0 to 10000000 (seconds), found -1",
    ),
    "time-as-text": (
        '[[faults]]\nkind = "blackhole"\nat_s = "2s"',
        "faults[0].at_s: expected a number from 0 to 10000000 (seconds), found '2s'",
    ),
    "time-as-boolean": (
        '[[faults]]\nkind = "blackhole"\nat_s = true',
        "faults[0].at_s: expected a number from 0 to 10000000 (seconds), found True",
    ),
    "no-time-at-all": (
        '[[faults]]\nkind = "blackhole"\nfor_s = 0',
        "faults[0].for_s: expected a number above 0 and up to 10000000 (seconds), found 0",
    ),
    "nan": (
        '[[faults]]\nkind = "blackhole"\nat_s = nan',
        "faults[0].at_s: expected a number from 0 to 10000000 (seconds), found nan",
    ),
    "infinite": (
        "expect.bound_s = inf",
        "expect.bound_s: expected a number above 0 and up to 10000000 (seconds), found inf",
    ),
    "nan-in-a-window": (
        "expect.window_s = [nan, 2]",
        "expect.window_s[0]: expected a number from 0 to 10000000 (seconds), found nan",
    ),
    "half-a-window": (
        "expect.window_s = [1]",
        "expect.window_s: expected an array of 2, each a number from 0 to 10000000 (seconds), found [1]",
    ),
    "window-a-number": (
        "expect.window_s = 1",
        "expect.window_s: expected an array of 2, each a number from 0 to 10000000 (seconds), found 1",
    ),
    "window-in-wrong-order": (
        "expect.window_s = [5, 3]",
        "expect.window_s: expected [earliest, latest], in that order, found [5.0, 3.0]",
    ),
    "user-timeout-nan": (
        "client.user_timeout_s = nan",
        "client.user_timeout_s: expected a number from 0 to 2147483 (seconds), found nan",
    ),
    "user-timeout-too-fine": (
        "client.user_timeout_s = 0.0005",
        "client.user_timeout_s: expected seconds in whole milliseconds, found 0.0005",
    ),
    "bad-enum": ('topology.kind = "ring"', "topology.kind: expected one of: direct, routed, switched, found 'ring'"),
    "nearly-an-enum": (
        'topology.kind = "rooted"',
        "topology.kind: expected one of: direct, routed, switched (did you mean routed?), found 'rooted'",
    ),
    "enum-of-one": ('client.program = "udp"', "client.program: expected tcp, found 'udp'"),
    "enum-of-another-type": ("topology.family = 4", "topology.family: expected one of: ipv4, ipv6, found 4"),
    "fault-without-a-kind": ("[[faults]]\nat_s = 1", f"faults[0].kind: expected one of: {FAULT_KINDS}, found nothing"),
    "unknown-fault": (
        '[[faults]]\nkind = "earthquake"',
        f"faults[0].kind: expected one of: {FAULT_KINDS}, found 'earthquake'",
    ),
    "misspelled-fault": (
        '[[faults]]\nkind = "blackhole"\n[[faults]]\nkind = "peer-rebot"',
        f"faults[1].kind: expected one of: {FAULT_KINDS} (did you mean peer-reboot?), found 'peer-rebot'",
    ),
    "one-fault-as-a-table": (
        '[faults]\nkind = "blackhole"',
        (
            f"faults: expected an array of tables, [[faults]] in TOML, each with a kind ({FAULT_KINDS}), "
            "found {'kind': 'blackhole'}"
        ),
    ),
    "a-fault-as-text": (
        'faults = ["blackhole"]',
        f"faults[0]: expected a table with a kind ({FAULT_KINDS}), found 'blackhole'",
    ),
    "missing-key": (
        '[[faults]]\nkind = "firewall-idle"',
        "faults[0].timeout_s: expected an integer from 1 to 2147483 (seconds), found nothing",
    ),
    "unknown-host": (
        '[[faults]]\nkind = "link-down"\non = "mars"',
        "faults[0].on: expected a host of this topology (client, router, server), found 'mars'",
    ),
    "host-of-another-topology": (
        'topology.kind = "direct"\n[[faults]]\nkind = "firewall-idle"\ntimeout_s = 9',
        "faults[0].on: expected a host of this topology (client, server), found 'router'",
    ),
    "a-switch-is-no-firewall": (
        'topology.kind = "switched"\n[[faults]]\nkind = "firewall-idle"\ntimeout_s = 9\non = "switch"',
        "faults[0].on: expected a host that forwards IP packets (the router of topology \"routed\"), found 'switch'",
    ),
    "dropped-where-sent": (
        '[[faults]]\nkind = "blackhole"\non = "client"',
        'faults[0].on: expected direction = "to-client" there',
    ),
    "observer-killed": (
        '[[faults]]\nkind = "process-kill"\non = "client"',
        "faults[0].on: expected the other side: a stopped program cannot notice anything, found 'client'",
    ),
    "errno-unknown": ('expect.errno = "ETIMEOUT"', "expect.errno: expected an errno's name"),
    "errno-not-a-name": ("expect.errno = 110", "expect.errno: expected a string, found 110"),
    "errno-where-nothing-fails": (
        'expect = { outcome = "survives", errno = "ETIMEDOUT" }',
        "expect.errno: expected no errno with outcome 'survives', found 'ETIMEDOUT'",
    ),
    "window-where-nothing-happens": (
        'expect = { outcome = "never", window_s = [1, 2] }',
        "expect.window_s: expected bound_s with outcome 'never', found [1.0, 2.0]",
    ),
    "bound-of-a-detection": (
        'expect = { outcome = "detected", bound_s = 9 }',
        "expect.bound_s: expected window_s with outcome 'detected', found 9.0",
    ),
    "origin-without-a-fault": ('expect.origin = "fault"', "expect.origin: expected"),
    "date": (
        "expect.bound_s = 2024-01-01",
        "expect.bound_s: expected a number above 0 and up to 10000000 (seconds), found datetime.date(2024, 1, 1)",
    ),
    "name-outside-the-results": ('name = "../../etc"', "name: expected letters, digits, '.', '_', '-' in parts"),
    "name-with-a-space": ('name = "my peer"', "name: expected letters, digits, '.', '_', '-' in parts"),
    "key-twice": ("name = 'a'\nname = 'b'\n", "expected valid TOML, found line 2, column 11: Cannot overwrite a value"),
    "table-twice": (
        "[client]\n[client]",
        "expected valid TOML, found line 2, column 8: Cannot declare ('client',) twice",
    ),
    "no-toml": ("client: {}", "expected valid TOML, found line 1, column 7: "),
    "unfinished": ("\n[client", "expected valid TOML, found the end, line 2: Expected ']'"),
    "endless-integer": ("client.keepalive.idle_s = " + "9" * 5000, "expected valid TOML, found "),
    "long-integer": (
        "client.keepalive.idle_s = " + "9" * 100,
        "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 999999999999999999...99999999",
    ),
    "nested-without-end": ("x = " + "[" * 100_000, "expected valid TOML, found tables or arrays within each other"),
    "long-value": (
        "client = " + repr(list(range(1000))),
        f"client: expected a table of {ENDPOINT_KEYS}, found [0, 1, 2, 3, 4, 5, ...]",
    ),
}


@pytest.mark.parametrize(("toml", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_named_with_what_was_expected(write: Write, toml: str, message: str) -> None:
    """File, dotted key, what was expected, what was found; all on one line."""
    with pytest.raises(ScenarioError) as caught:
        loader.load_file(write("f.toml", toml))
    assert str(caught.value).startswith(f"f.toml: {message}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named_with_their_line(write: Write) -> None:
    """A file must be UTF-8."""
    with pytest.raises(ScenarioError, match=r"^f.toml: expected UTF-8 text, found byte 0xe9 in line 2$"):
        loader.load_file(write("f.toml", b"# caf\xc3\xa9\n# caf\xe9\n"))


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and nothing at all are told apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, found in {"folder": "a directory", "gone.toml": "no such file"}.items():
        with pytest.raises(ScenarioError, match=rf"^{name}: expected a readable file, found {found}$"):
            loader.load_file(tmp_path / name)


def test_a_file_elsewhere_is_named_with_its_whole_path(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative only where that is shorter and true."""
    path = write("f.toml", "x = 1")
    monkeypatch.chdir("/")
    with pytest.raises(ScenarioError) as caught:
        loader.load_file(path)
    assert str(path.relative_to("/")) in str(caught.value)


def test_a_refused_value_comes_with_its_parts() -> None:
    """Programs can ask the error; they need not take the message apart."""
    with pytest.raises(ScenarioError) as caught:
        loader.from_mapping({"client": {"keepalive": {"count": 128}}}, "here")
    error = caught.value
    assert (error.source, error.key, error.value) == ("here", "client.keepalive.count", 128)
    assert error.expected == "an integer from 1 to 127"
    assert error.exit_status == 2


# --- taken -------------------------------------------------------------------------------------------


def test_an_empty_file_is_a_scenario_of_defaults(write: Write) -> None:
    """Named after the file."""
    assert loader.load_file(write("empty.scenario.toml", "")) == Scenario(name="empty")


def test_a_full_file_becomes_the_value_it_describes(write: Write) -> None:
    """Each table and key has its place."""
    path = write(
        "full.scenario.toml",
        """
        name = "mine/own"
        summary = "all of it"
        topology = { kind = "switched", family = "ipv6" }
        client.keepalive = { idle_s = 2, interval_s = 1, count = 3 }
        client.user_timeout_s = 4
        server = { keepalive = true, settings_via = "sysctl" }
        expect = { side = "server", outcome = "detected", errno = "ETIMEDOUT", window_s = [1, 2.5], origin = "fault" }
        [[faults]]
        kind = "link-down"
        on = "client"
        at_s = 0.5
        [[faults]]
        kind = "blackhole"
        for_s = 3
        """,
    )
    assert loader.load_file(path) == Scenario(
        name="mine/own",
        summary="all of it",
        topology=Topology(kind="switched", family="ipv6"),
        client=Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3), user_timeout_s=4.0),
        server=Endpoint(keepalive=True, settings_via="sysctl"),
        faults=(LinkDown(on="client", at_s=0.5), Blackhole(for_s=3.0)),
        expect=Expect(side="server", outcome="detected", errno="ETIMEDOUT", window_s=(1.0, 2.5), origin="fault"),
    )


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    """Some editors put one at the beginning."""
    assert loader.load_file(write("f.toml", b"\xef\xbb\xbfsummary = 'x'\r\n")).summary == "x"


def _without_nothing(value: Any) -> Any:
    """As TOML has it, which cannot write None."""
    if isinstance(value, dict):
        return {key: _without_nothing(inner) for key, inner in value.items() if inner is not None}
    return [_without_nothing(inner) for inner in value] if isinstance(value, list | tuple) else value


@strategies.PATIENT
@given(strategies.scenarios())
def test_every_sound_scenario_survives_the_way_to_plain_data_and_back(scenario: Scenario) -> None:
    """As builtins, as JSON and as what TOML can hold."""
    plain = msgspec.to_builtins(scenario)
    assert loader.from_mapping(plain) == scenario
    assert loader.from_mapping(json.loads(json.dumps(plain))) == scenario
    assert loader.from_mapping(_without_nothing(plain)) == scenario
    assert loader.checked(scenario) == scenario


def _assert_refused_or_sound(raw: Any) -> None:
    refusal = None
    try:
        loader.from_mapping(raw, "f")
    except ScenarioError as error:
        refusal = error
    if refusal is None:
        assert list(complaints(raw, Scenario)) == []
    else:
        assert str(refusal).startswith("f: ")
        assert refusal.expected != "a scenario"


@strategies.PATIENT
@given(strategies.garbage)
def test_garbage_raises_nothing_but_a_scenario_error(raw: Any) -> None:
    """Whatever JSON can hold."""
    _assert_refused_or_sound(raw)


@settings(strategies.PATIENT, max_examples=300)
@given(strategies.scenarios(), st.data())
def test_one_wrong_value_in_a_sound_scenario_is_found(scenario: Scenario, data: st.DataObject) -> None:
    """The words for a complaint are found wherever msgspec finds something to complain of, and nowhere else."""
    _assert_refused_or_sound(data.draw(strategies.near_misses(msgspec.to_builtins(scenario))))


def test_a_sound_file_does_not_cost_the_words_for_complaints(write: Write) -> None:
    """What only an error needs is imported on an error: each file that is looked up costs time in a guest."""
    path = write("f.toml", "")
    code = f"import sys, pathlib; from harness import loader; loader.load_file(pathlib.Path({str(path)!r}))"
    check = "assert 'harness.complaints' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", f"{code}; {check}"], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0


# --- Python values -----------------------------------------------------------------------------------

ANYTHING: Any = object()
"""Something that no scenario has a place for."""


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (
            Scenario(client=Endpoint(keepalive=Keepalive(idle_s=0))),
            "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 0",
        ),
        (
            Scenario(faults=(Blackhole(at_s=math.nan),)),
            "faults[0].at_s: expected a number from 0 to 10000000 (seconds), found nan",
        ),
        (
            Scenario(faults=(Blackhole(direction="up"),)),  # type: ignore[arg-type]
            "faults[0].direction: expected one of: both, to-client, to-server, found 'up'",
        ),
        (
            Scenario(expect=Expect(window_s=(1, math.inf))),
            "expect.window_s[1]: expected a number from 0 to 10000000 (seconds), found inf",
        ),
        (
            Scenario(client=Keepalive(idle_s=3)),  # type: ignore[arg-type]
            f"client.idle_s: expected another key, one of {ENDPOINT_KEYS}, found 3",
        ),
        (Scenario(faults=(ANYTHING,)), "faults[0]: expected a table with a kind"),
        (Scenario(faults=ANYTHING), "faults: expected an array of tables"),
        (ANYTHING, "expected a table of name"),
        (
            Scenario(topology=Topology(kind="direct"), faults=(FirewallIdle(timeout_s=9),)),
            "faults[0].on: expected a host of this topology (client, server), found 'router'",
        ),
    ],
)
def test_python_values_are_held_to_what_files_are(scenario: Scenario, message: str) -> None:
    """Construction checks nothing; `checked` finds the same and says the same."""
    with pytest.raises(ScenarioError) as caught:
        loader.checked(scenario)
    assert str(caught.value).startswith(f"<python>: {message}")


def test_python_values_come_back_as_a_file_would_give_them() -> None:
    """Whole numbers as seconds and lists of faults are what people write."""
    easy = Scenario(faults=[Blackhole(at_s=1)], expect=Expect(bound_s=9, outcome="never"))  # type: ignore[arg-type]
    strict = loader.checked(easy)
    assert isinstance(strict.faults, tuple)
    assert isinstance(strict.faults[0].at_s, float)
    assert isinstance(strict.expect.bound_s, float)


# --- names and places --------------------------------------------------------------------------------


def _names(*words: str) -> list[str]:
    return [scenario.name for scenario in loader.find(words)]


def test_no_words_ask_for_the_whole_catalogue(shelf: Write) -> None:
    """Sorted by path; other files are no scenarios."""
    for name in ("b.scenario.toml", "a/z.scenario.toml", "a/y/x.scenario.toml", "README.md", "a/notes.toml"):
        shelf(name, "")
    assert _names() == ["a/y/x", "a/z", "b"]


def test_a_word_is_a_name_or_a_folder_of_the_catalogue(shelf: Write) -> None:
    """In the order of the words, each scenario once."""
    for name in ("b.scenario.toml", "a/z.scenario.toml", "a/y.scenario.toml"):
        shelf(name, "")
    assert _names("a/z") == ["a/z"]
    assert _names("a") == _names("a/") == ["a/y", "a/z"]
    assert _names("b", "a/z", "a", "b") == ["b", "a/z", "a/y"]


def test_a_word_may_be_a_path_to_a_file_or_a_folder(shelf: Write, write: Write) -> None:
    """Relative or absolute; a file is named by itself, files of a folder by their places in it."""
    shelf("b.scenario.toml", "")
    one = write("mine/deep/one.scenario.toml", "")
    write("mine/two.scenario.toml", "")
    write("mine/plain.toml", "")
    assert _names("mine/deep/one.scenario.toml") == _names(str(one)) == ["one"]
    assert _names("mine") == _names("./mine") == ["deep/one", "two"]
    assert _names("mine/plain.toml") == ["plain"]
    assert _names("b", "mine") == ["b", "deep/one", "two"]


def test_a_path_into_the_catalogue_gives_catalogue_names(shelf: Write) -> None:
    """However it is asked for, a shipped scenario has one name, and is taken once."""
    shelf("a/z.scenario.toml", "")
    assert _names("catalogue/a/z.scenario.toml") == _names("catalogue/a") == _names("./catalogue") == ["a/z"]
    assert _names("a", "catalogue/a", "a/z") == ["a/z"]


def test_the_catalogue_goes_before_the_working_directory(shelf: Write, write: Write) -> None:
    """A path that is meant in spite of a name begins with a dot."""
    shelf("a/z.scenario.toml", "")
    write("a/own.scenario.toml", "")
    assert _names("a") == ["a/z"]
    assert _names("./a") == ["own"]


def test_two_scenarios_of_one_name_are_refused_with_both_files(shelf: Write, write: Write) -> None:
    """Results are filed by name."""
    shelf("a.scenario.toml", "")
    write("other.scenario.toml", 'name = "a"')
    with pytest.raises(ScenarioError) as caught:
        loader.find(["a", "other.scenario.toml"])
    assert str(caught.value) == (
        "other.scenario.toml: name: expected a name of its own, as catalogue/a.scenario.toml has that one, found 'a'"
    )


def test_an_unknown_word_is_answered_with_names_like_it(shelf: Write) -> None:
    """A misspelled name is the likeliest mistake."""
    shelf("outcomes/peer-down.scenario.toml", "")
    for word, hint in {"outcomes/peer-dwn": "outcomes/peer-down", "outcoms": "outcomes"}.items():
        with pytest.raises(UsageError, match=rf"found '{word}' \(did you mean {hint}"):
            loader.find([word])
    with pytest.raises(UsageError, match="found 'qqq'; `harness list` shows all names"):
        loader.find(["qqq"])


@pytest.mark.parametrize("word", ["gone.toml", "./gone", "/gone", "../catalogue/gone", "a/../../x", "*"])
def test_a_word_for_nothing_is_a_usage_error(shelf: Write, word: str) -> None:
    """Wherever it points."""
    shelf("a/z.scenario.toml", "")
    with pytest.raises(UsageError, match="expected a scenario's name, folder or file"):
        loader.find([word])


def test_a_folder_without_scenarios_is_a_usage_error(shelf: Write, tmp_path: Path) -> None:
    """Asking for nothing is a mistake, not a success."""
    shelf("a/z.scenario.toml", "")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match=r"expected scenario files \(\*.scenario.toml\) under bare, found none"):
        loader.find(["bare"])


def test_a_file_whose_name_cannot_be_a_scenarios_is_refused(write: Write) -> None:
    """It may give itself another one."""
    with pytest.raises(ScenarioError, match="found 'my peer'"):
        loader.load_file(write("my peer.scenario.toml", ""))
    assert loader.load_file(write("my peer.scenario.toml", 'name = "my-peer"')).name == "my-peer"


def test_the_shipped_catalogue_is_sound() -> None:
    """Every file loads, and says in a sentence what it claims."""
    shipped = loader.find([])
    assert shipped
    assert all(scenario.summary for scenario in shipped)
