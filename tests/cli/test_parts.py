"""`lrp explain` and `predict` of a corpus: shards in, parts out, and on where a run stopped."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from models import SmallModel
from processes import LRP, run_lrp

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.running.shards.finding import find_files

WORDS = ["the", "film", "is", "not", "bad"]
# So that a file of some kilobytes is cut: blocks are of 256 steps of 8 bytes.
STEPS = 256
BLOCK = 8 * STEPS


def sentences(count, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(count)]


@pytest.fixture
def corpus(tmp_path):
    """A small model, and a folder of texts of which one is compressed and one in a folder."""
    model = SmallModel(tmp_path)
    model.save()
    folder = tmp_path / "corpus"
    (folder / "more").mkdir(parents=True)
    (folder / "a.txt").write_text("".join(f"{each}\n" for each in sentences(30)))
    (folder / "more" / "b.txt").write_text("\n".join(sentences(20, 1)))
    (folder / "c.txt.gz").write_bytes(gzip.compress("\n".join(sentences(10, 2)).encode()))
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.txt").write_text("the film")
    return tmp_path


@pytest.fixture
def lrp(corpus):
    """Run lrp in the corpus's folder."""

    def call(*arguments, status=0, blocks=STEPS):
        done = run_lrp(*arguments, cwd=corpus, block_steps=blocks)
        assert done.returncode == status, done.stderr.decode()
        return done

    return call


def parts(folder):
    """The content of all parts, by their names."""
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
    return {name: data for name, data in names.items() if not name.startswith("_lrp/")}


def manifest(folder):
    return [*map(json.loads, (folder / "_lrp" / "manifest.jsonl").read_text().splitlines())]


class TestParts:
    @pytest.mark.parametrize("form", ["tsv", "csv", "jsonl", "npz"])
    def test_are_what_each_file_alone_becomes(self, form, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "--format", form, "-o", "out/")
        found = parts(corpus / "out")
        assert sorted(found) == [f"{n}.{form}" for n in ("a.txt", "c.txt.gz", "more/b.txt")]
        for name in ("a.txt", "c.txt.gz", "more/b.txt"):
            lrp("explain", "model.npz", f"corpus/{name}", "--format", form, "-o", "alone")
            if form == "npz":  # which tells what its input is called
                with (
                    np.load(corpus / f"out/{name}.npz") as part,
                    np.load(corpus / "alone") as alone,
                ):
                    same = [key for key in alone if np.array_equal(part[key], alone[key])]
                    assert {*alone} - {*same} <= {"about"}
            else:
                assert found[f"{name}.{form}"] == (corpus / "alone").read_bytes()

    def test_of_predictions_likewise(self, corpus, lrp):
        lrp("predict", "model.npz", "corpus", "-o", "out/")
        lrp("predict", "model.npz", "corpus/a.txt", "-o", "alone.tsv")
        assert parts(corpus / "out")["a.txt.tsv"] == (corpus / "alone.tsv").read_bytes()

    def test_are_named_by_a_pattern_too(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus/**/*.txt", "-o", "out/")
        assert sorted(parts(corpus / "out")) == ["a.txt.tsv", "more/b.txt.tsv"]

    def test_may_be_compressed(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "out/", "--compress", "gz")
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "alone.tsv")
        [(name, data)] = parts(corpus / "out").items()
        assert name == "a.txt.tsv.gz"
        assert gzip.decompress(data) == (corpus / "alone.tsv").read_bytes()

    def test_are_listed_in_the_manifest(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        found = parts(corpus / "out")
        entries = manifest(corpus / "out")
        assert [each["input"] for each in entries] == ["a.txt", "c.txt.gz", "more/b.txt"]
        assert [each["sequences"] for each in entries] == [30, 10, 20]
        assert {each["part"]: each["bytes"] for each in entries} == {
            name: len(data) for name, data in found.items()
        }

    def test_report_is_of_all_of_them(self, corpus, lrp):
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", "--report", "report.json")
        report = json.loads((corpus / "report.json").read_text())
        assert report["sequences"] == 60
        assert report == json.loads((corpus / "out" / "_lrp" / "report.json").read_text())
        assert re.fullmatch(
            r"\d+ of (a.txt|more/b.txt|c.txt.gz)", report["worst_residual"]["sequence"]
        )
        assert b"3 parts written to out/" in done.stderr

    def test_report_of_one_file_is_as_ever(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "out/", "--report", "report.json")
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "a.tsv", "--report", "alone.json")
        told = [json.loads((corpus / name).read_text()) for name in ("report.json", "alone.json")]
        assert told[0] == told[1]


