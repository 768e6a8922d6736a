"""Scenarios on hosts whose administrators have tuned the network: in a guest, which stands in for
such a host.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.attack import claims
from tests.attack.arena import LIMIT_S, Arena, Ended

SCENARIOS = 14
_ALL, _DEFAULT = "net/ipv4/conf/all", "net/ipv4/conf/default"
_ALL6, _DEFAULT6 = "net/ipv6/conf/all", "net/ipv6/conf/default"


def _both(name: str, value: str) -> dict[str, str]:
    return {f"{_ALL}/{name}": value, f"{_DEFAULT}/{name}": value}


def _both6(name: str, value: str) -> dict[str, str]:
    return {f"{_ALL6}/{name}": value, f"{_DEFAULT6}/{name}": value}


def _tcp(**values: object) -> dict[str, str]:
    return {f"net/ipv4/tcp_{name}": str(value) for name, value in values.items()}


PROFILES: Mapping[str, Mapping[str, str]] = {
    "hardened": {
        **_both("rp_filter", "1"),
        **_both("log_martians", "1"),
        **_both("accept_redirects", "0"),
        **_both("secure_redirects", "0"),
        **_both("send_redirects", "0"),
        **_both("accept_source_route", "0"),
        **_both6("accept_ra", "0"),
        **_both6("accept_redirects", "0"),
        "net/ipv4/icmp_echo_ignore_all": "1",
        "net/ipv4/icmp_ignore_bogus_error_responses": "1",
        **_tcp(syncookies=1, rfc1337=1, timestamps=0, challenge_ack_limit=10),
    },
    "long-distance": {
        "net/core/rmem_max": "134217728",
        "net/core/wmem_max": "134217728",
        "net/core/default_qdisc": "fq",
        **_tcp(
            rmem="4096 87380 67108864",
            wmem="4096 65536 67108864",
            mtu_probing=1,
            slow_start_after_idle=0,
        ),
        **_tcp(no_metrics_save=1, moderate_rcvbuf=0),
    },
    "small-memory": {
        **_tcp(rmem="4096 4096 8192", wmem="4096 4096 8192", max_orphans=16),
        "net/core/somaxconn": "1",
    },
    "fast-failover": _tcp(
        retries1=1, retries2=3, syn_retries=1, synack_retries=1, orphan_retries=1, fin_timeout=5
    ),
    "patient": _tcp(
        retries2=30, syn_retries=12, synack_retries=12, orphan_retries=20, fin_timeout=300
    ),
    "keepalive": _tcp(keepalive_time=60, keepalive_intvl=1, keepalive_probes=2),
    "router": {
        **_both("forwarding", "1"),
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/all/forwarding": "1",
        **_both("ignore_routes_with_linkdown", "1"),
        **_both6("ignore_routes_with_linkdown", "1"),
        **_both("arp_ignore", "1"),
        **_both("arp_announce", "2"),
        **_both("arp_filter", "1"),
    },
    "paranoid-arp": {
        **_both("arp_ignore", "8"),
        **_both("arp_accept", "1"),
        **_both("drop_gratuitous_arp", "1"),
    },
    "strict-addresses": {
        **_both("rp_filter", "2"),
        **_both("route_localnet", "1"),
        **_both("promote_secondaries", "1"),
    },
    "no-ipv6": _both6("disable_ipv6", "1"),
    "slow-ipv6": {
        **_both6("accept_dad", "2"),
        **_both6("dad_transmits", "5"),
        **_both6("use_tempaddr", "2"),
    },
    "old-tcp": _tcp(
        timestamps=0, sack=0, window_scaling=0, dsack=0, ecn=0, recovery=0, early_retrans=0, frto=0
    ),
    "new-tcp": _tcp(
        ecn=1,
        fastopen=3,
        notsent_lowat=16384,
        mtu_probing=2,
        thin_linear_timeouts=1,
        tso_win_divisor=1,
    ),
    "thin-streams": _tcp(
        thin_linear_timeouts=1, syn_linear_timeouts=0, retrans_collapse=0, autocorking=0
    ),
    "impatient-timers": _tcp(rto_min_us=5000, rto_max_ms=2000, reordering=10, tlp_max_probes=0),
    "silent-icmp": {
        "net/ipv4/icmp_ratelimit": "60000",
        "net/ipv4/icmp_ratemask": "65535",
        "net/ipv4/icmp_msgs_per_sec": "1",
        "net/ipv4/icmp_msgs_burst": "1",
        "net/ipv6/icmp/ratelimit": "60000",
    },
    "quick-conntrack": {
        "net/netfilter/nf_conntrack_tcp_timeout_established": "5",
        "net/netfilter/nf_conntrack_tcp_timeout_close": "1",
        "net/netfilter/nf_conntrack_tcp_loose": "0",
        "net/netfilter/nf_conntrack_tcp_be_liberal": "1",
        "net/netfilter/nf_conntrack_max": "16",
        "net/netfilter/nf_conntrack_log_invalid": "6",
    },
    "neighbours": {
        "net/ipv4/neigh/default/base_reachable_time_ms": "1000",
        "net/ipv4/neigh/default/delay_first_probe_time": "1",
        "net/ipv4/neigh/default/ucast_solicit": "1",
        "net/ipv4/neigh/default/mcast_solicit": "1",
        "net/ipv4/neigh/default/gc_stale_time": "1",
        "net/ipv4/neigh/default/gc_thresh1": "0",
        "net/ipv4/neigh/default/retrans_time_ms": "100",
        "net/ipv6/neigh/default/base_reachable_time_ms": "1000",
        "net/ipv6/neigh/default/gc_stale_time": "1",
    },
    "ports": {
        "net/ipv4/ip_local_port_range": "60000 60100",
        "net/ipv4/ip_unprivileged_port_start": "0",
    },
    "path-mtu": {
        "net/ipv4/ip_no_pmtu_disc": "1",
        "net/ipv4/ip_default_ttl": "32",
        "net/ipv4/route/mtu_expires": "1",
    },
}
"""What is tuned, by the purpose for which people do it. A kernel may lack some of them."""

IN_GUEST = """
import json, os, sys
for name, value in json.loads(sys.argv[1]).items():
    try:
        with open(os.path.join("/proc/sys", name), "w") as file:
            file.write(value)
    except OSError as error:
        print("left", name, error.strerror, file=sys.stderr)
