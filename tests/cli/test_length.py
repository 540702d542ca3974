"""Sequences of another length than the model was trained on: filled up, cut, or told of."""

import json

import numpy as np
import pytest
from models import json_lines

WORDS = "the film is not bad bad film is the not"
LENGTH = 4


@pytest.fixture
def cut(small):
    small.mapping["padding"] = {"side": "pre", "length": LENGTH, "truncate": "pre"}
    return small


def told(run, small, text, *options):
    result = run("explain", small.save(), small.write("in.txt", text), *options)
    assert result.exit_code == 0, result.output
    return result


class TestCut:
    """`truncate` cuts as training did."""

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("truncate", ["pre", "post"])
    def test_the_rest_has_the_relevance_of_a_text_that_was_cut_by_hand(
        self, run, cut, truncate, masked
    ):
        cut.mapping["padding"] |= {"truncate": truncate, "masked": masked, "value": 2}
        words = WORDS.split()
        kept = slice(-LENGTH, None) if truncate == "pre" else slice(LENGTH)
        both = f"{WORDS}\n{' '.join(words[kept])}\n"
        whole, by_hand = json_lines(told(run, cut, both, "--format", "jsonl", "-q").stdout)
        assert whole["tokens"] == words
        assert whole["scores"] == by_hand["scores"]
        assert whole["relevance"][kept] == by_hand["relevance"]
        others = slice(-LENGTH) if truncate == "pre" else slice(LENGTH, None)
        assert set(whole["relevance"][others]) == {None}

    def test_series(self, run, small):
        small.take_numbers()
        small.mapping["padding"] = {"side": "post", "length": 5, "truncate": "post"}
        x = np.random.default_rng(0).standard_normal((2, 9, 3))
        np.save(small.folder / "x.npy", x)
        np.save(small.folder / "cut.npy", x[:, :5])
        small.save()
        results = [
            json_lines(run("explain", small.path, path, "--format", "jsonl", "-q").stdout)
            for path in (small.folder / "x.npy", small.folder / "cut.npy")
        ]
        for whole, by_hand in zip(*results, strict=True):
            assert whole["scores"] == by_hand["scores"]
            assert whole["relevance"][:5] == by_hand["relevance"]

    @pytest.mark.parametrize("truncate", ["pre", "post"])
    def test_scores_at_every_step_are_compared_with_those_of_what_is_left(self, run, cut, truncate):
        """As frameworks have them, which are given nothing else; so `lrp predict` tells of them."""
        cut.mapping["padding"] |= {"truncate": truncate, "side": None}
        cut.lstm["returns"] = "sequence"
        path, text = cut.save(), cut.write("in.txt", f"{WORDS}\nbad film\n")
        rows = json_lines(run("predict", path, text, "--format", "jsonl", "-q").stdout)
        scores = [[row["scores"] for row in rows if row["sequence"] == k] for k in (0, 1)]
        assert [len(each) for each in scores] == [LENGTH, 2]
        expected = cut.write("y.jsonl", "".join(f'{{"scores": {each}}}\n' for each in scores))
        arguments = ("check", path, text, "--expected", expected, "--format", "json")
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["steps"] == LENGTH + 2
        scores[0][-1][0] += 0.1
        cut.write("y.jsonl", "".join(f'{{"scores": {each}}}\n' for each in scores))
        assert run(*arguments).exit_code == 1

    def test_and_nothing_filled_up_where_there_is_no_side(self, run, cut):
        cut.mapping["padding"]["side"] = None
        lines = json_lines(told(run, cut, f"{WORDS}\nbad film\n", "--format", "jsonl").stdout)
        del cut.mapping["padding"]
        plain = told(run, cut, f"{' '.join(WORDS.split()[-4:])}\nbad film\n", "--format", "jsonl")
        assert [line["scores"] for line in lines] == [
            line["scores"] for line in json_lines(plain.stdout)
        ]

    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_the_report_counts_it(self, run, cut, command):
        text = cut.write("in.txt", f"{WORDS}\nbad film\n")
        result = run(command, cut.save(), text, "-o", cut.folder / "out.jsonl")
        assert "cut             1 sequence, at the beginning, to 4 steps" in result.stderr
        assert "warning" not in result.stderr
        run(command, cut.path, text, "-q", "-o", "/dev/null", "--format", "jsonl",
            "--report", cut.folder / "r.json")  # fmt: skip
        report = json.loads((cut.folder / "r.json").read_text())
        assert (report["cut_sequences"], report["padded_sequences"]) == (1, 1)

    def test_unknown_tokens_that_are_cut_off_are_not_counted(self, run, cut):
        cut.mapping["tokens"] = {"unknown": "the"}
        result = told(run, cut, "dull dull film is dull bad\ndull\n", "--format", "jsonl")
        assert "2 sequences, 5 tokens (2 unknown)" in result.stderr
        assert json_lines(result.stdout)[0]["unknown"] == [0, 1, 4]

    def test_is_written_by_convert_and_inspect(self, run, cut):
        assert run("convert", cut.save(), cut.folder / "plain.npz").exit_code == 0
        assert run("inspect", cut.path, "--write-mapping", cut.folder / "whole.yaml").exit_code == 0
        for name in ("plain.yaml", "whole.yaml"):
            assert "truncate: pre" in (cut.folder / name).read_text()

    @pytest.mark.parametrize(
        ("padding", "message"),
        [
            ({"truncate": "pre"}, "padding.length is missing"),
            ({"truncate": "pre", "masked": True}, "padding.length is missing"),
            ({"side": None, "length": 4}, "padding.side is null, and nothing is cut either"),
            ({"truncate": "end", "length": 4}, "padding.truncate: found `end`"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, run, small, padding, message):
        small.mapping["padding"] = padding
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert message in result.stderr


class TestTold:
    """What nobody said is told by every command that computes."""

    def commands(self, small, text):
        np.save(small.folder / "scores.npy", np.zeros((2, 3)))
        expected = ("--expected", small.folder / "scores.npy")
        return {
            "explain": (small.path, text),
            "predict": (small.path, text),
            "check": (small.path, text, *expected),
            "evaluate": (small.path, text, "--min-length", 1, "--draws", 0, "--methods", "lrp-all"),
            "compare": (small.path, small.path, "--input", text),
        }

    @pytest.mark.parametrize("command", ["explain", "predict", "check", "evaluate", "compare"])
    @pytest.mark.parametrize("masked", [False, True])
    def test_longer_ones_are_run_whole(self, run, small, command, masked):
        small.mapping["padding"] = {"side": "pre", "length": LENGTH, "masked": masked, "value": 2}
        small.save()
        text = small.write("in.txt", f"{WORDS}\nbad film not bad\n")
        result = run(command, *self.commands(small, text)[command])
        assert "warning: 1 of the sequences exceed the 4 steps" in result.stderr
        assert "padding: {truncate: pre}" in result.stderr

    @pytest.mark.parametrize("command", ["explain", "predict", "check", "evaluate", "compare"])
    def test_shorter_ones_are_filled_up_in_front(self, run, small, command):
        small.mapping["padding"] = {"length": LENGTH}
        small.save()
        text = small.write("in.txt", "the film\nbad film not bad\n")
        result = run(command, *self.commands(small, text)[command])
        assert "1 sequence shorter than 4 steps: filled up in front" in result.stderr
        small.mapping["padding"]["side"] = "pre"
        small.save()
        result = run(command, *self.commands(small, text)[command])
        assert "filled up in front" not in result.stderr

    def test_in_the_json_of_check_and_evaluate(self, run, small):
        small.mapping["padding"] = {"side": "pre", "length": LENGTH}
        small.save()
        text = small.write("in.txt", f"{WORDS}\nbad film not bad\n")
        for command in ("check", "evaluate", "compare"):
            found = run(command, *self.commands(small, text)[command], "--format", "json")
            (warning,) = json.loads(found.stdout)["warnings"]
            assert warning.startswith("1 of the sequences exceed the 4 steps")

    def test_unless_the_mapping_says_that_they_are_run_whole(self, run, small):
        small.mapping["padding"] = {"side": "pre", "length": LENGTH, "truncate": None}
        result = told(run, small, f"{WORDS}\n")
        assert "warning" not in result.stderr
