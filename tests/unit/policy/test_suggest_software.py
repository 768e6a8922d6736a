"""What is suggested for a file is what its software can be told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.policy import reader
from harness.policy.settings import Heartbeat
from harness.policy.suggest import Suggestion, suggest
from harness.policy.suggest_software import for_its_software

FILES = {
    "redis.conf": "tcp-keepalive 300\n",
    "sshd_config": "ClientAliveInterval 300\n",
    "sysctl.conf": "net.ipv4.tcp_keepalive_time = 600\n",
    "app.toml": "[connections.app]\nidle_s = 600\n",
}


def suggested(folder: Path, name: str, **demands: float) -> Suggestion:
    """For the one connection of a file, with these demands."""
    (folder / name).write_text(FILES[name])
    (found,) = reader.read(folder / name, name)
    terms = msgspec.structs.replace(found.terms, hz=(250,), **demands)
    return for_its_software(suggest(msgspec.structs.replace(found, terms=terms)))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("redis.conf", "tcp-keepalive 56\n"),
        ("sshd_config", "ClientAliveInterval 60\nClientAliveCountMax 1\n"),
    ],
)
def test_other_settings_that_can_be_written_meet_the_demands(
    tmp_path: Path, name: str, lines: str
) -> None:
    """The lines are what the answer and its proof are about."""
    found = suggested(tmp_path, name, detect_idle_within_s=120, survive_s=20)
    assert (found.lines, found.unwritable, found.exit_status) == (lines, "", 0)
    assert found.checked is not None
    if name == "redis.conf":
        assert found.checked.connection.settings.interval_s == 18
    else:
        beat = Heartbeat(every_s=60, timeout_s=60, misses=1, apart=True)
        assert found.checked.connection.terms.heartbeat == beat


def test_what_has_no_directive_is_said(tmp_path: Path) -> None:
    """The options of the socket would meet the demands, and the file cannot hold them."""
    found = suggested(tmp_path, "redis.conf", detect_within_s=120)
    assert "redis-server: expected settings that it has a directive for" in found.unwritable
    assert (found.lines, found.exit_status) == ("", 1)


def test_the_system_is_told_its_retransmissions(tmp_path: Path) -> None:
    """In place of a user timeout."""
    found = suggested(tmp_path, "sysctl.conf", detect_within_s=120)
    assert "net.ipv4.tcp_retries2 = 8\n" in found.lines
    assert found.exit_status == 0


def test_a_policy_has_words_for_all(tmp_path: Path) -> None:
    """Its connections are no file's of other software."""
    found = suggested(tmp_path, "app.toml", detect_within_s=120)
    assert (found.lines, found.unwritable) == ("", "")
    assert found.checked is not None
    assert found.checked.connection.terms.user_timeout_s


def test_what_needs_no_settings_stays(tmp_path: Path) -> None:
    """Nothing is written for it."""
    found = suggested(tmp_path, "redis.conf")
    assert (found.lines, found.unwritable, found.exit_status) == ("", "", 0)
