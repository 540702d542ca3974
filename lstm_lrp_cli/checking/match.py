"""Searching the mapping by which a model gives the scores that its framework gave.

The weights are read once and every variation is a model of its own: all gate orders, with each
choice of what else a file may leave unsaid. All are run on one short sequence; those that are near
are run on all.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from lstm_lrp_cli.checking.deviation import deviation, probabilities_of
from lstm_lrp_cli.checking.expected import Expected
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.datasets import Datasets
from lstm_lrp_cli.loading.load import Contents, build_model
from lstm_lrp_cli.loading.mapping import (
    CellSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    PaddingSpec,
)
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import FORGET, GATES
from lstm_lrp_cli.model.layers import GateActivationName, Lstm, PoolName
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.scaling.carried import Carried
from lstm_lrp_cli.scaling.corpus import run_batch
from lstm_lrp_cli.sequences.batching import make_batch
from lstm_lrp_cli.sequences.sequence import Sequence

SIGMOIDS: tuple[GateActivationName, ...] = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6")
FORGET_BIASES = (0.0, 1.0)
LAYOUTS = ("gates_by_features", "features_by_gates")
POOLS: tuple[PoolName | None, ...] = (None, "last", "mean", "max")
# What is tried on the built model, and so left out of the mapping that is built.
PLAIN: dict[str, Any] = {"forget_bias": 0.0, "recurrent_activation": "sigmoid"}
ALL_BIASES = "all biases"
# Words for what is no departure: every layout but one is refused by the shapes.
USUAL = frozenset({ALL_BIASES, *(f"layout {name}" for name in LAYOUTS)})
# How many variations that are near on one sequence are run on all, at the least.
FINALISTS = 48
# The one sequence has so many steps, where there is one: few, yet enough that every gate counts.
TELLING_STEPS = 3


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


@dataclass(frozen=True, slots=True)
class Choice:
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
        if padding is not None and padding.masked is not True:
            parts.append(f"padding {padding.side} to {padding.length}")
        elif padding is not None:
            parts.append("masked padding")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Matched:
    """A variation, and how far its scores are from those that were expected."""

    choice: Choice
    worst: float
    compared: str


@dataclass(frozen=True, slots=True)
class Match:
    """The result of a search.

    Parameters
    ----------
    ranked : list of Matched
        The nearest variations, the nearest first.
    tolerance : float
    tried : int
    sequences : int
    """

    ranked: list[Matched]
    tolerance: float
    tried: int
    sequences: int

    @property
    def found(self) -> list[Matched]:
        """The variations that reproduce the scores; more than one cannot be told apart."""
        return [each for each in self.ranked if each.worst <= self.tolerance]

    @property
    def others(self) -> list[Matched]:
        """The nearest of those that do not."""
        return [each for each in self.ranked if not each.worst <= self.tolerance]


def first_model(contents: Contents, variants: list[list[LayerSpec]], datasets: Datasets) -> Model:
    """A model of the first layers that fit together: what input is read for.

    Raises
    ------
    UnusableInput
        None do.
    """
    for variant in variants:
        for layers, _ in _layer_choices(variant):
            model = _model(contents, layers, datasets)
            if model is not None:
                return model
    # The mapping as it is says best what is wrong with it.
    return build_model(_with_layers(contents, variants[0]), datasets).model


def search(
    contents: Contents,
    variants: Iterable[list[LayerSpec]],
    datasets: Datasets,
    sequences: list[Sequence],
    expected: Expected,
    tolerance: float,
    tell: Callable[[int, int], None],
) -> Match:
    """Try every variation of some layers.

    Parameters
    ----------
    variants : iterable of list of LayerSpec
        Layers to begin with.
    sequences : list of Sequence
    expected : Expected
        The framework's scores of all of them.
    tolerance : float
        What they may differ by, relative to scores over 1.
    tell : callable
        Is told how many of how many variations were tried.

    Raises
    ------
    UnusableInput
        There is no variation whose weights fit together.
    """
    # Of a stateful model, one that begins in its initial states.
    anew = sequences[: contents.described.mapping.stateful or None]
    short = min(anew, key=lambda each: (len(each) < TELLING_STEPS, len(each) or 1 << 30))
    longest = max(len(each) for each in sequences)
    variations = _variations(contents, list(variants), longest)
    near: list[tuple[float, Setting, _Built]] = []
    anchor: _Built | None = None
    for done, variation in enumerate(variations, start=1):
        tell(done, len(variations))
        # What differs in several ways from a mapping that fits does not fit as well.
        if anchor is not None and variation.ways_from(anchor.variation) > 1:
            continue
        each = _built(contents, variation, datasets)
        if each is None:
            continue
        one, fits = _Judge([short], expected, each), False
        for setting in each.settings:
            worst, _ = one.judge(_with_setting(each.model, setting))
            near.append((worst if worst == worst else np.inf, setting, each))
            fits = fits or worst <= 10 * tolerance
        if fits and anchor is None:
            everything = _Judge(sequences, expected, each)
            finalists = (entry for entry in near if entry[2] is each and entry[0] <= 10 * tolerance)
            if any(everything.matched(e, s).worst <= tolerance for _, s, e in finalists):
                anchor = each
    if not near:
        raise UnusableInput(
            str(contents.path), "its arrays fit together in no way that the mapping allows"
        )
    near.sort(key=lambda entry: entry[0])
    within = sum(worst <= 10 * tolerance for worst, *_ in near)
    judges: dict[int, _Judge] = {}
    ranked = []
    for _, setting, each in near[: max(within, FINALISTS)]:
        if id(each) not in judges:
            judges[id(each)] = _Judge(sequences, expected, each)
        ranked.append(judges[id(each)].matched(each, setting))
    ranked.sort(key=lambda found: found.worst if found.worst == found.worst else np.inf)
    return Match(ranked, tolerance, len(near), len(sequences))


Setting = tuple[tuple[str, ...], GateActivationName, float]


@dataclass(frozen=True, slots=True)
class _Built:
    """A variation as a model, its gates taken to stand as i, f, g, o, and what is tried with it."""

    variation: Variation
    model: Model
    settings: list[Setting]


class _Judge:
    """Measures models on sequences whose scores are known."""

    def __init__(self, sequences: list[Sequence], expected: Expected, built: _Built) -> None:
        abreast = Carried(built.model).abreast(sequences)
        self._batches = [make_batch(some, built.model) for some in abreast]
        self._theirs = [
            expected.of(each.number, (built.model.classes,))
            for batch in self._batches
            for each in batch.sequences
        ]

    def judge(self, model: Model) -> tuple[float, str]:
        """The largest deviation, of scores or of probabilities, whichever fits better.

        Infinite where the model cannot run the sequences: they overflow, or are of another length.
        """
        carried = Carried(model)
        try:
            scores = np.concatenate(
                [run_batch(model, batch, carried).scores for batch in self._batches]
            )
        except UnusableInput:
            return np.inf, "scores"
        found = {"scores": self._worst(scores)}
        if all(((each >= 0) & (each <= 1)).all() for each in self._theirs):
            found["probabilities"] = self._worst(probabilities_of(model, scores))
        compared = min(found, key=lambda name: found[name])
        return found[compared], compared

    def matched(self, built: "_Built", setting: "Setting") -> Matched:
        worst, compared = self.judge(_with_setting(built.model, setting))
        return Matched(Choice(built.variation, *setting), worst, compared)

    def _worst(self, ours: Floats) -> float:
        return max(deviation(a, b) for a, b in zip(ours, self._theirs, strict=True))


def _with_setting(model: Model, setting: Setting) -> Model:
    """The model as it is if its gates stood in another order, with that sigmoid and forget bias."""
    order, sigmoid, forget_bias = setting
    places = [order.index(gate) for gate in GATES]

    def cell(one: Any) -> Any:
        bias = one.bias[places]
        bias[FORGET] += forget_bias
        return replace(one, input=one.input[places], recurrent=one.recurrent[places], bias=bias)

    nodes = tuple(
        replace(
            node,
            layer=replace(
                node.layer,
                cells=tuple(map(cell, node.layer.cells)),
                gate_activation=sigmoid,
            ),
        )
        if isinstance(node.layer, Lstm)
        else node
        for node in model.nodes
    )
    return replace(model, nodes=nodes)


def _variations(contents: Contents, starts: list[list[LayerSpec]], longest: int) -> list[Variation]:
    """All variations, those that depart least from the layers that are given first."""
    paddings = _paddings(contents.described.mapping.padding or None, longest)
    found = []
    for start, layers in enumerate(starts):
        for (changed, what), padding in itertools.product(_layer_choices(layers), paddings):
            departures = sum(word not in USUAL for word in what) + (padding != paddings[0])
            found.append(Variation(start, changed, what, padding, departures))
    return sorted(found, key=lambda each: each.departures)


def _built(contents: Contents, variation: Variation, datasets: Datasets) -> _Built | None:
    """A variation as a model, None where its arrays do not fit together."""
    # Words and names play no part in a score.
    plain: dict[str, Any] = {"vocabulary": None, "tokens": None, "labels": None}
    model = _model(contents, variation.layers, datasets, padding=variation.padding, **plain)
    if model is None or model.by_step:
        return None
    orders = _orders(variation.layers)
    return _Built(variation, model, list(itertools.product(orders, SIGMOIDS, FORGET_BIASES)))


def _model(
    contents: Contents, layers: tuple[LayerSpec, ...], datasets: Datasets, **others: Any
) -> Model | None:
    """The model of some layers, None where the arrays do not fit together."""
    try:
        return build_model(_with_layers(contents, layers, **others), datasets).model
    except UnusableInput:
        return None


def _with_layers(contents: Contents, layers: Iterable[LayerSpec], **others: Any) -> Contents:
    mapping = msgspec.structs.replace(contents.described.mapping, layers=list(layers), **others)
    described = msgspec.structs.replace(contents.described, mapping=mapping)
    return msgspec.structs.replace(contents, described=described)


def _orders(layers: tuple[LayerSpec, ...]) -> list[tuple[str, ...]]:
    """All gate orders; one where the mapping names the gates one by one."""
    lstms = [layer.lstm for layer in layers if layer.lstm is not None]
    by_name = all(
        isinstance(cell.recurrent or cell.combined, dict)
        for lstm in lstms
        for cell in (lstm.forward, lstm.backward)
        if cell is not None
    )
    return [GATES] if by_name else list(itertools.permutations(GATES))


def _paddings(given: PaddingSpec | None, longest: int) -> list[PaddingSpec | None]:
    """What is given, then none, and either side, to the length that is given or of the longest."""
    if given is not None and given.masked is True:
        return [given]
    length = (given.length or longest) if given is not None else longest
    value = given.value if given is not None else UNSET
    sides = [PaddingSpec(side, length, value, False) for side in ("pre", "post")]
    usual = [] if given is None else [side for side in sides if side.side == (given.side or "pre")]
    return [*usual, None, *(side for side in sides if side not in usual)]


def _layer_choices(
    layers: list[LayerSpec],
) -> Iterator[tuple[tuple[LayerSpec, ...], tuple[str, ...]]]:
    """The layers as they are given, and with what else their datasets may mean."""
    lstms = [layer.lstm for layer in layers if layer.lstm is not None]
    alternatives = itertools.product(_layouts(), _biases(lstms), _directions(lstms), _ends(layers))
    for (layout, *says), (biased, *of_bias), (turned, *of_turn), (pool, *of_end) in alternatives:
        changed = [
            msgspec.structs.replace(layer, lstm=_changed(layer.lstm, (layout, biased, turned)))
            if layer.lstm
            else layer
            for layer in layers
        ]
        if pool is not None:
            last = max(place for place, layer in enumerate(changed) if layer.lstm)
            lstm = changed[last].lstm
            assert lstm is not None
            if pool == "last" and lstm.backward is None:
                continue  # the last hidden state, once more
            stepping = msgspec.structs.replace(lstm, returns="sequence")
            changed[last : last + 1] = [
                msgspec.structs.replace(changed[last], lstm=stepping),
                LayerSpec(pool=pool),
            ]
        yield tuple(changed), tuple(word for word in (*says, *of_bias, *of_turn, *of_end) if word)


Change = Callable[[LstmSpec], LstmSpec]


def _changed(lstm: LstmSpec, changes: Iterable[Change]) -> LstmSpec:
    for change in changes:
        lstm = change(lstm)
    return msgspec.structs.replace(lstm, gate_order=[*GATES], **PLAIN)


def _layouts() -> list[tuple[Change, str]]:
    def layout(name: Any) -> Change:
        return lambda lstm: msgspec.structs.replace(lstm, layout=name)

    return [(layout(name), f"layout {name}") for name in LAYOUTS]


def _biases(lstms: list[LstmSpec]) -> list[tuple[Change, str]]:
    """All biases that are named, each one alone, and none."""
    count = max(
        len(cell.bias) if isinstance(cell.bias, list) else int(cell.bias is not None)
        for lstm in lstms
        for cell in (lstm.forward, lstm.backward)
        if cell is not None
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


def _ends(layers: list[LayerSpec]) -> list[tuple[PoolName | None, str]]:
    """What becomes of the last LSTM's steps, where its mapping returns the last state."""
    kinds = [layer.kind for layer in layers]
    last = max(place for place, kind in enumerate(kinds) if kind == "lstm")
    lstm = layers[last].lstm
    named = any(layer.name or layer.source for layer in layers)
    if lstm is None or lstm.returns == "sequence" or named:
        return [(None, "")]
    return [(pool, f"pool {pool}" if pool else "") for pool in POOLS]


def _same(lstm: LstmSpec) -> LstmSpec:
    return lstm


def _of_cells(lstm: LstmSpec, change: Callable[[CellSpec | None], CellSpec | None]) -> LstmSpec:
    return msgspec.structs.replace(
        lstm, forward=change(lstm.forward), backward=change(lstm.backward)
    )
