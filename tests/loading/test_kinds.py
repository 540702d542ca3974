"""Each kind of layer: what a mapping says of it, what is built of that, and what is refused."""

from copy import deepcopy
from typing import Any, ClassVar, get_args, get_type_hints

import numpy as np
import pytest
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import KINDS, NAMED, OF, LayerSpec
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.mapping.given import specs_in
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Layer,
    LeakyRelu,
    Merge,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Select,
    Transpose,
    Unflatten,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Head, Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

FLOAT64 = np.dtype(np.float64)
OF_THE_BUILDER = {"embedding", "each", "same"}
MEAN, LAST = {"pool": "mean"}, {"pool": "last"}
CUT = {"unflatten": {"steps": 2}}


def test_every_kind_can_be_built_and_every_layer_written():
    hints = get_type_hints(LayerSpec)
    built = {kind for kind in KINDS if any(hasattr(each, "add") for each in specs_in(hints[kind]))}
    assert built | set(NAMED) | OF_THE_BUILDER == set(KINDS)
    assert {*OF, Each} == set(get_args(Layer))


def test_what_names_a_dataset_is_text():
    """Each key that a spec calls a dataset's is a key of its own, and may be a name."""
    hints = get_type_hints(LayerSpec)
    for spec in {each for kind in KINDS for each in specs_in(hints[kind])}:
        for key in getattr(spec, "named", ()):
            assert issubclass(spec, Struct)
            assert "str" in str(get_type_hints(spec)[key])


@pytest.fixture
def load(small):
    """The model with layers behind an LSTM's states, two units a step, and a dense layer at last.

    Without a last one that makes a vector, there are scores at every step.
    """

    def load(*layers: dict, units: int = 2, **arrays: object) -> Model:
        small.arrays |= {name: np.asarray(array, float) for name, array in arrays.items()}
        small.arrays["V"] = np.ones((3, units))
        embedding, *_, dense = small.mapping["layers"]
        states = {"name": "states", "lstm": {**small.lstm, "returns": "sequence"}}
        small.mapping["layers"] = deepcopy([embedding, states, *map(deepcopy, layers), dense])
        return load_model(small.save(), None, FLOAT64).model

    return load


@pytest.fixture
def numeric(small):
    """A model of numbers, of those layers alone."""

    def numeric(*layers: dict, **arrays: object) -> Model:
        small.arrays |= {name: np.asarray(array, float) for name, array in arrays.items()}
        small.mapping = {"layers": list(map(deepcopy, layers))} | {
            key: value for key, value in small.mapping.items() if key == "inputs"
        }
        return load_model(small.save(), None, FLOAT64).model

    return numeric


def refused(load, *layers: dict, **others: object) -> str:
    with pytest.raises(UnusableInput) as error:
        load(*layers, **others)
    message = str(error.value)
    assert "\n" not in message
    return message


