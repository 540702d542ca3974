"""Tables of text and sentences on the command line and in Python: the same as lines of text."""

import csv
import gzip
import json

import numpy as np
import pytest
from models import KERAS, json_lines
from several import LABELS, SeveralInputs

import lstm_lrp_cli as lrp

SENTENCES = KERAS.sequences.read_text("utf-8").splitlines()[:12]
# As IMDB Dataset.csv is published: quoted where need be, with line breaks of HTML.
REVIEWS = [
    *(
        "One of the other reviewers has mentioned that, after watching just 1 Oz episode",
        "bad, bad",
    ),
    'A wonderful little production. <br /><br />The "filming" technique is very fine.\nAnd good.',
    *SENTENCES,
]
SENTIMENTS = ["positive", "negative"] * 7 + ["positive"]


@pytest.fixture(scope="module")
def imdb(tmp_path_factory):
    path = tmp_path_factory.mktemp("imdb") / "IMDB Dataset.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("review", "sentiment"), *zip(REVIEWS, SENTIMENTS, strict=True)])
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The same as JSON lines with the usual keys."""
    path = tmp_path_factory.mktemp("lines") / "in.jsonl"
    rows = zip(REVIEWS, SENTIMENTS, strict=True)
    lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def model():
    return lrp.load(KERAS.model)


def renamed(objects, **names):
    return [{names.get(key, key): value for key, value in each.items()} for each in objects]


@pytest.fixture
def ran(run):
    def ran(*arguments, status=0, **given):
        result = run(*arguments, **given)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return ran


class TestTableOfText:
    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_gives_what_lines_give(self, ran, imdb, labelled, command):
        options = ("--format", "jsonl", "--report", "-", "-q")
        expected = ran(command, KERAS.model, labelled, "--labelled", *options[:2], "-q").stdout
        columns = ("--text", "review", "--label", "sentiment")
        found = ran(command, KERAS.model, imdb, *columns, *options[:2], "-q").stdout
        assert found == expected
        assert json_lines(found)[2]["label"] == "positive"
        shared = ran(command, KERAS.model, imdb, *columns, *options[:2], "-q", "--jobs", "2").stdout
        assert shared == expected

    def test_from_a_pipe_and_compressed(self, ran, imdb):
        options = ("--text", "review", "--format", "tsv", "-q")
        expected = ran("predict", KERAS.model, imdb, *options).stdout
        piped = ran("predict", KERAS.model, "-", *options, input=imdb.read_bytes()).stdout
        packed = gzip.compress(imdb.read_bytes())
        assert ran("predict", KERAS.model, "-", *options, input=packed).stdout == expected == piped

    def test_without_columns_is_told_the_likely_ones(self, ran, imdb):
        error = ran("explain", KERAS.model, imdb, status=3).stderr
        assert "is a table of the columns review, sentiment, and the model takes tokens" in error
        assert error.rstrip().endswith("for instance --text review --label sentiment")

    def test_the_true_class_and_ids_are_known_everywhere(self, ran, tmp_path):
        rows = ["id;y;film", "a1;1;a fine film", "a2;0;a dull mess"]
        (tmp_path / "in.csv").write_text("\n".join(rows), "utf-8")
        options = ("--text", "film", "--label", "y", "--id", "id", "--target", "gold")
        written = ran(
            *("explain", KERAS.model, tmp_path / "in.csv", *options, "--format", "jsonl", "-q")
        ).stdout
        found = json_lines(written)
        assert [each["id"] for each in found] == ["a1", "a2"]
        assert [each["label"] for each in found] == ["positive", "negative"]
        assert [each["target"] for each in found] == ["positive", "negative"]
        columns = options[:4]
        shown = ran("check", KERAS.model, tmp_path / "in.csv", *columns).stdout
        assert "2 sequences" in shown
        options = ("--methods", "lrp-all", "--min-length", "2")
        shown = ran("evaluate", KERAS.model, tmp_path / "in.csv", *columns, *options).stdout
        assert "lrp-all" in shown
        shown = ran(
            *("compare", KERAS.model, "--input", tmp_path / "in.csv", *columns),
            *("--methods", "lrp-all,gradient"),
        ).stdout
        assert "2 sequences" in shown

    def test_a_delimiter_can_be_told(self, ran, tmp_path):
        (tmp_path / "in.csv").write_text("a,b;film\n1,2;a fine film\n", "utf-8")
        options = ("explain", KERAS.model, tmp_path / "in.csv", "--text")
        assert "give --delimiter" in ran(*options, "film", status=3).stderr
        found = ran(*options, "film", "--delimiter", ";", "--format", "jsonl", "-q").stdout
        assert json_lines(found)[0]["tokens"] == ["a", "fine", "film"]
        assert "no single character" in ran(*options, "x", "--delimiter", "ab", status=2).stderr
        (tmp_path / "in.txt").write_text("n\tfilm\n1\tdull\n", "utf-8")
        more = ("--input-format", "csv", "--delimiter", "tab", "--format", "jsonl", "-q")
        found = ran("explain", KERAS.model, tmp_path / "in.txt", "--text", "film", *more).stdout
        assert json_lines(found)[0]["tokens"] == ["dull"]


class TestSentences:
    def test_are_explained_without_a_file(self, ran, tmp_path):
        (tmp_path / "in.txt").write_text("\n".join(SENTENCES[:2]), "utf-8")
        texts = [each for text in SENTENCES[:2] for each in ("--text", text)]
        for command, more in (("explain", ("--target", "all")), ("predict", ())):
            options = (*more, "--format", "jsonl", "-q")
            expected = ran(command, KERAS.model, tmp_path / "in.txt", *options).stdout
            assert ran(command, KERAS.model, *texts, *options).stdout == expected
        two = ("--methods", "lrp-all,occlusion", "--format", "json")
        of_file = ran("compare", KERAS.model, "--input", tmp_path / "in.txt", *two).stdout
        assert json.loads(ran("compare", KERAS.model, *texts, *two).stdout) == json.loads(of_file)
        assert "no INPUT" not in ran("check", KERAS.model, *texts).stderr

    def test_may_be_ids(self, ran):
        found = ran(
            *("explain", KERAS.model, "--text", "5 3", "--ids", "--format", "jsonl", "-q")
        ).stdout
        assert len(json_lines(found)[0]["relevance"]) == 2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), "Missing argument 'INPUT...', or --text \"A SENTENCE\"."),
            (("--text", "good", "--label", "y"), "--label is for files: without INPUT"),
            (("--text", "good", "--labelled"), "--labelled is for files: without INPUT"),
        ],
    )
    def test_what_does_not_go_together(self, ran, options, message):
        error = ran("explain", KERAS.model, *options, status=2).stderr
        assert message in error
        assert "Usage: " in error

    def test_a_variable_of_the_environment_is_one_sentence(self, ran, monkeypatch):
        monkeypatch.setenv("LRP_EXPLAIN_TEXT", "a fine film")
        found = ran("explain", KERAS.model, "--format", "jsonl", "-q").stdout
        assert [each["tokens"] for each in json_lines(found)] == [["a", "fine", "film"]]

    def test_are_not_for_numbers(self, ran, tmp_path):
        several = SeveralInputs(tmp_path)
        error = ran("explain", several.save(), "--text", "review=not bad", status=3).stderr
        assert "wind: gives a sentence, and the model takes numbers; name a file" in error
        error = ran("explain", several.save(), "--text", "not bad", status=2).stderr
        assert "names no input of the model (review, wind, person)" in error
        assert "--text" in error


class TestSeveralInputs:
    @pytest.fixture
    def several(self, tmp_path):
        return SeveralInputs(tmp_path)

    @pytest.fixture
    def expected(self, ran, several):
        options = ("--labelled", "--format", "jsonl", "-q")
        return ran("predict", several.save(), several.lines(), *options).stdout

    def test_one_table_has_a_column_for_each(self, ran, several, expected):
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        objects = renamed(several.objects, review="words")
        path = several.folder / "in.parquet"
        parquet.write_table(pa.Table.from_pylist(objects), path)
        options = ("--labelled", "--text", "review=words", "--format", "jsonl", "-q")
        assert ran("predict", several.save(), path, *options).stdout == expected
        error = ran("predict", several.save(), path, status=3).stderr
        assert "has none `review`; name it: --text review=COLUMN" in error

    @pytest.mark.parametrize("text", ["words", "review=words"])
    def test_a_table_for_one_of_them(self, ran, several, expected, text):
        _, wind, person = several.files()
        path = several.folder / "in.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = [(each["id"], each["review"], each["label"]) for each in several.objects]
            csv.writer(file).writerows([("id", "words", "y"), *rows])
        files = (f"review={path}", wind, person)
        options = ("--text", text, "--label", "y", "--format", "jsonl", "-q")
        assert ran("predict", several.save(), *files, *options).stdout == expected
        wrong = ("--text", "film=words")
        assert "names no input" in ran("predict", several.save(), *files, *wrong, status=2).stderr

    def test_keys_of_json_lines(self, ran, several, expected):
        objects = renamed(several.objects, review="words", label="y")
        text = "".join(f"{json.dumps(each)}\n" for each in objects)
        path = several.write("other.jsonl", text)
        options = ("--text", "review=words", "--label", "y", "--format", "jsonl", "-q")
        assert ran("predict", several.save(), path, *options).stdout == expected


class TestPython:
    @pytest.fixture
    def expected(self, model, labelled):
        return [(each.tokens, each.gold) for each in lrp.read(labelled, model, labelled=True)]

    def test_read_takes_columns(self, model, imdb, expected):
        found = lrp.read(imdb, model, text="review", label="sentiment", id="sentiment")
        found = list(found)
        assert [(each.tokens, each.gold) for each in found] == expected
        assert [each.id for each in found] == SENTIMENTS
        with pytest.raises(TypeError, match="txt"):
            lrp.read(imdb, model, txt="review")

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "dict"])
    def test_tables_in_memory(self, model, expected, library):
        columns = {"review": REVIEWS, "sentiment": SENTIMENTS, "n": list(range(15))}
        table = columns
        if library == "pyarrow":
            table = pytest.importorskip(library).table(columns)
        elif library != "dict":
            table = pytest.importorskip(library).DataFrame(columns)
        found = list(lrp.sequences(table, model, text="review", label="sentiment", id="n"))
        assert [(each.tokens, each.gold, each.id) for each in found] == [
            (*each, number) for number, each in enumerate(expected)
        ]
        explained = lrp.explain(model, lrp.sequences(table, model, text="review"))
        assert [each.tokens for each in explained] == [tokens for tokens, _ in expected]
        if library != "dict":
            with pytest.raises(lrp.UnusableInput, match="text='review', label='sentiment'"):
                lrp.sequences(table, model)
        with pytest.raises(lrp.UnusableInput, match="no column `x`; expected one of review, sent"):
            lrp.sequences(table, model, text="x")

    @pytest.mark.parametrize("missing", [None, np.nan, "NA"])
    def test_a_missing_text_is_named(self, model, missing):
        pandas = pytest.importorskip("pandas")
        missing = pandas.NA if missing == "NA" else missing
        table = pandas.DataFrame({"text": pandas.Series(["a", missing], dtype=object)})
        found = lrp.sequences(table, model)
        with pytest.raises(lrp.UnusableInput, match="sequence 1, column text: is missing"):
            list(found)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"a": ["x", "y"], "b": [1]}, "its columns are not of one length: a 2, b 1"),
            ({"a": "xy", "b": [1, 0]}, "input: column a: is of type str; expected a list"),
        ],
    )
    def test_a_dict_that_is_no_table(self, model, columns, message):
        with pytest.raises(lrp.UnusableInput, match=message):
            list(lrp.sequences(columns, model, text="a", label="b"))

    def test_columns_of_what_is_no_table(self, model):
        with pytest.raises(ValueError, match="`label`: names a column of a table of texts"):
            lrp.sequences(["a fine film"], model, label="y")

    def test_several_inputs(self, tmp_path):
        several = SeveralInputs(tmp_path)
        model = lrp.load(several.save())
        objects = renamed(several.objects, review="words")
        table = {name: [each[name] for each in objects] for name in objects[0]}
        found = list(lrp.sequences(table, model, text={"review": "words"}, label="label", id="id"))
        assert [each.gold for each in found] == list(LABELS)
        wanted = list(lrp.read(several.lines(), model))
        for one, other in zip(found, wanted, strict=True):
            assert one.id == other.id
            for part, same in zip(one.parts, other.parts, strict=True):
                np.testing.assert_array_equal(part.inputs, same.inputs)
