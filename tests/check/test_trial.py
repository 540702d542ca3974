"""The search runs many models side by side; it is held to running each by itself, as the engine
does: the same numbers, and so the same order."""

import itertools

import msgspec
import numpy as np
import pytest

from lstm_lrp_cli.check.expected import Expected
from lstm_lrp_cli.check.judging import Judge, with_setting
from lstm_lrp_cli.check.kinds import deviation_of, kinds_of, probabilities_of
from lstm_lrp_cli.check.search import Search
from lstm_lrp_cli.check.space import Space
from lstm_lrp_cli.check.starts import start_of
from lstm_lrp_cli.check.trial import Built
from lstm_lrp_cli.check.variations import Candidate
from lstm_lrp_cli.engine.forward import Runner
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.windows import Carried, run_batch
from lstm_lrp_cli.inputs.batching import make_batch
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Datasets
from lstm_lrp_cli.loading.load import Contents, build_model
from lstm_lrp_cli.loading.mapping import Described, Mapping, PaddingSpec
from lstm_lrp_cli.loading.opening import open_arrays

LENGTHS = (4, 1, 6, 3)
FEATURES, UNITS = 3, 4


class Written:
    """A random model as arrays and layers, in the form that a search begins with."""

    def __init__(self, folder, seed):
        self.rng = np.random.default_rng(seed)
        self.arrays, self.layers, self.inputs = {}, [], FEATURES
        self.path = folder / "model.npz"

    def array(self, name, *shape):
        self.arrays[name] = self.rng.normal(size=shape)
        return name

    def lstm(self, name, **settings):
        """An LSTM of random directions, biases and projection."""
        both, projected = self.rng.integers(2, size=2)
        outputs = 2 if projected else UNITS

        def cell(side):
            weights = {
                "input": self.array(f"{name}{side}W", 4 * UNITS, self.inputs),
                "recurrent": self.array(f"{name}{side}U", 4 * UNITS, outputs),
                "bias": [self.array(f"{name}{side}b{k}", 4 * UNITS) for k in range(2)],
            }
            if projected:
                weights["projection"] = self.array(f"{name}{side}P", outputs, UNITS)
            if self.rng.integers(2):
                state = self.array(f"{name}{side}h", outputs)
                weights["initial"] = {"hidden": state, "cell": self.array(f"{name}{side}c", UNITS)}
            return weights

        sides = {"forward": cell("f")} | ({"backward": cell("b")} if both else {})
        layout = {"gate_order": list("ifgo"), "layout": "gates_by_features"}
        merge = str(self.rng.choice(["concat", "sum", "mean", "product"]))
        self.layers.append({"lstm": layout | sides | {"merge": merge} | settings})
        self.inputs = outputs * (2 if both and merge == "concat" else 1)

    def dense(self, name, outputs):
        weights = self.array(f"{name}V", outputs, self.inputs)
        bias = self.array(f"{name}c", outputs)
        layer = {"weights": weights, "layout": "classes_by_features", "bias": bias}
        self.layers.append({"dense": layer})
        self.inputs = outputs

    def saved(self):
        np.savez(self.path, **self.arrays)
        return msgspec.convert(self.layers, list[LayerSpec])


def written(folder, seed):
    """A model of one LSTM or two, a pool or none, a dense layer or two."""
    model = Written(folder, seed)
    if model.rng.integers(2):
        model.layers.append(
            {
                "convolution": {
                    "weights": model.array("K", FEATURES, FEATURES, 3),
                    "layout": "outputs_inputs_width",
                    "padding": [1, 1],
                }
            }
        )
    if model.rng.integers(2):
        model.lstm("first", returns="sequence")
    end = str(model.rng.choice(["last", "mean", "max", "every"]))
    model.lstm("top", returns="last" if end == "last" else "sequence")
    if end in ("mean", "max"):
        model.layers.append({"pool": end})
    if model.rng.integers(2):
        model.dense("hidden", 5)
        model.layers.append({"activation": "relu"})
    model.dense("scores", 2)
    return model


def contents_of(file, layers, padding=None):
    mapping = Mapping(format=1, layers=layers, padding=padding)
    return Contents(file.path, file.format, None, Described(mapping, {}), dict(file.datasets))


def alone(model, sequences, expected):
    """How far one model is off, run by the engine as every command runs it."""
    batch = make_batch(sequences, model)
    try:
        trace = run_batch(Runner(model), batch, Carried(model))
    except UnusableInput:
        return np.inf
    ours = trace.scores
    packed = batch.packed[0]
    if trace.steps is not None:
        packed = batch.steps_of(trace.steps)
        ours = ours[packed.own_rows]
    shape = (lambda kept: (len(kept), 2)) if model.by_step else (lambda kept: (2,))
    rows = [
        np.atleast_2d(expected.of(each.number, shape(kept), kept, len(kept)))
        for each, kept in zip(batch.sequences, packed.kept(), strict=True)
    ]
    theirs = np.concatenate(rows)
    likely = probabilities_of(model, ours)
    possible = kinds_of(theirs, model).items()
    return min(deviation_of(kind, ours, likely, numbers) for kind, numbers in possible)


