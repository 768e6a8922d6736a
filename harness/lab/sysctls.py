"""What a lab's host has in /proc/sys/net, however this machine is tuned.

A new network namespace does not begin with the kernel's defaults: it takes several hundred values
over from the machine's first one, among them the routing and ARP settings of interfaces
(net/ipv4/devinet.c:devinet_init_net), how neighbours are asked for
(net/core/neighbour.c:neigh_parms_alloc) and the sizes of TCP's buffers
(net/ipv4/tcp_ipv4.c:tcp_sk_init). Here is what each of them is in a lab: the kernel's own default,
or, where that hangs on the machine's memory or configuration, one value for all machines.

What a namespace sees and may not set is the machine's and stays so, such as net.core.rmem_max.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from harness.errors import LabError
from harness.lab.namespace import Namespace, read_sysctl, write_sysctl

Settings = tuple[tuple[str, str], ...]
"""Dotted names with values, in the order in which they are set."""

_OF_NAMESPACE = {
    # The one that every kernel has and every namespace may choose.
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.tcp_max_tw_buckets": "16384",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
}
_ZERO_IPV4 = (
    "forwarding",  # first, as it changes others
    "accept_local",
    "arp_accept",
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "arp_notify",
    "bc_forwarding",
    "bootp_relay",
    "disable_policy",
    "disable_xfrm",
    "drop_gratuitous_arp",
    "drop_unicast_in_l2_multicast",
    "force_igmp_version",
    "ignore_routes_with_linkdown",
    "log_martians",
    "medium_id",
    "promote_secondaries",
    "proxy_arp",
    "proxy_arp_pvlan",
    "route_localnet",
    "rp_filter",
    "src_valid_mark",
    "tag",
)
_IPV4 = {
    **dict.fromkeys(_ZERO_IPV4, "0"),
    "accept_redirects": "1",
    "accept_source_route": "1",
    "arp_evict_nocarrier": "1",
    "igmpv2_unsolicited_report_interval": "10000",
    "igmpv3_unsolicited_report_interval": "1000",
    "secure_redirects": "1",
    "send_redirects": "1",
    "shared_media": "1",
}
"""net/ipv4/devinet.c:ipv4_devconf_dflt."""
_ZERO_IPV6 = (
    "disable_ipv6",  # these two first, as they change others
    "forwarding",
    "accept_ra_from_local",
    "accept_ra_min_lft",
    "accept_ra_rt_info_max_plen",
    "accept_ra_rt_info_min_plen",
    "accept_source_route",
    "accept_untracked_na",
    "addr_gen_mode",
    "disable_policy",
    "drop_unicast_in_l2_multicast",
    "drop_unsolicited_na",
    "force_forwarding",
    "force_mld_version",
    "force_tllao",
    "ignore_routes_with_linkdown",
    "ioam6_enabled",
    "keep_addr_on_down",
    "ndisc_notify",
    "ndisc_tclass",
    "optimistic_dad",
    "proxy_ndp",
    "ra_honor_pio_life",
    "ra_honor_pio_pflag",
    "rpl_seg_enabled",
    "seg6_enabled",
    "seg6_require_hmac",
    "use_oif_addrs_only",
    "use_optimistic",
    "use_tempaddr",
)
_ONE_IPV6 = (
    "accept_dad",
    "accept_ra",
    "accept_ra_defrtr",
    "accept_ra_min_hop_limit",
    "accept_ra_mtu",
    "accept_ra_pinfo",
    "accept_ra_rtr_pref",
    "accept_redirects",
    "autoconf",
    "dad_transmits",
    "enhanced_dad",
    "ndisc_evict_nocarrier",
    "router_solicitation_delay",
    "suppress_frag_ndisc",
)
_IPV6 = {
    **dict.fromkeys(_ZERO_IPV6, "0"),
    **dict.fromkeys(_ONE_IPV6, "1"),
    "hop_limit": "64",
    "ioam6_id": "65535",
    "ioam6_id_wide": "4294967295",
    "max_addresses": "16",
    "max_desync_factor": "600",
    "mldv1_unsolicited_report_interval": "10000",
    "mldv2_unsolicited_report_interval": "1000",
    "mtu": "1280",
    "ra_defrtr_metric": "1024",
    "regen_max_retry": "3",
    "regen_min_advance": "2",
    "router_probe_interval": "60",
    "router_solicitation_interval": "4",
    "router_solicitation_max_interval": "3600",
    "router_solicitations": "-1",
    "temp_prefered_lft": "86400",
    "temp_valid_lft": "604800",
}
"""net/ipv6/addrconf.c:ipv6_devconf_dflt.

