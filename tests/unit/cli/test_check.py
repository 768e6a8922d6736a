"""`harness check` and `harness explain`: options and files in, findings and exit statuses out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import policy
from harness.cli import main
from harness.cli.check_options import FORMATS

Capture = pytest.CaptureFixture[str]
SOUND = ["--idle", "300", "--interval", "10", "--count", "3", "--path", "aws-nlb"]
LATE = ["--idle", "340", *SOUND[2:]]


def ended(*arguments: str) -> int:
    """The exit status, also where argparse ends the program."""
    try:
        return main.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def test_options_describe_one_connection(capsys: Capture) -> None:
    """340/10/3 is too late for a load balancer that drops state after 350 s, 300/10/3 is not."""
    assert ended("check", *LATE, "--hz", "1000") == 1
    assert "the first probe after 340 to 372.77 s at HZ=1000" in capsys.readouterr().out
    assert ended("check", *SOUND, "--hz", "1000") == 0
    assert re.search("^options +up to 363.49 s ", capsys.readouterr().out, re.MULTILINE)


def test_a_fix_names_the_options(capsys: Capture) -> None:
    """Where options were given."""
    assert ended("check", *LATE[:6], "--detect-idle-within", "120") == 1
    fix = "set idle_s to at most 84 (as options: --idle for idle_s)\n"
    told = capsys.readouterr().out
    assert fix in told
    assert "`harness suggest --side client` with the same demands finds settings" in told


def test_the_example_of_the_page_holds(folder: Path, capsys: Capture) -> None:
    """With nothing to be corrected in it."""
    page = Path(policy.__path__[0], "README.md").read_text()
    (example,) = re.findall(r"^```toml\n(.+?)^```", page, re.MULTILINE | re.DOTALL)[:1]
    (folder / "POLICY.toml").write_text(example)
    assert ended("check") == 0, capsys.readouterr().out


def test_every_option_reaches_the_rules(capsys: Capture) -> None:
    """Durations have units, hops their behaviour."""
    words = (
        "--user-timeout 30 --side server --path 350:reset --path 60s:proxy --detect-within 2m "
        "--survive 1m --hz 250,300"
    )
    assert ended("check", *SOUND[:-2], *words.split(), "--output-format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    (connection,) = document["connections"]
    assert (connection["idle_s"], connection["user_timeout_s"], connection["file"]) == (
        300,
        30.0,
        None,
    )
    assert {each["rule"] for each in document["findings"]} == {
        "KA004",
        "KA006",
        "KA009",
        "KA010",
        "KA014",
        "KA015",
    }
    assert (
        ended("check", "--no-keepalive", "--detect-idle-within", "60", "--output-format", "json")
        == 1
    )
    assert [each["rule"] for each in json.loads(capsys.readouterr().out)["findings"]] == ["KA001"]


def test_rules_are_selected_and_left_out(capsys: Capture) -> None:
    """By id, in capitals or not, several at once."""
    assert ended("check", *LATE, "--select", "KA001,ka002") == 0
    assert ended("check", *LATE, "--ignore", "KA003") == 0
    assert ended("check", *LATE, "--select", "KA003") == 1
    capsys.readouterr()


def test_a_policy_of_the_folder_is_the_default(folder: Path, capsys: Capture) -> None:
    """Named or not, one or several."""
    policy = folder / "POLICY.toml"
    policy.write_text(
        "[connections.db]\nidle_s = 340\ninterval_s = 10\ncount = 3\npath = ['aws-nlb']\n"
    )
    assert ended("check") == 1
    assert capsys.readouterr().out.startswith("POLICY.toml:2:10: error KA003 db: ")
    (folder / "other.toml").write_text("[connections.cache]\nkeepalive = false\n")
    assert ended("check", "other.toml", "POLICY.toml", "--output-format", "junit") == 1
    assert 'tests="2" failures="1"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output_format", "status", "begin"),
    [("github", 1, "::error title=KA003 options"), ("sarif", 0, "{")],
)
def test_github_gets_the_whole_table_in_the_summary_of_its_step(
    output_format: str,
    status: int,
    begin: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """After what is there already, also beside a file for code scanning."""
    summary = folder / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert ended("check", *LATE, "--output-format", output_format) == status
    assert capsys.readouterr().out.startswith(begin)
    assert summary.read_text().startswith("before\n### harness check: 1 connection: 1 error")


def test_sarif_ends_with_0_unless_it_is_strict(capsys: Capture) -> None:
    """As scanners do, whose report decides."""
    assert ended("check", *LATE, "--output-format", "sarif") == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["results"][0]["ruleId"] == "KA003"
    assert ended("check", *LATE, "--output-format", "sarif", "--strict") == 1
    assert ended("check", *SOUND, "--output-format", "sarif", "--strict") == 0


@pytest.mark.parametrize("variable", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_paths_are_relative_to_the_checkout_of_a_job(
    folder: Path, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Else to the working directory, also where the variable has another checkout."""
    below = folder / "below"
    below.mkdir()
    (below / "POLICY.toml").write_text("[connections.db]\nidle_s = 340\npath = ['aws-nlb']\n")
    monkeypatch.chdir(below)
    for value, path in ((folder, "below/POLICY.toml"), (folder / "x", "POLICY.toml")):
        monkeypatch.setenv(variable, str(value))
        assert ended("check", "--output-format", "gitlab") == 1
        assert json.loads(capsys.readouterr().out)[0]["location"]["path"] == path


