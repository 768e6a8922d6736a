"""Run in a guest: what labs' hosts have in /proc/sys/net before and after every setting of the
machine was changed.

Prints, as JSON, how many settings reach a new namespace, and what differs on the hosts of a lab;
and what a lab sets on the untuned machine. What a namespace may not write is the machine's own and
is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from harness.lab import sysctls
from harness.lab.namespace import Namespace
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import Topology

ROOT = Path("/proc/sys/net")
NOT_TUNED = (
    "flush",
    "stable_secret",
    "tcp_fastopen_key",
    "tcp_child_ehash_entries",
    "udp_child_hash_entries",
)
"""Actions, secrets, and how large the tables of a new namespace are made, which cannot be changed
in it.
"""
LABS = (Topology(kind="nat"), Topology(kind="switched", family="ipv6"))


def _files() -> list[Path]:
    return sorted(
        Path(folder) / name
        for folder, _, names in os.walk(ROOT)
        for name in names
        if name not in NOT_TUNED
    )


def _read() -> dict[str, str]:
    """All settings of the calling thread's namespace that may be written there."""
    found = {}
    for path in _files():
        if path.stat().st_mode & 0o200:
            try:
                found[str(path.relative_to(ROOT))] = path.read_text().strip()
            except OSError:  # it has no value
                continue
    return found


def _tune() -> None:
    """Change what can be changed of this namespace."""
    for path in _files():
        try:
            before = path.read_text()
            *others, last = before.split()
            candidates = (
                [str(int(last) + by) for by in (1, -1, 7)]
                if last.lstrip("-").isdigit()
                else ["cubic"]
            )
        except (OSError, ValueError):
            continue
        for candidate in candidates:
            try:
                path.write_text(" ".join([*others, candidate]))
            except OSError:
                continue
            if path.read_text() != before:
                break
    (ROOT / "core/devconf_inherit_init_net").write_text("1")  # so that it has IPv6's settings, too


def _of_labs() -> dict[str, str]:
    """The settings of all hosts of the labs."""
    found: dict[str, str] = {}
    for topology in LABS:
        with NetnsLab(topology) as lab:
            for name in lab.layout.host_names:
                with lab.host(name).entered():
                    found |= {
                        f"{topology.kind} {name} {key}": value for key, value in _read().items()
                    }
    return found


def _of_a_namespace() -> dict[str, str]:
    namespace = Namespace()
    with namespace.entered():
        found = _read()
    namespace.close()
    return found


def _elsewhere(what: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What a process of its own finds."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        with os.fdopen(write_end, "w") as file:
            json.dump(what(), file)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as file:
        found: dict[str, str] = json.load(file)
    os.wait()
    return found


def _differing(one: dict[str, str], other: dict[str, str]) -> dict[str, list[str | None]]:
    return {
        key: [one.get(key), other.get(key)]
        for key in one.keys() | other.keys()
        if one.get(key) != other.get(key)
    }


def main() -> None:
    """Compare before and after."""
    labs, namespace = _elsewhere(_of_labs), _elsewhere(_of_a_namespace)
    set_untuned = _elsewhere(lambda: dict(sysctls.taken_over()))
    _tune()
    reached = _differing(namespace, _elsewhere(_of_a_namespace))
    differing = _differing(labs, _elsewhere(_of_labs))
    found = {
        "read": len(labs),
        "reached": len(reached),
        "differing": differing,
        "set_untuned": [*set_untuned],
    }
    print(json.dumps(found))  # noqa: T201 - for the test that runs it


if __name__ == "__main__":
    main()
