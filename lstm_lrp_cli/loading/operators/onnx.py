"""ONNX: a graph of operators as a protobuf, with its weights inside.

The package `onnx` decodes the protobuf and does nothing else.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import bfloat16, damaged, shape_text
from .arrays import DTYPES, Array, GraphNode
from .file import DAMAGED, GraphFile, GraphInput

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
# The fields of AttributeProto, by its type; a graph is not read, for no operator with one is known.
ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}


class OnnxFile(GraphFile):
    """An ONNX file, decoded."""

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
            self.constants = {_text(proto.name): self._array(proto) for proto in graph.initializer}
            self.inputs = [
                _input(value) for value in graph.input if _text(value.name) not in self.constants
            ]
            self.outputs = [_text(value.name) for value in graph.output]
        if graph.sparse_initializer:
            raise UnusableInput(str(path), "keeps weights as sparse tensors; expected dense ones")
        with damaged(str(path), lambda error: _not_whole(str(error)), *DAMAGED):
            self._complete()

    def _array(self, proto: Any) -> Array:
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

    def _node(self, proto: Any) -> GraphNode:
        return GraphNode(
            str(self.path),
            self.size,
            _text(proto.op_type) if _is_own(proto.domain) else f"{proto.domain}.{proto.op_type}",
            _text(proto.name),
            [_text(name) for name in proto.input],
            [_text(name) for name in proto.output],
            {_text(attribute.name): self._value(attribute) for attribute in proto.attribute},
        )

    def _value(self, attribute: Any) -> Any:
        if attribute.type not in ATTRIBUTE_FIELDS:
            return None
        value = getattr(attribute, ATTRIBUTE_FIELDS[attribute.type])
        match ATTRIBUTE_FIELDS[attribute.type]:
            case "t":
                return self._array(value)
            case "s":
                return value.decode("utf-8", "replace")
            case "strings":
                return [text.decode("utf-8", "replace") for text in value]
            case "ints":
                return list(value)
            case "f":
                return _shortest(value)
            case "floats":
                return [_shortest(each) for each in value]
        return value


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


def _shortest(number: float) -> float:
    """The number of 64 bits that was meant by one of 32, such as 1e-5: the one of fewest digits."""
    return float(str(np.float32(number)))


def _text(name: str | bytes) -> str:
    """A name; protobuf gives bytes where it is none in UTF-8, as in a damaged file."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _is_own(domain: str) -> bool:
    """Whether operators of a domain are ONNX's own."""
    return domain in ("", "ai.onnx")


def _input(value: Any) -> GraphInput:
    tensor = value.type.tensor_type
    sizes: list[int | str | None] = []
    for size in tensor.shape.dim:
        known = size.dim_value if size.HasField("dim_value") else None
        sizes.append(known if known and known > 0 else _text(size.dim_param) or None)
    return GraphInput(_text(value.name), sizes, DTYPES.get(tensor.elem_type, "other"))
