"""Models that give scores at every step: `--step` says which are explained."""

import json

import numpy as np
import pytest
from models import json_lines, table

TEXT = "not bad\n\nthe film is bad\n"


@pytest.fixture
def labeller(small):
    """The small model, with a score of each class at every step."""
    small.lstm["returns"] = "sequence"
    small.save()
    small.write("in.txt", TEXT)
    return small


@pytest.fixture
def explain(run, labeller):
    def explain(*options):
        return run("explain", labeller.path, labeller.folder / "in.txt", *options)

    return explain


@pytest.fixture
def chain_up_to(run, labeller, small):
    """The scores of the same model with `returns: last`, given the tokens up to a step."""

    def scores(tokens):
        small.lstm["returns"] = "last"
        small.save()
        line = small.write("part.txt", " ".join(tokens) + "\n")
        [found] = json_lines(run("explain", small.path, line, "--format", "jsonl", "-q").stdout)
        return found

    return scores


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("first", [(0, 0), (2, 0)]),
        ("last", [(0, 1), (2, 3)]),
        ("-2", [(0, 0), (2, 2)]),
        ("1", [(0, 1), (2, 1)]),
        ("all", [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (2, 3)]),
    ],
)
def test_the_steps_that_are_explained(explain, step, expected):
    rows = table(explain("--step", step, "-q").stdout)
    found = dict.fromkeys((int(row["sequence"]), int(row["step"])) for row in rows)
    assert list(found) == expected
    positions = [row["position"] for row in rows if row["sequence"] == "2"]
    assert positions == ["0", "1", "2", "3"] * sum(number == 2 for number, _ in expected)


def test_the_score_of_a_step_is_that_of_the_sequence_up_to_it(explain, chain_up_to):
    found = json_lines(explain("--step", "all", "--format", "jsonl", "-q").stdout)[-2]
    assert (found["sequence"], found["step"]) == (2, 2)
    whole = chain_up_to(["the", "film", "is"])
    assert found["scores"] == pytest.approx(whole["scores"], abs=1e-14)
    assert found["relevance"] == pytest.approx([*whole["relevance"], 0.0], abs=1e-14)
    assert found["ledger"] == pytest.approx(whole["ledger"], abs=1e-14)


def test_a_sequence_without_steps_has_no_score_and_is_not_lost(explain):
    result = explain("--step", "last", "--format", "jsonl")
    empty = json_lines(result.stdout)[1]
    assert (empty["sequence"], empty["scores"], empty["predicted"]) == (1, [], None)
    assert "3 sequences" in result.stderr
    assert "1 empty sequence" in result.stderr


def test_every_target_of_every_step(explain):
    rows = table(explain("--step", "all", "--target", "all", "-q").stdout)
    assert len({(row["sequence"], row["step"], row["target"]) for row in rows}) == 6 * 3


def test_the_terminal_names_the_step(explain):
    result = explain("--step", "last", "--format", "terminal", "-q")
    assert "2 step 3" in result.stdout
    assert "1  no score" in result.stdout


def test_without_the_option_the_user_is_asked(explain):
    result = explain()
    assert result.exit_code == 2
    assert "scores at every step; say which" in result.stderr


@pytest.mark.parametrize("step", ["middle", "1.5", ""])
def test_a_step_that_is_none(explain, step):
    result = explain("--step", step)
    assert result.exit_code == 2
    assert "first, last, all or a number" in result.stderr


@pytest.mark.parametrize("step", ["2", "-3"])
def test_a_step_that_a_sequence_has_not(explain, step):
    result = explain("--step", step)
    assert result.exit_code == 3
    assert f"sequence 0: has 2 steps, and none is number {step}" in result.stderr


def test_of_a_model_that_gives_one_score_a_sequence(run, small):
    result = run("explain", small.save(), small.write("in.txt", TEXT), "--step", "last")
    assert result.exit_code == 2
    assert "one score a sequence" in result.stderr


def test_labels_of_whole_sequences_do_not_fit(run, labeller):
    labelled = labeller.write("labelled.txt", "0\tnot bad\n")
    result = run("explain", labeller.path, labelled, "--labelled", "--step", "last")
    assert result.exit_code == 2
    assert "scores at every step, not a class" in result.stderr


def test_with_padding_steps_are_those_of_the_sequence(run, labeller):
    labeller.mapping["padding"] = {"side": "pre", "length": 6}
    labeller.save()
    folder = labeller.folder
    options = ("--step", "all", "--format", "jsonl", "-q")
    found = json_lines(run("explain", labeller.path, folder / "in.txt", *options).stdout)
    assert [each["step"] for each in found] == [0, 1, None, 0, 1, 2, 3]
    assert found[0]["ledger"]["padding"] != 0.0


def test_masked_steps_have_no_score(run, labeller):
    labeller.mapping["padding"] = {"masked": True, "value": 3}  # the token `not`
    labeller.save()
    options = ("--step", "all", "--format", "jsonl", "-q")
    found = json_lines(run("explain", labeller.path, labeller.folder / "in.txt", *options).stdout)
    assert [each["step"] for each in found] == [1, None, 0, 1, 2, 3]


class TestCheck:
    @pytest.fixture
    def scores(self, run, labeller):
        """The scores of every step, as a framework would give them."""
        found = json_lines(
            run(
                *("explain", labeller.path, labeller.folder / "in.txt"),
                *("--step", "all", "--format", "jsonl", "-q"),
            ).stdout
        )
        return [
            [each["scores"] for each in found if each["sequence"] == number and each["scores"]]
            for number in range(3)
        ]

    def check(self, run, labeller, expected):
        return run("check", labeller.path, labeller.folder / "in.txt", "--expected", expected)

    def test_as_json_lines(self, run, labeller, scores):
        lines = "".join(json.dumps({"scores": each}) + "\n" for each in scores)
        assert self.check(run, labeller, labeller.write("s.jsonl", lines)).exit_code == 0

    def test_as_an_array_that_is_filled_up_behind(self, run, labeller, scores):
        array = np.full((3, 5, 3), 99.0)
        for number, each in enumerate(scores):
            array[number, : len(each)] = np.array(each).reshape(-1, 3)
        np.save(labeller.folder / "s.npy", array)
        assert self.check(run, labeller, labeller.folder / "s.npy").exit_code == 0

    def test_a_step_that_differs_fails(self, run, labeller, scores):
        scores[2][1][0] += 0.1
        lines = "".join(json.dumps({"scores": each}) + "\n" for each in scores)
        assert self.check(run, labeller, labeller.write("s.jsonl", lines)).exit_code == 1

    def test_scores_of_too_few_steps_cannot_be_used(self, run, labeller, scores):
        scores[2].pop()
        lines = "".join(json.dumps({"scores": each}) + "\n" for each in scores)
        result = self.check(run, labeller, labeller.write("s.jsonl", lines))
        assert result.exit_code == 3
        assert "shape (3, 3) for sequence 2; expected (4, 3)" in result.stderr


def test_a_step_cannot_be_left_out_where_each_has_a_score(explain):
    result = explain("--method", "omission", "--step", "last")
    assert result.exit_code == 3
    assert result.stderr.startswith("lrp: omission: leaves out a step, and the model gives a score")
