"""ONNX: a graph of operators as a protobuf, with its weights inside.

The package `onnx` decodes the protobuf and does nothing else. Datasets are the graph's constants:
initializers, `Constant` nodes, and what nodes make of those alone, such as a transposed matrix.
Where a node takes of a constant one direction or one row, the parts are datasets of their own:

    W[0], W[1]       the input weights of an LSTM's first and second direction
    B[0]/W, B[0]/R   the first direction's biases of the input and of the hidden state
    b[0]             the vector that a matrix of one row is; b[None] where b is a single number
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, bfloat16, check_size, damaged, shape_text
from .arrays import ARRAY_OPS, DTYPES, Array, OnnxNode

# Where TensorProto keeps its numbers if not as raw bytes; half floats stand as their bits.
TYPED_DATA = {
    "float32": "float_data",
    "float64": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
}
HALF_FLOATS = ("float16", "bfloat16")
EXTERNAL = 1
# Exporters copy a state by one Expand, one Tile, or both.
MOST_COPYINGS = 4
# The fields of AttributeProto, by its type; a graph is not read, for no operator with one is known.
ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
# What a lookup raises in a protobuf that is not of the form that ONNX gives it.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, AssertionError, RecursionError),
)


class OnnxInput(Struct, frozen=True):
    """What a graph is given: the number or name of each size, None where it has neither."""

    name: str
    sizes: list[int | str | None]
    dtype: str


class OnnxFile(ArrayFile):
    """An ONNX file, decoded, with all that is constant in its graph."""

    format = "ONNX"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        model = _decode(path)
        graph = model.graph
        with damaged(str(path), lambda error: _not_whole(repr(error)), *DAMAGED):
            self.opset = max(
                (entry.version for entry in model.opset_import if _is_own(entry.domain)), default=1
            )
            self.producer = str(model.producer_name)
            self.nodes = [self._node(proto) for proto in graph.node]
            self.constants = {proto.name: self.array(proto) for proto in graph.initializer}
            self.inputs = [
                _input(value) for value in graph.input if value.name not in self.constants
            ]
            self.outputs = [str(value.name) for value in graph.output]
        if graph.sparse_initializer:
            raise UnusableInput(str(path), "keeps weights as sparse tensors; expected dense ones")
        made = [*self.constants, *(entry.name for entry in self.inputs)]
        made += [name for node in self.nodes for name in node.outputs if name]
        twice = [name for name, count in Counter(made).items() if count > 1]
        if twice:
            raise UnusableInput(str(path), _not_whole(f"it makes `{twice[0]}` twice"))
        with np.errstate(all="ignore"):  # numbers that are none are told of when they are read
            self._arrays = self._named(self._fold())
        self.datasets = {
            name: Stored(array.shape, array.dtype.name) for name, array in self._arrays.items()
        }

    def read(self, name: str) -> Array:
        return self._arrays[name]

    def array(self, proto: Any) -> Array:
        """The numbers of a TensorProto, whose count must be the one that its shape says."""
        where = self.where(f"tensor `{proto.name}`")
        if proto.data_location == EXTERNAL or len(proto.external_data):
            raise UnusableInput(
                where,
                "is kept in another file, which is not followed; save the model in one file: "
                "external_data=False in torch.onnx.export, or "
                f"onnx.save(onnx.load('{self.path.name}'), 'whole.onnx')",
            )
        if proto.data_type not in DTYPES:
            raise UnusableInput(
                where, f"has elements of ONNX's type {proto.data_type}; expected numbers"
            )
        dtype = DTYPES[proto.data_type]
        bits = np.dtype("uint16" if dtype in HALF_FLOATS else dtype)
        shape = tuple(proto.dims)
        raw = proto.raw_data
        typed = getattr(proto, TYPED_DATA.get(dtype, "int32_data"))
        found = len(raw) // bits.itemsize if raw else len(typed)
        if min(shape, default=0) < 0 or found != math.prod(shape) or len(raw) % bits.itemsize:
            raise UnusableInput(
                where,
                f"claims the shape {shape_text(shape)} and holds {found:,} numbers; "
                "copy or export the file again",
            )
        if raw:
            array = np.frombuffer(raw, bits.newbyteorder("<"))
        else:
            array = np.fromiter(typed, np.int64 if bits.kind == "i" else bits, found)
        if dtype == "float16":
            array = array.astype(bits).view(np.float16)
        elif dtype == "bfloat16":
            array = bfloat16(array)
        else:
            array = array.astype(dtype, copy=False)
        return array.reshape(shape)

    def _node(self, proto: Any) -> OnnxNode:
        return OnnxNode(
            str(self.path),
            self.size,
            proto.op_type if _is_own(proto.domain) else f"{proto.domain}.{proto.op_type}",
            proto.name,
            list(proto.input),
            list(proto.output),
            {attribute.name: _value(attribute) for attribute in proto.attribute},
        )

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
            made += sum(array.nbytes for array in arrays)
            check_size(node.where, (made,), 1, self.size)
            folded.add(place)
            self.constants |= dict(zip(node.outputs, arrays, strict=False))
        return folded

    def _made_by(self, node: OnnxNode) -> list[Array] | None:
        if node.op == "Constant":
            return [self._constant(node)]
        given = [name for name in node.inputs if name]
        if node.op not in ARRAY_OPS or not given or not self.constants.keys() >= set(given):
            return None
        return ARRAY_OPS[node.op](node, *map(self.constants.get, node.inputs))

    def _constant(self, node: OnnxNode) -> Array:
        ((key, value),) = node.attributes.items()
        match key:
            case "value":
                return self.array(value)
            case "value_float" | "value_floats":
                return np.array(value, dtype=np.float32)
            case "value_int" | "value_ints":
                return np.array(value, dtype=np.int64)
        raise ValueError(f"a constant by {key}")

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
    """The dataset that is one direction's part of an LSTM's weights or states."""
    return f"{name}[{direction}]"


def bias_names(name: str, direction: int) -> list[str]:
    """The two halves of one direction's bias: of the input, and of the hidden state."""
    return [f"{direction_name(name, direction)}/{half}" for half in ("W", "R")]


