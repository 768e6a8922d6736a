"""Compose files: the sysctls of services, in both forms, and services without them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import PolicyError
from harness.policy import reader
from harness.policy.formats.compose import FORMAT, read
from harness.policy.settings import Place, Terms

FILE = """\
name: shop
x-tcp: &tcp
  net.ipv4.tcp_keepalive_time: 600
  net.ipv4.tcp_keepalive_intvl: "30"
services:
  web:
    image: nginx
    sysctls:
      - net.core.somaxconn=1024
      - net.ipv4.tcp_keepalive_time=60
      - "net.ipv4.tcp_keepalive_probes=5"
  db:
    image: postgres
    sysctls:
      <<: *tcp
      net.ipv4.tcp_keepalive_intvl: 10
      net.core.somaxconn: [1, 2]
  cache:
    image: redis
  proxy:
    sysctls: {net.ipv4.tcp_syncookies: 0}
volumes: {}
"""


def test_each_service_is_a_connection() -> None:
    """With sysctls in both forms; each value knows where it stands."""
    web, db, *_ = read(FILE, "c.yaml")
    assert (web.name, web.place) == ("web", Place("c.yaml", 6, 3))
    assert (web.terms.idle_s, web.terms.interval_s, web.terms.count) == (60, None, 5)
    assert web.places["idle_s"] == Place("c.yaml", 10, 37)
    assert (db.name, db.terms.idle_s, db.terms.interval_s) == ("db", 600, 10)
    assert (db.places["idle_s"].line, db.places["interval_s"].line) == (3, 16)


def test_a_service_without_sysctls_has_the_systems_settings() -> None:
    """It is listed beside one that has them, and where there are none at all."""
    *_, cache, proxy = read(FILE, "c.yaml")
    assert (cache.name, cache.place, cache.keepalive) == ("cache", Place("c.yaml", 18, 3), True)
    assert (cache.settings.idle_s, cache.settings.interval_s, cache.settings.count) == (7200, 75, 9)
    assert (proxy.name, proxy.terms.idle_s) == ("proxy", None)
    (only,) = read("services:\n  web:\n    image: nginx\n", "c.yaml")
    assert only.name == "web"
    assert read("services:\n  web:\n    environment: {A: b}\n", "override.yaml") == ()


SHARED = """\
services:
  a: {extends: b}
  b: {image: x, sysctls: {net.ipv4.tcp_keepalive_time: 60, net.ipv4.tcp_keepalive_probes: 3}}
  c: {image: x, network_mode: "service:b"}
  d: {extends: {service: b}, sysctls: [net.ipv4.tcp_keepalive_time=70]}
  e: {extends: f}
  f: {extends: e}
"""


def test_what_a_service_has_from_another_one_counts() -> None:
    """By `extends`, or as it shares the other one's network; its own values come after that."""
    found = {each.name: (each.terms.idle_s, each.terms.count) for each in read(SHARED, "c.yaml")}
    both = dict.fromkeys("abc", (60, 3))
    assert found == {**both, "d": (70, 3), "e": (None, None), "f": (None, None)}


def test_what_is_not_followed_is_told() -> None:
    """With its place."""
    text = "include: [b.yml]\nservices:\n  a:\n    extends: {file: c.yml, service: a}\n"
    (found,) = read(text, "c.yaml")
    assert [str(each) for each in found.notices] == [
        "c.yaml:1:1: include is not followed: what the other file sets is not counted",
        "c.yaml:4:5: extends is not followed: what the other file sets is not counted",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [\n", "c.yaml:2:1: expected valid YAML, found expected the node content"),
        ("services: {a: &a [*a]}\n", "expected valid YAML, found "),
        (
            "services:\n  a:\n    sysctls:\n      - net.ipv4.tcp_keepalive_time\n",
            "c.yaml:4:9: sysctls: expected a sysctl and its value",
        ),
        (
            "services:\n  a:\n    sysctls:\n      net.ipv4.tcp_keepalive_time: 1m\n",
            "c.yaml:4:36: net.ipv4.tcp_keepalive_time: expected an integer from 1 to 32767",
        ),
        (
            "services:\n  a:\n    sysctls:\n      net.ipv4.tcp_keepalive_time: [60]\n",
            "c.yaml:4:36: net.ipv4.tcp_keepalive_time: expected a number, found a sequence",
        ),
        ("services:\n  a:\n    sysctls: [[]]\n", "expected a sysctl and its value"),
    ],
)
def test_what_is_malformed_is_an_error(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(text, "c.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "services:\n", "services: []\n", "- 1\n", "a: b\n"])
def test_a_file_without_services_has_no_connection(text: str) -> None:
    """Whatever else it has."""
    assert read(text, "c.yaml") == ()


@pytest.mark.parametrize("name", ["compose.yaml", "docker-compose.prod.yml", "stack.yml"])
def test_it_is_told_by_name_or_content(name: str) -> None:
    """Also where the name is another one."""
    assert reader.of_file(Path(name), FILE, name).name == "compose"
    plain = "services:\n  web:\n    image: nginx\n"
    assert reader.of_file(Path(name), plain, name).name == "compose"


def test_what_is_written_is_read_back() -> None:
    """As a service."""
    terms = Terms(idle_s=60, interval_s=10, count=3)
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms), "c.yaml")
    assert msgspec.structs.replace(found.terms, keepalive=None) == terms
