"""An end with a heartbeat as a program of its own: for faults that kill or freeze it, and for one whose sends wait.

Started by `argv`; what it is comes as JSON, orders as lines on standard input, events leave as JSON lines, all as in
`harness.subjects.endpoint`.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from harness import descriptors
from harness.subjects import endpoint
from harness.subjects.heartbeat import designs
from harness.subjects.heartbeat.end import Setting

_MOST_DESCRIPTORS = 65536
_START = "import sys; sys.path.append(sys.argv[1]); from harness.subjects.heartbeat import program as p; p.main()"


def argv(job: dict[str, object]) -> list[str]:
    """The command. The package's folder comes last on the path, which has nothing else but the standard library."""
    return [sys.executable, "-I", "-S", "-c", _START, str(Path(descriptors.__file__).parents[1]), json.dumps(job)]


def main() -> None:
    """Run one end until the harness closes standard input or is gone."""
    job = json.loads(sys.argv[2])
    address, port = job["address"], job["port"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    descriptors.raise_limit(_MOST_DESCRIPTORS)

    def make_socket() -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        endpoint.limit_buffers(made, *job["buffers"])
        return made

    servers = {name: (where[0], where[1]) for name, where in job["servers"].items()}
    setting = Setting(job["role"], job["heartbeat"], job["options"], make_socket, endpoint.tell, servers)
    sock, listener = make_socket(), None
    endpoint.show(reads=True)
    if setting.is_server:
        listener = sock
        endpoint.tell("subject.listening", port=endpoint.listen(listener, address, port))
        sock = endpoint.accept(listener)
        if job["heartbeat"]["design"] != "reaper":
            listener.close()
    else:
        endpoint.connect(sock, address, port)
    end = designs.make(setting, sock, listener)
    end.prepare()
    end.arm()
    endpoint.serve_until_told(end)
