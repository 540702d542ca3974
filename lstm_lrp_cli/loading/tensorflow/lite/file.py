"""A file of TensorFlow Lite: its tensors, of which the constant ones are weights, and its graph.

Source: TensorFlow, compiler/mlir/lite/schema/schema.fbs.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, damaged
from .flatbuffer import Table, root_of

# The types of numbers; others are text and what nothing here has.
DTYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
}
# The operators that are met in models of LSTMs, by number.
OPERATORS = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    16: "LSTM",
    18: "MUL",
    19: "RELU",
    22: "RESHAPE",
    25: "SOFTMAX",
    28: "TANH",
    36: "GATHER",
    39: "TRANSPOSE",
    40: "MEAN",
    43: "SQUEEZE",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    45: "STRIDED_SLICE",
    53: "CAST",
    70: "EXPAND_DIMS",
    82: "REDUCE_MAX",
    105: "REVERSE_V2",
    119: "WHILE",
}
LARGEST = 2**31
# What is wrong with a flatbuffer that is damaged.
BROKEN = (ValueError, IndexError)


class LiteTensor(Struct, frozen=True):
    """A tensor.

    Parameters
    ----------
    name : str
        Its own, with its number where another has the same.
    stored : Stored
        As it is stored, before it is scaled; a size of what is computed is -1 where it is open.
    begin, size : int
        Where a constant stands in the file, and how many bytes it takes; 0 of what is computed.
    scales : tuple of float
        What whole numbers are multiplied by: one number, or one for each place along `axis`.
    zeros : tuple of int
        What is taken off before.
    axis : int
    """

    name: str
    stored: Stored
    begin: int = 0
    size: int = 0
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis: int = 0


class LiteOperator(Struct, frozen=True):
    """A step of the computation.

    Parameters
    ----------
    kind : str
        Its name, or its number where that is not known here.
    inputs, outputs : tuple of int
        The numbers of tensors; -1 is none.
    options : Table or None
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


class LiteFile(ArrayFile):
    """A TensorFlow Lite file. Whole numbers with a scale are read as what they stand for.

    Raises
    ------
    UnusableInput
        It is damaged, or has no graph.
    """

    format = "TensorFlow Lite"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.size > LARGEST:
            raise UnusableInput(str(path), f"has {self.size:,} bytes; the format ends at 2 GiB")
        self._data = path.read_bytes()
        with damaged(
            str(path),
            lambda error: f"is a damaged TensorFlow Lite file ({error}); copy it again",
            *BROKEN,
        ):
            model = root_of(self._data)
            [graph, *_] = model.tables(2)
            self.tensors = list(self._tensors(graph, list(model.tables(4))))
            self.operators = list(_operators(graph, list(model.tables(1)), len(self.tensors)))
            self.inputs, self.outputs = graph.wholes(1, "<i"), graph.wholes(2, "<i")
            if not all(0 <= each < len(self.tensors) for each in (*self.inputs, *self.outputs)):
                raise ValueError("its graph has a tensor that is not there")
        self._constants = {each.name: each for each in self.tensors if each.size}
        self.datasets = {
            name: Stored(each.stored.shape, "float32" if each.scales else each.stored.dtype)
            for name, each in self._constants.items()
        }

    def read(self, name: str) -> NDArray[Any]:
        tensor = self._constants[name]
        dtype = np.dtype(tensor.stored.dtype).newbyteorder("<")
        count = math.prod(tensor.stored.shape)
        array = np.frombuffer(self._data, dtype, count, tensor.begin).reshape(tensor.stored.shape)
        if not tensor.scales:
            return array
        shape = [1] * array.ndim
        if len(tensor.scales) > 1:
            shape[tensor.axis] = len(tensor.scales)
        zeros = np.array(tensor.zeros or [0] * len(tensor.scales), np.float64).reshape(shape)
        scaled = (array - zeros) * np.array(tensor.scales, np.float64).reshape(shape)
        return np.asarray(scaled.astype(np.float32))

    def _tensors(self, graph: Table, buffers: list[Table]) -> Iterator[LiteTensor]:
        names: set[str] = set()
        for number, table in enumerate(graph.tables(0)):
            name = table.text(3)
            name = f"{name} {number}" if not name or name in names else name
            names.add(name)
            shape = table.wholes(0, "<i")
            dtype = DTYPES.get(table.whole(1, "<b"), "text")
            place = table.whole(2, "<I")
            begin, size = buffers[place].span(0) if place else (0, 0)
            if dtype != "text" and size:
                yield _constant(LiteTensor(name, Stored(shape, dtype)), table, begin, size)
            else:  # where -1 is an open size
                yield LiteTensor(name, Stored(table.wholes(7, "<i") or shape, dtype))


def _constant(tensor: LiteTensor, table: Table, begin: int, size: int) -> LiteTensor:
    """A tensor whose numbers the file holds, as many as its shape says."""
    shape, dtype = tensor.stored.shape, tensor.stored.dtype
    claimed = np.dtype(dtype).itemsize * math.prod(shape)
    if min(shape, default=0) < 0 or claimed != size:
        raise ValueError(f"`{tensor.name}` of {claimed:,} bytes is said to take {size:,}")
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis = 0
    quantized = table.table(4)
    if quantized is not None and dtype in ("int8", "uint8", "int16", "int32"):
        scales, zeros = quantized.numbers(2, "<f"), quantized.wholes(3, "<q")
        axis = quantized.whole(6, "<i")
        along = shape[axis] if 0 <= axis < len(shape) else 1
        if len(scales) not in (0, 1, along) or len(zeros) not in (0, len(scales)):
            raise ValueError(f"`{tensor.name}` has {len(scales)} scales")
    return LiteTensor(tensor.name, tensor.stored, begin, size, scales, zeros, axis)


def _operators(graph: Table, codes: list[Table], tensors: int) -> Iterator[LiteOperator]:
    for table in graph.tables(3):
        code = codes[table.whole(0, "<I")]
        number = max(code.whole(0, "<b"), code.whole(3, "<i"))
        inputs, outputs = table.wholes(1, "<i"), table.wholes(2, "<i")
        if not all(-1 <= each < tensors for each in (*inputs, *outputs)):
            raise ValueError("an operator has a tensor that is not there")
        custom = code.text(1)
        kind = custom if custom and number == 32 else OPERATORS.get(number, f"operator {number}")
        yield LiteOperator(kind, inputs, outputs, table.table(4))
