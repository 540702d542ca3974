"""Results as Parquet, in the two forms that `lrp explain` writes, and as others write them on."""

import itertools
import sys

import numpy as np
import pytest
from models import PYTORCH, WEATHER, json_lines

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.results.read import read_results

LABELLED = PYTORCH.sequences.with_name("labelled.txt")
EXPLANATIONS = {
    "targets": (PYTORCH.model, LABELLED, "--labelled", "--target", "all"),
    "dimensions": (PYTORCH.model, LABELLED, "--by", "dimension"),
    "methods": (PYTORCH.model, LABELLED, "--method", "lrp-all,gradient,integrated-gradients"),
    "series": (WEATHER.model, WEATHER.sequences),
    "steps": (WEATHER.model, WEATHER.sequences, "--by", "step"),
}
CLASSES = ("predicted", "target", "label")


@pytest.fixture
def explained(run, tmp_path):
    """Explain to JSON lines; give their path."""

    def explain(name):
        path = tmp_path / "results.jsonl"
        assert run("explain", *EXPLANATIONS[name], "-q", "-o", path).exit_code == 0
        return path

    return explain


@pytest.fixture
def written(arrow, tmp_path):
    """Write rows as a Parquet file of small row groups; give its path."""

    def write(rows, **types):
        table = arrow.Table.from_pylist(rows)
        for name, kind in types.items():
            place = table.column_names.index(name)
            table = table.set_column(place, name, table.column(name).cast(kind))
        path = tmp_path / "results.parquet"
        arrow.parquet.write_table(table, path, row_group_size=7)
        return path

    return write


def nested(line):
    """A line of JSON as a row: classes are text."""
    classes = {key: None if line.get(key) is None else str(line[key]) for key in CLASSES}
    named = {} if line["id"] is None else {"id": str(line["id"])}
    return {**line, **classes, **named}


def flat(line):
    """A line of JSON as rows of a table."""
    keys = {key: line[key] for key in ("sequence", "step", "method") if key in line}
    for position, amount in enumerate(line["relevance"]):
        values = amount if isinstance(amount, list) else [amount]
        token = {"token": line["tokens"][position]} if "tokens" in line else {}
        for place, value in enumerate(values):
            part = {}
            if isinstance(amount, list):
                part = {"dimension": place} if token else {"feature": line["features"][place]}
            row = {**keys, "position": position, **token, **part, "relevance": value}
            yield {**row, "target": str(line["target"]), "score": 0.5}


def read(path):
    return [result for block in read_results(str(path)) for result in block]


def refused(path):
    with pytest.raises(UnusableInput) as raised:
        read(path)
    return str(raised.value)


def same(found, expected, keys):
    for one, other in zip(found, expected, strict=True):
        assert one.relevance.shape == other.relevance.shape
        np.testing.assert_array_equal(one.relevance, other.relevance)
        for key in keys:
            assert getattr(one, key) == getattr(other, key)


OF_FLAT = ("sequence", "target", "tokens", "step", "method")
ALL = (*OF_FLAT, "features", "scores", "predicted", "label", "ledger", "unknown")


@pytest.mark.parametrize("name", EXPLANATIONS)
class TestSaysTheSameAsJsonLines:
    def test_nested(self, explained, written, name):
        path = explained(name)
        rows = map(nested, json_lines(path.read_text("utf-8")))
        same(read(written(list(rows))), read(path), ALL)

    def test_row_by_row(self, explained, written, name):
        """Whatever rows are read at a time, an explanation is whole."""
        path = explained(name)
        lines = json_lines(path.read_text("utf-8"))[:30]
        rows = itertools.chain.from_iterable(map(flat, lines))
        expected = read(path)[:30]
        found = read(written(list(rows)))
        same(found, expected, OF_FLAT)
        if name == "series":
            assert [each.features for each in found] == [each.features for each in expected]


@pytest.mark.parametrize("name", EXPLANATIONS)
class TestWhatExplainWrites:
    def explained(self, run, arguments, form, tmp_path):
        path = tmp_path / f"results.{form}"
        done = run("explain", *arguments, "-q", "--format", form, "-o", path)
        assert done.exit_code == 0, done.stderr
        return read(path)

    @pytest.mark.usefixtures("arrow")
    @pytest.mark.parametrize(("form", "keys"), [("parquet", OF_FLAT), ("parquet-nested", ALL)])
    def test_is_read_back(self, run, tmp_path, name, form, keys):
        arguments = EXPLANATIONS[name]
        found = self.explained(run, arguments, form, tmp_path)
        same(found, self.explained(run, arguments, "jsonl", tmp_path), keys)


LINE = {"sequence": 0, "id": None, "tokens": ["not", "bad"], "target": 1, "relevance": [0.5, 1]}
SERIES = {key: value for key, value in LINE.items() if key != "tokens"} | {
    "features": ["x", "y"],
    "relevance": [[0.5, 1]],
}


