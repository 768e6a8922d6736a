"""What teams take into their commit hooks and CI: valid, and its shell lines do what they say."""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
HOOKS = CHECKOUT / ".pre-commit-hooks.yaml"
ACTION = CHECKOUT / "ci" / "action" / "action.yml"
GITLAB = CHECKOUT / "ci" / "gitlab" / "harness-check.yml"
VENV = Path(sys.executable).parent
LATE = "[connections.db]\nidle_s = 340\ninterval_s = 10\ncount = 3\npath = ['aws-nlb']\n"


def load(path: Path) -> Any:
    """A YAML document."""
    return YAML(typ="safe").load(path)


def step(name: str) -> dict[str, Any]:
    """One of the action's steps."""
    (found,) = (each for each in load(ACTION)["runs"]["steps"] if each.get("id") == name)
    made: dict[str, Any] = found
    return made


def program(path: Path, *lines: str) -> Path:
    """A shell script that stands for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def run(folder: Path, lines: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    """As a runner does: a line that fails ends the job. The programs in `folder` are on PATH."""
    outer = {
        key: value for key, value in os.environ.items() if not key.startswith(("GITHUB", "CI"))
    }
    given = outer | {"PATH": f"{folder}:{VENV}:{os.environ['PATH']}", **env}
    return subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


def run_step(folder: Path, name: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One of the action's steps, with all variables that it names."""
    made = step(name)
    assert set(env) == set(made["env"])
    own = {"RUNNER_TEMP": str(folder), "GITHUB_OUTPUT": str(folder / "output")}
    return run(folder, [made["run"]], **env, **own)


def outputs(folder: Path) -> dict[str, str]:
    """What a step gave to later ones."""
    return dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())


