"""A client that sends a ping every 20 s, and gives its server up after 10 s without an answer."""

import asyncio
import sys

WAIT_S = 10


async def main() -> None:
    """Connect, and ping for ever."""
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    while True:
        writer.write(b"ping\n")
        await writer.drain()
        if not await asyncio.wait_for(reader.readline(), WAIT_S):
            sys.exit("the server closed the connection")
        await asyncio.sleep(20)


try:
    asyncio.run(main())
except (TimeoutError, OSError) as error:
    sys.exit(f"the server is lost: {error!r}")
