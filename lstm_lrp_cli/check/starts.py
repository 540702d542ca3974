"""What a search begins with: layers, each with what else may stand in its place.

The alternatives are those of drafts: there is one list of what is likely. Where a file says
nothing, its layers are guessed by the shapes of its arrays. An LSTM shows in its recurrent weights,
(4d, d) or (d, 4d); what shares its 4d are its input weights and biases, what its input weights
share features with is the embedding, and matrices from its outputs to as many classes as there are
scores are linear layers. What is left open becomes several variants.
"""

import itertools
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Names
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.gates import GateLayout
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.steps import RepeatSpec
from lstm_lrp_cli.loading.layers.units import DenseLayout, DenseSpec, EmbeddingSpec
from lstm_lrp_cli.loading.mapping.choices import (
    LEAKY,
    Choices,
    ReadSteps,
    activations,
    convolutions,
    recurrent_of,
    windows,
)
from lstm_lrp_cli.loading.mapping.draft import Draft, DraftedLayer
from .variations import Start

# Variants of what is what, before gate orders and all else are tried with each.
MOST_VARIANTS = 64
# No more linear layers stand behind an LSTM that is guessed.
MOST_DENSE = 3
# What tells recurrent weights from input weights where both are square.
RECURRENT_NAMES = ("hh", "rec", "hidden", "_h", "u")
# Layers that stand behind the last recurrent one whatever of its steps they are given.
BEHIND = frozenset({"dense", "batch_norm", "layer_norm", "activation", "leaky_relu"})
NORMS = frozenset({"batch_norm", "layer_norm"})
UNITWISE = NORMS | {"activation", "leaky_relu"}
AS_GIVEN = ""


def starts_of(
    file: ArrayFile, layers: list[LayerSpec] | None, draft: Draft | None, classes: int
) -> list[Start]:
    """What a search begins with: the layers of a mapping, of a draft, or those that shapes allow.

    Parameters
    ----------
    layers : list of LayerSpec or None
        Those of a mapping, or of the file itself.
    draft : Draft or None
        Of a file that holds weights alone.
    classes : int
        The number of scores.

    Raises
    ------
    UnusableInput
        Nothing tells the layers.
    """
    shapes = {name: stored.shape for name, stored in file.datasets.items()}
    if draft is not None and file.format != "HDF5":
        # By the names of its weights it is known how the gates of PyTorch lie.
        return [Start(draft.layers, is_settled=True)]
    if layers:
        drafted = [] if draft is None else [Start(draft.layers)]
        return [start_of(layers, shapes), *drafted]
    return guess_starts(file, classes)


def start_of(layers: Sequence[LayerSpec], shapes: Names[str, tuple[int, ...]]) -> Start:
    """The layers of a mapping as they are given, and what else each may be.

    As given alone where names connect them.

    Parameters
    ----------
    layers : sequence of LayerSpec
    shapes : mapping
        Of the file's datasets.
    """
    if any(layer.name or layer.source for layer in layers):
        return Start([DraftedLayer((layer,)) for layer in layers])
    return Start(list(_drafted(list(layers), shapes)))


def of_steps(start: Start, steps: int) -> Start:
    """A start whose vectors are repeated for so many steps, as scores or sequences have."""

    def of(layer: LayerSpec) -> LayerSpec:
        return layer if layer.repeat is None else replace(layer, repeat=RepeatSpec(steps))

    drafted = [
        replace(
            each,
            layers=tuple(map(of, each.layers)),
            others={what: tuple(map(of, way)) for what, way in each.others.items()},
        )
        if any(layer.repeat for way in each.choices.values() for layer in way)
        else each
        for each in start.layers
    ]
    return Start(drafted, start.is_settled)


