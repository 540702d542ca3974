"""The kinds of layer that a model is made of.

All weights are in the engine's own form: a matrix as (outputs, inputs). Recurrent layers are in
`recurrent`.
"""

from typing import Final, Literal

from msgspec import Struct

from . import Floats
from .recurrent import ActivationName, Gru, Lstm, SimpleRnn

MergeName = Literal["concat", "sum", "difference", "mean", "product", "max", "gate"]
PoolName = Literal["mean", "max", "sum", "first", "last"]
WindowPoolName = Literal["mean", "max"]
AttentionName = Literal["dot", "additive"]


class Embedding(Struct, frozen=True, eq=False):
    """A table of one vector a token.

    Parameters
    ----------
    weights : ndarray, shape (vocabulary, embedding)
    """

    weights: Floats


class Window(Struct, frozen=True):
    """Which steps each output step is made of.

    Output step t is made of the steps stride t - before + dilation k of the input, k from 0 to
    width - 1. What is before the first step or behind the last is padding, of zeros.

    Parameters
    ----------
    width : int
    stride, dilation : int
    padding : (int, int), or "same"
        How many steps are added before and after (causal: all before). `same` makes
        ceil(steps / stride) steps: of what is missing, half is before, rounded down.
    """

    width: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | Literal["same"] = (0, 0)


class Convolution(Struct, frozen=True, eq=False):
    """A linear map of the steps in a window, the same at each of its places (Conv1D).

    Parameters
    ----------
    weights : ndarray, shape (outputs, inputs / groups, width)
    bias : ndarray, shape (outputs,), or None
    window : Window
    groups : int
        Units are split into so many groups, and each group of outputs is fed by its own.
    """

    weights: Floats
    bias: Floats | None
    window: Window
    groups: int = 1


class WindowPool(Struct, frozen=True):
    """The largest or the mean of the steps in a window, unit by unit.

    Parameters
    ----------
    kind : {"mean", "max"}
    window : Window
    counts_padding : bool
        Whether a mean is over the whole width where padding is in the window (PyTorch's way), and
        not over the steps that there are (Keras's).
    """

    kind: WindowPoolName
    window: Window
    counts_padding: bool = False


class Upsample(Struct, frozen=True):
    """Every step so many times, one after the other."""

    times: int


class Pad(Struct, frozen=True):
    """Steps of zeros added before the first and after the last."""

    before: int
    after: int


class Crop(Struct, frozen=True):
    """Steps left out at the beginning and at the end."""

    before: int
    after: int


class Pool(Struct, frozen=True):
    """Pooling over the steps of a sequence, unit by unit.

    `first` and `last` are those steps of the sequence, in its own order.
    """

    kind: PoolName


class Flatten(Struct, frozen=True):
    """All steps of a sequence side by side, step after step, as one vector.

    Parameters
    ----------
    steps : int
        How many steps every sequence must have.
    """

    steps: int


class Unflatten(Struct, frozen=True):
    """A vector cut into so many steps of as many units each, in its order."""

    steps: int


class Repeat(Struct, frozen=True):
    """A vector, the same at each of so many steps (RepeatVector).

    Parameters
    ----------
    steps : int or None
        None is as many as a second source has, of each sequence.
    """

    steps: int | None


class Transpose(Struct, frozen=True):
    """Steps and units change places: as many steps as there were units, of `steps` units each.

    Parameters
    ----------
    steps : int
        How many steps every sequence must have.
    """

    steps: int


class Reverse(Struct, frozen=True):
    """The steps of every sequence from the last to the first."""


class Dense(Struct, frozen=True, eq=False):
    """A linear map, of every step or of the one vector a sequence has become.

    Parameters
    ----------
    weights : ndarray, shape (outputs, inputs)
    bias : ndarray, shape (outputs,), or None
    """

    weights: Floats
    bias: Floats | None


class Scale(Struct, frozen=True, eq=False):
    """Every unit times its own factor, plus its own offset, as batch normalization at inference.

    Parameters
    ----------
    factors, offsets : ndarray, shape (units,)
    """

    factors: Floats
    offsets: Floats


