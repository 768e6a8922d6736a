"""Surveys of live sockets that never were, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.model.live_sockets import LiveSocket, Network, Options, Process, Survey, Sysctls

LINUX = Sysctls(idle_s=7200, interval_s=75, count=9, retries=15)
OFF = Options(keepalive=False, idle_s=7200, interval_s=75, count=9, user_timeout_ms=0)
ON = msgspec.structs.replace(OFF, keepalive=True)
SET = Options(keepalive=True, idle_s=60, interval_s=10, count=6, user_timeout_ms=30_000)
UNKNOWN = Options()
REDIS = Process(100, "redis-server", "redis")
APP = Process(200, "app", "www")


def accepted(port: int = 6379, options: Options = OFF, **keys: Any) -> LiveSocket:
    """A connection at that port, from some port."""
    keys = {"far_port": 50_000, "holders": (REDIS,), **keys}
    return LiveSocket(network=1, near_port=port, options=options, **keys)


def connected(port: int = 5432, options: Options = OFF, **keys: Any) -> LiveSocket:
    """A connection to that port."""
    keys = {"near_port": 40_000, "holders": (APP,), **keys}
    return LiveSocket(network=1, far_port=port, options=options, **keys)


def survey(*sockets: LiveSocket, listening: tuple[int, ...] = (6379,), **keys: Any) -> Survey:
    """All of them in one network, of which everything is known."""
    network = keys.pop("network", Network(4026531840, LINUX, frozenset(listening)))
    return Survey(hz=250, sockets=sockets, networks={1: network}, **keys)
