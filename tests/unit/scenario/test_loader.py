"""Scenario files, plain data and Python values: what is taken, what is refused, and in which
words.
"""

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
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.faults import FAULTS, Blackhole, FirewallIdle, LinkDown
from harness.model.firewall_presets import PRESETS
from harness.model.topology import Topology
from harness.scenario import loader
from harness.scenario.decode_errors import complaints
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from tests.unit import strategies

Write = Callable[[str, str | bytes], Path]


ENDPOINT_KEYS = (
    "keepalive, user_timeout_s, settings_via, retries2, "
    "writes_at_s, write_bytes, receive_buffer_bytes, send_buffer_bytes, reads, shuts_at_s, "
    "heartbeat, command, image"
)

EXAMPLES = 40
"""As many as it takes to draw the branches of what is drawn at all."""

# --- refused -------------------------------------------------------------------------------------

FAULT_KINDS = ", ".join(FAULTS)
TOP_KEYS = (
    "name, summary, topology, state, client, server, proxy, standby, faults, expect, known_failure"
)

REFUSED = {
    "unknown-key": ("retries = 3", f"retries: expected another key, one of {TOP_KEYS}, found 3"),
    "misspelled-table": (
        "[clint]\nx = 1",
        f"clint: expected another key, one of {TOP_KEYS} (did you mean client?), found {{'x': 1}}",
    ),
    "misspelled-key": (
        "[client.keepalive]\nidle = 3",
        (
            "client.keepalive.idle: expected another key, one of idle_s, interval_s, count (did "
            "you mean idle_s?), found 3"
        ),
    ),
    "misspelled-key-of-a-fault": (
        '[[faults]]\nkind = "link-down"\non = "server"\nat = 3',
        (
            "faults[0].at: expected another key, one of kind, at_s, for_s, every_s, times, on, "
            "toward "
            "(did you mean at_s?), found 3"
        ),
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
    "count-0": (
        "client.keepalive.count = 0",
        "client.keepalive.count: expected an integer from 1 to 127, found 0",
    ),
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
        '[[faults]]\nkind = "blackhole"\nat_s = "2"',
        (
            "faults[0].at_s: expected a number from 0 to 10000000 (seconds), or a duration such as "
            "90s, 1m30s or 500ms, found '2'"
        ),
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
        (
            "expect.window_s: expected an array of 2, each a number from 0 to 10000000 "
            "(seconds), found [1]"
        ),
    ),
    "window-a-number": (
        "expect.window_s = 1",
        (
            "expect.window_s: expected an array of 2, each a number from 0 to 10000000 "
            "(seconds), found 1"
        ),
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
    "bad-enum": (
        'topology.kind = "ring"',
        (
            "topology.kind: expected one of: direct, firewalls, nat, proxied, routed, switched, "
            "found 'ring'"
        ),
    ),
    "nearly-an-enum": (
        'topology.kind = "rooted"',
        (
            "topology.kind: expected one of: direct, firewalls, nat, proxied, routed, switched "
            "(did you mean routed?)"
        ),
    ),
    "command-without-words": (
        "client.command.argv = []",
        "client.command.argv: expected an array, each of it a string, at least 1, found []",
    ),
    "command-with-numbers": (
        'client.command = { argv = ["x"], env = { A = 1 } }',
        "client.command.env.A: expected a string, found 1",
    ),
    "bad-pattern": (
        'client.command = { argv = ["x"], detects = { prints = "(" } }\nexpect.outcome = "never"',
        (
            "client.command.detects.prints: expected a regular expression (missing ), "
            "unterminated subpattern"
        ),
    ),
    "settings-of-a-command": (
        'client = { user_timeout_s = 3.0, command = { argv = ["x"] } }\nexpect.side = "server"',
        (
            "client.user_timeout_s: expected no such key with a command, which sets up its own "
            "connection, found 3.0"
        ),
    ),
    "command-that-shows-nothing": (
        'client.command.argv = ["x"]\nexpect.outcome = "never"',
        (
            "client.command.detects: expected how the command shows a detection: prints, "
            "exits, closes"
        ),
    ),
    "command-with-an-errno": (
        (
            'client.command = { argv = ["x"], detects = { closes = true } }\nexpect.outcome = '
            '"detected"'
        ),
        (
            'expect.outcome: expected "noticed", "never" or "survives" of a command, found '
            "'detected'"
        ),
    ),
    "heartbeat-without-a-design": (
        "client.heartbeat.idle_s = 3.0",
        (
            "client.heartbeat.design: expected one of: simple, separate, urgent, idle-timer, "
            "reaper, idle-state, found"
        ),
    ),
    "heartbeat-alone": (
        'client.heartbeat.design = "simple"',
        "server.heartbeat.design: expected 'simple', which goes with the client's, found nothing",
    ),
    "heartbeats-that-do-not-match": (
        'client.heartbeat.design = "idle-timer"\nserver.heartbeat.design = "simple"',
        "server.heartbeat.design: expected 'reaper', which goes with the client's, found 'simple'",
    ),
    "enum-of-another-type": (
        "topology.family = 4",
        "topology.family: expected one of: ipv4, ipv6, found 4",
    ),
    "fault-without-a-kind": (
        "[[faults]]\nat_s = 1",
        f"faults[0].kind: expected one of: {FAULT_KINDS}, found nothing",
    ),
    "unknown-fault": (
        '[[faults]]\nkind = "earthquake"',
        f"faults[0].kind: expected one of: {FAULT_KINDS}, found 'earthquake'",
    ),
    "misspelled-fault": (
        '[[faults]]\nkind = "blackhole"\n[[faults]]\nkind = "peer-rebot"',
        (
            "faults[1].kind: expected a kind (did you mean peer-reboot?), one of: "
            f"{FAULT_KINDS}, found 'peer-rebot'"
        ),
    ),
    "fault-whose-kind-is-a-table": (
        '[[faults]]\nkind = { kind = "blackhole" }',
        f"faults[0].kind: expected one of: {FAULT_KINDS}, found {{'kind': 'blackhole'}}",
    ),
    "fault-by-another-name": (
        '[[faults]]\nkind = "host-down"',
        (
            "faults[0].kind: expected a kind (did you mean host-suspend or link-down or "
            "peer-reboot?), one of: "
        ),
    ),
    "one-fault-as-a-table": (
        '[faults]\nkind = "blackhole"',
        (
            "faults: expected an array of tables, [[faults]] in TOML, each with a kind "
            f"({FAULT_KINDS}), "
            "found {'kind': 'blackhole'}"
        ),
    ),
    "a-fault-as-text": (
        'faults = ["blackhole"]',
        f"faults[0]: expected a table with a kind ({FAULT_KINDS}), found 'blackhole'",
    ),
    "missing-key": (
        '[[faults]]\nkind = "firewall-idle"',
        "faults[0].timeout_s: expected seconds, or a preset (aws-ec2-conntrack, ",
    ),
    "fault-without-a-time": (
        '[[faults]]\nkind = "blackhole"\nfor_s = 3',
        (
            "faults[0].at_s: expected the time at which blackhole begins, in seconds after "
            "arming (0: at once)"
        ),
    ),
    "second-fault-without-a-time-while-connecting": (
        (
            'state = "connecting"\n[[faults]]\nkind = "blackhole"\nat_s = 0\n[[faults]]\nkind = '
            '"syn-drop"'
        ),
        (
            "faults[1].at_s: expected the time at which syn-drop begins, in seconds after arming "
            "(0: at once)"
        ),
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
        (
            'topology.kind = "switched"\n[[faults]]\nkind = "firewall-idle"\ntimeout_s = 9\non = '
            '"switch"'
        ),
        (
            "faults[0].on: expected a host that forwards IP packets (the router of topology "
            "\"routed\"), found 'switch'"
        ),
    ),
    "dropped-where-sent": (
        '[[faults]]\nkind = "blackhole"\non = "client"',
        'faults[0].on: expected direction = "to-client" there',
    ),
    "observer-killed": (
        '[[faults]]\nkind = "process-kill"\non = "client"',
        (
            "faults[0].on: expected the other side: a stopped program cannot detect anything, "
            "found 'client'"
        ),
    ),
    "errno-unknown": ('expect.errno = "ENONSENSE"', "expect.errno: expected an errno's name"),
    "misspelled-errno": (
        'expect.errno = "ETIMEOUT"',
        (
            "expect.errno: expected an errno's name, such as ETIMEDOUT or ECONNRESET (did you "
            "mean ETIMEDOUT?), found"
        ),
    ),
    "misspelled-preset": (
        '[[faults]]\nkind = "firewall-idle"\npreset = "aws-nbl"',
        (
            f"faults[0].preset: expected one of: {', '.join(sorted(PRESETS))} (did you mean "
            "aws-nlb?), found 'aws-nbl'"
        ),
    ),
    "misspelled-host": (
        '[[faults]]\nkind = "link-down"\non = "sever"',
        (
            "faults[0].on: expected a host of this topology (client, router, server) (did you "
            "mean server?), found 'sever'"
        ),
    ),
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
        (
            "expect.bound_s: expected a number above 0 and up to 10000000 (seconds), found "
            "datetime.date(2024, 1, 1)"
        ),
    ),
    "name-outside-the-results": (
        'name = "../../etc"',
        "name: expected letters, digits, '.', '_', '-' in parts",
    ),
    "name-with-a-space": (
        'name = "my peer"',
        "name: expected letters, digits, '.', '_', '-' in parts",
    ),
    "key-twice": (
        "name = 'a'\nname = 'b'\n",
        "expected valid TOML, found line 2, column 11: Cannot overwrite a value",
    ),
    "table-twice": (
        "[client]\n[client]",
        "expected valid TOML, found line 2, column 8: Cannot declare ('client',) twice",
    ),
    "no-toml": ("client: {}", "expected valid TOML, found line 1, column 7: "),
    "unfinished": ("\n[client", "expected valid TOML, found the end, line 2: Expected ']'"),
    "endless-integer": ("client.keepalive.idle_s = " + "9" * 5000, "expected valid TOML, found "),
    "long-integer": (
        "client.keepalive.idle_s = " + "9" * 100,
        (
            "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found "
            "999999999999999999...99999999"
        ),
    ),
    "nested-without-end": (
        "x = " + "[" * 100_000,
        "expected valid TOML, found tables or arrays within each other",
    ),
    "long-value": (
        "client = " + repr(list(range(1000))),
        f"client: expected a table of {ENDPOINT_KEYS}, found [0, 1, 2, 3, 4, 5, ...]",
    ),
}


