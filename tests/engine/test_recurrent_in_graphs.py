"""Recurrent layers with several inputs, and in graphs of their own: as the plain version has."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import plain_decomposition
import plain_lrp
import pytest
from hypothesis import given, settings
from made_models import make_model
from msgspec.structs import replace
from plain_forward import by_input, embedded
from plain_gradient import derivative
from random_models import Case, cases, draw_until
from together import (
    chosen_together,
    cut_apart,
    explain_by,
    explain_together,
    run_together,
    side_by_side,
)

from lstm_lrp_cli.engine.forward import row_bytes
from lstm_lrp_cli.engine.methods.contextual_decomposition import ContextualDecomposition
from lstm_lrp_cli.engine.methods.gradient import gradient
from lstm_lrp_cli.engine.records import TOLERANCES, Ledger, Reach
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.engine.rules import GateRuleName
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Dense, Embedding, Layer
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, Recurrent, RnnCell, SimpleRnn

SHARES = ("tokens", "initial_state", "biases", "stabilizers")
AMOUNTS = (*SHARES, "stabilizers_size")
TOLERANCE = 1e-10
ALL_RULES = pytest.mark.parametrize("gates", get_args(GateRuleName))
FAMILIES = [("recurrent", "inputs"), ("recurrent", "each")]
of_families = pytest.mark.parametrize("families", FAMILIES, ids="-".join)
property_test = settings(max_examples=28, deadline=None, derandomize=True, database=None)


def drawn(families: Sequence[str]) -> Any:
    return given(cases(families=families))


def assert_close(found: Any, expected: Any, largest: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(largest, 1.0))


def shares_of(ledger: Ledger) -> list[float]:
    assert ledger.stabilizers_size is not None
    return [*(ledger[share] for share in SHARES), ledger.stabilizers_size]


@of_families
@ALL_RULES
def test_scores_relevance_and_every_share_of_the_ledger(
    families: tuple[str, ...], gates: GateRuleName
) -> None:
    @property_test
    @drawn(families)
    def compare(case: Case) -> None:
        rule = replace(case.rule, gates=gates)
        explained = explain_together(*case._replace(rule=rule))
        of_steps = explain_together(*case._replace(rule=rule), reach="steps")
        for k, (found, whole) in enumerate(zip(explained, of_steps, strict=True)):
            plain = plain_lrp.explain(
                case.model,
                case.sequences[k],
                case.targets[k],
                eps=rule.eps,
                bias_factor=rule.bias_factor,
                gates=gates,
                step=None if case.steps is None else case.steps[k],
            )
            assert_close(found.scores, plain.scores, np.abs(plain.scores).max())
            relevance, shares = side_by_side(plain.relevance), [getattr(plain, a) for a in AMOUNTS]
            largest = max(np.abs(relevance).max(initial=0.0), np.abs(shares).max())
            assert_close(side_by_side(found.relevance), relevance, largest)
            assert found.ledger is not None
            assert_close(shares_of(found.ledger), shares, largest)
            assert found.ledger.relative_residual < TOLERANCES[np.dtype(np.float64)]
            steps = [np.atleast_2d(each).sum(axis=1) for each in by_input(plain.relevance)]
            assert_close(side_by_side(whole.relevance), side_by_side(tuple(steps)), largest)
            assert whole.ledger is not None
            assert_close(shares_of(whole.ledger), shares, largest)

    compare()


@of_families
def test_gradients(families: tuple[str, ...]) -> None:
    """Along a random direction of all inputs at once, by a complex step."""

    @property_test
    @drawn(families)
    def compare(case: Case) -> None:
        rng = np.random.default_rng(0)
        trace, order = run_together(case.model, case.sequences, keep_gates=True)
        chosen = chosen_together(trace, order, case.targets, case.steps)
        apart = cut_apart(gradient(trace, chosen), trace)
        of_steps = cut_apart(gradient(trace, chosen, "steps"), trace)
        for place, k in enumerate(order):
            values = embedded(case.model, case.sequences[k])
            along = tuple(rng.normal(size=each.shape) for each in by_input(values))
            step = None if case.steps is None else case.steps[k]
            expected = derivative(case.model, values, along, case.targets[k], step)
            products = side_by_side(along) * side_by_side(apart[place])
            assert_close(products.sum(), expected, float(np.abs(products).sum()))
            times_input = [
                (np.atleast_2d(value) * own).sum(axis=1)
                for value, own in zip(by_input(values), by_input(apart[place]), strict=True)
            ]
            largest = float(np.abs(side_by_side(tuple(times_input))).max(initial=0.0))
            assert_close(side_by_side(of_steps[place]), side_by_side(tuple(times_input)), largest)

    compare()


@of_families
def test_contextual_decomposition(families: tuple[str, ...]) -> None:
    @property_test
    @drawn(families)
    def compare(case: Case) -> None:
        method = ContextualDecomposition()
        both = [
            explain_by(method, case.model, case.sequences, case.targets, case.steps, reach)
            for reach in get_args(Reach)
        ]
        for k, sequence in enumerate(case.sequences):
            at: Any = case.targets[k] if case.steps is None else (case.steps[k], case.targets[k])
            of_features, of_steps = (by_input(found[k].relevance) for found in both)
            for number, values in enumerate(by_input(embedded(case.model, sequence))):
                for t, step in enumerate(np.atleast_2d(values)):
                    parts = plain_decomposition.decompose(case.model, sequence, [t], number)
                    largest = float(np.abs(parts.relevant).max() + np.abs(parts.irrelevant).max())
                    assert_close(of_steps[number][t], parts.relevant[at], largest)
                    if t == 0:
                        entry = plain_decomposition.decompose_entry(
                            case.model, sequence, t, len(step) - 1, number
                        )
                        last = np.atleast_2d(of_features[number])[t, -1]
                        assert_close(last, entry.relevant[at], largest)
            for found in both:
                assert found[k].ledger.relative_residual < 1e-10

    compare()


def look(case: Case, seen: set[object]) -> None:
    """Note what recurrent layers a case has."""
    for node in case.model.nodes:
        layer = node.layer
        if isinstance(layer, Recurrent):
            kind: list[object] = [type(layer), layer.returns]
            if isinstance(layer, Lstm):
                kind.append(layer.gives_cell)
            if isinstance(layer, Gru):
                kind.append(layer.cells[0].reset_after)
            seen.add((*kind, len(node.sources)))
            seen.add((type(layer), layer.merge, len(layer.cells)))


def test_the_strategy_draws_every_kind_of_layer() -> None:
    wanted: set[object] = set()
    for returns in ("last", "sequence"):
        for sources in (1, 2):
            wanted.add((SimpleRnn, returns, sources))
            for either in (False, True):
                wanted |= {(Lstm, returns, either, sources), (Gru, returns, either, sources)}
    for kind in (Lstm, Gru, SimpleRnn):
        wanted |= {(kind, merge, 2) for merge in ("concat", "sum", "mean", "product")}
    assert draw_until(wanted, cases(families=("recurrent",)), look, rounds=8) >= wanted


HIDDEN, FEATURES = 3, 2


def cell_of(kind: str, rng: np.random.Generator, backward: bool = False) -> Any:
    def weights(*shape: int) -> Floats:
        return rng.normal(size=shape)

    match kind:
        case "lstm":
            return LstmCell(
                weights(4, HIDDEN, FEATURES),
                weights(4, HIDDEN, HIDDEN),
                weights(4, HIDDEN),
                backward,
            )
        case "rnn":
            return RnnCell(
                weights(HIDDEN, FEATURES), weights(HIDDEN, HIDDEN), weights(HIDDEN), backward
            )
    after = kind == "gru-after"
    return GruCell(
        weights(3, HIDDEN, FEATURES),
        weights(3, HIDDEN, HIDDEN),
        weights(3, HIDDEN),
        weights(HIDDEN) if after else None,
        after,
        backward,
    )


LAYERS: dict[str, Any] = {"lstm": Lstm, "gru-after": Gru, "gru-before": Gru, "rnn": SimpleRnn}
each_kind = pytest.mark.parametrize("kind", list(LAYERS))


def made(kind: str, *, directions: int = 1, dtype: str = "float64", **given: Any) -> Model:
    rng = np.random.default_rng(8)
    cells = tuple(cell_of(kind, rng, backward=bool(k)) for k in range(directions))
    layer: Layer = LAYERS[kind](cells, **given)
    head = Dense(rng.normal(size=(2, HIDDEN * directions)), rng.normal(size=2))
    return make_model(
        Embedding(rng.normal(size=(7, FEATURES))), layer, head, classes=2, dtype=dtype
    )


@each_kind
@pytest.mark.parametrize("directions", [1, 2])
def test_the_size_of_a_token_in_a_table_is_known_beforehand(kind: str, directions: int) -> None:
    model = made(kind, directions=directions, dtype="float32")
    embedding = model.inputs[0].embedding
    assert embedding is not None
    table = TokenTable.of(model, MODEL_INPUT, embedding, np.array([2, 5, 2]))
    taken = [
        array for cell in table.cells[0] for array in (*cell.gates, cell.candidate, cell.products)
    ]
    assert sum(array.nbytes for array in taken) == 2 * TokenTable.bytes_of_token(model, MODEL_INPUT)


@each_kind
def test_the_memory_of_a_step_is_no_less_than_what_is_kept_of_it(kind: str) -> None:
    model = made(kind)
    trace, _ = run_together(model, [np.array([1, 2, 3, 4])], keep_gates=True)
    [cell] = trace.records[0].cells
    own = [getattr(cell, name) for name in cell.__struct_fields__]
    kept = {id(array): array.nbytes for array in own if isinstance(array, np.ndarray)}
    assert len(kept) > 1
    assert sum(kept.values()) <= 4 * row_bytes(model, keep_gates=True)
