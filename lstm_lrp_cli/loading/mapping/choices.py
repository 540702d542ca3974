"""What may stand in a layer's place where nothing says it: by what it means, the likeliest first.

Drafts show these choices to a user, and `lrp match` tries them: there is one list of what is
likely.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.joins import AttendSpec, AttentionSpec
from lstm_lrp_cli.loading.layers.steps import FlattenSpec, WindowsSpec
from lstm_lrp_cli.loading.layers.units import DenseSpec, LeakyReluSpec, UnitsSpec
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import ActivationName, Returns
from . import InputSpec

Choices = dict[str, tuple[LayerSpec, ...]]

RECURRENT = ("lstm", "gru", "rnn")
# What scripts put behind a layer that another one follows. Leaky ReLU has the slope of PyTorch.
ACTIVATIONS: tuple[ActivationName, ...] = ("relu", "linear", "tanh", "sigmoid", "gelu", "elu")
LEAKY = LayerSpec(leaky_relu=LeakyReluSpec(slope=0.01))
LEAKY_RELU = "leaky_relu"
# What a draft says of an activation that is a guess.
RELU_GUESS = "relu behind a linear layer; or tanh, sigmoid, linear, ..."
# Ways to make one vector of all steps.
POOLS: tuple[PoolName, ...] = ("mean", "max", "sum")
POOLED = {
    "mean": "the mean of all steps' outputs",
    "max": "their maximum",
    "sum": "their sum",
    "last": "the last step's output",
}
# Numbers of heads, the likeliest first.
HEADS = (4, 8, 2, 1, 16, 3, 6, 5, 12, 10, 32)
# The epsilons of PyTorch, and of Keras.
EPSILONS = (1e-5, 1e-3)


def recurrent_of(layer: LayerSpec) -> Any:
    """The settings of a recurrent layer; None of any other."""
    return next((getattr(layer, kind) for kind in RECURRENT if getattr(layer, kind)), None)


def returning(layer: LayerSpec, returns: Returns, **settings: Any) -> LayerSpec:
    """A recurrent layer that returns its last hidden state or all of them."""
    changed = replace(recurrent_of(layer), returns=returns, **settings)
    kind: Any = {layer.kind: changed}
    return replace(layer, **kind)


def activations(layer: LayerSpec | None = None, first: str = "relu") -> Choices:
    """What may stand behind a layer that has an activation of its own, or by itself.

    Parameters
    ----------
    layer : LayerSpec or None
        A `dense` or `convolution`; None where the activation is a layer of its own.
    first : str
        The likeliest.
    """
    found: Choices = {}
    for name in dict.fromkeys((first, *ACTIVATIONS, LEAKY_RELU)):
        found[f"{name} behind it"] = activated(layer, name)
    return found


def activated(layer: LayerSpec | None, name: str) -> tuple[LayerSpec, ...]:
    """A layer with an activation behind it, which is its own where it can be."""
    own: Any = "linear" if name == LEAKY_RELU else name
    behind = (LEAKY,) if name == LEAKY_RELU else ()
    if layer is None:
        return behind or (() if name == "linear" else (LayerSpec(activation=own),))
    changed: Any = {layer.kind: replace(layer.settings, activation=own)}
    return (replace(layer, **changed), *behind)


def windows() -> Choices:
    """Whether, and how, steps are pooled behind a convolution."""
    return {
        "no pooling": (),
        "the largest of every two steps": (LayerSpec(windows=WindowsSpec("max", 2)),),
        "the mean of every two steps": (LayerSpec(windows=WindowsSpec("mean", 2)),),
        "the largest of every three steps": (LayerSpec(windows=WindowsSpec("max", 3)),),
        "the largest of every four steps": (LayerSpec(windows=WindowsSpec("max", 4)),),
        "the largest of three steps around every second": (
            LayerSpec(windows=WindowsSpec("max", 3, 2, [1, 1])),
        ),
        "the largest of three steps around each": (
            LayerSpec(windows=WindowsSpec("max", 3, 1, [1, 1])),
        ),
    }


def convolutions(layer: LayerSpec, width: int) -> Choices:
    """How a convolution of that width goes over the steps."""
    half, spec = (width - 1) // 2, layer.convolution

    def of(padding: Any, stride: int = 1) -> tuple[LayerSpec, ...]:
        assert spec is not None
        return (replace(layer, convolution=replace(spec, padding=padding, stride=stride)),)

    if width == 1:
        return {"stride 1": of("valid"), "stride 2": of("valid", 2)}
    same: Any = [half, half] if width % 2 else [half, half + 1]
    found = {
        "zeros around the steps, of which there are as many behind it": of(same),
        "no padding": of("valid"),
        "padding before the steps": of("causal"),
        "stride 2, padded": of(same, 2),
        "stride 2, not padded": of("valid", 2),
    }
    others = {f"{k} zeros on either side": of([k, k]) for k in (1, 2) if [k, k] != same}
    return {**found, **others}


def attended(units: int, said: int | None) -> Choices:
    """Attention of projected steps with so many heads, of which there may be some number said."""
    numbers = HEADS if said is None or said < 1 or units % said else (said,)
    return {
        f"{n} heads": (
            LayerSpec(
                source=["query", "value", "key"],
                attend=AttendSpec(heads=n, scale=(n / units) ** 0.5),
            ),
        )
        for n in numbers
        if units % n == 0
    }


def made_of_steps(pools: Sequence[PoolName], width: int, takes: int) -> Choices:
    """What goes on of steps of some width, to a layer that takes so many units."""
    found: Choices = {POOLED[pool]: (LayerSpec(pool=pool),) for pool in pools}
    found["every step's output, for scores at every step"] = ()
    if takes > width > 0 and takes % width == 0:
        steps = takes // width
        flat = (LayerSpec(flatten=FlattenSpec(steps)),)
        return {f"all {steps} steps side by side": flat, **found}
    return found


class ReadSteps(Struct, frozen=True):
    """The steps of a stack of recurrent layers, and what is made of them.

    Parameters
    ----------
    stack : tuple of LayerSpec
        The layers of one module, from the first to the last.
    width : int
        How many units a step has.
    takes : int or None
        How many the next layer takes; None where there is none.
    norms : tuple of LayerSpec
        Normalizations that follow the steps, or what is made of them.
    """

    stack: tuple[LayerSpec, ...]
    width: int
    takes: int | None = None
    norms: tuple[LayerSpec, ...] = ()

    @property
    def is_bidirectional(self) -> bool:
        top = recurrent_of(self.stack[-1])
        return top.forward is not None and top.backward is not None

    @property
    def lower(self) -> tuple[LayerSpec, ...]:
        return tuple(returning(each, "sequence") for each in self.stack[:-1])

    def returned(self, returns: Returns, **settings: Any) -> tuple[LayerSpec, ...]:
        """The stack, its last layer returning that."""
        return (*self.lower, returning(self.stack[-1], returns, **settings))

    def ends(self, is_tagger: bool = False) -> Choices:
        """What the next layer may be given; empty where nothing fits what it takes."""
        if self.takes in (None, self.width):
            return self._whole(is_tagger)
        takes, width = self.takes or 0, self.width
        found: Choices = {}
        if self.is_bidirectional and 2 * takes == width:
            found |= self._one_direction()
        if not self.is_bidirectional and len(self.stack) > 1 and takes == len(self.stack) * width:
            found |= self._of_every_layer()
        if takes > width and takes % width == 0:
            steps = takes // width
            flat = LayerSpec(flatten=FlattenSpec(steps))
            found[f"all {steps} steps side by side"] = (
                *self.returned("sequence"),
                *self.norms,
                flat,
            )
        if takes == 2 * width:
            found |= self._side_by_side(("mean", "max"), ("last", "mean"), ("last", "max"))
        if takes == 3 * width:
            found |= self._side_by_side(("last", "max", "mean"), ("mean", "max", "last"))
        return found

    def _whole(self, is_tagger: bool) -> Choices:
        both = self.is_bidirectional
        every = (*self.returned("sequence"), *self.norms)
        steps: Choices = {"every step's output, for scores at every step": every}
        states: Choices = {
            f"the last hidden state{'s of both directions' if both else ''}": (
                *self.returned("last"),
                *self.norms,
            )
        }
        if both:
            states["the last step's output, out[:, -1]"] = (*every, LayerSpec(pool="last"))
        found = steps | states if is_tagger else states | steps
        for pool in POOLS:
            pooled = LayerSpec(pool=pool)
            found[POOLED[pool]] = (*self.returned("sequence"), pooled, *self.norms)
            if self.norms:
                found[f"{POOLED[pool]}, normalized"] = (*every, pooled)
        if not both:
            named = replace(returning(self.stack[-1], "sequence"), name="steps")
            found["all steps, weighed by how they fit the last one"] = (
                *self.lower,
                named,
                LayerSpec(name="last", pool="last"),
                LayerSpec(source=["last", "steps"], attend=AttendSpec()),
                *self.norms,
            )
        return found

    def _one_direction(self) -> Choices:
        """Of both directions, one, or one vector made of both."""
        half = self.width // 2
        last = self.returned("last")
        backward = LayerSpec(units=UnitsSpec(half, self.width))
        forward = LayerSpec(units=UnitsSpec(0, half))
        found: Choices = {
            "the backward direction's last hidden state, hidden[-1]": (*last, backward),
            "the forward direction's last hidden state": (*last, forward),
        }
        merges: dict[str, Any] = {"the sum": "sum", "the mean": "mean"}
        for what, merge in merges.items():
            found[f"{what} of both directions' last hidden states"] = self.returned(
                "last", merge=merge
            )
            steps = self.returned("sequence", merge=merge)
            found[f"{what} of both directions at every step"] = steps
            for pool in ("last", *POOLS):
                pooled = LayerSpec(pool=pool)
                found[f"{what} of both directions, {POOLED[pool]}"] = (*steps, pooled)
        return {what: (*layers, *self.norms) for what, layers in found.items()}

    def _side_by_side(self, *pools: tuple[PoolName, ...]) -> Choices:
        """Several ways to make one vector of the steps, joined."""
        named = replace(returning(self.stack[-1], "sequence"), name="steps")
        return {
            " and ".join(POOLED[pool] for pool in order): (
                *(*self.lower, named),
                *(LayerSpec(name=pool, source="steps", pool=pool) for pool in order),
                LayerSpec(source=[*order], merge="concat"),
            )
            for some in pools
            for order in itertools.permutations(some)
        }

    def _of_every_layer(self) -> Choices:
        """The last hidden state of each layer, as `hidden` of a stacked nn.LSTM has them."""
        names = [f"layer{k}" for k in range(len(self.stack))]
        layers = [
            replace(returning(each, "sequence"), name=name)
            for each, name in zip(self.stack, names, strict=True)
        ]
        lasts = [LayerSpec(name=f"last{k}", source=n, pool="last") for k, n in enumerate(names)]
        joined = LayerSpec(source=[f"last{k}" for k in range(len(names))], merge="concat")
        return {
            "the last hidden states of all layers, the first layer's first": (
                *layers,
                *lasts,
                joined,
            )
        }

    def attended(self, numbers: DenseSpec | None, hidden: DenseSpec | None) -> Choices:
        """A sum of the steps, weighed by a softmax of one number of each (Bahdanau et al. 2015)."""
        assert numbers is not None
        steps = (*self.returned("sequence"), *self.norms)

        def of(before: DenseSpec | None) -> tuple[LayerSpec, ...]:
            weights = str(numbers.weights)
            bias = numbers.bias if isinstance(numbers.bias, str) else None
            return (*steps, LayerSpec(attention=AttentionSpec(weights, bias, before)))

        found: Choices = {}
        if hidden is not None:
            kinds: tuple[ActivationName, ...] = ("tanh", "relu", "linear", "sigmoid")
            for kind in kinds:
                found[f"a weighted sum, {kind} behind the attention's first layer"] = of(
                    replace(hidden, activation=kind)
                )
            return found
        found["a weighted sum, by a softmax of the attention's numbers"] = of(None)
        found["the same, tanh behind the numbers"] = self._weighed(
            LayerSpec(dense=replace(numbers, activation="tanh"))
        )
        tanh = LayerSpec(activation="tanh")
        found["the same, tanh of the steps before the numbers"] = self._weighed(
            tanh, LayerSpec(dense=numbers)
        )
        return found

    def _weighed(self, *scored: LayerSpec) -> tuple[LayerSpec, ...]:
        """Attention written out, with layers that make a number of each step."""
        *lower, top = (*self.returned("sequence"), *self.norms)
        return (
            *lower,
            replace(top, name="steps"),
            *scored,
            LayerSpec(name="weights", softmax="steps"),
            LayerSpec(source=["weights", "steps"], merge="gate"),
            LayerSpec(pool="sum"),
        )


def normed(between: tuple[LayerSpec, ...], choices: Choices) -> Choices:
    """Choices that each stand behind normalizations."""
    return {what: (*between, *layers) for what, layers in choices.items()}


def in_common(choices: Choices) -> tuple[LayerSpec, ...]:
    """The layers that all choices begin with, but for the last of each."""
    every = list(choices.values())
    alike = itertools.takewhile(
        lambda same: all(one == same[0] for one in same), zip(*every, strict=False)
    )
    return tuple(same[0] for same in alike)[: min(map(len, every)) - 1]


def side_by_side(
    embeddings: Sequence[LayerSpec], numbers: int
) -> tuple[list[InputSpec], list[LayerSpec]]:
    """Embeddings, each of an input of its own, and an input of so many numbers a step, as one."""
    ends = [""] if len(embeddings) == 1 else [str(k) for k in range(1, len(embeddings) + 1)]
    inputs = [InputSpec(f"tokens{end}") for end in ends]
    layers = [
        replace(layer, name=f"embedded{end}", source=f"tokens{end}")
        for layer, end in zip(embeddings, ends, strict=True)
    ]
    source = [f"embedded{end}" for end in ends]
    if numbers:
        inputs.append(InputSpec("numbers"))
        source.append("numbers")
    return inputs, [*layers, LayerSpec(source=source, merge="concat")]
