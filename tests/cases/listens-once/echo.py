"""Takes one connection, stops listening, and echoes."""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
connection, _ = listener.accept()
listener.close()
while data := connection.recv(4096):
    connection.sendall(data)
