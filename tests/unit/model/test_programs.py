"""What may run at an end of the connection, as values."""

from __future__ import annotations

from harness.model.programs import spelled


def test_placeholders_need_no_quotes() -> None:
    """What a shell would take apart does."""
    assert spelled(["./client", "{server}", "{port}"]) == "./client {server} {port}"
    assert spelled(["sh", "-c", "exec nc {server}", ""]) == "sh -c 'exec nc {server}' ''"
    assert spelled(["ssh", "$HOME"]) == "ssh '$HOME'"
