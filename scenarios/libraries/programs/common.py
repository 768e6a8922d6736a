"""What the client programs share: how they say what they see, and the moments of their loads.

A client is called with the server's address, its port and the load. It prints `ready` when it is
connected, and `lost: NAME: what the library said` when its library reports the loss, and ends. The
loads:

- idle: it waits for what the server may have to say.
- trickle: a small request every 10 s, the first one 5 s after `ready`: not at a moment at which
  anything else is due.
- full: a burst of 128 KiB every 0.5 s, into a send buffer of 16 KiB where the library lets one
  choose. Without the pauses the clock of virtual time, which stands still while a program is at
  work, would never get on.
"""

import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

TRICKLE_FIRST_S = 5.0
TRICKLE_S = 10.0
BURST_S = 0.5
BURST = random.Random(0).randbytes(1 << 17)
"""Nothing that gets smaller by compression, which websockets uses by default."""
SEND_BUFFER_BYTES = 1 << 13
"""Which the kernel doubles."""
LOADS = ("idle", "trickle", "full")


def arguments() -> tuple[str, int, str]:
    """The server's address, its port and the load, from the command line."""
    server, port, load = sys.argv[1:4]
    if load not in LOADS:
        sys.exit(f"expected a load ({', '.join(LOADS)}), found {load}")
    return server, int(port), load


def ready() -> None:
    """Say that the connection stands."""
    _say("ready")


def lost(error: BaseException) -> NoReturn:
    """Say which error the library reported, and end."""
    lost_as(type(error).__name__, str(error))


def lost_as(name: str, message: str) -> NoReturn:
    """As `lost`, where the library has something better than an exception; end at once.

    What the library still has to do does not matter, and might take as long as the detection did.
    """
    _say(f"lost: {name}: {' '.join(message.split())}")
    os._exit(0)


def moments(load: str) -> Iterator[None]:
    """Yield whenever the load has something to send, for ever.

    On the monotonic clock, so that none moves the next.
    """
    first_s, every_s = (TRICKLE_FIRST_S, TRICKLE_S) if load == "trickle" else (BURST_S, BURST_S)
    due_s = time.monotonic() + first_s
    while True:
        time.sleep(max(0.0, due_s - time.monotonic()))
        yield
        due_s = max(due_s + every_s, time.monotonic())


def small_buffer(connection: socket.socket) -> None:
    """Give a socket the send buffer of the load `full`."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