class TestConvolution:
    KERNEL = np.arange(3 * 4 * 2.0).reshape(3, 4, 2)  # (width, outputs, inputs)

    @pytest.mark.parametrize(
        ("layout", "axes"),
        [("outputs_inputs_width", (1, 2, 0)), ("width_inputs_outputs", (0, 2, 1))],
    )
    def test_layouts(self, load, layout, axes):
        kernel = self.KERNEL.transpose(axes)
        settings = {"weights": "K", "layout": layout, "bias": "k"}
        model = load({"convolution": settings}, MEAN, units=4, K=kernel, k=[1, 2, 3, 4])
        layer = model.nodes[1].layer
        assert isinstance(layer, Convolution)
        np.testing.assert_array_equal(layer.weights, self.KERNEL.transpose(1, 2, 0))
        np.testing.assert_array_equal(layer.bias, [1, 2, 3, 4])
        assert (layer.window, layer.groups) == (Window(3), 1)

    def test_depthwise(self, load):
        """Of channel c and its multiple m, output c M + m, as Keras has them."""
        kernel = np.arange(5 * 2 * 3.0).reshape(5, 2, 3)
        settings = {"weights": "K", "layout": "width_groups_outputs"}
        layer = load({"convolution": settings}, MEAN, units=6, K=kernel).nodes[1].layer
        assert (layer.weights.shape, layer.groups) == ((6, 1, 5), 2)
        for channel in range(2):
            for multiple in range(3):
                found = layer.weights[channel * 3 + multiple, 0]
                np.testing.assert_array_equal(found, kernel[:, channel, multiple])

    @pytest.mark.parametrize(
        ("said", "window"),
        [
            ({"padding": "same", "stride": 2}, Window(3, 2, 1, "same")),
            ({"padding": "causal", "dilation": 2}, Window(3, 1, 2, (4, 0))),
            ({"padding": [1, 0]}, Window(3, 1, 1, (1, 0))),
        ],
    )
    def test_windows(self, load, said, window):
        settings = {"weights": "K", "layout": "outputs_inputs_width", "activation": "relu", **said}
        model = load({"convolution": settings}, MEAN, units=4, K=np.ones((4, 2, 3)))
        assert model.nodes[1].layer.window == window
        assert (model.nodes[2].layer, model.nodes[2].sources) == (Activation("relu"), (1,))

    def test_of_groups(self, load):
        settings = {"weights": "K", "layout": "outputs_inputs_width", "groups": 2}
        layer = load({"convolution": settings}, MEAN, units=4, K=np.ones((4, 1, 3))).nodes[1].layer
        assert layer.groups == 2

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({"layout": None}, "layers[2].convolution: `layout` is missing; set it to"),
            ({"groups": 3}, "groups: found 3; expected a divisor of 4 outputs"),
            ({"groups": 2}, "4 features of 2 groups; the layer before gives 2"),
            ({"stride": 0}, "stride: found 0; expected 1 to 1,000,000"),
            ({"dilation": 2**40}, f"dilation: found {2**40}; expected 1 to 1,000,000"),
            ({"padding": [-1, 0]}, "padding: found -1; expected 0 to 1,000,000"),
            ({"padding": [1]}, "padding: found [1]; expected two numbers"),
            (
                {"padding": "some"},
                "layers[2].convolution.padding: found `some`; did you mean `same`?",
            ),
            ({"weights": "V"}, "(layers[2].convolution.weights) has shape (3, 4)"),
            ({"bias": "c"}, "dataset `c`: (layers[2].convolution.bias) has 3 values; expected 4"),
        ],
    )
    def test_what_does_not_fit(self, load, said, problem):
        settings = {"weights": "K", "layout": "outputs_inputs_width", **said}
        assert problem in refused(
            load, {"convolution": settings}, MEAN, units=4, K=np.ones((4, 2, 3))
        )

    @pytest.mark.parametrize("layout", ["outputs_inputs_width", "width_inputs_outputs"])
    def test_of_other_features(self, load, layout):
        problem = f"layout {layout}) has shape (4, 3, 4): 3 features of 1 group; the layer before"
        settings = {"weights": "K", "layout": layout}
        assert problem in refused(load, {"convolution": settings}, MEAN, K=np.ones((4, 3, 4)))

    def test_a_window_that_is_larger_than_what_is_known_to_be_there(self, load):
        settings = {"weights": "K", "layout": "outputs_inputs_width", "dilation": 2}
        layers = ({"pool": "max"}, {"repeat": {"steps": 4}}, {"convolution": settings}, MEAN)
        problem = "has a window of 5 steps, and the layer before gives 4"
        assert problem in refused(load, *layers, units=4, K=np.ones((4, 2, 3)))


