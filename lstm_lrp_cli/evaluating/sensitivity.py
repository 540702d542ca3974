"""How much relevance changes as the input hardly does: the maximum sensitivity of Yeh et al. 2019,
"On the (In)fidelity and Sensitivity of Explanations", relative to the relevance itself.
"""

from dataclasses import replace

import numpy as np

from lstm_lrp_cli.engine.forward import Trace, forward
from lstm_lrp_cli.evaluating.experiment import Experiment
from lstm_lrp_cli.sequences.batching import Batch


def moved(trace: Trace, batch: Batch, experiment: Experiment, draw: int, keep_gates: bool) -> Trace:
    """The forward pass over a batch whose (embedded) numbers are moved by a little, each alone.

    Each by a number that is drawn evenly from -1 to 1, times the radius, times the root mean square
    of its sequence's numbers. A sequence is moved alike in whatever company.
    """
    rows = batch.own_rows
    sequence = trace.packing.sequence[rows]
    embedded = np.array(trace.embedded)
    values = embedded[rows]
    counts = np.bincount(sequence, minlength=trace.packing.batch)
    squares = np.bincount(sequence, np.square(values).mean(axis=1), len(counts))
    sizes = np.sqrt(squares / np.maximum(counts, 1))
    noise = np.concatenate(
        [
            np.random.default_rng((experiment.seed, draw, each.number)).uniform(
                -1.0, 1.0, (count, values.shape[1])
            )
            for each, count in zip(batch.sequences, counts.tolist(), strict=True)
        ]
    )
    embedded[rows] += (experiment.radius * sizes[sequence])[:, np.newaxis] * noise
    numeric = replace(trace.model, embedding=None)
    return forward(numeric, embedded, trace.packing, None, keep_gates)