os.execv(sys.argv[2], sys.argv[2:])
"""


def drawn(chance: random.Random) -> dict[str, str]:
    """What one host is tuned for: one to three purposes."""
    values: dict[str, str] = {}
    for name in chance.sample(sorted(PROFILES), chance.randint(1, 3)):
        values |= PROFILES[name]
    return values


def on_tuned_host(
    arena: Arena, values: Mapping[str, str], cast: claims.Cast, results: Path
) -> Ended:
    """Run scenarios in a guest, after sysctls were written there."""
    script = arena.folder / "tune.py"
    script.write_text(IN_GUEST)
    run = [
        sys.executable,
        "-m",
        "harness",
        "run",
        *cast.words,
        "--yes",
        "--json",
        str(results),
        "--retries",
        "0",
    ]
    guest = [
        "vtime",
        "--wall-limit",
        "0",  # the arena ends it, and tells one that hangs from one that waits for a CPU
        "--write",
        str(results.parent),
        "--",
        sys.executable,
    ]
    return arena.harness(*guest, str(script), json.dumps(values), *run, statuses={0, 1, 3})


def attack(arena: Arena) -> None:
    """All of them must hold as they do on any other host.

    Nothing is late in virtual time, so all is judged.
    """
    cast = claims.Cast([], {})
    for name in arena.chance.sample(claims.catalogue(), SCENARIOS):
        cast.words.append(name)
        cast.truths[name] = "sound"
    results = arena.folder / "results" / "results.json"
    results.parent.mkdir()
    values = drawn(arena.chance)
    ended = on_tuned_host(arena, values, cast, results)
    if ended.wall_s > LIMIT_S and (arena.failures or arena.inconclusive):
        arena.attempts += SCENARIOS
        return
    claims.check_verdicts(arena, cast, results, ended)
    arena.right(
        not arena.inconclusive, lambda: f"inconclusive in virtual time: {arena.inconclusive}"
    )
    arena.failures[:] = [
        f"{failure}\nwhere the host has {json.dumps(values)}" for failure in arena.failures
    ]