Taken over where net.core.devconf_inherit_init_net is 1.
"""
_SCOPES: Mapping[str, Mapping[str, str]] = {
    "net.ipv4.conf.all": {**_IPV4, "accept_source_route": "0"},
    "net.ipv4.conf.default": _IPV4,
    "net.ipv4.conf.lo": {**_IPV4, "disable_policy": "1", "disable_xfrm": "1"},
    "net.ipv6.conf.all": {**_IPV6, "accept_dad": "0"},
    "net.ipv6.conf.default": _IPV6,
    "net.ipv6.conf.lo": {**_IPV6, "accept_dad": "-1", "mtu": "65536", "use_tempaddr": "-1"},
}
_DEFAULTS = ("net.ipv4.conf.default", "net.ipv6.conf.default")
_NEIGHBOURS = {
    "anycast_delay": "100",
    "app_solicit": "0",
    "base_reachable_time_ms": "30000",
    "delay_first_probe_time": "5",
    "gc_stale_time": "60",
    "interval_probe_time_ms": "5000",
    "locktime": "100",
    "mcast_resolicit": "0",
    "mcast_solicit": "3",
    "proxy_delay": "80",
    "proxy_qlen": "64",
    "retrans_time_ms": "1000",
    "ucast_solicit": "3",
    "unres_qlen_bytes": "212992",
}
"""net/ipv4/arp.c:arp_tbl; the first namespace alone has a default for these, each device of any
other takes it over.
"""
_NEIGHBOURS_OF: Mapping[str, Mapping[str, str]] = {
    "net.ipv4.neigh": _NEIGHBOURS,
    "net.ipv6.neigh": {**_NEIGHBOURS, "locktime": "0"},
}


def settle(devices: Iterable[str] = ()) -> None:
    """Set what the calling thread's namespace has taken over, before it is set up. Raises LabError.

    `devices`: those that are in it already, beside the loopback device.
    """
    for name, value in taken_over():
        _set(name, value)
    for device in devices:
        for name, value in taken_over():
            scope, _, key = name.rpartition(".")
            if scope in _DEFAULTS and key != "mtu":
                _set(f"{scope.removesuffix('default')}{device}.{key}", value)
    settle_neighbours(["lo", *devices])


def settle_neighbours(devices: Iterable[str]) -> None:
    """The same of devices that have come into the calling thread's namespace since.

    Raises LabError.

    All else they have from the namespace's own defaults.
    """
    for device in devices:
        for table, key, value in _taken_over_by_devices():
            _set(f"{table}.{device}.{key}", value)


@functools.cache
def taken_over() -> Settings:
    """What a new namespace has otherwise than a lab's host.

    Some hundred values are read for that, in two milliseconds, so they are read once in a process.
    """
    wanted = [*_OF_NAMESPACE.items()]
    wanted += [
        (f"{scope}.{key}", value)
        for scope, values in _SCOPES.items()
        for key, value in values.items()
    ]
    return _differing(wanted)


@functools.cache
def _taken_over_by_devices() -> tuple[tuple[str, str, str], ...]:
    """The same of how devices ask for neighbours: table, key and value."""
    wanted = {
        f"{table}.lo.{key}": (table, key)
        for table, values in _NEIGHBOURS_OF.items()
        for key in values
    }
    differing = _differing(
        (name, _NEIGHBOURS_OF[table][key]) for name, (table, key) in wanted.items()
    )
    return tuple((*wanted[name], value) for name, value in differing)


def _differing(wanted: Iterable[tuple[str, str]]) -> Settings:
    """Those of the settings that a new namespace of this kernel has, with another value."""
    namespace = Namespace()
    try:
        with namespace.entered():
            return tuple(
                (name, value)
                for name, value in wanted
                if _value(name).split() not in ([], value.split())
            )
    finally:
        namespace.close()


def _value(name: str) -> str:
    """What the setting is; "" where this kernel, by its version or configuration, has none of the
    name.
    """
    try:
        return read_sysctl(name)
    except LabError:
        return ""


def _set(name: str, value: str) -> None:
    """Raise LabError with what it is about, where that fails."""
    try:
        write_sysctl(name, value)
    except LabError as error:
        raise LabError(
            f"{error}; a lab's hosts take nothing over from this machine, whose value is another"
        ) from error
