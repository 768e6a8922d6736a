"""Answers beats; gives up 100 s after the last one."""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
connection, _ = listener.accept()
connection.settimeout(100)
try:
    while connection.recv(1):
        connection.sendall(b"!")
except TimeoutError:
    sys.exit("connection dead")
