"""Several machines, which are network namespaces of this one: TLS, and workers that are not fit.

Nothing leaves them: a bridge of their own joins them, and is joined to nothing else.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from installed import program_or_package, spec_of
from models import KERAS
from processes import LRP, wait_until

if sys.platform != "linux" or os.geteuid() != 0:
    pytest.skip("namespaces are made by root, on Linux", allow_module_level=True)
spec_of("distributed")
for program in ("ip", "openssl", "unshare"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed", allow_module_level=True)

ROOT = Path(__file__).parents[2]
HUB, MACHINES = "lrp-hub", ("lrp-a", "lrp-b", "lrp-c")
ADDRESS = "10.111.77.1"
PORT = "8786"


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, check=False)


@pytest.fixture(scope="module")
def machines():
    """Three machines on one bridge; the first has the scheduler and the client."""
    with ExitStack() as stack:
        for name in (HUB, *MACHINES):
            if ip("netns", "add", name).returncode:
                pytest.skip("no namespace can be made here")
            stack.callback(ip, "netns", "del", name)
        ip("-n", HUB, "link", "add", "bridge", "type", "bridge")
        ip("-n", HUB, "link", "set", "bridge", "up")
        for number, name in enumerate(MACHINES, 1):
            ends = ("eth0", "netns", name, "type", "veth", "peer", "name", f"port{number}")
            ip("-n", HUB, "link", "add", *ends)
            ip("-n", HUB, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"10.111.77.{number}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield MACHINES


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Two authorities, each with a certificate that it has signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)

    for name in ("ours", "theirs"):
        new = ("-newkey", "rsa:2048", "-nodes", "-keyout")
        own = ("-x509", "-days", "2", "-subj", f"/CN={name}", "-out", f"{name}.ca")
        openssl("req", *new, f"{name}-ca.key", *own)
        openssl("req", *new, f"{name}.key", "-subj", "/CN=lrp", "-out", f"{name}.csr")
        by = ("-CA", f"{name}.ca", "-CAkey", f"{name}-ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", f"{name}.csr", *by, "-out", f"{name}.crt")
    return folder


class Room:
    """What the machines share: a corpus, an output, and what is started on them."""

    def __init__(self, folder, authorities, stack):
        self.folder, self._tls, self._stack = folder, authorities, stack
        for name in ("in", "out", "private"):
            (folder / name).mkdir()
        for number in range(6):
            text = KERAS.sequences.read_bytes()
            (folder / "in" / f"{number}.txt").write_bytes(text)

    def configured(self, authority):
        files = {"CA_FILE": "ca", "CLIENT__CERT": "crt", "CLIENT__KEY": "key"}
        for role in ("SCHEDULER", "WORKER"):
            files |= {f"{role}__CERT": "crt", f"{role}__KEY": "key"}
        return {
            f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(self._tls / f"{authority}.{ending}")
            for name, ending in files.items()
        }

    def start(self, machine, command, authority="ours", path=ROOT, before=""):
        """Start a program on a machine, after commands that change what it sees."""
        environment = {**os.environ, "PYTHONPATH": str(path)}
        if authority:
            environment |= self.configured(authority)
        inner = ["sh", "-c", f'{before}\nexec "$@"', "sh", *command]
        with (self.folder / "private" / f"{machine}.log").open("wb") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", machine, "unshare", "-m", *inner],
                cwd=self.folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE if command[:3] == LRP else log,
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def scheduler(self):
        file = self.folder / "private" / "scheduler.json"
        where = ("--host", f"tls://{ADDRESS}", "--port", PORT, "--no-dashboard")
        program = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        self.start("lrp-a", [*program, *where, "--scheduler-file", str(file)])
        wait_until(file.exists)

    def worker(self, machine, **settings):
        program = [sys.executable, "-m", "distributed.cli.dask_worker", f"tls://{ADDRESS}:{PORT}"]
        how = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "30")
        process = self.start(machine, [*program, *how], **settings)
        log = self.folder / "private" / f"{machine}.log"
        wait_until(lambda: b"Registered to" in log.read_bytes())
        return process

    def lrp(self, *more, authority="ours", cluster=f"tls://{ADDRESS}:{PORT}"):
        command = [*LRP, "explain", str(KERAS.model), "in", "-o", "out/", "-q", *more]
        process = self.start("lrp-a", [*command, "--cluster", cluster], authority)
        _, error = process.communicate(timeout=180)
        assert b"Traceback" not in error
        return process.returncode, error.decode()

    def made_by(self):
        """The processes that made parts."""
        receipts = (self.folder / "out" / "_lrp" / "receipts").rglob("*.json")
        return {int(json.loads(each.read_text())["worker"].split(":")[1]) for each in receipts}


@pytest.fixture
def room(machines, authorities, tmp_path):
    program_or_package("distributed")
    with ExitStack() as stack:
        room = Room(tmp_path, authorities, stack)
        room.scheduler()
        yield room


def test_machines_share_input_and_output_and_speak_tls(room):
    workers = [room.worker(name) for name in ("lrp-b", "lrp-c")]
    assert room.lrp() == (0, "")
    assert room.made_by() == {worker.pid for worker in workers}
    command = [*LRP, "explain", str(KERAS.model), "in", "-o", "alone/", "-q"]
    subprocess.run(command, cwd=room.folder, check=True)
    for part in (room.folder / "alone").glob("*.tsv"):
        assert (room.folder / "out" / part.name).read_bytes() == part.read_bytes()


@pytest.mark.parametrize(
    ("authority", "cluster"),
    [("", f"tls://{ADDRESS}:{PORT}"), ("theirs", f"tls://{ADDRESS}:{PORT}")],
)
def test_without_the_right_authority_nothing_is_done(room, authority, cluster):
    status, error = room.lrp(authority=authority, cluster=cluster)
    assert status == 3
    assert "distributed.comm.tls" in error
    assert not any((room.folder / "out").glob("*.tsv"))


def patched(folder, text):
    """A folder of Python's path whose `sitecustomize` is run first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text)
    return f"{folder}:{ROOT}"


