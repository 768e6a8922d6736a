"""Asks every ten seconds, and says so when an answer has come."""

import socket
import sys
import time

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    while True:
        sock.sendall(b"ping")
        print("answered:", sock.recv(100).decode(), flush=True)
        time.sleep(10)