def _drafted(
    layers: list[LayerSpec], shapes: Names[str, tuple[int, ...]]
) -> Iterator[DraftedLayer]:
    places = [k for k, layer in enumerate(layers) if recurrent_of(layer)]
    last = places[-1] if places else len(layers)
    denses = [k for k, layer in enumerate(layers) if layer.dense]
    place, pools = 0, False
    while place < len(layers):
        layer, behind = layers[place], layers[place + 1 :]
        if pools and layer.kind not in UNITWISE:
            pools = False
            yield _varied((), windows(), "pooling")
        if place == last and _fits(behind):
            drafted, used = _end(layer, behind)
            yield drafted
            place += used
            continue
        place += 1
        if layer.convolution is not None:
            yield from _convolution(layer, behind, shapes)
            pools = not _is_pooled(behind)
        elif layer.windows is not None:
            yield _varied((layer,), windows(), "pooling")
        elif layer.dense is not None and place - 1 in denses[:-1] and not _is_activated(behind):
            yield _varied((layer,), activations(layer), "activations")
        elif (layer.activation or layer == LEAKY) and any(
            recurrent_of(x) or x.dense for x in behind
        ):
            yield _varied((layer,), activations(), "activations")
        elif layer.attention is not None and layer.attention.hidden is not None:
            yield _attention(layer)
        else:
            yield DraftedLayer((layer,))


def _varied(given: tuple[LayerSpec, ...], choices: Choices, family: str = "") -> DraftedLayer:
    """What is given, and all else that may stand there."""
    this = next((what for what, way in choices.items() if way == given), AS_GIVEN)
    others = {what: way for what, way in choices.items() if way != given}
    return DraftedLayer(given, this=this, others=others, family=family)


def _is_activated(behind: Sequence[LayerSpec]) -> bool:
    """Whether an activation follows, but for normalizations between."""
    after = next((layer for layer in behind if layer.kind not in NORMS), None)
    return after is not None and bool(after.activation or after.leaky_relu)


def _convolution(
    layer: LayerSpec, behind: Sequence[LayerSpec], shapes: Names[str, tuple[int, ...]]
) -> Iterator[DraftedLayer]:
    """A convolution, and what stands behind it where it is given no layer of its own."""
    spec = layer.convolution
    assert spec is not None
    shape = shapes.get(spec.weights, ())
    if len(shape) != 3 or spec.dilation != 1:
        yield DraftedLayer((layer,))
        return
    width = shape[2] if spec.layout == "outputs_inputs_width" else shape[0]
    plain = replace(layer, convolution=replace(spec, activation="linear"))
    yield _varied((plain,), convolutions(plain, width), "convolutions")
    if spec.activation != "linear" or not _is_activated(behind):
        first: Any = spec.activation
        given = () if first == "linear" else (LayerSpec(activation=first),)
        yield _varied(given, activations(first=first), "activations")


def _is_pooled(behind: Sequence[LayerSpec]) -> bool:
    """Whether windows are pooled behind a convolution's activation."""
    after = next((layer for layer in behind if layer.kind not in UNITWISE), None)
    return after is not None and after.windows is not None


def _attention(layer: LayerSpec) -> DraftedLayer:
    spec = layer.attention
    assert spec is not None
    hidden = spec.hidden
    assert hidden is not None
    kinds: tuple[Any, ...] = ("tanh", "relu", "linear", "sigmoid")
    choices: Choices = {
        f"{kind} inside attention": (
            replace(layer, attention=replace(spec, hidden=replace(hidden, activation=kind))),
        )
        for kind in kinds
    }
    return _varied((layer,), choices)


def _fits(behind: Sequence[LayerSpec]) -> bool:
    """Whether what stands behind the last recurrent layer may be given anything of its steps."""
    rest = behind[1:] if behind and behind[0].pool else behind
    return BEHIND.issuperset(layer.kind for layer in rest)


