"""What programs under test do that programs should not, as source code: hostile clients and servers
are made of it.
"""

from __future__ import annotations

HEAD = "import os, resource, signal, socket, subprocess, sys, time\n"
CLIENT = """
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
{misdeed}
connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
    connection.setsockopt(socket.IPPROTO_TCP, name, 1)
print("connected", flush=True)
try:
    while connection.recv(100):
        pass
    print("lost: end of file", flush=True)
except OSError:
    print("lost: an error", flush=True)
time.sleep(60)
"""
SERVER = """
listener = socket.create_server(("", int(sys.argv[1])))
{misdeed}
connection, _ = listener.accept()
time.sleep(60)
"""

HARMLESS = {
    "ignores-signals": """
for number in (1, 2, 13, 15):
    signal.signal(number, signal.SIG_IGN)
""",
    "daemon": """
if not os.fork():
    os.setsid()
    if not os.fork():
        os.execvp("sleep", ["sleep", "3601"])
    os._exit(0)
""",
    "bare-daemon": """
subprocess.run(["setsid", "-f", "env", "-i", "/bin/sleep", "3602"])
""",
    "setsid-chain": """
if not os.fork():
    for _ in range(6):
        if os.fork():
            time.sleep(0.02)
            os._exit(0)
        os.setsid()
    os.execve("/bin/sleep", ["sleep", "3603"], {})
""",
    "many-children": """
for _ in range(20):
    if not os.fork():
        signal.signal(15, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
""",
    "stopped-child": """
if not os.fork():
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
""",
    "control-characters": """
sys.stdout.buffer.write(b"\\x1b]0;title\\x07\\x1b[2J\\x1b[31m\\r\\0\\xff\\xfe\\x9b1m\\n" * 20)
sys.stdout.flush()
""",
    "lookalike-lines": """
print("connecte\\rconnected?\\n lost\\nlos: t\\n" + '{"kind": "end"}' + "\\n\\x1e BEGIN", flush=True)
""",  # noqa: E501
    "long-line": """
sys.stdout.write("x" * (4 << 20) + "\\n")
sys.stdout.flush()
""",
    "no-newline": """
os.write(2, b"y" * (1 << 20))
""",
    "closes-input": """
os.close(0)
""",
    "closes-errors": """
os.close(2)
""",
    "descriptors": """
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
try:
    while True:
        last = os.dup(1)
except OSError:
    os.close(last)  # for a connection
""",
    "strange-name": """
open("/proc/self/comm", "w").write("a) Z 1 1 (b")
""",
    "nice": """
os.nice(10)
""",
    "leaves-files": """
open("left", "w").write("x" * 100000)
os.mkdir("closed")
os.symlink("/etc", "out")
os.chmod("closed", 0)
""",
    "alarms": """
signal.signal(14, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
""",
}
"""By name: what a program does before it goes on as a sound one would."""
FATAL = {
    "stops-itself": """
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "closes-all-but-the-connection": """
os.closerange(0, connection.fileno())
time.sleep(60)
""",
    "floods": """
for _ in range(400):
    os.write(1, b"z" * 65536)
time.sleep(60)
""",
    "floods-lines": """
for _ in range(200):
    os.write(1, b"z\\n" * 32768)
time.sleep(60)
""",
    "kills-itself": """
os.kill(os.getpid(), signal.SIGKILL)
""",
    "ends": """
sys.exit(0)
""",
    "ends-its-group": """
signal.signal(15, signal.SIG_DFL)
if os.getpgid(0) == os.getpid():
    os.killpg(0, signal.SIGTERM)
sys.exit(1)
""",
    "execs": """
os.execvp("sleep", ["sleep", "60"])
""",
}
"""What a client does that then detects nothing: a claim of a detection is never
true.
"""
