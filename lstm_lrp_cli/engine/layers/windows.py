"""Layers that look at the steps through a window: convolutions, and pooling by windows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.lib.stride_tricks import as_strided

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import Parted, PartedValue, Parts
from lstm_lrp_cli.engine.records import Record, Shares, Value, packing_of
from lstm_lrp_cli.engine.rules import LrpRule, Messages
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.layers import Convolution, Window, WindowPool

# The steps of so many windows are laid side by side at a time as fit into a processor's cache.
BLOCK_BYTES = 2**19


class Windows(Struct, frozen=True, eq=False, dict=True):
    """Where the steps of each window stand in a packed array.

    Parameters
    ----------
    window : Window
    packing : Packing
        Of the steps that are looked at.
    steps : Packing
        With one step a window. It is the same object where a window belongs to each step.
    """

    window: Window
    packing: Packing
    steps: Packing

    @classmethod
    def over(cls, window: Window, packing: Packing) -> "Windows":
        """The windows over each of a batch's sequences."""
        if window.stride == 1 and _missing(window) == 0:
            return cls(window, packing, packing)
        return cls(window, packing, Packing(_lengths(window, packing.lengths)))

    def of(self, copies: Copies) -> "Windows":
        """Those of copies of the sequences."""
        return Windows(self.window, copies.of(self.packing).packing, copies.of(self.steps).packing)

    @cached_property
    def rows(self) -> Integers:
        """The row of each step of each window, shape (windows, width).

        Steps of padding have the row behind the last, as `padded` gives it.
        """
        window, packing, windows = self.window, self.packing, self.steps
        before = _before(window, packing.lengths, windows.lengths)
        # Sequences have few numbers of steps before them, so that most is the same for many.
        befores, of_sequence = np.unique(before, return_inverse=True)
        count, last = len(windows.active), len(packing.active)
        first = (window.stride * np.arange(count) - befores[:, np.newaxis]).reshape(-1, 1)
        steps = first + window.dilation * np.arange(window.width)
        inside = (steps >= 0) & (steps < last)
        steps = np.where(inside, steps, last)
        place = of_sequence[windows.sequence] * count + windows.step
        sequence = windows.sequence[:, np.newaxis]
        rows: Integers = packing.offsets[steps].take(place, axis=0)
        rows += sequence
        running = np.append(packing.active, 0)[steps]
        if np.any(running < np.tile(windows.active, len(befores))[:, np.newaxis]):
            np.copyto(rows, packing.rows, where=sequence >= running.take(place, axis=0))
        return rows

    @cached_property
    def real(self) -> Integers:
        """How many steps of each window are no padding, shape (windows,)."""
        counts: Integers = np.count_nonzero(self.rows < self.packing.rows, axis=1)
        return counts

    def padded(self, values: Floats, value: float = 0.0) -> Floats:
        """Values by step, shape (rows, units), and a row of padding behind the last."""
        padding = np.full((1, values.shape[1]), value, dtype=values.dtype)
        return np.concatenate([values, padding])

    def seen(self, values: Floats) -> Callable[[slice], Floats]:
        """What some windows see of values by step, shape (windows, width, units)."""
        lengths = self.packing.lengths
        if self.window.stride == 1 and len(lengths) and lengths[0] == lengths[-1]:
            return self._in_place(values).__getitem__
        padded = self.padded(values)
        return lambda block: padded.take(self.rows[block], axis=0)

    def _in_place(self, values: Floats) -> Floats:
        """The same of all windows as a view, where all sequences have one length, at stride 1.

        They stand step by step, so a step later is as many rows further as there are sequences.
        """
        batch, window = self.packing.batch, self.window
        before = int(_before(window, self.packing.lengths, self.steps.lengths)[0]) * batch
        rows = self.steps.rows + window.dilation * (window.width - 1) * batch
        padded = np.zeros((rows, values.shape[1]), dtype=values.dtype)
        real = padded[before : before + len(values)]
        real[...] = values[: len(real)]
        row, number = padded.strides
        strides = (row, window.dilation * batch * row, number)
        shape = (self.steps.rows, window.width, values.shape[1])
        return as_strided(padded, shape, strides, writeable=False)

    def sums(self, values: Floats) -> Floats:
        """The sum over the steps of each window, shape (windows, units)."""
        padded = self.padded(values)
        total = np.zeros((self.steps.rows, values.shape[1]), dtype=values.dtype)
        for rows in self.rows.T:
            total += padded[rows]
        return total

    def spread(self, amounts: Floats) -> Floats:
        """Give each window's amount, shape (windows, units), to each of its steps."""
        down = np.zeros((self.packing.rows + 1, amounts.shape[1]), dtype=amounts.dtype)
        for rows in self.rows.T:
            down[rows] += amounts  # a step is in one window alone at the same place
        return down[:-1]

    def marked(self, marked: Booleans) -> Booleans:
        """The windows in which any of some steps is, shape (windows,)."""
        return np.asarray(np.append(marked, np.False_)[self.rows].any(axis=1))


