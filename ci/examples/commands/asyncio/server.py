"""An echo server for clients that come again: `server.py PORT`, on all addresses."""

from __future__ import annotations

import asyncio
import sys


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until the end of the stream or an error."""
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError as error:
        print(f"lost: {error}", flush=True)
    finally:
        writer.close()


async def main() -> None:
    """Serve for ever."""
    server = await asyncio.start_server(echo, None, int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
