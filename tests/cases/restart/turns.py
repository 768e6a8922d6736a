"""Connects to the first server that takes it, and to the next one 1 s after a loss.

Prints which one it is.
"""

import itertools
import socket
import sys
import time

port, *servers = sys.argv[1:]
for server in itertools.cycle(servers):
    try:
        with socket.create_connection((server, int(port)), timeout=2) as connection:
            connection.settimeout(None)
            sys.stdout.write(f"connected to {server}\n")
            sys.stdout.flush()
            while connection.recv(1):
                pass
    except OSError:
        pass
    time.sleep(1)
