"""Which layers a file without architecture may hold, by the shapes of its arrays.

An LSTM shows in its recurrent weights, (4d, d) or (d, 4d); what shares its 4d are its input weights
and biases, what its input weights share features with is the embedding, and a matrix from its
outputs to as many classes as there are scores is the output layer. What is left open becomes
several variants.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.gates import GateLayout
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.units import DenseLayout, DenseSpec, EmbeddingSpec

# Variants of what is what, before gate orders and all else are tried with each.
MOST_VARIANTS = 64
# What tells recurrent weights from input weights where both are square.
RECURRENT_NAMES = ("hh", "rec", "hidden", "_h", "u")


@dataclass(frozen=True, slots=True)
class _Direction:
    """The weights of one direction."""

    input: str
    recurrent: str
    layout: GateLayout


def guess_layers(file: ArrayFile, classes: int) -> list[list[LayerSpec]]:
    """The chains of embedding, one LSTM and output layer that shapes allow.

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
    return variants


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
        for (weights, dense_layout), embedding in itertools.product(
            _output_layers(rest, units, classes), embeddings
        ):
            if embedding in weights:
                continue
            lstm = LstmSpec(
                gate_order=["i", "f", "g", "o"],
                layout="cudnn" if _has_both_biases(rest, hidden) else layout,
                forward=_cell(directions[0], rest, hidden, 0, len(directions)),
                backward=_cell(directions[1], rest, hidden, 1, 2) if len(directions) > 1 else None,
            )
            bias = next((name for name, shape in rest.items() if shape == (classes,)), None)
            named = list(weights) if len(weights) > 1 else weights[0]
            dense = DenseSpec(named, dense_layout, bias)
            first = [LayerSpec(embedding=EmbeddingSpec(embedding))] if embedding else []
            yield [*first, LayerSpec(lstm=lstm), LayerSpec(dense=dense)]
            if embedding:  # a table of that shape is an embedding
                break


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
