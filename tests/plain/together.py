"""Explaining several sequences with the engine in one batch, and getting them back one by one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from plain_forward import by_input

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Ledger, Reach
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Input, Model


def lrp_ledger(
    score: float,
    tokens: float = 0.0,
    initial_state: float = 0.0,
    biases: float = 0.0,
    stabilizers: float = 0.0,
    padding: float = 0.0,
    stabilizers_size: float = 0.0,
) -> Ledger:
    """A ledger with the shares that LRP has."""
    return Ledger(
        score,
        {
            "tokens": tokens,
            "initial_state": initial_state,
            "biases": biases,
            "stabilizers": stabilizers,
            "padding": padding,
        },
        stabilizers_size,
    )


def lrp_all(eps: float = 1e-3, bias_factor: float = 0.0) -> Method:
    """LRP-all, as the command line makes it."""
    return METHODS["lrp-all"](Settings(eps, bias_factor))


class Explained(NamedTuple):
    """One sequence's scores, its relevance of shape (steps, features) or (steps,), its ledger.

    Of a model with several inputs relevance is a tuple; that of one vector is of shape (features,),
    or (1,) as a whole.
    """

    scores: Floats
    relevance: Floats | tuple[Floats, ...]
    ledger: Ledger | None


def run_together(
    model: Model,
    sequences: Sequence[Any],
    table: TokenTable | None = None,
    keep_gates: bool = False,
) -> tuple[Trace, list[int]]:
    """The forward pass of one batch, and the place of each of its sequences in what was given."""
    order = sorted(range(len(sequences)), key=lambda k: -len(by_input(sequences[k])[0]))
    in_order = [by_input(sequences[k]) for k in order]
    given = [
        _packed(of, [sequence[number] for sequence in in_order], model)
        for number, of in enumerate(model.inputs)
    ]
    tables = () if table is None else (table,)
    return Runner(model, tables, keep_gates).forward(given), order


def _packed(of: Input, arrays: list[NDArray[Any]], model: Model) -> Given:
    """What one input is given of a batch."""
    if not of.steps:
        vectors = np.stack(arrays).astype(model.dtype)
        return Given(vectors, Packing.of_vectors(len(arrays)), is_sequence=False)
    packing = Packing(np.array([len(array) for array in arrays], dtype=np.intp))
    rows = packing.pack(np.concatenate(arrays))
    return Given(
        rows if of.embedding is not None else rows.astype(model.dtype), packing, of.embedding
    )


def explain_together(
    model: Model,
    sequences: Sequence[Any],
    targets: Sequence[int],
    rule: LrpRule,
    steps: Sequence[int] | None = None,
    reach: Reach = "features",
    table: TokenTable | None = None,
) -> list[Explained]:
    """Explain one target of each sequence by LRP; the results are in the order of what was given.

    Of a model that gives scores at every step, `steps` has the step of the scores of each sequence.
    """
    trace, order = run_together(model, sequences, table)
    return each_explained(Lrp(rule), trace, order, targets, steps, reach)


def explain_by(
    method: Method,
    model: Model,
    sequences: Sequence[Any],
    targets: Sequence[int],
    steps: Sequence[int] | None = None,
    reach: Reach = "features",
) -> list[Explained]:
    """The same by any method."""
    trace, order = run_together(model, sequences, keep_gates=method.keeps_gates)
    return each_explained(method, trace, order, targets, steps, reach)


def each_explained(
    method: Method,
    trace: Trace,
    order: list[int],
    targets: Sequence[int],
    steps: Sequence[int] | None,
    reach: Reach,
) -> list[Explained]:
    """Explain a batch, and tell its sequences apart again, in the order of what was given."""
    scores, rows = trace.scores, None
    if steps is not None:
        assert trace.steps is not None
        at = [trace.steps.offsets[steps[k]] + place for place, k in enumerate(order)]
        scores, rows = scores[at], np.array(at)
    found = method.explain(trace, Chosen(np.array([targets[k] for k in order]), rows), reach)
    of_inputs = [
        _cut_input(values, given) for values, given in zip(found.values, trace.given, strict=True)
    ]
    of_sequences = of_inputs[0] if len(of_inputs) == 1 else list(zip(*of_inputs, strict=True))
    ledgers = [None] * len(order) if found.ledgers is None else found.ledgers
    results = {
        k: Explained(*of_sequence)
        for k, *of_sequence in zip(order, scores, of_sequences, ledgers, strict=True)
    }
    return [results[k] for k in range(len(order))]


def _cut_input(rows: Floats, given: Given) -> list[Floats]:
    of_sequences = cut(rows, given.packing)
    if given.is_sequence:
        return of_sequences
    return [np.atleast_1d(of_vector[0]) for of_vector in of_sequences]


def cut(rows: Floats, packing: Packing) -> list[Floats]:
    """Cut packed rows into one array a sequence, in the batch's order."""
    return np.split(rows[packing.by_sequence], np.cumsum(packing.lengths)[:-1])