def _end(layer: LayerSpec, behind: Sequence[LayerSpec]) -> tuple[DraftedLayer, int]:
    """The last recurrent layer with what is made of its steps; how many entries that are."""
    given: list[LayerSpec] = [layer]
    for each in behind:
        if not (each.pool or each.kind in NORMS):
            break
        given.append(each)
    norms = tuple(each for each in given[1:] if each.pool is None)
    ends = ReadSteps((layer,), 0, None, norms).ends()
    return _varied(tuple(given), ends), len(given)


@dataclass(frozen=True, slots=True)
class _Direction:
    """The weights of one direction."""

    input: str
    recurrent: str
    layout: GateLayout


def guess_starts(file: ArrayFile, classes: int) -> list[Start]:
    """The chains of embedding, one LSTM and linear layers that shapes allow.

    Raises
    ------
    UnusableInput
        There is none, or there are too many.
    """
    variants = list(itertools.islice(_variants(file, classes), MOST_VARIANTS + 1))
    if not variants:
        raise UnusableInput(
            str(file.path),
            f"its shapes show no LSTM of one layer with an output layer of {classes} scores; "
            "describe its layers in a mapping, with any gate order",
        )
    if len(variants) > MOST_VARIANTS:
        raise UnusableInput(
            str(file.path),
            "its shapes leave open which array is which; name them in a mapping, in any gate order",
        )
    shapes = {name: stored.shape for name, stored in file.datasets.items()}
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]

    def unused(layers: Sequence[LayerSpec]) -> int:
        text = repr(layers)
        return sum(repr(name) not in text for name in matrices)

    return [start_of(layers, shapes) for layers in sorted(variants, key=unused)]


def _variants(file: ArrayFile, classes: int) -> Iterator[list[LayerSpec]]:
    shapes = {
        name: stored.shape
        for name, stored in file.datasets.items()
        if stored.dtype.startswith(("float", "bfloat"))
    }
    for directions in _recurrent_parts(shapes):
        layout = directions[0].layout
        hidden = min(shapes[directions[0].recurrent])
        taken = {name for each in directions for name in (each.input, each.recurrent)}
        rest = {name: shape for name, shape in shapes.items() if name not in taken}
        units = hidden * len(directions)
        features = _other_side(shapes[directions[0].input], 4 * hidden)
        tables = [name for name, shape in rest.items() if shape[1:] == (features,)]
        embeddings: list[str | None] = [*tables, None]
        for denses in _heads(rest, units, classes):
            used = {name for dense in denses for name in _names(dense)}
            # A table of that shape is an embedding.
            embedding = next((name for name in embeddings if name not in used), None)
            lstm = LstmSpec(
                gate_order=["i", "f", "g", "o"],
                layout="cudnn" if _has_both_biases(rest, hidden) else layout,
                forward=_cell(directions[0], rest, hidden, 0, len(directions)),
                backward=_cell(directions[1], rest, hidden, 1, 2) if len(directions) > 1 else None,
            )
            first = [LayerSpec(embedding=EmbeddingSpec(embedding))] if embedding else []
            yield [*first, LayerSpec(lstm=lstm), *denses]


def _recurrent_parts(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[_Direction]]:
    """One direction or two: pairs of recurrent and input weights."""
    matrices = {name: shape for name, shape in shapes.items() if len(shape) == 2}
    axes: dict[GateLayout, int] = {"gates_by_features": 0, "features_by_gates": 1}
    pairs = [
        _Direction(other, name, layout)
        for name, shape in matrices.items()
        for layout, axis in axes.items()
        if shape[axis] == 4 * shape[1 - axis]
        for other, of_other in matrices.items()
        if other != name and of_other[axis] == shape[axis]
    ]
    for one, other in itertools.permutations(pairs, 2):
        names = {one.input, one.recurrent, other.input, other.recurrent}
        alike = shapes[one.recurrent] == shapes[other.recurrent] and (
            shapes[one.input] == shapes[other.input]
        )
        in_order = list(shapes).index(one.recurrent) < list(shapes).index(other.recurrent)
        if len(names) == 4 and alike and in_order and one.layout == other.layout:
            yield [one, other]
    yield from ([each] for each in sorted(pairs, key=_is_unlikely))


