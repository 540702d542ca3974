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
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

ASKING = Path(__file__).with_name("asking.py")
# Modules that import what starts threads, or what need not be installed.
LEFT_OUT = (".arrow", ".parquet", ".results.columns", ".results.rows", ".shards.cluster")
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
    """Fork for all who ask, and tell each with which status its process has ended.

    Only a process that is to run returns. The server ends with its standard input.
    """
    running: dict[int, socket.socket] = {}
    ended, telling = os.pipe()
    for end in (ended, telling):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(telling)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([listener, ended, 0], [], [])
        if 0 in ready:
            sys.exit()
        if ended in ready:
            os.read(ended, 1 << 16)
            tell(running)
        if listener in ready:
            channel, _ = listener.accept()
            descriptors, asked = receive(channel)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (listener, channel, *running.values()):
                    each.close()
                become(descriptors, *asked)
                return
            running[pid] = channel
            for descriptor in descriptors:
                os.close(descriptor)


def tell(running: dict[int, socket.socket]) -> None:
    """Tell of all that have ended since."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as channel, suppress(BrokenPipeError):  # nobody waits any more
            channel.sendall(marshal.dumps(os.waitstatus_to_exitcode(status)))


def receive(channel: socket.socket) -> tuple[list[int], list[Any]]:
    """The descriptors of the streams, which come with the first bytes, and what is asked for."""
    said, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, len(STREAMS))
    while piece := channel.recv(1 << 16):
        said += piece
    return descriptors, marshal.loads(said)


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
        stream = open(  # noqa: SIM115 - for as long as the process runs
            number, mode, buffering, encoding=like.encoding, errors=like.errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    sys.argv = ["lrp", *arguments]


def import_all() -> None:
    """Import the package, but for what imports pyarrow or Dask: threads, which no fork has."""
    import lstm_lrp_cli

    for module in pkgutil.walk_packages(lstm_lrp_cli.__path__, "lstm_lrp_cli."):
        if not module.name.endswith(LEFT_OUT):
            import_module(module.name)
    for name in ("h5py", "jinja2", "rich.console", "yaml"):
        import_module(name)
    assert os.listdir("/proc/self/task") == [str(os.getpid())], "imports have started threads"


def run_and_leave() -> None:
    """Run `lrp`, and end as Python does, but for freeing all that was imported."""
    from lstm_lrp_cli.__main__ import run

    status = 0
    try:
        run()
    except SystemExit as asked:
        status = asked.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        traceback.print_exc()
        status = 120
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    listening, block_steps = map(int, sys.argv[1:])
    if block_steps:
        import_module("lstm_lrp_cli.running.blocks").BLOCK_STEPS = block_steps
    serve(socket.socket(fileno=listening))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_and_leave()