def test_demands_path_and_hz_hold_for_files_that_do_not_state_them(
    folder: Path, capsys: Capture
) -> None:
    """A file's own come first, and a demand of its own stands for both of its special cases."""
    (folder / "POLICY.toml").write_text(
        "[connections.plain]\nidle_s = 340\ninterval_s = 10\ncount = 3\n"
        "[connections.own]\nidle_s = 340\ninterval_s = 10\ncount = 3\n"
        "path = []\nhz = [250]\ndetect_within_s = 2000\n"
    )
    words = ["--path", "aws-nlb", "--hz", "1000", "--detect-idle-within", "380"]
    assert ended("check", "POLICY.toml", *words, "--output-format", "json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["connection"], each["rule"], each["hz"]) for each in found] == [
        ("plain", "KA003", [1000]),
        ("plain", "KA015", [1000]),
    ]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--detect-idle-within", "120"], "KA015"),
        (["--survive", "60"], "KA009"),
        (["--path", "aws-nlb", "--hz", "1000"], "KA003"),
    ],
)
def test_demands_path_and_hz_alone_hold_for_the_policy_of_the_folder(
    words: Sequence[str], rule: str, folder: Path, capsys: Capture
) -> None:
    """They invent no connection; without a policy there is nothing to check."""
    assert ended("check", *words) == 2
    assert f"or --no-keepalive), found {words[0]}" in capsys.readouterr().err
    (folder / "POLICY.toml").write_text(
        "[connections.db]\nidle_s = 340\ninterval_s = 10\ncount = 3\n"
    )
    assert ended("check", *words) == 1
    assert re.match(f"POLICY.toml:[0-9:]+: error {rule} db: ", capsys.readouterr().out)
    assert ended("check", *words, *LATE[:6]) == 1
    assert f"error {rule} options: " in capsys.readouterr().out


def test_the_format_of_a_file_is_told_or_given(folder: Path, capsys: Capture) -> None:
    """Whatever its name is."""
    (folder / "settings").write_text("[connections.db]\nidle_s = 60\n")
    assert ended("check", "settings", "--format", "policy") == 1
    assert "settings:2:10: warning KA002 db" in capsys.readouterr().out


@pytest.mark.parametrize("output_format", ["text", "json", "junit", "github", "gitlab", "sarif"])
def test_a_url_is_checked_and_its_password_is_not_shown(
    output_format: str, folder: Path, capsys: Capture
) -> None:
    """In place of a file, or beside one; in no report."""
    (folder / "services").write_text("[mydb]\npassword=secret\nkeepalives_idle=60\n")
    urls = [
        "postgresql://me:secret@db.example/orders?keepalives_idle=340&keepalives_interval=10",
        "jdbc:postgresql://db.example/reports?user=me&password=secret&socketTimeout=30",
        "host=db.example password=secret keepalives_count=200000",
    ]
    demands = ["--path", "aws-nlb", "--detect-within", "120", "--output-format", output_format]
    assert ended("check", *urls[:2], "services", *demands, "--strict") == 1
    captured = capsys.readouterr()
    assert "db.example/orders" in captured.out
    assert "<argument 2>:1:76: socketTimeout ends a read" in captured.err
    assert ended("check", *urls, *demands) == 2
    refused = capsys.readouterr()
    assert "<argument 3>:1:50: keepalives_count: expected an integer from 1 to 127" in refused.err
    assert "secret" not in captured.out + captured.err + refused.out + refused.err