def _is_unlikely(pair: _Direction) -> bool:
    """Whether the names say that input and recurrent weights are exchanged."""
    return not any(part in pair.recurrent.lower() for part in RECURRENT_NAMES)


def _heads(
    shapes: dict[str, tuple[int, ...]], units: int, classes: int
) -> Iterator[list[LayerSpec]]:
    """Linear layers one after the other from the LSTM's outputs to the scores, the fewest first."""
    for count in range(1, MOST_DENSE + 1):
        yield from _chains(shapes, units, classes, count)


def _chains(
    shapes: dict[str, tuple[int, ...]], units: int, classes: int, count: int
) -> Iterator[list[LayerSpec]]:
    """So many linear layers; of several, all but the last have a relu."""
    if count == 1:
        for weights, layout in _output_layers(shapes, units, classes):
            named = list(weights) if len(weights) > 1 else weights[0]
            yield [LayerSpec(dense=DenseSpec(named, layout, _bias(shapes, classes)))]
        return
    wide = {size for shape in shapes.values() if len(shape) == 2 for size in shape}
    for hidden in sorted(wide):
        for weights, layout in _output_layers(shapes, units, hidden):
            named = list(weights) if len(weights) > 1 else weights[0]
            bias = _bias(shapes, hidden)
            first = DenseSpec(named, layout, bias, activation="relu")
            rest = {name: shape for name, shape in shapes.items() if name not in (*weights, bias)}
            for others in _chains(rest, hidden, classes, count - 1):
                yield [LayerSpec(dense=first), *others]


def _bias(shapes: dict[str, tuple[int, ...]], outputs: int) -> str | None:
    """The first vector of so many numbers."""
    return next((name for name, shape in shapes.items() if shape == (outputs,)), None)


def _names(layer: LayerSpec) -> list[str]:
    """The matrices of a linear layer."""
    weights = [] if layer.dense is None else layer.dense.weights
    return [weights] if isinstance(weights, str) else weights


def _output_layers(
    shapes: dict[str, tuple[int, ...]], units: int, classes: int
) -> Iterator[tuple[tuple[str, ...], DenseLayout]]:
    """Matrices from the LSTM's outputs to the scores: one, or one for each direction."""
    half = units // 2
    wanted: dict[DenseLayout, tuple[tuple[int, int], tuple[int, int]]] = {
        "classes_by_features": ((classes, units), (classes, half)),
        "features_by_classes": ((units, classes), (half, classes)),
    }
    for layout, (whole, part) in wanted.items():
        for name, shape in shapes.items():
            if shape == whole:
                yield (name,), layout
        halves = [name for name, shape in shapes.items() if shape == part]
        if units == 2 * half and len(halves) == 2:
            yield (halves[0], halves[1]), layout


def _has_both_biases(rest: dict[str, tuple[int, ...]], hidden: int) -> bool:
    """Whether two biases stand in one vector, as Keras keeps those of cuDNN."""
    return any(shape == (8 * hidden,) for shape in rest.values())


def _cell(
    direction: _Direction, rest: dict[str, tuple[int, ...]], hidden: int, place: int, count: int
) -> CellSpec:
    """A direction with its share of the vectors of 4d or 8d numbers, in the order of the file."""
    sizes = ((4 * hidden,), (8 * hidden,))
    vectors = [name for name, shape in rest.items() if shape in sizes]
    each = len(vectors) // count
    own = vectors[place * each : (place + 1) * each] if each else []
    return CellSpec(input=direction.input, recurrent=direction.recurrent, bias=[*own] or None)


def _other_side(shape: tuple[int, ...], gates: int) -> int:
    return shape[1] if shape[0] == gates else shape[0]
