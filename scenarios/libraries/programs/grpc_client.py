"""A grpcio client; after the load may follow channel options, as grpc.keepalive_time_ms=8000.

Without, its defaults.

By default it sends no keepalive pings (GRPC_ARG_KEEPALIVE_TIME_MS is INT_MAX), and a call without a
deadline has none. idle: a call whose answers stream, after the first. trickle: a call after the
other. full: a call whose request streams; the library has no say on SO_SNDBUF, and what is on its
way is limited by HTTP/2's window first. Reports the call's status code.
"""

import signal
import sys
from collections.abc import Iterator

import grpc
from common import BURST, arguments, lost_as, moments, ready


def bursts() -> Iterator[bytes]:
    """What the load `full` sends."""
    yield b"first"
    for _ in moments("full"):
        yield BURST


def ended(call: grpc.Call) -> None:
    """The call is over, before its answers were."""
    lost_as(call.code().name, call.details() or "")


def main() -> None:
    """Connect, send the load, say when the call or the connection is lost."""
    server, port, load = arguments()
    options = [
        (name, int(value)) for name, _, value in (text.partition("=") for text in sys.argv[4:])
    ]
    channel = grpc.insecure_channel(
        f"{server}:{port}", options=[("grpc.enable_retries", 0), *options]
    )
    try:
        if load == "idle":
            answers = channel.unary_stream("/Probe/Watch")(b"")
            next(answers)
            ready()
            # Waiting for the next answer would look five times a second, for hours.
            answers.add_done_callback(ended)
            signal.pause()
        ask = channel.unary_unary("/Probe/Ask")
        ask(b"first")
        ready()
        if load == "full":
            channel.stream_unary("/Probe/Pour")(bursts())
        for _ in moments(load):
            ask(b"request")
    except grpc.RpcError as error:
        ended(error)


main()
