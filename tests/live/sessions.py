"""What sessions of the pytest plugin are given to run: scenario files, and the head of a test
written by hand.
"""

from __future__ import annotations

OUTAGE = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = {count}

[[faults]]
kind = "{kind}"
at_s = 0.2

[expect]
outcome = "detected"
errno = "{errno}"
"""
PROVEN = OUTAGE.format(count=1, kind="blackhole", errno="ETIMEDOUT")
"""Detected after 2.0 to 2.1 s."""
RESET = OUTAGE.format(count=1, kind="peer-reboot", errno="ECONNRESET")
"""Detected after 1.0 s."""
REFUTED = OUTAGE.format(count=1, kind="peer-reboot", errno="ETIMEDOUT")
"""The peer answers with RST after 1.0 s all the same."""
HEAD = """
    import errno, socket, sys
    import pytest
    from harness import Blackhole, Endpoint, FirewallIdle, Keepalive, LinkDown, PeerReboot, ProcessKill

    ALIVE = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1))
"""  # noqa: E501
