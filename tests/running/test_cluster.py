"""Parts made by workers of Dask: as without them, wherever they fail."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from installed import spec_of
from models import KERAS, SmallModel
from processes import LRP, members, wait_until

if sys.platform != "linux":
    pytest.skip("Linux tells of processes", allow_module_level=True)
spec_of("distributed")

from killing import FILES, ROOT, VICTIMS, Room, cluster, tried  # noqa: E402

# Tasks that a worker has at a time: what waits behind what ends it may be lost with it.
EACH = 2
# A worker ends as it opens one of the files.
ENDING = """
import os, sys
def ending(event, args):
    if event == "open" and str(args[0]).endswith("07.txt") and "spawn_main" in str(sys.orig_argv):
        os._exit(9)
sys.addaudithook(ending)
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return Room(tmp_path_factory.mktemp("room"))


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_are_the_same_as_without(room, jobs):
    output = f"of-{jobs}"
    client = room.started(output, "--cluster", "local", "--jobs", jobs, "--compress", "gz")
    _, error = client.communicate(timeout=180)
    assert (client.returncode, error) == (0, b"")
    lines = subprocess.run(
        ["sh", "-c", f"gzip -dc {output}/00.txt.tsv.gz | cmp - whole/00.txt.tsv"],
        cwd=room.folder,
        check=False,
    )
    assert lines.returncode == 0
    assert len(room.parts(output)) == len(room.parts("whole"))


@pytest.mark.parametrize("victim", VICTIMS)
def test_nothing_is_lost_where_something_is_killed(room, victim):
    _, wrong = tried(victim, 0.4, room)
    assert wrong == []


def test_a_worker_that_comes_late_has_shards_too(room):
    """Also where results come all the time, so that there is no pause to look in."""
    lines = KERAS.sequences.read_bytes().splitlines(keepends=True)
    many = room.folder / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number:03}.txt").write_bytes(lines[number % len(lines)] * 40)
    with cluster(room) as there:
        there.workers[0].kill()
        command = room.command("late", "--cluster", str(there.file))
        command[command.index("corpus")] = "many"
        client = subprocess.Popen(command, cwd=room.folder, stderr=subprocess.PIPE)
        receipts = room.folder / "late" / "_lrp" / "receipts"
        wait_until(lambda: receipts.is_dir() and len(list(receipts.iterdir())) > 2)
        there.worker()
        _, error = client.communicate(timeout=180)
    assert (client.returncode, error) == (0, b"")
    workers = Counter(json.loads(path.read_bytes())["worker"] for path in receipts.iterdir())
    assert len(workers) == 2


def test_a_shard_that_ends_every_worker_fails_and_the_others_do_not(room, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(ENDING)
    client = subprocess.run(
        room.command("ended", "--cluster", "local", "--jobs", "2", "--keep-going"),
        cwd=room.folder,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        check=False,
        timeout=180,
    )
    assert client.returncode == 3
    assert b"07.txt: its workers were lost" in client.stderr
    assert b"Traceback" not in client.stderr
    made = {path.name for path in (room.folder / "ended").glob("*.tsv")}
    assert "07.txt.tsv" not in made
    assert len(made) >= FILES - EACH


def test_an_interrupt_from_the_keyboard_is_quiet_and_ends_all(room):
    """It goes to every process of the group."""
    client = subprocess.Popen(
        room.command("interrupted", "--cluster", "local", "--jobs", "2"),
        cwd=room.folder,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: list((room.folder / "interrupted").glob("*.tsv")))
    os.killpg(client.pid, signal.SIGINT)
    _, error = client.communicate(timeout=180)
    assert (client.returncode, error) == (130, b"")
    wait_until(lambda: not members(client.pid))
    assert not list((room.folder / "interrupted").rglob("*.partial"))


def test_shards_are_cut_and_counted_by_workers(room):
    more = ("--shard-size", "300K", "--dtype", "float32")
    big = room.folder / "big.txt"
    big.write_bytes(b"".join(path.read_bytes() for path in (room.folder / "corpus").iterdir()))
    for output, where in (("here", ()), ("there", ("--cluster", "local", "--jobs", "2"))):
        command = room.command(output, *more, *where)
        command[command.index("corpus")] = "big.txt"
        done = subprocess.run(command, cwd=room.folder, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    assert room.parts("there") == room.parts("here")
    assert len(room.parts("there")) > 4


def test_results_are_summarized_by_workers(room):
    client = room.started("lines", "--format", "jsonl")
    assert client.communicate(timeout=180)[1] == b""
    told = [
        subprocess.run(
            [*LRP, "summarize", "lines", "--format", "json", *more],
            cwd=room.folder,
            capture_output=True,
            check=False,
        )
        for more in (("--jobs", "1"), ("--cluster", "local", "--jobs", "2"))
    ]
    assert [(each.returncode, each.stderr) for each in told] == [(0, b""), (0, b"")]
    assert told[0].stdout == told[1].stdout


def test_a_mistake_in_the_input_is_told_and_not_tried_again(tmp_path):
    SmallModel(tmp_path).save()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.txt").write_bytes(b"the film\n" * 11 + b"\xff\n")
    (tmp_path / "in" / "good.txt").write_bytes(b"the film\n")
    command = [
        *LRP,
        "explain",
        "model.npz",
        "in",
        "-o",
        "out/",
        "--cluster",
        "local",
        "--jobs",
        "1",
    ]
    done = subprocess.run(
        [*command, "--keep-going"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 3
    assert b"bad.txt: line 12: byte 1 (0xff) is not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.tsv")] == ["good.txt.tsv"]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("tcp://127.0.0.1:9", b"tcp://127.0.0.1:9 cannot be reached"),
        ("nothing.json", b"nothing.json is no scheduler file that is there"),
        ("ray://x", b"expected local, slurm, tcp://HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_error(room, where, told):
    client = room.started("none", "--cluster", where)
    _, error = client.communicate(timeout=180)
    assert client.returncode == 3
    assert told in error
    assert b"Traceback" not in error


def test_without_dask_the_package_is_named(room, tmp_path):
    (tmp_path / "distributed.py").write_text("raise ImportError")
    done = subprocess.run(
        room.command("none", "--cluster", "local"),
        cwd=room.folder,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert b"pip install 'lstm-lrp-cli[cluster]'" in done.stderr
