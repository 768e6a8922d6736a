"""What known middleboxes do with idle connections, as their makers document it. Pure data.

A preset gives a firewall its idle timeout and what it does then; keys that a scenario states itself
come first. Where a maker documents no behaviour at expiry, `then` is None and the scenario must
state it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Then = Literal["drop", "reset", "reset-both"]
"""drop: a later packet vanishes.

Reset: its sender gets RST; reset-both: both ends get RST in the moment of expiry.
"""
Pickup = Literal["strict", "loose", "outbound"]
"""Whose packet, in the middle of a connection, makes a flow known again whose state was dropped.

strict: nobody's (nf_conntrack_tcp_loose=0); loose: anybody's; outbound: the client's, but not the
server's.
"""
PresetName = Literal[
    "aws-ec2-conntrack",
    "aws-ec2-conntrack-nitro-v6",
    "aws-nat-gateway",
    "aws-nlb",
    "azure-lb",
    "azure-lb-tcp-reset",
    "cisco-asa",
    "f5-l4",
    "gcp-cloud-nat",
    "gcp-vpc",
    "k8s-ipvs",
    "linux-conntrack",
    "palo-alto",
    "rfc5382-floor",
]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """One middlebox as it is delivered.

    `timeout_s`: idle seconds; `source`: the document that says so.
    """

    timeout_s: int
    then: Then | None = None
    pickup: Pickup = "strict"
    source: str


PRESETS: dict[PresetName, Preset] = {
    "aws-ec2-conntrack": Preset(
        timeout_s=432_000, source="EC2 API: ConnectionTrackingSpecificationRequest"
    ),
    "aws-ec2-conntrack-nitro-v6": Preset(
        timeout_s=350, source="EC2 API: ConnectionTrackingSpecificationRequest"
    ),
    "aws-nat-gateway": Preset(
        timeout_s=350,
        then="reset",
        source="AWS VPC: NAT gateway troubleshooting; NAT comparison (RST, no FIN)",
    ),
    "aws-nlb": Preset(
        timeout_s=350, then="reset", source="AWS: NLB TCP idle timeout, 2024-09 (60 to 6000 s)"
    ),
    "azure-lb": Preset(
        timeout_s=240, then="drop", source="Microsoft Learn: load-balancer-tcp-reset (4 to 100 min)"
    ),
    "azure-lb-tcp-reset": Preset(
        timeout_s=240,
        then="reset-both",
        source="Microsoft Learn: load-balancer-tcp-reset (4 to 100 min)",
    ),
    "cisco-asa": Preset(timeout_s=3600, then="drop", source="Cisco ASA: connection timeout"),
    "f5-l4": Preset(timeout_s=300, then="reset", source="F5 AS3 L4_Profile"),
    "gcp-cloud-nat": Preset(
        timeout_s=1200, then="drop", source="secondary source: Google Cloud NAT is silent"
    ),
    "gcp-vpc": Preset(
        timeout_s=600,
        then="drop",
        pickup="outbound",
        source="Google Cloud: Compute troubleshooting, idle connections",
    ),
    "k8s-ipvs": Preset(timeout_s=900, source="kubernetes/kubernetes#84041 (then dropped or RST)"),
    "linux-conntrack": Preset(
        timeout_s=432_000,
        pickup="loose",
        source="kernel Documentation/networking/nf_conntrack-sysctl.rst",
    ),
    "palo-alto": Preset(timeout_s=3600, source="PAN-OS: session timeouts"),
    "rfc5382-floor": Preset(timeout_s=7440, source="RFC 5382 REQ-5: the least a NAT may allow"),
}