BIG = sentences(900)
CASES = {
    "lines": "".join(f"{each}\n" for each in BIG),
    "CRLF": "".join(f"{each}\r\n" for each in BIG),
    "BOM": "\ufeff" + "".join(f"{each}\n" for each in BIG),
    "no last end": "\n".join(BIG),
    "long lines": "\n".join([" ".join(WORDS * 200), *BIG[:300], " ".join(WORDS * 500), *BIG[:99]]),
    "empty lines": "\n" * 7000 + "the film\n" + "\n" * 3000,
}


class TestShards:
    """Large files are cut, and what comes of it is what comes of the whole."""

    @pytest.fixture
    def big(self, corpus):
        (corpus / "big.txt").write_text(CASES["lines"])

    @staticmethod
    def joined(folder, form):
        """All parts of one file as one, without the headers of all but the first."""
        found = [data for _, data in sorted(parts(folder).items())]
        assert len(found) > 2
        if form == "jsonl":
            return b"".join(found)
        return found[0] + b"".join(data.split(b"\n", 1)[1] for data in found[1:])

    @pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
    @pytest.mark.parametrize("case", CASES)
    def test_of_text_are_the_whole(self, case, form, corpus, lrp):
        (corpus / "big.txt").write_bytes(CASES[case].encode())
        run = ("explain", "model.npz", "big.txt", "--format", form)
        lrp(*run, "-o", "whole")
        whole = (corpus / "whole").read_bytes()
        for size in ("1K", "2100"):
            lrp(*run, "-o", f"{size}/", "--shard-size", size)
            assert self.joined(corpus / size, form) == whole
        starts = [each["start"] for each in manifest(corpus / "2100")]
        assert starts == [*range(0, len(CASES[case].encode()), 2 * BLOCK)]

    def test_of_json_lines_and_ids_too(self, corpus, lrp):
        objects = [{"text": each, "id": f"n{number}"} for number, each in enumerate(BIG)]
        (corpus / "big.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in objects))
        ids = [" ".join(str(WORDS.index(word)) for word in each.split()) for each in BIG]
        (corpus / "big.txt").write_text("".join(f"{each}\n" for each in ids))
        for name, more in (("big.jsonl", ()), ("big.txt", ("--ids",))):
            run = ("explain", "model.npz", name, *more, "--format", "jsonl")
            lrp(*run, "-o", "whole")
            lrp(*run, "-o", f"{name}-parts/", "--shard-size", "2K")
            assert self.joined(corpus / f"{name}-parts", "jsonl") == (corpus / "whole").read_bytes()

    def test_name_files_and_lines_of_the_whole_in_errors(self, corpus, lrp):
        lines = [b"the film\n"] * 12_344 + [b"\xff\n"] + [b"bad\n"] * 500
        (corpus / "big.txt").write_bytes(b"".join(lines))
        run = ("explain", "model.npz", "big.txt", "-o", "out/", "--shard-size", "20K")
        done = lrp(*run, "--keep-going", status=3)
        assert b"big.txt: line 12345: byte 1 (0xff) is not UTF-8" in done.stderr
        assert done.stderr.count(b"not UTF-8") == 1

    @pytest.mark.parametrize("jobs", ["1", "3"])
    def test_are_counted_once(self, jobs, big, corpus, lrp):
        run = ("explain", "model.npz", "big.txt", "-o", "out/", "--shard-size", "2K")
        lrp(*run, "--jobs", jobs)
        [counts] = (corpus / "out" / "_lrp" / "lines").iterdir()
        assert sum(json.loads(counts.read_text())["lines"]) == len(BIG)
        assert b"0 parts written to out/" in lrp(*run).stderr

    def test_of_a_stateful_model_are_whole_files(self, big, corpus, lrp):
        model = SmallModel(corpus)
        model.mapping["stateful"] = 1
        model.save()
        lrp("explain", "model.npz", "big.txt", "-o", "out/", "--shard-size", "2K")
        assert sorted(parts(corpus / "out")) == ["big.txt.tsv"]

    def test_of_parquet_are_row_groups(self, corpus, lrp, arrow):
        rows = arrow.table({"text": BIG})
        arrow.parquet.write_table(rows, corpus / "big.parquet", row_group_size=100)
        run = ("explain", "model.npz", "big.parquet", "--format", "jsonl")
        lrp(*run, "-o", "whole")
        lrp(*run, "-o", "out/", "--shard-size", "2K")
        assert self.joined(corpus / "out", "jsonl") == (corpus / "whole").read_bytes()
        assert sum(each["sequences"] for each in manifest(corpus / "out")) == len(BIG)

    def test_of_a_saved_data_set_are_one(self, corpus, lrp, arrow):
        folder = corpus / "saved"
        folder.mkdir()
        table = arrow.table({"text": BIG})
        with arrow.ipc.new_stream(folder / "data-00000.arrow", table.schema) as stream:
            stream.write_table(table)
        state = {"_data_files": [{"filename": "data-00000.arrow"}]}
        (folder / "state.json").write_text(json.dumps(state))
        (folder / "dataset_info.json").write_text("{}")
        run = ("explain", "model.npz", "saved", "--format", "jsonl")
        lrp(*run, "-o", "whole")
        lrp(*run, "-o", "out/", "--shard-size", "2K")
        assert parts(corpus / "out") == {"saved.jsonl": (corpus / "whole").read_bytes()}

    @pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
    def test_become_parquet_with_the_same_rows(self, form, big, corpus, lrp, arrow):
        run = ("explain", "model.npz", "big.txt", "--format", form)
        lrp(*run, "-o", "whole.parquet")
        lrp(*run, "-o", "out/", "--shard-size", "2K")
        read = arrow.parquet.read_table
        told = [read(corpus / "out" / each["part"]) for each in manifest(corpus / "out")]
        assert arrow.concat_tables(told).equals(read(corpus / "whole.parquet"))


class TestFiles:
    """Which files a folder or a pattern stands for."""

    def inputs(self, corpus, lrp, source):
        shutil.rmtree(corpus / "out", ignore_errors=True)
        done = lrp("explain", "model.npz", source, "-o", "out/", "--format", "jsonl")
        entries = manifest(corpus / "out")
        assert f"{len(entries)} part".encode() in done.stderr
        return [each["input"] for each in entries]

    def test_are_in_the_order_of_their_names_however_they_are_named(self, corpus, lrp):
        (corpus / "corpus" / "z.txt").write_text("the film\n")
        names = ["a.txt", "more/b.txt", "z.txt"]
        (corpus / "corpus" / "c.txt.gz").unlink()
        url = f"file://{corpus}/corpus"
        for source in ("corpus", "corpus/**", "corpus/**/**/*.txt", url, f"{url}/**/*.txt"):
            assert self.inputs(corpus, lrp, source) == names
        assert self.inputs(corpus, lrp, "corpus/mo?e/*.[t]xt") == ["more/b.txt"]

    def test_behind_links_are_there_once(self, corpus, lrp):
        folder = corpus / "linked"
        folder.mkdir()
        (folder / "l.txt").symlink_to(corpus / "corpus" / "a.txt")
        (folder / "more").symlink_to(corpus / "corpus" / "more")
        (folder / "once-more").symlink_to(corpus / "corpus" / "more")
        (folder / "round").symlink_to(folder)
        assert self.inputs(corpus, lrp, "linked") == ["l.txt", "more/b.txt"]
        assert self.inputs(corpus, lrp, "linked/**/*.txt") == ["l.txt", "more/b.txt"]

    def test_that_a_link_does_not_reach_are_no_less_asked_for(self, corpus, lrp):
        (corpus / "corpus" / "z.txt").symlink_to("gone.txt")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", status=3)
        assert b"corpus/z.txt: is a link to what is not there" in done.stderr
        assert not (corpus / "out").exists()

    @pytest.mark.parametrize("source", ["corpus", "corpus/**/*.txt"])
    def test_of_a_folder_that_cannot_be_read_are_not_left_out(self, source, corpus, lrp):
        walk = os.walk

        def forbidden(top, onerror, **options):
            onerror(PermissionError(13, "Permission denied", f"{top}/more"))
            return walk(top, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "walk", forbidden)
            patch.chdir(corpus)
            with pytest.raises(UnusableInput, match=r"^corpus/more: cannot be read: Permission d"):
                find_files(source, "out")

    def test_in_the_output_are_no_input_of_a_pattern(self, corpus, lrp):
        run = ("explain", "model.npz", "corpus/**", "-o", "corpus/out/", "--format", "jsonl")
        lrp(*run)
        assert b"0 parts written to corpus/out/, 3 were there" in lrp(*run).stderr

    def test_of_other_parts_are_none(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "parts/", "--format", "jsonl")
        shutil.move(corpus / "parts", corpus / "corpus" / "parts")
        for source in ("corpus", "corpus/**/*"):
            assert self.inputs(corpus, lrp, source) == ["a.txt", "c.txt.gz", "more/b.txt"]
        lrp("explain", "model.npz", "corpus/p*/**", "-o", "none/", status=3)
        done = lrp("explain", "model.npz", "corpus/parts", "-o", "none/", status=3)
        assert b"corpus/parts: is a folder of parts, as lrp writes them" in done.stderr

    @pytest.mark.parametrize(
        ("source", "output"),
        [
            ("corpus", "corpus/"),
            ("file://{0}/corpus", "file://{0}/corpus/"),
            ("file://{0}/corpus/", "corpus/out/"),
            ("corpus", "file://{0}/corpus/out/"),
            ("s3://bucket/in", "s3://bucket/in/"),
        ],
    )
    def test_would_not_be_told_from_parts_in_a_folder(self, source, output, corpus, lrp):
        source, output = source.format(corpus), output.format(corpus)
        done = lrp("explain", "model.npz", source, "-o", output, status=2)
        assert b"is in INPUT: parts would be read as input" in done.stderr

    @pytest.mark.parametrize("other", ["a.txt.000000000002048", "a.txt.000000000002048.tsv/b.txt"])
    def test_have_each_a_place_for_its_part(self, other, corpus, lrp):
        (corpus / "corpus" / "a.txt").write_text("the film is not bad\n" * 300)
        path = corpus / "corpus" / other
        path.parent.mkdir(exist_ok=True)
        path.write_text("the film\n")
        options = ("-o", "out/", "--shard-size", "2K", "--input-format", "txt")
        done = lrp("explain", "model.npz", "corpus", *options, status=3)
        assert b"would have one place for the parts of a.txt and " + other.encode() in done.stderr

    def test_that_are_compressed_are_taken_whole_whatever_they_are_called(self, corpus, lrp):
        packed = gzip.compress("\n".join(sentences(3000)).encode())
        assert len(packed) > 2 * BLOCK
        (corpus / "corpus" / "a.txt").write_bytes(packed)
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "out/", "--shard-size", "2K")
        assert [each["sequences"] for each in manifest(corpus / "out")] == [3000]


