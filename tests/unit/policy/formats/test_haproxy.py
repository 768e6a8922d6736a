"""haproxy.cfg: sides, defaults, times, and one error for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import PolicyError, UsageError
from harness.policy import reader
from harness.policy.check import check
from harness.policy.formats.haproxy import FORMAT, read
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms

QUICK = """\
# The example of the distribution, in short.
global
    log /dev/log local0
    maxconn 4096

defaults http
    mode http
    timeout client 50000
    timeout server 50s
    timeout connect 5000
    option tcpka
    clitcpka-idle 5m

defaults tcp from http
    mode tcp
    timeout tunnel 1h
    no option srvtcpka
    default-server tcp-ut 40s

frontend www from http
    bind *:80
    bind :443 ssl crt "/etc/ssl/a b.pem"  # two of them
    clitcpka-intvl 10
    timeout http-keep-alive 10s
    default_backend app

backend app from http
    balance roundrobin
    timeout tunnel 2h
    server s1 10.0.0.1:8080 check
    server s2 unix@/run/app.sock

listen redis
    bind :6379 tcp-ut 30s
    option clitcpka
    srvtcpka-cnt 4
    server r1 10.0.0.2:6379
    server r2 10.0.0.3:6379 tcp-ut 20000

backend local
    server only /run/app.sock
"""


def names(text: str) -> dict[str, Connection]:
    """All connections by name."""
    return {each.name: each for each in read(text, "h.cfg")}


def test_each_side_of_a_proxy_is_a_connection() -> None:
    """Tunnels and servers with a user timeout of their own are more; Unix sockets are none."""
    assert list(names(QUICK)) == [
        "frontend www",
        "frontend www, in a request",
        "frontend www, tunnels",
        "backend app",
        "backend app, tunnels",
        "listen redis (clients)",
        "listen redis (servers), server r1",
        "listen redis (servers), server r2",
    ]


def test_a_section_takes_over_what_its_defaults_say() -> None:
    """Each value with its place, of the section or of the defaults."""
    found = names(QUICK)
    www = found["frontend www"]
    assert www.terms == Terms(
        keepalive=True,
        idle_s=300,
        interval_s=10,
        side="server",
        idle_close_s=10,
        inactivity_close_s=50,
    )
    assert www.place == Place("h.cfg", 20, 1)
    assert www.places["idle_s"] == Place("h.cfg", 12, 19)
    assert www.places["keepalive"] == Place("h.cfg", 11, 5)
    assert www.places["interval_s"] == Place("h.cfg", 23, 20)
    assert found["frontend www, tunnels"].terms.inactivity_close_s == 7200
    assert found["backend app"].terms == Terms(keepalive=True, inactivity_close_s=50)


REQUESTS = """\
frontend www
    mode http
    bind :80
    timeout client 2s
    use_backend %[path] if { path /x }
    default_backend a
backend a
    timeout server 1s
    server s :1
backend b
    server s :2
    timeout server 9s
backend none
"""


@pytest.mark.parametrize(
    ("old", "new", "closes_s"),
    [
        ("", "", 9),
        ("%[path]", "b", 9),
        ("timeout server 9s", "timeout server 0", None),
        ("timeout server 9s", "", None),
    ],
)
def test_no_timeout_of_the_client_runs_while_haproxy_waits_for_the_server(
    old: str, new: str, closes_s: float | None
) -> None:
    """The longest of the backends that may answer does; without one it waits for ever."""
    found = names(REQUESTS.replace(old, new))
    assert found["frontend www"].terms.inactivity_close_s == 2
    assert found["frontend www, in a request"].terms.inactivity_close_s == closes_s
    assert found["frontend www, in a request"].terms.side == "server"


@pytest.mark.parametrize(
    ("old", "new"),
    [("%[path]", "a"), ("mode http", "mode tcp"), ("timeout client 2s", "timeout client 10s")],
)
def test_where_no_server_is_waited_for_longer_there_is_no_other_connection(
    old: str, new: str
) -> None:
    """Nor in mode tcp, where both sides' timeouts run."""
    assert "frontend www, in a request" not in names(REQUESTS.replace(old, new))


def test_a_user_timeout_is_of_a_line() -> None:
    """Or of the default-server."""
    found = names(QUICK)
    assert found["listen redis (clients)"].terms.user_timeout_s == 30
    assert found["listen redis (servers), server r1"].terms.user_timeout_s == 40
    second = found["listen redis (servers), server r2"]
    assert second.terms.user_timeout_s == 20
    assert second.places["user_timeout_s"] == Place("h.cfg", 38, 36)


def test_in_mode_tcp_the_timeout_of_tunnels_counts() -> None:
    """And an option that is turned off is off, with its place."""
    found = names(QUICK)["listen redis (servers), server r1"]
    assert (found.terms.keepalive, found.terms.inactivity_close_s) == (False, 3600)
    assert found.places["keepalive"] == Place("h.cfg", 17, 5)


