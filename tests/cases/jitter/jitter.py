"""Gives the server up after a time that it draws, and says the hash of a text, which Python salts
by chance.
"""

import random
import socket
import sys

server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
server.settimeout(random.uniform(1, 10))
try:
    server.recv(1)
except TimeoutError:
    print("lost: timeout", hash("x") % 1000, flush=True)
