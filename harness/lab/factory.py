"""A lab of the kind that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.model.topology import LabKind, Topology

if TYPE_CHECKING:
    from harness.lab.host import Lab


def built(
    topology: Topology,
    kind: LabKind,
    images: Mapping[str, str] | None = None,
    shown: Collection[Path] = (),
    spares: Collection[str] = (),
) -> AbstractContextManager[Lab]:
    """A lab of a topology, to be entered; `images`, `shown` and `spares` are the docker lab's.

    Raises UsageError.
    """
    if kind == "docker":
        from harness.lab.docker_lab import DockerLab

        return DockerLab(topology, images, shown, spares)
    if images:
        raise UsageError(
            f"images: expected none without containers, found {', '.join(images.values())}"
        )
    from harness.lab.netns_lab import NetnsLab

    return NetnsLab(topology)
