"""What the routers of some topologies do from the start: track connections, and translate the
client's address.

Nothing is filtered here: tracking lets a later fault find connections that it has not seen begin.
nf_conntrack works in a namespace only while some rule there asks for it
(net/netfilter/nf_conntrack_proto.c:nf_ct_netns_get).
"""

from __future__ import annotations

from typing import Any

from harness.lab import nftables
from harness.model.topology import Family, HostSpec

TABLE = "lab"
TRANSLATION_PRIORITY = 100
"""Of the chain that translates, as NF_IP_PRI_NAT_SRC.

A chain before it that chooses a port has the last word.
"""


def set_up(spec: HostSpec, family: Family) -> None:
    """Put the host's own rules into the namespace that the calling thread is in.

    Raises LabError.
    """
    if not spec.tracks:
        return
    where = {"family": "inet", "table": TABLE}
    kind, hook, priority = (
        ("nat", "postrouting", TRANSLATION_PRIORITY)
        if spec.translates
        else ("filter", "forward", 0)
    )
    chain = {
        **where,
        "name": hook,
        "type": kind,
        "hook": hook,
        "prio": priority,
        "policy": "accept",
    }
    rule = _translate(spec, family) if spec.translates else _KNOW
    nftables.run(
        {"add": {"table": {"family": "inet", "name": TABLE}}},
        {"add": {"chain": chain}},
        {"add": {"rule": {**where, "chain": hook, "expr": rule}}},
    )


def toward_server(spec: HostSpec) -> dict[str, Any]:
    """The condition that a packet leaves a translating host toward the server."""
    return {
        "match": {
            "op": "==",
            "left": {"meta": {"key": "oifname"}},
            "right": spec.facing("server").name,
        }
    }


def source(spec: HostSpec, family: Family, ports: tuple[int, int] | None = None) -> dict[str, Any]:
    """The statement that puts the host's address, and a port out of `ports`, in place of the
    source's.

    Not "masquerade", which forgets its connections when the interface goes down
    (nf_nat_masquerade.c: masq_device_event). Without `ports` the port stays, where it is free.
    """
    family_name = "ip" if family == "ipv4" else "ip6"
    translation: dict[str, Any] = {"family": family_name, "addr": spec.facing("server").address}
    if ports is not None:
        translation["port"] = {"range": list(ports)}
    return {"snat": translation}


def _translate(spec: HostSpec, family: Family) -> list[dict[str, Any]]:
    return [toward_server(spec), source(spec, family)]


_KNOW: list[dict[str, Any]] = [
    {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}},
    {"accept": None},
]
