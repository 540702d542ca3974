"""Results read back: what `lrp explain` wrote, and what it did not."""

import gzip
import json

import numpy as np
import pytest
from models import KERAS, PYTORCH, WEATHER, json_lines

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.results import read as format_
from lstm_lrp_cli.results import relevance_of_steps
from lstm_lrp_cli.results.read import read_results

LEDGER = {"score": 0.5, "tokens": 0.75, "biases": -0.25, "residual": 0.0}


def line(**changes):
    """A line as `lrp explain` writes it, with some keys changed; those that are None are left."""
    whole = {
        "sequence": 0,
        "id": None,
        "tokens": ["not", "bad"],
        "scores": [0.1, 0.5],
        "predicted": 1,
        "target": 1,
        "relevance": [0.5, 0.25],
        "ledger": LEDGER,
    }
    return {key: value for key, value in (whole | changes).items() if value != "absent"}


@pytest.fixture
def written(tmp_path):
    """Write lines, objects or text, to a file; give its path."""

    def write(*lines, name="results.jsonl"):
        path = tmp_path / name
        texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
        data = "".join(f"{text}\n" for text in texts).encode("utf-8", "surrogateescape")
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def read(path):
    return [result for block in read_results(str(path)) for result in block]


def refused(path):
    with pytest.raises(UnusableInput) as raised:
        read(path)
    return str(raised.value).removeprefix(f"{path}: ")


class TestWhatExplainWrites:
    @pytest.mark.parametrize(
        ("sample", "options"),
        [
            (PYTORCH, ["--target", "all"]),
            (PYTORCH, ["--by", "dimension", "--dtype", "float32"]),
            (KERAS, ["--method", "lrp-all,gradient"]),
            (WEATHER, []),
            (WEATHER, ["--by", "step"]),
        ],
        ids=["targets", "dimensions", "methods", "series", "steps"],
    )
    def test_is_read_back(self, run, sample, options, tmp_path):
        path = tmp_path / "results.jsonl"
        done = run("explain", sample.model, sample.sequences, *options, "-q", "-o", path)
        assert done.exit_code == 0
        lines, found = json_lines(path.read_text("utf-8")), read(path)
        assert len(found) == len(lines)
        for result, whole in zip(found, lines, strict=True):
            np.testing.assert_array_equal(result.relevance, whole["relevance"])
            for key in ("sequence", "id", "scores", "predicted", "target", "ledger"):
                assert getattr(result, key) == whole[key]
            for key in ("tokens", "features", "method"):
                assert getattr(result, key) == whole.get(key)

    def test_dimensions_add_up_to_their_token(self, written):
        (result,) = read(written(line(relevance=[[0.5, 0.25], [-1, 0.5]])))
        assert relevance_of_steps(result).tolist() == [0.75, -0.5]

    @pytest.mark.parametrize("named", [[0, 1], ["bad", "good"]], ids=["numbers", "labels"])
    def test_of_one_score_the_predicted_class_is_read(self, written, named):
        def of_one(score, target):
            explained = score if target else -score
            return line(
                scores=[score],
                predicted=named[score > 0],
                target=named[target],
                ledger={"score": explained, "tokens": explained, "residual": 0.0},
            )

        found = read(written(*(of_one(score, t) for score in (0.5, -0.5) for t in (0, 1))))
        assert [each.predicted for each in found] == [named[1], named[1], named[0], named[0]]

    @pytest.mark.parametrize(
        ("name", "score"), [(0, 0.5), (0, -0.5), ("good", -0.5)], ids=["above", "below", "label"]
    )
    def test_what_predicts_one_class_whatever_the_only_score_is_refused(self, written, name, score):
        """As lrp once did, for classifiers and regressors alike."""
        ledger = {"score": score, "tokens": score, "residual": 0.0}
        path = written(line(), line(scores=[score], predicted=name, target=name, ledger=ledger))
        with pytest.raises(UnusableInput, match=r"line 2: predicts its one class whatever"):
            read(path)


