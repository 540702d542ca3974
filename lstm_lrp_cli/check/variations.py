"""The mappings that some layers and their weights allow: what a file may leave unsaid, varied.

Each variation has other layers or padding; with each go all gate orders, sigmoids and forget
biases, which are tried on the built model.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.mapping import Mapping, PaddingSpec
from lstm_lrp_cli.model import GATES
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName, Returns

SIGMOIDS: tuple[GateActivationName, ...] = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6")
FORGET_BIASES = (0.0, 1.0)
LAYOUTS = ("gates_by_features", "features_by_gates", "cudnn")
# Where a sequence is filled up, and where one that is longer is cut; None is nowhere.
SIDES: tuple[Literal["pre", "post"] | None, ...] = ("pre", "post", None)
CUTS: tuple[Literal["pre", "post"] | None, ...] = (None, "pre", "post")
# Lengths that are tried where nothing says one: all up to this, but of those longer than every
# sequence only what people choose.
MOST_LENGTHS = 512
USUAL_LENGTHS = (*range(10, 100, 10), *(100, 120, 128, 150, 200, 250, 256, 300, 400, 500, 512))
# What may become of the last LSTM's steps: what it returns, and a pool behind it.
ENDS: dict[tuple[Returns, PoolName | None], str] = {
    ("last", None): "last hidden state",
    ("sequence", None): "every step",
    **{("sequence", pool): f"pool {pool}" for pool in ("last", "mean", "max", "sum")},
}
# Layers that stand behind it whatever that is.
BEHIND = frozenset({"dense", "batch_norm", "activation"})
HIDDEN_ACTIVATIONS: tuple[ActivationName, ...] = ("relu", "tanh", "linear", "sigmoid")
# What is tried on the built model, and so left out of the mapping that is built.
PLAIN: dict[str, Any] = {"forget_bias": 0.0, "recurrent_activation": "sigmoid"}
ALL_BIASES = "all biases"
# Words for what is no departure: every layout but one is refused by the shapes.
USUAL = frozenset({ALL_BIASES, *(f"layout {name}" for name in LAYOUTS)})
# The gate order, the sigmoid of the gates, and the forget bias.
Setting = tuple[tuple[str, ...], GateActivationName, float]


@dataclass(frozen=True, slots=True)
class Variation:
    """Layers and padding to be tried.

    Parameters
    ----------
    start : int
        Which of the given layers it began with.
    layers : tuple of LayerSpec
        With everything but gate order, sigmoid and forget bias.
    what : tuple of str
        How they differ from the layers that it began with, in words.
    padding : PaddingSpec or None
    departures : int
        In how many ways it departs from what was given.
    """

    start: int
    layers: tuple[LayerSpec, ...]
    what: tuple[str, ...]
    padding: PaddingSpec | None
    departures: int

    def ways_from(self, other: "Variation") -> int:
        """In how many ways it differs from another."""
        words = len(set(self.what) - set(other.what))
        return words + (self.padding != other.padding) + (self.start != other.start)

    @property
    def settings(self) -> list[Setting]:
        """All that are tried with it; one gate order where the mapping names the gates."""
        by_name = all(
            isinstance(cell.recurrent or cell.combined, dict)
            for layer in self.layers
            if layer.lstm is not None
            for cell in _cells(layer.lstm)
        )
        orders = [GATES] if by_name else itertools.permutations(GATES)
        return list(itertools.product(orders, SIGMOIDS, FORGET_BIASES))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One mapping that was tried: a variation, and what its weights are taken for.

    Parameters
    ----------
    variation : Variation
    order : tuple of str
        The gate order.
    sigmoid : str
    forget_bias : float
    """

    variation: Variation
    order: tuple[str, ...]
    sigmoid: GateActivationName
    forget_bias: float

    def mapping(self, base: Mapping) -> Mapping:
        """The whole mapping, the rest as it was."""
        changes = {
            "gate_order": list(self.order),
            "recurrent_activation": self.sigmoid,
            "forget_bias": self.forget_bias,
        }
        layers = [
            layer
            if layer.lstm is None
            else msgspec.structs.replace(layer, lstm=msgspec.structs.replace(layer.lstm, **changes))
            for layer in self.variation.layers
        ]
        padding: Any = self.variation.padding
        return msgspec.structs.replace(base, format=1, layers=layers, padding=padding)

    def __str__(self) -> str:
        padding = self.variation.padding
        parts = [f"gate order {', '.join(self.order)}", *self.variation.what]
        if self.sigmoid != "sigmoid":
            parts.append(self.sigmoid)
        if self.forget_bias:
            parts.append(f"forget bias {self.forget_bias:g}")
        if padding is not None and padding.masked is True:
            parts.append("masked padding")
        elif padding is not None and padding.side is not None:
            parts.append(f"padding {padding.side} to {padding.length}")
        if padding is not None and padding.truncate:
            parts.append(f"cut {padding.truncate} to {padding.length}")
        return "; ".join(parts)


