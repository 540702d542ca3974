"""The mappings that some layers and their weights allow: what a file may leave unsaid, varied.

Each variation has other layers or padding; with each go all gate orders, sigmoids and forget
biases, where nothing says them. What is likeliest comes first.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.mapping import Mapping, PaddingSpec
from lstm_lrp_cli.loading.mapping.choices import EPSILONS, Choices
from lstm_lrp_cli.loading.mapping.draft import DraftedLayer
from lstm_lrp_cli.model import GATES
from lstm_lrp_cli.model.recurrent import GateActivationName

SIGMOIDS: tuple[GateActivationName, ...] = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6")
FORGET_BIASES = (0.0, 1.0)
LAYOUTS = ("gates_by_features", "features_by_gates", "cudnn")
# What is tried on the built model, and so left out of the mapping that is built.
PLAIN: dict[str, Any] = {"forget_bias": 0.0, "recurrent_activation": "sigmoid"}
ALL_BIASES = "all biases"
# The gate order, the sigmoid of the gates, and the forget bias.
Setting = tuple[tuple[str, ...], GateActivationName, float]
Layers = tuple[LayerSpec, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Layers to begin with, each with what else may stand in its place.

    Parameters
    ----------
    layers : list of DraftedLayer
    is_settled : bool
        Whether the weights of its recurrent layers are as they are said to be, as PyTorch's are,
        by their names.
    """

    layers: list[DraftedLayer]
    is_settled: bool = False

    @property
    def likeliest(self) -> list[LayerSpec]:
        return [layer for each in self.layers for layer in each.layers]


@dataclass(frozen=True, slots=True)
class Variation:
    """Layers and padding to be tried.

    Parameters
    ----------
    start : int
        Which of the given layers it began with.
    layers : tuple of LayerSpec
        With everything but gate order, sigmoid and forget bias, where those are tried.
    what : tuple of str
        How they differ from the layers that it began with, in words.
    padding : PaddingSpec or None
    choice : tuple of int
        What was chosen of each axis.
    is_settled : bool
        Whether the layers say everything of their cells.
    """

    start: int
    layers: Layers
    what: tuple[str, ...]
    padding: PaddingSpec | None
    choice: tuple[int, ...]
    is_settled: bool = False

    @property
    def settings(self) -> list[Setting | None]:
        """All that are tried with it; one gate order where the mapping names the gates.

        None is what the layers say.
        """
        lstms = [layer.lstm for layer in self.layers if layer.lstm is not None]
        if self.is_settled or not lstms:
            return [None]
        by_name = all(
            isinstance(cell.recurrent or cell.combined, dict)
            for lstm in lstms
            for cell in _cells(lstm)
        )
        orders = [GATES] if by_name else itertools.permutations(GATES)
        return list(itertools.product(orders, SIGMOIDS, FORGET_BIASES))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One mapping that was tried: a variation, and what its weights are taken for.

    Parameters
    ----------
    variation : Variation
    setting : Setting or None
        None is what its layers say.
    """

    variation: Variation
    setting: Setting | None

    def mapping(self, base: Mapping) -> Mapping:
        """The whole mapping, the rest as it was."""
        layers = list(self.variation.layers)
        if self.setting is not None:
            order, sigmoid, forget_bias = self.setting
            changes: dict[str, Any] = {
                "gate_order": list(order),
                "recurrent_activation": sigmoid,
                "forget_bias": forget_bias,
            }
            layers = [
                layer if layer.lstm is None else replace(layer, lstm=replace(layer.lstm, **changes))
                for layer in layers
            ]
        padding: Any = self.variation.padding
        return replace(base, format=1, layers=layers, padding=padding)

    def __str__(self) -> str:
        padding, parts = self.variation.padding, [*self.variation.what]
        if self.setting is not None:
            order, sigmoid, forget_bias = self.setting
            parts.insert(0, f"gate order {', '.join(order)}")
            if sigmoid != "sigmoid":
                parts.append(sigmoid)
            if forget_bias:
                parts.append(f"forget bias {forget_bias:g}")
        if padding is not None and padding.masked is True:
            parts.append("masked padding")
        elif padding is not None and padding.side is not None:
            parts.append(f"padding {padding.side} to {padding.length}")
        if padding is not None and padding.truncate:
            parts.append(f"cut {padding.truncate} to {padding.length}")
        return "; ".join(parts) or "as the names of its weights say"


def given_setting(layers: Iterable[LayerSpec]) -> Setting | None:
    """The gate order, sigmoid and forget bias that all LSTMs of a mapping have; None if unsaid."""
    settings = {
        (tuple(lstm.gate_order or ()), lstm.recurrent_activation, lstm.forget_bias)
        for lstm in (layer.lstm for layer in layers)
        if lstm is not None
    }
    return settings.pop() if len(settings) == 1 and all(order for order, *_ in settings) else None


Rewrite = Callable[[Layers], Layers]


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that may be this or that: a layer's place, or all layers rewritten.

    Parameters
    ----------
    words : list of str
        What each option is called; "" is not worth telling.
    options : list
        Layers, rewritings or paddings.
    family : str
        Axes that are mostly alike; "" is alone.
    """

    words: list[str]
    options: list[Any]
    family: str = ""

    @classmethod
    def of(cls, choices: Choices, family: str = "") -> "Axis":
        return cls(list(choices), list(choices.values()), family)