class TestOtherTypes:
    def test_are_read_as_those_that_are_meant(self, arrow, written):
        """As polars writes: lists and texts of 64-bit offsets, and numbers as they come."""
        path = written(
            [nested(LINE)],
            sequence=arrow.int8(),
            relevance=arrow.large_list(arrow.float32()),
            tokens=arrow.large_list(arrow.large_string()),
            target=arrow.large_string(),
        )
        (result,) = read(path)
        assert result.sequence == 0
        assert result.tokens == ["not", "bad"]
        assert result.target == 1
        assert result.relevance.tolist() == [0.5, 1]

    def test_a_label_that_only_looks_like_a_number_is_a_label(self, written):
        rows = [nested(LINE | {"target": target}) for target in ("01", "7", "good")]
        assert [each.target for each in read(written(rows))] == ["01", 7, "good"]


class TestSummaries:
    @pytest.mark.parametrize("name", ["targets", "series"])
    def test_of_both_are_the_same(self, run, explained, written, name):
        path = explained(name)
        rows = map(nested, json_lines(path.read_text("utf-8")))
        shown = [
            run("summarize", each, "--top", 5).stdout.split("worst residuals")[0]
            for each in (path, written(list(rows)))
        ]
        assert shown[0] == shown[1]

    def test_of_a_pipe(self, run, written):
        data = written([nested(LINE)]).read_bytes()
        done = run("summarize", "-", input=data)
        assert done.exit_code == 0
        assert "1 explanation" in done.stdout


class TestErrors:
    def test_without_pyarrow_the_package_is_named(self, run, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.delitem(sys.modules, "lstm_lrp_cli.results.parquet", raising=False)
        path = tmp_path / "results.parquet"
        path.write_bytes(b"PAR1")
        assert "pip install 'lstm-lrp-cli[parquet]'" in refused(path)

    @pytest.mark.parametrize("key", ["sequence", "target", "relevance"])
    def test_a_column_that_is_missing(self, written, key):
        row = {name: value for name, value in nested(LINE).items() if name != key}
        assert f"has no column `{key}`" in refused(written([row]))

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"relevance": [0.5]}, "sequence 0: has 2 `tokens` and 1 values of `relevance`"),
            ({"relevance": [0.5, float("inf")]}, "sequence 0: has infinity in `relevance`"),
            ({"relevance": [[0.5, None], [1.0, 2.0]]}, "only a part is missing"),
            ({"relevance": [[0.5], [1.0, 2.0]]}, "lists of different lengths"),
            ({"relevance": "0.5"}, "expected what `lrp explain` writes as Parquet"),
            ({"sequence": "first"}, "expected what `lrp explain` writes as Parquet"),
            ({"tokens": 7}, "expected what `lrp explain` writes as Parquet"),
        ],
    )
    def test_a_row_that_cannot_be_used(self, written, changes, problem):
        assert problem in refused(written([nested(LINE | changes)]))

    def test_nulls_where_there_must_be_values(self, written):
        for key in ("sequence", "relevance"):
            rows = [nested(LINE), nested(LINE | {key: None})]
            assert "a sequence has no number" in refused(written(rows))
        for key in ("tokens", "scores"):
            line = LINE | {"scores": [0.5, 1.0]}
            rows = [nested(line | {key: [None, line[key][1]]})]
            assert "a list has a null" in refused(written(rows))

    @pytest.mark.parametrize("missing", [[0], [0, 1]])
    @pytest.mark.parametrize(("name", "line"), [("token", LINE), ("feature", SERIES)])
    def test_a_row_without_its_token_or_feature(self, written, name, line, missing):
        rows = list(flat(line))
        for place in missing:
            rows[place][name] = None
        assert f"a row of a sequence has no {name}" in refused(written(rows))

    @pytest.mark.filterwarnings("error")
    def test_a_position_that_is_no_whole_number(self, written):
        for odd in (float("inf"), 0.5, float("nan")):
            rows = list(flat(LINE))
            rows[0]["position"] = odd
            assert "expected what `lrp explain` writes" in refused(written(rows))

    def test_names_of_columns(self, arrow, written):
        path = written(list(flat(LINE)))
        table = arrow.parquet.read_table(path)
        for name in ("token", "sequence"):
            twice = table.append_column(name, table["token"])
            arrow.parquet.write_table(twice.append_column(name, table["token"]), path)
            assert f"has more than one column `{name}`" in refused(path)
        data = written(list(flat(LINE))).read_bytes()
        changes = {
            (b"target", b"targe\xff", 9): "has a column whose name is no UTF-8",
            (b"score", b"scor\xff", 1): "has a column whose name is no UTF-8",
            (b"target", b"tarset", 1): "names columns in its groups that are not in its schema",
        }
        # A list of one text of eight bytes becomes one of nine bytes.
        changes[b"\x19\x18\x08sequence", b"\x19\x93\x08sequence", 1] = "is damaged, or no Parquet"
        for (name, other, count), problem in changes.items():
            path.write_bytes(data.replace(name, other, count))
            assert problem in refused(path)

    def test_rows_that_are_missing_or_sorted_otherwise(self, written):
        first, second = flat(LINE)
        for rows in ([second], [second, first], [first, first, second]):
            assert "are missing, or not in their order" in refused(written(rows))

    def test_damage(self, arrow, written):
        path = written([nested(LINE)])
        data = path.read_bytes()
        for damaged in (data[:-20], data[: len(data) // 2], b"PAR1" + bytes(100)):
            path.write_bytes(damaged)
            assert "is damaged, or no Parquet file" in refused(path)
