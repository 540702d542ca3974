"""Which datasets that no layer uses are weights all the same, so that their lack is told of."""

import re
from collections.abc import Mapping, Sequence

from lstm_lrp_cli.loading.weight_file import Stored

# What training keeps beside the weights, by a part of its name: an optimizer's state, losses.
OF_TRAINING = re.compile(
    r"optim|schedul|loss|criterion|metric|seed_generator|grad_scaler|amp_scaler|callback|iteration"
)
# What TensorFlow 1 calls an optimizer's slots and its averages, behind the weight's own name.
SLOT = re.compile(
    r"/(adam|adamax|rmsprop|momentum|adagrad|adadelta|ftrl\w*|exponential\w*)(_\d+)?$"
)
LONGEST_LIST = 12


def unused_weights(
    datasets: Mapping[str, Stored], used: set[str], told: Sequence[str]
) -> list[str]:
    """The datasets that may be weights of a layer and that no layer uses.

    Single numbers, whole numbers and texts are none, and neither is what training keeps.

    Parameters
    ----------
    datasets : mapping of str to Stored
        All that the file holds.
    used : set of str
        Those that a part of the model came from.
    told : sequence of str
        Names, or patterns such as `decoder.*`, of those that the mapping says no layer uses.
    """
    return [
        name
        for name, stored in datasets.items()
        if name not in used
        and stored.shape
        and stored.dtype.startswith(("float", "bfloat"))
        and not _is_of_training(name.lower())
        # Beside the state dict that is read, a checkpoint may keep the same once more.
        and name.rsplit("/", 1)[-1] not in used
        and not any(_is_meant(name, each) for each in told)
    ]


def _is_meant(name: str, pattern: str) -> bool:
    """Whether a name is a pattern's; only `*` stands for others, since names have brackets."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _is_of_training(name: str) -> bool:
    return bool(OF_TRAINING.search(name) or SLOT.search(name))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; the first few of many."""
    more = len(names) - LONGEST_LIST
    return ", ".join(names[:LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")
