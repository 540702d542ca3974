"""Searching the mapping by which a model gives the scores that its framework gave.

The weights are read once and every variation is a model of its own: all gate orders, with each
choice of what else a file may leave unsaid. All are run on one short sequence; those that are near
are run on all.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from lstm_lrp_cli.engine.forward import Runner
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.carried import Carried
from lstm_lrp_cli.explaining.corpus import run_batch
from lstm_lrp_cli.loading.building.datasets import Datasets
from lstm_lrp_cli.loading.load import Contents, build_model
from lstm_lrp_cli.loading.mapping.schema import CellSpec, LayerSpec, LstmSpec, Mapping, PaddingSpec
from lstm_lrp_cli.model.arrays import FORGET, GATES, Floats
from lstm_lrp_cli.model.layers import ActivationName, GateActivationName, Lstm, PoolName, Returns
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.sequences.batching import Batch, make_batch, masked_steps, real_lengths
from lstm_lrp_cli.sequences.sequence import Sequence
from .expected import KINDS, Expected, deviation_of, kinds_of, probabilities_of

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


@dataclass(frozen=True, slots=True)
class MatchedMapping:
    """A variation, and how far its scores are from those that were expected."""

    choice: Candidate
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
    steps, masked : int or None
        Of a model by step, at how many steps scores were compared, and how many more are masked.
    """

    ranked: list[MatchedMapping]
    tolerance: float
    tried: int
    sequences: int
    steps: int | None = None
    masked: int | None = None

    @property
    def found(self) -> list[MatchedMapping]:
        """The variations that reproduce the scores; more than one cannot be told apart."""
        return [each for each in self.ranked if each.worst <= self.tolerance]

    @property
    def others(self) -> list[MatchedMapping]:
        """The nearest of those that do not."""
        return [each for each in self.ranked if not each.worst <= self.tolerance]


def first_model(
    contents: Contents,
    variants: list[list[LayerSpec]],
    datasets: Datasets,
    is_meant: Callable[[Model], bool],
) -> Model:
    """A model of the first layers that fit together: what input and scores are read for.

    Parameters
    ----------
    is_meant : callable
        Whether a model has the form of the scores; one that has not is taken where none has.

    Raises
    ------
    UnusableInput
        None do.
    """
    models = (
        model
        for variant in variants
        for layers, _ in _layer_choices(variant)
        if (model := _model(contents, layers, datasets)) is not None
    )
    first = next(models, None)
    if first is None:
        # The mapping as it is says best what is wrong with it.
        return build_model(_with_layers(contents, variants[0]), datasets).model
    return next(filter(is_meant, itertools.chain([first], models)), first)


def search(
    contents: Contents,
    variants: Iterable[list[LayerSpec]],
    first: Model,
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
    first : Model
        What the sequences and scores were read for.
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
    real = real_lengths(sequences, first).tolist()
    steps = masked = None
    if first.by_step:
        steps, masked = sum(real), masked_steps(sequences, first)
    count = len(sequences)
    # Of a stateful model, one that begins in its initial states.
    anew = slice(contents.described.mapping.stateful or None)
    _, short = min(
        zip(real[anew], sequences[anew], strict=True),
        key=lambda each: (each[0] < TELLING_STEPS, each[0] or 1 << 30),
    )
    longest = max(len(each) for each in sequences)
    variations = _variations(contents, list(variants), longest)
    of_lengths = _of_lengths(contents, variations[0], datasets, sequences, expected, tolerance)
    if any(each.worst <= tolerance for each in of_lengths):
        of_lengths.sort(key=_nearness)
        return Match(of_lengths, tolerance, len(of_lengths), count, steps, masked)
    near: list[tuple[float, Setting, _Built]] = []
    anchor: _Built | None = None
    for done, variation in enumerate(variations, start=1):
        tell(done, len(variations))
        # What differs in several ways from a mapping that fits does not fit as well.
        if anchor is not None and variation.ways_from(anchor.variation) > 1:
            continue
        each = _built(contents, variation, datasets)
        if each is None or each.model.by_step != expected.by_step:
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
    ranked += of_lengths
    ranked.sort(key=_nearness)
    return Match(ranked, tolerance, len(near) + len(of_lengths), count, steps, masked)


def _nearness(found: MatchedMapping) -> float:
    return found.worst if found.worst == found.worst else np.inf


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
        classes, by_step = built.model.classes, built.model.by_step
        of_each = [
            expected.of(each.number, (len(each), classes) if by_step else (classes,), kept)
            for batch in self._batches
            for each, kept in zip(batch.sequences, batch.kept(), strict=True)
        ]
        if by_step:  # what stands at masked steps means nothing
            real = (each for batch in self._batches for each in batch.kept())
            self._theirs = np.concatenate([s[r] for s, r in zip(of_each, real, strict=True)])
        else:
            self._theirs = np.stack(of_each)

    def judge(self, model: Model) -> tuple[float, str]:
        """The largest deviation, of scores or of what comes of them, whichever fits better.

        Infinite where the model cannot run the sequences: they overflow, or are of another length.
        """
        carried = Carried(model)
        try:
            scores = np.concatenate([self._scores(model, each, carried) for each in self._batches])
        except UnusableInput:
            return np.inf, "scores"
        likely = probabilities_of(model, scores)
        found = {
            kind: deviation_of(kind, scores, likely, self._theirs)
            for kind in sorted(kinds_of(self._theirs), key=KINDS.index)
        }
        compared = min(found, key=lambda name: found[name])
        return found[compared], compared

    def _scores(self, model: Model, batch: Batch, carried: Carried) -> Floats:
        """The scores of a batch; of a model by step, those of all real steps, one after another."""
        scores = run_batch(Runner(model), batch, carried).scores
        return scores[batch.own_rows] if model.by_step else scores

    def matched(self, built: "_Built", setting: "Setting") -> MatchedMapping:
        worst, compared = self.judge(_with_setting(built.model, setting))
        return MatchedMapping(Candidate(built.variation, *setting), worst, compared)


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
                node.layer, cells=tuple(map(cell, node.layer.cells)), gate_activation=sigmoid
            ),
        )
        if isinstance(node.layer, Lstm)
        else node
        for node in model.nodes
    )
    return replace(model, nodes=nodes)


