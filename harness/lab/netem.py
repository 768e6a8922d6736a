"""netem(8) for the TCP segments that leave an interface of the namespace that the calling thread is
in.

A prio queue takes the interface's root, and a filter sends TCP to its second band, where netem is;
everything else, such as ARP and neighbour discovery, passes as before. The options are packed here,
since pyroute2 knows no seed. What waits in the queue when it is taken away is lost.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

import msgspec
from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from harness.errors import CapabilityError, FaultError
from harness.lab.netlink import CREATE, EXCLUSIVE
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


class _Message(nlmsg):  # type: ignore[misc]
    """struct tcmsg and options as they are on the wire.

    Not a tcmsg: a class inherits what that has compiled.
    """

    prefix = "TCA_"
    fields = tcmsg.fields
    nla_map = (("TCA_UNSPEC", "none"), ("TCA_KIND", "asciiz"), ("TCA_OPTIONS", "cdata"))


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
        rtnl.change(_DELETE_QDISC, _message(index=index, handle=_PRIO, parent=_ROOT))


def counters(device: str, impairment: Impairment) -> Counters:
    """What netem did on an interface so far."""
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        queue = next(
            found
            for found in rtnl.dump(_GET_QDISC, tcmsg())
            if (found["index"], found["handle"]) == (index, _NETEM)
        )
    stats = queue.get_attr("TCA_STATS2")
    basic, queued = stats.get_attr("TCA_STATS_BASIC"), stats.get_attr("TCA_STATS_QUEUE")
    seed = _attribute(_PRNG_SEED, struct.pack("@Q", spread(impairment.seed)))
    options = queue.get_attr("TCA_OPTIONS")
    raw = bytes(options.data[options.offset : options.offset + options.length])
    return Counters(
        basic["packets"], queued["qlen"], queued["drops"], queued["requeues"], seed in raw
    )


def _queue(
    rtnl: RtnetlinkSocket, index: int, handle: int, parent: int, kind: str, options: bytes
) -> None:
    """Attach a queueing discipline."""
    message = _message(index=index, handle=handle, parent=parent)
    _create(rtnl, _NEW_QDISC, message, kind, options)


def _filter(rtnl: RtnetlinkSocket, index: int, ether_type: int, key: tuple[int, int, int]) -> None:
    """Send TCP in packets of an EtherType to netem's band."""
    offset, mask, value = key
    selector = struct.pack("!BBBxHHhhI", _U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0)
    selector += struct.pack("!II", mask, value) + struct.pack("@ii", offset, 0)
    info = ether_type << 16 | socket.htons(ether_type)
    options = _attribute(_U32_CLASSID, struct.pack("@I", _BAND)) + _attribute(_U32_SEL, selector)
    _create(rtnl, _NEW_FILTER, _message(index=index, parent=_PRIO, info=info), "u32", options)


def _create(
    rtnl: RtnetlinkSocket, number: int, message: _Message, kind: str, options: bytes
) -> None:
    message["attrs"] = [("TCA_KIND", kind), ("TCA_OPTIONS", options)]
    rtnl.change(number, message, CREATE | EXCLUSIVE)


def _message(**fields: int) -> _Message:
    made = _Message()
    made.update(fields)
    return made


def _options(it: Impairment) -> bytes:
    """struct tc_netem_qopt, and the attributes that have more room."""
    packed = struct.pack(
        "@6I", 0, _LIMIT, _share(it.loss), 1 if it.ahead else 0, _share(it.duplicate), 0
    )
    packed += _attribute(_LATENCY64, struct.pack("@q", it.delay_ns))
    packed += _attribute(_JITTER64, struct.pack("@q", it.jitter_ns))
    packed += _attribute(_PRNG_SEED, struct.pack("@Q", spread(it.seed)))
    if it.ahead:
        packed += _attribute(_REORDER, struct.pack("@II", _share(it.ahead), 0))
    if it.octets_s:
        packed += _attribute(_RATE, struct.pack("@IiIi", it.octets_s, 0, 0, 0))
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


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("@HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


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
