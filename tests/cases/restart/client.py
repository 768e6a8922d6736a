"""Connects, and again 1 s after each loss, with a keepalive probe each second.

Prints "connected" each time.
"""

import socket
import sys
import time

ADDRESS = sys.argv[1], int(sys.argv[2])


def stay(sock: socket.socket) -> None:
    """Read until the connection is over."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    while sock.recv(1):
        pass


while True:
    try:
        with socket.create_connection(ADDRESS, timeout=2) as connection:
            stay(connection)
    except OSError:
        pass
    time.sleep(1)
