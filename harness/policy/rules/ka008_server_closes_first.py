"""A server closes an idle connection before its load balancer does.

A load balancer or reverse proxy keeps connections to the server open for later requests. If the
server closes one after its own idle timeout, a request may be on its way at that moment: it crosses
the FIN, is answered with RST, and the client gets 502. If the load balancer closes first, no
request can be on its way.

The rule fires for `side = "server"` where `idle_close_s` does not exceed the idle timeout of a
proxy on the path. HZ has no say.

How to fix it: an idle timeout of the server that is a few seconds longer than the load balancer's.

Source: RFC 9112, section 9.5; superlog#402, sigstore/rekor-tiles#960.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy import words
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule


def _find(facts: Facts) -> Iterator[Draft]:
    close_s = facts.terms.idle_close_s
    if facts.terms.side != "server" or close_s is None:
        return
    proxies = {
        hop.limit_s: hop for hop in facts.connection.path if hop.proxy and hop.limit_s is not None
    }
    later = [limit_s for limit_s in proxies if limit_s >= close_s]
    if not later:
        return
    limit_s = max(later)
    yield Draft(
        expected=(
            f"the server to keep idle connections longer than {proxies[limit_s].title}, {limit_s} s"
        ),
        found=f"it closes them after {words.plain(close_s)} s, when a request may be on its way",
        fix=f"set idle_close_s above {limit_s}, or shorten the idle timeout of the proxy",
        keys=("idle_close_s",),
    )


RULE = Rule(
    id="KA008",
    level="error",
    title="a server closes idle connections before its load balancer",
    page=__doc__,
    find=_find,
)