class TestSteps:
    @pytest.mark.parametrize(
        ("said", "layer"),
        [
            ({"upsample": {"times": 3}}, Upsample(3)),
            ({"pad": {"before": 2}}, Pad(2, 0)),
            ({"crop": {"after": 1}}, Crop(0, 1)),
            ({"windows": {"kind": "max", "size": 2}}, WindowPool("max", Window(2, 2))),
            (
                {"windows": {"kind": "mean", "size": 3, "stride": 1, "padding": "same"}},
                WindowPool("mean", Window(3, 1, 1, "same")),
            ),
            (
                {"windows": {"kind": "mean", "size": 2, "padding": [1, 1], "counts_padding": True}},
                WindowPool("mean", Window(2, 2, 1, (1, 1)), counts_padding=True),
            ),
        ],
    )
    def test_other_steps_of_as_many_units(self, load, said, layer):
        model = load(said, MEAN)
        assert model.nodes[1].layer == layer
        assert load(said).by_step

    def test_a_vector_and_steps(self, load):
        flat, repeated = {"flatten": {"steps": 2}}, {"repeat": {"steps": 5}}
        model = load(LAST, CUT, flat, repeated, {"transpose": {"steps": 5}}, MEAN, units=5)
        layers = [node.layer for node in model.nodes[2:6]]
        assert layers[0] == Unflatten(2)
        assert layers[2:] == [Repeat(5), Transpose(5)]

    def test_a_vector_at_as_many_steps_as_another_value(self, load):
        model = load({"name": "ends", **LAST}, {"from": ["ends", "input"], "repeat": {}})
        assert (model.nodes[2].layer, model.nodes[2].sources) == (Repeat(None), (1, MODEL_INPUT))
        assert model.by_step

    @pytest.mark.parametrize(
        ("layers", "problem"),
        [
            ([LAST, {"repeat": {}}], "expected `steps`, a number, or `from: [vector, steps]`"),
            (
                [{"name": "a", **LAST}, {"from": ["a", "a"], "repeat": {}}],
                "the layer before gives no sequence",
            ),
            (
                [{"from": ["input", "input"], "repeat": {}}],
                "the layer before gives a sequence; expected one vector",
            ),
            ([LAST, {"unflatten": {"steps": 3}}], "steps: found 3; expected a divisor of 2 units"),
            (
                [{"unflatten": {"steps": 2}}],
                "the layer before gives a sequence; expected one vector",
            ),
            ([{"repeat": {"steps": 2}}], "the layer before gives a sequence; expected one vector"),
            ([LAST, {"repeat": {"steps": 0}}], "steps: found 0; expected 1 to 1,000,000"),
            ([LAST, {"upsample": {"times": 2}}], "the layer before gives no sequence"),
            ([{"upsample": {"times": 2**31}}], "times: found 2147483648; expected 1 to 1,000,000"),
            ([{"pad": {"before": -1}}], "before: found -1; expected 0 to 1,000,000"),
            ([LAST, CUT, {"crop": {"before": 1, "after": 1}}], "leaves no step of 2"),
            ([LAST, CUT, {"flatten": {"steps": 3}}], "steps: found 3; the layer before gives 2"),
            ([LAST, CUT, {"transpose": {"steps": 3}}], "steps: found 3; the layer before gives 2"),
            (
                [LAST, {"repeat": {"steps": 6}}, {"windows": {"kind": "max", "size": 7}}],
                "has a window of 7 steps, and the layer before gives 6",
            ),
            (
                [LAST, {"repeat": {"steps": 10**6}}, {"upsample": {"times": 2}}],
                "layers[4].upsample: makes 2,000,000 steps; expected 1 to 1,000,000",
            ),
            (
                [{"upsample": {"times": 10**6}}, {"upsample": {"times": 2}}],
                "layers[3].upsample: makes 2,000,000 steps of one; expected 1 to 1,000,000",
            ),
            ([LAST, {"flatten": {"steps": 2}}], "the layer before gives no sequence"),
        ],
    )
    def test_what_does_not_fit(self, load, layers, problem):
        assert problem in refused(load, *layers, MEAN)

    @pytest.mark.parametrize(
        ("layers", "left"),
        [
            ([{"upsample": {"times": 3}}], 12),
            ([{"pad": {"before": 2, "after": 1}}], 7),
            ([{"crop": {"before": 1, "after": 1}}], 2),
            ([{"windows": {"kind": "max", "size": 3}}], 1),
            ([{"windows": {"kind": "max", "size": 3, "padding": "same"}}], 2),
            ([{"windows": {"kind": "max", "size": 3, "stride": 1, "padding": [1, 1]}}], 4),
            ([{"reverse": "steps"}], 4),
            ([{"each": {"steps": 2, "layers": [{"pool": "max"}]}}], 2),
            ([{"each": {"steps": 2, "layers": [{"upsample": {"times": 3}}]}}], 12),
        ],
    )
    def test_steps_that_are_known_are_counted(self, load, layers, left):
        """A layer that takes another number of them is refused, and the right number is told."""
        begin = (LAST, {"repeat": {"steps": 4}}, *layers)
        wrong = refused(load, *begin, {"flatten": {"steps": left + 1}})
        assert wrong.endswith(f"steps: found {left + 1}; the layer before gives {left}")


