"""A client with a heartbeat of its own: each ping must be echoed within a timeout, or the peer is
given up.

The next ping is sent `interval_s` after the last answer, so a peer that answers no more is detected
`interval_s` + `timeout_s` after its last word, whatever its kernel goes on saying. The connection
is then closed and, where `--reconnect-s` is given, another one is made after so long.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os


class Lost(Exception):
    """The peer is given up; says why."""


async def main() -> None:
    """Connect, beat until the peer is lost and, if so asked, begin again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--interval-s", type=float, default=20.0)
    parser.add_argument("--timeout-s", type=float, default=10.0)
    parser.add_argument("--reconnect-s", type=float)
    asked = parser.parse_args()
    while True:
        try:
            await connection(asked.host, asked.port, asked.interval_s, asked.timeout_s)
        except Lost as lost:
            print(f"lost: {lost}", flush=True)
        if asked.reconnect_s is None:
            raise SystemExit(1)
        await asyncio.sleep(asked.reconnect_s)


async def connection(host: str, port: int, interval_s: float, timeout_s: float) -> None:
    """One connection, from its beginning to its end. Raises Lost."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection(host, port)
        print("connected", flush=True)
        for number in itertools.count(1):
            await nothing_but(reader, interval_s)
            writer.write(b"ping %d\n" % number)
            async with asyncio.timeout(timeout_s):
                await answer(reader, b"ping %d\n" % number)
    except TimeoutError as error:
        # Also an OSError, ETIMEDOUT, when it is TCP that has given up: that one has a number.
        raise Lost(
            os.strerror(error.errno) if error.errno else f"no answer in {timeout_s:g} s"
        ) from error
    except OSError as error:
        raise Lost(os.strerror(error.errno) if error.errno else str(error)) from error
    finally:
        if writer is not None:
            writer.transport.abort()  # close() would wait for what the peer will never acknowledge


async def nothing_but(reader: asyncio.StreamReader, duration_s: float) -> None:
    """Let so much time go by, in which the peer says nothing. Raises Lost where it does."""
    try:
        async with asyncio.timeout(duration_s):
            said = await reader.readline()
    except TimeoutError as error:
        if error.errno:
            raise
    else:
        raise Lost(
            f"expected silence between two pings, found {said!r}" if said else "end of stream"
        )


async def answer(reader: asyncio.StreamReader, expected: bytes) -> None:
    """Read the answer. Raises Lost where it is another one."""
    found = await reader.readline()
    if found != expected:
        raise Lost(f"expected {expected!r}, found {found!r}" if found else "end of stream")


asyncio.run(main())
