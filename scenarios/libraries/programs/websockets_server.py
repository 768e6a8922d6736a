"""A websockets server at its defaults, at the given port of all addresses.

Answers short messages with themselves.
"""

import asyncio
import contextlib
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SHORT_BYTES = 1024


async def answer(connection: ServerConnection) -> None:
    """Answer one client until it is gone."""
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if len(message) <= SHORT_BYTES:
                await connection.send(message)


async def main() -> None:
    """Serve for ever."""
    async with serve(answer, None, int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
