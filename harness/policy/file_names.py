"""The names of files by which formats are told, by the module of the format.

They stand here and not in the modules, so that a file loads the module of its own format alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OWN = "policy_toml"
"""The module of POLICY.toml, the harness's own format."""
FILE_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        OWN: ("*.toml",),
        "compose": (
            "compose.y*ml",
            "compose.*.y*ml",
            "docker-compose.y*ml",
            "docker-compose.*.y*ml",
        ),
        "envoy": ("envoy.y*ml", "envoy.json", "envoy-*.y*ml", "envoy/*.y*ml"),
        "haproxy": ("haproxy.cfg", "haproxy/*.cfg", "haproxy/conf.d/*.cfg", "*.haproxy.cfg"),
        "nginx": ("nginx.conf", "nginx/conf.d/*.conf", "nginx/sites-*/*", "*.nginx.conf"),
        "pg_service": ("pg_service.conf", ".pg_service.conf"),
        "postgresql_conf": ("postgresql.conf", "postgresql.auto.conf"),
        "redis_conf": ("redis.conf", "redis-*.conf", "redis/*.conf"),
        "ssh_config": ("ssh_config", "ssh_config.d/*.conf", ".ssh/config"),
        "sshd_config": ("sshd_config", "sshd_config.d/*.conf"),
        "sysctl_conf": ("sysctl.conf", "sysctl.d/*.conf"),
        "systemd_socket": ("*.socket", "*.socket.d/*.conf"),
    }
)
"""Patterns, which are matched with the end of a path."""
