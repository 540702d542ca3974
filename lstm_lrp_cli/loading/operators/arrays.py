"""What ONNX operators do to arrays that are known before a model runs, in NumPy.

They make weights of initializers, and the shapes that Reshape and Expand are given. A shape may
hold sizes that only the input tells: then it is an array of objects, some of them `Dim`.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import check_folded

Array = NDArray[Any]

# The element types of ONNX, by their numbers in TensorProto.DataType.
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
# How many axes NumPy's arrays may have.
LONGEST_SHAPE = 64
# More factors than any shape has, so that products cannot grow without end.
MOST_FACTORS = 8


class Dim(Struct, frozen=True):
    """A size that only the input tells: the product of some axes' sizes and a number.

    Parameters
    ----------
    axes : tuple of str
    factor : int
    example : int or None
        What it was in the example with which a graph was exported, where that wrote out sizes.
    """

    axes: tuple[str, ...]
    factor: int = 1
    example: int | None = None

    def __mul__(self, other: Size) -> Dim:
        axes, factor = _factors(other)
        if len(self.axes) + len(axes) > MOST_FACTORS:
            raise ValueError("a size is a product of too many")
        one, two = example_of(self), example_of(other)
        example = None if one is None or two is None else one * two
        return Dim(tuple(sorted((*self.axes, *axes))), self.factor * factor, example)

    __rmul__ = __mul__


Size = int | Dim


def quotient(size: Size, divisor: Size) -> Size | None:
    """One size divided by another; None where that leaves a rest.

    A number or a multiple is divided by what a size was in the example, where that is known.
    """
    axes, factor = _factors(size)
    less, by = _factors(divisor)
    left = Counter(axes)
    left.subtract(less)
    one, two = example_of(size), example_of(divisor)
    example = one // two if one is not None and two and not one % two else None
    is_other = any(count < 0 for count in left.values())
    if isinstance(size, Dim) and is_other and two is not None and two > 1 and not factor % two:
        return Dim(axes, factor // two, None if one is None else one // two)
    if by == 0 or factor % by or is_other:
        return None if isinstance(size, Dim) == isinstance(divisor, Dim) else example
    names = tuple(sorted(left.elements()))
    return Dim(names, factor // by, example) if names else factor // by


def example_of(size: Size) -> int | None:
    """A number, or what a size was in the example."""
    return size.example if isinstance(size, Dim) else int(size)


def _factors(size: Size) -> tuple[tuple[str, ...], int]:
    return (size.axes, size.factor) if isinstance(size, Dim) else ((), int(size))


class Known(Struct, frozen=True, eq=False):
    """A tensor that does not depend on the input's numbers: a constant, or a shape.

    Parameters
    ----------
    array : ndarray
    name : str
        Where it is a constant, its dataset.
    """

    array: Array
    name: str


class Zeros(Struct, frozen=True):
    """A tensor of nothing but zeros.

    Parameters
    ----------
    shape : tuple of int or Dim, or None
        Where it is known.
    """

    shape: tuple[Size, ...] | None = None


class Lengths(Struct, frozen=True):
    """How many steps each sequence has, which an input says; lrp runs each at its own length.

    Parameters
    ----------
    name : str
        The input's.
    sequences : int or Dim
        How many there are.
    """

    name: str
    sequences: Size


class Order(Struct, frozen=True):
    """An order of sequences, as that of their lengths; to one sequence all are the same.

    Parameters
    ----------
    sequences : int or Dim
        How many there are.
    """

    sequences: Size


def are_zeros(values: Sequence[object]) -> bool:
    """Whether all of some tensors are zeros."""
    return all(
        isinstance(value, Zeros) or (isinstance(value, Known) and not value.array.any())
        for value in values
    )


class ArrayCopies(Struct, frozen=True):
    """A tensor in which a constant stands again and again, as a state does for every sequence."""

    of: Known


class GraphNode(Struct, frozen=True):
    """A node of a graph.

    Parameters
    ----------
    path : str
        The file, for errors.
    file_bytes : int
        Its size, which bounds what is made of it.
    op, name : str
        The operator, with its domain if that is not ONNX's own; and the node's own name.
    inputs, outputs : list of str
        The tensors that it takes and makes; "" is one that is left out.
    attributes : dict
    said : str
        What the file itself calls the operator, if that is another dialect than ONNX.
    """

    path: str
    file_bytes: int
    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    said: str = ""

    @property
    def label(self) -> str:
        return self.name or next(filter(None, self.outputs), "")

    @property
    def where(self) -> str:
        return f"{self.path}: node `{self.label}` ({self.said or self.op})"

    def unusable(self, problem: str) -> UnusableInput:
        return UnusableInput(self.where, problem)

    def integers(self, name: str, given: Array | None) -> list[Any] | None:
        """A setting that later versions of ONNX made an input, such as axes."""
        found = self.attributes.get(name) if given is None else given.reshape(-1).tolist()
        return None if found is None else list(found)


def axis_of(axis: int, dimensions: int) -> int:
    """An axis counted from the front."""
    if not -dimensions <= axis < dimensions:
        raise ValueError(f"axis {axis} of {dimensions}")
    return axis % dimensions


def _cast(node: GraphNode, array: Array) -> list[Array]:
    dtype = DTYPES[node.attributes["to"]]
    if array.dtype == object or dtype == "bfloat16":
        return [array]
    return [array.astype(dtype)]


def _transpose(node: GraphNode, array: Array) -> list[Array]:
    return [array.transpose(node.attributes.get("perm"))]


def _squeeze(node: GraphNode, array: Array, given: Array | None = None) -> list[Array]:
    axes = node.integers("axes", given)
    return [array.squeeze(None if axes is None else tuple(axes))]


def _unsqueeze(node: GraphNode, array: Array, given: Array | None = None) -> list[Array]:
    return [np.expand_dims(array, tuple(node.integers("axes", given) or ()))]


def _concat(node: GraphNode, *given: Array | None) -> list[Array]:
    arrays = [array for array in given if array is not None]
    _check(node, sum(array.nbytes for array in arrays))
    return [np.concatenate(arrays, axis=node.attributes["axis"])]


def _gather(node: GraphNode, array: Array, places: Array) -> list[Array]:
    axis, indices = node.attributes.get("axis", 0), np.asarray(places, dtype=np.int64)
    _check(node, array.nbytes // max(array.shape[axis], 1) * indices.size)
    return [np.asarray(array.take(indices, axis=axis), array.dtype)]


def _slice(node: GraphNode, array: Array, *given: Array | None) -> list[Array]:
    index = [slice(None)] * array.ndim
    for axis, cut in slices(node, given, array.ndim).items():
        index[axis] = cut
    return [array[tuple(index)]]


def slices(node: GraphNode, given: Sequence[Array | None], dimensions: int) -> dict[int, slice]:
    """What a Slice takes of each axis that it cuts, by its inputs behind the first."""
    given = (*given, None, None, None, None)
    starts = node.integers("starts", given[0]) or []
    ends = node.integers("ends", given[1]) or []
    axes = node.integers("axes", given[2]) or list(range(len(starts)))
    steps = node.integers("steps", given[3]) or [1] * len(starts)
    return {
        axis_of(axis, dimensions): slice(start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }


def _reshape(node: GraphNode, array: Array, given: Array | None = None) -> list[Array]:
    target = node.integers("shape", given) or []
    return [array.reshape(resolved(target, list(array.shape), node))]


def resolved(
    target: list[Any], sizes: list[Any], node: GraphNode, apart: list[Any] | None = None
) -> list[Any]:
    """The shape that a Reshape means: 0 is the size that stood there, -1 what is left.

    `apart` are the sizes where those stand one by one that are several axes in one.
    """
    if not node.attributes.get("allowzero"):
        target = [sizes[place] if size == 0 else size for place, size in enumerate(target)]
    if -1 in target:
        left, given = _without_alike(apart or sizes, target)
        whole, others = math.prod(left), math.prod(size for size in given if size != -1)
        example = None
        if example_of(math.prod(sizes)) is not None and all(isinstance(n, int) for n in target):
            example = example_of(whole)
        rest = quotient(whole if example is None else example, others)
        if rest is None:
            raise ValueError(f"a shape of {target}")
        target = [rest if size == -1 else size for size in target]
    return target


def _without_alike(sizes: list[Any], target: list[Any]) -> tuple[list[Any], list[Any]]:
    """Both without what they begin and end with alike; a number is that of an example."""
    sizes, target = list(sizes), list(target)
    for end in (0, -1):
        while sizes and target and target[end] in (sizes[end], example_of(sizes[end])):
            del sizes[end], target[end]
    return sizes, target


def _split(node: GraphNode, array: Array, given: Array | None = None) -> list[Array]:
    axis = node.attributes.get("axis", 0)
    ends = np.cumsum(split_sizes(node, given, array.shape[axis]))[:-1]
    return np.split(array, ends, axis=axis)


def split_sizes(node: GraphNode, given: Array | None, size: int) -> list[int]:
    """How many entries each output of a Split has; the last may have fewer."""
    sizes = node.integers("split", given)
    if sizes is None:
        each = -(-size // len(node.outputs))
        sizes = [min(each, size - k * each) for k in range(len(node.outputs))]
    if len(sizes) != len(node.outputs) or min(sizes) < 0 or sum(sizes) != size:
        raise ValueError(f"a split of {size} into {sizes}")
    return sizes


def _arithmetic(node: GraphNode, one: Array, other: Array) -> list[Array]:
    _check(node, one.itemsize * math.prod(np.broadcast_shapes(one.shape, other.shape)))
    compute: dict[str, Callable[[Any, Any], Any]] = {
        "Add": operator.add,
        "Sub": operator.sub,
        "Mul": operator.mul,
        "Div": operator.truediv if one.dtype.kind == "f" else operator.floordiv,
        "Mod": operator.mod,
    }
    return [np.asarray(compute[node.op](one, other))]


def _product(node: GraphNode, array: Array, given: Array | None = None) -> list[Array]:
    """Of sizes: `Tensordot` of TensorFlow counts with it how many rows there are."""
    axes = node.integers("axes", given)
    keep = bool(node.attributes.get("keepdims", 1))
    return [np.asarray(array.prod(axis=None if axes is None else tuple(axes), keepdims=keep))]


def _equal(node: GraphNode, one: Array, other: Array) -> list[Array]:
    """Of sizes: PyTorch's `expand` chooses with it and with Where between old and new ones."""
    return [np.asarray(one == other, dtype=bool)]