class TestUnits:
    def test_normalizations(self, load):
        norm = {"scale": "g", "offset": "o"}
        model = load(
            {"layer_norm": norm},
            {"group_norm": {"groups": 2, **norm, "epsilon": 0.5}},
            {"layer_norm": {}},
            MEAN,
            g=[2, 3],
            o=[1],
        )
        first, second, plain = (node.layer for node in model.nodes[1:4])
        assert isinstance(first, Normalize)
        assert (first.groups, first.epsilon) == (None, 1e-5)
        assert (first.factors.tolist(), first.offsets.tolist()) == ([2, 3], [1, 1])
        assert (second.groups, second.epsilon) == (2, 0.5)
        assert (plain.factors.tolist(), plain.offsets.tolist()) == ([1, 1], [0, 0])

    def test_slopes(self, load):
        model = load(
            {"leaky_relu": {"slope": 0.3}}, {"leaky_relu": {"slopes": "s"}}, MEAN, s=[1, 2]
        )
        one, each = (node.layer for node in model.nodes[1:3])
        assert isinstance(one, LeakyRelu)
        assert one.slopes.tolist() == [0.3]
        assert each.slopes.tolist() == [1, 2]

    def test_some_units(self, load):
        model = load({"units": {"start": 1, "stop": 2}}, MEAN, units=1)
        assert model.nodes[1].layer == Select(1, 2)

    @pytest.mark.parametrize("kind", ["gelu", "gelu_tanh"])
    def test_activations(self, load, kind):
        assert load({"activation": kind}, MEAN).nodes[1].layer == Activation(kind)

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (
                {"layer_norm": {"scale": "b"}},
                "(layers[2].layer_norm.scale) has 8 values; expected 2",
            ),
            ({"layer_norm": {"epsilon": -1.0}}, "epsilon: found -1.0; expected 0 or more"),
            ({"group_norm": {"groups": 3}}, "groups: found 3; expected a divisor of 2 units"),
            ({"group_norm": {"groups": 0}}, "groups: found 0; expected a divisor of 2 units"),
            ({"units": {"start": 1, "stop": 1}}, "found 1 to 1; expected"),
            ({"units": {"start": -1, "stop": 1}}, "found -1 to 1; expected"),
            ({"units": {"start": 0, "stop": 3}}, "stop: found 3; the layer before gives 2 units"),
            ({"leaky_relu": {}}, "expected `slope`, a number, or `slopes`, a dataset"),
            ({"leaky_relu": {"slope": 0.1, "slopes": "c"}}, "expected `slope`, a number, or"),
            (
                {"leaky_relu": {"slopes": "c"}},
                "(layers[2].leaky_relu.slopes) has 3 values; expected 2",
            ),
            ({"leaky_relu": {"slope": float("nan")}}, "slope: found nan; expected a number"),
        ],
    )
    def test_what_does_not_fit(self, load, said, problem):
        assert problem in refused(load, said, MEAN)

    def test_units_that_a_layer_behind_says_are_fewer(self, numeric):
        """What is picked of the input is checked when it is known how much there is."""
        layers = [
            {"name": "some", "units": {"start": 2, "stop": 4}},
            {"name": "sum", "pool": "sum"},
            {"from": "input", "rnn": RNN},
            {"merge": "sum", "from": ["sum", "state"]},
        ]
        layers[2] = {"name": "state", **layers[2]}
        problem = "layers[0].units: stop: found 4; the layer before gives 3 units"
        assert problem in refused(numeric, *layers, **RNN_ARRAYS)


class TestJoins:
    def test_differences_and_the_largest(self, load):
        model = load(
            {"name": "last", **LAST},
            {"name": "max", "pool": "max", "from": "states"},
            {"name": "less", "merge": "difference", "from": ["max", "last"]},
            {"merge": "max", "from": ["less", "last", "max"]},
        )
        assert [node.layer for node in model.nodes[3:5]] == [Merge("difference"), Merge("max")]

    @pytest.mark.parametrize(
        ("join", "problem"),
        [
            (
                {"merge": "difference", "from": ["last", "last", "last"]},
                "joins 3 layers; expected two",
            ),
            (
                {"merge": "max", "from": ["last", "three"]},
                "has sources of 2 and 3 units; expected as",
            ),
            ({"merge": "sum", "from": ["two", "four"]}, "joins values of 2 and 4 steps"),
        ],
    )
    def test_what_does_not_fit(self, load, join, problem):
        layers = [
            {"name": "last", **LAST},
            {"name": "three", "dense": {"weights": "T", "layout": "classes_by_features"}},
            {"name": "two", "from": "last", "repeat": {"steps": 2}},
            {"name": "four", "from": "last", "repeat": {"steps": 4}},
        ]
        assert problem in refused(load, *layers, join, T=np.ones((3, 2)))


