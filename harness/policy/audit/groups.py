"""Live sockets that are alike, counted together: one program, one port, one set of options."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal

import msgspec

from harness.model.live_sockets import (
    LiveSocket,
    Network,
    Options,
    Process,
    Survey,
    Sysctls,
)

Role = Literal["listening", "accepted", "connected"]
"""How a socket came about: listen(2), accept(2) or connect(2)."""
Source = Literal["socket", "sysctl", "default", "unknown"]
"""Where a value in effect comes from.

socket: it was set on the socket, or inherited from the listening socket. sysctl: it is that of the
network namespace; the socket follows the sysctl, or was set to the same value, which looks the same
from outside. default: it is what a new socket has, and no sysctl changes that. unknown: it could
not be read, or the sysctl could not.
"""
SYSCTLS: Mapping[str, str] = {
    "idle_s": "net.ipv4.tcp_keepalive_time",
    "interval_s": "net.ipv4.tcp_keepalive_intvl",
    "count": "net.ipv4.tcp_keepalive_probes",
}
MOST_PORTS = 8
"""Of one program, where all else is alike: more of them are one group."""
ROLES: tuple[Role, ...] = ("listening", "accepted", "connected")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What the sockets of a group have in common.

    `program`, `user`: "" where no process is known that holds them. `port`: the remote one of
    connections that were made, else the local one; None for several ones. `sysctls`: of the network
    namespace, of which there may be several: that of each container.
    """

    program: str
    user: str
    role: Role
    port: int | None
    options: Options
    sysctls: Sysctls | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that are alike. `number`: of them; `pids`: of the processes that hold them.

    `ports`: all of them where the key has none. `networks`: the inodes of the network namespaces,
    as far as they are known. `sources`: by the names of `Options`.
    """

    key: Key
    ports: tuple[int, ...]
    number: int
    pids: tuple[int, ...]
    networks: tuple[int, ...]
    sources: tuple[tuple[str, Source], ...]

    def source(self, name: str) -> Source:
        """Of a value, by the name that `Options` has for it."""
        return dict(self.sources)[name]


def groups(survey: Survey) -> tuple[Group, ...]:
    """In the order of programs, roles and ports; the largest first of those that are alike."""
    listening = _listening(survey)
    found: dict[Key, list[LiveSocket]] = defaultdict(list)
    networks: dict[Key, set[int]] = defaultdict(set)
    for each in survey.sockets:
        owner = _owner(each.holders)
        network = survey.networks.get(each.network, Network())
        role, port = _role(each, network, listening)
        key = Key(
            program=owner.program if owner else "",
            user=owner.user if owner else each.user,
            role=role,
            port=port,
            options=each.options,
            sysctls=network.sysctls,
        )
        found[key].append(each)
        if network.inode is not None:
            networks[key].add(network.inode)
    ordered = sorted(found, key=lambda key: (*_order(key), -len(found[key])))
    return tuple(
        Group(
            key=key,
            ports=(key.port or 0,),
            number=len(found[key]),
            pids=tuple(sorted({each.pid for one in found[key] for each in one.holders})),
            networks=tuple(sorted(networks[key])),
            sources=tuple(sources(key.options, key.sysctls).items()),
        )
        for key in ordered
    )


def sources(options: Options, sysctls: Sysctls | None) -> dict[str, Source]:
    """Where each value comes from, as far as that can be told from outside."""
    found: dict[str, Source] = {}
    for name, value in msgspec.structs.asdict(options).items():
        system = getattr(sysctls, name, None)
        if value is None or (name in SYSCTLS and sysctls is None):
            found[name] = "unknown"
        elif name in SYSCTLS:
            found[name] = "sysctl" if value == system else "socket"
        else:
            found[name] = "socket" if value else "default"
    return found


def _owner(holders: tuple[Process, ...]) -> Process | None:
    """The oldest process that holds a socket, other than the first one of the machine.

    systemd keeps the listening sockets that it hands to services.
    """
    return min(holders, key=lambda each: (each.pid == 1, each.pid), default=None)


def _listening(survey: Survey) -> set[tuple[int, int]]:
    """Networks with the ports at which something listens."""
    found = {(key, port) for key, each in survey.networks.items() for port in each.listening or ()}
    return found | {
        (each.network, each.near_port) for each in survey.sockets if each.far_port is None
    }


def _role(each: LiveSocket, network: Network, listening: set[tuple[int, int]]) -> tuple[Role, int]:
    """How a socket came about, with the port that names its service.

    Where the listening socket is closed by now, the range from which connect(2) chooses ports tells
    a connection that was accepted.
    """
    if each.far_port is None:
        return "listening", each.near_port
    first, last = network.ephemeral
    was_accepted = not first <= each.near_port <= last and first <= each.far_port <= last
    if (each.network, each.near_port) in listening or was_accepted:
        return "accepted", each.near_port
    return "connected", each.far_port


def _order(key: Key) -> tuple[bool, str, int, int, str]:
    return (not key.program, key.program, ROLES.index(key.role), key.port or 0, key.user)


def folded(found: Sequence[Group], mark: Callable[[Group], Hashable]) -> tuple[Group, ...]:
    """The same with one group in place of many that differ in the port alone, and whose mark is
    equal: a crawler is a line, not thousands.
    """
    alike: dict[Hashable, list[Group]] = defaultdict(list)
    for group in found:
        without_port = msgspec.structs.replace(group.key, port=None)
        alike[without_port, mark(group)].append(group)
    whole: dict[Key, Group] = {}
    for groups_ in alike.values():
        if len(groups_) > MOST_PORTS:
            whole |= dict.fromkeys((each.key for each in groups_), _together(groups_))
    return tuple(dict.fromkeys(whole.get(group.key, group) for group in found))


def _together(found: Sequence[Group]) -> Group:
    return msgspec.structs.replace(
        found[0],
        key=msgspec.structs.replace(found[0].key, port=None),
        ports=tuple(port for each in found for port in each.ports),
        number=sum(each.number for each in found),
        pids=tuple(sorted({pid for each in found for pid in each.pids})),
        networks=tuple(sorted({network for each in found for network in each.networks})),
    )


# --- names --------------------------------------------------------------------------------------


def title(group: Group) -> str:
    """Program and port: "redis-server accepted at 6379"."""
    key = group.key
    return f"{key.program or 'unknown program'} {place(group)}"


def place(group: Group) -> str:
    """Role and port: "accepted at 6379", "to 23 ports"."""
    role, port = group.key.role, group.key.port
    words = {"listening": "listening at ", "accepted": "accepted at ", "connected": "to "}[role]
    if port is None:
        return f"{words}{len(group.ports)} ports"
    return f"{words}{'port ' if role == 'connected' else ''}{port}"


def names(found: Sequence[Group]) -> tuple[str, ...]:
    """The title of each, with as much of the options, the user and the network as tells it from
    all others.
    """
    named = [title(group) for group in found]
    for more in (_options, _user, _network):
        used = Counter(named)
        named = [
            name if used[name] == 1 else f"{name}, {more(group)}"
            for name, group in zip(named, found, strict=True)
        ]
    return tuple(named)


def described(key: Key) -> str:
    """The options: "keepalive on 60/10/6, user timeout 30 s"."""
    options = key.options
    keepalive = "keepalive " + {True: "on", False: "off", None: "unknown"}[options.keepalive]
    if options.idle_s is not None:
        keepalive += f" {options.idle_s}/{options.interval_s}/{options.count}"
    if not options.user_timeout_ms:
        return keepalive
    return f"{keepalive}, user timeout {options.user_timeout_ms / 1000:g} s"


def _options(group: Group) -> str:
    return described(group.key)


def _user(group: Group) -> str:
    return f"user {group.key.user}"


def _network(group: Group) -> str:
    """The first one: other sysctls, in other networks."""
    return f"network {group.networks[0] if group.networks else 'unknown'}"
