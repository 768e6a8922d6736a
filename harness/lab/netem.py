"""netem(8) for the TCP segments that leave an interface of the namespace that the calling thread is
in.

A prio queue takes the interface's root, and a filter sends TCP to its second band, where netem is;
everything else, such as ARP and neighbour discovery, passes as before. What waits in the queue when
it is taken away is lost.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

import msgspec

from harness.errors import CapabilityError, FaultError
from harness.lab.netlink import CREATE, EXCLUSIVE, attribute, attributes
from harness.lab.rtnetlink_socket import RtnetlinkSocket

FIX = (
    "use a kernel with CONFIG_NET_SCH_NETEM, CONFIG_NET_SCH_PRIO and CONFIG_NET_CLS_U32 (where "
    "they are modules: "
    "modprobe sch_netem sch_prio cls_u32), or run with --clock virtual"
)
# From include/uapi/linux/pkt_sched.h and pkt_cls.h.
_ROOT, _PRIO, _NETEM, _BAND = 0xFFFFFFFF, 0x10000, 0x20000, 0x10002
_REORDER, _RATE, _LATENCY64, _JITTER64, _PRNG_SEED = 3, 6, 10, 11, 14
_U32_CLASSID, _U32_SEL, _U32_TERMINAL = 1, 5, 1
_NEW_QDISC, _DELETE_QDISC, _GET_QDISC, _NEW_FILTER = 36, 37, 38, 44
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_MESSAGE = struct.Struct("=BxxxiIII")
"""struct tcmsg (linux/rtnetlink.h): family, index, handle, parent, info."""
_STATS_BASIC, _STATS_QUEUE = 1, 3
_BASIC = struct.Struct("=QI")
"""struct gnet_stats_basic (linux/gen_stats.h): octets, packets."""
_QUEUE = struct.Struct("=IIIII")
"""struct gnet_stats_queue: packets, octets, dropped, requeued, over the limit."""
_ALWAYS = 2**32 - 1
_LIMIT = 1000
_KEYS = {0x0800: (8, 0x00FF0000, 0x00060000), 0x86DD: (4, 0x0000FF00, 0x00000600)}
"""EtherType to the word that names the protocol: offset, mask and value for TCP."""


class Impairment(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a segment.

    `loss`, `duplicate`, `ahead`: the share, 0 to 1; `ahead` of those that are delayed.

    `octets_s`: the rate, 0 for none. `seed`: of all that is random (from Linux 6.6 on; older
    kernels pass it over), `spread` before netem gets it.
    """

    seed: int
    loss: float = 0.0
    duplicate: float = 0.0
    ahead: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    octets_s: int = 0


class Counters(msgspec.Struct, frozen=True):
    """TCP segments: passed on, waiting, dropped, sent ahead of others.

    `seeded`: whether the kernel took the seed.
    """

    passed: int
    waiting: int
    dropped: int
    ahead: int
    seeded: bool


def attach(device: str, impairment: Impairment) -> None:
    """Put netem on an interface.

    Raises CapabilityError where the kernel has none, FaultError where it does not fit.
    """
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        try:
            _queue(rtnl, index, _PRIO, _ROOT, "prio", struct.pack("@i16B", 3, *[0] * 16))
        except OSError as error:
            raise _meant(error, device) from error
        try:
            for ether_type, key in _KEYS.items():
                _filter(rtnl, index, ether_type, key)
            _queue(rtnl, index, _NETEM, _BAND, "netem", _options(impairment))
        except OSError as error:
            detach(device)
            raise _meant(error, device) from error


def detach(device: str) -> None:
    """Take it away: the interface has the queue again that it began with."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        rtnl.change(_DELETE_QDISC, _MESSAGE.pack(0, index, _PRIO, _ROOT, 0))


def counters(device: str, impairment: Impairment) -> Counters:
    """What netem did on an interface so far."""
    with RtnetlinkSocket() as rtnl:
        wanted = (rtnl.index_of(device), _NETEM)
        queue = next(
            body
            for body in rtnl.dump(_GET_QDISC, _MESSAGE.pack(*[0] * 5))
            if _MESSAGE.unpack_from(body)[1:3] == wanted
        )
    found = attributes(queue[_MESSAGE.size :])
    stats = attributes(found[_TCA_STATS2])
    _, passed = _BASIC.unpack_from(stats[_STATS_BASIC])
    waiting, _, dropped, ahead, _ = _QUEUE.unpack_from(stats[_STATS_QUEUE])
    seed = attribute(_PRNG_SEED, struct.pack("@Q", spread(impairment.seed)))
    return Counters(passed, waiting, dropped, ahead, seed in found[_TCA_OPTIONS])


def _queue(
    rtnl: RtnetlinkSocket, index: int, handle: int, parent: int, kind: str, options: bytes
) -> None:
    """Attach a queueing discipline."""
    _create(rtnl, _NEW_QDISC, _MESSAGE.pack(0, index, handle, parent, 0), kind, options)


def _filter(rtnl: RtnetlinkSocket, index: int, ether_type: int, key: tuple[int, int, int]) -> None:
    """Send TCP in packets of an EtherType to netem's band."""
    offset, mask, value = key
    selector = struct.pack("!BBBxHHhhI", _U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0)
    selector += struct.pack("!II", mask, value) + struct.pack("@ii", offset, 0)
    info = ether_type << 16 | socket.htons(ether_type)
    options = attribute(_U32_CLASSID, struct.pack("@I", _BAND)) + attribute(_U32_SEL, selector)
    _create(rtnl, _NEW_FILTER, _MESSAGE.pack(0, index, 0, _PRIO, info), "u32", options)


def _create(rtnl: RtnetlinkSocket, message: int, header: bytes, kind: str, options: bytes) -> None:
    named = attribute(_TCA_KIND, kind.encode() + b"\0") + attribute(_TCA_OPTIONS, options)
    rtnl.change(message, header + named, CREATE | EXCLUSIVE)


def _options(it: Impairment) -> bytes:
    """struct tc_netem_qopt, and the attributes that have more room."""
    packed = struct.pack(
        "@6I", 0, _LIMIT, _share(it.loss), 1 if it.ahead else 0, _share(it.duplicate), 0
    )
    packed += attribute(_LATENCY64, struct.pack("@q", it.delay_ns))
    packed += attribute(_JITTER64, struct.pack("@q", it.jitter_ns))
    packed += attribute(_PRNG_SEED, struct.pack("@Q", spread(it.seed)))
    if it.ahead:
        packed += attribute(_REORDER, struct.pack("@II", _share(it.ahead), 0))
    if it.octets_s:
        packed += attribute(_RATE, struct.pack("@IiIi", it.octets_s, 0, 0, 0))
    return packed


def spread(seed: int) -> int:
    """Another seed of 64 bits for each one (splitmix64, Steele, Lea and Flood 2014).

    Of a small seed netem's first numbers are small too, so that the first segments are lost at
    almost any rate: include/linux/prandom.h:prandom_seed_state throws no numbers away.
    """
    mixed = (seed + 0x9E3779B97F4A7C15) % 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
    return mixed ^ mixed >> 31


def _share(part: float) -> int:
    return round(part * _ALWAYS)


def _meant(error: OSError, device: str) -> CapabilityError | FaultError:
    reason = os.strerror(error.errno or 0)
    if error.errno in (errno.ENOENT, errno.EOPNOTSUPP):
        return CapabilityError(
            "netem", f"this kernel has no netem with a filter before it ({reason})", FIX
        )
    return FaultError(
        f"expected to put netem on {device}, found {reason}; one quality fault at a time fits there"
    )
