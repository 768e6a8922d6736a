"""A toxiproxy-server on the proxy's host, spoken to through toxiproxy-python.

The server's API listens on the loopback of its own host, always at the same address, and whoever
calls it enters that host's network first: so the labs of one process do not mix, although
toxiproxy-python keeps the address in an attribute of a class. That works as long as each call makes
a connection of its own and nobody changes the attribute. So the harness has a copy of the library
to itself, whose calls end after a time and go through no HTTP proxy of the environment; a test's
own use of toxiproxy-python sees nothing of it.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import CapabilityError, FaultError, SubjectError
from harness.lab.host import Host, Lab
from harness.lab.keyed import Keyed
from harness.system import fixes
from harness.system.user_dirs import cache_folder

NAME = "toxiproxy-server"
PORT = 7000
"""Where the proxy listens and what it connects to: the subjects' own
(harness.subjects.tcp_driver.PORT).
"""
PROXY = "server"
"""The proxy's name in the server: what is behind it."""
ANSWER_S = 5.0
"""How long the server may take to answer."""
REMOVAL_S = 30.0
"""The same where a toxic is removed: the server waits for what the toxic holds, and itself answers
after 25 s.
"""
READY_S = 10.0
POLL_S = 0.002
_API = ("127.0.0.1", 8474)
"""toxiproxy-python's defaults."""
_OWN = "harness_own_toxiproxy"
"""The name of the library's copy among the modules."""
_loading = threading.Lock()


def folder() -> Path:
    """Where `ci/setup` puts the server: $XDG_CACHE_HOME/keepalive-harness/toxiproxy."""
    return cache_folder() / "toxiproxy"


def server() -> str:
    """The program: on PATH, else in the cache. Raises CapabilityError."""
    kept = folder() / NAME
    found = shutil.which(NAME) or shutil.which(str(kept))
    if found is None:
        raise CapabilityError(NAME, f"neither on PATH nor at {kept}", fixes.toxiproxy_server())
    return found


def version() -> str:
    """What the server says of itself. Raises CapabilityError."""
    path = server()
    try:
        said = subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=ANSWER_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        fix = f"remove it; then {fixes.toxiproxy_server()}"
        raise CapabilityError(NAME, f"{path} does not run: {error}", fix) from error
    return said.strip().removeprefix(f"{NAME} version ")


def check_library() -> str:
    """Where toxiproxy-python is. Raises CapabilityError."""
    found = importlib.util.find_spec("toxiproxy")
    if found is None or found.origin is None:
        raise CapabilityError(
            "toxiproxy-python", "it is not installed", fixes.install_extra("toxiproxy")
        )
    return found.origin


@functools.cache
def _library() -> Any:
    """The harness's own copy of toxiproxy-python. Raises CapabilityError."""
    with _loading:
        if _OWN in sys.modules:
            return sys.modules[_OWN]
        place = check_library()
        spec = importlib.util.spec_from_file_location(
            _OWN, place, submodule_search_locations=[str(Path(place).parent)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[_OWN] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[_OWN]
            raise
        module.api.requests = Calls()
        return module


class Calls:
    """What the library takes for the module requests: one connection for each call, bounded and
    direct.
    """

    def __init__(self, key: Keyed | None = None) -> None:
        """`key`: that of the server, where it has one."""
        self._key = key

    def get(self, url: str, **options: Any) -> Any:
        """Ask."""
        return self._call("GET", url, ANSWER_S, options)

    def post(self, url: str, **options: Any) -> Any:
        """Change."""
        return self._call("POST", url, ANSWER_S, options)

    def delete(self, url: str, **options: Any) -> Any:
        """Remove."""
        return self._call("DELETE", url, REMOVAL_S, options)

    def _call(self, method: str, url: str, patience_s: float, options: dict[str, Any]) -> Any:
        import requests

        with requests.Session() as session:
            session.trust_env = False
            if self._key is not None:
                session.mount("http://", _adapter(self._key))
            answer = session.request(method, url, timeout=patience_s, **options)
        # What is wrong with the request the library itself raises; of a server in trouble it says
        # nothing.
        late = method == "DELETE" and answer.status_code == 503
        if answer.status_code >= 500 and not late:
            raise requests.HTTPError(f"status {answer.status_code}: {answer.text.strip()}")
        return answer


def _adapter(key: Keyed) -> Any:
    """What makes the connections of a session of requests, with a key."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            every = [*HTTPConnection.default_socket_options, key.option]
            super().init_poolmanager(*arguments, **options, socket_options=every)

    return Adapter()


@contextmanager
def calls(host: Host) -> Iterator[Any]:
    """The library, for calls to the server on a host, from within its network.

    Raises FaultError.
    """
    library = _library()
    import requests

    refusals = (
        library.exceptions.ProxyExists,
        library.exceptions.NotFound,
        library.exceptions.InvalidToxic,
    )
    try:
        with host.entered():
            yield library
    except refusals as error:
        said = error.args[0] if error.args else error
        text = said.decode(errors="replace").strip() if isinstance(said, bytes) else str(said)
        raise FaultError(
            f"expected the {NAME} on {host.name} to do as it is told, found it refuses: {text}"
        ) from error
    except (requests.RequestException, OSError) as error:
        raise FaultError(f"expected the {NAME} on {host.name} to answer, found {error}") from error


def proxy(library: Any) -> Any:
    """The lab's proxy, without asking the server for it."""
    return library.Proxy(name=PROXY, upstream="", listen="", enabled=True)


def is_started(host: Host) -> bool:
    """Whether the server was started on a host, and has not gone with it in a reboot."""
    try:
        return host.program.name == NAME
    except FaultError:
        return False


def start(lab: Lab) -> None:
    """Start the server and have it listen for the client, where that is not done.

    Raises CapabilityError and SubjectError.
    """
    where = lab.layout
    assert where.proxy is not None
    host = lab.host(where.proxy)
    if is_started(host):
        return
    _library()
    path = server()
    # It would print a line for each connection, and nobody reads them.
    program = host.start(
        NAME, [path, "-host", _API[0], "-port", str(_API[1])], {"LOG_LEVEL": "fatal"}
    )
    try:
        with calls(host) as library:
            deadline = time.monotonic() + READY_S
            while not library.Toxiproxy().running():
                if program.poll() is not None:
                    raise SubjectError(
                        f"{NAME}: ended with status {program.poll()}, last words "
                        f"{program.lines()!r}"
                    )
                if time.monotonic() > deadline:
                    raise SubjectError(
                        f"{NAME}: expected an answer at {_address(*_API)} in {READY_S:g} s, "
                        "found none"
                    )
                time.sleep(POLL_S)
            upstream, listen = (
                _address(where.address("server"), PORT),
                _address(where.entrance, PORT),
            )
            library.Toxiproxy().create(upstream=upstream, name=PROXY, listen=listen)
    except FaultError as error:
        raise SubjectError(str(error)) from error


def _address(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
