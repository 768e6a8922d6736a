"""`harness schema`: what the harness reads is valid against it, and what it refuses is not."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.cli import main, schema
from harness.cli.parser import parse
from harness.faults import FAULTS
from harness.policy.registry import every_rule

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[3]
SOUND = {
    "policy": '[connections.db]\nidle_s = "1m"\npath = ["aws-nlb", { idle_timeout_s = 60 }]\n',
    "scenario": '[[faults]]\nkind = "blackhole"\nat_s = "500ms"\n',
    "suite": (
        'library = "x"\npackage = "x"\nsummary = "x"\n[scenario]\ntopology = { kind = "routed" }\n'
        '[[cells]]\nfault = "frozen"\nload = "idle"\ndocuments = "x"\n'
    ),
}


@cache
def validator(kind: str) -> jsonschema.Draft7Validator:
    """Of a schema that is one."""
    made = json.loads(schema.render(kind))
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


def problems(kind: str, text: str) -> list[str]:
    """What is wrong with a document, with where."""
    found = validator(kind).iter_errors(tomllib.loads(text))
    return [f"{each.json_path}: {each.message}" for each in found]


def files(kind: str) -> Iterator[Path]:
    """All of the checkout, but for those that tests have as bad examples."""
    for folder in ("scenarios", "ci/examples", "tests/cases", "harness/cli"):
        yield from sorted((CHECKOUT / folder).rglob(f"*.{kind}.toml"))


@pytest.mark.parametrize("kind", ["scenario", "suite"])
def test_the_catalogue_is_valid(kind: str) -> None:
    """And all other files of the checkout."""
    found = {file: problems(kind, file.read_text(encoding="utf-8")) for file in files(kind)}
    assert len(found) > {"scenario": 500, "suite": 5}[kind]
    assert {file: wrong for file, wrong in found.items() if wrong} == {}


def policies_in_pages() -> Iterator[str]:
    """The examples in all pages."""
    for page in (CHECKOUT / "README.md", *(CHECKOUT / "harness").rglob("*.md")):
        for text in re.findall(r"^```toml\n(.+?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if "[connections" in text or "[defaults" in text:
                yield text


def test_the_policies_in_pages_are_valid() -> None:
    """Of the project's first page and of the one about policies, at least."""
    found = [problems("policy", text) for text in policies_in_pages()]
    assert len(found) >= 2
    assert not any(found)


@pytest.mark.parametrize("kind", list(SOUND))
def test_the_examples_below_are_valid(kind: str) -> None:
    """Until one thing is wrong with them."""
    assert problems(kind, SOUND[kind]) == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("policy", "idle_s", "idel_s"),
        ("policy", '"1m"', '"1x"'),
        ("policy", '"1m"', "true"),
        ("policy", '"1m"', "0"),
        ("policy", "aws-nlb", "aws-nbl"),
        ("policy", "idle_timeout_s", "timeout_s"),
        ("policy", "path", 'ignore = { KA999 = "x" }\npath'),
        ("policy", "path", 'ignore = { KA001 = " " }\npath'),
        ("scenario", "blackhole", "black-hole"),
        ("scenario", "at_s", "starts_s"),
        ("scenario", '"500ms"', "-1"),
        ("scenario", "[[faults]]", "[expect]\nwindow_s = [1]\n[[faults]]"),
        ("scenario", "[[faults]]", '[client]\nkeepalive = "on"\n[[faults]]'),
        ("suite", "frozen", "dead"),
        ("suite", "topology = {", "expect = {}\ntopology = {"),
        ("suite", 'kind = "routed"', 'kind = "router"'),
        ("suite", 'documents = "x"', ""),
    ],
)
def test_one_wrong_thing_is_found(kind: str, right: str, wrong: str) -> None:
    """A misspelled key, a value of another kind or out of range, a missing key."""
    assert problems(kind, SOUND[kind].replace(right, wrong, 1))


def test_every_key_is_described() -> None:
    """Editors show it. Those that the structs describe one by one are no copies of each other."""
    for kind, rooted in (("policy", "Terms"), ("scenario", "Expect"), ("suite", "Cell")):
        whole = validator(kind).schema
        tables: dict[str, Any] = whole["$defs"]
        for table in (whole, *tables.values()):
            assert all(node["description"] for node in table["properties"].values())
        own = [node["description"] for node in tables[rooted]["properties"].values()]
        assert len(set(own)) == len(own)
        assert tables[rooted]["description"] not in own


def test_what_a_key_may_be_is_described() -> None:
    """The rules that may be ignored, and each kind of fault."""
    terms = validator("policy").schema["$defs"]["Terms"]["properties"]
    assert list(terms["ignore"]["properties"]) == list(every_rule())
    tables = validator("scenario").schema["$defs"]
    for fault in FAULTS.values():
        assert tables[fault.__name__]["description"].startswith(fault.summary)


def test_toml_has_no_null() -> None:
    """Nothing proposes one."""
    for kind in schema.FILES:
        assert "null" not in json.dumps(validator(kind).schema)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind that there is; an unknown one is a usage error."""
    offered = next(
        a for a in parse(["schema", "policy"], main.COMMANDS).parser._actions if a.choices
    )
    assert set(offered.choices or ()) == schema.KINDS.keys()
    assert main.main(["schema", "policy"]) == 0
    assert json.loads(capsys.readouterr().out) == validator("policy").schema
    with pytest.raises(SystemExit, match="2"):
        main.main(["schema", "polices"])
    assert "(did you mean policy?)" in capsys.readouterr().err
