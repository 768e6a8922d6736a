"""What a process has loaded that can pack messages of netlink."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PACKS = "from harness.lab.rtnetlink_socket import RtnetlinkSocket; import sys"


def printed(code: str) -> str:
    """What a fresh interpreter prints."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def test_messages_load_no_sockets_of_the_library() -> None:
    """Nor its event loop."""
    found = printed(
        f"{PACKS}; print([m for m in ('pyroute2.iproute', 'asyncio') if m in sys.modules])"
    )
    assert found == "[]"


@pytest.mark.parametrize(
    "code",
    [
        f"{PACKS}; from pyroute2 import IPRoute; print(IPRoute.__name__)",
        f"{PACKS}; import pyroute2; print(pyroute2.IPRoute.__name__)",
        f"from pyroute2 import IPRoute; {PACKS}; print(IPRoute.__name__)",
        f"{PACKS}; from pyroute2.iproute import IPRoute; print(IPRoute.__name__)",
        f"{PACKS}; import pyroute2; print(pyroute2.iproute.IPRoute.__name__)",
    ],
)
def test_the_library_is_there_as_ever(code: str) -> None:
    """For tests that use it, before or after."""
    assert printed(code) == "IPRoute"


def test_a_name_that_the_library_has_not() -> None:
    """It is missing as in any package."""
    code = f"{PACKS}; import pyroute2; print(hasattr(pyroute2, 'none'), hasattr(pyroute2, '__x__'))"
    assert printed(code) == "False False"
