"""What is printed, whatever the terminal's encoding."""

from __future__ import annotations

import io
import sys

import pytest

from harness.system import streams


def test_a_report_keeps_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """After what was printed before it, which has the terminal's."""
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, "ascii", errors="replace"))
    streams.say("text: ü")
    streams.put('{"ü": 1}\n'.encode())
    assert octets.getvalue() == 'text: ?\n{"ü": 1}\n'.encode()