@pytest.mark.parametrize(("toml", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_named_with_what_was_expected(
    write: Write, toml: str, message: str
) -> None:
    """File, dotted key, what was expected, what was found; all on one line."""
    with pytest.raises(ScenarioError) as caught:
        loader.load_file(write("f.toml", toml))
    assert str(caught.value).startswith(f"f.toml: {message}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named_with_their_line(write: Write) -> None:
    """A file must be UTF-8."""
    with pytest.raises(
        ScenarioError, match=r"^f.toml: expected UTF-8 text, found byte 0xe9 in line 2$"
    ):
        loader.load_file(write("f.toml", b"# caf\xc3\xa9\n# caf\xe9\n"))


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and nothing at all are told apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, found in {"folder": "a directory", "gone.toml": "no such file"}.items():
        with pytest.raises(
            ScenarioError, match=rf"^{name}: expected a readable file, found {found}$"
        ):
            loader.load_file(tmp_path / name)


def test_a_file_elsewhere_is_named_with_its_whole_path(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
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


# --- taken --------------------------------------------------------------------------------------


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
        at_s = 0
        for_s = 3
        """,  # noqa: E501
    )
    assert loader.load_file(path) == Scenario(
        name="mine/own",
        summary="all of it",
        topology=Topology(kind="switched", family="ipv6"),
        client=Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3), user_timeout_s=4.0),
        server=Endpoint(keepalive=True, settings_via="sysctl"),
        faults=(LinkDown(on="client", at_s=0.5), Blackhole(for_s=3.0)),
        expect=Expect(
            side="server",
            outcome="detected",
            errno="ETIMEDOUT",
            window_s=(1.0, 2.5),
            origin="fault",
        ),
    )


def test_what_stands_from_the_beginning_needs_no_time(write: Write) -> None:
    """A firewall is there before the connection, and so is a toxic `from_start`."""
    firewall = write("f.toml", '[[faults]]\nkind = "firewall-idle"\npreset = "aws-nlb"')
    assert loader.load_file(firewall).faults[0].standing
    toxic = write(
        "t.toml",
        (
            'topology.kind = "proxied"\n[[faults]]\nkind = "toxic-timeout"\ntimeout_ms = '
            "9\nfrom_start = true"
        ),
    )
    assert loader.load_file(toxic).faults[0].standing


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    """Some editors put one at the beginning."""
    assert loader.load_file(write("f.toml", b"\xef\xbb\xbfsummary = 'x'\r\n")).summary == "x"


def _without_nothing(value: Any) -> Any:
    """As TOML has it, which cannot write None."""
    if isinstance(value, dict):
        return {key: _without_nothing(inner) for key, inner in value.items() if inner is not None}
    return (
        [_without_nothing(inner) for inner in value] if isinstance(value, list | tuple) else value
    )


@pytest.mark.slow
@strategies.sweep(EXAMPLES, exhaustively=1000)
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


@pytest.mark.slow
@strategies.sweep(EXAMPLES, exhaustively=1000)
@given(strategies.garbage)
def test_garbage_raises_nothing_but_a_scenario_error(raw: Any) -> None:
    """Whatever JSON can hold."""
    _assert_refused_or_sound(raw)


@pytest.mark.slow
@strategies.sweep(EXAMPLES, exhaustively=1000)
@given(strategies.scenarios(), st.data())
def test_one_wrong_value_in_a_sound_scenario_is_found(
    scenario: Scenario, data: st.DataObject
) -> None:
    """The words for a complaint are found wherever msgspec finds something to complain of, and
    nowhere else.
    """
    _assert_refused_or_sound(data.draw(strategies.near_misses(msgspec.to_builtins(scenario))))


def test_a_sound_file_does_not_cost_the_words_for_complaints(write: Write) -> None:
    """What only an error needs is imported on an error: each file that is looked up costs time in a
    guest.
    """
    path = write("f.toml", "")
    code = (
        "import sys, pathlib; from harness.scenario import loader; "
        f"loader.load_file(pathlib.Path({str(path)!r}))"
    )
    check = "assert 'harness.scenario.decode_errors' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {check}"], cwd=Path(__file__).parents[3], check=False
    )
    assert done.returncode == 0


# --- Python values ------------------------------------------------------------------------------

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
