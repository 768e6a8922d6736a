"""Connects with a patience of ten seconds, and says why it cannot."""

import socket
import sys
import time

time.sleep(30)  # reads its configuration first, say
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
except OSError as error:
    print("cannot connect:", error, flush=True)
time.sleep(1000)
