"""How blocks become text: how finely relevance is asked for, and how large blocks are."""

import io
import itertools
import json

import h5py
import numpy as np
import pytest
from made_models import make_model
from together import lrp_all

from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.explaining import windows as corpus
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import Detail
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.inputs.read import Source, read_blocks
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.outputs import OUTPUTS
from lstm_lrp_cli.outputs.predictions import PredictionLayout as PredictionLayout
from lstm_lrp_cli.running import blocks as rendering_
from lstm_lrp_cli.running.blocks import BLOCK_STEPS, BLOCK_VALUES, LEAST_BLOCK_STEPS, Rendering
from lstm_lrp_cli.running.figures import Figures
from lstm_lrp_cli.running.predictions import PredictionRendering

FEATURES = 4
PICTURES = [each.name for each in OUTPUTS.values() if each.picture]


def _lstm() -> Lstm:
    rng = np.random.default_rng(2)
    shapes = (4, 3, FEATURES), (4, 3, 3), (4, 3)
    return Lstm((LstmCell(*(rng.normal(size=shape) for shape in shapes)),))


LAYERS = (_lstm(), Dense(np.eye(3), None))
TOKENS = make_model(Embedding(np.ones((9, FEATURES))), *LAYERS, classes=3)
SERIES = make_model(*LAYERS, classes=3)


def rendering(model, form="tsv", detail: Detail = "token", question=None) -> Rendering:
    return Rendering(Explainer(model, [lrp_all()], target=question or Question(), by=detail), form)


class TestReach:
    @pytest.mark.parametrize("form", OUTPUTS)
    def test_tokens_are_told_as_a_whole(self, form):
        assert rendering(TOKENS, form, "token").explainer.reach == "steps"

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
        assert rendering(model, form, detail).explainer.reach == expected

    @pytest.mark.parametrize("form", PICTURES)
    @pytest.mark.parametrize(("detail", "expected"), [("feature", "features"), ("step", "steps")])
    def test_the_picture_of_a_series_shows_its_features_or_whole_steps(
        self, form, detail, expected
    ):
        assert rendering(SERIES, form, detail).explainer.reach == expected

    @pytest.mark.parametrize("detail", ["dimension", "token"])
    def test_is_what_the_engine_is_asked_for(self, monkeypatch, detail):
        asked: list[Reach] = []
        explained = Lrp.explain

        def watched(self, trace, chosen, reach):
            asked.append(reach)
            return explained(self, trace, chosen, reach)

        monkeypatch.setattr(Lrp, "explain", watched)
        one = rendering(TOKENS, "tsv", detail)
        list(one.as_parts(sequences(2)))
        assert set(asked) == {one.explainer.reach}


