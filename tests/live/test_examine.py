"""`harness examine` on real programs in virtual time, and what turns when one of them is broken."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, harness

EXAMPLE = CHECKOUT / "ci/examples/examine"
GCC = shutil.which("gcc")
C_CLIENT = r"""
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int sock = socket(AF_INET, SOCK_STREAM, 0), on = 1, idle = 60, interval = 10, count = 3;
    char octet;
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(sock, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    if (connect(sock, (struct sockaddr *)&to, sizeof to) < 0) return 3;
    if (read(sock, &octet, 1) < 0) return perror("read"), 1;
    return 2;
}
"""


def _examined(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status, and the document that is written."""
    ended = harness(folder, "examine", "--json", "-", *arguments)
    assert ended.out, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    return ended.status, document


@pytest.mark.virtual
@pytest.mark.skipif(GCC is None, reason="no gcc to build the client with")
def test_a_client_in_c(kernel: Kernel, tmp_path: Path) -> None:
    """Its kernel's keepalive detects a blackhole, in the window of the settings that were read from
    its socket, and the server's silence is told.
    """
    del kernel
    (tmp_path / "client.c").write_text(C_CLIENT)
    subprocess.run([str(GCC), "-o", "client", "client.c"], cwd=tmp_path, check=True)
    server = f"{{python}} {EXAMPLE}/server.py {{port}}"
    status, document = _examined(
        tmp_path,
        "--client",
        "./client {server} {port}",
        "--server",
        server,
        "--faults",
        "blackhole",
    )
    (cell,) = document["examination"]["cells"]
    client, at_server = cell["ends"]
    assert (status, cell["trouble"]) == (0, "")
    assert (client["finding"], client["sign"]["how"], client["ended"]) == ("detected", "exit", 1)
    assert (client["error"], client["probes"]) == ("ETIMEDOUT", 3)
    assert client["attribution"]["words"] == "keepalive: 60 s idle + 3 probes x 10 s"
    low, high = client["attribution"]["window_s"]
    assert low <= client["sign"]["at_s"] <= high
    assert (at_server["finding"], at_server["attribution"]["by"]) == ("never", "nothing")
    assert [each["state"] for each in at_server["left"]["sockets"]].count("ESTABLISHED") == 1


@pytest.mark.virtual
def test_breaking_a_program_turns_its_cells(kernel: Kernel, tmp_path: Path) -> None:
    """The example's client with a heartbeat that waits too long: it detects a server that hangs no
    more, and everything else is as it was.
    """
    del kernel
    shutil.copytree(EXAMPLE, tmp_path / "pair")
    client = tmp_path / "pair/client.py"
    text = client.read_text()
    assert "wait_for(reader.readline(), WAIT_S)" in text
    client.write_text(text.replace("WAIT_S = 10", "WAIT_S = 100_000"))
    status, document = _examined(
        tmp_path,
        *("--against", str(tmp_path / "pair/pair.baseline.toml")),
        *("--faults", "server-frozen,client-frozen,clock-back"),
    )
    found = [(each["cell"], each["side"], each["direction"]) for each in document["changes"]]
    assert (status, set(found)) == (1, {("server-frozen", "client", "worse")})
    assert [cell["trouble"] for cell in document["examination"]["cells"]] == ["", "", ""]