def sequences_of(seed):
    rng = np.random.default_rng(seed)
    return [Sequence(k, rng.normal(size=(n, FEATURES))) for k, n in enumerate(LENGTHS)]


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("padding", [None, PaddingSpec("pre", 6, 0.0, False)], ids=["", "padded"])
def test_all_settings_side_by_side_are_each_by_itself(tmp_path, seed, padding):
    model = written(tmp_path, seed)
    layers = model.saved()
    with open_arrays(model.path) as file:
        contents = contents_of(file, layers, padding)
        loaded = build_model(contents, Datasets(file, np.dtype(np.float64), "mapping"))
        space = Space(contents.described.mapping, [start_of(layers, {})], max(LENGTHS))
        settings = next(space.variations()).settings
    sequences = sequences_of(seed)
    true = settings[seed * 5 % len(settings)]
    expected = Expected("e", _scores(with_setting(loaded.model, true), sequences))
    built = Built.of(loaded.model, layers, loaded.built)
    judge = Judge(sequences, expected, loaded.model)
    found = [worst for worst, _ in judge.judge(built, settings)]
    slow = [alone(with_setting(loaded.model, each), sequences, expected) for each in settings]
    np.testing.assert_allclose(found, slow, rtol=1e-9, atol=1e-12)
    assert found[settings.index(true)] <= 1e-12
    # One by one they are what they are together, whatever is kept of the others.
    for place in (0, 71, len(settings) - 1):
        [(worst, _)] = judge.judge(built, [settings[place]])
        np.testing.assert_allclose(worst, slow[place], rtol=1e-9, atol=1e-12)


def _scores(model, sequences):
    """What the engine gives of each sequence."""
    found = []
    for sequence in sequences:
        batch = make_batch([sequence], model)
        trace = run_batch(Runner(model), batch, Carried(model))
        steps = trace.steps
        rows = None if steps is None else batch.steps_of(steps).own_rows
        found.append(trace.scores[0] if rows is None else trace.scores[rows])
    return found


def test_a_search_finds_what_trying_each_by_itself_finds(tmp_path):
    model = Written(tmp_path, 4)
    model.lstm("top", returns="sequence")
    model.layers.append({"pool": "mean"})
    model.dense("hidden", 5)
    model.layers.append({"activation": "tanh"})
    model.dense("scores", 2)
    layers, sequences = model.saved(), sequences_of(4)
    true = (tuple("igfo"), "sigmoid", 1.0)
    wrong = [
        layer if layer.activation is None else LayerSpec(activation="relu")
        for layer in layers
        if layer.pool is None
    ]
    with open_arrays(model.path) as file:
        datasets = Datasets(file, np.dtype(np.float64), "mapping")
        first = build_model(contents_of(file, layers), datasets).model
        expected = Expected("e", _scores(with_setting(first, true), sequences))
        shapes = {name: stored.shape for name, stored in file.datasets.items()}
        start, contents = start_of(wrong, shapes), contents_of(file, wrong)
        search = Search(contents, datasets, [start])
        match = search.match(first, sequences, expected, 1e-9, lambda done, total: None)

        def off(variation, setting, *, of):
            loaded = search.model(variation.layers, padding=variation.padding)
            if loaded is None or loaded.model.by_step:
                return np.inf
            return alone(with_setting(loaded.model, setting), of, expected)

        space = Space(contents.described.mapping, [start], max(LENGTHS))
        some = [
            (variation, setting)
            for variation in itertools.islice(space.variations(), 0, None, 9)
            for setting in itertools.islice(variation.settings, 0, None, 11)
        ]
        fitting = {
            str(Candidate(*each))
            for each in some
            if off(*each, of=sequences[:1]) <= 1e-8 and off(*each, of=sequences) <= 1e-9
        }
        found = {str(each.choice): each for each in match.found}
        for each in found.values():
            choice = each.choice
            assert off(choice.variation, choice.setting, of=sequences) == pytest.approx(
                each.worst, abs=1e-12
            )
    assert match.is_whole
    assert match.tried >= len(some)
    assert fitting <= found.keys()
    [name] = [name for name in found if "padding" not in name]
    assert name.startswith("gate order i, g, f, o; the mean of all steps' outputs; tanh behind it")
    assert name.endswith("forget bias 1")
