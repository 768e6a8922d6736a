"""Sends back what comes, on one connection."""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
connection, _ = listener.accept()
while data := connection.recv(4096):
    connection.sendall(data)
