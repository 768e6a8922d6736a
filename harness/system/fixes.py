"""How to get what is missing, in words that work where the user is: in a checkout, or with an
installed wheel.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

DISTRIBUTION = "keepalive-harness"
Extra = Literal["docker", "fuzz", "toxiproxy"]
Script = Literal["setup", "libraries"]
KERNEL_BUILD = "harness kernel build"
KERNEL_BUILD_TIME = "about 5 minutes on 2 cores"
"""The one figure for it; every text has this one."""
NO_RIGHTS = "run with --clock virtual, which needs no rights"


def checkout() -> Path | None:
    """The checkout that this package is imported from, or None where it was installed."""
    folder = Path(__file__).resolve().parents[2]
    return (
        folder
        if (folder / "ci" / "setup").is_file() and (folder / "pyproject.toml").is_file()
        else None
    )


def install_extra(name: Extra) -> str:
    """How to install an optional dependency into the environment that runs."""
    folder, setup = checkout(), script("setup")
    if folder is None or setup is None:
        return f"{sys.executable} -m pip install '{DISTRIBUTION}[{name}]'"
    if Path(sys.prefix).is_relative_to(folder):  # the environment that ci/setup fills
        return setup
    return f"{sys.executable} -m pip install '{folder}[{name}]'"


def script(name: Script) -> str | None:
    """How to call one of the checkout's scripts, or None where there are none."""
    folder = checkout()
    return None if folder is None else f"call {folder / 'ci' / name}"


def libraries() -> str:
    """How to install the client libraries of the matrix."""
    without = (
        f"call ci/libraries in a checkout of {DISTRIBUTION}; what it installs is found from "
        "here, too"
    )
    return script("libraries") or without


def toxiproxy_server() -> str:
    """How to get toxiproxy-server."""
    release = (
        "put toxiproxy-server of https://github.com/Shopify/toxiproxy/releases on PATH under "
        "this name"
    )
    setup = script("setup")
    return (
        release if setup is None else f"{setup} where there is Go or a docker daemon; or {release}"
    )