class Normalize(Struct, frozen=True, eq=False):
    """Units freed of their mean and divided by their deviation, then scaled and shifted.

    Layer normalization (Ba, Kiros and Hinton 2016) where `groups` is None: over the units of a
    step. Group normalization (Wu and He 2018) else: over all steps, and the units of a group.

    Parameters
    ----------
    factors, offsets : ndarray, shape (units,)
    epsilon : float
        What is added to the variance.
    groups : int or None
    """

    factors: Floats
    offsets: Floats
    epsilon: float
    groups: int | None = None


class UnitNorm(Struct, frozen=True):
    """Units divided by their Euclidean norm, which is taken for no less than 1e-6."""


class UnitSum(Struct, frozen=True):
    """The sum of all units, as one."""


class Select(Struct, frozen=True):
    """The units from one up to another."""

    start: int
    stop: int


class LeakyRelu(Struct, frozen=True, eq=False):
    """x where it is above 0, else x times a slope.

    Parameters
    ----------
    slopes : ndarray, shape (units,) or (1,)
        Of each unit (PReLU), or of all.
    """

    slopes: Floats


class Activation(Struct, frozen=True):
    """A function applied unit by unit (softmax: over the units)."""

    kind: ActivationName


class StepSoftmax(Struct, frozen=True):
    """A softmax over the steps of a sequence, unit by unit: attention weights."""


class Merge(Struct, frozen=True):
    """Several values made one.

    Parameters
    ----------
    kind : {"concat", "sum", "difference", "mean", "product", "max", "gate"}
        Side by side, or unit by unit. A difference is of two. A gate is a product whose first
        factor is a gate: attention weights, of one unit or as many as the second factor has.
    """

    kind: MergeName


class Attention(Struct, frozen=True, eq=False):
    """Sums of values, weighted by how well the keys that go with them fit a query.

    Fed by queries, values and keys: one vector a step each; queries may be one vector a sequence.
    The weights are a softmax over the steps of the values (Bahdanau et al. 2015; Luong et al. 2015;
    of several heads, Vaswani et al. 2017).

    Parameters
    ----------
    kind : {"dot", "additive"}
        The fit is scale q . k, or factors . tanh(q + k).
    heads : int
        The units of queries, keys and values are split into so many, in their order, and each part
        attends by itself.
    scale : float
    factors : ndarray, shape (units,), or None
        Of additive attention; None is ones.
    causal : bool
        Whether a query at a step fits only what is at that step or before.
    """

    kind: AttentionName = "dot"
    heads: int = 1
    scale: float = 1.0
    factors: Floats | None = None
    causal: bool = False


class Each(Struct, frozen=True, eq=False):
    """A graph of its own for each of the sequences that a sequence is made of (TimeDistributed).

    Every so many steps are a sequence to the graph. What it makes of them stands one after another:
    one vector each, or the steps of each.

    Parameters
    ----------
    nodes : tuple of Node
        Fed by MODEL_INPUT, -1.
    output : int
        The node whose output it is.
    steps : int
        How many make one.
    """

    nodes: "tuple[Node, ...]"
    output: int
    steps: int


Layer = (
    Embedding
    | Lstm
    | Gru
    | SimpleRnn
    | Convolution
    | WindowPool
    | Upsample
    | Pad
    | Crop
    | Pool
    | Flatten
    | Unflatten
    | Repeat
    | Transpose
    | Reverse
    | Dense
    | Scale
    | Normalize
    | UnitNorm
    | UnitSum
    | Select
    | LeakyRelu
    | Activation
    | StepSoftmax
    | Merge
    | Attention
    | Each
)

# The source that is no node: the model's first input, after the embedding where it has one. The
# second is -2, and so on.
MODEL_INPUT: Final = -1


class Node(Struct, frozen=True, eq=False):
    """A layer, and what feeds it.

    Parameters
    ----------
    layer : Layer
        Of any kind but Embedding. Several nodes may have the same one.
    sources : tuple of int
        The nodes whose outputs it is given, by their place in the model; MODEL_INPUT is the
        model's input.
    """

    layer: Layer
    sources: tuple[int, ...]
