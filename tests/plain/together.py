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
    relevance: Any
    ledger: Ledger | None


def given_together(model: Model, sequences: Sequence[Any]) -> tuple[list[Given], list[int]]:
    """One batch, and the place of each of its sequences in what was given."""
    each = [by_input(sequence) for sequence in sequences]
    lengths = [
        [len(part) if read.steps else 1 for part, read in zip(parts, model.inputs, strict=True)]
        for parts in each
    ]
    order = sorted(range(len(each)), key=lambda k: [-length for length in lengths[k]])
    of_inputs = [[each[k][number] for k in order] for number in range(len(model.inputs))]
    pairs = zip(model.inputs, of_inputs, strict=True)
    return [_given(model, read, parts) for read, parts in pairs], order


def _given(model: Model, read: Input, parts: list[NDArray[Any]]) -> Given:
    rows = parts if read.steps else [part[np.newaxis] for part in parts]
    packing = Packing(np.array(list(map(len, rows)), dtype=np.intp))
    array = packing.pack(np.concatenate(rows))
    if read.embedding is None:
        array = array.astype(model.dtype)
    return Given(array, packing, read.embedding, is_sequence=read.steps)


def run_together(
    model: Model,
    sequences: Sequence[Any],
    tables: Sequence[TokenTable | None] = (),
    keep_gates: bool = False,
) -> tuple[Trace, list[int]]:
    """The forward pass of one batch, and the place of each of its sequences in what was given."""
    given, order = given_together(model, sequences)
    return Runner(model, tables, keep_gates).forward(given), order


def explain_together(
    model: Model,
    sequences: Sequence[Any],
    targets: Sequence[int],
    rule: LrpRule,
    steps: Sequence[int] | None = None,
    reach: Reach = "features",
    tables: Sequence[TokenTable | None] = (),
) -> list[Explained]:
    """Explain one target of each sequence by LRP; the results are in the order of what was given.

    Of a model that gives scores at every step, `steps` has the step of each sequence.
    """
    trace, order = run_together(model, sequences, tables)
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
    chosen = chosen_together(trace, order, targets, steps)
    scores = trace.scores if chosen.rows is None else trace.scores[chosen.rows]
    found = method.explain(trace, chosen, reach)
    of_sequences = cut_apart(found.values, trace)
    ledgers = [None] * len(order) if found.ledgers is None else found.ledgers
    results = {
        k: Explained(*of_sequence)
        for k, *of_sequence in zip(order, scores, of_sequences, ledgers, strict=True)
    }
    return [results[k] for k in range(len(order))]


def chosen_together(
    trace: Trace, order: list[int], targets: Sequence[int], steps: Sequence[int] | None
) -> Chosen:
    """The score of each sequence that is explained."""
    rows = None
    if steps is not None:
        assert trace.steps is not None
        rows = np.array([trace.steps.offsets[steps[k]] + n for n, k in enumerate(order)])
    return Chosen(np.array([targets[k] for k in order]), rows)


def cut_apart(values: Sequence[Floats], trace: Trace) -> list[Any]:
    """What each sequence has of the inputs' values: of several inputs, a tuple."""
    several = [_cut_input(each, given) for each, given in zip(values, trace.given, strict=True)]
    return several[0] if len(several) == 1 else list(zip(*several, strict=True))


def _cut_input(rows: Floats, given: Given) -> list[Floats]:
    of_sequences = cut(rows, given.packing)
    if given.is_sequence:
        return of_sequences
    return [np.atleast_1d(of_vector[0]) for of_vector in of_sequences]


def cut(rows: Floats, packing: Packing) -> list[Floats]:
    """Cut packed rows into one array a sequence, in the batch's order."""
    return np.split(rows[packing.by_sequence], np.cumsum(packing.lengths)[:-1])


def side_by_side(values: Any) -> Floats:
    """All numbers of what one or several inputs have, as one vector."""
    return np.concatenate([np.ravel(each) for each in by_input(values)])
