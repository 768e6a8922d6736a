"""Scenarios by name, folder and path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ScenarioError, ScenarioErrors, UsageError
from harness.scenario import catalogue, loader

Write = Callable[[str, str | bytes], Path]


def _names(*words: str) -> list[str]:
    return [scenario.name for scenario in catalogue.find(words)]


def test_no_words_ask_for_the_whole_catalogue(shelf: Write) -> None:
    """Sorted by path; other files are no scenarios."""
    for name in (
        "b.scenario.toml",
        "a/z.scenario.toml",
        "a/y/x.scenario.toml",
        "README.md",
        "a/notes.toml",
    ):
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
    assert (
        _names("catalogue/a/z.scenario.toml")
        == _names("catalogue/a")
        == _names("./catalogue")
        == ["a/z"]
    )
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
        catalogue.find(["a", "other.scenario.toml"])
    assert str(caught.value) == (
        "other.scenario.toml: name: expected a name of its own, as catalogue/a.scenario.toml "
        "already has this one, found 'a'"
    )


def test_files_of_one_bare_name_are_told_apart_by_their_folders(shelf: Write, write: Write) -> None:
    """By as many folders as it takes; the catalogue's keep their names."""
    shelf("x/same.scenario.toml", "")
    for place in ("mine/a", "mine/b", "x", "deep/mine/b"):
        write(f"{place}/same.scenario.toml", "")
    write("mine/a/other.scenario.toml", "")
    assert _names("./mine/a", "./mine/b") == ["other", "a/same", "b/same"]
    assert _names("mine/a/same.scenario.toml", "mine/b/same.scenario.toml") == ["a/same", "b/same"]
    assert _names("mine/b/same.scenario.toml", "deep") == ["same", "mine/b/same"]
    assert _names("mine/b", "deep/mine/b")[0].endswith("/mine/b/same")
    found = _names("x/same", "./x/same.scenario.toml")
    assert found == ["x/same", "same"]
    assert _names("./mine", "x/same") == ["a/other", "a/same", "b/same", "x/same"]


def test_every_bad_file_is_reported(shelf: Write, write: Write) -> None:
    """Not the first alone: one line each, and a scenario that claims nothing is one of them where
    claims count.
    """
    shelf("a/z.scenario.toml", "")
    write("mine/a.scenario.toml", "x = 1")
    write("mine/b.scenario.toml", "topology = 3")
    write("mine/c.scenario.toml", "")
    write("mine/d.scenario.toml", "not TOML")
    with pytest.raises(ScenarioErrors) as caught:
        catalogue.find(["./mine"], claimed=True)
    assert [error.source for error in caught.value.errors] == [
        "mine/a.scenario.toml",
        "mine/b.scenario.toml",
        "mine/d.scenario.toml",
        "scenario c",
    ]
    lines = str(caught.value).splitlines()
    assert lines[0] == "expected sound scenarios, found 4 that are not:"
    assert lines[1:] == [f"  {error}" for error in caught.value.errors]
    with pytest.raises(ScenarioErrors, match="found 3 that are not"):
        catalogue.find(["./mine"])


def test_an_unknown_word_is_answered_with_names_like_it(shelf: Write) -> None:
    """A misspelled name is the likeliest mistake."""
    shelf("outcomes/peer-down.scenario.toml", "")
    for word, hint in {"outcomes/peer-dwn": "outcomes/peer-down", "outcoms": "outcomes"}.items():
        with pytest.raises(UsageError, match=rf"found '{word}' \(did you mean {hint}"):
            catalogue.find([word])
    with pytest.raises(UsageError, match="found 'qqq'; `harness list` shows all names"):
        catalogue.find(["qqq"])


@pytest.mark.parametrize(
    "word", ["gone.toml", "./gone", "/gone", "../catalogue/gone", "a/../../x", "*"]
)
def test_a_word_for_nothing_is_a_usage_error(shelf: Write, word: str) -> None:
    """Wherever it points."""
    shelf("a/z.scenario.toml", "")
    with pytest.raises(UsageError, match="expected a scenario's name, folder or file"):
        catalogue.find([word])


def test_a_folder_without_scenarios_is_a_usage_error(shelf: Write, tmp_path: Path) -> None:
    """Asking for nothing is a mistake, not a success."""
    shelf("a/z.scenario.toml", "")
    (tmp_path / "bare").mkdir()
    with pytest.raises(
        UsageError, match=r"expected scenario files \(\*.scenario.toml\) under bare, found none"
    ):
        catalogue.find(["bare"])


def test_a_file_whose_name_cannot_be_a_scenarios_is_refused(write: Write) -> None:
    """It may give itself another one."""
    with pytest.raises(ScenarioError, match="found 'my peer'"):
        loader.load_file(write("my peer.scenario.toml", ""))
    assert loader.load_file(write("my peer.scenario.toml", 'name = "my-peer"')).name == "my-peer"


def test_the_shipped_catalogue_is_sound() -> None:
    """Every file loads, and says in a sentence what it claims."""
    shipped = catalogue.find([])
    assert shipped
    assert all(scenario.summary for scenario in shipped)


def test_what_this_machine_cannot_have_is_left_out_unless_it_is_named(shelf: Write) -> None:
    """Containers and guests, where no words ask for them."""
    shelf("a.scenario.toml", "")
    shelf("paused.scenario.toml", '[[faults]]\nkind = "container-pause"\nat_s = 1\n')
    shelf("stepped.scenario.toml", '[[faults]]\nkind = "wall-clock"\nstep_s = "1h"\nat_s = 1\n')
    assert _names() == ["a"]
    assert _names("stepped", "paused") == ["stepped", "paused"]
    found = [
        [scenario.name for scenario in catalogue.find([], containers=containers, guests=guests)]
        for containers, guests in ((True, False), (False, True), (True, True))
    ]
    assert found == [["a", "paused"], ["a", "stepped"], ["a", "paused", "stepped"]]