def vector_name(name: str, array: Array) -> str:
    """The dataset that is a constant as a vector: without its leading axes of one."""
    if array.ndim == 0:
        return f"{name}[None]"
    leading = array.ndim - 1
    return f"{name}[{', '.join('0' * leading)}]" if leading else name


def column_name(name: str) -> str:
    """The dataset that is a vector as a matrix of one column."""
    return f"{name}[:, None]"


def broadcast_from(name: str, makers: dict[str, OnnxNode]) -> str:
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
    node: OnnxNode, constants: dict[str, Array], makers: dict[str, OnnxNode]
) -> Iterator[tuple[str, str, Array]]:
    """The parts that a node takes of constants: the constant's name, the part's, the part."""
    given = [(name, constants.get(name)) for name in node.inputs]
    match node.op:
        case "LSTM":
            yield from _lstm_parts(node, constants, makers)
        case "MatMul":
            for name, array in given:
                if array is not None and array.ndim == 1:
                    yield name, column_name(name), array[:, np.newaxis]
        case "Add" | "Mul" | "Gemm":
            for name, array in given[2:] if node.op == "Gemm" else given:
                if (
                    array is not None
                    and array.ndim != 1
                    and array.size == max(array.shape[-1:], default=1)
                ):
                    yield name, vector_name(name, array), array.reshape(-1)


def _lstm_parts(
    node: OnnxNode, constants: dict[str, Array], makers: dict[str, OnnxNode]
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
    yield from _initial_states(names[5:], node.attributes.get("layout", 0), constants, makers)


def _initial_states(
    names: list[str], layout: int, constants: dict[str, Array], makers: dict[str, OnnxNode]
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


def _decode(path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UnusableInput(
            str(path),
            "is an ONNX file, which needs the package onnx; pip install 'lstm-lrp-cli[onnx]'",
        ) from error
    with damaged(str(path), lambda error: _not_whole(str(error)), DecodeError, ValueError):
        # Only the bytes are decoded: weights in other files are not looked for.
        return onnx.load_model_from_string(path.read_bytes())


def _not_whole(problem: str) -> str:
    return f"is not a whole ONNX file ({problem}); copy or export it again"


def _is_own(domain: str) -> bool:
    """Whether operators of a domain are ONNX's own."""
    return domain in ("", "ai.onnx")


def _value(attribute: Any) -> Any:
    if attribute.type not in ATTRIBUTE_FIELDS:
        return None
    value = getattr(attribute, ATTRIBUTE_FIELDS[attribute.type])
    match ATTRIBUTE_FIELDS[attribute.type]:
        case "s":
            return value.decode("utf-8", "replace")
        case "strings":
            return [text.decode("utf-8", "replace") for text in value]
        case "ints" | "floats":
            return list(value)
    return value


def _input(value: Any) -> OnnxInput:
    tensor = value.type.tensor_type
    sizes: list[int | str | None] = []
    for size in tensor.shape.dim:
        known = size.dim_value if size.HasField("dim_value") else None
        sizes.append(known if known and known > 0 else size.dim_param or None)
    return OnnxInput(value.name, sizes, DTYPES.get(tensor.elem_type, "other"))
