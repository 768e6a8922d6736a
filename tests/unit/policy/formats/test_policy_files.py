"""Files of other software in POLICY.toml: what their connections get, and errors at the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.policy import reader
from harness.policy.check import check
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Hop, Place

POLICY = """\
[defaults]
path = ["aws-nlb"]
idle_s = 5
detect_within_s = "2m"
ignore = { KA005 = "bounded elsewhere", KA009 = "never" }

[connections.own]
interval_s = 5
count = 3

[files."deploy/proxy.cfg"]
format = "haproxy"
hz = [250]
ignore = { KA002 = "meant" }

[files."deploy/proxy.cfg".connections."backend app"]
path = []
detect_idle_within_s = 60
ignore = { KA001 = "closed by the servers", KA009 = "here neither" }

[files."sysctl.conf"]
"""
PROXY = """\
frontend www
    bind :80
    option clitcpka
backend app
    server a :8080
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with both files; the working directory is above it."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "fleet"
    (made / "deploy").mkdir(parents=True)
    (made / "deploy" / "proxy.cfg").write_text(PROXY)
    (made / "sysctl.conf").write_text("net.ipv4.tcp_keepalive_time = 60\n")
    return made


def read(folder: Path, text: str = POLICY) -> Sequence[Connection]:
    """The connections of a policy in the folder."""
    (folder / "POLICY.toml").write_text(text)
    return reader.read(folder / "POLICY.toml", "fleet/POLICY.toml")


def test_the_connections_of_files_come_after_those_of_the_policy(folder: Path) -> None:
    """With settings of their file alone, and demands of the policy."""
    own, www, app, system = read(folder)
    assert [each.name for each in (own, www, app, system)] == [
        "own",
        "frontend www",
        "backend app",
        "system",
    ]
    assert (own.terms.idle_s, www.terms.idle_s, system.terms.idle_s) == (5, None, 60)
    assert www.place == Place("fleet/deploy/proxy.cfg", 1, 1)
    assert (www.terms.hz, www.terms.detect_within_s, www.path) == (
        (250,),
        120,
        (Hop(preset="aws-nlb"),),
    )
    assert (app.terms.hz, app.terms.detect_within_s, app.path) == ((250,), 120, ())
    assert (app.terms.detect_idle_within_s, www.terms.detect_idle_within_s) == (60, None)
    assert www.terms.ignore == {
        "KA005": "bounded elsewhere",
        "KA009": "never",
        "KA002": "meant",
    }
    assert app.terms.ignore["KA009"] == "here neither"


def test_suppressions_count_where_they_stand(folder: Path) -> None:
    """One of the file or of the defaults is used if any connection needs it."""
    result = check(read(folder), list(every_rule().values()))
    unused = {
        (each.connection, str(each.place)) for each in result.findings if each.rule == "KA100"
    }
    assert unused == {
        ("backend app", "fleet/POLICY.toml:19:53"),
        ("defaults", "fleet/POLICY.toml:5:49"),
    }


def test_a_finding_points_to_the_file(folder: Path) -> None:
    """Also where a demand of the policy is missed."""
    result = check(read(folder), list(every_rule().values()))
    (found,) = [
        each
        for each in result.findings
        if (each.rule, each.connection) == ("KA003", "frontend www")
    ]
    assert str(found.place) == "fleet/deploy/proxy.cfg:3:5"


def test_a_policy_may_have_files_alone(folder: Path) -> None:
    """The path is from its folder."""
    (found,) = read(folder, "[files.'sysctl.conf']\n")
    assert found.name == "system"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sysctl.conf"', '"nowhere"', "POLICY.toml:21:2: files.nowhere: expected the path of a"),
        ('"sysctl.conf"', '"POLICY.toml"', "expected a file of other software, and no policy"),
        ("backend app", "backend ap", "expected the name of a connection in the file (frontend"),
        ('"haproxy"', '"hproxy"', "POLICY.toml:12:10: files.deploy/proxy.cfg.format: expected a"),
        ("hz = [250]", "idle_s = 9", "POLICY.toml:13:10: files.deploy/proxy.cfg.idle_s: expected"),
        ("KA002", "KA999", "POLICY.toml:14:20: files.deploy/proxy.cfg.ignore.KA999: expected the"),
        ("hz = [250]", "path = [{}]", "files.deploy/proxy.cfg.path[0].idle_timeout_s: expected"),
    ],
)
def test_what_is_wrong_is_told_at_the_table(folder: Path, old: str, new: str, message: str) -> None:
    """In the policy."""
    with pytest.raises(UsageError) as caught:
        read(folder, POLICY.replace(old, new))
    assert message in str(caught.value)


def test_a_file_without_settings_is_an_error(folder: Path) -> None:
    """Nothing would be checked; what is wrong in the file is told at its own line."""
    (folder / "sysctl.conf").write_text("vm.swappiness = 1\n")
    with pytest.raises(UsageError, match=r"expected a file with settings of TCP connections"):
        read(folder)
    (folder / "sysctl.conf").write_text("net.ipv4.tcp_keepalive_time = x\n")
    with pytest.raises(UsageError, match=r"^fleet/sysctl\.conf:1:31: "):
        read(folder)
