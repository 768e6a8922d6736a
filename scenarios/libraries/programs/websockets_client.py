"""A websockets client (asyncio) at its defaults: ping_interval 20 s, ping_timeout 20 s,
close_timeout 10 s.

idle: waits for a message. trickle: sends one and waits for the answer. full: sends bursts that are
not answered.
"""

import asyncio
import socket

from common import BURST, BURST_S, TRICKLE_FIRST_S, TRICKLE_S, arguments, lost, ready, small_buffer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main() -> None:
    """Connect, send the load, say when the connection is lost."""
    server, port, load = arguments()
    connection = socket.create_connection((server, port))
    if load == "full":
        small_buffer(connection)
    async with connect(f"ws://{server}:{port}", sock=connection, proxy=None) as client:
        ready()
        try:
            if load == "trickle":
                await asyncio.sleep(TRICKLE_FIRST_S)
            while load == "trickle":
                await client.send("request")
                await client.recv()
                await asyncio.sleep(TRICKLE_S)
            while load == "full":
                await asyncio.sleep(BURST_S)
                await client.send(BURST)
            await client.recv()
        except ConnectionClosed as error:
            lost(error)


asyncio.run(main())
