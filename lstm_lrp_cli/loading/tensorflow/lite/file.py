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
from lstm_lrp_cli.loading.files import ArrayFile, Stored, check_shape, damaged
from .flatbuffer import FlatTable, root_of

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
        A size of what is computed is -1 where it is open.
    begin, size : int
        Where a constant stands in the file, and how many bytes it takes; 0 of what is computed.
    is_quantized : bool
        Whether its whole numbers stand for others.
    """

    name: str
    stored: Stored
    begin: int = 0
    size: int = 0
    is_quantized: bool = False


class LiteOperator(Struct, frozen=True):
    """A step of the computation.

    Parameters
    ----------
    kind : str
        Its name, or its number where that is not known here.
    inputs, outputs : tuple of int
        The numbers of tensors; -1 is none.
    options : FlatTable or None
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: FlatTable | None


class LiteFile(ArrayFile):
    """A TensorFlow Lite file.

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
        self.datasets = {name: each.stored for name, each in self._constants.items()}

    def read(self, name: str) -> NDArray[Any]:
        tensor = self._constants[name]
        if tensor.is_quantized:
            raise UnusableInput(
                self.where(name),
                "is quantized; expected weights as they were trained: save the model that it was "
                "made from",
            )
        check_shape(self.where(name), tensor.stored.shape)
        dtype = np.dtype(tensor.stored.dtype).newbyteorder("<")
        count = math.prod(tensor.stored.shape)
        return np.frombuffer(self._data, dtype, count, tensor.begin).reshape(tensor.stored.shape)

    def _tensors(self, graph: FlatTable, buffers: list[FlatTable]) -> Iterator[LiteTensor]:
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


def _constant(tensor: LiteTensor, table: FlatTable, begin: int, size: int) -> LiteTensor:
    """A tensor whose numbers the file holds, as many as its shape says."""
    shape, dtype = tensor.stored.shape, tensor.stored.dtype
    claimed = np.dtype(dtype).itemsize * math.prod(shape)
    if min(shape, default=0) < 0 or claimed != size:
        raise ValueError(f"`{tensor.name}` of {claimed:,} bytes is said to take {size:,}")
    quantized = table.table(4)
    has_scales = quantized is not None and bool(quantized.numbers(2, "<f"))
    return LiteTensor(tensor.name, tensor.stored, begin, size, has_scales)


def _operators(graph: FlatTable, codes: list[FlatTable], tensors: int) -> Iterator[LiteOperator]:
    for table in graph.tables(3):
        code = codes[table.whole(0, "<I")]
        number = max(code.whole(0, "<b"), code.whole(3, "<i"))
        inputs, outputs = table.wholes(1, "<i"), table.wholes(2, "<i")
        if not all(-1 <= each < tensors for each in (*inputs, *outputs)):
            raise ValueError("an operator has a tensor that is not there")
        custom = code.text(1)
        kind = custom if custom and number == 32 else OPERATORS.get(number, f"operator {number}")
        yield LiteOperator(kind, inputs, outputs, table.table(4))
