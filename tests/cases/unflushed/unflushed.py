"""Asks every second, waits 2 seconds for each answer, and prints what it sees without a flush."""

import socket
import sys
import time

with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as sock:
    print("connected")
    try:
        while sock.send(b"ping") and sock.recv(100):
            time.sleep(1)
    except TimeoutError:
        print("lost the server")
    time.sleep(1000)
