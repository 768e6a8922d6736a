"""Devices on a path that no preset is named after: what to write in place of the name."""

from __future__ import annotations

from typing import get_args

from harness.model.firewall_presets import PresetName
from harness.system.spelling import did_you_mean

PROXIES = frozenset({"alb", "envoy", "haproxy", "nginx", "pgbouncer", "proxy", "traefik"})
"""Words in the names of devices that end TCP themselves."""


def expected(name: str, *, as_option: bool) -> str:
    """What messages expect in place of an unknown name: in an option, or else in a file."""
    presets = get_args(PresetName)
    if as_option:
        timeout = "an idle timeout such as 350:reset, 600:drop or 60:proxy"
        proxy = "60:proxy"
    else:
        timeout = 'a table such as { idle_timeout_s = 350, then = "reset" }'
        proxy = "{ idle_timeout_s = 60, proxy = true }"
    hint = did_you_mean(name, presets)
    if PROXIES.intersection(name.lower().split("-")):
        hint = (
            f" ({name} is a proxy, which ends TCP itself: write {proxy}, with its idle timeout in "
            "place of 60)"
        )
    return f"one of: {', '.join(presets)}, or {timeout}{hint}"
