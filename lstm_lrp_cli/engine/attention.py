"""The attention weights of a forward pass: which layers have some, and of which steps they are."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Each,
    Merge,
    Node,
    Repeat,
    Reverse,
    StepSoftmax,
    Transpose,
    Unflatten,
)
from .arrays import Packing
from .forward import Trace
from .layers.attention import AttentionRecord
from .layers.each import EachRecord
from .layers.steps import StepSoftmaxRecord
from .records import Record

# What layers are called, with a number: the kinds of a mapping.
ATTEND: Final = "attend"
SOFTMAX: Final = "softmax"
EACH: Final = "each"


class Origin(Struct, frozen=True, eq=False):
    """The steps of a model's input that the steps of a value are.

    Parameters
    ----------
    number : int
        The input's.
    rows : ndarray of int, shape (rows,)
        The packed row of the input that each row of the value is.
    """

    number: int
    rows: Integers


class Steps(Struct, frozen=True, eq=False):
    """The steps of a value: how they are packed, and which they are of an input, if any.

    Parameters
    ----------
    packing : Packing or None
        None where there is one vector a sequence.
    origin : Origin or None
    """

    packing: Packing | None
    origin: Origin | None = None

    def rows(self, sequence: int) -> Integers | None:
        """The input's packed rows that the steps of a sequence are; None where they are none."""
        if self.origin is None or self.packing is None:
            return None
        rows: Integers = self.packing.offsets[: self.packing.lengths[sequence]] + sequence
        return self.origin.rows[rows]


class Inside(Struct, frozen=True, eq=False):
    """The sequences of a graph within a graph.

    Parameters
    ----------
    owners, numbers : ndarray of int, shape (inner sequences,)
        The sequence of the batch that each is a part of, and which of its parts it is.
    """

    owners: Integers
    numbers: Integers

    def of(self, sequence: int) -> list[int]:
        """The parts of a sequence of the batch, in their order."""
        own = np.flatnonzero(self.owners == sequence)
        in_order: list[int] = own[np.argsort(self.numbers[own], kind="stable")].tolist()
        return in_order


class Weighing(Struct, frozen=True, eq=False):
    """What one layer weighs, over a batch.

    Parameters
    ----------
    layer : str
        Its kind and number, as "attend_1"; within a graph for each part, "each_1.attend_1".
    weights : callable
        From the number of a sequence to its weights, shape (heads, queries, keys). Those of each
        query of each head sum to 1. A softmax has one query, and a head for each unit.
    queries, keys : Steps
    parts : Inside or None
        What its sequences are, where they are not those of the batch.
    """

    layer: str
    weights: Callable[[int], Floats]
    queries: Steps
    keys: Steps
    parts: Inside | None = None