class TestAttend:
    def test_of_states_by_their_last(self, load):
        model = load(
            {"name": "last", **LAST}, {"attend": {"scale": 0.5}, "from": ["last", "states"]}
        )
        layer, sources = model.nodes[2].layer, model.nodes[2].sources
        assert isinstance(layer, Attention)
        assert (layer.kind, layer.heads, layer.scale, layer.causal) == ("dot", 1, 0.5, False)
        assert sources == (1, 0, 0)
        assert not model.by_step

    def test_of_steps_by_steps(self, load):
        said = {"kind": "additive", "heads": 2, "factors": "f", "causal": True}
        model = load({"attend": said, "from": ["states", "states", "states"]}, f=[1, 2])
        layer = model.nodes[1].layer
        assert (layer.kind, layer.heads, layer.causal) == ("additive", 2, True)
        assert layer.factors.tolist() == [1, 2]
        assert model.by_step

    def test_a_scale_that_was_learned(self, load):
        """Keras's `use_scale`: one number, that products are scaled by."""
        model = load({"attend": {"factors": "f"}, "from": ["states", "states"]}, MEAN, f=3.0)
        assert (model.nodes[1].layer.scale, model.nodes[1].layer.factors) == (3.0, None)

    @pytest.mark.parametrize(
        ("said", "sources", "problem"),
        [
            ({}, ["states"], "needs `from: [query, value]` or `from: [query, value, key]`"),
            ({"heads": 3}, ["states", "states"], "heads: found 3; expected a divisor of 2 units"),
            ({"heads": 0}, ["states", "states"], "heads: found 0; expected 1 or more"),
            ({"causal": True}, ["last", "states"], "causal: its query is one vector a sequence"),
            ({}, ["states", "last"], "the layer before gives no sequence"),
            ({}, ["states", "states", "last"], "the layer before gives no sequence"),
            ({}, ["states", "input"], "has queries of 2 units and keys of 3"),
            ({"scale": float("inf")}, ["states", "states"], "scale: found inf; expected a number"),
            ({"kind": "additive", "scale": 2.0}, ["states", "states"], "scale: is of `kind: dot`"),
            (
                {"kind": "additive", "factors": "c"},
                ["states", "states"],
                "has 3 values; expected 2",
            ),
            (
                {"factors": "c"},
                ["states", "states"],
                "(layers[3].attend.factors) has 3 values; expected 1",
            ),
        ],
    )
    def test_what_does_not_fit(self, load, said, sources, problem):
        layers = ({"name": "last", **LAST}, {"attend": said, "from": sources})
        assert problem in refused(load, *layers)


RNN = {"layout": "units_by_features", "forward": {"input": "R", "recurrent": "Q", "bias": "q"}}
RNN_ARRAYS = {"R": np.arange(6.0).reshape(2, 3), "Q": np.arange(4.0).reshape(2, 2), "q": [5.0, 6.0]}


class TestRnn:
    @pytest.mark.parametrize("layout", ["units_by_features", "features_by_units"])
    def test_layouts(self, numeric, layout):
        arrays = dict(RNN_ARRAYS)
        if layout == "features_by_units":
            arrays |= {name: arrays[name].T for name in "RQ"}
        initial = {"initial": {"hidden": "q"}}
        said = {**RNN, "layout": layout, "forward": {**RNN["forward"], **initial}}
        model = numeric({"rnn": {**said, "activation": "relu"}}, **arrays)
        layer = model.nodes[0].layer
        assert isinstance(layer, SimpleRnn)
        [cell] = layer.cells
        assert (layer.activation, layer.returns, cell.backward) == ("relu", "last", False)
        np.testing.assert_array_equal(cell.input, RNN_ARRAYS["R"])
        np.testing.assert_array_equal(cell.recurrent, RNN_ARRAYS["Q"])
        assert (cell.bias.tolist(), cell.initial_hidden.tolist()) == ([5, 6], [5, 6])
        assert model.only_input.size == 3

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({"layout": None}, "`layout` is missing; set it to units_by_features"),
            ({"activation": "softmax"}, "found softmax; expected a function of single units"),
            ({"forward": None}, "give `forward`, `backward` or both"),
            ({"stateful": True}, "the mapping does not say of how many sequences"),
            ({"backward": {"input": "Q", "recurrent": "Q"}}, "the directions differ in size"),
            (
                {"forward": {"input": "R", "recurrent": "Q", "bias": "c"}},
                "has 3 values; expected 2",
            ),
            ({"forward": {"input": "R"}}, "`recurrent` is missing"),
            ({"forward": {"input": "R", "recurrent": "Q", "projection": "Q"}}, "an rnn has none"),
            (
                {"forward": {"input": "R", "recurrent": "Q", "initial": {"cell": "q"}}},
                "initial.cell: is an LSTM's; expected `hidden` alone",
            ),
        ],
    )
    def test_what_does_not_fit(self, numeric, said, problem):
        assert problem in refused(numeric, {"rnn": {**RNN, **said}}, **RNN_ARRAYS)


