"""Attention by products: of queries with keys, a softmax over the keys' steps, sums of values.

A product of two sequences' steps has an axis for each, LEFT and RIGHT. The one that the softmax
runs over is the keys'. Until the values are added up it is no layer, but a `Product`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.joins import AttendSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec
from lstm_lrp_cli.loading.operators.arrays import Array
from lstm_lrp_cli.loading.operators.layers import Call
from lstm_lrp_cli.loading.operators.parts import SignalPart, joined
from lstm_lrp_cli.loading.operators.signal import FEATURE, LEFT, RIGHT, STACK, TIME, Signal
from lstm_lrp_cli.loading.operators.views import Product

# A number that is added to what a query may not see is at most this.
HIDES = -1e4


def product_of_signals(call: Call) -> Signal:
    """A product of two matrices that the input changes: of queries and keys, or weights and values.

    Raises
    ------
    UnusableInput
        It is another.
    """
    left, right = call.signal(0), call.signal(1)
    of_left, of_right = _product(call, left), _product(call, right)
    if of_left is not None:
        return _attended(call, left, right, of_left, is_left=True)
    if of_right is not None:
        return _attended(call, right, left, of_right, is_left=False)
    if left.axes[-1] == FEATURE and right.axes[-2:-1] == (FEATURE,):
        return _products(call, left, right)
    return _weighted_sum(call, left, right)


def scaled_product(call: Call, signal: Signal, factor: float) -> Signal | None:
    """Products of queries and keys times a number; None where the signal is none."""
    product = _product(call, signal)
    if product is None:
        return None
    _need_no_softmax(call, product)
    return _changed(call, signal, replace(product, scale=product.scale * factor))


def masked_product(call: Call, signal: Signal, mask: Array) -> Signal | None:
    """Products to which a mask is added that hides later steps; None where the signal is none."""
    product = _product(call, signal)
    if product is None:
        return None
    _need_no_softmax(call, product)
    steps = signal.sizes.get(LEFT)
    if (
        signal.axes[-2:] != (LEFT, RIGHT)
        or not isinstance(steps, int)
        or steps != signal.sizes[RIGHT]
        or mask.shape[-2:] != (steps, steps)
        or mask.size != steps * steps
        or not _is_causal(mask.reshape(steps, steps))
    ):
        raise call.unusable(
            "adds numbers to products of queries and keys; expected a mask that hides later steps"
        )
    return _changed(call, signal, replace(product, is_causal=True))


def _is_causal(mask: Array) -> bool:
    """Whether a mask of a row for each query hides all that is behind it, and nothing else."""
    seen = np.tril(np.ones(mask.shape, dtype=bool))
    return not mask[seen].any() and bool((mask[~seen] <= HIDES).all())


def weights_of_product(call: Call, signal: Signal, labels: Sequence[str]) -> Signal | None:
    """What a softmax over some axes makes of products; None where the signal is none."""
    product = _product(call, signal)
    if product is None:
        return None
    _need_no_softmax(call, product)
    if labels not in ([LEFT], [RIGHT]) or (product.is_causal and labels != [RIGHT]):
        raise call.unusable("runs over other axes than that of the keys' steps; expected that one")
    return _changed(call, signal, replace(product, keys=labels[0]))


def weighed_steps(call: Call, weights: Signal, values: Signal) -> Signal | None:
    """Values times the weights of one query, to be added up; None where those are no weights."""
    product = _product(call, weights)
    if product is None:
        return None
    keys = product.keys
    back = range(-len(weights.axes), 0)
    meant = {TIME if label == keys else label for label in weights.meaning}
    if (
        keys is None
        or product.heads != 1
        or len(weights.axes) > len(values.axes)
        or not meant <= set(values.axes)
        or any(weights.axes[k] == keys and values.axes[k] != TIME for k in back)
        or weights.sizes[keys] != values.sizes[TIME]
    ):
        raise call.unusable(
            "multiplies products of queries and keys; expected the weights of one query, from a "
            "softmax over the keys' steps, and values of as many steps"
        )
    name = call.layers.put(replace(product, values=tuple(values.parts.reshape(-1))))
    return Signal.of(SignalPart(name, values.size), values.axes, values.sizes)


def attended_sum(call: Call, signal: Signal, axis: int, kind: str) -> Signal | None:
    """The sum of weighed values over their steps; None where the signal is no weighed values."""
    product = _product(call, signal)
    if product is None or not product.values:
        return None
    if signal.axes[axis] != TIME or kind != "sum":
        raise call.unusable("expected the sum over the steps of what attention weighs")
    [part] = _attend(call, product, product.values)
    axes = signal.axes[:axis] + signal.axes[axis + 1 :]
    return Signal.of(part, axes, signal.sizes).with_unit(axis)


def _product(call: Call, signal: Signal) -> Product | None:
    return call.layers.products.get(signal.parts.reshape(-1)[0].layer)


def _need_no_softmax(call: Call, product: Product) -> None:
    if product.keys is not None:
        raise call.unusable("changes the weights of attention; expected them as they are")


def _changed(call: Call, signal: Signal, product: Product) -> Signal:
    """The same axes of other products."""
    name = call.layers.put(product)
    renamed = np.frompyfunc(lambda part: replace(part, layer=name), 1, 1)
    return replace(signal, parts=renamed(signal.parts))


def _products(call: Call, left: Signal, right: Signal) -> Signal:
    """Of each step of the left with each of the right; either may be one vector a sequence."""
    lead = left.axes[:-2]
    if lead != right.axes[:-2] or left.size != right.size:
        raise call.unusable(
            f"multiplies axes of {', '.join(left.axes)} and {', '.join(right.axes)}; expected "
            "queries and keys of as many units and heads"
        )
    sides = [_side(call, left, -2, LEFT), _side(call, right, -1, RIGHT)]
    if sides == [STACK, STACK]:
        part = call.add([call.source(left), call.source(right)], left.size, merge="product")
        part = call.add([part.layer], 1, sum="units")
        return Signal.of(part, (*lead, STACK, FEATURE), left.sizes)
    stacks = _stacks(left, lead)
    if stacks != _stacks(right, lead):
        raise call.unusable("multiplies queries and keys of different heads; expected the same")
    heads = math.prod(stacks)
    given = tuple(tuple(side.parts.reshape(-1)) for side in (left, right))
    name = call.layers.put(Product(given[0], given[1], heads))
    sizes = left.sizes | right.sizes
    for label, side in ((LEFT, left), (RIGHT, right)):
        if label in sides:
            sizes[label] = side.sizes[TIME]
    return Signal((*lead, *sides), _by_head(name, heads, heads, (*stacks, *_ones(sides))), sizes)


def _side(call: Call, signal: Signal, axis: int, label: str) -> str:
    """What the axis of one side of products is: steps, or a single vector."""
    place = len(signal.axes) + axis
    if signal.axes[place] == TIME:
        return label
    if not signal.is_unit(place):
        raise call.unusable(
            f"multiplies along the axis of {signal.axes[place]}; expected steps, or one vector"
        )
    return STACK


def _stacks(signal: Signal, lead: Sequence[str]) -> tuple[int, ...]:
    """How many entries the stacks of the leading axes have."""
    labels = [label for axis in lead for label in axis.split("+")]
    return tuple(signal.parts.shape[: labels.count(STACK)])


def _ones(labels: Sequence[str]) -> tuple[int, ...]:
    return (1,) * list(labels).count(STACK)


def _by_head(name: str, size: int, heads: int, stacks: Sequence[int]) -> Any:
    """The parts of a layer whose units are those of its heads, one after another."""
    whole, each = SignalPart(name, size), size // heads
    parts = np.empty(heads, dtype=object)
    parts[:] = [whole.units(k * each, (k + 1) * each) for k in range(heads)]
    return parts.reshape(*stacks, 1)


def _attended(
    call: Call, weights: Signal, values: Signal, product: Product, *, is_left: bool
) -> Signal:
    """Weights, at the left of a product of matrices or at its right, times values."""
    along, query = (-1, -2) if is_left else (-2, -1)
    place = len(weights.axes) + query
    steps = weights.axes[place]
    lead = weights.axes[:-2]
    expected = (TIME, FEATURE) if is_left else (FEATURE, TIME)
    if (
        product.keys is None
        or weights.axes[along] != product.keys
        or (steps not in (LEFT, RIGHT) and not weights.is_unit(place))
        or values.axes != (*lead, *expected)
        or _stacks(weights, lead) != _stacks(values, lead)
        or weights.sizes[product.keys] != values.sizes[TIME]
    ):
        raise call.unusable(
            "multiplies products of queries and keys; expected a softmax over the keys' steps, and "
            "values of as many steps"
        )
    parts = _attend(call, product, tuple(values.parts.reshape(-1)))
    label = TIME if steps in (LEFT, RIGHT) else STACK
    sizes = weights.sizes | {TIME: weights.sizes[steps]} if label == TIME else weights.sizes
    axes = (*lead, label, FEATURE) if is_left else (*lead, FEATURE, label)
    stacks = (*_stacks(weights, lead), *_ones([label]))
    made = np.empty(len(parts), dtype=object)
    made[:] = parts
    return Signal(axes, made.reshape(*stacks, 1), sizes)


def _attend(call: Call, product: Product, values: tuple[SignalPart, ...]) -> Sequence[SignalPart]:
    """The layer of attention, as the units of each head."""
    queries, keys = product.left, product.right
    if product.keys == LEFT:
        queries, keys = keys, queries
    query, scale = _unscaled(call, queries, product.scale)
    key, scale = _unscaled(call, keys, scale)
    value = call.layers.of(values)
    size = sum(part.size or 0 for part in values)
    spec = AttendSpec(heads=product.heads, scale=scale, causal=product.is_causal)
    sources = [query, value] if value == key else [query, value, key]
    part = call.add(sources, size, attend=spec)
    return list(_by_head(part.layer, size, product.heads, (product.heads,)).reshape(-1))


def _unscaled(call: Call, parts: tuple[SignalPart, ...], scale: float) -> tuple[str, float]:
    """The layer that has some units, before they are all scaled by a number; and the scale then."""
    found = joined(parts)
    while len(found) == 1 and found[0].pooled is None:
        spec = call.layers.specs.get(found[0].layer)
        norm = spec.batch_norm if spec is not None else None
        if spec is None or norm is None or not isinstance(norm.scale, float):
            break
        if norm != BatchNormSpec(scale=norm.scale):
            break
        found, scale = (replace(found[0], layer=str(spec.source)),), scale * norm.scale
    return call.layers.of(found), scale


def _weighted_sum(call: Call, left: Signal, right: Signal) -> Signal:
    """A product of two signals, where one of them is weights of steps and the product sums them."""
    weights, values = (left, right) if left.size == 1 else (right, left)
    rows, columns = left.axes[-2:-1], right.axes[-1:]
    units, others = (columns, rows) if weights is left else (rows, columns)
    if (
        left.axes[-1] != TIME
        or right.axes[-2:-1] != (TIME,)
        or left.axes[:-2] != right.axes[:-2]
        or weights.size != 1
        or units != (FEATURE,)
        or others not in ((), (STACK,), (FEATURE,))
    ):
        raise call.unusable(
            "multiplies two values that the input changes; expected one weight a step, and a sum "
            "over the steps"
        )
    sources = [call.source(signal) for signal in (weights, values)]
    part = call.add(sources, values.size, merge="gate")
    one = (STACK,) * len(others)
    ends = (*one, FEATURE) if weights is left else (FEATURE, *one)
    return Signal.of(replace(part, pooled="sum"), (*left.axes[:-2], *ends), left.sizes)
