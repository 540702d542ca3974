"""Operators of aten that move numbers about, or make sizes and zeros, in MOVES."""

from collections.abc import Callable
from typing import Any

from lstm_lrp_cli.loading.operators.signal import ENDLESS
from . import Taken, Translation

Translator = Callable[[Translation], None]

EVAL = "export the model after model.eval()"
# PyTorch's numbers of element types, as ONNX has them.
ONNX_DTYPES = {1: 2, 2: 3, 3: 5, 4: 6, 5: 7, 6: 10, 7: 1, 8: 11, 12: 9, 13: 16}
FLOATS = (6, 7, 8, 13)


def _identity(t: Translation) -> None:
    t.become("Identity", t.tensor("self") or t.tensor("input"))


def _dropout(t: Translation) -> None:
    if t.given("train") and t.given("p"):
        t.refuse(f"drops units at inference too; {EVAL}")
    else:
        t.put("Identity", [t.tensor("input")], t.node.outputs[:1])


def _to(t: Translation) -> None:
    dtype = t.given("dtype")
    if dtype is None or dtype in FLOATS:
        _identity(t)
    else:
        t.become("Cast", t.tensor("self"), to=ONNX_DTYPES[dtype])


def _transpose(t: Translation) -> None:
    order = list(range(len(t.sizes_of("self"))))
    one, other = t.axis("dim0"), t.axis("dim1")
    order[one], order[other] = order[other], order[one]
    t.become("Transpose", t.tensor("self"), perm=order)


def _turned(t: Translation) -> None:
    t.become("Transpose", t.tensor("self"), perm=list(range(len(t.sizes_of("self"))))[::-1])


def _permute(t: Translation) -> None:
    t.become("Transpose", t.tensor("self"), perm=t.axes("dims"))


def _select(t: Translation) -> None:
    index = t.given("index")
    place = (
        t.put("Squeeze", [index.name], axes=[0]) if isinstance(index, Taken) else t.constant(index)
    )
    t.become("Gather", t.tensor("self"), place, axis=t.axis("dim"))


def _slice(t: Translation) -> None:
    start, end = t.given("start"), t.given("end")
    if isinstance(start, Taken) or isinstance(end, Taken):
        t.refuse("cuts at a place that the input tells; expected numbers")
        return
    t.become(
        "Slice",
        t.tensor("self"),
        starts=[start or 0],
        ends=[ENDLESS if end is None else min(end, ENDLESS)],
        axes=[t.axis("dim")],
        steps=[t.given("step", 1)],
    )


def _flip(t: Translation) -> None:
    axes = t.axes("dims")
    count = len(axes)
    t.become(
        "Slice",
        t.tensor("self"),
        starts=[-1] * count,
        ends=[-ENDLESS] * count,
        axes=axes,
        steps=[-1] * count,
    )