GRU = {
    "gate_order": ["z", "r", "n"],
    "layout": "gates_by_features",
    "forward": {"input": "G", "recurrent": "H", "bias": "g"},
}
GRU_ARRAYS = {
    "G": np.arange(18.0).reshape(6, 3),
    "H": np.arange(12.0).reshape(6, 2),
    "g": np.arange(6.0),
}
IN_ORDER = [2, 3, 0, 1, 4, 5]  # r, z, n of z, r, n


class TestGru:
    @pytest.mark.parametrize("layout", ["gates_by_features", "features_by_gates"])
    def test_orders_and_layouts(self, numeric, layout):
        arrays = dict(GRU_ARRAYS)
        if layout == "features_by_gates":
            arrays |= {name: arrays[name].T for name in "GH"}
        model = numeric({"gru": {**GRU, "layout": layout, "reset": "before"}}, **arrays)
        layer = model.nodes[0].layer
        assert isinstance(layer, Gru)
        [cell] = layer.cells
        assert not cell.reset_after
        for found, name in ((cell.input, "G"), (cell.recurrent, "H"), (cell.bias, "g")):
            expected = GRU_ARRAYS[name][IN_ORDER]
            np.testing.assert_array_equal(found.reshape(expected.shape), expected)
        assert model.only_input.size == 3

    def test_the_layout_is_seen(self, numeric):
        model = numeric({"gru": {**GRU, "layout": None}}, **GRU_ARRAYS)
        assert model.nodes[0].layer.cells[0].reset_after

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({"gate_order": ["i", "f", "g"]}, "found [i, f, g]; expected each of r, z, n once"),
            ({"gate_order": None}, "`gate_order` is missing; say how the gates are stacked"),
            ({"forward": {"input": "G", "recurrent": "G"}}, "3 gates of as many units as features"),
            ({"forward": {"input": "G", "recurrent": "H", "projection": "H"}}, "a GRU has none"),
            (
                {"reset": "never"},
                "layers[0].gru.reset: found `never`; expected one of after, before",
            ),
        ],
    )
    def test_what_does_not_fit(self, numeric, said, problem):
        assert problem in refused(numeric, {"gru": {**GRU, **said}}, **GRU_ARRAYS)


class TestStates:
    def test_of_another_layer(self, load, small):
        """An encoder's hidden and cell state, which a decoder begins in."""
        encoder = {"name": "encoder", "lstm": {**small.lstm, "cell_state": True}, "from": "input"}
        every = {**small.lstm, "returns": "sequence"}
        decoder = {"name": "decoded", "lstm": every, "from": ["input", "encoder"]}
        model = load(
            {"name": "also", "merge": "concat", "from": ["states", "states"]},
            {"name": "pooled", "from": "also", **LAST},
            {**encoder, "lstm": {**encoder["lstm"], "returns": "last"}},
            decoder,
            {"name": "end", "from": "decoded", **LAST},
            {"merge": "concat", "from": ["end", "pooled"]},
            units=6,
        )
        lstms = [node for node in model.nodes if isinstance(node.layer, Lstm)]
        assert [node.layer.gives_cell for node in lstms] == [False, True, False]
        assert lstms[1].layer.output_size == 4 == lstms[2].layer.state_size
        assert lstms[2].sources == (MODEL_INPUT, 3)

    @pytest.mark.parametrize(
        ("sources", "problem"),
        [
            (
                ["input", "last"],
                "begins in states of 2 units; expected 4: the hidden state and the",
            ),
            (["input", "states"], "the layer before gives a sequence; expected one vector"),
            (["last", "last"], "the layer before gives no sequence"),
            (["input", "last", "last"], "`from` names 3 layers; expected one, and its states"),
        ],
    )
    def test_what_does_not_fit(self, load, small, sources, problem):
        layers = ({"name": "last", **LAST}, {"lstm": small.lstm, "from": sources})
        assert problem in refused(load, *layers, MEAN)

    def test_carried_and_given_at_once(self, load, small):
        small.mapping["stateful"] = 2
        given = {"lstm": {**small.lstm, "stateful": True}, "from": ["input", "both"]}
        layers = (
            {"name": "last", **LAST},
            {"name": "both", "merge": "concat", "from": ["last", "last"]},
            given,
            MEAN,
        )
        assert "begins in the states of `from` in every sequence" in refused(load, *layers)