def test_files_without_settings_are_told(folder: Path, capsys: Capture) -> None:
    """Beside others; alone they are an error, as nothing was checked."""
    (folder / "sysctl.conf").write_text("vm.swappiness = 10\n")
    (folder / "tcp.conf").write_text("net.ipv4.tcp_keepalive_time = 60\n")
    assert ended("check", "sysctl.conf", "tcp.conf") == 1
    captured = capsys.readouterr()
    assert "tcp.conf:1:31: warning KA002 system" in captured.out
    assert "sysctl.conf has no settings of TCP connections" in captured.err
    assert ended("check", "sysctl.conf") == 2
    assert "expected settings of TCP connections, found none in sysctl" in capsys.readouterr().err


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_name_that_is_no_text_is_escaped(
    folder: Path, output_format: str, capsys: Capture
) -> None:
    """Linux allows any octets in it, and no report does."""
    name = os.fsdecode(b"\xff.policy.toml")
    (folder / name).write_text("[connections.db]\nidle_s = 340\npath = ['aws-nlb']\n")
    assert ended("check", name, "--output-format", output_format, "--strict") == 1
    assert "udcff.policy.toml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a file, POLICY.toml in this folder or settings"),
        (["nowhere.toml"], "nowhere.toml: expected a readable file, found no such file"),
        (["a.conf"], "a.conf: expected a file with settings, found a name and content that fit"),
        (["a.conf", "--format", "polcy"], "found polcy (did you mean policy?)"),
        (
            ["a.toml", "--idle", "5"],
            "expected files, or the settings of one connection, found both (--idle)",
        ),
        (
            ["--idle", "60000"],
            "--idle: expected an integer from 1 to 32767 (seconds) (did you mean 60 s",
        ),
        (["--idle", "1.5"], "--idle: expected an integer from 1 to 32767 (seconds), found 1.5"),
        (["--path", "aws-nbl"], "--path: expected one of: aws-ec2-conntrack"),
        (
            ["--path", "5:vanish"],
            "expected drop, reset, reset-both or proxy after the colon, found vanish",
        ),
        (["--path", "350ms"], "expected an idle timeout in whole seconds, found 350ms"),
        (["--hz", "x"], "expected numbers such as 250,1000, found x"),
        (["--hz", "5"], "--hz: expected an integer from 12 to 10000, found 5"),
        (["--idle", "5", "--select", "KA999"], "expected the id of a rule (KA001, "),
        (
            ["--idle", "5", "--output-format", "xml"],
            "expected one of: text, json, github, gitlab, junit, sarif, found xml",
        ),
        (
            ["--user-timeout", "0.0001"],
            "--user-timeout: expected seconds in whole milliseconds, found 0.0001",
        ),
    ],
)
def test_what_is_wrong_with_a_command_line(
    folder: Path, arguments: Sequence[str], message: str, capsys: Capture
) -> None:
    """Exit status 2, and one sentence."""
    (folder / "a.conf").write_text("")
    assert ended("check", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_explain_prints_a_page_or_the_list(capsys: Capture) -> None:
    """An unknown rule is a usage error."""
    for name in ("KA003", "ka003", "ka3", "3"):
        assert ended("explain", name) == 0
        assert capsys.readouterr().out.startswith("# KA003 (error): the probe comes after ")
    assert ended("explain") == 0
    assert "KA100  warning  a suppression hides nothing" in capsys.readouterr().out
    assert ended("explain", "KA999") == 2
    assert "found KA999 (did you mean KA" in capsys.readouterr().err


def test_a_proof_without_a_kernel_says_how_to_build_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Nothing is proven then: 3 where the findings are sound, after the findings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert ended("check", *SOUND, "--hz", "1000", "--prove") == 3
    shown = capsys.readouterr().out
    assert "not proven at HZ=1000: there is no kernel for it" in shown
    assert "harness kernel build --hz 1000" in shown
    assert ended("check", *LATE, "--hz", "1000", "--prove", "--output-format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["proof"] == {"proofs": [], "missing_hz": [1000], "folder": ""}


def test_a_report_without_proofs_leaves_them_to_standard_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """SARIF and Code Quality have no place for measurements. What is missing ends with 3 all the
    same.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert ended("check", *SOUND, "--hz", "1000", "--prove", "--output-format", "sarif") == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["version"] == "2.1.0"
    assert "not proven at HZ=1000" in captured.err


def test_a_file_of_a_policy_that_cannot_be_read_hides_no_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the other files are reported; the status says that something was not read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "redis.conf").write_text("tcp-keepalive 300\n")
    (tmp_path / "compose.yaml").write_text("services: [\n")
    files = '[files."compose.yaml"]\n[files."redis.conf"]\ndetect_idle_within_s = 60\n'
    (tmp_path / "POLICY.toml").write_text(files)
    assert main.main(["check"]) == 2
    captured = capsys.readouterr()
    assert "redis.conf:1:15: error KA015" in captured.out
    assert "compose.yaml:2:1: expected valid YAML" in captured.err
    (tmp_path / "POLICY.toml").write_text('[files."compose.yaml"]\n')
    assert main.main(["check"]) == 2
    assert "compose.yaml:2:1: expected valid YAML" in capsys.readouterr().err
