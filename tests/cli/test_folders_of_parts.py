"""Folders of parts: `lrp summarize` and `lrp compare` read them by their manifest."""

import gzip
import json
import shutil
import subprocess
import tracemalloc
from functools import cache

import pytest
from forking import forked_lrp
from installed import spec_of
from models import PYTORCH, json_lines
from processes import run_lrp

from lstm_lrp_cli.results.manifest import Entry, manifest_line, read_manifest

METHODS = "lrp-all,occlusion"
SEQUENCES = 60
COUNTS = ("explanations", "without_score", "tokens", "unknown", "distinct", "count", "position")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Some of the labelled sample."""
    path = tmp_path_factory.mktemp("labelled") / "labelled.txt"
    sample = PYTORCH.sequences.with_name(path.name).read_bytes()
    path.write_bytes(b"".join(sample.splitlines(keepends=True)[:SEQUENCES]))
    return path


@pytest.fixture(scope="module")
def whole(labelled, tmp_path_factory):
    """Their explanations by two methods, in one file."""
    return explained(labelled, tmp_path_factory.mktemp("whole") / "whole.jsonl")


@pytest.fixture(scope="module")
def inputs(labelled, tmp_path_factory):
    """The same as three files."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = labelled.read_text("utf-8").splitlines(keepends=True)
    for number, name in enumerate(("a.txt", "more/b.txt", "c.txt")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(lines[number::3]), encoding="utf-8")
    return {name: folder / name for name in ("a.txt", "more/b.txt", "c.txt")}


def explained(source, output, *options):
    if str(output).endswith(".parquet"):
        spec_of("pyarrow")
    options = (*("--labelled", "--method", METHODS, "-q", "-o", output), *options)
    done = run_lrp("explain", PYTORCH.model, source, *options)
    assert done.returncode == 0, done.stderr
    return output


class Parts:
    """A folder of parts and its manifest, which is written anew after each part."""

    def __init__(self, path):
        self.path, self.entries = path, []
        (path / "_lrp" / "receipts").mkdir(parents=True)

    def __str__(self):
        return str(self.path)

    def add(self, part, name, sequences=1, **changes):
        """Take in a part that is there."""
        size = (self.path / part).stat().st_size
        entry = {"part": part, "input": name, "start": 0, "stop": None, "first": 1}
        self.write({**entry, "sequences": sequences, "steps": 0, "bytes": size, **changes})

    def write(self, *entries):
        self.entries += entries
        lines = (each if isinstance(each, str) else json.dumps(each) for each in self.entries)
        self.manifest.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @property
    def manifest(self):
        return self.path / "_lrp" / "manifest.jsonl"


@pytest.fixture
def folder(tmp_path):
    return lambda name="OUT": Parts(tmp_path / name)


@pytest.fixture
def cut(folder, whole):
    """The whole, cut into parts of some lines each, as of ranges of one input."""

    def make(lines, name="OUT", ending=".jsonl", sequences="labelled.txt"):
        made = folder(name)
        rows = whole.read_bytes().splitlines(keepends=True)
        for start in range(0, len(rows), lines):
            data = b"".join(rows[start : start + lines])
            part = f"labelled.txt.{start:04}{ending}"
            (made.path / part).write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
            made.add(part, sequences, start=start)
        return made

    return make


@pytest.fixture(scope="module")
def explained_inputs(inputs, tmp_path_factory):
    """What `lrp explain` writes of each input, by the input's name."""

    @cache
    def explain(ending, *options):
        folder = tmp_path_factory.mktemp("explained")
        (folder / "more").mkdir()
        return {
            name: explained(path, folder / f"{name}{ending}", *options)
            for name, path in inputs.items()
        }

    return explain


@pytest.fixture
def parts(folder, explained_inputs):
    """A part of each input."""

    def make(name="OUT", ending=".jsonl", *options):
        made = folder(name)
        for source, path in explained_inputs(ending, *options).items():
            part = made.path / f"{source}{ending}"
            part.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, part)
            made.add(f"{source}{ending}", source)
        return made

    return make