class TestFiles:
    def test_compressed_ones_are_unfolded(self, written):
        assert len(read(written(line(), line(), name="results.jsonl.gz"))) == 2

    def test_are_read_block_by_block(self, written, monkeypatch):
        monkeypatch.setattr(format_, "BLOCK_BYTES", 500)
        path = written(*(line(sequence=number) for number in range(50)))
        blocks = list(read_results(str(path)))
        assert len(blocks) > 10
        assert [result.sequence for block in blocks for result in block] == list(range(50))

    def test_blank_lines_and_foreign_keys_are_let_be(self, written):
        assert len(read(written(line(), "", line(comment={"by": "me"}), "  "))) == 2

    def test_empty_ones_are_none_of_results(self, written):
        assert refused(written()).startswith("is empty; expected")
        assert refused(written("", "")).startswith("is empty; expected")


class TestErrorsNameTheirLine:
    @pytest.mark.parametrize(
        ("wrong", "problem"),
        [
            ("sequence\tposition\ttoken", "is not JSON"),
            ("[0.5, 0.25]", "Expected `object`, got `array`"),
            ('{"sequence": 0, "target', "is not JSON"),
            (json.dumps(line()) * 2, "is not one JSON object"),
            ('{"sequence": 0, "tokens": ["\udcff"]}', "is not JSON"),
            ('{"sequence": 0, "relevance": [NaN]}', "is not JSON"),
            (
                line(tokens="absent", features=["x", "y"], relevance=[[1, None], [3, 4]]),
                "has a step of whose `relevance` only a part is missing",
            ),
            (line(ledger=LEDGER | {"residual": None}), "stands for NaN or infinity"),
            (line(relevance="absent"), "missing required field `relevance`"),
            (line(target="absent"), "missing required field `target`"),
            (line(tokens="absent"), "has neither `tokens` nor `features`"),
            (line(relevance=[1.5]), "has 2 `tokens` and 1 values of `relevance`"),
            (line(relevance=[[1], [2, 3]]), "lists of different lengths"),
            (line(relevance=[1, [2]]), "lists of different lengths"),
            (line(ledger={"score": 1}), "has a `ledger` without `score` and `residual`"),
            (line(unknown=[2]), "has positions in `unknown` where there are no tokens"),
            (line(unknown=[-1]), "has positions in `unknown` where there are no tokens"),
            (
                line(tokens="absent", features=["x"], relevance=[[1, 2], [3, 4]]),
                "has 1 `features` and 2 values of `relevance` a step",
            ),
            (line(relevance={"a": [1, 2]}), "by the same inputs as tokens or features"),
            (line(tokens={"a": ["x", "y"]}), "by the same inputs as tokens or features"),
            (line(unknown={"a": [0]}), "by the same inputs as tokens or features"),
            (line(tokens={"a": ["x"]}, relevance={}), "has no `relevance` of any input"),
            (
                line(tokens={"a": ["x"]}, relevance={"a": [1], "b": [2]}),
                "has neither `tokens` nor `features`, of the input `b`",
            ),
            (
                line(tokens={"a": ["x", "y"]}, relevance={"a": [1]}),
                "has 2 `tokens` and 1 values of `relevance`, of the input `a`",
            ),
        ],
    )
    def test_and_what_is_expected(self, written, wrong, problem):
        error = refused(written(line(), "", line(), wrong, line()))
        assert error.startswith("line 4: ")
        assert problem in error
        assert "expected a line of `lrp explain --format jsonl`" in error

    def test_an_object_over_several_lines_is_refused_wherever_blocks_end(self, written):
        """As `jq` writes it without -c; read by chance it would be in short files alone."""
        assert refused(written(*json.dumps(line(), indent=2).splitlines())).startswith("line 1: ")

    def test_in_a_later_block_too(self, written, monkeypatch):
        monkeypatch.setattr(format_, "BLOCK_BYTES", 500)
        lines = [line(sequence=number) for number in range(20)]
        assert refused(written(*lines, "{}")).startswith(f"line {len(lines) + 1}: ")
