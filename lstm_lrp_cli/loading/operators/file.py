"""A file that holds a graph of operators, whose vocabulary is ONNX's, with its weights.

Datasets are the graph's constants: weights, `Constant` nodes, and what nodes make of those alone,
such as a transposed matrix. Where a node takes of a constant one direction or one row, the parts
are datasets of their own:

    W[0], W[1]       the input weights of a recurrent node's first and second direction
    B[0]/W, B[0]/R   the first direction's biases of the input and of the hidden state
    b[0], b[:, 0]    the vector that a matrix of one row or column is; b[None] is a single number
    1/b              one over each number of a vector
    K[:, :, :, 0]    a convolution's weights without an axis of one place
"""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.loading.files import ArrayFile, Stored, check_folded
from .arrays import ARRAY_OPS, Array, GraphNode

# Exporters copy a state by one Expand, one Tile, or both.
MOST_COPYINGS = 4
# The operators that take constants as vectors, and from which input on.
WITH_VECTORS = {
    **dict.fromkeys(("Add", "Mul", "Sub"), 0),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "PRelu"), 1),
    "Gemm": 2,
}
# What a lookup raises in a file that is not of the form that its format gives it.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, AssertionError, RecursionError),
)


class GraphInput(Struct, frozen=True):
    """What a graph is given: the number or name of each size, None where it has neither."""

    name: str
    sizes: list[int | str | None]
    dtype: str


class GraphFile(ArrayFile):
    """A file with a graph, decoded, with all that is constant in it.

    Attributes
    ----------
    nodes : list of GraphNode
        In the order in which they run.
    constants : dict of str to ndarray
        The tensors that are known, by name.
    inputs : list of GraphInput
    outputs : list of str
    opset : int
        The version of ONNX's operators.
    producer : str
        What wrote it; "" is not known.
    """

    nodes: list[GraphNode]
    constants: dict[str, Array]
    inputs: list[GraphInput]
    outputs: list[str]
    opset: int
    producer: str
    _arrays: dict[str, Array]
    _derived: dict[str, Array]
    _made: int

    def read(self, name: str) -> Array:
        return self._arrays[name]

    def _complete(self) -> None:
        """Work out all that is constant, and name the datasets.

        Raises
        ------
        ValueError
            A tensor is made twice.
        """
        made = [*self.constants, *(entry.name for entry in self.inputs)]
        made += [name for node in self.nodes for name in node.outputs if name]
        twice = [name for name, count in Counter(made).items() if count > 1]
        if twice:
            raise ValueError(f"it makes `{twice[0]}` twice")
        self._derived, self._made = {}, 0
        with np.errstate(all="ignore"):  # numbers that are none are told of when they are read
            self._arrays = self._named(self._fold())
        self.datasets = {
            name: Stored(array.shape, array.dtype.name) for name, array in self._arrays.items()
        }

    def keep(self, node: GraphNode, arrays: list[Array]) -> list[Array]:
        """Keep what a node makes of constants and of shapes, as datasets where it is weights.

        Raises
        ------
        UnusableInput
            All such arrays take far more memory than the file.
        """
        for name, array in zip(node.outputs, arrays, strict=False):
            known = self._derived.get(name)
            self._made += array.nbytes - (0 if known is None else known.nbytes)
            self._derived[name] = array
        check_folded(node.where, self._made, self.size)
        return arrays

    def keep_parts(self, node: GraphNode) -> None:
        """Name what a node takes of such arrays, whole and in parts."""
        taken = {name: self._derived[name] for name in node.inputs if name in self._derived}
        named = {part: array for _, part, array in _parts(node, taken, {})} if taken else {}
        weights = {
            name: array
            for name, array in (taken | named).items()
            if array.dtype.kind == "f" and array.ndim
        }
        self._arrays |= weights
        if weights:
            shapes = {name: Stored(each.shape, each.dtype.name) for name, each in weights.items()}
            self.datasets = {**self.datasets, **shapes}

    def _fold(self) -> set[int]:
        """Work out all nodes that take constants alone; which they are."""
        folded = set()
        made = 0
        for place, node in enumerate(self.nodes):
            try:
                arrays = self._made_by(node)
            except DAMAGED:
                continue  # following the graph says what is wrong, if the node matters
            if arrays is None:
                continue
            given = [self.constants[name] for name in node.inputs if name in self.constants]
            made += sum(
                array.nbytes
                for array in arrays
                if not any(np.may_share_memory(array, each) for each in given)  # a view of it
            )
            check_folded(node.where, made, self.size)
            folded.add(place)
            self.constants |= dict(zip(node.outputs, arrays, strict=False))
        return folded

    def _made_by(self, node: GraphNode) -> list[Array] | None:
        if node.op == "Constant":
            return [_constant(node)]
        given = [name for name in node.inputs if name]
        if node.op not in ARRAY_OPS or not given or not self.constants.keys() >= set(given):
            return None
        return ARRAY_OPS[node.op](node, *map(self.constants.get, node.inputs))

    def _named(self, folded: set[int]) -> dict[str, Array]:
        """The datasets: constants that the graph's other nodes take, and the parts they take."""
        makers = {name: node for node in self.nodes for name in node.outputs}
        live = [node for place, node in enumerate(self.nodes) if place not in folded]
        parts: dict[str, Array] = {}
        parted = set()
        for node in live:
            for name, part, array in _parts(node, self.constants, makers):
                parts[part] = array
                parted.add((id(node), name))
        taken = {name for node in live for name in node.inputs if (id(node), name) not in parted}
        within = {name for place in folded for name in self.nodes[place].inputs}
        within |= {name for _, name in parted}
        names = (name for name in self.constants if name in taken or name not in within)
        whole = {name: self.constants[name] for name in names}
        return {
            name: array
            for name, array in (whole | parts).items()
            if array.dtype.kind == "f" and array.ndim
        }