def _of_lengths(
    contents: Contents,
    variation: Variation,
    datasets: Datasets,
    sequences: list[Sequence],
    expected: Expected,
    tolerance: float,
) -> list[MatchedMapping]:
    """The model as it is given, its sequences filled up and cut to every likely length.

    There are none where it fits as it is, where a length is given, where the gate order is not, or
    where the scores are of steps and its are not, or the other way round.
    """
    padding = contents.described.mapping.padding or None
    given = _given_setting(contents.described.mapping.layers or [])
    built = None if given is None else _built(contents, variation, datasets)
    if given is None or built is None or built.model.by_step != expected.by_step:
        return []
    if padding is not None and padding.length:
        return []
    if _Judge(sequences, expected, built).matched(built, given).worst <= tolerance:
        return []
    longest = max(len(each) for each in sequences)
    value = UNSET if padding is None else padding.value
    masked = padding is not None and padding.masked is True
    lengths = [*range(1, min(longest, MOST_LENGTHS)), *(n for n in USUAL_LENGTHS if n > longest)]
    found = []
    for length in lengths:
        specs = _sides_and_cuts(length, value, longest)
        if masked:  # what is filled up is skipped, so where it stands makes no difference
            cuts = (each.truncate for each in specs if each.side is None)
            specs = [PaddingSpec(UNSET, length, value, masked, cut) for cut in cuts]
        for spec in specs:
            filled = Padding(
                spec.side or None, length, value or 0, masked, truncate=spec.truncate or None
            )
            model = replace(built.model, padding=filled)
            each = _Built(replace(variation, padding=spec), model, [given])
            found.append(_Judge(sequences, expected, each).matched(each, given))
    return found


def _given_setting(layers: Iterable[LayerSpec]) -> Setting | None:
    """The gate order, sigmoid and forget bias that all LSTMs of a mapping have; None if unsaid."""
    settings = {
        (tuple(lstm.gate_order or ()), lstm.recurrent_activation, lstm.forget_bias)
        for lstm in (layer.lstm for layer in layers)
        if lstm is not None
    }
    return settings.pop() if len(settings) == 1 and all(order for order, *_ in settings) else None


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
    if model is None:
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


def _layer_choices(
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
    unbiased = all(
        cell.bias is None for lstm in lstms for cell in (lstm.forward, lstm.backward) if cell
    )
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


def _same(lstm: LstmSpec) -> LstmSpec:
    return lstm


def _of_cells(lstm: LstmSpec, change: Callable[[CellSpec | None], CellSpec | None]) -> LstmSpec:
    return msgspec.structs.replace(
        lstm, forward=change(lstm.forward), backward=change(lstm.backward)
    )
