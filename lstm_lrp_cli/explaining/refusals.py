"""The errors about sequences that a model does not take, or makes no finite numbers of."""

import numpy as np

from lstm_lrp_cli.engine.records import TooLarge, WrongSteps
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import Batch
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model


def refuse_filled(batch: Batch) -> None:
    """Refuse sequences that padding fills up, where scores are of their own steps alone."""
    for each in batch.packed:
        short = np.flatnonzero(each.real < each.packing.lengths)
        if len(short):
            real, length = int(each.real[short[0]]), int(each.packing.lengths[short[0]])
            raise UnusableInput(
                f"sequence {batch.sequences[short[0]].number}",
                f"has {real} step{'s' * (real != 1)} and is filled up to {length}, and padding has "
                f"no reconstruction error; expected sequences of {length} steps or more",
            )


def wrong_steps(wrong: WrongSteps, batch: Batch, *, fills: bool) -> UnusableInput:
    """The error about a sequence of another number of steps than a layer takes.

    Parameters
    ----------
    fills : bool
        Whether padding would mend it.
    """
    lengths = [int(each.packing.lengths[wrong.sequence]) for each in batch.packed]
    problem = f"has {' and '.join(map(str, lengths))} steps"
    as_given = wrong.found in lengths
    if not as_given:
        problem += f", of which a layer is given {wrong.found}"
    problem += f", and the model {wrong.does.format(wrong.expected)}"
    if not fills:
        mend = "; expected sequences that the model gives back step by step"
        return UnusableInput(f"sequence {batch.sequences[wrong.sequence].number}", problem + mend)
    mend = "; cut longer sequences, and have shorter ones filled up by the mapping: padding"
    mend += f": {{length: {wrong.expected}, ..}}" if as_given else ""
    return UnusableInput(f"sequence {batch.sequences[wrong.sequence].number}", problem + mend)


def check_finite(values: Floats, problem: str, batch: Batch, model: Model) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        float32 = model.dtype == np.float32
        raise UnusableInput(
            f"sequence {batch.sequences[wrong[0]].number}",
            f"its {problem}; {'try --dtype float64; ' * float32}"
            "are the weights right, the values scaled, and --eps of a usual size?",
        )


def too_large(large: TooLarge, batch: Batch) -> UnusableInput:
    """The error about a sequence of which there is no room for what a layer makes."""
    lengths = [int(each.packing.lengths[0]) for each in batch.packed]
    needed, there = _bytes(large.needed), _bytes(large.there)
    return UnusableInput(
        f"sequence {batch.sequences[0].number}",
        f"has {' and '.join(f'{each:,}' for each in lengths)} steps, of which {large.does} takes "
        f"about {needed} of memory, and there is {there}; expected shorter sequences, or a part "
        "of this one",
    )


def _bytes(size: int) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    power = min(max(len(str(size)) - 1, 0) // 3, len(units) - 1)
    return f"{size / 1000**power:.3g} {units[power]}"