def attention_layers(nodes: Sequence[Node], prefix: str = "") -> list[str]:
    """The names of a graph's layers that have attention weights, in their order."""
    found: list[str] = []
    for place, name in _names(nodes).items():
        layer = nodes[place].layer
        if isinstance(layer, Each):
            found += attention_layers(layer.nodes, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def pair_values(nodes: Sequence[Node], steps: int) -> int:
    """About how many weights the layers of a graph have of a sequence of so many steps."""
    total = 0
    for node in nodes:
        if isinstance(node.layer, Attention):
            total += node.layer.heads * steps * steps
        elif isinstance(node.layer, Each):  # of every pair within a part
            parts = -(-steps // node.layer.steps)
            total += parts * pair_values(node.layer.nodes, node.layer.steps)
        elif isinstance(node.layer, StepSoftmax | Transpose):
            total += steps
    return total


def weighings(trace: Trace) -> list[Weighing]:
    """What each layer that has attention weights weighs, in the model's order."""
    inputs = {}
    for number, given in enumerate(trace.given):
        origin = Origin(number, np.arange(given.packing.rows)) if given.is_sequence else None
        inputs[MODEL_INPUT - number] = Steps(given.steps, origin)
    return list(_of_graph(trace.model.nodes, trace.records, inputs))


def _names(nodes: Sequence[Node]) -> dict[int, str]:
    """The places and names of the nodes that have weights, and of the graphs within a graph."""
    counts, names = Counter[str](), dict[int, str]()
    weighed = _weighed(nodes)
    for place, node in enumerate(nodes):
        match node.layer:
            case Attention():
                kind = ATTEND
            case Each():
                kind = EACH
            case StepSoftmax():
                kind = SOFTMAX
            case Activation() if place in weighed:
                kind = SOFTMAX
            case _:
                continue
        counts[kind] += 1
        names[place] = f"{kind}_{counts[kind]}"
    return names


def _weighed(nodes: Sequence[Node]) -> dict[int, int]:
    """What softmaxes weigh step by step, by their places: where a product with them has it.

    A softmax over units is one over steps where its units become steps: it stands between two
    transpositions, or behind a flattening.
    """
    found: dict[int, int] = {}
    for node in nodes:
        if not isinstance(node.layer, Merge) or len(node.sources) != 2:
            continue
        first, second = node.sources
        if node.layer.kind in ("gate", "product"):
            found |= _weighs(nodes, first, second)
        if node.layer.kind == "product":
            found |= _weighs(nodes, second, first)
    return found


def _weighs(nodes: Sequence[Node], factor: int, other: int) -> dict[int, int]:
    """The softmax that a factor of a product comes from, and the other factor, if it is one."""
    made_steps = False
    while factor > MODEL_INPUT and isinstance(nodes[factor].layer, Transpose | Repeat | Unflatten):
        made_steps |= not isinstance(nodes[factor].layer, Repeat)
        factor = nodes[factor].sources[0]
    if factor <= MODEL_INPUT:
        return {}
    match nodes[factor].layer:
        case Activation("softmax") if made_steps:
            return {factor: other}
        case StepSoftmax() if not made_steps:
            return {factor: other}
    return {}


def _of_graph(
    nodes: Sequence[Node],
    records: Sequence[Record],
    values: dict[int, Steps],
    prefix: str = "",
    parts: Inside | None = None,
) -> Iterator[Weighing]:
    """What the layers of a graph weigh; all values' steps are added to those of the inputs."""
    names, weighed = _names(nodes), _weighed(nodes)
    found: list[Weighing] = []
    for place, (node, record) in enumerate(zip(nodes, records, strict=True)):
        sources = [values[source] for source in node.sources]
        name = prefix + names.get(place, "")
        if isinstance(record, EachRecord):
            inner, values[place] = _of_each(record, sources[0], f"{name}.", parts)
            found += inner
            continue
        values[place] = Steps(record.steps, _origin(node, record, sources))
        if isinstance(record, AttentionRecord):
            found.append(Weighing(name, record.attention, sources[0], sources[1], parts))
        elif place in names:
            # What it weighs may be steps of an input where its own were made of a vector's units.
            steps = values[weighed[place]] if place in weighed else values[place]
            weights = (
                record.attention if isinstance(record, StepSoftmaxRecord) else _by_unit(record)
            )
            found.append(Weighing(name, weights, Steps(None), steps, parts))
    yield from found


def _by_unit(record: Record) -> Callable[[int], Floats]:
    """The weights of a softmax whose units are steps: each of its vectors is one head's."""

    def weights(sequence: int) -> Floats:
        rows = np.array([sequence])
        if record.steps is not None:
            rows = record.steps.offsets[: record.steps.lengths[sequence]] + sequence
        found: Floats = record.outputs[rows][:, np.newaxis]
        return found

    return weights


def _origin(node: Node, record: Record, sources: Sequence[Steps]) -> Origin | None:
    """Which steps of an input a layer's outputs are; None where they are no one's."""
    if record.steps is None:
        return None
    if isinstance(node.layer, Attention):
        sources = sources[:1]  # it gives something of each query
    same = [each.origin for each in sources if each.packing is record.steps]
    first, *others = same or [None]
    if first is None:
        return None
    for other in others:
        if other is None or other.number != first.number or np.any(other.rows != first.rows):
            return None
    if isinstance(node.layer, Reverse):
        return Origin(first.number, first.rows[record.steps.reverse])
    return first


def _of_each(
    record: EachRecord, source: Steps, prefix: str, parts: Inside | None
) -> tuple[list[Weighing], Steps]:
    """What the layers of a graph for each part weigh, and the steps that it gives."""
    sequences = record.sequences
    if not sequences.rows:
        return [], Steps(record.steps)
    origin = source.origin
    if origin is not None:
        origin = Origin(origin.number, origin.rows[record.inner_rows])
    values = {MODEL_INPUT: Steps(record.inner.packing, origin)}
    owners, numbers = sequences.sequence, sequences.step
    if parts is not None:  # these are parts of parts
        numbers = parts.numbers[owners] * int(sequences.lengths[0]) + numbers
        owners = parts.owners[owners]
    nodes = record.layer.nodes
    own = Inside(owners, numbers)
    found = list(_of_graph(nodes, record.records, values, prefix, own))
    given = values[record.layer.output].origin
    if record.made is None or given is None:
        return found, Steps(record.steps)
    return found, Steps(record.steps, Origin(given.number, record.at_outer_steps(given.rows)))