class TestGoesOn:
    def test_where_a_file_is_cut_otherwise_since_it_changed(self, corpus, lrp):
        run = ("explain", "model.npz", "corpus", "-o", "out/", "--shard-size", "4K")
        lrp(*run)
        path = corpus / "corpus" / "a.txt"
        before = path.read_bytes()
        path.write_bytes(before * 20)
        lrp(*run)
        assert len(manifest(corpus / "out")) > 4
        path.write_bytes(before)
        lrp(*run)
        assert sorted(parts(corpus / "out")) == ["a.txt.tsv", "c.txt.gz.tsv", "more/b.txt.tsv"]

    def test_with_no_manifest_until_all_is_there(self, corpus, lrp):
        run = ("explain", "model.npz", "corpus", "-o", "out/", "--format", "jsonl")
        lrp(*run)
        (corpus / "corpus" / "d.txt").write_bytes(b"bad\xff\n")
        done = lrp(*run, "--keep-going", status=3)
        assert b"1 is still to be made" in done.stderr
        for name in ("manifest.jsonl", "report.json"):
            assert not (corpus / "out" / "_lrp" / name).exists()
        assert b"is not finished" in lrp("summarize", "out", status=3).stderr

    def test_with_what_is_missing_or_changed(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        before = parts(corpus / "out")
        (corpus / "out" / "a.txt.tsv").unlink()
        (corpus / "corpus" / "more" / "b.txt").write_text("not bad\n")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/")
        assert b"2 parts written to out/, 1 were there" in done.stderr
        after = parts(corpus / "out")
        assert after["a.txt.tsv"] == before["a.txt.tsv"]
        assert after["more/b.txt.tsv"].count(b"\n") == 3
        assert manifest(corpus / "out")[2]["sequences"] == 1

    def test_with_a_new_file_of_which_nothing_else_is_done_again(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        (corpus / "corpus" / "aa.txt").write_text("the film\n")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/")
        assert b"1 part written to out/, 3 were there" in done.stderr

    def test_not_where_something_else_is_asked(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", "--eps", "0.1", status=3)
        assert b"parts of another run, which differs: methods was" in done.stderr

    def test_not_where_the_model_is_another(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        model = SmallModel(corpus)
        model.arrays["E"][0, 0] += 1e-9
        model.save()
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", status=3)
        assert b"which differs: model; name another" in done.stderr

    def test_not_with_parts_of_files_that_are_gone(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        (corpus / "corpus" / "a.txt").unlink()
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", status=3)
        assert b"1 part of files that are not in the input, such as a.txt.tsv" in done.stderr

    def test_wherever_a_run_was_killed(self, corpus, lrp):
        """A part without a receipt is made again, and a receipt without a part too."""
        lrp("explain", "model.npz", "corpus", "-o", "out/")
        whole = parts(corpus / "out")
        about = corpus / "out" / "_lrp"
        (about / "receipts" / "a.txt.tsv.json").unlink()
        (about / "receipts" / "c.txt.gz.tsv.json").write_text('{"key": ')
        (corpus / "out" / "more" / "b.txt.tsv").write_bytes(b"half")
        (about / "manifest.jsonl").unlink()
        left = corpus / "out" / f".a.txt.tsv.lrp-{'0' * 16}.partial"
        left.write_bytes(b"half")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/")
        assert b"3 parts written" in done.stderr
        assert parts(corpus / "out") == whole
        assert len(manifest(corpus / "out")) == 3

    def test_at_whichever_step_a_run_is_killed(self, corpus, lrp):
        """Each time one step later: what is open, written, placed or removed by then is there."""
        lrp("explain", "model.npz", "corpus/a.txt", "-o", "whole/")
        whole = parts(corpus / "whole")
        run = ("explain", "model.npz", "corpus/a.txt", "-o", "out/", "-q")
        step, status = 0, KILLED
        while status == KILLED:
            step += 1
            shutil.rmtree(corpus / "out", ignore_errors=True)
            command = [sys.executable, "-c", KILLING, str(step), *run]
            status = subprocess.run(command, cwd=corpus, check=False).returncode
            lrp(*run)
            assert parts(corpus / "out") == whole
            assert len(manifest(corpus / "out")) == 1
            assert not [*(corpus / "out").rglob("*.partial")]
        assert (status, step > 15) == (0, True)

    def test_while_the_same_runs_beside_it(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "whole/")
        command = [*LRP, "explain", "model.npz", "corpus", "-o", "out/", "-q"]
        runs = [subprocess.Popen(command, cwd=corpus) for _ in range(3)]
        assert [run.wait() for run in runs] == [0, 0, 0]
        assert parts(corpus / "out") == parts(corpus / "whole")

    def test_while_another_runs_beside_it_of_which_one_is_refused(self, corpus, lrp):
        command = [*LRP, "explain", "model.npz", "corpus", "-o", "out/", "-q"]
        runs = [
            subprocess.Popen([*command, "--eps", eps], cwd=corpus, stderr=subprocess.PIPE)
            for eps in ("0.1", "0.2")
        ]
        told = [run.communicate()[1] for run in runs]
        statuses = [run.returncode for run in runs]
        assert set(statuses) <= {0, 3}
        assert 3 in statuses
        for status, each in zip(statuses, told, strict=True):
            assert (b"parts of another run" in each) == (status == 3)
        # What is there is of one of them alone.
        job = json.loads((corpus / "out" / "_lrp" / "job.json").read_text())
        receipts = (corpus / "out" / "_lrp" / "receipts").rglob("*.json")
        assert {json.loads(path.read_text())["key"] for path in receipts} <= {job["key"]}


# What does something to files is counted, and the process ends amid so-manieth of it.
KILLED = 9
KILLING = f"""
import os, sys, io
from lstm_lrp_cli.__main__ import run

left = int(sys.argv.pop(1))

def step(event, arguments):
    global left
    named = str(arguments[0]) if arguments else ""
    flags = arguments[2] if event == "open" else 0
    writes = event == "open" and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    if (writes or event in ("os.rename", "os.remove", "os.mkdir")) and "out" in named:
        left -= 1
        if not left:
            os._exit({KILLED})

sys.addaudithook(step)
run()
"""


class TestPart:
    def test_in_any_order_is_one_run(self, corpus, lrp):
        lrp("explain", "model.npz", "corpus", "-o", "whole/")
        for part in ("2/3", "3/3", "1/3"):
            assert not (corpus / "out" / "_lrp" / "manifest.jsonl").exists()
            lrp("explain", "model.npz", "corpus", "-o", "out/", "--part", part)
        assert parts(corpus / "out") == parts(corpus / "whole")
        for name in ("manifest.jsonl", "report.json"):
            told = [(corpus / out / "_lrp" / name).read_bytes() for out in ("out", "whole")]
            assert told[0] == told[1]

    def test_of_no_shards_has_nothing_to_account_for(self, corpus, lrp):
        run = ("explain", "model.npz", "corpus", "-o", "out/")
        done = lrp(*run, "--part", "9/9", "--report", "report.json")
        assert b"conserved" not in done.stderr
        [method] = json.loads((corpus / "report.json").read_text())["methods"]
        assert method["worst_residual"] is None

    def test_says_what_is_missing(self, corpus, lrp):
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", "--part", "1/3")
        assert b"1 part written to out/, 2 are still to be made" in done.stderr

    @pytest.mark.parametrize("part", ["0/3", "4/3", "a/b", "1"])
    def test_must_be_one(self, part, lrp):
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", "--part", part, status=2)
        assert b"expected K/N" in done.stderr


class TestFailures:
    @pytest.fixture
    def bad(self, corpus):
        path = corpus / "corpus" / "a.txt"
        path.write_bytes(b"the film\n" * 7 + b"\xff\n" + b"bad\n")
        return path

    def test_stop_a_run_and_keep_what_is_done(self, bad, corpus, lrp):
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", "--jobs", "1", status=3)
        assert b"corpus/a.txt: line 8: byte 1 (0xff) is not UTF-8" in done.stderr
        assert not (corpus / "out" / "_lrp" / "manifest.jsonl").exists()

    def test_are_passed_over_and_listed(self, bad, corpus, lrp):
        run = ("explain", "model.npz", "corpus", "-o", "out/")
        done = lrp(*run, "--keep-going", status=3)
        assert b"corpus/a.txt: line 8: byte 1 (0xff) is not UTF-8" in done.stderr
        assert sorted(parts(corpus / "out")) == ["c.txt.gz.tsv", "more/b.txt.tsv"]
        bad.write_text("the film\n")
        done = lrp(*run)
        assert b"1 part written to out/, 2 were there" in done.stderr
        assert len(manifest(corpus / "out")) == 3

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("corpus", "-o", "corpus/out/"), b"is in INPUT: parts would be read as input"),
            (("-", "-o", "out/"), b"-o is a folder, so INPUT is one file, folder, pattern"),
            (("corpus/a.txt", "corpus/c.txt.gz", "-o", "out/"), b"so INPUT is one file"),
            (("corpus", "-o", "model.npz/"), b"-o model.npz/ is a file; name a folder"),
            (("corpus", "-o", "memory://out/"), b"-o memory://out/ is gone when this run ends"),
            (("corpus", "-o", "out/", "--shard-size", "٣M"), b"is no size; expected one such as"),
            (("corpus", "-o", "out/", "--format", "html"), b"--format html is one picture"),
            (("corpus/a.txt", "-o", "a.tsv", "--part", "1/2"), b"--part is for parts of a corpus"),
            (("corpus/a.txt", "--shard-size", "1M"), b"--shard-size is for parts of a corpus"),
            (("corpus", "-o", "out/", "--shard-size", "1X"), b"is no size; expected one such as"),
            (
                ("corpus", "-o", "out/", "--format", "npz", "--compress", "gz"),
                b"a npz file that is compressed as a whole is read by no program",
            ),
        ],
    )
    def test_of_usage_are_told(self, arguments, told, lrp):
        assert told in lrp("explain", "model.npz", *arguments, status=2).stderr

    def test_of_a_receipt_that_is_none_are_one_line(self, corpus, lrp):
        run = ("explain", "model.npz", "corpus", "-o", "out/")
        lrp(*run)
        path = corpus / "out" / "_lrp" / "receipts" / "a.txt.tsv.json"
        receipt = json.loads(path.read_text())
        path.write_text(json.dumps(receipt | {"figures": {"sequences": "many"}}))
        done = lrp(*run, status=3)
        assert done.stderr.startswith(
            b"lrp: out/_lrp/receipts/a.txt.tsv.json: cannot be understood"
        )
        assert done.stderr.count(b"\n") == 1

    def test_of_an_empty_folder(self, corpus, lrp):
        (corpus / "nothing").mkdir()
        done = lrp("explain", "model.npz", "nothing", "-o", "out/", status=3)
        assert b"nothing: has no files; expected files of sequences" in done.stderr

    def test_of_a_name_that_no_part_can_have(self, corpus, lrp):
        (corpus / "corpus" / "x\udcff.txt").write_text("the film\n")
        done = lrp("explain", "model.npz", "corpus", "-o", "out/", status=3)
        assert b"has a name that is no UTF-8, by which no part can be called; " in done.stderr