class TestBlockSteps:
    @pytest.mark.parametrize(
        ("model", "detail"), [(TOKENS, "token"), (SERIES, "step"), (SERIES, "feature")]
    )
    @pytest.mark.parametrize("form", OUTPUTS)
    def test_are_as_many_as_fill_batches(self, form, model, detail):
        assert rendering(model, form, detail).block_steps == BLOCK_STEPS == 2**15

    @pytest.mark.parametrize(("detail", "told"), [("dimension", 64), ("token", 1)])
    def test_shrink_with_the_values_that_are_told_of_a_token(self, detail, told):
        wide = make_model(Embedding(np.ones((9, 64))), Dense(np.ones((2, 64)), None), classes=2)
        expected = {64: BLOCK_VALUES // 64, 1: BLOCK_STEPS}[told]
        assert rendering(wide, detail=detail).block_steps == expected

    @pytest.mark.parametrize("detail", ["feature", "step"])
    def test_shrink_with_the_numbers_that_are_read_of_a_step(self, detail):
        wide = make_model(Dense(np.ones((2, 64)), None), classes=2)
        assert rendering(wide, detail=detail).block_steps == BLOCK_VALUES // 64

    def test_shrink_with_the_targets(self):
        many = make_model(Embedding(np.ones((9, 2))), Dense(np.ones((50, 2)), None), classes=50)
        every = Question("all")
        assert rendering(many, question=every).block_steps == BLOCK_VALUES // 50
        both = rendering(many, detail="dimension", question=every)
        assert both.block_steps == BLOCK_VALUES // (50 * 2)

    @pytest.mark.parametrize("target", [1, "predicted", "gold"])
    def test_one_target_is_as_any_other(self, target):
        assert rendering(TOKENS, question=Question(target)).block_steps == BLOCK_STEPS

    def test_are_the_least_where_every_step_of_a_sequence_is_explained(self):
        layers = (Embedding(np.ones((9, 2))), Dense(np.ones((3, 2)), None))
        by_step = make_model(*layers, classes=3, by_step=True)
        assert rendering(by_step, question=Question(step="all")).block_steps == LEAST_BLOCK_STEPS
        assert rendering(by_step, question=Question(step=-1)).block_steps == BLOCK_STEPS

    def test_are_never_too_few_to_hold_several_sequences(self):
        wide = make_model(Embedding(np.ones((9, 5000))), Dense(np.ones((2, 5000)), None), classes=2)
        assert rendering(wide, detail="dimension").block_steps == LEAST_BLOCK_STEPS == 2**8


class TestSequencesAreRunTogether:
    """Every step of a batch costs the same calls, however many sequences run in it."""

    SHAPE = (300, 25, 60)

    @pytest.fixture(params=["npy", "npz", "one array each.npz", "h5", "csv", "jsonl"])
    def series(self, request, tmp_path):
        """The file, of many short sequences."""
        values = np.random.default_rng(0).normal(size=self.SHAPE).round(4)
        path = tmp_path / f"x.{request.param}"
        match request.param:
            case "npy":
                np.save(path, values)
            case "npz":
                np.savez(path, x=values)
            case "one array each.npz":
                np.savez(path, **{str(number): own for number, own in enumerate(values)})
            case "h5":
                with h5py.File(path, "w") as file:
                    file["x"] = values
            case "jsonl":
                path.write_text("".join(f'{{"values": {own.tolist()}}}\n' for own in values))
            case "csv":
                header = ",".join(["sequence", "step", *(f"f{k}" for k in range(self.SHAPE[2]))])
                rows = [
                    ",".join(map(str, (number, step, *row)))
                    for number, own in enumerate(values.tolist())
                    for step, row in enumerate(own)
                ]
                path.write_text("\n".join([header, *rows]) + "\n")
        return path

    @pytest.fixture
    def passes(self, monkeypatch):
        """Of every forward pass, how many sequences run in it."""
        counted: list[int] = []
        run_batch = corpus.run_batch

        def watched(runner, batch, carried):
            counted.append(len(batch.sequences))
            return run_batch(runner, batch, carried)

        monkeypatch.setattr(corpus, "run_batch", watched)
        return counted

    def run(self, one, path):
        blocks = read_blocks(Source(str(path)), one.layout.model, one.block_steps)
        for block in blocks:
            list(one.as_parts(block))

    @pytest.mark.parametrize("detail", ["feature", "step"])
    def test_series_of_many_features(self, series, passes, detail):
        self.run(rendering(wide_series(), detail=detail), series)
        assert sum(passes) == self.SHAPE[0]
        assert len(passes) <= 4

    def test_series_that_are_explained_by_a_method_that_runs_often(self, series, passes):
        often = Rendering(Explainer(wide_series(), "occlusion", by="step"), "tsv")
        self.run(often, series)
        assert self.SHAPE[0] / len(passes) >= 8

    def test_series_that_are_predicted(self, series, passes):
        self.run(PredictionRendering(PredictionLayout(wide_series(), False), "tsv"), series)
        assert sum(passes) == self.SHAPE[0]
        assert len(passes) <= 4

    def test_text_of_which_every_dimension_is_told(self, tmp_path, passes):
        path = tmp_path / "ids.txt"
        path.write_text("1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8\n" * 300)
        embedding = Embedding(np.random.default_rng(1).normal(size=(9, 60)))
        one = rendering(make_model(embedding, *wide_series().layers, classes=3), detail="dimension")
        for block in read_blocks(Source(str(path), ids=True), one.explainer.model, one.block_steps):
            list(one.as_parts(block))
        assert sum(passes) == 300
        assert len(passes) <= 2


def wide_series():
    """A model that takes 60 features."""
    rng = np.random.default_rng(3)
    shapes = (4, 3, 60), (4, 3, 3), (4, 3)
    cell = LstmCell(*(rng.normal(size=shape) / 8 for shape in shapes))
    return make_model(Lstm((cell,)), Dense(np.eye(3), None), classes=3)


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
        assert "".join(text for parts, *_ in found for text in parts) == file.getvalue()

    def test_has_the_figures_of_each_window_beside_its_text(self):
        for parts, figures, _ in rendering(TOKENS, "jsonl").as_parts(sequences(40)):
            assert "".join(parts).count("\n") == figures.sequences > 0

    def test_of_a_block_does_not_depend_on_those_before(self):
        one = rendering(TOKENS)
        alone = [parts for parts, *_ in one.as_parts(sequences(5))]
        list(one.as_parts(sequences(30)))
        assert [parts for parts, *_ in one.as_parts(sequences(5))] == alone

    @pytest.mark.parametrize("question", [Question(), Question("all")])
    def test_comes_in_pieces_of_whole_sequences(self, monkeypatch, question):
        """So that the text of a large window need not fit in memory."""
        monkeypatch.setattr(rendering_, "PIECE_VALUES", 40)
        one = rendering(TOKENS, "jsonl", "dimension", question)
        seen = [
            [json.loads(line)["sequence"] for part in parts for line in part.splitlines()]
            for parts, *_ in one.as_parts(sequences(40))
        ]
        assert len(seen) >= 8
        assert sorted({number for piece in seen for number in piece}) == list(range(40))
        assert not any(set(a) & set(b) for a, b in itertools.pairwise(seen))
        for piece in seen:  # which ends with the sequence that fills it
            assert sum(number % 7 for number in piece if number != piece[-1]) * FEATURES < 40

    def test_has_all_figures_together(self):
        together = Figures.none(TOKENS, [lrp_all()])
        for _, figures, _ in rendering(TOKENS).as_parts(sequences(40)):
            together.merge(figures)
        assert (together.sequences, together.empty) == (40, 6)
        assert together.together.steps == sum(number % 7 for number in range(40))