def direction_name(name: str, direction: int) -> str:
    """The dataset that is one direction's part of a recurrent node's weights or states."""
    return f"{name}[{direction}]"


def bias_names(name: str, direction: int) -> list[str]:
    """The two halves of one direction's bias: of the input, and of the hidden state."""
    return [f"{direction_name(name, direction)}/{half}" for half in ("W", "R")]


def vector_name(name: str, array: Array) -> str:
    """The dataset that is a constant as a vector: without its axes of one."""
    if array.ndim == 0:
        return f"{name}[None]"
    axis = int(np.argmax(array.shape[::-1]))  # counted from the back
    leading, trailing = ["0"] * (array.ndim - 1 - axis), [":", *["0"] * axis] * bool(axis)
    return f"{name}[{', '.join([*leading, *trailing])}]" if array.ndim > 1 else name


def inverse_name(name: str, array: Array) -> str:
    """The dataset that is one over each number of a vector."""
    return f"1/{vector_name(name, array)}"


def kernel_name(name: str, array: Array) -> str:
    """The dataset that is a convolution's weights with one axis of places: without those of one."""
    if array.ndim < 4:
        return name
    axis = 2 + int(np.argmax(array.shape[2:]))
    places = [":" if k in (0, 1, axis) else "0" for k in range(array.ndim)]
    return f"{name}[{', '.join(places)}]"


def column_name(name: str) -> str:
    """The dataset that is a vector as a matrix of one column."""
    return f"{name}[:, None]"


def broadcast_from(name: str, makers: dict[str, GraphNode]) -> str:
    """The constant that a state was copied from, once for each sequence."""
    for _ in range(MOST_COPYINGS):
        maker = makers.get(name)
        if maker is None or maker.op not in ("Expand", "Tile") or not maker.inputs:
            break
        name = maker.inputs[0]
    return name


def state_of(state: Array, direction: int, layout: int) -> Array | None:
    """One direction's initial state; None where it is not the same for all sequences."""
    states = state[:, direction] if layout else state[direction]
    return states[0] if len(states) and (states == states[0]).all() else None


def _parts(
    node: GraphNode, constants: dict[str, Array], makers: dict[str, GraphNode]
) -> Iterator[tuple[str, str, Array]]:
    """The parts that a node takes of constants: the constant's name, the part's, the part."""
    if node.op in ("LSTM", "GRU", "RNN"):
        yield from _recurrent_parts(node, constants, makers)
        return
    if node.op in ("aten.lstm", "aten.gru", "aten.rnn"):
        states = node.inputs[1 : 3 if node.op == "aten.lstm" else 2]
        yield from _initial_states(states, 0, constants, makers)
        return
    for place, name in enumerate(node.inputs):
        if name in constants:
            for part, array in _named_parts(node.op, place, name, constants[name]):
                yield name, part, array


def _named_parts(op: str, place: int, name: str, array: Array) -> Iterator[tuple[str, Array]]:
    """What an operator takes of a constant that is one of its inputs, with its name."""
    is_vector = array.size == max(array.shape, default=1)
    if op == "MatMul" and array.ndim == 1:
        yield column_name(name), array[:, np.newaxis]
    elif op == "Conv" and place == 1 and array.ndim > 3 and array.size:
        if max(array.shape[2:]) == math.prod(array.shape[2:]):
            yield kernel_name(name, array), array.reshape(*array.shape[:2], -1)
    elif op == "Div" and is_vector and array.ndim and array.dtype.kind == "f":
        yield inverse_name(name, array), 1 / array.reshape(-1)
    elif op in WITH_VECTORS and place >= WITH_VECTORS[op] and is_vector and array.ndim != 1:
        yield vector_name(name, array), array.reshape(-1)


def _recurrent_parts(
    node: GraphNode, constants: dict[str, Array], makers: dict[str, GraphNode]
) -> Iterator[tuple[str, str, Array]]:
    names = [*node.inputs, *[""] * 7][:7]
    for name in names[1:3]:
        array = constants.get(name)
        if array is not None and array.ndim == 3:
            for direction, matrix in enumerate(array):
                yield name, direction_name(name, direction), matrix
    biases = constants.get(names[3])
    if biases is not None and biases.ndim == 2:
        for direction, both in enumerate(biases):
            for part, half in zip(
                bias_names(names[3], direction), np.array_split(both, 2), strict=True
            ):
                yield names[3], part, half
    states = names[5 : 7 if node.op == "LSTM" else 6]
    yield from _initial_states(states, node.attributes.get("layout", 0), constants, makers)


def _initial_states(
    names: list[str], layout: int, constants: dict[str, Array], makers: dict[str, GraphNode]
) -> Iterator[tuple[str, str, Array]]:
    for name in names:
        base = broadcast_from(name, makers)
        states = constants.get(base)
        if states is None or states.ndim != 3 or not states.any():
            continue
        for direction in range(states.shape[1 if layout else 0]):
            state = state_of(states, direction, layout)
            if state is not None:
                yield base, direction_name(base, direction), state


def _constant(node: GraphNode) -> Array:
    ((key, value),) = node.attributes.items()
    match key:
        case "value":
            return np.asarray(value)
        case "value_float" | "value_floats":
            return np.array(value, dtype=np.float32)
        case "value_int" | "value_ints":
            return np.array(value, dtype=np.int64)
    raise ValueError(f"a constant by {key}")