Change = Callable[[LstmSpec], LstmSpec]


def _everywhere(change: Change) -> Rewrite:
    """A change of every LSTM."""
    return lambda layers: tuple(
        layer if layer.lstm is None else replace(layer, lstm=change(layer.lstm)) for layer in layers
    )


def axes_of_cells(layers: Sequence[LayerSpec]) -> list[Axis]:
    """What the weights of LSTMs may be taken for, but for gate orders."""
    lstms = [layer.lstm for layer in layers if layer.lstm is not None]
    if not lstms:
        return []
    return [
        Axis([word for _, word in ways], [_everywhere(change) for change, _ in ways])
        for ways in (_layouts(lstms), _biases(lstms), _directions(lstms))
    ]


def axes_of_others(layers: Sequence[LayerSpec]) -> list[Axis]:
    """What normalizations add to the variance, and the activation of plain RNNs."""
    found: list[Axis] = []
    norms = [each for layer in layers for each in (layer.batch_norm, layer.layer_norm) if each]
    if norms:
        others = [each for each in EPSILONS if any(norm.epsilon != each for norm in norms)]
        words = ["", *(f"epsilon {each:g}" for each in others)]
        found.append(Axis(words, [tuple, *map(_with_epsilon, others)]))
    rnns = [layer.rnn for layer in layers if layer.rnn is not None]
    if rnns:
        kinds: list[Any] = [kind for kind in ("tanh", "relu") if rnns[0].activation != kind]
        words = ["", *(f"{kind} in the rnn" for kind in kinds)]
        found.append(Axis(words, [tuple, *map(_with_rnn, kinds)]))
    return found


def _with_epsilon(epsilon: float) -> Rewrite:
    def change(layer: LayerSpec) -> LayerSpec:
        if layer.batch_norm is None and layer.layer_norm is None:
            return layer
        changed: Any = {layer.kind: replace(layer.settings, epsilon=epsilon)}
        return replace(layer, **changed)

    return lambda layers: tuple(map(change, layers))


def _with_rnn(kind: Any) -> Rewrite:
    return lambda layers: tuple(
        layer if layer.rnn is None else replace(layer, rnn=replace(layer.rnn, activation=kind))
        for layer in layers
    )


def _layouts(lstms: list[LstmSpec]) -> list[tuple[Change, str]]:
    """All, what is given first; of weights without bias cuDNN's only there: any shape is of it."""
    unbiased = all(cell.bias is None for lstm in lstms for cell in _cells(lstm))
    given = {lstm.layout for lstm in lstms}
    names = [name for name in LAYOUTS if name != "cudnn" or not unbiased or name in given]
    names.sort(key=lambda name: name not in given)

    def layout(name: Any) -> Change:
        return lambda lstm: replace(lstm, layout=name)

    return [(layout(name), f"layout {name}") for name in names]


def _biases(lstms: list[LstmSpec]) -> list[tuple[Change, str]]:
    """All biases that are named, each one alone, and none."""
    count = max(
        len(cell.bias) if isinstance(cell.bias, list) else int(cell.bias is not None)
        for lstm in lstms
        for cell in _cells(lstm)
    )

    def alone(number: int) -> Change:
        def cell(one: CellSpec | None) -> CellSpec | None:
            if one is None or not isinstance(one.bias, list) or number >= len(one.bias):
                return one
            return replace(one, bias=one.bias[number])

        return lambda lstm: _of_cells(lstm, cell)

    def none(lstm: LstmSpec) -> LstmSpec:
        return _of_cells(lstm, lambda one: one and replace(one, bias=None))

    choices: list[tuple[Change, str]] = [(_same, ALL_BIASES if count > 1 else "")]
    if count > 1:
        choices += [(alone(number), f"bias {number + 1} alone") for number in range(count)]
    if count:
        choices.append((none, "no bias"))
    return choices


def _directions(lstms: list[LstmSpec]) -> list[tuple[Change, str]]:
    """As given, and with forward and backward exchanged."""
    both = any(lstm.forward is not None and lstm.backward is not None for lstm in lstms)

    def turned(lstm: LstmSpec) -> LstmSpec:
        return replace(lstm, forward=lstm.backward, backward=lstm.forward)

    words = ("", "directions exchanged") if both else ("", "the other direction")
    return [(_same, words[0]), (turned, words[1])]


def _cells(lstm: LstmSpec) -> list[CellSpec]:
    """The directions that it has."""
    return [cell for cell in (lstm.forward, lstm.backward) if cell is not None]


def _same(lstm: LstmSpec) -> LstmSpec:
    return lstm


def _of_cells(lstm: LstmSpec, change: Callable[[CellSpec | None], CellSpec | None]) -> LstmSpec:
    return replace(lstm, forward=change(lstm.forward), backward=change(lstm.backward))
