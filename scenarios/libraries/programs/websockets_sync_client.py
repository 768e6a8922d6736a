"""A websockets client (threads) at its defaults: ping_interval 20 s, ping_timeout 20 s,
close_timeout 10 s.

idle: waits for a message. trickle: sends one and waits for the answer. full: sends bursts that are
not answered.
"""

import socket

from common import BURST, arguments, lost, moments, ready, small_buffer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def main() -> None:
    """Connect, send the load, say when the connection is lost."""
    server, port, load = arguments()
    connection = socket.create_connection((server, port))
    if load == "full":
        small_buffer(connection)
    with connect(f"ws://{server}:{port}", sock=connection, proxy=None) as client:
        ready()
        try:
            if load == "idle":
                client.recv()
            for _ in moments(load):
                if load == "trickle":
                    client.send("request")
                    client.recv()
                else:
                    client.send(BURST)
        except ConnectionClosed as error:
            lost(error)


main()