@pytest.mark.parametrize(("path", "name"), [(ACTION, "github-actions"), (GITLAB, "gitlab-ci")])
def test_a_file_is_valid(path: Path, name: str) -> None:
    """Against the schema that editors use."""
    files = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(files.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    assert not list(validator.iter_errors(load(path)))
    assert not validator.is_valid({"runs": "nothing", "stages": 1})


def test_the_hook_runs_a_command_of_the_package_on_policies() -> None:
    """And on nothing else."""
    (hook,) = load(HOOKS)
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    assert hook["entry"].split() == ["harness", "check"]
    assert "harness" in scripts
    for name in ("POLICY.toml", "deploy/POLICY.toml", "deploy/db.policy.toml"):
        assert re.search(hook["files"], name), name
    for name in ("MYPOLICY.toml", "pyproject.toml", "policy.toml", "x.policy.toml.orig"):
        assert not re.search(hook["files"], name), name


def test_the_action_uses_each_input_and_declares_it() -> None:
    """In the steps and their conditions."""
    used = set(re.findall(r"inputs\.(\w+)", ACTION.read_text()))
    assert used == set(load(ACTION)["inputs"])


def test_the_action_installs_itself(tmp_path: Path) -> None:
    """And knows which kernels are of its own making."""
    log = tmp_path / "log"
    pip = f'echo "pip $*" >>{log}'
    venv = (
        f'mkdir -p "$3/bin" && printf \'#!/bin/sh\\n{pip}\\n\' >"$3/bin/pip"',
        f'printf \'#!/bin/sh\\nexec {sys.executable} "$@"\\n\' >"$3/bin/python"',
        'chmod +x "$3/bin/pip" "$3/bin/python"',
    )
    python = program(tmp_path / "bin" / "python", *venv)
    done = run_step(tmp_path, "install", PYTHON=str(python), SOURCE=str(ACTION.parent / "../.."))
    assert done.returncode == 0, done.stderr
    source = Path(log.read_text().split()[-1])
    assert (source.resolve() / "pyproject.toml").exists()
    found = outputs(tmp_path)
    assert found["harness"] == f"{tmp_path}/keepalive-harness/bin/harness"
    assert re.fullmatch("[0-9a-f]{8}", found["recipe"])


@pytest.mark.parametrize(("hz", "built"), [("", ["1000"]), ("250,1000", ["250", "1000"])])
def test_the_action_builds_the_kernels(tmp_path: Path, hz: str, built: list[str]) -> None:
    """With the tools for it where a build fails without them."""
    harness = program(tmp_path / "harness", f'echo "$*" >>{tmp_path}/log; test -e {tmp_path}/tools')
    program(tmp_path / "sudo", f'case "$*" in *flex*) touch {tmp_path}/tools;; esac')
    done = run_step(tmp_path, "kernels", HARNESS=str(harness), HZ=hz)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls == [f"kernel build --if-missing --hz {each}" for each in [built[0], *built]]


def check(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """The action's last step, with the inputs' defaults and a policy that fails."""
    (folder / "POLICY.toml").write_text(LATE)
    inputs = load(ACTION)["inputs"]
    given = {key.upper(): value["default"] for key, value in inputs.items()}
    return run_step(folder, "check", **{"HARNESS": "harness", **given, **changes})


def test_the_action_annotates_and_fails(tmp_path: Path) -> None:
    """Where an error is found."""
    done = check(tmp_path)
    assert done.stdout.startswith("::error file=POLICY.toml,line=2,col=10,title=KA003 db")
    assert done.returncode == 1


def test_the_action_writes_sarif_and_passes(tmp_path: Path) -> None:
    """The path is its output."""
    done = check(tmp_path, REPORT="sarif")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(Path(outputs(tmp_path)["sarif"]).read_text())["runs"]
    assert run["results"][0]["ruleId"] == "KA003"


def test_the_action_passes_on_what_it_is_given(tmp_path: Path) -> None:
    """Several files and arguments; a pattern stays one."""
    harness = program(tmp_path / "harness", f"printf '%s\\n' \"$@\" >{tmp_path}/log")
    given = {"POLICY": "a.toml\n*.toml", "ARGUMENTS": "--detect-within 120", "HZ": "250,1000"}
    done = check(tmp_path, HARNESS=str(harness), PROVE="true", **given)
    assert done.returncode == 0, done.stderr
    words = (
        "check --output-format github --detect-within 120 --prove --hz 250,1000 -- a.toml *.toml"
    )
    assert (tmp_path / "log").read_text().split() == words.split()


def test_the_action_refuses_another_report(tmp_path: Path) -> None:
    """With an annotation."""
    done = check(tmp_path, REPORT="junit")
    assert done.returncode == 2
    assert "::error::report: expected annotations or sarif, found junit" in done.stdout


def gitlab(folder: Path, part: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The lines of the job."""
    job = load(GITLAB)["harness-check"]
    return run(folder, job[part], **{**job["variables"], **env})


def test_the_job_writes_a_report_and_fails(tmp_path: Path) -> None:
    """The findings are in its log, too."""
    (tmp_path / "POLICY.toml").write_text(LATE)
    done = gitlab(tmp_path, "script")
    assert done.returncode == 1
    assert done.stdout.startswith("POLICY.toml:2:10: error KA003 db")
    job = load(GITLAB)["harness-check"]
    (issue,) = json.loads((tmp_path / job["artifacts"]["reports"]["codequality"]).read_text())
    assert issue["location"]["path"] == "POLICY.toml"
    (tmp_path / "POLICY.toml").write_text(LATE.replace("340", "300"))
    assert gitlab(tmp_path, "script").returncode == 0


def test_the_job_needs_to_know_what_to_install(tmp_path: Path) -> None:
    """It says so where it does not."""
    program(tmp_path / "pip", f"printf '%s ' \"$@\" >{tmp_path}/log")
    done = gitlab(tmp_path, "before_script")
    assert done.returncode != 0
    assert "set it to what pip installs" in done.stderr
    assert gitlab(tmp_path, "before_script", HARNESS_PACKAGE="git+https://x/y").returncode == 0
    assert (tmp_path / "log").read_text() == "install --quiet git+https://x/y "


def test_the_page_uses_them_as_they_are() -> None:
    """Its examples are YAML, with the hook, the inputs, the output and the variables that exist."""
    page = (CHECKOUT / "harness" / "policy" / "README.md").read_text()
    section = page.partition("## In commit hooks and CI\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```yaml\n(.+?)^```", section, re.MULTILINE | re.DOTALL)
    hooks, steps, job = (YAML(typ="safe").load(text) for text in blocks)
    assert hooks["repos"][0]["hooks"] == [{"id": each["id"]} for each in load(HOOKS)]
    assert steps[0]["with"].keys() <= load(ACTION)["inputs"].keys()
    assert steps[1]["with"]["sarif_file"] == "${{ steps.keepalive.outputs.sarif }}"
    assert job["include"]["file"] == GITLAB.relative_to(CHECKOUT).as_posix()
    known = {"HARNESS_PACKAGE", *load(GITLAB)["harness-check"]["variables"]}
    assert job["variables"].keys() <= known
    first = (CHECKOUT / "README.md").read_text()
    assert "(harness/policy/README.md#in-commit-hooks-and-ci)" in first
