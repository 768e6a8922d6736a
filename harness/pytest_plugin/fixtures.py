"""The types of the plugin's fixtures, for annotations; importing them loads nothing else.

`harness` has them all: LabFixture, AttachFixture, and the types of what these return.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.api.container_session import Attachment
    from harness.api.lab_session import Workbench
    from harness.model.topology import Family, Kind, LabKind


class LabFixture(Protocol):
    """The fixture `lab`: call it as often as needed.

    Each lab is taken down at the end of the test.
    """

    def __call__(
        self,
        kind: Kind = "routed",
        family: Family = "ipv4",
        *,
        lab: LabKind | None = None,
        images: Mapping[str, str] | None = None,
    ) -> Workbench:
        """Build a lab and return it, ready for use.

        `kind`: the topology. `family`: "ipv4" or "ipv6". `lab`: "netns" or "docker"; None: what the
        option --lab says. `images`: of containers, by host. Raises UsageError, CapabilityError,
        LabError.
        """
        ...


class AttachFixture(Protocol):
    """The fixture `attach`: attaches to containers that run already, until the end of the test.

    Needs root.
    """

    def __call__(self, name: str, *, family: Family = "ipv4", device: str = "") -> Attachment:
        """Attach to a container by its name, its ID, or its service in `compose_project`.

        `device`: the interface that faults work on; "": the one of the default route. Raises
        UsageError, CapabilityError, LabError.
        """
        ...
