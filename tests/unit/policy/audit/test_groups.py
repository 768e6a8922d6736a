"""Live sockets that are alike are counted together, and told apart by as much as is needed."""

from __future__ import annotations

import msgspec

from harness.model.live_sockets import LiveSocket, Network, Options, Process, Survey
from harness.policy.audit.groups import (
    MOST_PORTS,
    Group,
    folded,
    groups,
    names,
    place,
    sources,
    title,
)
from tests.unit.policy.audit.surveys import (
    APP,
    LINUX,
    OFF,
    ON,
    REDIS,
    SET,
    UNKNOWN,
    accepted,
    connected,
    survey,
)


def described(found: Survey) -> list[tuple[str, int]]:
    """Titles with the numbers of sockets."""
    return [(title(group), group.number) for group in groups(found)]


def test_the_port_of_the_service_counts() -> None:
    """The local one of accepted connections, the remote one of others; listeners come first."""
    sockets = [accepted(far_port=port) for port in range(50_000, 50_100)]
    sockets += [connected(near_port=port) for port in range(40_000, 40_200)]
    listener = LiveSocket(network=1, near_port=6379, far_port=None, options=OFF, holders=(REDIS,))
    assert described(survey(*sockets, listener)) == [
        ("app to port 5432", 200),
        ("redis-server listening at 6379", 1),
        ("redis-server accepted at 6379", 100),
    ]


def test_accepted_connections_outlive_their_listener() -> None:
    """An old process that drains has closed it. A client may bind to a low port, too."""
    left = [accepted(far_port=port) for port in range(50_000, 50_003)]
    bound = connected(2049, near_port=700)
    made = [connected(port) for port in (5432, 5433)]
    assert described(survey(*left, bound, *made, listening=())) == [
        ("app to port 2049", 1),
        ("app to port 5432", 1),
        ("app to port 5433", 1),
        ("redis-server accepted at 6379", 3),
    ]


def test_a_listener_that_was_read_counts_where_the_network_may_not_be_entered() -> None:
    """And no value is said to come from a sysctl then."""
    listener = LiveSocket(network=1, near_port=6379, far_port=None, options=ON, holders=(REDIS,))
    found = groups(survey(listener, accepted(options=SET), network=Network()))
    assert [title(group) for group in found] == [
        "redis-server listening at 6379",
        "redis-server accepted at 6379",
    ]
    assert dict(found[0].sources) == {
        "keepalive": "socket",
        "idle_s": "unknown",
        "interval_s": "unknown",
        "count": "unknown",
        "user_timeout_ms": "default",
    }


def test_other_options_make_another_group() -> None:
    """Whose name has as much as tells them apart, down to the network."""
    other = msgspec.structs.replace(REDIS, user="root")
    found = groups(
        survey(accepted(), accepted(options=SET), accepted(options=SET), accepted(options=UNKNOWN))
    )
    assert [(name, group.number) for name, group in zip(names(found), found, strict=True)] == [
        ("redis-server accepted at 6379, keepalive on 60/10/6, user timeout 30 s", 2),
        ("redis-server accepted at 6379, keepalive off 7200/75/9", 1),
        ("redis-server accepted at 6379, keepalive unknown", 1),
    ]
    found = groups(survey(accepted(), accepted(holders=(other,))))
    assert [name.partition(", ")[2] for name in names(found)] == [
        "keepalive off 7200/75/9, user redis",
        "keepalive off 7200/75/9, user root",
    ]


def test_containers_that_are_alike_are_one_group() -> None:
    """Unless their sysctls differ, from which the values may come."""
    two = survey(accepted(), msgspec.structs.replace(accepted(), network=2))
    first = Network(11, LINUX, frozenset((6379,)))
    second = msgspec.structs.replace(first, inode=12)
    alike = groups(msgspec.structs.replace(two, networks={1: first, 2: second}))
    assert [(group.number, group.networks) for group in alike] == [(2, (11, 12))]
    second = msgspec.structs.replace(second, sysctls=msgspec.structs.replace(LINUX, idle_s=600))
    other = groups(msgspec.structs.replace(two, networks={1: first, 2: second}))
    assert [name[-10:] for name in names(other)] == ["network 11", "network 12"]
    assert [group.source("idle_s") for group in other] == ["sysctl", "socket"]


def test_a_socket_belongs_to_the_program_that_works_with_it() -> None:
    """Not to systemd, which keeps a copy of a listening socket; all holders are told."""
    init, worker = Process(1, "systemd", "root"), Process(300, "redis-server", "redis")
    (group,) = groups(survey(accepted(holders=(init, worker, REDIS))))
    assert (group.key.program, group.pids) == ("redis-server", (1, 100, 300))
    (group,) = groups(survey(accepted(holders=(), user="nfs")))
    assert (title(group), group.key.user) == ("unknown program accepted at 6379", "nfs")


def test_where_a_value_comes_from() -> None:
    """One that equals the sysctl follows it, or was set to the same: nobody can tell."""
    partly = Options(keepalive=True, idle_s=60, interval_s=75, count=9, user_timeout_ms=0)
    assert sources(partly, LINUX) == {
        "keepalive": "socket",
        "idle_s": "socket",
        "interval_s": "sysctl",
        "count": "sysctl",
        "user_timeout_ms": "default",
    }
    assert sources(OFF, LINUX)["keepalive"] == "default"
    assert set(sources(UNKNOWN, LINUX).values()) == {"unknown"}


def _many(number: int) -> tuple[Group, ...]:
    sockets = [connected(6000 + index, near_port=40_000 + index) for index in range(number)]
    return groups(survey(*sockets, connected(9, options=SET, holders=(APP,))))


def test_a_crawler_is_a_line() -> None:
    """Many ports of one program are one group where all else is alike, and the mark."""
    assert len(folded(_many(MOST_PORTS), lambda _: None)) == MOST_PORTS + 1
    found = folded(_many(MOST_PORTS + 1), lambda _: None)
    assert [(place(group), group.number) for group in found] == [
        ("to port 9", 1),
        ("to 9 ports", 9),
    ]
    assert found[1].ports == tuple(range(6000, 6009))
    marked = folded(_many(MOST_PORTS + 1), lambda group: group.key.port == 6000)
    assert len(marked) == MOST_PORTS + 2
