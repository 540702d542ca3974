"""A program that has `forking.py` run `lrp` with its own streams, and ends as that has ended.

It imports nothing but what is part of Python's own program, for that takes longer than the rest.
"""

import _socket
import marshal
import os
import sys

ANCILLARY = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)

channel = _socket.socket(_socket.AF_UNIX)
channel.connect(sys.argv[1])
said = marshal.dumps((os.getcwdb(), sys.argv[2:], dict(os.environb)))
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
sent = channel.sendmsg([said], [(*ANCILLARY, streams)])
channel.sendall(said[sent:])
channel.shutdown(_socket.SHUT_WR)
# Who reads or writes at their other ends has to do with that process alone.
for number in range(3):
    os.close(number)
status = marshal.loads(channel.recv(64))
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
