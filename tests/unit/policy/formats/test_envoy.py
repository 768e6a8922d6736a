"""Envoy: bootstraps in the shapes of its documentation, in YAML and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.check import check
from harness.policy.formats.envoy import FORMAT
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Heartbeat, Place, Terms

STATIC = """\
admin:
  address:
    socket_address: { address: 127.0.0.1, port_value: 9901 }

static_resources:
  listeners:
  - name: listener_0
    address:
      socket_address: { address: 127.0.0.1, port_value: 10000 }
    socket_options:
    - description: SO_KEEPALIVE
      level: 1
      name: 9
      int_value: 1
      state: STATE_PREBIND
    - { level: 6, name: 4, int_value: 60 }
    - { level: 6, name: 5, int_value: "10" }
    - { level: 6, name: 6, int_value: 3 }
    - { level: 6, name: 18, int_value: 85000 }
    - { level: 6, name: 23, int_value: 256 }
    - { level: 41, name: 67, buf_value: AA== }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": HTTP_CONNECTION_MANAGER
          stat_prefix: ingress_http
          common_http_protocol_options: { idle_timeout: 900s }
  clusters:
  - name: some_service
    connect_timeout: 0.25s
    type: STATIC
    upstream_connection_options:
      tcp_keepalive:
        keepalive_probes: 3
        keepalive_time: 30
        keepalive_interval: 5
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options:
            connection_keepalive:
              interval: 30s
              timeout: 5s
  - name: xds_cluster
    upstream_connection_options:
      # configure a TCP keep-alive to detect and reconnect to the admin
      # server in the event of a TCP socket half open connection
      tcp_keepalive: {}
  - name: plain
