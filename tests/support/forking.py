"""Runs `lrp` again and again, each time forked from a process that has imported it.

Imports are most of what a short run takes. A test asks by the program :func:`forked_lrp`, which is
one like any other: it has arguments, a folder, an environment, streams and a status. What depends
on how `lrp` itself starts, or on what signals it is sent, is tested with :data:`processes.LRP`.
"""

import atexit
import marshal
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path

ASKING = Path(__file__).with_name("asking.py")
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_asked = count()


def forked_lrp(block_steps: int = 0) -> list[str]:
    """What runs `lrp`, to be followed by its arguments.

    Blocks have at most so many steps, so that a short input is of several; or as many as usual.
    """
    if sys.platform != "linux":  # where forking is not safe
        return [sys.executable, "-m", "lstm_lrp_cli"]
    # Sets have another order in each of two: runs that must agree are done by both.
    return [sys.executable, "-IS", str(ASKING), str(_server(next(_asked) % 2, block_steps))]


@cache
def _server(seed: int, block_steps: int) -> Path:
    """Start a process that runs `lrp`; give the socket that it listens to."""
    folder = tempfile.TemporaryDirectory(prefix="lrp-tests-")
    address = Path(folder.name, "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listener.fileno()), str(block_steps)],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "OPENBLAS_NUM_THREADS": "1"},
        )

    def end() -> None:
        process.stdin.close()
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return address


def serve(listener: socket.socket) -> None:
    """Fork for all who ask, until standard input ends. Only a process that is to run returns."""
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            sys.exit()
        channel, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(channel)
            return
        channel.close()
        while _ended():
            pass


def _ended() -> bool:
    """Whether a child has ended since, of which nothing is left then."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def answer(channel: socket.socket) -> None:
    """Fork what is to run, which returns, and tell with which status it has ended."""
    # Descriptors come with the first bytes of what is said.
    said, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, len(STREAMS))
    while piece := channel.recv(1 << 16):
        said += piece
    pid = os.fork()
    if pid == 0:
        channel.close()
        become(descriptors, *marshal.loads(said))
        return
    for descriptor in descriptors:
        os.close(descriptor)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    channel.sendall(marshal.dumps(status))
    os._exit(0)


def become(
    descriptors: list[int], folder: bytes, arguments: list[str], environment: dict[bytes, bytes]
) -> None:
    """Set this process up as one that was started so."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, (name, mode) in enumerate(STREAMS):
        like = getattr(sys, f"__{name}__")
        # Lines are written as they end where they are errors, or for a terminal.
        buffering = 1 if name == "stderr" or os.isatty(number) else -1
        stream = open(
            number, mode, buffering, encoding=like.encoding, errors=like.errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.argv = ["lrp", *arguments]


def import_all() -> None:
    """Import the package, but for what imports pyarrow: it starts a thread, which no fork has."""
    import lstm_lrp_cli

    for module in pkgutil.walk_packages(lstm_lrp_cli.__path__, "lstm_lrp_cli."):
        if not module.name.endswith((".arrow", ".parquet")):
            import_module(module.name)
    for name in ("h5py", "jinja2", "rich.console", "yaml"):
        import_module(name)
    assert os.listdir("/proc/self/task") == [str(os.getpid())], "imports have started threads"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    listening, block_steps = map(int, sys.argv[1:])
    if block_steps:
        import_module("lstm_lrp_cli.running.blocks").BLOCK_STEPS = block_steps
    serve(socket.socket(fileno=listening))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from lstm_lrp_cli.__main__ import run

    run()