def _missing(window: Window) -> int:
    """By how many steps a sequence gets shorter where a window begins at each step."""
    if window.padding == "same":
        return 0
    return window.dilation * (window.width - 1) - sum(window.padding)


def _lengths(window: Window, lengths: Integers) -> Integers:
    """How many windows there are over sequences of so many steps."""
    if window.padding == "same":
        return -(-lengths // window.stride)
    return np.maximum((lengths - _missing(window) - 1) // window.stride + 1, 0)


def _before(window: Window, lengths: Integers, windows: Integers) -> Integers:
    """How many steps of padding are before each sequence, shape (batch,)."""
    if window.padding != "same":
        return np.full_like(lengths, window.padding[0])
    reach = window.dilation * (window.width - 1) + 1
    missing: Integers = np.maximum((windows - 1) * window.stride + reach - lengths, 0)
    return missing // 2


@dataclass(frozen=True, slots=True, eq=False)
class ConvolutionRecord(Record):
    """A linear map of each window, fed by the real steps alone."""

    layer: Convolution
    windows: Windows
    inputs: Floats
    outputs: Floats
    steps: Packing

    @classmethod
    def of(cls, layer: Convolution, sources: Sequence[Value]) -> "ConvolutionRecord":
        inputs, packing = sources[0].array, packing_of(sources[0])
        windows = Windows.over(layer.window, packing)
        outputs = _convolved(layer, windows, inputs, layer.bias)
        return cls(layer, windows, inputs, outputs, windows.steps)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        groups, rows = self.layer.groups, len(self.outputs)
        messages = self._messages(relevance, rule)
        down = _convolved_back(
            self.layer, self.windows, messages.values.reshape(self.outputs.shape)
        )
        down *= self.inputs
        if rule.bias_factor:
            share = self.windows.spread(messages.share.reshape(rows, groups))
            down += np.repeat(share, down.shape[1] // groups, axis=1)
        biases = messages.biases.reshape(rows, groups).sum(axis=1)
        stabilizers = messages.stabilizers.reshape(2, rows, groups).sum(axis=2)
        return [down], Shares.lost(biases, stabilizers, self.steps)

    def _messages(self, relevance: Floats, rule: LrpRule) -> Messages:
        """Those of the units of each group of each window, a row for each."""
        groups, bias = self.layer.groups, self.layer.bias
        shape = (len(self.outputs) * groups, self.outputs.shape[1] // groups)
        if bias is not None and groups > 1:
            bias = np.broadcast_to(bias, self.outputs.shape).reshape(shape)
        lower = self.windows.real * self.layer.weights.shape[1]
        return rule.messages(
            relevance.reshape(shape), self.outputs.reshape(shape), bias, np.repeat(lower, groups)
        )

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [_convolved_back(self.layer, self.windows, gradient)]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        windows, source = self.windows.of(copies), sources[0]
        parts = source.parts.each(lambda part: _convolved(self.layer, windows, part))
        if self.layer.bias is not None:
            parts = Parts(parts.relevant, parts.irrelevant + self.layer.bias)
        return PartedValue(parts, windows.steps, windows.marked(source.relevant_steps))


def _convolved(
    layer: Convolution, windows: Windows, inputs: Floats, bias: Floats | None = None
) -> Floats:
    """The outputs, shape (windows, outputs)."""
    groups = layer.groups
    if layer.weights.shape[1] == 1 < groups:
        return _depthwise(layer, windows, inputs, bias)
    # (groups, width inputs, outputs), each of a group
    weights = layer.weights.reshape(groups, -1, *layer.weights.shape[1:])
    weights = weights.transpose(0, 3, 2, 1).reshape(groups, -1, weights.shape[1])
    outputs = np.empty((windows.steps.rows, groups, weights.shape[2]), dtype=inputs.dtype)
    seen_by = windows.seen(inputs)
    for block in _blocks(windows, inputs.shape[1], inputs.itemsize):
        seen, made = seen_by(block), outputs[block]
        seen = seen.reshape(*seen.shape[:2], groups, -1).transpose(2, 0, 1, 3)
        seen = seen.reshape(groups, seen.shape[1], -1)
        np.matmul(seen, weights, out=made.swapaxes(0, 1))
        if bias is not None:  # while they are in a cache
            made += bias.reshape(made.shape[1:])
    return outputs.reshape(len(outputs), len(layer.weights))


def _depthwise(layer: Convolution, windows: Windows, inputs: Floats, bias: Floats | None) -> Floats:
    """The same where each group has one input: products of single numbers, tap by tap."""
    of_each = len(layer.weights) // layer.groups
    outputs = np.zeros((windows.steps.rows, len(layer.weights)), dtype=inputs.dtype)
    seen_by = windows.seen(inputs)
    for block in _blocks(windows, len(layer.weights), inputs.itemsize):
        seen, made = seen_by(block), outputs[block]
        for tap in range(windows.window.width):
            of_tap = seen[:, tap]
            of_tap = of_tap if of_each == 1 else np.repeat(of_tap, of_each, axis=1)
            made += of_tap * layer.weights[:, 0, tap]
        if bias is not None:
            made += bias
    return outputs


def _convolved_back(layer: Convolution, windows: Windows, amounts: Floats) -> Floats:
    """What each input gets of amounts, shape (windows, outputs), by its weights: (rows, inputs)."""
    groups, _, width = layer.groups, *layer.weights.shape[1:]
    weights = layer.weights.reshape(groups, -1, *layer.weights.shape[1:])
    # (groups, outputs, width inputs), each of a group
    weights = weights.transpose(0, 1, 3, 2).reshape(groups, weights.shape[1], -1)
    inputs = groups * layer.weights.shape[1]
    down = np.zeros((windows.packing.rows + 1, inputs), dtype=amounts.dtype)
    of_groups = amounts.reshape(len(amounts), groups, weights.shape[1])
    for block in _blocks(windows, inputs, amounts.itemsize):
        sent = np.matmul(of_groups[block].swapaxes(0, 1), weights)
        sent = sent.reshape(*sent.shape[:2], width, -1).transpose(2, 1, 0, 3)
        for rows, of_tap in zip(windows.rows[block].T, sent, strict=True):
            down[rows] += of_tap.reshape(len(rows), -1)
    return down[:-1]


def _blocks(windows: Windows, units: int, itemsize: int) -> Iterator[slice]:
    """Some windows at a time, so that all of their steps' units fit into a cache."""
    at_once = max(BLOCK_BYTES // (windows.window.width * units * itemsize), 1)
    for start in range(0, windows.steps.rows, at_once):
        yield slice(start, start + at_once)


@dataclass(frozen=True, slots=True, eq=False)
class WindowMeanRecord(Record):
    """A linear map, fed by all units of the real steps in each window.

    Parameters
    ----------
    weights : ndarray, shape (windows, 1)
        What every step of a window is weighed with.
    """

    windows: Windows
    inputs: Floats
    weights: Floats
    outputs: Floats
    steps: Packing

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        there, unstarted = _split_real(relevance, self.windows)
        lower = self.windows.real * self.outputs.shape[1]
        messages = rule.messages(there, self.outputs, None, lower)
        down = self.windows.spread(self.weights * messages.values) * self.inputs
        down += self.windows.spread(messages.share)
        return [down], Shares.absorbed(messages, self.steps) + unstarted

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [self.windows.spread(self.weights * gradient)]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        windows, source = self.windows.of(copies), sources[0]
        weights = self.weights[copies.of(self.steps).rows]
        parts = source.parts.each(lambda part: windows.sums(part) * weights)
        return PartedValue(parts, windows.steps, windows.marked(source.relevant_steps))


@dataclass(frozen=True, slots=True, eq=False)
class WindowMaxRecord(Record):
    """The winning step of every unit in each window gets all of the unit's relevance there.

    Parameters
    ----------
    winners : ndarray of int, shape (windows, units)
        The place in the window of the first real step at which a unit is largest.
    """

    windows: Windows
    winners: Integers
    outputs: Floats
    steps: Packing

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        there, unstarted = _split_real(relevance, self.windows)
        return self.gradient(there), unstarted

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        windows = self.windows
        down = np.zeros((windows.packing.rows + 1, gradient.shape[1]), dtype=gradient.dtype)
        for place, rows in enumerate(windows.rows.T):
            down[rows] += np.where(self.winners == place, gradient, 0.0)
        return [down[:-1]]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """A maximum's parts are those of the step that has the largest whole value."""
        windows, source = self.windows.of(copies), sources[0]
        winners = self.winners[copies.of(self.steps).rows]
        at = np.take_along_axis(windows.rows, winners, axis=1)
        parts = source.parts.each(lambda part: np.take_along_axis(windows.padded(part), at, axis=0))
        return PartedValue(parts, windows.steps, windows.marked(source.relevant_steps))


def _split_real(relevance: Floats, windows: Windows) -> tuple[Floats, Shares]:
    """The relevance of windows with a real step, zeros else; and what the others lose."""
    empty = windows.real == 0
    packing = windows.steps
    lost = packing.total(np.where(empty, relevance.sum(axis=1, dtype=np.float64), 0.0))
    there: Floats = np.where(empty[:, np.newaxis], relevance.dtype.type(0.0), relevance)
    return there, Shares(lost, np.zeros(packing.batch), np.zeros((2, packing.batch)))


def pool(layer: WindowPool, sources: Sequence[Value]) -> WindowMeanRecord | WindowMaxRecord:
    """Pool values of shape (rows, units) to (windows, units). A window of padding alone gives 0."""
    inputs, packing = sources[0].array, packing_of(sources[0])
    windows = Windows.over(layer.window, packing)
    if layer.kind == "max":
        return _largest(windows, inputs)
    counts = windows.real
    if layer.counts_padding:
        counts = np.full_like(counts, layer.window.width)
    weights = (1.0 / np.maximum(counts, 1)).astype(inputs.dtype)[:, np.newaxis]
    return WindowMeanRecord(windows, inputs, weights, windows.sums(inputs) * weights, windows.steps)


def _largest(windows: Windows, inputs: Floats) -> WindowMaxRecord:
    padded = windows.padded(inputs, -np.inf)
    # Where all real steps are -inf the first of them still wins, and not padding.
    first = np.argmax(windows.rows < windows.packing.rows, axis=1) if windows.steps.rows else 0
    shape = (windows.steps.rows, inputs.shape[1])
    winners = np.broadcast_to(np.reshape(first, (-1, 1)), shape).astype(np.intp)
    outputs = np.full(shape, -np.inf, dtype=inputs.dtype)
    for place, rows in enumerate(windows.rows.T):
        step = padded[rows]
        np.copyto(winners, place, where=step > outputs)
        np.maximum(outputs, step, out=outputs)
    outputs[windows.real == 0] = 0.0
    return WindowMaxRecord(windows, winners, outputs, windows.steps)