class TestEach:
    def test_layers_of_its_own(self, load):
        inner = [
            {"name": "x", "pool": "max"},
            {"from": "input", "name": "y", "pool": "mean"},
            {"merge": "sum", "from": ["x", "y"]},
        ]
        model = load({"each": {"steps": 3, "layers": inner}}, MEAN)
        layer = model.nodes[1].layer
        assert isinstance(layer, Each)
        assert (layer.steps, layer.output) == (3, 2)
        assert [node.sources for node in layer.nodes] == [(MODEL_INPUT,), (MODEL_INPUT,), (0, 1)]

    def test_a_softmax_at_the_end_of_each_is_left_out(self, load, small):
        """As it is behind the layers of a model: the scores are what stands before."""
        scores = {"weights": "S", "layout": "classes_by_features", "activation": "softmax"}
        small.lstm["returns"] = "sequence"
        small.mapping["layers"][2:] = [
            {"each": {"steps": 1, "layers": [{"pool": "last"}, {"dense": scores}]}}
        ]
        small.arrays["S"] = np.ones((4, 2))
        model = load_model(small.save(), None, FLOAT64).model
        assert model.heads == (Head(4, "softmax"),)
        layer = model.nodes[-1].layer
        assert [type(node.layer) for node in layer.nodes] == [Pool, Dense]
        assert layer.output == 1

    def test_an_lstm_inside_is_enough(self, numeric):
        inner = [{"rnn": RNN}]
        model = numeric({"each": {"steps": 2, "layers": inner}}, MEAN, **RNN_ARRAYS)
        assert model.only_input.size == 3

    @pytest.mark.parametrize(
        ("inner", "problem"),
        [
            ([], "has no layers; expected one or more"),
            ([{"embedding": {"weights": "E"}}], "an embedding comes first; nothing can feed it"),
            (
                [{"pool": "max"}, {"from": "states", "pool": "max"}],
                "`from` names `states`; no layer",
            ),
            ([{"pool": "max"}, {"from": "input", "pool": "max"}], "layers[0].pool: feeds no other"),
            ([{"flatten": {"steps": 3}}], "steps: found 3; the layer before gives 2"),
            ([{}], "layers[2].each.layers[0]: found nothing; expected one of"),
        ],
    )
    def test_what_does_not_fit(self, load, inner, problem):
        message = refused(load, {"each": {"steps": 2, "layers": inner}}, MEAN)
        assert problem in message
        assert "layers[2].each" in message

    def test_steps_that_cannot_be_shared_out(self, load):
        layers = (LAST, {"repeat": {"steps": 5}}, {"each": {"steps": 2, "layers": [LAST]}}, MEAN)
        assert "steps: found 2; the layer before gives 5" in refused(load, *layers)


class TestOnceMore:
    HALF: ClassVar[dict[str, Any]] = {
        "name": "half",
        "dense": {"weights": "D", "activation": "relu"},
    }

    def test_it_is_the_same_layer(self, load):
        said = {**self.HALF, "dense": {**self.HALF["dense"], "layout": "classes_by_features"}}
        model = load(
            {"name": "last", **LAST},
            said,
            {"name": "max", "from": "states", "pool": "max"},
            {"name": "again", "same": "half", "from": "max"},
            {"merge": "product", "from": ["half", "again"]},
            D=[[1, 2], [3, 4]],
        )
        nodes = model.nodes
        assert nodes[2].layer is nodes[5].layer
        assert [node.sources for node in nodes[5:8]] == [(4,), (5,), (3, 6)]

    def test_at_another_number_of_steps(self, load):
        """What it gives is counted anew."""
        pooled = {"kind": "max", "size": 2}
        layers = (
            {"name": "last", **LAST},
            {"name": "four", "repeat": {"steps": 4}},
            {"name": "halved", "windows": pooled},
            {"name": "end", "flatten": {"steps": 2}},
            {"name": "six", "from": "last", "repeat": {"steps": 6}},
            {"name": "again", "same": "halved"},
        )
        wrong = refused(load, *layers, {"flatten": {"steps": 2}})
        assert wrong.endswith("layers[8].flatten: steps: found 2; the layer before gives 3")

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            ({"same": "nothing"}, "there is no layer named `nothing` above it"),
            ({"same": "half", "from": "three"}, "is given 3 units; expected 2, as `half` is given"),
            ({"same": "half", "from": ["last", "last"]}, "has 2 sources; `half` has 1"),
            ({"same": "high", "from": "last"}, "the layer before gives no sequence"),
        ],
    )
    def test_what_does_not_fit(self, load, said, problem):
        layers = (
            {"name": "high", "from": "states", "pool": "max"},
            {"name": "last", "from": "states", **LAST},
            {"name": "half", "dense": {"weights": "D", "layout": "classes_by_features"}},
            {"name": "three", "dense": {"weights": "T", "layout": "classes_by_features"}},
            said,
        )
        message = refused(load, *layers, D=np.ones((2, 2)), T=np.ones((3, 2)))
        assert problem in message
        assert "layers[6].same" in message


