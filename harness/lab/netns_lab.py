"""The netns lab: every host a network namespace, every link a veth pair, built in-process through
rtnetlink.

Building takes a few milliseconds; everything disappears with the last descriptor of its namespaces.
"""

from __future__ import annotations

from harness.errors import LabError
from harness.lab import base_lab
from harness.lab.base_lab import WiredLab
from harness.lab.host import Host
from harness.lab.namespace import Namespace
from harness.model.topology import HostSpec


class NetnsLab(WiredLab):
    """A topology in namespaces of this process."""

    def _make_hosts(self) -> None:
        for spec in self.layout.hosts:
            self._hosts[spec.name] = Host(spec, self._new_namespace(spec))

    def reboot(self, name: str, mac: str | None = None) -> None:
        """Move the host's interface into a fresh namespace, with another MAC where one is given,
        then end the old one.

        Returns when the host can be reached again, where its links are up. Raises LabError.
        """
        host = self._hosts[name]
        fresh = self._new_namespace(host.spec)
        try:
            self._move(host, fresh, mac)
            host.kill_programs()
        except OSError as error:
            raise LabError(f"expected to reboot {name}, found {error}") from error
        finally:
            if host.namespace is not fresh:
                self._retired.append(fresh)
        self._await_reach(host.spec)

    def _new_namespace(self, spec: HostSpec) -> Namespace:
        namespace = Namespace()
        try:
            with namespace.entered():
                base_lab.quieten(self.layout, spec)
        except BaseException:
            namespace.close()
            raise
        return namespace