OTHER_VERSION = "import lstm_lrp_cli\nlstm_lrp_cli.__version__ = '9.9'"
WITHOUT = "import sys\nsys.modules['lstm_lrp_cli'] = None"


class TestAWorkerThatIsNotFit:
    """It is named, with what it lacks, and given nothing; the other one does it all."""

    CASES = (
        ("another version", {"text": OTHER_VERSION}, "has lrp 9.9, not "),
        ("no lrp", {"text": WITHOUT}, "cannot run lrp: "),
        ("no input", {"before": "mount -t tmpfs none in"}, "does not see the input: "),
        (
            "an output that is read only",
            {"before": "mount --bind out out && mount -o remount,ro,bind out"},
            "cannot write to the output: ",
        ),
        ("another output", {"before": "mount -t tmpfs none out"}, "cannot read the model: "),
    )

    @pytest.mark.parametrize(("case", "how", "told"), CASES, ids=[each[0] for each in CASES])
    def test_is_named_and_given_nothing(self, room, case, how, told):
        settings = dict(how)
        if "text" in settings:
            settings["path"] = patched(room.folder / "path", settings.pop("text"))
        bad = room.worker("lrp-b", **settings)
        good = room.worker("lrp-c")
        status, error = room.lrp()
        assert status == 0, error
        assert error.count(told) == 1, error
        assert "it is given nothing" in error
        assert room.made_by() == {good.pid} != {bad.pid}

    def test_is_an_error_where_there_is_no_other(self, room):
        room.worker("lrp-b", before="mount -t tmpfs none in")
        status, error = room.lrp()
        assert status == 3
        assert "does not see the input: " in error
        assert "no worker is fit to work" in error
