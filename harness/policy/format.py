"""What a format of settings is. Each has a file in `harness/policy/formats`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.policy.settings import Connection


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format.

    `fits(path, text)`: whether a file has it. `read(text, source)`: its connections, or
    PolicyError.
    """

    name: str
    title: str
    fits: Callable[[Path, str], bool]
    read: Callable[[str, str], tuple[Connection, ...]]
