"""A server that answers each line, and never asks whether its clients are still there."""

import asyncio
import sys


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one client."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main() -> None:
    """Listen."""
    server = await asyncio.start_server(serve, port=int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