def _pad(t: Translation) -> None:
    """Numbers of entries before and after the last axis, then the one before it, and so on."""
    if t.given("mode", "constant") != "constant" or (t.given("value") or 0) != 0:
        t.refuse("adds other steps than those of zeros; expected mode constant, value 0")
        return
    rank, sizes = len(t.sizes_of("self")), t.given("pad")
    if any(isinstance(size, Taken) for size in sizes):
        t.refuse("adds as many steps as the input tells; expected numbers")
        return
    pads = [0] * (2 * rank)
    for k in range(len(sizes) // 2):
        pads[rank - 1 - k], pads[2 * rank - 1 - k] = sizes[2 * k : 2 * k + 2]
    t.become("Pad", t.tensor("self"), pads=pads)


def _cat(t: Translation) -> None:
    names = [each.name for each in t.given("tensors")]
    rank = len(t.node.sizes[names[0]])
    t.become("Concat", *names, axis=t.given("dim", 0) % rank)


def _stack(t: Translation) -> None:
    names = [each.name for each in t.given("tensors")]
    axis = t.given("dim", 0) % (len(t.node.sizes[names[0]]) + 1)
    apart = [t.put("Unsqueeze", [name], axes=[axis]) for name in names]
    t.become("Concat", *apart, axis=axis)


def _unsqueeze(t: Translation) -> None:
    t.become("Unsqueeze", t.tensor("self"), axes=[t.axis("dim", more=1)])


def _squeeze(t: Translation) -> None:
    """Axes of another size than one are left, as PyTorch leaves them."""
    sizes = t.sizes_of("self")
    axes = t.axes("dim") if "dim" in t.node.given else list(range(len(sizes)))
    gone = [axis for axis in axes if sizes[axis] == 1]
    if gone:
        t.become("Squeeze", t.tensor("self"), axes=gone)
    else:
        _identity(t)


def _reshape(t: Translation) -> None:
    sizes = t.given("shape") if "shape" in t.node.given else t.given("size")
    t.become("Reshape", t.tensor("self"), t.shape(sizes))


def _flatten(t: Translation) -> None:
    start, end = t.axis("start_dim"), t.axis("end_dim", default=-1)
    _resized(t, start, end, [-1])


def _unflatten(t: Translation) -> None:
    axis = t.axis("dim")
    _resized(t, axis, axis, t.given("sizes"))


def _resized(t: Translation, start: int, end: int, sizes: list[Any]) -> None:
    """Other sizes in the place of those from one axis to another; the others stay."""
    name = t.tensor("self")
    parts = [t.shape(sizes)]
    if start:
        parts.insert(0, t.put("Shape", [name], start=0, end=start))
    if end + 1 < len(t.sizes_of("self")):
        parts.append(t.put("Shape", [name], start=end + 1))
    shape = parts[0] if len(parts) == 1 else t.put("Concat", parts, axis=0)
    t.become("Reshape", name, shape)


def _expand(t: Translation) -> None:
    sizes = [1 if size == -1 else size for size in t.given("size")]  # 1 is any in ONNX
    t.become("Expand", t.tensor("self"), t.shape(sizes))


def _expand_as(t: Translation) -> None:
    t.become("Expand", t.tensor("self"), t.put("Shape", [t.tensor("other")]))


def _repeat(t: Translation) -> None:
    repeats = t.given("repeats")
    name = t.tensor("self")
    more = len(repeats) - len(t.sizes_of("self"))
    if more:
        name = t.put("Unsqueeze", [name], axes=list(range(more)))
    t.become("Tile", name, t.shape(repeats))


def _split(t: Translation) -> None:
    """Into as many parts as there are outputs, of the sizes that these have."""
    name = t.tensor("self") or t.tensor("tensor")
    of = "self" if "self" in t.node.given else "tensor"
    axis = t.axis("dim", of)
    sizes = [t.node.sizes[output][axis] for output in t.node.outputs]
    if None in sizes:
        t.refuse("splits an axis whose size is left open; expected units")
        return
    t.put("Split", [name], t.node.outputs, axis=axis, split=sizes)


def _unbind(t: Translation) -> None:
    name, axis = t.tensor("self"), t.axis("dim")
    for place, output in enumerate(t.node.outputs):
        t.put("Gather", [name, t.constant(place)], [output], axis=axis)


def _zeros(t: Translation) -> None:
    value = t.given("fill_value", 0)
    if isinstance(value, Taken) or value:
        t.refuse("makes a tensor of a number that is not 0; expected zeros")
    else:
        t.become("aten.zeros")


def _size_op(op: str) -> Translator:
    """Arithmetic of sizes, each an array of one number."""

    def translate(t: Translation) -> None:
        t.become(op, *(t.shape([each]) for each in t.node.given.values()))

    return translate


def _sym_size(t: Translation) -> None:
    axis = t.axis("dim")
    t.become("Shape", t.tensor("self"), start=axis, end=axis + 1)


SAME = (
    *("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "positive", "resolve_conj"),
    *("real", "float", "double", "identity", "view_of"),
)
RESHAPES = ("view", "reshape", "_unsafe_view", "_reshape_alias", "reshape_as")
# What gives a view of what it takes: a change of one in place is a change of both.
VIEWS = frozenset(
    {
        *("alias", "contiguous", "detach", "to", "transpose", "t", "numpy_T", "permute"),
        *("select", "slice", "unsqueeze", "squeeze", "flatten", "unflatten", "expand", "expand_as"),
        *("split", "split_with_sizes", "chunk", "tensor_split", "unbind", "narrow"),
        *RESHAPES,
    }
)

MOVES: dict[str, Translator] = {
    **dict.fromkeys(SAME, _identity),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _to),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("t", "numpy_T"), _turned),
    "permute": _permute,
    "select": _select,
    "slice": _slice,
    "flip": _flip,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "cat": _cat,
    "stack": _stack,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    **dict.fromkeys(RESHAPES[:-1], _reshape),
    "flatten": _flatten,
    "unflatten": _unflatten,
    "expand": _expand,
    "expand_as": _expand_as,
    "repeat": _repeat,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), _split),
    "unbind": _unbind,
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros", "full", "full_like", "new_full"), _zeros),
    "sym_size": _sym_size,
    "_operator.mul": _size_op("Mul"),
    "_operator.add": _size_op("Add"),
    "_operator.sub": _size_op("Sub"),
    "_operator.floordiv": _size_op("Div"),
}