def test_a_timeout_of_0_is_not_set() -> None:
    """The one that it would stand before counts."""
    times = " timeout client 30s\n timeout http-request 9s\n timeout tunnel 0\n"
    times += " timeout http-keep-alive 0\n"
    for mode, idle_close_s in (("tcp", None), ("http", 9)):
        (found,) = read(f"frontend a\n bind :1\n mode {mode}\n{times}", "h.cfg")
        assert found.terms.inactivity_close_s == 30
        assert found.terms.idle_close_s == idle_close_s
    (found,) = read("frontend a\n bind :1\n timeout client 0\n", "h.cfg")
    assert found.terms.inactivity_close_s is None


def test_what_haproxy_ignores_is_told_once() -> None:
    """In the wrong section, or without the option that it belongs to."""
    text = "frontend a\n bind :1\n srvtcpka-cnt 3\n clitcpka-cnt 3\n timeout server 5s\n"
    text += " option srvtcpka\nbackend b\n option clitcpka\n server s :2\n"
    assert [str(notice) for each in read(text, "h.cfg") for notice in each.notices] == [
        "h.cfg:4:2: clitcpka-cnt has no effect without option clitcpka",
        "h.cfg:6:2: option srvtcpka has no effect in a frontend",
        "h.cfg:5:2: timeout server has no effect in a frontend",
        "h.cfg:3:2: srvtcpka-cnt has no effect in a frontend",
        "h.cfg:8:2: option clitcpka has no effect in a backend",
    ]
    text = "defaults\n clitcpka-cnt 3\nfrontend a\n bind :1\nfrontend b\n bind :2\n"
    assert [len(each.notices) for each in read(text, "h.cfg")] == [1, 0]


def test_keepalive_alone_is_found_at_its_line() -> None:
    """As idle time, interval and count are the system's."""
    made = read("frontend www\n    bind :80\n    option clitcpka\n", "h.cfg")
    (found,) = check(made, list(every_rule().values())).findings
    assert (found.rule, str(found.place)) == ("KA002", "h.cfg:3:5")
    assert "detection after 7875.75 to 8749.65 s" in found.found
    assert found.fix.endswith(
        "(in this file: clitcpka-idle for idle_s; clitcpka-intvl for interval_s; "
        "clitcpka-cnt for count)"
    )


def test_haproxy_s_default_is_told() -> None:
    """Keepalive is off."""
    (made,) = read("frontend www\n    bind :80\n", "h.cfg")
    terms = msgspec.structs.replace(made.terms, detect_idle_within_s=60)
    made = msgspec.structs.replace(made, terms=terms)
    (found,) = check([made], list(every_rule().values())).findings
    assert [str(each) for each in found.defaults] == [
        "keepalive = false, HAProxy's default (option clitcpka)"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("timeout client 5 minutes", ""),
        ("timeout client 1m30s", "h.cfg:3:16: timeout client: expected a time such as 30s or 5m"),
        ("timeout client", "h.cfg:3:1: timeout client: expected a value after it, found nothing"),
        ("clitcpka-cnt 200", "h.cfg:3:14: clitcpka-cnt: expected an integer from 1 to 127"),
        ("clitcpka-idle 10h", "h.cfg:3:15: clitcpka-idle: expected an integer from 1 to 32767"),
        ("clitcpka-idle ${IDLE}", "h.cfg:3:15: clitcpka-idle: expected a time such as"),
        ("bind :2 tcp-ut", "h.cfg:3:9: tcp-ut: expected a time after it"),
        ("frontend b from nobody", "h.cfg:3:12: from: expected the name of a defaults section"),
    ],
)
def test_a_malformed_value_is_an_error(line: str, message: str) -> None:
    """With line and column; what follows a time is HAProxy's to refuse."""
    text = f"frontend a\noption clitcpka\n{line}\nbind :1\n"
    if not message:
        assert read(text, "h.cfg")[0].terms.inactivity_close_s == 0.005
        return
    with pytest.raises(PolicyError) as caught:
        read(text, "h.cfg")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["haproxy.cfg", "proxy.txt"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """A file without proxies has no connections."""
    assert reader.of_file(Path(name), QUICK, name).name == "haproxy"
    assert read("global\n    daemon\npeers p\n    server a :1\n", "h.cfg") == ()


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_is_written_is_read_back(side: str) -> None:
    """Of a frontend and of a backend; what HAProxy has no directive for is refused."""
    keys = {
        "idle_s": 60,
        "interval_s": 10,
        "count": 3,
        "user_timeout_s": 85.5,
        "inactivity_close_s": 3600,
        "keepalive": True,
        "side": side,
    }
    terms = msgspec.convert(keys, Terms)
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "h.cfg")
    assert found.terms == terms
    with pytest.raises(UsageError, match=r"HAProxy: expected .* found idle_close_s"):
        FORMAT.write(Terms(idle_close_s=5))
