"""Envoy's bootstrap, or a file of clusters or listeners, in YAML or JSON.

A connection for each cluster (Envoy as the client) and for each filter chain of a listener (Envoy
as the server). Envoy's API reference: TcpKeepalive (config/core/v3/address.proto), SocketOption,
KeepaliveSettings and HttpProtocolOptions (config/core/v3/protocol.proto), TcpProxy. Envoy has one
event loop in each thread, so that its timers run while it is sending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.policy import envoy_nodes, stated
from harness.policy.directives import refuse_others
from harness.policy.envoy_nodes import HTTP_OPTIONS, at, items, number, seconds
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Notice, Terms
from harness.policy.stated import Filled, Stated
from harness.policy.yaml_places import Node

_OPTIONS = {
    (1, 9): ("keepalive", "SO_KEEPALIVE"),
    (6, 4): ("idle_s", "TCP_KEEPIDLE"),
    (6, 5): ("interval_s", "TCP_KEEPINTVL"),
    (6, 6): ("count", "TCP_KEEPCNT"),
    (6, 18): ("user_timeout_s", "TCP_USER_TIMEOUT"),
}
"""Level and name of setsockopt on Linux, with the key and the name in C."""
_STATES = ("STATE_PREBIND", "STATE_BOUND", "STATE_LISTENING")
"""When an option is set, in the order of their numbers."""
_FIELDS = {
    "keepalive_time": "idle_s",
    "keepalive_interval": "interval_s",
    "keepalive_probes": "count",
}
_KINDS = ("explicit_http_config", "use_downstream_protocol_config", "auto_config")
_JITTER_PERCENT = 15.0
_IDLE_S = 3600
_OFF = Filled(value=False, source="Envoy's default (TcpKeepalive and SocketOption are not set)")
_ON_LISTENER = Filled("listener", "Envoy sets socket options on the listener")
_HTTP_IDLE = Filled(_IDLE_S, "Envoy's default (HttpProtocolOptions, idle_timeout)")
_TCP_IDLE = Filled(_IDLE_S, "Envoy's default (TcpProxy, idle_timeout)")


class _Side:
    """What is found about one connection."""

    def __init__(self) -> None:
        self.told: dict[str, Stated] = {}
        self.filled: dict[str, Filled] = {"keepalive": _OFF}
        self.notices: list[Notice] = []

    def tell(self, key: str, value: object, node: Node, directive: str) -> None:
        """A value that is stated; the last one counts."""
        written = node.scalar if node.scalar is not None else "{}"
        self.told[key] = Stated(value=value, place=node.place, directive=directive, written=written)

    def directives(self) -> dict[str, str]:
        """What sets the options that are not told: socket options by number beside others, or else
        the fields of a TcpKeepalive.
        """
        named = {
            key: f"socket_options level {level}, name {name} ({title})"
            for (level, name), (key, title) in _OPTIONS.items()
        }
        titles = dict(_OPTIONS.values()).values()
        if any(each.directive in titles for each in self.told.values()):
            return named
        fields = {key: field for field, key in _FIELDS.items()}
        return {**named, "keepalive": "tcp_keepalive", **fields}

    def tcp_keepalive(self, node: Node | None) -> None:
        """A TcpKeepalive, which turns keepalive on by being there."""
        if node is None:
            return
        self.tell("keepalive", True, node, "tcp_keepalive")  # noqa: FBT003 - the value
        for field, key in _FIELDS.items():
            value = at(node, field)
            if value is not None:
                self.tell(key, number(value, field), value, field)

    def socket_options(self, options: tuple[Node, ...], states: tuple[str, ...] = _STATES) -> None:
        """Those about keepalive; the others are left alone. `states`: what Envoy takes there."""
        without = []
        for each in options:
            level, name = at(each, "level"), at(each, "name")
            if level is None or name is None:
                continue
            key, title = _OPTIONS.get((number(level, "level"), number(name, "name")), ("", ""))
            value = at(each, "int_value")
            if key and value is None:
                raise error(Word("none", each.place), title, "int_value")
            if key and value is not None:
                _check_state(each, states)
                self.tell(key, _of_option(key, number(value, "int_value")), value, title)
                why = "has no effect without SO_KEEPALIVE"
                without += [Notice(value.place, title, why, ("keepalive",))]
        if "keepalive" not in self.told:
            names = [each for each in without if each.directive.startswith("TCP_KEEP")]
            self.notices += names

    def heartbeat(self, node: Node | None) -> None:
        """KeepaliveSettings of HTTP/2: a PING in each interval, with jitter added."""
        interval = at(node, "interval") if node else None
        if node is None or interval is None:
            return
        timeout, jitter = at(node, "timeout"), at(node, "interval_jitter")
        if timeout is None:
            raise error(Word("none", node.place), "connection_keepalive", "timeout")
        more = envoy_nodes.percent(jitter, "interval_jitter") if jitter else _JITTER_PERCENT
        every_s = round(seconds(interval, "interval") * (1 + more / 100), 6)
        self.tell("heartbeat.every_s", every_s, interval, "interval")
        self.tell("heartbeat.timeout_s", seconds(timeout, "timeout"), timeout, "timeout")
        self.tell("heartbeat.apart", True, node, "connection_keepalive")  # noqa: FBT003 - the value

    def idle(self, node: Node | None, key: str, default: Filled) -> None:
        """An idle timeout; 0 is none."""
        if node is None:
            self.filled[key] = default
        else:
            self.tell(key, seconds(node, "idle_timeout") or None, node, "idle_timeout")


def _check_state(option: Node, states: tuple[str, ...]) -> None:
    """Raise PolicyError for a state that is none of these."""
    found = at(option, "state")
    if found is not None and found.scalar not in {*states, *map(str, range(len(states)))}:
        expected = f"one of {', '.join(states)}" if states[1:] else f"{states[0]} in a BindConfig"
        raise error(found.word("state", expected), "state", expected)


def _of_option(key: str, number: int) -> bool | float | None:
    if key == "keepalive":
        return number != 0
    return number / 1000 if key == "user_timeout_s" else number


def read(text: str, source: str) -> tuple[Connection, ...]:
    """The connections of clusters, then those of listeners. Raises PolicyError."""
    root = envoy_nodes.document(text, source)
    clusters = [_of_cluster(each) for each in envoy_nodes.resources(root, "cluster")]
    listeners = envoy_nodes.resources(root, "listener")
    return (*clusters, *(found for each in listeners for found in _of_listener(each)))


def _of_cluster(cluster: Node) -> Connection:
    side = _Side()
    side.socket_options(items(cluster, "upstream_bind_config", "socket_options"), _STATES[:1])
    side.tcp_keepalive(at(cluster, "upstream_connection_options", "tcp_keepalive"))
    options = at(cluster, "typed_extension_protocol_options", HTTP_OPTIONS)
    for holder in (cluster, *(at(options, kind) for kind in _KINDS if options)):
        if holder is not None:
            side.heartbeat(at(holder, "http2_protocol_options", "connection_keepalive"))
    timeout = at(options or cluster, "common_http_protocol_options", "idle_timeout")
    if timeout is not None or options is not None:
        side.idle(timeout, "idle_close_s", _HTTP_IDLE)
    return _connection(f"cluster/{_name(cluster)}", cluster, side)


def _of_listener(listener: Node) -> Iterator[Connection]:
    """One for each filter chain; UDP and Unix sockets are left alone."""
    protocol = at(listener, "address", "socket_address", "protocol")
    is_udp = protocol is not None and protocol.scalar == "UDP"
    if is_udp or at(listener, "udp_listener_config") or at(listener, "address", "pipe"):
        return
    chains = items(listener, "filter_chains")
    default = at(listener, "default_filter_chain")
    every = [*chains, *([default] if default else [])] or [listener]
    for index, chain in enumerate(every):
        side = _Side()
        side.filled |= {"side": Filled("server", "a listener accepts connections")}
        side.tcp_keepalive(at(listener, "tcp_keepalive"))
        side.socket_options(items(listener, "socket_options"))
        if side.told:
            side.filled["set_on"] = _ON_LISTENER
        for each in items(chain, "filters"):
            _of_filter(side, at(each, "typed_config"))
        more = f"/{_name(chain, str(index))}" if len(every) > 1 else ""
        yield _connection(f"listener/{_name(listener)}{more}", listener, side)


def _of_filter(side: _Side, config: Node | None) -> None:
    if config is None:
        return
    if envoy_nodes.has_type(config, "HttpConnectionManager"):
        timeout = at(config, "common_http_protocol_options", "idle_timeout")
        side.idle(timeout, "idle_close_s", _HTTP_IDLE)
        side.heartbeat(at(config, "http2_protocol_options", "connection_keepalive"))
    elif envoy_nodes.has_type(config, "TcpProxy"):
        side.idle(at(config, "idle_timeout"), "inactivity_close_s", _TCP_IDLE)


def _name(node: Node, otherwise: str = "") -> str:
    found = at(node, "name")
    return (found.scalar if found else None) or otherwise or "unnamed"


def _connection(name: str, node: Node, side: _Side) -> Connection:
    place = (at(node, "name") or node).place
    notices = tuple(side.notices)
    return stated.connection(name, place, side.told, side.filled, notices, side.directives())


def write(terms: Terms) -> str:
    """A listener for settings of a server, or else a cluster. Raises UsageError."""
    keys = ("keepalive", "idle_s", "interval_s", "count", "user_timeout_s")
    refuse_others(terms, keys, "Envoy")
    is_on = Connection(name="", terms=terms).keepalive
    values: dict[str, int] = {"keepalive": int(is_on)}
    values |= {key: value for key in keys[1:4] if (value := getattr(terms, key)) is not None}
    if terms.user_timeout_s is not None:
        values["user_timeout_s"] = round(terms.user_timeout_s * 1000)
    if terms.side == "server":
        listed = _options(values, 4)
        return f"static_resources:\n  listeners:\n  - name: app\n    socket_options:\n{listed}"
    written = "static_resources:\n  clusters:\n  - name: app\n"
    fields = [
        f"        {field}: {values[key]}\n" for field, key in _FIELDS.items() if key in values
    ]
    if is_on:
        inside = f"\n{''.join(fields)}" if fields else " {}\n"
        written += f"    upstream_connection_options:\n      tcp_keepalive:{inside}"
    if not is_on or "user_timeout_s" in values:
        rest = values if not is_on else {"user_timeout_s": values["user_timeout_s"]}
        written += f"    upstream_bind_config:\n      socket_options:\n{_options(rest, 6)}"
    return written


def _options(values: dict[str, int], indent: int) -> str:
    """Socket options in YAML."""
    numbers = {key: numbers for numbers, (key, _) in _OPTIONS.items()}
    names = dict(_OPTIONS.values())
    lines = []
    for key, value in values.items():
        level, name = numbers[key]
        option = f"level: {level}, name: {name}, int_value: {value}, state: STATE_PREBIND"
        lines.append(f"{' ' * indent}- {{description: {names[key]}, {option}}}\n")
    return "".join(lines)


def _fits(path: Path, text: str) -> bool:
    is_structured = path.suffix in (".yaml", ".yml", ".json")
    found = re.search(r"^[ \t{]*[\"']?static_?[rR]esources[\"']?[ \t]*:", text, re.MULTILINE)
    return is_structured and (found is not None or "type.googleapis.com/envoy.config." in text)


FORMAT = Format(
    name="envoy",
    title="Envoy's bootstrap, clusters or listeners in YAML or JSON",
    fits=_fits,
    read=read,
    write=write,
)
