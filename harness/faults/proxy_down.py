"""A toxiproxy-server that is told to close its connections and to listen no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.faults.base import Evidence
from harness.faults.of_toxiproxy import OfToxiproxy, counted, proxy_host
from harness.model.topology import SIDES, Layout, Side
from harness.model.values import count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab


class ProxyDown(OfToxiproxy, frozen=True, kw_only=True, tag="proxy-down"):
    """The proxy is disabled: it closes its connections and listens no more.

    Healed, it listens again.

    Evidence: what the server says of it, and the ends (FIN, RST) that left its host.
    """

    summary: ClassVar[str] = "the proxy closes its connections and listens no more"

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return frozenset((host, "listening") for host in self.hosts(layout))

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return (Effect(mechanism="peer-closed", from_s=self.at_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import toxiproxy_server

        host = proxy_host(lab)
        with ExitStack() as stack:
            counters = [counted(lab, sink, stack) for sink in SIDES]
            with toxiproxy_server.calls(host) as library:
                toxiproxy_server.proxy(library).disable()

            def evidence() -> Evidence:
                with toxiproxy_server.calls(host) as library:
                    found = library.Toxiproxy().get_proxy(toxiproxy_server.PROXY)
                ended = sum(counter().closed for counter in counters)
                level: Literal["none", "in-place", "bit"] = "bit" if ended else "in-place"
                if found is None or found.enabled:
                    level = "none"
                state = "unknown" if found is None else "enabled" if found.enabled else "disabled"
                return Evidence(
                    level=level,
                    found=f"the proxy is {state}, {count(ended, 'FIN or RST')} left its host",
                )

            try:
                yield evidence
            finally:
                with toxiproxy_server.calls(host) as library:
                    toxiproxy_server.proxy(library).enable()