""".replace(
    "HTTP_CONNECTION_MANAGER",
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
    "HttpConnectionManager",
)


def read(text: str) -> dict[str, Connection]:
    """The connections by their names."""
    return {each.name: each for each in FORMAT.read(text, "e.yaml")}


def listeners(rest: str) -> dict[str, Connection]:
    """Of a listener with more lines."""
    return read(f"static_resources:\n  listeners:\n  - name: l\n{rest}")


def test_a_cluster_has_the_settings_of_its_keepalive() -> None:
    """And a PING of HTTP/2 is a heartbeat, whose interval may be 15 % longer by jitter."""
    found = read(STATIC)["cluster/some_service"]
    assert found.terms == Terms(
        keepalive=True,
        idle_s=30,
        interval_s=5,
        count=3,
        heartbeat=Heartbeat(every_s=34.5, timeout_s=5, apart=True),
        idle_close_s=3600,
    )
    assert found.place == Place("e.yaml", 30, 11)
    assert found.places["idle_s"] == Place("e.yaml", 36, 25)
    assert found.places["heartbeat.every_s"] == Place("e.yaml", 44, 25)
    assert found.defaults == {"idle_close_s": "Envoy's default (HttpProtocolOptions, idle_timeout)"}


def test_an_empty_keepalive_is_one_with_the_systems_values() -> None:
    """And none is none."""
    found = read(STATIC)
    assert found["cluster/xds_cluster"].terms == Terms(keepalive=True)
    assert found["cluster/xds_cluster"].places["keepalive"] == Place("e.yaml", 50, 22)
    assert found["cluster/plain"].terms == Terms(keepalive=False)
    assert list(found["cluster/plain"].defaults) == ["keepalive"]
    assert read("static_resources: {clusters: [{upstream_connection_options: {tcp_keepalive: }}]}")[
        "cluster/unnamed"
    ].terms == Terms(keepalive=False)


def test_a_listener_has_socket_options_by_number() -> None:
    """Those of other levels and names are left alone; strings hold 64 bits in JSON."""
    found = read(STATIC)["listener/listener_0"]
    assert found.terms == Terms(
        side="server",
        set_on="listener",
        keepalive=True,
        idle_s=60,
        interval_s=10,
        count=3,
        user_timeout_s=85,
        idle_close_s=900,
    )
    assert found.places["idle_s"] == Place("e.yaml", 16, 39)


def test_what_sets_a_missing_option_is_named() -> None:
    """Beside options the numbers of another one, beside a TcpKeepalive its fields."""
    text = (
        "static_resources:\n  listeners:\n  - name: web\n    socket_options:\n"
        "    - {level: 1, name: 9, int_value: 1}\n    - {level: 6, name: 4, int_value: 60}\n"
        "  clusters:\n  - name: api\n    upstream_connection_options:\n"
        "      tcp_keepalive: {keepalive_time: 60}\n"
    )
    api, web = check(FORMAT.read(text, "x"), list(every_rule().values())).checked
    fixes = [each.fix for one in (api, web) for each in one.findings if each.rule == "KA002"]
    assert fixes == [
        (
            "set interval_s and count (in this file: keepalive_interval for interval_s; "
            "keepalive_probes for count)"
        ),
        (
            "set interval_s and count (in this file: socket_options level 6, name 5 "
            "(TCP_KEEPINTVL) for interval_s; socket_options level 6, name 6 (TCP_KEEPCNT) for "
            "count)"
        ),
    ]


def test_json_is_read_as_yaml_is() -> None:
    """Names may be those of JSON, too."""
    options = {"tcpKeepalive": {"keepaliveTime": 30}}
    cluster = {"name": "a", "upstreamConnectionOptions": options}
    (found,) = FORMAT.read(json.dumps({"staticResources": {"clusters": [cluster]}}), "e.json")
    assert found.terms == Terms(keepalive=True, idle_s=30)
    assert found.places["idle_s"] == Place("e.json", 1, 113)


def test_a_file_of_resources_has_clusters_and_listeners() -> None:
    """As the file system hands them to Envoy."""
    found = read(
        "resources:\n"
        '- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: a\n'
        '- "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n  name: b\n'
    )
    assert {name: each.terms.side for name, each in found.items()} == {
        "cluster/a": "client",
        "listener/b": "server",
    }


def test_options_without_the_switch_have_no_effect() -> None:
    """It is told; the user timeout has one."""
    found = listeners(
        "    socket_options:\n    - {level: 6, name: 4, int_value: 60}\n"
        "    - {level: 6, name: 18, int_value: 5000}\n"
    )["listener/l"]
    assert (found.keepalive, found.terms.user_timeout_s) == (False, 5)
    assert list(map(str, found.notices)) == [
        "e.yaml:5:38: TCP_KEEPIDLE has no effect without SO_KEEPALIVE"
    ]


TCP = (
    '{filters: [{typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.'
    "tcp_proxy.v3.TcpProxy%s}}]}"
)


def test_each_filter_chain_is_a_connection() -> None:
    """Idle timeouts differ; 0 is none."""
    found = listeners(
        f"    filter_chains:\n    - {TCP % ''}\n    - {TCP % ', idle_timeout: 0s'}\n"
        f"    default_filter_chain: {TCP % ', idle_timeout: 7.5s'}\n"
    )
    assert {name: each.terms.inactivity_close_s for name, each in found.items()} == {
        "listener/l/0": 3600,
        "listener/l/1": None,
        "listener/l/2": 7.5,
    }


@pytest.mark.parametrize(
    "rest",
    [
        "    udp_listener_config: {}\n",
        "    address: {socket_address: {protocol: UDP, port_value: 1}}\n",
        "    address: {pipe: {path: /run/e}}\n",
    ],
)
def test_what_is_no_tcp_is_left_alone(rest: str) -> None:
    """No connection."""
    assert not listeners(rest)


def test_jitter_may_be_stated() -> None:
    """In percent."""
    text = STATIC.replace("timeout: 5s", "timeout: 5s\n              interval_jitter: {value: 0}")
    beat = read(text)["cluster/some_service"].terms.heartbeat
    assert beat is not None
    assert beat.every_s == 30


WRONG = {
    "keepalive_time: 30": ("keepalive_time: 30s", "e.yaml:36:25: keepalive_time: expected a whole"),
    "keepalive_probes: 3": ("keepalive_probes: 300", "e.yaml:35:27: keepalive_probes: expected an"),
    "interval: 30s": ("interval: 30", "e.yaml:44:25: interval: expected a duration in seconds"),
    "idle_timeout: 900s": (
        "idle_timeout: 15m",
        "e.yaml:28:57: idle_timeout: expected a duration in seconds, such as 60s or 0.5s",
    ),
    "timeout: 5s": ("a: 1", "e.yaml:44:15: connection_keepalive: expected timeout, found none"),
    "int_value: 60": ("buf_value: AA==", "e.yaml:16:7: TCP_KEEPIDLE: expected int_value"),
    "state: STATE_PREBIND": (
        "state: PREBIND",
        "e.yaml:15:14: state: expected one of STATE_PREBIND, STATE_BOUND, STATE_LISTENING, found P",
    ),
    "level: 1": ("level: SOL_SOCKET", "e.yaml:12:14: level: expected a whole number, found SOL"),
    "tcp_keepalive: {}": ("tcp_keepalive: {", "e.yaml:"),
}


@pytest.mark.parametrize(("old", "new", "message"), [(k, *v) for k, v in WRONG.items()])
def test_whatever_is_wrong_is_one_error(old: str, new: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(STATIC.replace(old, new, 1))
    assert str(caught.value).startswith(message)


BOUND = """\
static_resources:
  clusters:
  - name: a
    upstream_bind_config:
      socket_options:
      - {level: 6, name: 18, int_value: 10000, state: STATE_PREBIND}
