"""Explaining several sequences with the engine in one batch, and getting them back one by one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from lstm_lrp_cli.model.model import Model


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
    """One sequence's scores, its relevance of shape (steps, features) or (steps,), its ledger."""

    scores: Floats
    relevance: Floats
    ledger: Ledger | None


def run_together(
    model: Model,
    sequences: Sequence[NDArray[Any]],
    table: TokenTable | None = None,
    keep_gates: bool = False,
) -> tuple[Trace, list[int]]:
    """The forward pass of one batch, and the place of each of its sequences in what was given."""
    order = sorted(range(len(sequences)), key=lambda k: -len(sequences[k]))
    packing = Packing(np.array([len(sequences[k]) for k in order], dtype=np.intp))
    inputs = packing.pack(np.concatenate([sequences[k] for k in order]))
    embedding = model.only_input.embedding
    if embedding is None:
        inputs = inputs.astype(model.dtype)
    tables = () if table is None else (table,)
    return Runner(model, tables, keep_gates).forward([Given(inputs, packing, embedding)]), order


def explain_together(
    model: Model,
    sequences: Sequence[NDArray[Any]],
    targets: Sequence[int],
    rule: LrpRule,
    steps: Sequence[int] | None = None,
    reach: Reach = "features",
    table: TokenTable | None = None,
) -> list[Explained]:
    """Explain one target of each sequence by LRP; the results are in the order of what was given.

    Of a model that gives scores at every step, `steps` has the step of each sequence.
    """
    trace, order = run_together(model, sequences, table)
    return each_explained(Lrp(rule), trace, order, targets, steps, reach)


def explain_by(
    method: Method,
    model: Model,
    sequences: Sequence[NDArray[Any]],
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
        at = [trace.packings[0].offsets[steps[k]] + place for place, k in enumerate(order)]
        scores, rows = scores[at], np.array(at)
    found = method.explain(trace, Chosen(np.array([targets[k] for k in order]), rows), reach)
    of_sequences = cut(found.values[0], trace.packings[0])
    ledgers = [None] * len(order) if found.ledgers is None else found.ledgers
    results = {
        k: Explained(*of_sequence)
        for k, *of_sequence in zip(order, scores, of_sequences, ledgers, strict=True)
    }
    return [results[k] for k in range(len(order))]


def cut(rows: Floats, packing: Packing) -> list[Floats]:
    """Cut packed rows into one array a sequence, in the batch's order."""
    return np.split(rows[packing.by_sequence], np.cumsum(packing.lengths)[:-1])
