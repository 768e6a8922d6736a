"""`harness audit` of real servers: what each really sets on the connections that it accepts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.lab import docker_client, docker_images
from harness.lab.host import Host
from harness.lab.namespace import Namespace, write_sysctl
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import Topology
from harness.system.user_dirs import libraries_folder
from tests.live.command import CHECKOUT, COMMAND, PATIENCE_S, Ended, inside, started

pytestmark = pytest.mark.live
TIME = "net.ipv4.tcp_keepalive_time"
IDLE_S = 600
"""The sysctl in the server's network namespace: not this machine's."""
GO = """
package main

import (
    "net"
    "os"
)

func main() {
    listener, err := net.Listen("tcp4", ":" + os.Args[1])
    if err != nil {
        panic(err)
    }
    for kept := []net.Conn{}; ; {
        connection, err := listener.Accept()
        if err != nil {
            panic(err)
        }
        kept = append(kept, connection)
        connection.Write([]byte("ready"))
    }
}
"""
JAVA = """
import java.net.*;
import jdk.net.ExtendedSocketOptions;

class Server {
    public static void main(String[] words) throws Exception {
        var kept = new java.util.ArrayList<Socket>();
        var listener = new ServerSocket(Integer.parseInt(words[0]));
        while (true) {
            var socket = listener.accept();
            socket.setKeepAlive(true);
            socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, 45);
            kept.add(socket);
            socket.getOutputStream().write("ready".getBytes());
        }
    }
}
"""


GONE = "expected the ID of a running process"
"""What is said of a process that has ended since it was found."""


class Server(NamedTuple):
    """A server: the name of its program, and what it sets on a connection: SO_KEEPALIVE, and idle
    time, interval and count with where they come from.

    `argv`: from a folder and a port, or the reason why it is left out. `asks`: sent by a client,
    which gets an answer that begins with `answers` when the options are set.
    """

    program: str
    argv: Callable[[Path, int], Sequence[str] | str]
    idle: tuple[int, str]
    interval: tuple[int, str]
    probes: tuple[int, str]
    asks: bytes = b""
    answers: bytes = b""


def _redis(folder: Path, port: int) -> Sequence[str] | str:
    server = shutil.which("redis-server")
    if server is None:
        return "no redis-server here: ci/libraries installs it"
    options = ("--save", "", "--protected-mode", "no", "--dir", str(folder))
    return (server, "--port", str(port), *options)


def _postgres(folder: Path, port: int) -> Sequence[str] | str:
    if not (libraries_folder() / "postgresql" / ".stamp").exists():
        return "no PostgreSQL here: ci/libraries installs it"
    script = CHECKOUT / "scenarios" / "libraries" / "programs" / "postgres.sh"
    return ("sh", str(script), str(libraries_folder()), str(folder), str(port))


def _sshd(folder: Path, port: int) -> Sequence[str] | str:
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if server is None:
        return "no sshd here: ci/libraries installs it, as root and without systemd"
    if os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split()[2] == "1":
        return "sshd needs root"
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)  # noqa: S607
    options = [f"HostKey={key}", "PidFile=none", "UsePAM=no", "StrictModes=no"]
    words = [f"-o{option}" for option in options]
    # /run/sshd must be there, and need not be this machine's.
    script = 'mount -t tmpfs none /run; mkdir /run/sshd; exec "$@"'
    command = (server, "-D", "-e", "-f", os.devnull, "-p", str(port), *words)
    return ("unshare", "--mount", "sh", "-ec", script, "sh", *command)


def _go(folder: Path, port: int) -> Sequence[str] | str:
    compiler = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if compiler is None:
        return "no go here: sudo apt-get install golang-go"
    (folder / "go.mod").write_text("module server\n\ngo 1.23\n")
    (folder / "server.go").write_text(GO)
    # As for toxiproxy-server and the examples, so that the standard library is compiled once.
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    subprocess.run(
        [compiler, "build", "-trimpath", "-buildvcs=false", "-o", "goserver", "."],
        cwd=folder,
        env={**os.environ, **settings},
        check=True,
    )
    return (str(folder / "goserver"), str(port))


def _java(folder: Path, port: int) -> Sequence[str] | str:
    if shutil.which("javac") is None:
        return "no JDK here: sudo apt-get install openjdk-17-jdk-headless"
    (folder / "Server.java").write_text(JAVA)
    return ("java", "-XX:TieredStopAtLevel=1", str(folder / "Server.java"), str(port))


SYSTEM_IDLE, SYSTEM_INTERVAL, SYSTEM_COUNT = (
    (IDLE_S, TIME),
    (75, "net.ipv4.tcp_keepalive_intvl"),
    (9, "net.ipv4.tcp_keepalive_probes"),
)
STARTUP = (196_608).to_bytes(4, "big") + b"user\0postgres\0database\0template1\0\0"
"""PostgreSQL's StartupMessage, protocol 3.0, without its length. An AuthenticationOk begins with R;
while it starts up, an error comes.
"""
SERVERS = {
    "redis": Server(
        "redis-server", _redis, (300, "socket"), (100, "socket"), (3, "socket"), b"PING\r\n"
    ),
    "postgres": Server(
        "postgres",
        _postgres,
        SYSTEM_IDLE,
        SYSTEM_INTERVAL,
        SYSTEM_COUNT,
        (len(STARTUP) + 4).to_bytes(4, "big") + STARTUP,
        b"R",
    ),
    "sshd": Server("sshd", _sshd, SYSTEM_IDLE, SYSTEM_INTERVAL, SYSTEM_COUNT),
    "go": Server("goserver", _go, (15, "socket"), (15, "socket"), SYSTEM_COUNT),
    "java": Server("java", _java, (45, "socket"), SYSTEM_INTERVAL, SYSTEM_COUNT),
}
"""Go sets the count, too, to what the system has: from outside nobody can tell."""


@pytest.fixture(scope="module")
def lab(privileges: None) -> Iterator[NetnsLab]:
    """Two hosts; the server's has another sysctl than this machine."""
    del privileges
    with NetnsLab(Topology(kind="direct")) as made:
        made.host("server").sysctl(TIME, IDLE_S)
        yield made


