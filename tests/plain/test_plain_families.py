"""What holds of the plain versions for random models of every family of layers."""

from typing import Any, get_args

import numpy as np
import plain_perturbation
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from msgspec.structs import replace
from numpy.testing import assert_allclose
from plain_decomposition import decompose, decompose_entry
from plain_forward import by_input, embedded, scores_of
from plain_gradient import derivative
from plain_lrp import explain
from plain_rules import GateRule
from plain_stateful import as_each_begins
from random_models import (
    FAMILIES,
    Case,
    any_number_of_steps,
    cases,
    describable,
    draw_until,
    stateful,
)

from lstm_lrp_cli.model.layers import (
    Attention,
    Convolution,
    Crop,
    Each,
    LeakyRelu,
    Merge,
    Normalize,
    Pad,
    Repeat,
    Select,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

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
        found = explain(
            case.model,
            sequence,
            target,
            eps=case.rule.eps,
            bias_factor=(0.0, 0.4, 1.0)[k % 3],
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


def look(case: Case, seen: set[object]) -> None:
    """Note what a case has."""
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


def test_the_families_draw_every_kind() -> None:
    both = (True, False)
    recurrent = (Lstm, Gru, SimpleRnn)
    kinds = {
        UnitNorm,
        UnitSum,
        Convolution,
        Upsample,
        Pad,
        Crop,
        Unflatten,
        Repeat,
        Transpose,
        Normalize,
        Select,
    }
    wanted: set[object] = (
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
    every = st.sampled_from(FAMILIES).flatmap(lambda family: cases(families=[family]))
    assert draw_until(wanted, every, look, rounds=16) >= wanted
