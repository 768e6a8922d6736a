"""Where the harness keeps things of its own on a user's machine (XDG base directories)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """What is slow to make and can be made again: $XDG_CACHE_HOME/keepalive-harness, or below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "keepalive-harness"


def state_folder() -> Path:
    """Where ledgers and unnamed run directories are kept: $XDG_STATE_HOME/keepalive-harness.

    Without that variable ~/.local/state is used, and for a user without a home a folder of the user's own in /tmp.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    if base.is_absolute():
        return base / "keepalive-harness"
    try:
        return Path.home() / ".local" / "state" / "keepalive-harness"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"keepalive-harness-{os.getuid()}"


def libraries_folder() -> Path:
    """Where `ci/libraries` puts what it installs: $XDG_CACHE_HOME/keepalive-harness/libraries."""
    return cache_folder() / "libraries"
