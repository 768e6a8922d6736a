"""Compose files: the sysctls of each service (https://docs.docker.com/reference/compose-file/).

A service without sysctls has the system's: a container's network namespace begins with the kernel's
own values, whatever the host has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.policy import lines, sysctls, yaml_places
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.yaml_places import Node

_EXPECTED = "a sysctl and its value, such as net.ipv4.tcp_keepalive_time=600"
_WHOLE = {"image", "build", "extends", "sysctls"}
"""A service that has one of these keys is meant to run as it stands here."""
_SERVICES = re.compile(
    r"^services:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*[ \t]+[\w.\"'-]+:", re.MULTILINE
)
_KEYS = re.compile(r"^[ \t]+(?:image|build|extends|sysctls):", re.MULTILINE)


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each service. Raises PolicyError.

    Not for what only adds to a service of another file, as an override does, and has no sysctls.
    """
    found = []
    for document in yaml_places.documents(text, source):
        services = document.at("services") or document
        notices = tuple(_not_followed(document, "include"))
        for name, service in services.mapping.items():
            pairs = _in_force(services, service)
            if pairs or service.mapping.keys() & _WHOLE:
                made = sysctls.connection(name, services.keys[name], pairs)
                notices += tuple(_other_file(service))
                found.append(msgspec.structs.replace(made, notices=notices))
                notices = ()
    return tuple(found)


def _in_force(services: Node, service: Node, *behind: Node) -> list[tuple[Word, Word]]:
    """What a service sets after what it has from services of this file, of which the last counts:
    the one that it extends, and the one whose network it shares (`network_mode: service:db`).
    """
    if service in behind:
        return []
    shared = service.at("network_mode")
    names = [(shared.scalar or "").removeprefix("service:")] if shared else []
    extended = service.at("extends")
    if extended is not None and extended.at("file") is None:
        named = extended.at("service") or extended
        names.append(named.scalar or "")
    found = []
    for name in names:
        if name in services.mapping:
            found += _in_force(services, services.mapping[name], *behind, service)
    listed = service.at("sysctls")
    return [*found, *(_pairs(listed) if listed else ())]


def _other_file(service: Node) -> Iterator[Notice]:
    extended = service.at("extends")
    if extended is not None and extended.at("file") is not None:
        yield from _not_followed(service, "extends")


def _not_followed(node: Node, key: str) -> Iterator[Notice]:
    if key in node.keys:
        yield lines.not_followed(Word(key, node.keys[key]))


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
    written = f"\n{listed}" if listed else " {}\n"
    return f"services:\n  app:\n    sysctls:{written}"


def _fits(path: Path, text: str) -> bool:
    return path.suffix in (".yaml", ".yml") and bool(_SERVICES.search(text) and _KEYS.search(text))


FORMAT = Format(
    name="compose",
    title="compose.yaml, docker-compose.yml: sysctls of services",
    fits=_fits,
    read=read,
    write=write,
)