FLAT = [
    {"name": "flat", "flatten": {"steps": 4}},
    {"name": "of_all", "dense": {"weights": "F", "layout": "classes_by_features"}},
    {"name": "state", "from": "input", "activation": "tanh"},
    {"name": "end", "rnn": RNN},
    {"merge": "concat", "from": ["of_all", "end"]},
]


class TestSizesOfInputs:
    def test_a_join_tells_what_is_left(self, small):
        """Numbers beside words, and only the LSTM says how many there are."""
        embedding, _, dense = small.mapping["layers"]
        small.mapping |= {
            "inputs": [{"name": "words"}, {"name": "person", "steps": False}, {"name": "marks"}],
            "layers": [
                {"from": "words", "name": "vectors", **embedding},
                {"from": ["vectors", "marks"], "merge": "concat"},
                {"name": "state", "lstm": {**small.lstm, "returns": "last"}},
                {"from": ["state", "person"], "merge": "concat"},
                dense,
            ],
        }
        small.arrays |= {"W": np.ones((8, 7)), "V": np.ones((3, 5))}
        model = load_model(small.save(), None, FLOAT64).model
        assert [each.size for each in model.inputs] == [3, 3, 4]
        assert [each.steps for each in model.inputs] == [True, False, True]

    def test_a_flat_input_tells_how_many_each_step_has(self, numeric):
        assert numeric(*FLAT, F=np.ones((2, 12)), **RNN_ARRAYS).only_input.size == 3

    @pytest.mark.parametrize(
        ("wide", "problem"),
        [
            (16, "(layers[3].rnn.forward.input) has shape (2, 3): 3 features"),
            (13, "takes a number of units that it is not given, whatever the input's features"),
        ],
    )
    def test_layers_that_contradict_each_other(self, numeric, wide, problem):
        assert problem in refused(numeric, *FLAT, F=np.ones((2, wide)), **RNN_ARRAYS)

    def test_an_input_that_nothing_reads(self, load, small):
        small.mapping["inputs"] = [{"name": "words"}, {"name": "person", "steps": False}]
        assert "inputs: no layer uses `person`" in refused(load, LAST)

    def test_an_input_of_which_nothing_tells_the_size(self, numeric, small):
        small.mapping["inputs"] = [{"name": "a"}, {"name": "b"}]
        layers = [
            {"from": "a", "name": "end", "rnn": RNN},
            {"from": "b", "name": "whole", "pool": "max"},
            {"merge": "concat", "from": ["end", "whole"]},
        ]
        problem = "layers: nothing tells how many features `b` has"
        assert problem in refused(numeric, *layers, **RNN_ARRAYS)

    @pytest.mark.parametrize("name", ["first", "second"])
    def test_a_join_of_as_many_tells_both(self, small, name):
        dense = {"weights": "D", "layout": "classes_by_features"}
        small.mapping = {
            "inputs": [{"name": "first"}, {"name": "second"}],
            "layers": [
                {"from": ["first", "second"], "name": "sum", "merge": "sum"},
                {"from": name, "dense": dense},
                {"name": "end", "rnn": RNN},
                {"from": "sum", "name": "whole", "pool": "max"},
                {"merge": "concat", "from": ["end", "whole"]},
            ],
        }
        small.arrays |= {key: np.asarray(each) for key, each in RNN_ARRAYS.items()}
        small.arrays["D"] = np.ones((3, 4))
        model = load_model(small.save(), None, FLOAT64).model
        assert [each.size for each in model.inputs] == [4, 4]
