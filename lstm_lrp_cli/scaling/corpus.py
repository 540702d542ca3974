"""Explaining a corpus as it flows: windows of sequences, batches of like length, in order."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from lstm_lrp_cli.engine.forward import Trace, forward
from lstm_lrp_cli.engine.relevance import relevance
from lstm_lrp_cli.engine.rules import EpsilonRule
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.layers import Embedding, Lstm
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.batching import Batch, batches
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.sequence import Sequence

Target = int | Literal["predicted", "gold", "all"]

# A batch's arrays take about this much memory. A window is so many batches, or fewer where its
# results, which wait for each other to be written in order, would take more than so much.
BATCH_BYTES = 32 * 2**20
WINDOW_BATCHES = 8
WINDOW_BYTES = 256 * 2**20


def explain_corpus(
    model: Model, sequences: Iterable[Sequence], rule: EpsilonRule, target: Target
) -> Iterator[Explanation]:
    """Explain sequences in their order, one explanation for each target of each.

    Parameters
    ----------
    sequences : iterable of Sequence
        Read as they are needed. Where reading fails, what was read before is explained first.
    target : int, "predicted", "gold" or "all"

    Raises
    ------
    UnusableInput
        A score is not a finite number.
    """
    for window in windows(model, sequences, model.classes if target == "all" else 1):
        found: dict[int, list[Explanation]] = {sequence.number: [] for sequence in window}
        for batch in batches(window, model, batch_rows(model)):
            for explanation in explain_batch(batch, run_batch(model, batch), rule, target):
                found[explanation.sequence.number].append(explanation)
        for sequence in window:
            yield from found[sequence.number]


def explain_batch(
    batch: Batch, trace: Trace, rule: EpsilonRule, target: Target
) -> Iterator[Explanation]:
    """Explain one batch from its forward pass, target by target."""
    predicted = trace.scores.argmax(axis=1)
    for targets in choose_targets(target, trace, batch, predicted):
        result = relevance(trace, targets, rule, batch.padding)
        _check_finite(result.ledgers.tokens[:, np.newaxis], "relevance", batch)
        of_sequences = batch.per_sequence(result.inputs)
        for k, sequence in enumerate(batch.sequences):
            yield Explanation(
                sequence,
                trace.scores[k],
                int(predicted[k]),
                int(targets[k]),
                of_sequences[k],
                result.ledgers[k],
            )


def run_batch(model: Model, batch: Batch) -> Trace:
    """The forward pass of a batch, whose scores must be finite."""
    trace = forward(model, batch.inputs, batch.packing)
    _check_finite(trace.scores, "scores", batch)
    return trace


def _check_finite(values: Floats, what: str, batch: Batch) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise UnusableInput(
            f"sequence {batch.sequences[wrong[0]].number}",
            f"its {what} overflow{'s' * (what == 'relevance')}; "
            "are the weights right, the values scaled, and --eps of a usual size?",
        )


def choose_targets(
    target: Target, trace: Trace, batch: Batch, predicted: Integers
) -> Iterator[Integers]:
    """The explained classes of a batch, each time one a sequence, shape (batch,)."""
    classes = trace.scores.shape[1]
    match target:
        case "predicted":
            yield predicted
        case "gold":
            golds = (sequence.gold for sequence in batch.sequences)
            # Only an empty line has no true class here.
            given = [predicted[k] if gold is None else gold for k, gold in enumerate(golds)]
            yield np.minimum(given, classes - 1)
        case "all":
            for number in range(classes):
                yield np.full(len(batch.sequences), number)
        case int():
            yield np.full(len(batch.sequences), target)


def windows(
    model: Model, sequences: Iterable[Sequence], targets: int = 1
) -> Iterator[list[Sequence]]:
    """Collect sequences up to a number of steps. Where reading fails, yield what there is first.

    Parameters
    ----------
    targets : int
        How many explanations of each sequence are kept until the window is done.
    """
    result_bytes = targets * model.input_size * model.dtype.itemsize
    limit = min(WINDOW_BATCHES * batch_rows(model), WINDOW_BYTES // result_bytes)
    window: list[Sequence] = []
    steps = 0
    try:
        for sequence in sequences:
            window.append(sequence)
            steps += max(len(sequence), model.padding.length if model.padding else 0, 1)
            if steps >= limit:
                yield window
                window, steps = [], 0
    except UnusableInput:
        if window:
            yield window
        raise
    if window:
        yield window


def batch_rows(model: Model) -> int:
    """How many steps make a batch, from the arrays that the engine keeps for each."""
    values = 0
    for layer in model.layers:
        match layer:
            case Embedding():
                values += layer.weights.shape[1]
            case Lstm():
                values += sum(14 * cell.hidden_size + cell.input_size for cell in layer.cells)
    return max(BATCH_BYTES // (values * model.dtype.itemsize), 256)
