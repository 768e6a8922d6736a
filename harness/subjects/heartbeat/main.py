"""An end with a heartbeat as a program of its own: for faults that kill or freeze it, and for one
whose sends wait.

Started by `argv`; what it is comes as JSON, orders as lines on standard input, events leave as JSON
lines, all as in `harness.programs.tcp_endpoint`.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from harness.programs import tcp_endpoint
from harness.subjects.heartbeat import designs
from harness.subjects.heartbeat.participant import Setting
from harness.system import file_descriptors

_MOST_DESCRIPTORS = 65536
_START = (
    "import sys; sys.path.append(sys.argv[1]); from harness.subjects.heartbeat import main as p; "
    "p.main()"
)


def argv(job: dict[str, object]) -> list[str]:
    """The command.

    The package's folder comes last on the path, which has nothing else but the standard library.
    """
    return [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _START,
        str(Path(file_descriptors.__file__).parents[2]),
        json.dumps(job),
    ]


def main() -> None:
    """Run one end until the harness closes standard input or is gone."""
    job = json.loads(sys.argv[2])
    address, port = job["address"], job["port"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    file_descriptors.raise_limit(_MOST_DESCRIPTORS)

    def make_socket() -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        tcp_endpoint.limit_buffers(made, *job["buffers"])
        return made

    servers = {name: (where[0], where[1]) for name, where in job["servers"].items()}
    setting = Setting(
        job["role"], job["heartbeat"], job["options"], make_socket, tcp_endpoint.tell, servers
    )
    sock, listener = make_socket(), None
    tcp_endpoint.show(reads=True)
    if setting.is_server:
        listener = sock
        tcp_endpoint.tell("subject.listening", port=tcp_endpoint.listen(listener, address, port))
        sock = tcp_endpoint.accept(listener)
        if job["heartbeat"]["design"] != "reaper":
            listener.close()
    else:
        tcp_endpoint.connect(sock, address, port)
    end = designs.make(setting, sock, listener)
    end.prepare()
    end.arm()
    tcp_endpoint.serve_until_end_of_input(end)
