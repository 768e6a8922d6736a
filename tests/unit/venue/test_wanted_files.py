from __future__ import annotations

import glob
import json
from pathlib import Path

import pytest

from harness.errors import GuestError, UsageError
from harness.venue import guest_command
from harness.venue.wanted_files import WantedFile, WantedFiles


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A guest's folder."""
    folder = tmp_path / "guest"
    folder.mkdir()
    return folder


def offer(left: Path, *names: object) -> None:
    """Leave files as a guest does that copies out those of these names."""
    for number, name in enumerate(names):
        (left / guest_command.COPIED_FILES.format(number)).write_text(f"content of {name}")
    (left / guest_command.COPIED_LIST).write_text(json.dumps([str(name) for name in names]))


def test_what_was_asked_for_comes_to_its_place(left: Path, tmp_path: Path) -> None:
    """Also in folders that are not there yet; nothing is made where the guest leaves nothing."""
    wanted = tmp_path / "new" / "folder" / "report.xml"
    files = WantedFiles([WantedFile(wanted)])
    files.take(left)
    assert not wanted.parent.exists()
    offer(left, wanted)
    files.take(left)
    assert wanted.read_text() == f"content of {wanted}"


def test_siblings_come_where_they_are_wanted(left: Path, tmp_path: Path) -> None:
    """Files whose names go on after the one that was asked for."""
    data = tmp_path / "data [1]" / ".coverage"
    data.parent.mkdir()
    with_siblings = WantedFile(data, with_siblings=True)
    (data.parent / ".coverage.host.7").touch()
    assert glob.glob(with_siblings.pattern) == [f"{data}.host.7"]  # noqa: PTH207 - as the guest does
    offer(left, data, f"{data}.host.8")
    WantedFiles([with_siblings]).take(left)
    assert {path.name for path in data.parent.iterdir()} == {
        ".coverage",
        ".coverage.host.7",
        ".coverage.host.8",
    }


@pytest.mark.parametrize(
    "name",
    [
        "{0}/other",
        "{0}/report.xml2",
        "{0}/x/../report.xml",
        "{0}/report.xml/deeper",
        "report.xml",
        "",
        "/",
    ],
)
def test_nothing_else_is_taken(left: Path, tmp_path: Path, name: str) -> None:
    """Whatever the guest offers, only the names that were asked for are written."""
    before = sorted(tmp_path.iterdir())
    offer(left, name.format(tmp_path))
    with pytest.raises(GuestError, match="only files that were asked for"):
        WantedFiles([WantedFile(tmp_path / "report.xml")]).take(left)
    assert sorted(tmp_path.iterdir()) == before


def test_siblings_are_of_the_same_folder(left: Path, tmp_path: Path) -> None:
    """A name that leads into another folder is no sibling."""
    for name in (f"{tmp_path}/.coverage/../../elsewhere", f"{tmp_path}/.coverage/deeper"):
        offer(left, name)
        with pytest.raises(GuestError, match="only files that were asked for"):
            WantedFiles([WantedFile(tmp_path / ".coverage", with_siblings=True)]).take(left)


@pytest.mark.parametrize("listing", ["", "[1]", '{"a": 1}', "[" * 100_000])
def test_a_list_that_is_none(left: Path, listing: str) -> None:
    """It is told, and nothing is written."""
    (left / guest_command.COPIED_LIST).write_text(listing)
    with pytest.raises(GuestError, match="expected a list of the files"):
        WantedFiles([]).take(left)


def test_links_that_the_guest_has_put_on_the_way_are_not_followed(
    left: Path, tmp_path: Path
) -> None:
    """In the place of the file, of its folder, and of what the guest copied."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "report.xml").write_text("kept")
    out = tmp_path / "out"
    (out / "inner").mkdir(parents=True)

    files = WantedFiles(
        [
            WantedFile(out / "report.xml"),
            WantedFile(out / "inner" / "report.xml"),
            WantedFile(out / "plain"),
        ]
    )
    (out / "report.xml").symlink_to(kept / "report.xml")
    (out / "inner").rmdir()
    (out / "inner").symlink_to(kept)
    for name in ("report.xml", "inner/report.xml"):
        offer(left, out / name)
        with pytest.raises(UsageError, match="expected a file that can be written"):
            files.take(left)
    assert (kept / "report.xml").read_text() == "kept"

    offer(left, out / "plain")
    (left / guest_command.COPIED_FILES.format(0)).unlink()
    (left / guest_command.COPIED_FILES.format(0)).symlink_to(kept / "report.xml")
    with pytest.raises(UsageError, match="expected a file that can be written"):
        files.take(left)


def test_links_that_were_there_before_lead_where_they_led(left: Path, tmp_path: Path) -> None:
    """The user's own links are part of the place that the user named."""
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("far")
    (tmp_path / "far" / "link.xml").symlink_to("report.xml")
    files = WantedFiles([WantedFile(tmp_path / "near" / "link.xml")])
    offer(left, tmp_path / "near" / "link.xml")
    files.take(left)
    assert (
        tmp_path / "far" / "report.xml"
    ).read_text() == f"content of {tmp_path / 'near' / 'link.xml'}"
    assert (tmp_path / "far" / "link.xml").is_symlink()
