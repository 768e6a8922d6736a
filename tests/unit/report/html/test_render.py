"""Pages about runs: complete, escaped, light, and the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, get_args

import msgspec
import pytest

from harness.faults import Blackhole
from harness.judge.reasons import Difference, Doubt
from harness.report.html import socket_settings, words
from harness.report.html.page import Page, RunDetail, Table
from harness.report.html.render import render
from tests.unit.report.html.pages import (
    Reader,
    good,
    grid,
    named,
    page,
    printed,
    survived,
    three,
)
from tests.unit.timelines import at, planned

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def test_a_page_is_sound_html() -> None:
    """Every element ends where it should, and no two have the same id."""
    read = Reader(render(page(*three(), grid=grid())))
    assert read.open == []
    ids = [str(each["id"]) for _, each in read.elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert {f"run-{number}" for number in (1, 2, 3)} <= set(ids)


def test_links_lead_to_runs() -> None:
    """From the overview and from the matrix."""
    read = Reader(render(page(*three(), grid=grid())))
    ids = {each["id"] for _, each in read.elements if "id" in each}
    links = [str(each["href"]) for each in read.named("a")]
    assert links.count("#run-1") == 2
    assert {link.removeprefix("#") for link in links} <= ids


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No address is in it, and the policy forbids what it does not name."""
    text = render(page(*three()))
    assert not re.findall(r"""(?:src|href|data|action)=["']?(?!["'#])""", text)
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;")


def test_the_policy_names_the_style_and_the_script_that_are_there() -> None:
    """By their hashes: a browser runs no other script."""
    text = render(page(good()))
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in text


def test_no_element_has_a_style_or_a_script_of_its_own() -> None:
    """The policy would make a browser ignore them."""
    read = Reader(render(page(*three(), grid=grid())))
    own = [key for _, each in read.elements for key in each if key == "style" or key[:2] == "on"]
    assert own == []


@pytest.mark.parametrize("where", ["name", "reason", "summary", "errno", "claimed", "predicted"])
def test_text_of_a_verdict_is_shown_and_not_obeyed(where: str) -> None:
    """Neither as HTML nor as a control character."""
    verdict = msgspec.structs.replace(good().verdict, **{where: EVIL})
    evil = msgspec.structs.replace(good(), verdict=verdict)
    text = render(page(evil, good()))
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "alert(1)" in text


def test_text_of_programs_is_shown_and_not_obeyed() -> None:
    """Of output, the likeliest place."""
    line = msgspec.structs.replace(printed(1)[0], data={"side": "client", "line": EVIL})
    result = msgspec.structs.replace(good(), events=(*good().events, line))
    read = Reader(render(page(result)))
    assert any("<script>alert(1)</script>\"'&\\x1b[31m\\u202e" in text for text in read.texts)


def test_text_of_a_page_is_escaped() -> None:
    """Title, command, notes, tables and details."""
    made = Page(
        title=EVIL,
        command=EVIL,
        notes=(EVIL,),
        results=(good(),),
        details=(RunDetail(again=EVIL, text=(EVIL,), scenario=EVIL),),
        tables=(Table(title=EVIL, columns=(EVIL,), rows=((EVIL, EVIL),), note=EVIL),),
    )
    assert "<script>alert" not in render(made)


def test_a_run_shows_what_its_verdict_rests_on() -> None:
    """Claim, prediction, measurement, events, settings, machine."""
    text = " ".join(Reader(render(page(good()))).texts)
    verdict = good().verdict
    for wanted in (
        verdict.reason,
        verdict.claimed,
        words.predicted(verdict),
        words.measured(verdict),
        words.CAUSES["confirmed"],
        "blackhole at 0.5 s after arming",
        "Linux 6.18.0, HZ=250",
        "ETIMEDOUT from",
        "evidence of blackhole: it acted (traces)",
        "3 probes, 3 predicted",
    ):
        assert wanted in text, wanted


def test_every_cause_is_explained() -> None:
    """A new one needs a sentence."""
    causes = {*get_args(Doubt), *get_args(Difference), "confirmed", "known-failure"}
    assert set(words.CAUSES) == causes
    assert all(text.endswith(".") for text in words.CAUSES.values())


def test_long_output_is_folded_and_says_so() -> None:
    """The first and the last lines stay."""
    result = msgspec.structs.replace(good(), events=(*good().events, *printed(1000)))
    read = Reader(render(page(result)))
    shown = [text for text in read.texts if re.fullmatch(r"line \d+", text)]
    assert shown[0] == "line 0"
    assert shown[-1] == "line 999"
    assert len(shown) == 60
    assert any(text.startswith("940 more:") for text in read.texts)


def test_counts_and_sentence() -> None:
    """Of all verdicts."""
    text = render(page(*three()))
    assert "1 of 3 runs passed, 1 failed, 1 inconclusive." in text
    assert "All 2 runs passed." in render(page(good(), survived()))
    assert "The run passed." in render(page(good()))