def given_setting(layers: Iterable[LayerSpec]) -> Setting | None:
    """The gate order, sigmoid and forget bias that all LSTMs of a mapping have; None if unsaid."""
    settings = {
        (tuple(lstm.gate_order or ()), lstm.recurrent_activation, lstm.forget_bias)
        for lstm in (layer.lstm for layer in layers)
        if lstm is not None
    }
    return settings.pop() if len(settings) == 1 and all(order for order, *_ in settings) else None


def variations(mapping: Mapping, starts: list[list[LayerSpec]], longest: int) -> list[Variation]:
    """All variations, those that depart least from the layers that are given first.

    Parameters
    ----------
    mapping : Mapping
        What is given beside layers.
    starts : list of list of LayerSpec
        Layers to begin with.
    longest : int
        The steps of the longest sequence.
    """
    given = mapping.padding or None
    # Of several inputs each has its own, and is as long as it is.
    paddings = [given] if mapping.inputs else _paddings(given, longest)
    found = []
    for start, layers in enumerate(starts):
        for (changed, what), padding in itertools.product(layer_choices(layers), paddings):
            departures = sum(word not in USUAL for word in what) + (padding != paddings[0])
            found.append(Variation(start, changed, what, padding, departures))
    return sorted(found, key=lambda each: each.departures)


def _paddings(given: PaddingSpec | None, longest: int) -> list[PaddingSpec | None]:
    """What is given, then all else: none, either side, and longer sequences cut on either side.

    Sequences are filled up to the length that is given, or that of the longest.
    """
    if given is None:
        return [None, *_sides_and_cuts(longest, UNSET, longest)]
    if given.masked is True:
        cuts = CUTS if given.length and longest > given.length else ()
        others = [msgspec.structs.replace(given, truncate=cut) for cut in cuts]
        return [given, *(each for each in others if each.truncate != (given.truncate or None))]
    side = "pre" if given.side is UNSET else given.side
    usual = PaddingSpec(side, given.length or longest, given.value, False, given.truncate or None)
    others = _sides_and_cuts(usual.length or 0, given.value, longest)
    return [usual, None, *(each for each in others if each != usual)]


def _sides_and_cuts(length: int, value: float | UnsetType, longest: int) -> list[PaddingSpec]:
    """Every way to fill up and to cut to a length."""
    return [
        PaddingSpec(side, length, value, False, cut)
        for side in SIDES
        for cut in (CUTS if longest > length else CUTS[:1])
        if side or cut
    ]


def of_length(length: int, given: PaddingSpec | None, longest: int) -> list[PaddingSpec]:
    """Every way to fill up and to cut to a length, as far as what is given leaves it open."""
    value = UNSET if given is None else given.value
    specs = _sides_and_cuts(length, value, longest)
    if given is None or given.masked is not True:
        return specs
    # What is filled up is skipped, so where it stands makes no difference.
    cuts = [each.truncate for each in specs if each.side is None]
    return [PaddingSpec(UNSET, length, value, True, cut) for cut in cuts]


def likely_lengths(longest: int) -> list[int]:
    """Those that are tried where nothing says one."""
    return [*range(1, min(longest, MOST_LENGTHS)), *(n for n in USUAL_LENGTHS if n > longest)]


def layer_choices(
    layers: list[LayerSpec],
) -> Iterator[tuple[tuple[LayerSpec, ...], tuple[str, ...]]]:
    """The layers as they are given, and with what else their datasets may mean."""
    lstms = [layer.lstm for layer in layers if layer.lstm is not None]
    heads = itertools.product(_ends(layers), _between(layers))
    for (layout, says), (biased, of_bias), (turned, of_turn), head in itertools.product(
        _layouts(lstms), _biases(lstms), _directions(lstms), heads
    ):
        (ended, of_end), (activated, of_activation) = head
        changed = [
            msgspec.structs.replace(layer, lstm=_changed(layer.lstm, (layout, biased, turned)))
            if layer.lstm
            else layer
            for layer in ended(activated(layers))
        ]
        words = (says, of_bias, of_turn, of_end, of_activation)
        yield tuple(changed), tuple(word for word in words if word)


