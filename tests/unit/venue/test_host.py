"""The venue on this kernel, where runs cannot go on."""

from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from harness.errors import CapabilityError
from harness.venue import host
from tests.unit.timelines import unreachable


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), MemoryError()])
def test_what_cannot_be_recorded_is_not_awaited(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline would be minutes away."""

    def execute(*_: object) -> None:
        raise error

    monkeypatch.setattr(host, "execute", execute)
    monkeypatch.setattr(host, "_prepare", lambda **_: None)
    with pytest.raises(type(error)):
        list(host.run_all([unreachable()], tmp_path, lambda *_: None))


@pytest.mark.parametrize("most", [0, 2])
def test_fewer_threads_than_runs(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that can be started do the work of all; without any nothing is begun."""
    begun: list[threading.Thread] = []

    def begin(thread: threading.Thread) -> None:
        if len(begun) == most:
            raise CapabilityError("threads", "can't start new thread", "raise the limit")
        begun.append(thread)

    monkeypatch.setattr(host, "begin", begin)
    if most:
        assert host._begin(lambda: None, 5) == most
    else:
        with pytest.raises(CapabilityError):
            host._begin(lambda: None, 5)


@pytest.mark.parametrize(("mebibytes", "workers"), [(256, 1), (319, 1), (320, 2), (768, 9), (100_000, 20)])
def test_fewer_runs_at_once_in_little_memory(mebibytes: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit into the limit of the address space."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (mebibytes << 20, resource.RLIM_INFINITY))
    monkeypatch.setattr(host, "reachable_limit", lambda _: 1 << 20)
    assert host._workers([unreachable()] * 20, None) == workers
