"""`harness vtime`, as far as no guest is needed for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.errors import GuestError
from harness.venue import guest_command, vtime
from harness.venue.guest_process import Guest


def test_garbage_in_the_clocks_file(tmp_path: Path) -> None:
    """A program in the guest may write to it; that is no defect of the harness."""
    guest = cast("Guest", SimpleNamespace(folder=tmp_path))
    (tmp_path / guest_command.CLOCK_FILE).write_bytes(b"12.5")
    assert vtime._virtual_s(guest) == 12.5
    for garbage in (b"soon", b"\xff\xfe", b""):
        (tmp_path / guest_command.CLOCK_FILE).write_bytes(garbage)
        with pytest.raises(GuestError, match="expected seconds in the guest's file 'clock'"):
            vtime._virtual_s(guest)
