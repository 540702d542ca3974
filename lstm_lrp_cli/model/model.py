"""A whole model: its layers and how they are connected, and what its inputs and outputs mean."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from . import Floats
from .layers import MODEL_INPUT, Embedding, Layer, Node
from .scaling import Scaling
from .text import Padding, Tokenization, Vocabulary

OutputActivation = Literal["linear", "sigmoid", "softmax"]


class Head(Struct, frozen=True):
    """Scores among which one class is predicted.

    Parameters
    ----------
    size : int
        The number of scores.
    activation : {"linear", "sigmoid", "softmax"}
        What the framework applies to them.
    name : str or None
        What the framework calls this output, where the model has several.
    """

    size: int
    activation: OutputActivation = "linear"
    name: str | None = None


class Input(Struct, frozen=True):
    """What a model is given of a sequence, or one of several such things.

    Parameters
    ----------
    size : int
        Features of one step, after the embedding where there is one.
    embedding : Embedding or None
        None where it takes numbers.
    name : str or None
        What the model calls it, where it has several.
    steps : bool
        Whether it is a sequence of steps; else it is one vector.
    vocabulary, tokenization, padding
        None where the input has no words, or was not padded.
    parts : int or None
        Where a sequence is made of sequences, as documents are of sentences, how many steps each of
        those has. The steps of all stand one after another.
    scaling : Scaling or None
        What numbers went through before they were padded, as a scaler of the user's own.
    own_scaling : Scaling or None
        What the model does to them itself before all else, padding too.
    features : tuple of str or None
        What its numbers are called, in their order, where somebody says it.
    """

    size: int
    embedding: Embedding | None = None
    name: str | None = None
    steps: bool = True
    vocabulary: Vocabulary | None = None
    tokenization: Tokenization = field(default_factory=Tokenization)
    padding: Padding | None = None
    parts: int | None = None
    scaling: Scaling | None = None
    own_scaling: Scaling | None = None
    features: tuple[str, ...] | None = None

    def scaled(self, values: Floats) -> Floats:
        """The numbers of the user's as the first layer has them, shape (steps, features)."""
        for each in (self.scaling, self.own_scaling):
            values = values if each is None else each.of(values)
        return values

    @property
    def step_values(self) -> int:
        """The numbers that a sequence holds of each step: a token's id, or its features."""
        return self.size if self.embedding is None else 1

    @property
    def masks(self) -> bool:
        """Whether the model passes over its padding."""
        return self.padding is not None and self.padding.masked

    @property
    def leaves_out(self) -> bool:
        """Whether unknown tokens are left out before the model sees them."""
        vocabulary = self.vocabulary
        return self.tokenization.skip and vocabulary is not None and vocabulary.unknown_id is None

    @property
    def cuts(self) -> bool:
        """Whether sequences that are too long are cut."""
        return self.padding is not None and self.padding.truncate is not None

    @property
    def skips(self) -> bool:
        """Whether the model may not be run on all steps of a sequence."""
        return self.masks or self.leaves_out or self.cuts


