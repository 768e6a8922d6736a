"""nginx.conf: what listens, what is passed on, timeouts, and nginx' defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy import reader
from harness.policy.check import check
from harness.policy.formats.nginx import FORMAT, read
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms

FILE = """\
user www www;
events { worker_connections 4096; }
http {
    include conf/mime.types;
    keepalive_timeout 65;
    proxy_send_timeout 90;
    server {
        listen 80;
        listen 443 ssl so_keepalive=30m:5s:10;
        listen unix:/run/nginx.sock;
        server_name example.com www.example.com;
        location / { proxy_pass http://app; proxy_socket_keepalive on; }
        location /big { proxy_pass http://10.0.0.2:8080/x; proxy_read_timeout 1h; }
        location ~ \\.php$ { fastcgi_pass 127.0.0.1:9000; }
    }
    server { listen 443 ssl; server_name other; keepalive_timeout 2m 60; send_timeout 3m; }
    server { listen 127.0.0.1:81; keepalive_timeout 0; }
    upstream app { server 10.0.0.1:8080; keepalive 32; }
}
stream {
    server { listen 5432 so_keepalive=on; proxy_pass db:5432; proxy_timeout 1h; }
    server { listen 53 udp; proxy_pass dns:53; }
    server { listen 6379; proxy_pass unix:/run/redis.sock; }
}
"""


def names(text: str) -> dict[str, Connection]:
    """All connections by name."""
    return {each.name: each for each in read(text, "n.conf")}


def test_each_side_is_a_connection() -> None:
    """Of TCP; where sockets of a server differ, each of them is one."""
    assert list(names(FILE)) == [
        "http server example.com, listen 80",
        "http server example.com, listen 443",
        "http server example.com, listen 80, in a request",
        "http server example.com, listen 443, in a request",
        "http proxy_pass http://app",
        "http proxy_pass http://app, in a request",
        "http proxy_pass http://10.0.0.2:8080/x",
        "http fastcgi_pass 127.0.0.1:9000",
        "http server other",
        "http server 127.0.0.1:81",
        "stream server 5432",
        "stream proxy_pass db:5432",
        "stream server 6379",
    ]


def test_servers_on_one_address_share_what_one_of_them_says() -> None:
    """With its place; the innermost timeout counts."""
    found = names(FILE)
    first, other = found["http server example.com, listen 443"], found["http server other"]
    assert first.terms == Terms(
        keepalive=True,
        idle_s=1800,
        interval_s=5,
        count=10,
        side="server",
        idle_close_s=65,
        inactivity_close_s=65,
    )
    assert other.terms.idle_s == 1800
    assert (other.terms.idle_close_s, other.terms.inactivity_close_s) == (120, 180)
    assert first.places["interval_s"] == Place("n.conf", 9, 41)
    assert other.places["interval_s"] == Place("n.conf", 9, 41)
    assert first.places["idle_close_s"] == Place("n.conf", 5, 23)
    assert found["http server example.com, listen 80"].keepalive is False
    assert found["http server 127.0.0.1:81"].terms.idle_close_s is None


def test_what_is_passed_on_has_timeouts_of_its_own() -> None:
    """And those of the pool that it is kept in."""
    found = names(FILE)
    app, big = found["http proxy_pass http://app"], found["http proxy_pass http://10.0.0.2:8080/x"]
    assert app.terms == Terms(keepalive=True, idle_close_s=60, inactivity_close_s=90)
    assert app.defaults["idle_close_s"] == "nginx's default (upstream, keepalive_timeout 60s)"
    waiting = found["http proxy_pass http://app, in a request"]
    assert waiting.terms == Terms(keepalive=True, inactivity_close_s=90)
    assert big.terms == Terms(keepalive=False, inactivity_close_s=3600)
    assert big.defaults["keepalive"] == "nginx's default (proxy_socket_keepalive off)"
    same = names(FILE.replace("proxy_send_timeout 90", "proxy_send_timeout 60"))
    assert "http proxy_pass http://app, in a request" not in same
    pooled = names(FILE.replace("keepalive 32;", "keepalive 32; keepalive_timeout 5m;"))
    assert pooled["http proxy_pass http://app"].terms.idle_close_s == 300


@pytest.mark.parametrize("prefix", ["fastcgi", "grpc", "uwsgi", "scgi", "memcached"])
def test_requests_are_passed_on_by_other_protocols_than_http(prefix: str) -> None:
    """With directives of the same names, and the same defaults."""
    more = f"{prefix}_socket_keepalive on; {prefix}_read_timeout 1h; proxy_read_timeout 5;"
    text = f"server {{ listen 80; LINES location / {{ {prefix}_pass db:9; }} }}"
    found = names(text.replace("LINES", more))[f"http {prefix}_pass db:9"]
    assert found.terms == Terms(keepalive=True, inactivity_close_s=3600)
    found = names(text.replace("LINES", ""))[f"http {prefix}_pass db:9"]
    assert found.terms == Terms(keepalive=False, inactivity_close_s=60)
    assert found.defaults["keepalive"] == f"nginx's default ({prefix}_socket_keepalive off)"
    assert names(text.replace("LINES", "").replace("db:9", "unix:/run/x")).keys() == {
        "http server 80"
    }


REQUESTS = """\
server {
    listen 80;
    keepalive_timeout 3;
    send_timeout 3;
    location / { proxy_pass http://app; proxy_read_timeout 50; }
    location /x { fastcgi_pass unix:/run/x; fastcgi_send_timeout 90; }
}
"""


def test_no_timeout_of_the_client_runs_while_nginx_waits_for_the_upstream() -> None:
    """The longest read or send timeout of its locations does."""
    found = names(REQUESTS)
    between, within = found["http server 80"], found["http server 80, in a request"]
    assert (between.terms.idle_close_s, between.terms.inactivity_close_s) == (3, 3)
    assert (within.terms.idle_close_s, within.terms.inactivity_close_s) == (None, 90)
    assert within.places["inactivity_close_s"] == Place("n.conf", 6, 66)
    assert within.terms.side == "server"


@pytest.mark.parametrize("line", ["keepalive_timeout 100;", "keepalive_timeout 0;"])
def test_where_the_clients_timeout_is_longer_there_is_no_other_connection(line: str) -> None:
    """Without keepalive_timeout it is send_timeout."""
    text = REQUESTS.replace("keepalive_timeout 3;", line)
    assert ("http server 80, in a request" in names(text)) == (line == "keepalive_timeout 0;")
    text = text.replace("send_timeout 3;", "send_timeout 100;")
    assert "http server 80, in a request" not in names(text)


def test_in_stream_both_sides_have_one_timeout() -> None:
    """Ten minutes where it is not set."""
    found = names(FILE)
    assert found["stream server 5432"].terms.inactivity_close_s == 3600
    assert found["stream proxy_pass db:5432"].terms == Terms(
        keepalive=False, inactivity_close_s=3600
    )
    assert found["stream server 6379"].defaults["inactivity_close_s"] == (
        "nginx's default (proxy_timeout 600s)"
    )


def test_a_file_that_is_included_has_servers_at_its_top() -> None:
    """Of one name, but with different settings: each with its line."""
    text = "server { listen 80; server_name a; }\nserver { listen 81; server_name a;\n"
    text += "keepalive_timeout 5; }\nserver { proxy_pass b:1; }\n"
    assert list(names(text)) == [
        "http server a",
        "http server a, line 2",
        "stream server 80",
        "stream proxy_pass b:1",
    ]


def test_times_that_are_left_to_the_system_are_found() -> None:
    """At the value of so_keepalive."""
    text = "stream { server { listen 1 so_keepalive=30m::10; proxy_pass unix:/x; } }"
    (found,) = check(read(text, "n.conf"), list(every_rule().values())).findings
    assert (found.rule, str(found.place)) == ("KA002", "n.conf:1:41")
    assert found.found.startswith("the interval (75 s) left to the system")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen 80 so_keepalive=yes", "n.conf:1:33: so_keepalive: expected on, off, or idle:int"),
        ("listen 80 so_keepalive=::", "so_keepalive: expected on, off, or idle:interval:count"),
        ("listen 80 so_keepalive=1:2", "so_keepalive: expected on, off, or idle:interval:count"),
        ("listen 80 so_keepalive=x::", "n.conf:1:33: so_keepalive: expected a time such as 75s"),
        (
            "listen 80 so_keepalive=10h::",
            "expected an integer from 1 to 32767 (seconds), found 10h",
        ),
        ("listen 80 so_keepalive=::0", "n.conf:1:35: so_keepalive: expected a count from 1 to 127"),
        ("keepalive_timeout soon", "n.conf:1:28: keepalive_timeout: expected a time such as 75s"),
        ("location / { proxy_pass http://a; proxy_socket_keepalive 1; }", "expected on or off"),
    ],
)
def test_a_malformed_value_is_an_error(text: str, message: str) -> None:
    """With line and column; directives that are not about TCP are ignored."""
    with pytest.raises(PolicyError) as caught:
        read(f"server {{ {text}; }}".replace("};", "}"), "n.conf")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["nginx.conf", "nginx/sites-enabled/shop", "web.txt"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """Also a file that is included, and one in few lines."""
    assert reader.of_file(Path("etc", name), FILE, name).name == "nginx"
    assert reader.of_file(Path("x"), "server { listen 80; }\n", "x").name == "nginx"


UPGRADE = """\
upstream app { server 192.0.2.1:80; keepalive 32; }
server {
    listen 80;
    server_name shop;
    send_timeout 30;
    proxy_set_header Upgrade $http_upgrade;
    location /ws/ { proxy_pass http://app; proxy_read_timeout 3600s; }
    location /plain/ { proxy_pass http://app; proxy_set_header Host $host; }
    location /none/ { proxy_pass http://app; proxy_set_header Upgrade ""; }
}
"""


def test_an_upgraded_connection_is_closed_by_no_pool() -> None:
    """Neither that of the upstream nor keepalive_timeout of the client side ends it. Headers are
    those of the innermost block that sets any.
    """
    found = names(UPGRADE)
    upgraded = [each for each in found if each.endswith(", upgraded")]
    assert upgraded == ["http server shop, upgraded", "http proxy_pass http://app, upgraded"]
    for name in upgraded:
        terms = found[name].terms
        assert (terms.idle_close_s, terms.inactivity_close_s) == (None, 3600)
    assert found["http server shop, upgraded"].terms.side == "server"
    assert found["http proxy_pass http://app"].terms.idle_close_s == 60
    assert found["http server shop"].terms.idle_close_s == 75


def test_without_a_pool_an_upgraded_connection_to_the_upstream_is_no_other() -> None:
    """Its timeouts are those of every request."""
    found = names(UPGRADE.replace("keepalive 32; ", ""))
    assert "http server shop, upgraded" in found
    assert "http proxy_pass http://app, upgraded" not in found
    assert found["http proxy_pass http://app"].terms.inactivity_close_s == 3600


@pytest.mark.parametrize(
    "terms",
    [
        Terms(keepalive=True, idle_s=60, interval_s=10, count=3, side="server"),
        Terms(keepalive=True, idle_s=60, side="server"),
        Terms(keepalive=True, side="server"),
        Terms(keepalive=False, side="server"),
        Terms(keepalive=True),
    ],
)
def test_what_is_written_is_read_back(terms: Terms) -> None:
    """Of a server, and of a client without times, which nginx leaves to the system."""
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "n.conf")
    for key in ("keepalive", "idle_s", "interval_s", "count", "side"):
        assert getattr(found.terms, key) == getattr(terms, key)


def test_what_nginx_cannot_say_is_refused() -> None:
    """A user timeout, and times of a client."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match="nginx: expected settings"):
        FORMAT.write(Terms(user_timeout_s=30, side="server"))
    with pytest.raises(UsageError, match="nginx as a client: expected settings"):
        FORMAT.write(Terms(idle_s=60))
