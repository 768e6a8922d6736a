"""A grpcio server at the given port of all addresses, whose messages are plain octets.

After the port may follow channel options, as grpc.keepalive_time_ms=20000.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent import futures

import grpc


def ask(request: bytes, _context: grpc.ServicerContext) -> bytes:
    """Answer a request with itself."""
    return request


def watch(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer at once, then have nothing more to say until the client is gone."""
    over = threading.Event()
    context.add_callback(over.set)
    yield b"watching"
    over.wait()


def pour(requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
    """Take whatever comes."""
    for _ in requests:
        pass
    return b""


def main() -> None:
    """Serve for ever."""
    options = [
        (name, int(value)) for name, _, value in (text.partition("=") for text in sys.argv[2:])
    ]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=options)
    handlers = {
        "Ask": grpc.unary_unary_rpc_method_handler(ask),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
        "Pour": grpc.stream_unary_rpc_method_handler(pour),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Probe", handlers),))
    server.add_insecure_port(f"0.0.0.0:{sys.argv[1]}")
    server.start()
    signal.pause()


main()