Change = Callable[[LstmSpec], LstmSpec]


def _changed(lstm: LstmSpec, changes: Iterable[Change]) -> LstmSpec:
    for change in changes:
        lstm = change(lstm)
    return msgspec.structs.replace(lstm, gate_order=[*GATES], **PLAIN)


def _layouts(lstms: list[LstmSpec]) -> list[tuple[Change, str]]:
    """All, what is given first; of weights without bias cuDNN's only there: any shape is of it."""
    unbiased = all(cell.bias is None for lstm in lstms for cell in _cells(lstm))
    given = {lstm.layout for lstm in lstms}
    names = [name for name in LAYOUTS if name != "cudnn" or not unbiased or name in given]
    names.sort(key=lambda name: name not in given)

    def layout(name: Any) -> Change:
        return lambda lstm: msgspec.structs.replace(lstm, layout=name)

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
            return msgspec.structs.replace(one, bias=one.bias[number])

        return lambda lstm: _of_cells(lstm, cell)

    def none(lstm: LstmSpec) -> LstmSpec:
        return _of_cells(lstm, lambda one: one and msgspec.structs.replace(one, bias=None))

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
        return msgspec.structs.replace(lstm, forward=lstm.backward, backward=lstm.forward)

    words = ("", "directions exchanged") if both else ("", "the other direction")
    return [(_same, words[0]), (turned, words[1])]


Rewrite = Callable[[list[LayerSpec]], list[LayerSpec]]


def _ends(layers: list[LayerSpec]) -> list[tuple[Rewrite, str]]:
    """What becomes of the last LSTM's steps: as given, or another of `ENDS`.

    As given alone where names connect the layers, or where others than `BEHIND` need the steps.
    """
    last = max(place for place, layer in enumerate(layers) if layer.lstm)
    lstm, behind = layers[last].lstm, layers[last + 1 :]
    assert lstm is not None
    pool = behind.pop(0).pool if behind and behind[0].pool else None
    named = any(layer.name or layer.source for layer in layers)
    if named or not BEHIND.issuperset(layer.kind for layer in behind):
        return [(list, "")]

    def end(returns: Returns, pool: PoolName | None) -> Rewrite:
        ended = LayerSpec(lstm=msgspec.structs.replace(lstm, returns=returns))
        pools = [LayerSpec(pool=pool)] if pool else []
        return lambda layers: [*layers[:last], ended, *pools, *layers[len(layers) - len(behind) :]]

    def is_forward_last(end: tuple[Returns, PoolName | None]) -> bool:
        return end == ("sequence", "last") and lstm.backward is None  # the last hidden state

    given = (lstm.returns, pool)
    others = [each for each in ENDS if each != given and not is_forward_last(each)]
    return [(list, ""), *((end(*each), ENDS[each]) for each in others)]


def _between(layers: list[LayerSpec]) -> list[tuple[Rewrite, str]]:
    """What stands between the linear layers: as given, or another of `HIDDEN_ACTIVATIONS`."""
    denses = [place for place, layer in enumerate(layers) if layer.dense]
    own = [place for place, layer in enumerate(layers) if layer.activation and place < denses[-1]]
    places = own or denses[:-1]

    def activated(kind: ActivationName) -> Rewrite:
        def change(layer: LayerSpec) -> LayerSpec:
            if layer.dense is None:
                return msgspec.structs.replace(layer, activation=kind)
            dense = msgspec.structs.replace(layer.dense, activation=kind)
            return msgspec.structs.replace(layer, dense=dense)

        return lambda layers: [
            change(layer) if place in places else layer for place, layer in enumerate(layers)
        ]

    kinds = [kind for kind in HIDDEN_ACTIVATIONS if activated(kind)(layers) != layers]
    return [(list, ""), *((activated(kind), f"{kind} between linear layers") for kind in kinds)]


def _cells(lstm: LstmSpec) -> list[CellSpec]:
    """The directions that it has."""
    return [cell for cell in (lstm.forward, lstm.backward) if cell is not None]


def _same(lstm: LstmSpec) -> LstmSpec:
    return lstm


def _of_cells(lstm: LstmSpec, change: Callable[[CellSpec | None], CellSpec | None]) -> LstmSpec:
    return msgspec.structs.replace(
        lstm, forward=change(lstm.forward), backward=change(lstm.backward)
    )
