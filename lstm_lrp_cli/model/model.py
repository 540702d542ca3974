"""A whole model: its layers, and what its inputs and outputs mean."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lstm_lrp_cli.model.layers import Dense, Embedding, Layer, Lstm
from lstm_lrp_cli.model.text import Padding, Tokenization, Vocabulary

OutputActivation = Literal["linear", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained classifier or regressor, ready to be run and explained.

    Parameters
    ----------
    layers : tuple of Layer
        From input to scores. A softmax or sigmoid at the very end is not among them: what is
        explained is the score before it.
    output_activation : {"linear", "sigmoid", "softmax"}
        What the framework applies to the scores.
    classes : int
        The number of scores.
    dtype : numpy.dtype
        The precision of every weight.
    labels : tuple of str or None
        The names of the classes.
    vocabulary, tokenization, padding
        None where the model has no words, or was not trained on padded input.
    """

    layers: tuple[Layer, ...]
    output_activation: OutputActivation
    classes: int
    dtype: np.dtype[np.floating]
    labels: tuple[str, ...] | None = None
    vocabulary: Vocabulary | None = None
    tokenization: Tokenization = field(default_factory=Tokenization)
    padding: Padding | None = None

    @property
    def embedding(self) -> Embedding | None:
        first = self.layers[0]
        return first if isinstance(first, Embedding) else None

    @property
    def input_size(self) -> int:
        """Features of one step, after the embedding where there is one."""
        for layer in self.layers:
            match layer:
                case Embedding() | Dense():
                    return int(layer.weights.shape[1])
                case Lstm():
                    return layer.cells[0].input_size
        raise ValueError("a model without weights has no input size")

    def target_name(self, target: int) -> str | int:
        """The label of a class where there are labels, else its index."""
        return self.labels[target] if self.labels else target
