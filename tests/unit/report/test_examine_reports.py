"""An examination as text, JSON and matrix: what a reader looks for first stands first."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from harness.examine.compare import Change
from harness.examine.findings import CellReport, Examination
from harness.report import examine_grid, examine_json, examine_page, examine_text
from harness.report import examine_words as words
from harness.report.text import console
from tests import documents
from tests.unit.examining import (
    OFF,
    at,
    cell,
    described,
    events,
    examination,
    printed,
    segment,
    sign,
)

EXIT = sign(12.5, "exit", "status 1")


def _shown(renderable: Any) -> str:
    stream = io.StringIO()
    console(stream).print(renderable)
    return " ".join(stream.getvalue().split())


def _never(fault: str = "blackhole") -> CellReport:
    return described(cell(fault), events(settings=OFF))


def _mixed() -> Examination:
    good = described(cell("server-suspended"), events(EXIT))
    return examination(good, _never(), left_out=(("proxied", "expected another network"),))


def test_the_headline_names_what_is_never_detected() -> None:
    """One sentence for each end, with the first few faults by name."""
    found = examination(*(_never(name) for name in ("blackhole", "server-frozen")))
    assert words.headline(found, "client") == (
        "The client never detects a blackhole and a server that hangs."
    )
    many = ("blackhole", "blackhole-to-server", "server-frozen", "firewall-drops", "proxied")
    assert "and 1 more." in words.headline(examination(*map(_never, many)), "client")


def test_the_headline_of_an_end_without_fault() -> None:
    """How long the slowest detection took."""
    found = examination(described(cell("server-suspended"), events(EXIT)))
    assert words.headline(found, "client") == (
        "The client detects every fault that it must, the slowest after 12.5 s, without a false "
        "alarm."
    )
    assert words.headline(found, "server") == "The server was struck by every fault itself."


def test_false_alarms_and_lost_recoveries_are_told() -> None:
    """Each kind of fault of a program has its words."""
    alarm = described(cell("slow-lossy"), events(sign(3, "reconnect", "a SYN")))
    lost = described(cell("outage"), events(sign(20, "close", "FIN sent"), healed_s=30))
    assert words.headline(examination(alarm, lost), "client") == (
        "The client gives a false alarm under a slow, lossy line; it does not work again after an "
        "outage of 30 s."
    )


def test_the_worst_cells_stand_first() -> None:
    """Whatever the order of the grid."""
    assert [each.fault for each in words.worst_first(_mixed())] == ["blackhole", "server-suspended"]


def test_the_text_says_what_each_end_did() -> None:
    """When, how, by which timer, with which error, after how many segments; what is left out."""
    run = events(segment(2, "out"), printed(12.4, "lost: Connection timed out"), EXIT, settings=OFF)
    text = _shown(examine_text.report(_mixed()))
    assert "detects nothing in 3 h: keepalive is off, and nothing was sent after the fault" in text
    assert "left out: proxied: expected another network" in text
    (found,) = [described(cell("server-suspended"), run)]
    assert words.end(found, "client") == (
        'exits with status 1, having printed "lost: Connection timed out" after 12.500 s; the '
        "program's own timer, 81.800 s after the peer's last segment; ETIMEDOUT"
    )
    assert words.effort(found.end("client")) == "1 segment of data"


def test_output_of_programs_is_escaped() -> None:
    """A program's control characters do not reach the terminal."""
    found = described(cell("blackhole"), events(printed(3, "lost \x1b[31m")))
    assert "\x1b" not in words.end(found, "client")


def test_recovery_in_words() -> None:
    """On which connection, and when."""
    run = events(sign(20, "reconnect", "a SYN"), segment(34, "in", dport=41001), healed_s=30)
    found = words.end(described(cell("outage"), run), "client")
    assert found.endswith("data passes again on a new connection after 4.000 s")


def test_changes_are_told_the_worst_first() -> None:
    """And that nothing changed, where that is so."""
    assert _shown(examine_text.changes(())) == "Nothing changed since the baseline."
    change = Change(
        cell="outage", side="client", aspect="time", direction="better", was="a", is_now="b"
    )
    worse = msgspec.structs.replace(change, cell="blackhole", direction="worse")
    text = _shown(examine_text.changes((change, worse)))
    assert text.index("worse blackhole, client: b (was: a)") < text.index("better outage")
    assert text.endswith("1 worse, 1 better than in the baseline")


@pytest.mark.parametrize("changes", [None, ()])
def test_the_document_is_valid(changes: tuple[Change, ...] | None) -> None:
    """Against the type and the published schema."""
    left = at(10_799, "subject.left", side="client", processes=["client"], sockets=[])
    found = examination(described(cell("blackhole"), events(EXIT, left)), _never())
    data = examine_json.render(found, changes)
    document = documents.check(examine_json.ExaminationDocument, data)
    assert documents.problems("examine", document) == []
    assert document["changes"] == (None if changes is None else [])


def test_the_matrix_has_a_cell_for_each_end() -> None:
    """With colour, symbol and figure, and the run that it links to."""
    grid = examine_grid.grid(_mixed(), {"blackhole": 1})
    assert grid.columns == ("the client", "the server")
    (first, struck), (never, _) = grid.cells
    assert first is not None
    assert (first.status, first.short, first.run) == ("good", "exit 12.5 s", None)
    assert struck is not None
    assert (struck.status, struck.short) == ("plain", "struck")
    assert never is not None
    assert (never.status, never.short, never.run) == ("bad", "never", 1)


def test_the_page_has_the_headlines() -> None:
    """A sentence for each end, as bad as the worst cell."""
    page = examine_page.page(_mixed(), (), command="harness examine", made="")
    assert page.headline is not None
    status, text = page.headline
    assert status == "bad"
    assert text.startswith("The client never detects a blackhole. The server ")
    assert all(guess not in note for note in page.notes for guess in page.assumed)
