"""How blocks become text: how finely relevance is asked for, and how large blocks are."""

import io

import numpy as np
import pytest
from together import lrp_all, make_model

from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.layers import Dense, Embedding, Lstm, LstmCell
from lstm_lrp_cli.reporting.figures import Figures
from lstm_lrp_cli.reporting.outputs import OUTPUTS, PICTURES
from lstm_lrp_cli.reporting.rendering import BLOCK_BYTES, LEAST_BLOCK_BYTES, Rendering
from lstm_lrp_cli.reporting.writer import Detail
from lstm_lrp_cli.scaling import corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.sequence import Sequence

FEATURES = 4


def _lstm() -> Lstm:
    rng = np.random.default_rng(2)
    shapes = (4, 3, FEATURES), (4, 3, 3), (4, 3)
    return Lstm((LstmCell(*(rng.normal(size=shape) for shape in shapes)),))


LAYERS = (_lstm(), Dense(np.eye(3), None))
TOKENS = make_model(Embedding(np.ones((9, FEATURES))), *LAYERS, classes=3)
SERIES = make_model(*LAYERS, classes=3)


def rendering(model, form="tsv", detail: Detail = "token", question=None) -> Rendering:
    return Rendering(model, (lrp_all(),), question or Question(), form, detail)


class TestReach:
    @pytest.mark.parametrize("form", OUTPUTS)
    def test_tokens_are_told_as_a_whole(self, form):
        assert rendering(TOKENS, form, "token").reach == "steps"

    @pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
    @pytest.mark.parametrize(
        ("model", "detail", "expected"),
        [
            (TOKENS, "dimension", "features"),
            (SERIES, "feature", "features"),
            (SERIES, "step", "steps"),
        ],
    )
    def test_only_what_tells_of_features_needs_them(self, form, model, detail, expected):
        assert rendering(model, form, detail).reach == expected

    @pytest.mark.parametrize("form", sorted(PICTURES))
    @pytest.mark.parametrize(("detail", "expected"), [("feature", "features"), ("step", "steps")])
    def test_the_picture_of_a_series_shows_its_features_or_whole_steps(
        self, form, detail, expected
    ):
        assert rendering(SERIES, form, detail).reach == expected

    @pytest.mark.parametrize("form", sorted(PICTURES))
    def test_the_picture_of_tokens_shows_them_as_a_whole(self, form):
        assert rendering(TOKENS, form, "dimension").reach == "steps"

    @pytest.mark.parametrize("detail", ["dimension", "token"])
    def test_is_what_the_engine_is_asked_for(self, monkeypatch, detail):
        asked: list[Reach] = []
        explained = corpus.explain_corpus

        def watched(model, given, methods, question, reach, carried):
            asked.append(reach)
            return explained(model, given, methods, question, reach, carried)

        monkeypatch.setattr("lstm_lrp_cli.reporting.rendering.explain_corpus", watched)
        one = rendering(TOKENS, "tsv", detail)
        list(one.as_parts(sequences(2)))
        assert asked == [one.reach]


class TestBlockBytes:
    @pytest.mark.parametrize(
        ("model", "detail"), [(TOKENS, "token"), (SERIES, "step")], ids=["tokens", "series"]
    )
    @pytest.mark.parametrize("form", OUTPUTS)
    def test_one_value_a_step_makes_whole_blocks(self, form, model, detail):
        assert rendering(model, form, detail).block_bytes == BLOCK_BYTES == 2**18

    @pytest.mark.parametrize(("model", "detail"), [(TOKENS, "dimension"), (SERIES, "feature")])
    def test_shrink_with_the_features_that_are_told(self, model, detail):
        assert rendering(model, detail=detail).block_bytes == BLOCK_BYTES // FEATURES

    def test_shrink_with_the_targets(self):
        every = Question("all")
        assert rendering(TOKENS, question=every).block_bytes == BLOCK_BYTES // 3
        both = rendering(TOKENS, detail="dimension", question=every)
        assert both.block_bytes == BLOCK_BYTES // (3 * FEATURES)

    @pytest.mark.parametrize("target", [1, "predicted", "gold"])
    def test_one_target_is_as_any_other(self, target):
        assert rendering(TOKENS, question=Question(target)).block_bytes == BLOCK_BYTES

    def test_are_the_least_where_every_step_of_a_sequence_is_explained(self):
        layers = (Embedding(np.ones((9, 2))), Dense(np.ones((3, 2)), None))
        by_step = make_model(*layers, classes=3, by_step=True)
        assert rendering(by_step, question=Question(step="all")).block_bytes == LEAST_BLOCK_BYTES
        assert rendering(by_step, question=Question(step=-1)).block_bytes == BLOCK_BYTES

    def test_are_never_too_small_to_hold_a_few_sequences(self):
        wide = make_model(Embedding(np.ones((9, 5000))), Dense(np.ones((2, 5000)), None), classes=2)
        assert rendering(wide, detail="dimension").block_bytes == LEAST_BLOCK_BYTES == 2**11


def sequences(count):
    rng = np.random.default_rng(4)
    return [
        Sequence(number, rng.integers(9, size=number % 7), ("word",) * (number % 7))
        for number in range(count)
    ]


class TestAsParts:
    @pytest.fixture(autouse=True)
    def small_windows(self, monkeypatch):
        monkeypatch.setattr(corpus, "WINDOW_STEPS", 16)

    @pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
    @pytest.mark.parametrize("detail", ["token", "dimension"])
    def test_is_what_a_writer_of_the_block_writes(self, form, detail):
        one, block = rendering(TOKENS, form, detail), sequences(40)
        file = io.StringIO()
        figures = list(one.write(block, one.writer(file)))
        found = list(one.as_parts(block))
        assert len(found) == len(figures) > 3
        assert "".join(text for parts, _ in found for text in parts) == file.getvalue()

    def test_has_the_figures_of_each_window_beside_its_text(self):
        for parts, figures in rendering(TOKENS, "jsonl").as_parts(sequences(40)):
            assert "".join(parts).count("\n") == figures.sequences > 0

    def test_of_a_block_does_not_depend_on_those_before(self):
        one = rendering(TOKENS)
        alone = [parts for parts, _ in one.as_parts(sequences(5))]
        list(one.as_parts(sequences(30)))
        assert [parts for parts, _ in one.as_parts(sequences(5))] == alone

    def test_has_all_figures_together(self):
        together = Figures.none(TOKENS, [lrp_all()])
        for _, figures in rendering(TOKENS).as_parts(sequences(40)):
            together.merge(figures)
        assert (together.sequences, together.empty) == (40, 6)
        assert together.steps == sum(number % 7 for number in range(40))
