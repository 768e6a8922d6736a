"""nginx: the client side of servers, and the connections to what they pass requests on to.

Without `so_keepalive` and `proxy_socket_keepalive` SO_KEEPALIVE is off; the second leaves idle
time, interval and count to the system. `fastcgi_pass`, `grpc_pass` and the like have directives of
the same names. Defaults are those of https://nginx.org/en/docs/, modules ngx_http_core,
ngx_http_proxy, ngx_http_upstream and ngx_stream_proxy. `include` is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.policy import lines, nginx_blocks, stated
from harness.policy.directives import refuse_others
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.nginx_blocks import Directive, seconds
from harness.policy.settings import Connection, Notice, Place, Terms
from harness.policy.stated import Filled, Stated

_DEFAULTS_S = {
    "keepalive_timeout": 75,
    "send_timeout": 60,
    "proxy_timeout": 600,
}
_PASSING = ("proxy", "fastcgi", "grpc", "uwsgi", "scgi", "memcached")
"""What the directives of the modules that pass requests on begin with."""
_PASSED_S = 60
"""The read and the send timeout of each of them."""
_POOL_S = 60
"""keepalive_timeout of an upstream."""
_LISTEN = dict.fromkeys(("keepalive", "idle_s", "interval_s", "count"), "so_keepalive")
_OFF = Filled(value=False, source="nginx's default (so_keepalive is left out)")
_LISTENS = Filled("server", "nginx listens")
_HEADER = "proxy_set_header"
_HARMLESS = (
    "mime.types",
    "fastcgi_params",
    "scgi_params",
    "uwsgi_params",
    "modules-enabled/*.conf",
)
"""Files of every installation that have none of the directives here."""
Blocks = Sequence[Directive]
"""From the outermost to the innermost: what is said in an inner one counts."""
Closing = tuple[dict[str, Stated], dict[str, Filled]]
"""A timeout that the file states, or one that nginx fills in."""


class Passed(msgspec.Struct, frozen=True):
    """Where requests are passed on to `target`, by a directive with one of the prefixes."""

    blocks: Blocks
    prefix: str
    target: Word

    @property
    def timeouts(self) -> tuple[str, str]:
        """The directives that bound how long nginx waits for the upstream."""
        return f"{self.prefix}_read_timeout", f"{self.prefix}_send_timeout"


def read(text: str, source: str) -> tuple[Connection, ...]:
    """In the order of the file. Raises PolicyError."""
    root = nginx_blocks.parse(text, source)
    found: dict[str, Connection] = {}
    for made in _of_file(root):
        known = found.get(made.name)
        if known is None:
            found[made.name] = made
        elif known.terms != made.terms:
            where = f"line {made.place.line}" if made.place else "another"
            found[f"{made.name}, {where}"] = _renamed(made, f"{made.name}, {where}")
    if not found:
        return ()
    first, *others = found.values()
    return (replace(first, notices=(*first.notices, *_includes(root))), *others)


def _includes(block: Directive) -> Iterator[Notice]:
    """The lines that include other files."""
    for each in block.inner:
        named = each.words[1].text if each.words[1:] else ""
        if each.name == "include" and not named.endswith(_HARMLESS):
            yield lines.not_followed(each.words[0])
        yield from _includes(each)


def _renamed(made: Connection, name: str) -> Connection:
    return replace(made, name=name)


def _of_file(root: Directive) -> Iterator[Connection]:
    """A file that is included has servers or locations outside of `http` and `stream`."""
    for outer in [root, *root.all("http"), *root.all("stream")]:
        servers = outer.all("server")
        is_stream = outer.words and outer.name == "stream"
        shared = _shared(servers)
        pools = {each.words[1].text: each for each in outer.all("upstream") if each.words[1:]}
        for server in servers:
            if is_stream or server.argument("proxy_pass"):
                yield from _of_stream([outer, server], shared)
            else:
                yield from _of_http([outer, server], shared)
                yield from _proxied([outer, server], pools)
        yield from _proxied([outer], pools)


# --- what listens -------------------------------------------------------------------------------


def _shared(servers: Sequence[Directive]) -> dict[str, Word]:
    """so_keepalive by address: servers that listen on the same one share the socket."""
    found = {}
    for each in (listen for server in servers for listen in server.all("listen")):
        for word in each.words[2:]:
            if word.text.startswith("so_keepalive="):
                found[_address(each)] = word
    return found


def _address(listen: Directive) -> str:
    text = listen.words[1].text if len(listen.words) > 1 else "80"
    return f"*:{text}" if text.isdigit() else text


def _clients(
    server: Directive, shared: Mapping[str, Word]
) -> Iterator[tuple[str, Place, dict[str, Stated]]]:
    """Name and place of each kind of listening socket of TCP, with what so_keepalive says."""
    listens = [each for each in server.all("listen") if _is_tcp(each)]
    if not listens and not server.all("listen"):
        yield "80", server.words[0].place, {}
    title = server.argument("server_name")
    options = [shared.get(_address(each)) for each in listens]
    alike = len({each.text if each else None for each in options}) <= 1
    for listen, option in list(zip(listens, options, strict=True))[: 1 if alike else None]:
        name = title.text if title and title.text not in ("_", "") else listen.words[1].text
        name = name if alike else f"{name}, listen {listen.words[1].text}"
        yield name, listen.words[0].place, _so_keepalive(option) if option else {}


def _is_tcp(listen: Directive) -> bool:
    words = [each.text for each in listen.words[1:]]
    return bool(words) and not words[0].startswith("unix:") and not {"udp", "quic"} & set(words)


def _so_keepalive(option: Word) -> dict[str, Stated]:
    """on, off, or idle:interval:count, each of which may be left out."""
    _, value = option.part("=")
    assert value is not None
    if value.text in ("on", "off"):
        return {"keepalive": _stated(value.text == "on", value, "so_keepalive")}
    parts: list[Word] = []
    rest: Word | None = value
    while rest is not None:
        part, rest = rest.part(":")
        parts.append(part)
    if len(parts) != 3 or not any(each.text for each in parts):
        raise error(value, "so_keepalive", "on, off, or idle:interval:count")
    found = {"keepalive": _stated(value=True, word=value, directive="so_keepalive")}
    for key, part in zip(("idle_s", "interval_s"), parts[:2], strict=True):
        if part.text:
            found[key] = _stated(int(seconds(part, "so_keepalive")), part, "so_keepalive")
    if parts[2].text:
        expected = "a count from 1 to 127"
        count = lines.integer(parts[2], "so_keepalive", expected, least=1, most=127)
        found["count"] = _stated(count, parts[2], "so_keepalive")
    return found


# --- sides --------------------------------------------------------------------------------------


def _of_http(blocks: Blocks, shared: Mapping[str, Word]) -> Iterator[Connection]:
    listening = list(_clients(blocks[-1], shared))
    for name, place, found in listening:
        closing, filled = _closing(blocks, ("keepalive_timeout", "send_timeout"))
        waiting = _timeout(blocks, "keepalive_timeout")
        if isinstance(waiting, Stated) and waiting.value:
            closing["idle_close_s"] = waiting
        elif isinstance(waiting, Filled):
            filled["idle_close_s"] = waiting
        filled |= {"keepalive": _OFF, "side": _LISTENS}
        yield stated.connection(f"http server {name}", place, found | closing, filled, (), _LISTEN)
    for more, place, (closing, filled) in _waiting(blocks):
        filled |= {"keepalive": _OFF, "side": _LISTENS}
        for name, _, found in listening:
            title, told = f"http server {name}{more}", found | closing
            yield stated.connection(title, place, told, filled, (), _LISTEN)


def _waiting(blocks: Blocks) -> Iterator[tuple[str, Place, Closing]]:
    """The timeouts while nginx waits for an upstream, as none of the client's runs then; what to
    add to the connection's name, and its place.
    """
    longest: tuple[Stated | Filled, Place] | None = None
    for each in _passing(blocks):
        if _upgrades(each):
            closing = _closing(each.blocks, ("proxy_read_timeout", "send_timeout"))
            yield ", upgraded", each.target.place, closing
            continue
        found = _longest(each.blocks, each.timeouts)
        if longest is None or found.value > longest[0].value:
            longest = found, each.target.place
    between = _timeout(blocks, "keepalive_timeout").value or _timeout(blocks, "send_timeout").value
    if longest is not None and longest[0].value > between:
        yield ", in a request", longest[1], _as_closing(longest[0])


def _of_stream(blocks: Blocks, shared: Mapping[str, Word]) -> Iterator[Connection]:
    """Both sides have the same timeout."""
    closing: dict[str, Stated] = {}
    filled: dict[str, Filled] = {}
    target, listens = blocks[-1].argument("proxy_pass"), blocks[-1].all("listen")
    if listens and not any(map(_is_tcp, listens)):
        return
    if target is not None:
        closing, filled = _closing(blocks, ("proxy_timeout",))
    for name, place, found in _clients(blocks[-1], shared):
        more = {"keepalive": _OFF, "side": _LISTENS}
        told = found | closing
        yield stated.connection(f"stream server {name}", place, told, filled | more, (), _LISTEN)
    if target is not None and not target.text.startswith("unix:"):
        passed = Passed(blocks, "proxy", target)
        yield _to_upstream("stream", passed, closing, filled)


def _proxied(blocks: Blocks, pools: Mapping[str, Directive]) -> Iterator[Connection]:
    """The connections of each location below a server that passes requests on.

    No pool of an upstream closes one while a request waits, and one that was upgraded, as to
    WebSocket, never returns to it.
    """
    for each in _passing(blocks):
        if "unix:" in each.target.text:
            continue
        closing, filled = _closing(each.blocks, each.timeouts)
        pool = pools.get(re.sub(r"^\w+://|/.*", "", each.target.text))
        kept, kept_filled = _pooled(pool)
        yield _to_upstream("http", each, closing | kept, filled | kept_filled)
        in_pool = kept.get("idle_close_s") or kept_filled.get("idle_close_s")
        if in_pool is None:
            continue
        if _upgrades(each):
            yield _to_upstream("http", each, closing, filled, ", upgraded")
        elif _longest(each.blocks, each.timeouts).value > in_pool.value:
            yield _to_upstream("http", each, closing, filled, ", in a request")


def _passing(blocks: Blocks) -> Iterator[Passed]:
    """From each location below that passes requests on."""
    for each in blocks[-1].inner:
        if each.name not in ("location", "if", "limit_except"):
            continue
        inner = [*blocks, each]
        for prefix in _PASSING:
            target = each.argument(f"{prefix}_pass")
            if target is not None:
                yield Passed(inner, prefix, target)
        yield from _passing(inner)


def _to_upstream(
    kind: str, passed: Passed, told: dict[str, Stated], filled: dict[str, Filled], more: str = ""
) -> Connection:
    """The connection to what requests are passed on to; `more`: of its name."""
    directive = f"{passed.prefix}_socket_keepalive"
    off = Filled(value=False, source=f"nginx's default ({directive} off)")
    return stated.connection(
        f"{kind} {passed.prefix}_pass {passed.target.text}{more}",
        passed.target.place,
        _socket_keepalive(passed.blocks, directive) | told,
        {**filled, "keepalive": off},
        (),
        {"keepalive": directive},
    )


def _upgrades(passed: Passed) -> bool:
    """Whether requests to upgrade are passed on. Of the blocks that set headers the innermost
    counts.
    """
    if passed.prefix != "proxy":
        return False
    every = reversed(passed.blocks)
    headers = next((found for each in every if (found := each.all(_HEADER))), [])
    named = [each.words for each in headers if len(each.words) > 2]
    return any(words[1].text.lower() == "upgrade" and words[2].text for words in named)


def _pooled(pool: Directive | None) -> tuple[dict[str, Stated], dict[str, Filled]]:
    """After so long an upstream with `keepalive` closes an idle connection."""
    if pool is None or not pool.all("keepalive"):
        return {}, {}
    word = pool.argument("keepalive_timeout")
    if word is None:
        source = f"nginx's default (upstream, keepalive_timeout {_POOL_S}s)"
        return {}, {"idle_close_s": Filled(_POOL_S, source)}
    return {
        "idle_close_s": _stated(seconds(word, "keepalive_timeout"), word, "keepalive_timeout")
    }, {}


def _socket_keepalive(blocks: Blocks, directive: str) -> dict[str, Stated]:
    word = _innermost(blocks, directive)
    if word is None:
        return {}
    if word.text not in ("on", "off"):
        raise error(word, directive, "on or off")
    return {"keepalive": _stated(word.text == "on", word, directive)}


# --- timeouts -----------------------------------------------------------------------------------


def _closing(blocks: Blocks, directives: Sequence[str]) -> Closing:
    """The longest of these timeouts bounds how long nginx waits without data."""
    return _as_closing(_longest(blocks, directives))


def _longest(blocks: Blocks, directives: Sequence[str]) -> Stated | Filled:
    return max((_timeout(blocks, each) for each in directives), key=lambda each: each.value)


def _as_closing(timeout: Stated | Filled) -> Closing:
    if isinstance(timeout, Stated):
        return {"inactivity_close_s": timeout}, {}
    return {}, {"inactivity_close_s": timeout}


def _timeout(blocks: Blocks, directive: str) -> Stated | Filled:
    word = _innermost(blocks, directive)
    if word is not None:
        return _stated(seconds(word, directive), word, directive)
    default_s = _DEFAULTS_S.get(directive, _PASSED_S)
    return Filled(default_s, f"nginx's default ({directive} {default_s}s)")


def _innermost(blocks: Blocks, directive: str) -> Word | None:
    found = [each.argument(directive) for each in reversed(blocks)]
    return next((each for each in found if each is not None), None)


def _stated(value: float, word: Word, directive: str) -> Stated:
    return Stated(value=value, place=word.place, directive=directive, written=word.text)


# --- written ------------------------------------------------------------------------------------


def write(terms: Terms) -> str:
    """A server with so_keepalive, for settings of a server. Raises UsageError."""
    server = terms.side == "server"
    times = ("idle_s", "interval_s", "count") if server else ()
    refuse_others(terms, ("keepalive", *times), "nginx" if server else "nginx as a client")
    on = Connection(name="", terms=terms).keepalive
    if not server:
        option = f"proxy_socket_keepalive {'on' if on else 'off'};"
        inner = f"        {option}\n        proxy_pass http://app;\n"
        return f"location / {{\n{inner}}}\n"
    values = [getattr(terms, key) for key in times]
    option = "on" if on else "off"
    if on and any(each is not None for each in values):
        option = ":".join("" if each is None else str(each) for each in values)
    return f"server {{\n    listen 8080 so_keepalive={option};\n}}\n"


def _fits(_path: Path, text: str) -> bool:
    block = re.search(r"^[ \t]*(http|stream|server|upstream\s+\S+)\s*\{", text, re.MULTILINE)
    return bool(block) and bool(
        re.search(r"(^|[{;])\s*(listen|proxy_pass)\s[^;{}]*;", text, re.MULTILINE)
    )


FORMAT = Format(
    name="nginx",
    title="nginx.conf, or another name with server blocks in it",
    fits=_fits,
    read=read,
    write=write,
)
