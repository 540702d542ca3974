"""The plain versions account for every score, and say what is worked by hand, for every layer."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import plain_perturbation
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from numpy.testing import assert_allclose
from plain_decomposition import decompose, decompose_entry
from plain_forward import by_input, embedded, forward, scores_of
from plain_gradient import derivative
from plain_lrp import explain
from plain_rules import GateRule
from plain_stateful import as_each_begins
from random_models import FAMILIES, Case, any_number_of_steps, cases, describable, stateful

from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    LeakyRelu,
    Merge,
    Node,
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
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, RnnCell, SimpleRnn

property_test = settings(max_examples=12, deadline=None, derandomize=True, database=None)
each_family = pytest.mark.parametrize("family", FAMILIES)

# Decompositions of numbers that grow on and on have nothing to compare with.
pytestmark = pytest.mark.filterwarnings("ignore:overflow")


def shares(found: Any) -> list[float]:
    names = ("tokens", "initial_state", "biases", "stabilizers", "padding")
    return [getattr(found, name) for name in names]


@each_family
@pytest.mark.parametrize("gates", get_args(GateRule))
@property_test
@given(data=st.data())
def test_every_score_is_accounted_for(gates: GateRule, family: str, data: st.DataObject) -> None:
    case = data.draw(cases(families=[family]))
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else case.steps[k]
        for delta in (0.0, 0.4, 1.0):
            found = explain(
                case.model,
                sequence,
                target,
                eps=case.rule.eps,
                bias_factor=delta,
                gates=gates,
                step=step,
            )
            score, amounts = found.scores[target], shares(found)
            scale = max(abs(score), np.abs(amounts).sum())
            assert abs(score - sum(amounts)) <= 1e-10 * scale
            for of_input, values in zip(
                by_input(found.relevance), by_input(embedded(case.model, sequence)), strict=True
            ):
                assert of_input.shape == values.shape


@each_family
@property_test
@given(data=st.data())
def test_parts_add_up_and_one_that_has_nothing_is_nothing(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(families=[family]))
    for sequence in case.sequences:
        values = embedded(case.model, sequence)
        scores = scores_of(case.model, values)
        of_input = data.draw(st.integers(0, len(by_input(values)) - 1))
        positions = range(len(np.atleast_2d(by_input(values)[of_input])))
        some = data.draw(st.sets(st.sampled_from(positions)) if positions else st.just(set()))
        found = [decompose(case.model, sequence, some, of_input)]
        if positions:
            found.append(decompose_entry(case.model, sequence, positions[-1], 0, of_input))
        for parts in found:
            largest = max(np.abs(part).max() for part in parts)
            assert_allclose(parts.whole, scores, rtol=0, atol=1e-11 * largest)
        assert not decompose(case.model, sequence, (), of_input).relevant.any()


@each_family
@property_test
@given(data=st.data())
def test_derivatives_are_the_limits_of_differences(family: str, data: st.DataObject) -> None:
    """Where both one-sided differences agree, so does the complex step."""
    case = data.draw(cases(families=[family]))
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else case.steps[k]
        at = target if step is None else (step, target)
        values = by_input(embedded(case.model, sequence))
        rng = np.random.default_rng(k)
        along = tuple(rng.normal(size=each.shape) for each in values)
        score, after, before = (
            scores_of(case.model, tuple(map(lambda v, d, h=h: v + h * d, values, along)))[at]
            for h in (0.0, 1e-6, -1e-6)
        )
        right, left = (after - score) / 1e-6, (score - before) / 1e-6
        found = derivative(case.model, values, along, target, step)
        size = max(abs(right), abs(left), abs(score), 1.0)
        if abs(right - left) < 1e-4 * size:
            assert abs(found - (right + left) / 2) < 1e-3 * size


@each_family
@property_test
@given(data=st.data())
def test_perturbations_have_the_shapes_of_what_is_taken(family: str, data: st.DataObject) -> None:
    case = data.draw(cases(families=[family]))
    step = None if case.steps is None else case.steps[0]
    problem = case.model, case.sequences[0], case.targets[0]
    values = by_input(embedded(*problem[:2]))
    of_numbers = by_input(plain_perturbation.feature_occlusion(*problem, step))
    assert [each.shape for each in of_numbers] == [each.shape for each in values]
    of_positions = by_input(plain_perturbation.occlusion(*problem, step))
    for each, finely in zip(of_positions, of_numbers, strict=True):
        positions = np.atleast_2d(finely)
        assert each.shape == positions.shape[:1]
        if positions.shape[1] == 1:
            assert each.tolist() == positions[:, 0].tolist()
    if step is None and any_number_of_steps(case.model):
        assert plain_perturbation.omission(*problem).shape == values[0].shape[:1]


@each_family
@property_test
@given(data=st.data())
def test_lengths_never_grow_where_those_of_the_first_input_shrink(
    family: str, data: st.DataObject
) -> None:
    """So that a batch that is sorted by the first is sorted by all."""
    case = data.draw(cases(families=[family]))
    given_to = [by_input(sequence) for sequence in case.sequences]
    order = sorted(given_to, key=lambda each: -len(each[0]))
    for k, each in enumerate(case.model.inputs):
        if each.steps:
            lengths = [len(sequence[k]) for sequence in order]
            assert lengths == sorted(lengths, reverse=True)


@property_test
@given(describable(families=FAMILIES))
def test_describable_models_depend_on_every_node_and_input(case: Case) -> None:
    fed = {source for node in case.model.nodes for source in node.sources}
    places = set(range(-len(case.model.inputs), len(case.model.nodes)))
    assert fed | set(case.model.outputs) == places
    assert [len(by_input(each)) for each in case.sequences] == [
        len(case.model.inputs) for _ in case.sequences
    ]
    assert len(scores_of(case.model, embedded(case.model, case.sequences[0])).shape) == (
        2 if case.model.by_step else 1
    )


@property_test
@given(stateful(families=["recurrent"]), st.data())
def test_a_sequence_in_two_pieces_ends_where_the_whole_does(
    case: Case, data: st.DataObject
) -> None:
    """Where a cell carries its states on, a cut makes no difference to one that reads forwards."""
    [place, *_] = [k for k, n in enumerate(case.model.nodes) if getattr(n.layer, "stateful", False)]
    layer = case.model.nodes[place].layer
    cells = tuple(replace(cell, backward=False) for cell in layer.cells)
    layer = replace(layer, cells=cells, returns="last")
    model = make_model(layer, classes=layer.output_size, stateful=1)
    series = np.random.default_rng(0).normal(size=(5, cells[0].input_size))
    cut = data.draw(st.integers(0, 5))
    pieces = [series[:cut], series[:0], series[cut:]]
    begun = as_each_begins(model, pieces)
    whole = scores_of(replace(model, stateful=None), series)
    assert_allclose(scores_of(begun[2 if cut < 5 else 0], pieces[2 if cut < 5 else 0]), whole)
    assert_allclose(scores_of(begun[1], pieces[1]), scores_of(model, pieces[1]))


def test_the_families_draw_every_kind() -> None:
    seen: set[object] = set()

    @settings(property_test, max_examples=600)
    @given(st.sampled_from(FAMILIES).flatmap(lambda family: cases(families=[family])))
    def look(case: Case) -> None:
        model = case.model
        layers = [node.layer for node in model.nodes]
        seen.add(("inputs", len(model.inputs)))
        seen.update(("steps", each.steps) for each in model.inputs)
        seen.add(("one layer twice", len(set(layers)) < len(layers)))
        if case.steps is not None:
            steps = [len(by_input(each)[0]) for each in case.sequences]
            scored = scores_of(model, embedded(model, case.sequences[0]))
            seen.add(("as many scores as steps", len(scored) == steps[0]))
        for node in model.nodes:
            layer = node.layer
            kind = getattr(layer, "kind", None)
            seen.add((type(layer), kind) if kind else type(layer))
            if isinstance(layer, Lstm | Gru | SimpleRnn):
                seen.add((type(layer), layer.returns, "states given", len(node.sources) == 2))
            if isinstance(layer, Lstm):
                seen.add(("gives cell", layer.gives_cell, len(layer.cells), layer.returns))
            if isinstance(layer, Gru):
                seen.add(("reset after", layer.cells[0].reset_after))
            if isinstance(layer, Normalize):
                seen.add(("groups", layer.groups is not None))
            if isinstance(layer, Attention):
                seen.update([("causal", layer.causal), ("heads", layer.heads)])
            if isinstance(layer, Convolution):
                seen.add(("grouped", layer.groups > 1))
                seen.add(("same", layer.window.padding == "same"))

    look()
    both = (True, False)
    recurrent = (Lstm, Gru, SimpleRnn)
    kinds = {Convolution, Upsample, Pad, Crop, Unflatten, Repeat, Transpose, Normalize, Select}
    assert seen >= (
        kinds
        | {LeakyRelu, Each, (Merge, "difference"), (Merge, "max")}
        | {(WindowPool, kind) for kind in ("mean", "max")}
        | {(Attention, kind) for kind in ("dot", "additive")}
        | {(layer, "sequence", "states given", x) for layer in recurrent for x in both}
        | {("gives cell", True, cells, r) for cells in (1, 2) for r in ("last", "sequence")}
        | {(what, x) for what in ("reset after", "groups", "causal", "grouped") for x in both}
        | {("same", x) for x in both}
        | {("heads", k) for k in (1, 2, 3)}
        | {("inputs", k) for k in (1, 2, 3)}
        | {("steps", x) for x in both}
        | {("one layer twice", True), ("as many scores as steps", False)}
    )


def one(values: float) -> Any:
    return np.array([[values]])


class TestGruByHand:
    """One unit with gates that are linear near 0: q = 0.5 + 0.2 z. r reads x, z is a half."""

    def gru(self, *, reset_after: bool) -> Gru:
        cell = GruCell(
            input=np.array([1.0, 0.0, 2.0]).reshape(3, 1, 1),
            recurrent=np.array([0.0, 0.0, 3.0]).reshape(3, 1, 1),
            bias=np.array([0.0, 0.0, 1.0]).reshape(3, 1),
            recurrent_bias=np.array([1.0]) if reset_after else None,
            reset_after=reset_after,
            initial_hidden=np.array([2.0]),
        )
        return Gru((cell,), gate_activation="hard_sigmoid", activation="linear")

    # x = 1: r = 0.7, z = 0.5
    def test_the_reset_gate_after_the_product(self) -> None:
        # n = 2 + 1 + 0.7 (3 * 2 + 1) = 7.9; h = 1 + 3.95
        assert_allclose(forward(self.gru(reset_after=True), [one(1.0)]), [4.95])
        found = explain(
            make_model(self.gru(reset_after=True), classes=1), one(1.0), 0, eps=0.0, bias_factor=0.0
        )
        # n has 3.95, half of its 7.9: x 2, b 1, r u 4.9, and u of 7 has 6 of h and 1 of b'
        assert_allclose(found.relevance, one(1.0))
        assert found.biases == pytest.approx(0.5 + 4.9 / 2 / 7)
        assert found.initial_state == pytest.approx(1.0 + 4.9 / 2 * 6 / 7)

    def test_the_reset_gate_before_the_product(self) -> None:
        # n = 2 + 1 + 3 * 0.7 * 2 = 7.2; h = 1 + 3.6
        assert_allclose(forward(self.gru(reset_after=False), [one(1.0)]), [4.6])
        found = explain(
            make_model(self.gru(reset_after=False), classes=1),
            one(1.0),
            0,
            eps=0.0,
            bias_factor=0.0,
        )
        assert_allclose(found.relevance, one(1.0))
        assert found.biases == pytest.approx(0.5)
        assert found.initial_state == pytest.approx(1.0 + 2.1)

    def test_by_lrp_half_the_update_gate_has_its_part_of_both_products(self) -> None:
        # z has half of 1 and half of 3.6, all of it the bias's or nothing's: z's own bias is 0, so
        # that its stabilizer has it, of a pre-activation of 0
        found = explain(
            make_model(self.gru(reset_after=False), classes=1),
            one(1.0),
            0,
            eps=0.0,
            bias_factor=0.0,
            gates="lrp-half",
        )
        assert found.stabilizers == pytest.approx(0.5 + 1.8)
        # x has its part of n and, by r, half of that of r h: 1.8 of 7.2 is 0.25 a unit of n
        assert_allclose(found.relevance, one(0.25 * 2 + 0.25 * 4.2 / 2))

    def test_what_the_bias_of_the_candidate_gives_is_the_step_s(self) -> None:
        model = make_model(self.gru(reset_after=True), classes=1)
        parts = decompose(model, one(1.0), [0])
        # 0.5 (2 + 1 + 0.7 b'); the initial state gives 1 + 0.5 * 0.7 * 6
        assert_allclose([parts.relevant, parts.irrelevant], [[1.85], [3.1]])
        parts = decompose_entry(model, one(1.0), 0, 0)
        assert_allclose([parts.relevant, parts.irrelevant], [[1.0], [3.95]])


def test_a_cell_without_gates_by_hand() -> None:
    cell = RnnCell(one(2.0), one(0.5), np.array([1.0]))
    model = make_model(SimpleRnn((cell,), activation="relu"), classes=1)
    series = np.array([[1.0], [2.0]])
    # 3; 4 + 1.5 + 1 = 6.5
    assert scores_of(model, series).tolist() == [6.5]
    found = explain(model, series, 0, eps=0.0, bias_factor=0.0)
    assert_allclose(found.relevance, [[1.0], [4.0]])
    assert found.biases == pytest.approx(1.5)
    assert_allclose(decompose(model, series, [0]), [[1.5], [5.0]])


class TestStates:
    """An LSTM whose forget gate is open, and shut for what is new: it hands on what it begins in."""

    def keeper(self, **settings: Any) -> Lstm:
        cell = LstmCell(
            input=np.zeros((4, 1, 1)),
            recurrent=np.zeros((4, 1, 1)),
            bias=np.array([-2.5, 2.5, 0.0, 2.5]).reshape(4, 1),
        )
        return Lstm((cell,), gate_activation="hard_sigmoid", activation="linear", **settings)

    def model(self, steps: int) -> tuple[Model, Any]:
        nodes = (Node(self.keeper(gives_cell=True), (MODEL_INPUT, MODEL_INPUT - 1)),)
        inputs = (Input(1, name="a"), Input(2, name="b", steps=False))
        model = Model(nodes, (0,), (Head(2),), np.dtype("float64"), inputs)
        return model, (np.ones((steps, 1)), np.array([5.0, 7.0]))

    def test_what_it_begins_in_goes_to_the_node_that_gives_it(self) -> None:
        model, sequence = self.model(3)
        # hidden and cell state, side by side
        assert scores_of(model, sequence).tolist() == [7.0, 7.0]
        for target in (0, 1):
            found = explain(model, sequence, target, eps=0.0, bias_factor=0.0)
            assert found.relevance[1].tolist() == [0.0, 7.0]
            assert found.initial_state == found.relevance[0].sum() == 0.0
        assert_allclose(decompose(model, sequence, [0], 1), [[7.0, 7.0], [0.0, 0.0]])

    def test_a_sequence_without_steps_gives_the_states_themselves(self) -> None:
        model, sequence = self.model(0)
        assert scores_of(model, sequence).tolist() == [5.0, 7.0]
        found = explain(model, sequence, 0, eps=0.0, bias_factor=0.0)
        assert found.relevance[1].tolist() == [5.0, 0.0]


class TestWindows:
    SERIES = np.array([[1.0], [2.0], [3.0], [4.0]])

    def convolution(self, padding: Any, stride: int = 1, dilation: int = 1) -> Convolution:
        weights = np.array([[[1.0, 10.0, 100.0]]])
        return Convolution(weights, np.array([0.5]), Window(3, stride, dilation, padding))

    @pytest.mark.parametrize(
        ("padding", "stride", "dilation", "expected"),
        [
            ((0, 0), 1, 1, [321.5, 432.5]),
            ("same", 1, 1, [210.5, 321.5, 432.5, 43.5]),
            ("same", 2, 1, [321.5, 43.5]),  # one is missing, and it is behind
            ((2, 0), 1, 1, [100.5, 210.5, 321.5, 432.5]),
            ((4, 0), 1, 2, [100.5, 200.5, 310.5, 420.5]),
            ((0, 0), 3, 1, [321.5]),
            ((0, 0), 1, 2, []),
        ],
    )
    def test_a_convolution(
        self, padding: Any, stride: int, dilation: int, expected: list[float]
    ) -> None:
        found = forward(self.convolution(padding, stride, dilation), [self.SERIES])
        assert found.ravel().tolist() == expected
        assert found.shape == (len(expected), 1)

    def test_each_group_is_fed_by_its_own(self) -> None:
        weights = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)
        layer = Convolution(weights, None, Window(1), groups=2)
        assert forward(layer, [np.array([[5.0, 7.0]])]).tolist() == [[5.0, 10.0, 21.0, 28.0]]

    def test_padding_is_no_unit_below(self) -> None:
        # step 0 of a causal convolution has one: at a bias factor of 1 it gets all of the bias
        model = make_model(self.convolution((2, 0)), Pool("first"), classes=1)
        found = explain(model, self.SERIES, 0, eps=0.1, bias_factor=1.0)
        assert_allclose(found.relevance, [[100.5], [0.0], [0.0], [0.0]])

    def test_a_window_of_nothing_leaves_all_to_its_bias(self) -> None:
        layer = Convolution(one(2.0).reshape(1, 1, 1), np.array([3.0]), Window(1, padding=(1, 0)))
        model = make_model(layer, Pool("first"), classes=1)
        found = explain(model, self.SERIES, 0, eps=1.0, bias_factor=1.0)
        assert (found.biases, found.stabilizers, found.tokens) == (2.25, 0.75, 0.0)

    @pytest.mark.parametrize(
        ("kind", "counts", "expected"),
        [
            ("max", False, [1.0, 3.0, 4.0]),
            ("mean", False, [1.0, 2.5, 4.0]),
            ("mean", True, [0.5, 2.5, 2.0]),
        ],
    )
    def test_a_pool(self, kind: Any, counts: bool, expected: list[float]) -> None:
        layer = WindowPool(kind, Window(2, 2, padding=(1, 1)), counts)
        assert forward(layer, [self.SERIES]).ravel().tolist() == expected

    def test_padding_is_never_the_largest(self) -> None:
        layer = WindowPool("max", Window(2, 2, padding=(1, 1)))
        assert forward(layer, [-self.SERIES]).ravel().tolist() == [-1.0, -2.0, -4.0]

    def test_what_a_pool_of_nothing_gets_is_the_initial_state_s(self) -> None:
        model = make_model(
            WindowPool("mean", Window(1, padding=(1, 0))),
            Dense(one(1.0), np.array([2.0])),
            Pool("first"),
            classes=1,
        )
        found = explain(model, self.SERIES, 0, eps=0.0, bias_factor=1.0)
        assert (found.initial_state, found.tokens) == (2.0, 0.0)

    def test_what_added_steps_get_is_the_padding_s(self) -> None:
        model = make_model(Pad(1, 2), Dense(one(1.0), np.array([2.0])), Pool("sum"), classes=1)
        found = explain(model, self.SERIES, 0, eps=0.0, bias_factor=1.0)
        assert_allclose(found.relevance, self.SERIES + 2.0)
        assert found.padding == pytest.approx(6.0)

    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            (Upsample(2), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]),
            (Crop(1, 2), [2.0]),
            (Crop(3, 2), []),
            (Pad(1, 2), [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 0.0]),
        ],
    )
    def test_steps_that_are_copied_left_out_or_added(
        self, layer: Any, expected: list[float]
    ) -> None:
        assert forward(layer, [self.SERIES]).ravel().tolist() == expected


class TestAttentionByHand:
    VALUES = np.array([[1.0, 2.0], [3.0, 5.0]])

    def test_one_head_of_which_both_steps_have_a_half(self) -> None:
        layer = Attention()
        sources = [np.zeros((1, 2)), self.VALUES, np.ones((2, 2))]
        assert forward(layer, sources).tolist() == [[2.0, 3.5]]

    def test_a_causal_query_sees_nothing_behind_it(self) -> None:
        layer = Attention(causal=True)
        sources = [np.zeros((2, 2)), self.VALUES, np.ones((2, 2))]
        assert forward(layer, sources).tolist() == [[1.0, 2.0], [2.0, 3.5]]

    def test_each_head_has_its_own_units(self) -> None:
        # of head 0 both keys fit alike, of head 1 the second by ln 3 more
        keys = np.array([[1.0, 0.0], [1.0, np.log(3.0)]])
        found = forward(Attention(heads=2), [np.ones(2), self.VALUES, keys])
        assert_allclose(found, [2.0, 0.25 * 2.0 + 0.75 * 5.0])

    def test_additive_fits(self) -> None:
        factors = np.array([np.log(3.0) / np.tanh(1.0), 0.0])
        layer = Attention("additive", factors=factors)
        keys = np.array([[0.0, 9.0], [1.0, -9.0]])
        assert_allclose(forward(layer, [np.zeros(2), self.VALUES, keys]), [2.5, 4.25])

    def explained(self, gates: GateRule) -> Any:
        """A query 1 and keys 0 and ln 3: weights 1/4 and 3/4 of values 8 and 4."""
        nodes = (
            Node(Select(0, 1), (MODEL_INPUT,)),
            Node(Select(1, 2), (MODEL_INPUT,)),
            Node(Attention(), (MODEL_INPUT - 1, 0, 1)),
        )
        inputs = (Input(2, name="a"), Input(1, name="q", steps=False))
        model = Model(nodes, (2,), (Head(1),), np.dtype("float64"), inputs)
        sequence = (np.array([[8.0, 0.0], [4.0, np.log(3.0)]]), np.ones(1))
        return explain(model, sequence, 0, eps=0.0, bias_factor=0.0, gates=gates)

    def test_by_lrp_all_the_values_have_everything(self) -> None:
        found = self.explained("lrp-all")
        assert_allclose(found.relevance[0], [[2.0, 0.0], [3.0, 0.0]])
        assert_allclose(found.relevance[1], [0.0])

    def test_by_lrp_half_fits_are_halved_between_queries_and_keys(self) -> None:
        # 1 and 1.5 are the weights'; of the first, whose fit is 0, the stabilizer has all
        found = self.explained("lrp-half")
        assert_allclose(found.relevance[0], [[1.0, 0.0], [1.5, 0.75]])
        assert_allclose(found.relevance[1], [0.75])
        assert found.stabilizers == pytest.approx(1.0)

    def test_a_query_that_sees_nothing_gives_what_it_gets_to_the_initial_state(self) -> None:
        nodes = (
            Node(Attention(), (MODEL_INPUT - 1, MODEL_INPUT, MODEL_INPUT)),
            Node(Dense(np.ones((1, 2)), np.array([2.0])), (0,)),
        )
        inputs = (Input(2, name="a"), Input(2, name="q", steps=False))
        model = Model(nodes, (1,), (Head(1),), np.dtype("float64"), inputs)
        sequence = (np.zeros((0, 2)), np.ones(2))
        found = explain(model, sequence, 0, eps=0.0, bias_factor=1.0)
        assert (found.initial_state, found.tokens) == (2.0, 0.0)


class TestNormalize:
    # mean 2, variance 1, deviation sqrt(1 + 3) = 2
    LAYER = Normalize(np.array([4.0, 2.0]), np.array([10.0, 20.0]), 3.0)

    def test_the_units_of_a_step(self) -> None:
        assert forward(self.LAYER, [np.array([[3.0, 1.0]])]).tolist() == [[12.0, 19.0]]

    def test_a_group_at_all_steps(self) -> None:
        layer = replace(self.LAYER, groups=2)
        found = forward(layer, [np.array([[3.0, 7.0], [1.0, 7.0]])])
        assert found.tolist() == [[12.0, 20.0], [8.0, 20.0]]

    def test_the_deviation_is_a_constant_and_the_mean_is_not(self) -> None:
        model = make_model(self.LAYER, Pool("first"), Select(0, 1), classes=1)
        found = explain(model, np.array([[3.0, 1.0]]), 0, eps=0.0, bias_factor=0.0)
        # 12 = 10 + 2 (3 - 3 / 2 - 1 / 2)
        assert_allclose(found.relevance, [[3.0, -1.0]])
        assert found.biases == pytest.approx(10.0)
        at = [(1.0, 0.0), (0.0, 1.0)]
        slopes = [derivative(model, np.array([[3.0, 1.0]]), np.array([v]), 0) for v in at]
        # 2 / 2 of each, less what the deviation grows by: 4 * 1 * (1 / 2) / 2^3
        assert_allclose(slopes, [1.0 - 0.25, -1.0 + 0.25])


class TestShapes:
    def test_vectors_become_steps_and_steps_change_places_with_units(self) -> None:
        vector = np.arange(4.0)
        assert forward(Unflatten(2), [vector]).tolist() == [[0.0, 1.0], [2.0, 3.0]]
        assert forward(Repeat(2), [vector[:2]]).tolist() == [[0.0, 1.0], [0.0, 1.0]]
        steps = np.arange(6.0).reshape(3, 2)
        assert forward(Transpose(3), [steps]).tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]

    def test_copies_give_what_they_get_together(self) -> None:
        model = make_model(Pool("last"), Repeat(3), Pool("sum"), classes=1)
        found = explain(model, np.array([[1.0], [2.0]]), 0, eps=0.0, bias_factor=0.0)
        assert_allclose(found.relevance, [[0.0], [6.0]])

    def test_each_pair_of_steps_has_a_graph_of_its_own(self) -> None:
        layer = Each((Node(Pool("max"), (MODEL_INPUT,)),), 0, 2)
        series = np.array([[1.0], [4.0], [3.0], [2.0]])
        assert forward(layer, [series]).tolist() == [[4.0], [3.0]]
        assert forward(layer, [series[:0]]).shape == (0, 1)
        found = explain(
            make_model(layer, Pool("sum"), classes=1), series, 0, eps=0.0, bias_factor=0.0
        )
        assert_allclose(found.relevance, [[0.0], [4.0], [3.0], [0.0]])


def test_differences_and_largest_parts() -> None:
    nodes = (
        Node(Pool("first"), (MODEL_INPUT,)),
        Node(Pool("last"), (MODEL_INPUT,)),
        Node(Merge("difference"), (0, 1)),
        Node(Merge("max"), (0, 1)),
    )
    model = Model(nodes, (2, 3), (Head(2), Head(2)), np.dtype("float64"), (Input(2),))
    series = np.array([[5.0, 1.0], [3.0, 1.0]])
    assert scores_of(model, series).tolist() == [2.0, 0.0, 5.0, 1.0]
    by_target = [
        explain(model, series, target, eps=0.0, bias_factor=0.0).relevance.tolist()
        for target in (0, 2, 3)
    ]
    assert by_target == [
        [[5.0, 0.0], [-3.0, 0.0]],
        [[5.0, 0.0], [0.0, 0.0]],
        [[0.0, 1.0], [0.0, 0.0]],  # of equal ones the first
    ]


def test_activations_below_and_above_0() -> None:
    values = np.array([[-2.0, 4.0], [1.0, -1.0]])
    assert forward(LeakyRelu(np.array([0.5])), [values]).tolist() == [[-1.0, 4.0], [1.0, -0.5]]
    slopes = LeakyRelu(np.array([0.5, 0.25]))
    assert forward(slopes, [values]).tolist() == [[-1.0, 4.0], [1.0, -0.25]]