def _where(node: GraphNode, chosen: Array, one: Array, other: Array) -> list[Array]:
    shape = np.broadcast_shapes(chosen.shape, one.shape, other.shape)
    _check(node, max(one.itemsize, other.itemsize) * math.prod(shape))
    return [np.where(chosen, one, other)]


def part_of_shape(node: GraphNode, sizes: list[Any]) -> Array:
    """A shape, or the part of it that a Shape node asks for."""
    known = all(isinstance(size, int) for size in sizes)
    whole = np.array(sizes, dtype=np.int64 if known else object)
    return whole[node.attributes.get("start", 0) : node.attributes.get("end")]


def _filled(node: GraphNode, shape: Array) -> list[Array]:
    """ConstantOfShape, of the size of a shape: the zeros of states are not made, but known."""
    if shape.size != 1 or shape.item() > LONGEST_SHAPE:
        raise ValueError(f"a tensor of {shape.tolist()}")
    value = node.attributes.get("value")
    number = np.zeros(1, dtype=np.float32) if value is None else value
    return [np.full(shape.tolist(), number.item(), dtype=number.dtype)]


def _check(node: GraphNode, claimed: int) -> None:
    check_folded(node.where, claimed, node.file_bytes)


# Each is given its node and as many inputs as that has, None where one is left out.
ARRAY_OPS: dict[str, Callable[..., list[Array]]] = {
    "Add": _arithmetic,
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _arithmetic,
    "Equal": _equal,
    "Gather": _gather,
    "Identity": lambda node, array: [array],
    "Mod": _arithmetic,
    "Mul": _arithmetic,
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Shape": lambda node, array: [part_of_shape(node, list(array.shape))],
    "Slice": _slice,
    "Split": _split,
    "Sqrt": lambda node, array: [np.sqrt(array)],
    "Squeeze": _squeeze,
    "Sub": _arithmetic,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