class Model(Struct, frozen=True):
    """A trained classifier or regressor, ready to be run and explained.

    Parameters
    ----------
    nodes : tuple of Node
        Each after those that feed it. A softmax or sigmoid at the very end is not among them: what
        is explained is the score before it.
    outputs : tuple of int
        The nodes whose outputs, side by side, are the scores.
    heads : tuple of Head
        The scores, in groups. Of a regressor, each score is a head of its own.
    dtype : numpy.dtype
        The precision of every weight.
    inputs : tuple of Input
        The first is MODEL_INPUT's, the second MODEL_INPUT - 1's.
    by_step : bool
        Whether there are scores for every step of a sequence, or once for the whole.
    regression : bool
        Whether the scores are the values that are predicted, and not of classes.
    undecided : bool
        Whether nobody says that of scores without a softmax or sigmoid, so that no class is
        predicted among them.
    labels : tuple of str or None
        The names of all targets; where two classes have one score, also that of class 1 alone.
    stateful : int or None
        How many sequences run side by side where stateful LSTMs carry their states on: sequence n
        begins in those in which sequence n - stateful ended. None where no LSTM is stateful.
    source : Path or None
        The file that it was read from.
    assumptions : tuple of str
        What was taken for granted, since neither the file nor the mapping says it.
    own_steps_alone : bool
        Whether its scores are of the steps that a sequence has, so that none can be filled up.
    output_scaling : Scaling or None
        What the values that a regressor predicts went through before it was trained on them, output
        by output, so that its outputs can be told in the units of the user's.

    Examples
    --------
    >>> model.classes, model.labels, model.inputs[0].size
    (2, ('negative', 'positive'), 48)
    >>> model.assumptions
    ()
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    heads: tuple[Head, ...]
    dtype: np.dtype[np.floating]
    inputs: tuple[Input, ...]
    by_step: bool = False
    regression: bool = False
    undecided: bool = False
    labels: tuple[str, ...] | None = None
    stateful: int | None = None
    source: Path | None = None
    assumptions: tuple[str, ...] = ()
    own_steps_alone: bool = False
    output_scaling: Scaling | None = None

    def __repr__(self) -> str:
        """Its file, layers and classes, and not its weights."""
        kinds = ", ".join(type(layer).__name__ for layer in self.layers)
        names = ", ".join(self.labels or ()) or f"{self.classes} scores"
        assumed = f", assuming {'; '.join(self.assumptions)}" if self.assumptions else ""
        shown = f"Model({self.source or 'made by hand'}: {kinds}; {names}{assumed})"
        return shown if shown.isprintable() else ascii(shown)[1:-1]  # a prompt shows it

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, each after those that feed it."""
        embeddings = (each.embedding for each in self.inputs if each.embedding is not None)
        return (*embeddings, *(node.layer for node in self.nodes))

    def input_of(self, place: int) -> Input:
        """The input that feeds nodes under a place: MODEL_INPUT, or one below."""
        return self.inputs[MODEL_INPUT - place]

    @property
    def classes(self) -> int:
        """The number of scores, of all heads together."""
        return sum(head.size for head in self.heads)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the inputs are called; the only one need not have a name."""
        return tuple(each.name or f"input_{k}" for k, each in enumerate(self.inputs))

    @property
    def several_inputs(self) -> bool:
        """Whether it must be told of which input something is."""
        return len(self.inputs) > 1

    @property
    def only_input(self) -> Input:
        """The input of a model that has but one."""
        [only] = self.inputs
        return only

    @property
    def takes_tokens(self) -> bool:
        """Whether an input takes tokens; else all take numbers."""
        return any(each.embedding is not None for each in self.inputs)

    def reading(self, number: int) -> "Model":
        """What reads one of its inputs alone: the same but for the others, and not to be run."""
        return replace(self, inputs=(self.inputs[number],))

    @property
    def head_slices(self) -> list[slice]:
        """Where the scores of each head stand among all."""
        ends = list(itertools.accumulate(head.size for head in self.heads))
        return [slice(end - head.size, end) for head, end in zip(self.heads, ends, strict=True)]

    @property
    def masks(self) -> bool:
        """Whether it passes over padding."""
        return any(each.masks for each in self.inputs)

    @property
    def leaves_out(self) -> bool:
        """Whether unknown tokens are left out before it sees them."""
        return any(each.leaves_out for each in self.inputs)

    @property
    def cuts(self) -> bool:
        """Whether sequences that are too long are cut."""
        return any(each.cuts for each in self.inputs)

    @property
    def skips(self) -> bool:
        """Whether it may not be run on all steps of a sequence."""
        return any(each.skips for each in self.inputs)

    @property
    def binary(self) -> bool:
        """Whether its one score is that of class 1, and class 0 has the score's negative."""
        return self.classes == 1 and self.likelihoods[0] != "linear"

    @property
    def targets(self) -> int:
        """The number of classes, or values, that can be explained."""
        return 2 if self.binary else self.classes

    @property
    def likelihoods(self) -> tuple[OutputActivation, ...]:
        """What makes probabilities of each head's scores; linear where they are values.

        Where the model does not say, it is a softmax of several scores, a sigmoid of the only one.
        """
        kinds: list[OutputActivation] = []
        for head in self.heads:
            if self.regression:
                kinds.append("linear")
            elif head.activation != "linear":
                kinds.append(head.activation)
            elif self.undecided:
                kinds.append("linear")
            elif head.size > 1:
                kinds.append("softmax")
            else:
                kinds.append("sigmoid" if len(self.heads) == 1 else "linear")
        return tuple(kinds)

    @property
    def units(self) -> list[float | None]:
        """How much one unit of each score is in the user's units, where these are known.

        None where it is not everywhere the same, since a sigmoid is behind it.
        """
        if self.output_scaling is None:
            return []
        is_linear = [head.activation == "linear" for head in self.heads for _ in range(head.size)]
        units = self.output_scaling.divide.tolist()
        return [unit if own else None for unit, own in zip(units, is_linear, strict=True)]

    @property
    def warnings(self) -> list[str]:
        """What every command that computes should tell before its numbers are believed."""
        return told(self.source, self.assumptions)

    def target_name(self, target: int) -> str | int:
        """The label of a class, or value, where it has one, else its number."""
        labels = self.labels or ()
        place = target - self.targets + len(labels)  # class 1 alone may have one
        return labels[place] if labels and place >= 0 else target

    def target_labelled(self, label: str) -> int | None:
        """The class, or value, that has a label."""
        labels = self.labels or ()
        return labels.index(label) + self.targets - len(labels) if label in labels else None

    def target_of(self, score: int) -> int:
        """The class, or value, that a score is that of."""
        return 1 if self.binary else score


def told(source: Path | None, assumptions: Iterable[str]) -> list[str]:
    """What is assumed of a model, as warnings that name its file."""
    name = "the model" if source is None else source.name
    return [f"{name} does not say, and it is assumed: {each}" for each in assumptions]


def chain(*layers: Layer) -> tuple[Node, ...]:
    """Nodes that are each fed by the one before, the first by the model's input."""
    return tuple(Node(layer, (place - 1,)) for place, layer in enumerate(layers))
