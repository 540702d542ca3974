"""Any model as a function of torch's tensors, for its autograd to differentiate.

Of layers that torch has, torch's own; recurrent layers are spelled out, since torch's have neither
other activations nor every projection. Values are a batch of sequences of one length, of shape
(n, steps, units), or (n, units) where each is one vector.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch_cells import recurrent
from torch_passing import TRULY, Passing

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Flatten,
    Layer,
    LeakyRelu,
    Merge,
    Node,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Reverse,
    Scale,
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean(1),
    "max": lambda x: x.max(1).values,
    "sum": lambda x: x.sum(1),
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
}


def scores_of(model: Model, passing: Passing = TRULY) -> Callable[..., Tensor]:
    """The scores, shape (n, classes) or (n, steps, classes), of what each input is given."""

    def scores(*inputs: Tensor) -> Tensor:
        given = {MODEL_INPUT - k: each for k, each in enumerate(inputs)}
        values = run_nodes(model.nodes, given, passing)
        return torch.cat([values[output] for output in model.outputs], -1)

    return scores


def run_nodes(
    nodes: Sequence[Node], given: dict[int, Tensor], passing: Passing
) -> dict[int, Tensor]:
    values = dict(given)
    for place, node in enumerate(nodes):
        sources = [values[source] for source in node.sources]
        values[place] = made_of(node.layer, sources, passing)
    return values


def made_of(layer: Layer, sources: list[Tensor], passing: Passing) -> Tensor:
    """What a layer makes of its sources."""
    x = sources[0]
    match layer:
        case Lstm() | Gru() | SimpleRnn():
            return recurrent(layer, x, sources[1] if len(sources) == 2 else None, passing)
        case Merge(kind):
            return passing.merged(kind, sources)
        case Attention():
            return _attention(layer, *sources, passing)
        case Repeat(None):
            return x.unsqueeze(1).expand(-1, sources[1].shape[1], -1)
        case Activation(kind):
            return passing.activated(kind, x)
        case LeakyRelu(slopes):
            return passing.unchanged(x, torch.where(x > 0, x, x * of_array(slopes)))
        case StepSoftmax():
            return passing.unchanged(x, x.softmax(1))
        case Normalize():
            return _normalized(layer, x, passing)
        case UnitNorm():
            return x / passing.constant(x.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-6))
        case Each(nodes, output, steps):
            groups = x.reshape(-1, steps, x.shape[2])
            made = run_nodes(nodes, {MODEL_INPUT: groups}, passing)[output]
            rows = x.shape[1] // steps * (made.shape[1] if made.ndim == 3 else 1)
            return made.reshape(len(x), rows, made.shape[-1])
    return _linear(layer, x)


def of_array(array: Floats | None) -> Any:
    return None if array is None else torch.from_numpy(array)


def _linear(layer: Layer, x: Tensor) -> Tensor:
    """What is linear of one source, but for what the largest steps are."""
    match layer:
        case Dense(weights, bias):
            return functional.linear(x, of_array(weights), of_array(bias))
        case Scale(factors, offsets):
            return x * of_array(factors) + of_array(offsets)
        case Convolution(weights, bias, window, groups):
            padded = functional.pad(x.mT, _padding(window, x.shape[1]))
            if padded.shape[2] < _reach(window):
                return x.new_zeros(len(x), 0, len(weights))
            settings = (window.stride, 0, window.dilation, groups)
            return functional.conv1d(padded, of_array(weights), of_array(bias), *settings).mT
        case WindowPool():
            return _window_pool(layer, x)
        case Pool(kind):
            return POOLS[kind](x) if x.shape[1] else x.new_zeros(len(x), x.shape[2])
        case UnitSum():
            return x.sum(-1, keepdim=True)
    return _rearranged(layer, x)


def _rearranged(layer: Layer, x: Tensor) -> Tensor:
    match layer:
        case Upsample(times):
            return x.repeat_interleave(times, 1)
        case Pad(before, after):
            return functional.pad(x, (0, 0, before, after))
        case Crop(before, after):
            return x[:, before : max(x.shape[1] - after, before)]
        case Reverse():
            return x.flip(1)
        case Flatten():
            return x.flatten(1)
        case Unflatten(steps):
            return x.unflatten(1, (steps, -1))
        case Repeat(steps):
            return x.unsqueeze(1).expand(-1, steps, -1)
        case Transpose():
            return x.mT
        case Select(start, stop):
            return x[..., start:stop]
    raise AssertionError(layer)


def _reach(window: Window) -> int:
    return window.dilation * (window.width - 1) + 1


def _padding(window: Window, steps: int) -> tuple[int, int]:
    if window.padding != "same":
        return window.padding
    missing = (math.ceil(steps / window.stride) - 1) * window.stride + _reach(window) - steps
    before = max(missing, 0) // 2
    return before, max(missing, 0) - before


def _window_pool(layer: WindowPool, x: Tensor) -> Tensor:
    window, padding = layer.window, (0, 0, *_padding(layer.window, x.shape[1]))
    if x.shape[1] + sum(padding) < _reach(window):
        return x[:, :0]

    def windows(values: Tensor, beside: float) -> Tensor:
        padded = functional.pad(values, padding, value=beside)
        return padded.unfold(1, _reach(window), window.stride)[..., :: window.dilation]

    real = windows(torch.ones_like(x), 0.0).sum(-1)
    if layer.kind == "max":
        largest = windows(x, -math.inf).max(-1).values
        return torch.where(real > 0, largest, 0.0)
    count = window.width if layer.counts_padding else real.clamp_min(1.0)
    return windows(x, 0.0).sum(-1) / count


def _normalized(layer: Normalize, x: Tensor, passing: Passing) -> Tensor:
    apart = x.unsqueeze(-2) if layer.groups is None else x.unflatten(-1, (layer.groups, -1))
    axes = -1 if layer.groups is None else (*range(1, x.ndim - 1), -1)
    centred = apart - apart.mean(axes, keepdim=True)
    variance = centred.square().mean(axes, keepdim=True)
    normed = centred / passing.constant((variance + layer.epsilon).sqrt())
    return normed.reshape(x.shape) * of_array(layer.factors) + of_array(layer.offsets)


def _attention(
    layer: Attention, queries: Tensor, values: Tensor, keys: Tensor, passing: Passing
) -> Tensor:
    each = queries if queries.ndim == 3 else queries.unsqueeze(1)
    causal = layer.causal and queries.ndim == 3
    parts = [part.chunk(layer.heads, -1) for part in (each, values, keys)]
    ones = torch.ones(queries.shape[-1], dtype=queries.dtype)
    factors = ones if layer.factors is None else of_array(layer.factors)
    made = [
        _head(layer, of_head, passing, causal=causal)
        for of_head in zip(*parts, factors.chunk(layer.heads), strict=True)
    ]
    found = torch.cat(made, -1)
    return found if queries.ndim == 3 else found.squeeze(1)


def _head(layer: Attention, of_head: Any, passing: Passing, *, causal: bool) -> Tensor:
    query, value, key, factors = of_head
    if not value.shape[1]:
        return value.new_zeros(len(query), query.shape[1], value.shape[2])
    pair = query.unsqueeze(2), key.unsqueeze(1)
    if layer.kind == "dot":
        terms = passing.merged("product", pair) * layer.scale
    else:
        terms = passing.activated("tanh", pair[0] + pair[1]) * factors
    fits = terms.sum(-1)
    hidden = torch.ones(fits.shape[1:], dtype=torch.bool).triu(1) & causal
    weights = passing.unchanged(fits, fits.masked_fill(hidden, -math.inf).softmax(-1))
    return passing.product(weights.unsqueeze(-1), value.unsqueeze(1)).sum(2)