def processes(host: Host) -> list[str]:
    """Options for all processes on a host."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and (folder / "ns" / "net").stat().st_ino == host.identity:
                found += ["--pid", folder.name]
        except OSError:  # it has ended
            continue
    return found


def sockets(folder: Path, host: Host, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit status, and the report of a host's processes."""
    ended = Ended(2, "", GONE)
    while GONE in ended.err:
        ended = inside(folder, "audit", "--output-format", "json", *processes(host), *options)
    assert ended.out, ended.err
    return ended.status, json.loads(ended.out)


def connected(lab: NetnsLab, port: int, server: Server) -> socket.socket:
    """A connection to a server that has answered, once it is ready."""
    address = (lab.layout.address("server"), port)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        client = lab.host("client").socket(socket.AF_INET)
        client.settimeout(PATIENCE_S)
        try:
            client.connect(address)
            client.sendall(server.asks)
            answer = client.recv(1)
            if answer and answer.startswith(server.answers):
                return client
        except OSError:
            assert time.monotonic() < deadline, f"no answer at port {port}"
        client.close()
        time.sleep(0.02)


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_server_sets(name: str, lab: NetnsLab, tmp_path: Path) -> None:
    """On a connection that it accepted, in its own network namespace, with where each value comes
    from; a demand that this misses is an error.
    """
    server, port = SERVERS[name], 7000 + list(SERVERS).index(name)
    argv = server.argv(tmp_path, port)
    if isinstance(argv, str):
        pytest.skip(argv)
    host = lab.host("server")
    with host.running(name, argv), connected(lab, port, server):
        status, report = sockets(tmp_path, host, "--detect-idle-within", "60")
    accepted = [each for each in report["sockets"] if each["ports"] == [port]]
    by_role = {each["role"]: each for each in accepted}
    assert {"listening", "accepted"} <= by_role.keys()
    found = by_role["accepted"]
    assert (found["program"], found["networks"]) == (server.program, [host.identity])
    options = {key: (each["value"], each["from"]) for key, each in found["options"].items()}
    assert options == {
        "keepalive": (True, "socket"),
        "idle_s": server.idle,
        "interval_s": server.interval,
        "count": server.probes,
        "user_timeout_s": (0.0, "default"),
    }
    assert not found["detected_idle"]["met"]
    assert (status, report["unread"]) == (1, [])
    late = {each["rule"] for each in report["findings"] if each["connection"] == found["name"]}
    assert "KA015" in late


def test_a_background_job_watches_until_an_interrupt(lab: NetnsLab, tmp_path: Path) -> None:
    """Shells start those with SIGINT ignored. What comes meanwhile is told, in a line."""
    host = lab.host("server")
    with host.socket(socket.AF_INET) as listener:
        argv = ("sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND)
        options = ("audit", "--pid", str(os.getpid()), "--watch", "0.05")
        with started(tmp_path, *options, command=argv) as watching:
            shown = tmp_path / "stdout"
            _await(lambda: "TCP sockets of" in shown.read_text())
            listener.bind(("127.0.0.1", 7800))
            listener.listen()
            _await(lambda: "listening at 7800" in shown.read_text())
            watching.process.send_signal(signal.SIGINT)
            ended = watching.wait()
    assert ended.status == 0
    (line,) = [each for each in ended.out.splitlines() if "7800" in each]
    assert "  + " in line
    assert f"keepalive off {IDLE_S}/75/9: 0 -> 1 socket; detected never idle" in line


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.containers
@pytest.mark.needs("docker")
def test_processes_of_a_container(lab: NetnsLab, tmp_path: Path) -> None:
    """Those of the container alone. Its sockets follow the sysctl of its network namespace."""
    del lab
    script = (
        "import socket, time\n"
        "listener = socket.create_server(('127.0.0.1', 7777))\n"
        "client = socket.create_connection(listener.getsockname())\n"
        "client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)\n"
        "accepted, _ = listener.accept()\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    name = f"somebodys-{uuid.uuid4().hex[:8]}"
    with closing(docker_client.connect()) as client:
        docker_images.ensure_image(client, docker_client.HOST_TREE)
        container = client.containers.run(
            docker_client.HOST_TREE,
            entrypoint=[sys.executable],
            command=["-I", "-S", "-c", script],
            name=name,
            network_mode="none",
            volumes=docker_images.host_tree(()),
            detach=True,
        )
        try:
            with closing(container.logs(stream=True)) as said:
                next(said)
            container.reload()
            network = Namespace(docker_client.pid_of(container))
            with closing(network), network.entered():
                write_sysctl(TIME, 333)
            ended = inside(tmp_path, "audit", "--container", name, "--output-format", "json")
        finally:
            container.remove(force=True)
    assert ended.status == 0, ended.err
    report = json.loads(ended.out)
    found = {(each["role"], *each["ports"]): each["options"] for each in report["sockets"]}
    assert found.keys() == {(role, 7777) for role in ("listening", "accepted", "connected")}
    assert found["connected", 7777]["keepalive"] == {"value": True, "from": "socket"}
    assert found["connected", 7777]["idle_s"] == {"value": 333, "from": TIME}
    ended = inside(tmp_path, "audit", "--container", name)
    assert ended.status == 2
    assert f"found no {name}" in ended.err