@pytest.fixture(scope="module")
def written(inputs, tmp_path_factory):
    """The folder of each of several forms, cut where blocks of some tokens end."""
    corpus = inputs["a.txt"].parent

    @cache
    def write(form, size):
        if form.startswith("parquet"):
            spec_of("pyarrow")
        folder = tmp_path_factory.mktemp("written") / "OUT"
        options = ("--labelled", "--method", METHODS, "-q", "--format", form)
        done = run_lrp(
            *("explain", PYTORCH.model, corpus, "-o", f"{folder}/", *options),
            *("--shard-size", size),
            block_steps=100,
        )
        assert done.returncode == 0, done.stderr
        return folder

    return write


@pytest.fixture
def told(run):
    """What a command prints."""

    def told(*arguments):
        done = run(*arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    return told


@pytest.fixture
def refused(run):
    """The one line of the error of what cannot be used."""

    def refused(command, *arguments):
        done = run(command, *arguments)
        assert (done.exit_code, done.stdout) == (3, ""), done.output
        (error,) = done.stderr.splitlines()
        return error.removeprefix("lrp: ")

    return refused


def assert_alike(found, expected):
    """The same counts and words, and numbers that are the same but for rounding."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            if key in COUNTS:
                assert found[key] == value
            elif key != "source":
                assert_alike(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    else:
        assert found == expected


class TestSummary:
    """Of parts it is that of the whole."""

    @pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
    @pytest.mark.parametrize("lines", [1, 7, 1000])
    def test_of_one_input_in_parts(self, told, whole, cut, lines, ending):
        made = cut(lines, ending=ending)
        assert told("summarize", made) == told("summarize", whole)
        found, expected = (
            json.loads(told("summarize", source, "--format", "json")) for source in (made, whole)
        )
        assert (found["results"], found["files"]) == ([str(made)], 1)
        assert_alike(found["methods"], expected["methods"])
        worst = found["methods"][0]["worst_residuals"]
        assert {each["source"] for each in worst} == {"labelled.txt"}

    @pytest.mark.parametrize(
        ("ending", "options"),
        [
            (".jsonl", ()),
            (".parquet", ()),
            (".parquet", ("--format", "parquet-nested")),
            (".jsonl", ("--by", "dimension")),
        ],
        ids=["jsonl", "flat", "nested", "by dimension"],
    )
    def test_of_several_inputs(self, told, parts, tmp_path, ending, options):
        made = parts("OUT", ending, *options)
        if ending == ".jsonl":
            whole = tmp_path / "whole.jsonl"
            data = [(made.path / each["part"]).read_bytes() for each in made.entries]
            whole.write_bytes(b"".join(data))
            several = [whole]
        else:
            several = [made.path / each["part"] for each in made.entries]
        found, expected = (
            json.loads(told("summarize", *sources, "--format", "json"))
            for sources in ([made], several)
        )
        assert_alike(found["methods"], expected["methods"])
        assert (found["results"], found["files"]) == ([str(made)], 3)

    def test_names_the_input_of_a_residual(self, told, parts):
        made = parts()
        worst = json.loads(told("summarize", made, "--format", "json"))["methods"][0][
            "worst_residuals"
        ]
        assert {each["source"] for each in worst} == {"a.txt", "more/b.txt", "c.txt"}
        for each in worst:
            (entry,) = (entry for entry in made.entries if entry["input"] == each["source"])
            lines = json_lines((made.path / entry["part"]).read_text("utf-8"))
            residuals = {
                line["sequence"]: line["ledger"]["residual"]
                for line in lines
                if line["method"] == "lrp-all"
            }
            assert residuals[each["sequence"]] == each["residual"]
        shown = told("summarize", made)
        assert f" {worst[0]['source']} " in shown
        assert ".jsonl" not in shown

    def test_of_parts_without_sequences(self, told, whole, cut):
        made = cut(50)
        entries, made.entries = made.entries, []
        (made.path / "none.jsonl").write_bytes(b"")
        for entry in entries:
            made.add("none.jsonl", "none.txt", sequences=0)
            made.write(entry)
        assert_alike(
            json.loads(told("summarize", made, "--format", "json"))["methods"],
            json.loads(told("summarize", whole, "--format", "json"))["methods"],
        )

    def test_is_the_same_by_any_number_of_processes(self, cut):
        made = cut(9)
        program = [*forked_lrp(), "summarize", str(made), "--format", "json", "--jobs"]
        one, three, many = (
            subprocess.run([*program, jobs], capture_output=True, check=True).stdout
            for jobs in ("1", "3", "50")
        )
        assert one == three == many

    def test_of_files_by_several_processes(self, told, whole, cut):
        made = cut(40)
        files = [made.path / each["part"] for each in made.entries]
        found = json.loads(told("summarize", *files, "--jobs", 2, "--format", "json"))
        assert found["results"] == list(map(str, files))
        expected = json.loads(told("summarize", whole, "--format", "json"))
        assert_alike(found["methods"], expected["methods"])

    def test_of_a_folder_beside_a_file(self, told, cut, whole):
        found = json.loads(told("summarize", cut(50), whole, "--format", "json"))
        alone = json.loads(told("summarize", whole, "--format", "json"))
        for both, one in zip(found["methods"], alone["methods"], strict=True):
            assert both["explanations"] == 2 * one["explanations"]
        assert found["files"] == 2


class TestFoldersThatCannotBeRead:
    """One error names the part, or the line of the manifest, and the mend."""

    def test_without_parts(self, refused, tmp_path):
        assert refused("summarize", tmp_path).startswith(f"{tmp_path}: is a directory; expected")

    @pytest.mark.parametrize("command", [("summarize",), ("compare", "--methods", METHODS)])
    def test_that_are_not_finished(self, refused, cut, command):
        made = cut(50)
        made.manifest.unlink()
        receipts = made.manifest.parent / "receipts"
        (receipts / "deeper").mkdir()
        for name in ("one.jsonl.json", "deeper/two.jsonl.json"):
            (receipts / name).write_text("{}")
        error = refused(*command, made)
        assert error.startswith(f"{made}: is not finished: 2 of its parts are written")
        assert error.endswith("run the same command again")

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_of_which_a_part_is_missing(self, refused, cut, jobs):
        made = cut(50)
        path = made.path / made.entries[1]["part"]
        path.unlink()
        error = refused("summarize", made, "--jobs", jobs)
        assert error == f"{path}: this part is missing; run the same command again"

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_of_which_a_part_has_another_size(self, refused, cut, jobs):
        made = cut(50)
        path, size = made.path / made.entries[1]["part"], made.entries[1]["bytes"]
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        error = refused("summarize", made, "--jobs", jobs)
        assert error.startswith(f"{path}: this part has {path.stat().st_size:,} bytes")
        assert f"the manifest says {size:,}; remove it, and run the same command again" in error

    @pytest.mark.parametrize("ending", [".tsv", ".csv", ".npz"])
    def test_of_another_format(self, refused, parts, ending):
        made = parts("OUT", ending)
        error = refused("summarize", made)
        assert error.startswith(str(made.path / f"a.txt{ending}"))
        assert "--format jsonl" in error

    @pytest.mark.parametrize(
        "part", ["../a.jsonl", "/etc/passwd", "a/../../b.jsonl", "s3://bucket/a.jsonl", "a\0b"]
    )
    def test_whose_parts_lie_elsewhere(self, refused, cut, part):
        made = cut(500)
        made.write(made.entries[0] | {"part": part})
        error = refused("summarize", made)
        assert error.startswith(f"{made.manifest}: line 2: the part `")
        assert error.endswith("` leads out of the folder; expected a path in it")

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("part.jsonl", "is not JSON"),
            ("", "is not JSON"),
            ('{"part": "a.jsonl"}', "Object missing required field `input`"),
            ('{"part": "' + "a" * 70_000 + '"}', "is longer than 65,536 bytes"),
            ('{"part": "a", "input": "a", "x": ' + "[" * 60_000, "is not JSON"),
        ],
        ids=["text", "empty", "half", "long", "deep"],
    )
    def test_whose_manifest_is_no_manifest(self, refused, cut, line, problem):
        made = cut(500)
        made.write(line)
        assert refused("summarize", made).startswith(f"{made.manifest}: line 2: {problem}")

    @pytest.mark.parametrize("turned", [False, True])
    def test_whose_parts_come_again_or_out_of_order(self, refused, cut, turned):
        made = cut(50)
        made.entries = made.entries[1::-1] if turned else [*made.entries, made.entries[-1]]
        made.write()
        error = refused("summarize", made)
        assert error.startswith(f"{made.manifest}: line {len(made.entries)}: the part `labelled")
        assert "begins no later in its input than the one before it" in error

    @pytest.mark.parametrize("key", ["start", "first", "sequences", "bytes"])
    def test_whose_numbers_are_none(self, refused, cut, key):
        made = cut(500)
        made.write(made.entries[0] | {key: -1})
        assert f"line 2: Expected `int` >= 0 - at `$.{key}`" in refused("summarize", made)

    def test_whose_manifest_is_empty(self, refused, folder):
        made = folder()
        made.write()
        assert refused("summarize", made).startswith(f"{made.manifest}: is empty")


class TestManifest:
    def test_is_written_as_it_is_read(self, folder):
        made = folder()
        entries = [
            Entry("a.txt.jsonl", "a.txt", 0, 256, 1, 5, 40, 1234),
            Entry('ä "b".txt.jsonl', 'ä "b".txt', 256, None, 6, 0, 0, 0),
        ]
        made.manifest.write_bytes(b"".join(map(manifest_line, entries)))
        assert list(read_manifest(str(made))) == entries

    def test_is_not_held_whole(self, folder):
        def most_held(parts):
            made = folder(f"of-{parts}")
            with made.manifest.open("wb") as file:
                for number in range(parts):
                    file.write(
                        manifest_line(Entry(f"{number}.jsonl", "a", number, None, 1, 1, 1, 1))
                    )
            tracemalloc.start()
            try:
                assert sum(1 for _ in read_manifest(str(made))) == parts
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        most_held(1)  # which imports what is needed
        assert most_held(20_000) < most_held(1_000) + 2**16


class TestComparison:
    def as_json(self, told, *arguments):
        found = json.loads(told("compare", *arguments, "--format", "json"))
        return {key: found[key] for key in found if key not in ("a", "b")}

    def without_inputs(self, value):
        """A comparison that does not say which input a sequence is of."""
        if isinstance(value, dict):
            return {key: self.without_inputs(each) for key, each in value.items() if key != "input"}
        return [self.without_inputs(each) for each in value] if isinstance(value, list) else value

    METHODS = ("--methods", METHODS)

    def test_of_two_folders_is_that_of_the_whole(self, told, whole, cut):
        made, other = cut(10, "A"), cut(24, "B")
        found = self.as_json(told, made, other, *self.METHODS)
        assert found["most_different"][0]["input"] == "labelled.txt"
        expected = self.as_json(told, whole, whole, *self.METHODS)
        assert self.without_inputs(found) == self.without_inputs(expected)

    def test_of_two_methods_of_a_folder(self, told, whole, cut):
        found = self.as_json(told, cut(10), *self.METHODS)
        expected = self.as_json(told, whole, *self.METHODS)
        assert self.without_inputs(found) == self.without_inputs(expected)

    @pytest.mark.parametrize("turned", [False, True])
    def test_of_a_folder_of_one_input_and_a_file(self, told, whole, cut, turned):
        sides = (whole, cut(10)) if turned else (cut(10), whole)
        found = self.as_json(told, *sides, *self.METHODS)
        assert found["most_different"][0]["input"] == "labelled.txt"
        expected = self.as_json(told, whole, whole, *self.METHODS)
        assert self.without_inputs(found) == self.without_inputs(expected)

    def test_of_a_folder_and_a_model(self, told, labelled, cut):
        options = ("--input", labelled, "--labelled", "--methods", "lrp-all")
        shown = told("compare", PYTORCH.model, cut(10), *options, "--tolerance", "1e-9")
        assert "passed: " in shown

    def test_pairs_sequences_of_the_same_input(self, told, parts):
        found = self.as_json(told, parts("A"), parts("B", ".parquet"), *self.METHODS, "--top", 200)
        assert found["sequences"] == SEQUENCES
        assert found["relevance"]["compared"] == SEQUENCES
        assert {each["input"] for each in found["most_different"]} == {
            *("a.txt", "more/b.txt", "c.txt")
        }

    def test_names_the_input_beside_the_sequence(self, told, parts):
        made = parts()
        found = self.as_json(told, made, *self.METHODS)
        worst, largest = found["most_different"][0], found["relevance"]["differences"]
        shown = told("compare", made, *self.METHODS)
        assert f"\n{worst['input']}: {worst['sequence']}  " in shown
        assert f"(sequence {largest['sequence']} of {largest['input']})" in shown

    def test_of_other_inputs_is_refused(self, refused, cut):
        made, other = cut(500, "A"), cut(500, "B", sequences="other.txt")
        error = refused("compare", made, other, *self.METHODS)
        assert error.startswith(
            f"{other}: is of other inputs: it has `other.txt` where {made} has `labelled.txt`"
        )

    def test_of_fewer_inputs_is_refused(self, refused, parts):
        made, other = parts("A"), parts("B")
        del other.entries[2:]
        other.write()
        error = refused("compare", made, other, *self.METHODS)
        assert error.startswith(
            f"{other}: is of other inputs: it has nothing more where {made} has"
        )
        error = refused("compare", other, made, *self.METHODS)
        assert error.startswith(
            f"{made}: is of other inputs: it has `c.txt` where {other} has noth"
        )

    def test_of_a_folder_of_several_inputs_and_a_file_is_refused(self, refused, parts, whole):
        made = parts()
        for sides in ((made, whole), (whole, made)):
            error = refused("compare", *sides, *self.METHODS)
            assert error.startswith(f"{made}: is of several inputs (a.txt and more/b.txt first)")
            assert f"and {whole} is of one" in error

    def test_where_an_input_lacks_a_sequence_names_it(self, refused, parts):
        made, other = parts("A"), parts("B")
        part = other.path / "a.txt.jsonl"
        lines = part.read_bytes().splitlines(keepends=True)
        part.write_bytes(b"".join(lines[:-2]))  # both methods of the last sequence
        other.entries[0]["bytes"] = part.stat().st_size
        other.write()
        last, line = len(lines) // 2 - 1, len(lines) - 1
        place = made.path / "a.txt.jsonl"
        for sides in ((made, other), (other, made)):
            error = refused("compare", *sides, "--methods", "lrp-all")
            assert error == (
                f"{other.path / 'more/b.txt.jsonl'}: line 1: is of sequence 0 of more/b.txt; "
                f"expected sequence {last} of a.txt, as {place}: line {line} has it: "
                "both must be of the same input"
            )

    def test_where_ranges_overlap_names_the_line(self, refused, cut):
        made = cut(10)
        for number, entry in enumerate(reversed(made.entries)):
            entry["start"] = number
        made.entries.reverse()
        made.write()
        error = refused("compare", made, *self.METHODS)
        assert error.startswith(str(made.path / made.entries[1]["part"]))
        assert "line 1: is of sequence " in error
        assert "which stands before" in error


class TestOutput:
    """It does not go over what is read."""

    @pytest.mark.parametrize("command", [("summarize",), ("compare", "--methods", METHODS)])
    @pytest.mark.parametrize("name", ["labelled.txt.0050.jsonl", "_lrp/manifest.jsonl"])
    def test_over_a_part_is_refused(self, run, cut, command, name):
        made = cut(50)
        path = made.path / name
        before = path.read_bytes()
        done = run(*command, made, "-o", path)
        assert done.exit_code == 2
        assert "-o is the same file as" in done.stderr
        assert path.read_bytes() == before

    @pytest.mark.parametrize("command", [("summarize",), ("compare", "--methods", METHODS)])
    def test_may_stand_beside_the_parts(self, told, cut, command):
        made = cut(50)
        for _ in range(2):  # the second time it is there
            told(*command, made, "-o", made.path / "told.txt")
        assert (made.path / "told.txt").stat().st_size


class TestWhatExplainWrites:
    """A corpus in shards, and in one run."""

    @pytest.mark.parametrize("form", ["jsonl", "parquet-nested"])
    def test_summary_is_the_same(self, told, parts, written, form):
        """Batches differ with the cut, and so the last digits of relevance."""
        made = written(form, 800)
        entries = list(read_manifest(str(made)))
        assert len(entries) > len({each.input for each in entries}) == 3
        found = json.loads(told("summarize", made, "--format", "json", "--top", 1000))
        whole = parts("whole")
        whole.entries.sort(key=lambda each: [entry.input for entry in entries].index(each["input"]))
        whole.write()
        expected = json.loads(told("summarize", whole, "--format", "json", "--top", 1000))
        assert found["files"] == expected["files"] == 3
        for one, other in zip(found["methods"], expected["methods"], strict=True):
            assert one["explanations"] == other["explanations"] == SEQUENCES
            assert [c["explanations"] for c in one["confusion"]] == [
                c["explanations"] for c in other["confusion"]
            ]
            for target, of_whole in zip(one["targets"], other["targets"], strict=True):
                ranked, of_whole_ranked = (
                    {
                        figures["token"]: (figures["count"], figures["total"])
                        for figures in each["highest_total"] + each["lowest_total"]
                    }
                    for each in (target, of_whole)
                )
                assert ranked.keys() == of_whole_ranked.keys()
                for token, figures in ranked.items():
                    assert figures == pytest.approx(of_whole_ranked[token], rel=1e-9, abs=1e-9)

    def test_comparison_finds_no_difference(self, told, written):
        both = written("jsonl", 800), written("jsonl", 4000)
        counts = [len(list(read_manifest(str(folder)))) for folder in both]
        assert counts[0] != counts[1]
        shown = told("compare", *both, "--methods", "lrp-all", "--tolerance", "1e-9")
        assert shown.startswith(f"A  {both[0]}, lrp-all")
        assert f"{SEQUENCES} sequences" in shown
        assert "passed: " in shown

    def test_at_a_url_it_is_the_same(self, told, refused, written):
        spec_of("fsspec")
        made = written("jsonl", 800)
        for url in (f"file://{made}", f"file://{made}/"):
            assert told("summarize", url, "--jobs", 2) == told("summarize", made)
            shown = told("compare", made, url, "--methods", "lrp-all", "--tolerance", "1e-9")
            assert "passed: largest difference 0," in shown
        url = f"file://{made.parent}/"
        assert refused("summarize", url) == (
            f"{url}: has no _lrp/manifest.jsonl; expected a folder of parts, all written"
        )
        url = f"file://{made}.jsonl"
        assert refused("summarize", url) == f"{url}: there is no such input file"

    def test_a_part_that_is_missing_at_a_url_is_named(self, refused, cut):
        spec_of("fsspec")
        made = cut(50)
        path = made.path / made.entries[1]["part"]
        path.unlink()
        error = refused("summarize", f"file://{made}/")
        assert error == f"file://{path}: this part is missing; run the same command again"
        path.write_bytes(b"short")
        error = refused("summarize", f"file://{made}/")
        assert error.startswith(f"file://{path}: this part has 5 bytes, and the manifest says ")

    def test_at_a_url_that_is_not_finished(self, refused, cut):
        spec_of("fsspec")
        made = cut(50)
        made.manifest.unlink()
        (made.manifest.parent / "receipts" / "one.jsonl.json").write_text("{}")
        error = refused("summarize", f"file://{made}/")
        assert error.startswith(f"file://{made}/: is not finished: 1 of its parts is written")
