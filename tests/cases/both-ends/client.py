"""Sends a beat after 60 s without data; gives up 30 s after one that is not answered."""

import socket
import sys

sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    sock.settimeout(60)
    try:
        if not sock.recv(1):
            sys.exit("connection closed")
    except TimeoutError:
        sock.sendall(b"?")
        sock.settimeout(30)
        try:
            sock.recv(1)
        except TimeoutError:
            sys.exit("connection dead")