"""


def test_a_bind_config_sets_options_before_it_binds() -> None:
    """An option with another state would never be set; a listener may have it."""
    for state in ("STATE_PREBIND", "0"):
        found = read(BOUND.replace("STATE_PREBIND", state))["cluster/a"]
        assert found.terms.user_timeout_s == 10
    with pytest.raises(PolicyError) as caught:
        read(BOUND.replace("STATE_PREBIND", "STATE_LISTENING"))
    assert str(caught.value).startswith(
        "e.yaml:6:55: state: expected STATE_PREBIND in a BindConfig, found STATE_LISTENING"
    )
    of_listener = STATIC.replace("state: STATE_PREBIND", "state: STATE_LISTENING")
    assert read(of_listener)["listener/listener_0"].keepalive


def test_it_is_told_by_its_content_where_the_name_says_nothing() -> None:
    """In YAML and JSON."""
    assert FORMAT.fits(Path("x.yaml"), STATIC)
    assert FORMAT.fits(Path("x.json"), '{"static_resources": {}}')
    assert not FORMAT.fits(Path("x.yaml"), "services:\n  a: {}\n")
    assert read("") == {}


@pytest.mark.parametrize(
    "terms",
    [
        Terms(keepalive=True, idle_s=60, interval_s=10, count=6, user_timeout_s=115),
        Terms(keepalive=True, count=4),
        Terms(keepalive=True),
        Terms(keepalive=False, user_timeout_s=5),
        Terms(side="server", set_on="listener", keepalive=True, idle_s=60, user_timeout_s=5),
        Terms(side="server", set_on="listener", keepalive=False),
    ],
)
def test_what_is_written_reads_back(terms: Terms) -> None:
    """As a cluster, or as a listener for a server."""
    assert FORMAT.write is not None
    (found,) = read(FORMAT.write(terms)).values()
    assert found.terms == terms


def test_what_is_not_written_is_refused() -> None:
    """It is named."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match="found heartbeat"):
        FORMAT.write(Terms(heartbeat=Heartbeat(every_s=5, timeout_s=5)))
