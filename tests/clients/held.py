"""A client that does one thing at a time, as it is told on standard input, and answers each line with one of its own: a
test can end it in the middle of anything.

    send "TEXT"    sends it
    until "TEXT"   reads byte by byte until what came ends with it
    leave          closes its own direction, and goes on reading
    rest           reads until the other side ends the connection
    abrupt         however it ends from now on, the other side gets a reset
"""

import json
import socket
import struct
import sys

host, port = sys.argv[1].rsplit(":", 1)
connection = socket.socket()
# Small segments and little room here: the other side cannot send more than some 100 KB that nobody reads.
connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
connection.connect((host, int(port)))
print("connected", flush=True)
for line in sys.stdin:
    word, _, text = line.strip().partition(" ")
    wanted = json.loads(text).encode() if text else b""
    came = b""
    try:
        if word == "send":
            connection.sendall(wanted)
        elif word == "until":
            while not came.endswith(wanted):
                byte = connection.recv(1)
                if not byte:
                    sys.exit(f"the end after {came!r}")
                came += byte
        elif word == "leave":
            connection.shutdown(socket.SHUT_WR)
        elif word == "rest":
            while connection.recv(1 << 16):
                pass
        elif word == "abrupt":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            sys.exit(f"what is {line!r}?")
    except OSError:
        # The other side has ended it.
        print("reset", flush=True)
    else:
        print("done", flush=True)
