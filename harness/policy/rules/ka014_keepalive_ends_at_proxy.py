"""Keepalive ends at a proxy: it says nothing of the server behind it.

A proxy (HAProxy, nginx, Envoy, docker-proxy, a service mesh) ends the TCP connection and makes
another one to the server. It answers the probes itself, even when the server behind it is gone.

The rule fires where there is a proxy on the path, keepalive is on and the application has no
heartbeat. HZ has no say.

How to fix it: a heartbeat of the application, which the proxy passes on; and keepalive on the
proxy's own connection to the server (HAProxy: option srvtcpka; nginx: proxy_socket_keepalive;
Envoy: upstream_connection_options).

Source: moby/moby#38682.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    proxy = next((hop for hop in facts.connection.path if hop.proxy), None)
    if proxy is None or not facts.settings.keepalive or facts.heartbeat is not None:
        return
    yield Draft(
        expected="something that asks the peer itself for a sign of life",
        found=(
            f"keepalive alone, whose probes {proxy.title} answers whether or not the peer behind "
            "it is alive"
        ),
        fix=(
            "add a heartbeat of the application, and set keepalive on the proxy's connection to "
            "the server"
        ),
        keys=("path",),
    )


RULE = Rule(
    id="KA014",
    level="warning",
    title="keepalive ends at a proxy on the path",
    page=__doc__,
    find=_find,
)
