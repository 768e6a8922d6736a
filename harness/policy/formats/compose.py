"""Compose files: the sysctls of each service (https://docs.docker.com/reference/compose-file/)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.policy import sysctls, yaml_places
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Terms
from harness.policy.yaml_places import Node

_EXPECTED = "a sysctl and its value, such as net.ipv4.tcp_keepalive_time=600"


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each service that sets sysctls of TCP. Raises PolicyError."""
    found = []
    for document in yaml_places.documents(text, source):
        services = document.at("services") or document
        for name, service in services.mapping.items():
            listed = service.at("sysctls")
            pairs = list(_pairs(listed)) if listed else []
            if pairs:
                found.append(sysctls.connection(name, services.keys[name], pairs))
    return tuple(found)


def _pairs(listed: Node) -> Iterator[tuple[Word, Word]]:
    """Those about TCP, of a mapping or of a sequence of `name=value`."""
    for name, node in listed.mapping.items():
        key = Word(name, listed.keys[name])
        if sysctls.is_about_tcp(key):
            yield key, node.word(name, "a number")
    for each in listed.sequence:
        key, value = each.word("sysctls", _EXPECTED).part("=")
        if sysctls.is_about_tcp(key):
            if value is None:
                raise error(key, "sysctls", _EXPECTED)
            yield key, value


def write(terms: Terms) -> str:
    """The key of a service. Raises UsageError."""
    found = sysctls.written(terms, "a service's sysctls")
    listed = "".join(f"      {name}: {value}\n" for name, value in found.items())
    return f"services:\n  app:\n    sysctls:\n{listed}"


def _fits(path: Path, text: str) -> bool:
    is_yaml = path.suffix in (".yaml", ".yml")
    return is_yaml and bool(re.search(r"^services:", text, re.MULTILINE)) and "sysctls:" in text


FORMAT = Format(
    name="compose",
    title="compose.yaml, docker-compose.yml: sysctls of services",
    fits=_fits,
    read=read,
    write=write,
)