def test_a_single_run_is_open_and_many_are_closed() -> None:
    """A reader of one run wants to see it."""
    assert len(re.findall(r'<details class="run"[^>]* open>', render(page(good())))) == 1
    assert not re.findall(r'<details class="run"[^>]* open>', render(page(*[good()] * 4)))


def test_a_run_that_was_never_armed_and_one_without_sense_are_shown() -> None:
    """Their times count from the start of the run."""
    for events in ((), good().events[:1], good().events[::-1][:3]):
        text = render(page(msgspec.structs.replace(good(), events=events)))
        assert "seconds after the start of the run" in text


def test_the_same_page_is_the_same_text() -> None:
    """So that pages can be compared."""
    assert render(page(*three(), grid=grid())) == render(page(*three(), grid=grid()))


def test_a_page_without_runs() -> None:
    """Of a campaign in which all agreed."""
    text = render(Page(title="None", tables=(Table(title="T", columns=("a",), rows=(("1",),)),)))
    assert 'id="overview"' not in text
    assert "<h2>T</h2>" in text


def test_both_judged_ends_are_shown() -> None:
    """In the overview and in the run, each with its own verdict."""
    late = msgspec.structs.replace(
        good().verdict,
        side="server",
        verdict="fail",
        cause="noticed-too-late",
        detected_ns=9 * 10**9,
    )
    both = named(good(), "both/ends", verdict="fail", ends=(good().verdict, late))
    text = " ".join(Reader(render(page(both, good()))).texts)
    for wanted in (
        "The client",
        "The server",
        "ETIMEDOUT on the client",
        "ETIMEDOUT on the server",
    ):
        assert wanted in text, wanted
    assert "server: ETIMEDOUT 9.000 s after arming" in text


def test_a_run_of_which_nothing_is_claimed_is_described() -> None:
    """It neither passes nor fails."""
    plan = planned(Blackhole(at_s=0.5), outcome="any", bound_s=20)
    result = named(msgspec.structs.replace(good(), plan=plan), "described")
    text = render(page(result, named(result, "another")))
    assert "2 runs, of which nothing is claimed." in text
    assert words.DESCRIBED_CAUSE in text
    assert "✓" not in text.partition("How to read")[0]


def test_settings_that_were_read_come_before_those_that_a_scenario_asks_for() -> None:
    """For each end; a reading that failed is no reading."""
    options: dict[str, Any] = {
        "keepalive": True,
        "idle_s": 7,
        "interval_s": 8,
        "count": 9,
        "user_timeout_ms": 1500,
    }
    none: dict[str, Any] = dict.fromkeys(options)
    read = at(0, "subject.settings", side="client", when="armed", **options)
    failed = at(0, "subject.settings", "server", side="server", when="end", **none)
    rows = list(socket_settings.of_ends(good().plan.scenario, (read, read), 100_000_000))
    assert [row.side for row in rows] == ["client", "server"]
    assert rows[0].cells == ("on", "7 s", "8 s", "9", "1.5 s")
    assert rows[0].source == "read from the socket at 0.000 s"
    assert rows[1].source == "set on the socket"
    assert list(socket_settings.of_ends(good().plan.scenario, (failed,), 0))[1].cells == ()


def test_what_is_left_is_told() -> None:
    """Processes and sockets, at the end of the watch."""

    def told(**data: Any) -> str:
        return words.happened(at(0, "subject.left", side="client", **data))

    socket = {
        "local": ["fd77::1", 1],
        "remote": ["fd77::2", 2],
        "state": "ESTABLISHED",
        "held": False,
        "unsent": 8,
        "unread": 0,
    }
    assert told(processes=[], sockets=[]) == "processes: none; sockets: none"
    assert told(processes=["redis"], sockets=[socket]) == (
        "processes: redis; sockets: [fd77::1]:1 to [fd77::2]:2 ESTABLISHED, held by no program, "
        "8 octets not acknowledged"
    )


def test_every_kind_of_event_that_a_verdict_rests_on_has_words() -> None:
    """None is shown as its data."""
    for result in (*three(), named(good(), "x")):
        for place in result.verdict.cites:
            event = result.events[place]
            assert not words.happened(event).startswith(event.kind)


def test_recovery_is_shown() -> None:
    """With what it counts from."""
    back = named(good(), "x", reconnected_ns=1_500_000_000, recovered_ns=2_000_000_000)
    texts = Reader(render(page(back))).texts
    assert "1.500 s after the detection" in texts
    assert any(text.startswith("2.000 s after ") for text in texts)


def test_columns_without_figures_are_left_out() -> None:
    """Of programs whose detection nobody predicts."""
    texts = Reader(render(page(good(), survived()))).texts
    assert {"predicted", "probes", "time to detect"} <= set(texts)
    unknown = [named(good(), name, predicted="", probes=0) for name in ("x", "y")]
    head = render(page(*unknown)).partition("<thead>")[2].partition("</thead>")[0]
    assert re.findall(r">([a-z ]+)</th>", head) == [
        "verdict",
        "scenario",
        "fault",
        "time to detect",
    ]
