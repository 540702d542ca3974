"""Layers that change steps, attend, normalize or hold a graph: as the plain version has them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import plain_decomposition
import plain_lrp
import plain_perturbation
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_models import in_precision, make_model
from msgspec import Struct
from msgspec.structs import replace
from plain_forward import by_input, embedded
from plain_gradient import derivative

from lstm_lrp_cli.engine.activations import erf
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner, Trace, row_bytes
from lstm_lrp_cli.engine.layers.attention import AttentionRecord
from lstm_lrp_cli.engine.layers.steps import StepSoftmaxRecord
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.contextual_decomposition import ContextualDecomposition
from lstm_lrp_cli.engine.methods.gradient import gradient
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.records import TOLERANCES, Reach, WrongSteps
from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.errors import UnusableInput
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
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

SHARES = ("tokens", "initial_state", "biases", "stabilizers", "padding")
# Of the largest number of an explanation; dividing by z + eps s makes more of rounding errors.
TOLERANCE = 1e-10

ALL_RULES = pytest.mark.parametrize("gates", get_args(GateRuleName))
property_test = settings(max_examples=50, deadline=None, derandomize=True, database=None)


class Case(NamedTuple):
    """A model and a batch for it: of every input, what each of the sequences has."""

    model: Model
    inputs: list[list[Floats]]
    targets: list[int]
    rule: LrpRule
    steps: list[int] | None

    def sequence(self, k: int) -> tuple[Floats, ...]:
        return tuple(each[k] for each in self.inputs)

    def step(self, k: int) -> int | None:
        return None if self.steps is None else self.steps[k]


class Made(Struct, frozen=True):
    """What a node gives: how many units, how many steps in each sequence (None: one vector)."""

    size: int
    lengths: tuple[int, ...] | None
    # Whether steps may be the same but for rounding, so that none is the largest for certain.
    tied: bool = False


class Growing:
    """A graph that grows layer by layer."""

    def __init__(
        self, draw: st.DrawFn, rng: np.random.Generator, inputs: Sequence[Made], deep: bool = True
    ) -> None:
        self.draw, self.rng, self.deep = draw, rng, deep
        self.values = {MODEL_INPUT - k: made for k, made in enumerate(inputs)}
        self.nodes: list[Node] = []

    def add(self, layer: Layer, sources: tuple[int, ...], made: Made) -> int:
        self.nodes.append(Node(layer, sources))
        self.values[len(self.nodes) - 1] = made
        return len(self.nodes) - 1

    def pick(self, allowed: Callable[[Made], bool]) -> int | None:
        """One that is allowed, the latest most often."""
        places = [place for place, made in self.values.items() if allowed(made)]
        return self.draw(st.sampled_from([max(places), *places])) if places else None

    def grow(self, kinds: Sequence[str]) -> None:
        """One more layer of some kind, where there is something for it."""
        getattr(self, self.draw(st.sampled_from(kinds)))()

    def weights(self, *shape: int) -> Floats:
        return self.rng.normal(size=shape) / np.sqrt(math.prod(shape[1:]))

    def bias(self, size: int) -> Floats | None:
        return self.rng.normal(scale=0.5, size=size) if self.draw(st.booleans()) else None

    def window(self) -> Window:
        draw = self.draw
        pads = st.tuples(st.integers(0, 4), st.integers(0, 4))
        return Window(
            draw(st.integers(1, 4)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 3)),
            draw(st.just("same") | pads | st.just((0, 0))),
        )

    def convolution(self) -> None:
        if (source := self.pick(_has_steps)) is None:
            return
        made, window = self.values[source], self.window()
        groups = self.draw(
            st.sampled_from([k for k in range(1, made.size + 1) if not made.size % k])
        )
        outputs = groups * self.draw(st.integers(1, 3))
        layer = Convolution(
            self.weights(outputs, made.size // groups, window.width),
            self.bias(outputs),
            window,
            groups,
        )
        self.add(layer, (source,), Made(outputs, _windows(window, made), True))

    def pooling(self) -> None:
        if (source := self.pick(_has_steps)) is None:
            return
        made, window = self.values[source], self.window()
        kind = "mean" if made.tied else self.draw(st.sampled_from(["mean", "max"]))
        layer = WindowPool(kind, window, self.draw(st.booleans()))
        self.add(layer, (source,), Made(made.size, _windows(window, made), True))

    def resized(self) -> None:
        if (source := self.pick(_has_steps)) is None:
            return
        made = self.values[source]
        assert made.lengths is not None
        first, second = self.draw(st.integers(1, 3)), self.draw(st.integers(0, 3))
        kind = self.draw(st.sampled_from([Upsample, Pad, Crop]))
        layer: Layer = Upsample(first) if kind is Upsample else kind(first, second)
        change = {Upsample: lambda n: n * first, Pad: lambda n: n + first + second}
        cut = change.get(kind, lambda n: max(n - first - second, 0))
        self.add(layer, (source,), Made(made.size, tuple(map(cut, made.lengths)), True))

    def vector(self) -> None:
        """One vector of steps."""
        if (source := self.pick(_has_steps)) is None:
            return
        made = self.values[source]
        assert made.lengths is not None
        alike = set(made.lengths) == {max(made.lengths)} and max(made.lengths) > 0
        if alike and self.draw(st.booleans()):
            steps = made.lengths[0]
            if self.draw(st.booleans()):
                lengths = tuple([made.size] * len(made.lengths))
                self.add(Transpose(steps), (source,), Made(steps, lengths, made.tied))
            else:
                self.add(Flatten(steps), (source,), Made(steps * made.size, None))
        else:
            self.add(Pool("mean"), (source,), Made(made.size, None))

    def repeated(self) -> None:
        """Steps of one vector."""
        if (source := self.pick(lambda made: made.lengths is None)) is None:
            return
        size, count = self.values[source].size, len(self.lengths)
        divisors = [k for k in range(1, size + 1) if not size % k]
        counted = self.pick(lambda made: made.lengths is not None)
        if counted is not None and self.draw(st.booleans()):
            lengths = self.values[counted].lengths
            self.add(Repeat(None), (source, counted), Made(size, lengths, True))
        elif self.draw(st.booleans()):
            steps = self.draw(st.integers(1, 4))
            self.add(Repeat(steps), (source,), Made(size, (steps,) * count, True))
        else:
            steps = self.draw(st.sampled_from(divisors))
            self.add(Unflatten(steps), (source,), Made(size // steps, (steps,) * count))

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the first input."""
        made = self.values[MODEL_INPUT]
        assert made.lengths is not None
        return made.lengths

    def unitwise(self) -> None:
        source = self.pick(lambda made: True)
        assert source is not None
        made = self.values[source]
        size = made.size
        match self.draw(st.sampled_from(["layer", "group", "select", "leaky", "gelu", "dense"])):
            case "select":
                start = self.draw(st.integers(0, size - 1))
                stop = self.draw(st.integers(start + 1, size))
                self.add(Select(start, stop), (source,), replace(made, size=stop - start))
            case "leaky":
                slopes = self.rng.normal(size=self.draw(st.sampled_from([1, size])))
                self.add(LeakyRelu(slopes), (source,), made)
            case "gelu":
                kind = self.draw(st.sampled_from(["gelu", "gelu_tanh"]))
                self.add(Activation(kind), (source,), made)
            case "dense":
                outputs = self.draw(st.integers(1, 4))
                dense = Dense(self.weights(outputs, size), self.bias(outputs))
                self.add(dense, (source,), replace(made, size=outputs))
            case kind:
                divisors = [k for k in range(1, size + 1) if not size % k]
                groups = None if kind == "layer" else self.draw(st.sampled_from(divisors))
                factors, offsets = self.rng.normal(size=(2, size))
                layer = Normalize(factors, offsets, self.rng.uniform(0.05, 0.5), groups)
                self.add(layer, (source,), replace(made, tied=True))

    def joined(self) -> None:
        source = self.pick(lambda made: True)
        assert source is not None
        made = self.values[source]
        places = [
            place
            for place, other in self.values.items()
            if (other.size, other.lengths) == (made.size, made.lengths)
        ]
        count = self.draw(st.sampled_from([2, 2, 3]))
        sources = [self.draw(st.sampled_from(places)) for _ in range(count)]
        kind = "max" if count == 3 else self.draw(st.sampled_from(["difference", "max"]))
        self.add(Merge(kind), tuple(sources), replace(made, tied=True))

    def lstm(self) -> None:
        if (source := self.pick(_has_steps)) is None:
            return
        made, hidden = self.values[source], self.draw(st.integers(1, 3))
        returns = self.draw(st.sampled_from(["last", "sequence"]))
        cell = LstmCell(
            self.weights(4, hidden, made.size),
            self.weights(4, hidden, hidden),
            self.rng.normal(scale=0.5, size=(4, hidden)),
            backward=self.draw(st.booleans()),
        )
        lengths = made.lengths if returns == "sequence" else None
        self.add(Lstm((cell,), returns=returns), (source,), Made(hidden, lengths, True))

    def attention(self) -> None:
        if (place := self.pick(_has_steps)) is None:
            return
        values = self.values[place]
        asking = self.pick(lambda made: made.lengths is None or len(self.lengths) > 0)
        assert asking is not None
        queries = self.values[asking]
        heads = self.draw(st.sampled_from([k for k in (1, 2, 3) if not values.size % k]))
        units = heads * self.draw(st.integers(1, 2))
        read = self.add(
            Dense(self.weights(units, queries.size), None), (asking,), replace(queries, size=units)
        )
        keys = self.add(
            Dense(self.weights(units, values.size), None), (place,), replace(values, size=units)
        )
        layer = Attention(
            self.draw(st.sampled_from(["dot", "additive"])),
            heads,
            self.rng.uniform(0.3, 2.0),
            self.rng.normal(size=units) if self.draw(st.booleans()) else None,
            self.draw(st.booleans()),
        )
        self.add(layer, (read, place, keys), Made(values.size, queries.lengths, True))

    def each(self) -> None:
        if not self.deep or (source := self.pick(_has_steps)) is None:
            return
        made = self.values[source]
        assert made.lengths is not None
        common = math.gcd(*made.lengths)
        divisors = [k for k in range(1, common + 1) if not common % k]
        steps = self.draw(st.sampled_from(divisors or [2]))
        inner = Growing(self.draw, self.rng, [Made(made.size, (steps,), made.tied)], deep=False)
        for _ in range(self.draw(st.integers(1, 3))):
            inner.grow(KINDS)
        output = max(inner.values)
        found = inner.values[output]
        of_each = 1 if found.lengths is None else found.lengths[0]
        lengths = tuple(length // steps * of_each for length in made.lengths)
        layer = Each(tuple(inner.nodes), output, steps)
        self.add(layer, (source,), Made(found.size, lengths, True))


KINDS = (
    "convolution",
    "pooling",
    "resized",
    "vector",
    "repeated",
    "unitwise",
    "joined",
    "lstm",
    "attention",
    "each",
)


def _has_steps(made: Made) -> bool:
    return made.lengths is not None and max(made.lengths, default=0) < 40


def _windows(window: Window, made: Made) -> tuple[int, ...]:
    """How many windows there are, counted one by one."""
    assert made.lengths is not None
    counts = []
    for length in made.lengths:
        if window.padding == "same":
            counts.append(len(range(0, length, window.stride)))
        else:
            reach = window.dilation * (window.width - 1) + 1
            last = length + sum(window.padding) - reach
            counts.append(len(range(0, last + 1, window.stride)))
    return tuple(counts)


@st.composite
def cases(draw: st.DrawFn, kinds: Sequence[str] = KINDS) -> Case:
    """Draw a whole problem. Weights and numbers come from a generator with a drawn seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 4))
    several = [True, *draw(st.sampled_from([(), (), (True,), (False,), (True, False)]))]
    inputs: list[Made] = []
    for has_steps in several:
        lengths = None
        if has_steps:
            some = draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
            alike = draw(st.booleans())
            lengths = (max(some),) * count if alike else tuple(sorted(some, reverse=True))
        inputs.append(Made(draw(st.integers(1, 4)), lengths))
    growing = Growing(draw, rng, inputs)
    for _ in range(draw(st.integers(1, 4))):
        growing.grow(kinds)
    output = max(growing.values)
    made = growing.values[output]
    by_step = made.lengths is not None and min(made.lengths) > 0 and draw(st.booleans())
    if made.lengths is not None and not by_step:
        output, made = (growing.add(Pool("sum"), (output,), made), replace(made, lengths=None))
    classes = draw(st.integers(1, 3))
    dense = Dense(growing.weights(classes, made.size), growing.bias(classes))
    output = growing.add(dense, (output,), replace(made, size=classes))
    model = Model(
        tuple(growing.nodes),
        (output,),
        (Head(classes),),
        np.dtype(np.float64),
        tuple(Input(each.size, steps=each.lengths is not None) for each in inputs),
        by_step,
    )
    arrays = [
        [
            rng.normal(size=(each.size,) if each.lengths is None else (each.lengths[k], each.size))
            for k in range(count)
        ]
        for each in inputs
    ]
    rule = draw(
        st.builds(
            LrpRule,
            eps=st.floats(1e-2, 0.5),
            bias_factor=st.just(0.0) | st.just(1.0) | st.floats(0.0, 1.0),
        )
    )
    targets = [draw(st.integers(0, classes - 1)) for _ in range(count)]
    steps = [draw(st.integers(0, n - 1)) for n in made.lengths or ()] if by_step else None
    return Case(model, arrays, targets, rule, steps)


def run_batch(model: Model, inputs: Sequence[Sequence[Floats]], keep_gates: bool = False) -> Trace:
    """The forward pass of sequences, each input's from the longest to the shortest."""
    read = []
    for each, of in zip(inputs, model.inputs, strict=True):
        if of.steps:
            packing = Packing(np.array([len(one) for one in each], dtype=np.intp))
            array = packing.pack(np.concatenate(each))
        else:
            packing, array = Packing.of_vectors(len(each)), np.stack(each)
        read.append(Given(array.astype(model.dtype), packing, is_sequence=of.steps))
    return Runner(model, keep_gates=keep_gates).forward(read)


def chosen_of(case: Case, trace: Trace) -> Chosen:
    rows = None
    if case.steps is not None:
        assert trace.steps is not None
        rows = trace.steps.offsets[np.array(case.steps)] + np.arange(trace.batch)
    return Chosen(np.array(case.targets), rows)


def scores_of(case: Case, trace: Trace, k: int) -> Floats:
    step = case.step(k)
    row = k if step is None or trace.steps is None else trace.steps.offsets[step] + k
    return trace.scores[row]


def cut(rows: Floats, packing: Packing) -> list[Floats]:
    """Packed rows, each sequence's own."""
    return np.split(rows[packing.by_sequence], np.cumsum(packing.lengths)[:-1])


def assert_close(found: Any, expected: Any, largest: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(largest, 1.0))


@ALL_RULES
@property_test
@given(cases())
def test_scores_relevance_and_every_share_of_the_ledger(gates: GateRuleName, case: Case) -> None:
    rule = replace(case.rule, gates=gates)
    trace = run_batch(case.model, case.inputs)
    found = Lrp(rule).explain(trace, chosen_of(case, trace), "features")
    assert found.ledgers is not None
    apart = [
        cut(values, packing) for values, packing in zip(found.values, trace.packings, strict=True)
    ]
    for k, ledger in enumerate(found.ledgers):
        plain = plain_lrp.explain(
            case.model,
            case.sequence(k),
            case.targets[k],
            eps=rule.eps,
            bias_factor=rule.bias_factor,
            gates=gates,
            step=case.step(k),
        )
        assert_close(scores_of(case, trace, k), plain.scores, np.abs(plain.scores).max())
        shares = {name: getattr(plain, name) for name in SHARES}
        parts = [np.abs(each).max(initial=0.0) for each in plain.relevance]
        largest = max(*parts, *map(abs, shares.values()))
        for of_input, expected in zip(apart, plain.relevance, strict=True):
            assert_close(of_input[k], np.atleast_2d(expected), largest)
        for name, expected in shares.items():
            assert_close(ledger[name], expected, largest)
        assert ledger.stabilizers_size is not None
        assert_close(ledger.stabilizers_size, plain.stabilizers_size, plain.stabilizers_size)
        assert ledger.relative_residual < TOLERANCES[np.dtype(np.float64)]


@ALL_RULES
@property_test
@given(cases())
def test_ledgers_close_in_single_precision(gates: GateRuleName, case: Case) -> None:
    model = in_precision(case.model, "float32")
    trace = run_batch(model, case.inputs)
    rule = replace(case.rule, gates=gates)
    for reach in get_args(Reach):
        found = Lrp(rule).explain(trace, chosen_of(case, trace), reach)
        assert found.ledgers is not None
        assert all(values.dtype == np.float32 for values in found.values)
        for ledger in found.ledgers:
            assert ledger.relative_residual < TOLERANCES[np.dtype(np.float32)]


@property_test
@given(cases())
def test_a_bias_factor_of_1_leaves_nothing_but_to_units_without_inputs(case: Case) -> None:
    """Those are the outputs of windows that hold nothing but padding."""
    padded = (Convolution, Each)
    assume(not any(isinstance(node.layer, padded) for node in case.model.nodes))
    trace = run_batch(case.model, case.inputs)
    found = Lrp(replace(case.rule, bias_factor=1.0)).explain(
        trace, chosen_of(case, trace), "features"
    )
    assert found.ledgers is not None
    for ledger in found.ledgers:
        assert ledger["biases"] == ledger["stabilizers"] == 0.0


@property_test
@given(cases(), st.integers(0, 2**32 - 1))
def test_gradients(case: Case, seed: int) -> None:
    """Along a random direction of all inputs at once, by a complex step."""
    rng = np.random.default_rng(seed)
    trace = run_batch(case.model, case.inputs, keep_gates=True)
    found = gradient(trace, chosen_of(case, trace))
    apart = [cut(values, packing) for values, packing in zip(found, trace.packings, strict=True)]
    for k, target in enumerate(case.targets):
        values = by_input(embedded(case.model, case.sequence(k)))
        along = tuple(rng.normal(size=each.shape) for each in values)
        expected = derivative(case.model, values, along, target, case.step(k))
        products = [
            np.atleast_2d(way) * of_input[k] for way, of_input in zip(along, apart, strict=True)
        ]
        total, largest = (
            sum(float(function(each).sum()) for each in products)
            for function in (np.asarray, np.abs)
        )
        assert_close(total, expected, largest)


@property_test
@given(cases())
def test_contextual_decomposition(case: Case) -> None:
    trace = run_batch(case.model, case.inputs)
    chosen = chosen_of(case, trace)
    by_reach = [
        ContextualDecomposition().explain(trace, chosen, reach).values for reach in get_args(Reach)
    ]
    of_features, of_steps = (
        [cut(values, packing) for values, packing in zip(found, trace.packings, strict=True)]
        for found in by_reach
    )
    for k, target in enumerate(case.targets):
        sequence = case.sequence(k)
        for number, values in enumerate(map(np.atleast_2d, sequence)):
            for t, step in enumerate(values):
                parts = plain_decomposition.decompose(case.model, sequence, [t], number)
                at = target if case.steps is None else (case.steps[k], target)
                largest = float(np.abs(parts.relevant).max() + np.abs(parts.irrelevant).max())
                assert_close(of_steps[number][k][t], parts.relevant[at], largest)
                if len(step) > 1 and t == 0:
                    parts = plain_decomposition.decompose_entry(
                        case.model, sequence, t, len(step) - 1, number
                    )
                    assert_close(of_features[number][k][t, -1], parts.relevant[at], largest)


@property_test
@given(cases())
def test_parts_add_up_to_the_score(case: Case) -> None:
    trace = run_batch(case.model, case.inputs)
    found = ContextualDecomposition(slice(0, 2)).explain(trace, chosen_of(case, trace), "steps")
    assert found.ledgers is not None
    for ledger in found.ledgers:
        assert ledger.relative_residual < TOLERANCES[np.dtype(np.float64)]


@settings(parent=property_test, max_examples=60)
@given(cases())
def test_occlusion(case: Case) -> None:
    trace = run_batch(case.model, case.inputs)
    found = METHODS["occlusion"](Settings()).explain(trace, chosen_of(case, trace), "steps")
    apart = [
        cut(values, packing) for values, packing in zip(found.values, trace.packings, strict=True)
    ]
    for k, target in enumerate(case.targets):
        expected = plain_perturbation.occlusion(case.model, case.sequence(k), target, case.step(k))
        largest = float(np.abs(scores_of(case, trace, k)).max())
        for of_input, losses in zip(apart, expected, strict=True):
            assert_close(of_input[k], losses, largest)


@property_test
@given(cases())
def test_sequences_do_not_depend_on_their_company(case: Case) -> None:
    trace = run_batch(case.model, case.inputs)
    for k in range(len(case.targets)):
        alone = run_batch(case.model, [[each[k]] for each in case.inputs])
        row = [k] if trace.steps is None else cut(np.arange(trace.steps.rows), trace.steps)[k]
        assert_close(trace.scores[row], alone.scores, float(np.abs(alone.scores).max(initial=0.0)))


@property_test
@given(cases(["attention"]))
def test_attention_weights_are_those_of_each_query(case: Case) -> None:
    """They sum to 1, and make the outputs of the values, head by head."""
    trace = run_batch(case.model, case.inputs)
    for node, record in zip(case.model.nodes, trace.records, strict=True):
        if not isinstance(record, AttentionRecord):
            continue
        assert isinstance(node.layer, Attention)
        source = node.sources[1]
        if source <= MODEL_INPUT:
            values = trace.given[MODEL_INPUT - source].array
        else:
            values = trace.records[source].outputs
        asking = record.steps or Packing.of_vectors(trace.batch)
        pairs = zip(cut(record.outputs, asking), cut(values, record.read.packing), strict=True)
        for k, (outputs, own) in enumerate(pairs):
            weights = record.attention(k)
            assert weights.shape == (node.layer.heads, len(outputs), len(own))
            if len(own):
                np.testing.assert_allclose(weights.sum(axis=2), 1.0, rtol=1e-12)
            if node.layer.causal and record.steps is not None:
                assert not np.triu(weights, 1).any()
            by_head = np.split(own, node.layer.heads, axis=1)
            made = [each @ part for each, part in zip(weights, by_head, strict=True)]
            np.testing.assert_allclose(np.concatenate(made, axis=1), outputs, atol=1e-12)


def test_attention_is_the_same_in_whatever_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of queries and steps are computed some at a time, of several sequences or a part."""
    rng = np.random.default_rng(3)
    for kind in ("dot", "additive"):
        nodes = (Node(Attention(kind, 2, causal=True), (-1, -1, -1)), Node(Pool("sum"), (0,)))
        model = Model(nodes, (1,), (Head(4),), np.dtype(np.float64), (Input(4),))
        inputs = [[rng.normal(size=(length, 4)) for length in (9, 9, 9, 5, 2, 0)]]
        found = []
        for size in (2**22, 2**11, 1):
            monkeypatch.setattr("lstm_lrp_cli.engine.layers.attending.BLOCK_BYTES", size)
            trace = run_batch(model, inputs)
            chosen = Chosen(np.zeros(6, dtype=np.intp))
            lrp = Lrp(LrpRule(0.01, 0.3, "lrp-prop")).explain(trace, chosen, "features")
            assert lrp.ledgers is not None
            found.append(
                [
                    trace.scores,
                    *lrp.values,
                    *gradient(trace, chosen),
                    trace.records[0].attention(3),
                    np.array([each.stabilizers_size for each in lrp.ledgers]),
                ]
            )
        for other in found[1:]:
            for one, two in zip(found[0], other, strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)


def test_step_softmax_tells_its_weights() -> None:
    model = make_model(StepSoftmax(), Pool("sum"), classes=2)
    inputs = [np.log([[1.0, 1.0], [3.0, 1.0]]), np.zeros((0, 2))]
    record = run_batch(model, [inputs]).records[0]
    assert isinstance(record, StepSoftmaxRecord)
    np.testing.assert_allclose(record.attention(0), [[[0.25, 0.75]], [[0.5, 0.5]]])
    assert record.attention(1).shape == (2, 1, 0)


def one_step_each(layer: Layer, *lengths: int) -> list[Any]:
    """What a layer by itself makes of sequences 1, 2, .. of one unit."""
    model = Model((Node(layer, (-1,)),), (0,), (Head(1),), np.dtype(float), (Input(1),), True)
    trace = run_batch(model, [[np.arange(1.0, n + 1)[:, np.newaxis] for n in lengths]])
    assert trace.steps is not None
    return [rows[:, 0].tolist() for rows in cut(trace.scores, trace.steps)]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Convolution(np.ones((1, 1, 3)), None, Window(3)), [[6, 9], [], []]),
        (Convolution(np.ones((1, 1, 3)), None, Window(3, padding="same")), [[3, 6, 9, 7], [1], []]),
        (Convolution(np.ones((1, 1, 2)), None, Window(2, padding=(1, 0))), [[1, 3, 5, 7], [1], []]),
        (Convolution(np.ones((1, 1, 2)), None, Window(2, 2, 1, "same")), [[3, 7], [1], []]),
        (
            Convolution(np.ones((1, 1, 2)), np.array([0.5]), Window(2, 1, 3, (3, 0))),
            [[1.5, 2.5, 3.5, 5.5], [1.5], []],
        ),
        (WindowPool("max", Window(2, 2)), [[2, 4], [], []]),
        (WindowPool("mean", Window(3, 3, 1, "same")), [[1.5, 3.5], [1], []]),
        (WindowPool("mean", Window(3, 2, 1, "same")), [[2, 3.5], [1], []]),
        (WindowPool("mean", Window(2, 2, 1, (1, 1)), True), [[0.5, 2.5, 2], [0.5], [0]]),
        (WindowPool("max", Window(2, 1, 1, (2, 0))), [[0, 1, 2, 3, 4], [0, 1], [0]]),
        (Upsample(2), [[1, 1, 2, 2, 3, 3, 4, 4], [1, 1], []]),
        (Pad(1, 2), [[0, 1, 2, 3, 4, 0, 0], [0, 1, 0, 0], [0, 0, 0]]),
        (Crop(1, 1), [[2, 3], [], []]),
        (Reverse(), [[4, 3, 2, 1], [1], []]),
    ],
)
def test_steps_by_hand(layer: Layer, expected: list[list[float]]) -> None:
    assert one_step_each(layer, 4, 1, 0) == expected


def test_a_step_keeps_its_packing_where_there_is_a_window_for_each() -> None:
    """So that scores by step can be told as the input's own steps."""
    for window in (Window(3, padding="same"), Window(3, 1, 2, (4, 0)), Window(1)):
        layer = Convolution(np.ones((1, 1, window.width)), None, window)
        model = Model((Node(layer, (-1,)),), (0,), (Head(1),), np.dtype(float), (Input(1),), True)
        trace = run_batch(model, [[np.ones((3, 1)), np.ones((1, 1))]])
        assert trace.steps is trace.packings[0]


def test_the_first_of_several_largest_steps_in_a_window_wins() -> None:
    layer = WindowPool("max", Window(3, padding=(1, 1)))
    model = make_model(layer, Pool("sum"), classes=1, size=1)
    steps = np.array([[-1.0], [2.0], [2.0], [-np.inf]])
    trace = run_batch(model, [[steps]])
    [found] = gradient(trace, Chosen(np.array([0])))
    assert found[:, 0].tolist() == [0.0, 3.0, 1.0, 0.0]  # in windows 0 to 2, and 3


def test_steps_stay_relevant_as_wholes_behind_layers_that_change_them() -> None:
    """What an LSTM's biases give by themselves is relevant at those steps."""
    rng = np.random.default_rng(5)
    cell = LstmCell(rng.normal(size=(4, 2, 1)), rng.normal(size=(4, 2, 2)), rng.normal(size=(4, 2)))
    one_each = Each((Node(Lstm((cell,)), (-1,)),), 0, 2)
    steps_each = Each((Node(Lstm((cell,), returns="sequence"), (-1,)),), 0, 2)
    convolution = Convolution(rng.normal(size=(1, 1, 2)), None, Window(2, 2))
    second = Lstm((LstmCell(rng.normal(size=(4, 1, 2)), np.ones((4, 1, 1)), np.ones((4, 1))),))
    inner = ((one_each, second), (steps_each, second))
    inputs = rng.normal(size=(4, 1))
    first = [Upsample(2), Pad(1, 2), Crop(1, 0), convolution, WindowPool("mean", Window(3, 2))]
    for layers in (*((layer, Lstm((cell,))) for layer in first), *inner):
        model = make_model(*layers, classes=layers[-1].output_size, size=1)
        trace = run_batch(model, [[inputs]])
        chosen = Chosen(np.array([0]))
        [found] = ContextualDecomposition().explain(trace, chosen, "steps").values
        expected = [
            plain_decomposition.decompose(model, (inputs,), [t]).relevant[0] for t in range(4)
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_vectors_made_steps_by_hand() -> None:
    nodes = (Node(Unflatten(2), (-1,)), Node(Transpose(2), (0,)), Node(Repeat(2), (-1,)))
    inputs = (Input(6, steps=False),)
    for output, expected in (
        (0, [[0, 1, 2], [3, 4, 5]]),
        (1, [[0, 3], [1, 4], [2, 5]]),
        (2, [[0, 1, 2, 3, 4, 5]] * 2),
    ):
        classes = len(expected[0])
        model = Model(nodes, (output,), (Head(classes),), np.dtype(float), inputs, True)
        trace = run_batch(model, [[np.arange(6.0), np.arange(6.0) + 10]])
        assert trace.steps is not None
        assert [rows.tolist() for rows in cut(trace.scores, trace.steps)] == [
            expected,
            (np.array(expected) + 10).tolist(),
        ]


def test_layers_that_need_a_number_of_steps_say_so() -> None:
    inner = Each((Node(Flatten(2), (-1,)),), 0, 3)
    for layer, problem in (
        (Each((), -1, 3), "sequence 1: 4 steps; the model takes 3 at a time .* 6"),
        (Transpose(6), "sequence 1: 4 steps; the model makes units of just 6"),
    ):
        model = make_model(layer, Pool("sum"), classes=1, size=1)
        with pytest.raises(WrongSteps, match=problem):
            run_batch(model, [[np.ones((6, 1)), np.ones((4, 1))]])
    model = make_model(inner, Pool("sum"), classes=2, size=1)
    with pytest.raises(WrongSteps, match=r"sequence 0: 3 steps; .* just 2 side by side") as caught:
        run_batch(model, [[np.ones((6, 1)), np.ones((3, 1))]])
    assert (caught.value.sequence, caught.value.expected) == (0, 2)


def test_omission_where_steps_are_taken_several_at_a_time() -> None:
    """A step less is one that the layer cannot do without; behind pooling it does not matter."""
    each = make_model(Each((Node(Pool("mean"), (-1,)),), 0, 2), Pool("sum"), classes=1, size=1)
    trace = run_batch(each, [[np.ones((4, 1))]])
    method, chosen = METHODS["omission"](Settings()), Chosen(np.array([0]))
    with pytest.raises(UnusableInput, match="leaves out a step, and the model takes 2 at a time"):
        method.explain(trace, chosen, "steps")
    repeated = make_model(Pool("mean"), Repeat(3), Flatten(3), classes=3, size=1)
    trace = run_batch(repeated, [[np.array([[1.0], [2.0], [6.0]])]])
    [found] = method.explain(trace, chosen, "steps").values
    np.testing.assert_allclose(found, [3.0 - 4.0, 3.0 - 3.5, 3.0 - 1.5])


def test_an_inner_graph_counts_where_memory_is_planned() -> None:
    dense = Dense(np.ones((50, 2)), None)
    by_itself = make_model(dense, Pool("sum"), classes=50)
    inside = make_model(Each((Node(dense, (-1,)),), 0, 2), Pool("sum"), classes=50, size=2)
    assert row_bytes(inside) == row_bytes(by_itself) > row_bytes(make_model(Pool("sum"), classes=1))


def test_steps_that_a_layer_adds_count_where_memory_is_planned() -> None:
    dense = Dense(np.ones((50, 2)), None)
    by_itself = row_bytes(make_model(dense, classes=50))
    for layers in (
        (Upsample(10), Upsample(10), dense),
        (Pool("mean"), Repeat(100), dense),
        (Flatten(100), Unflatten(100), dense),
    ):
        assert row_bytes(make_model(*layers, classes=50, size=2)) == 100 * by_itself


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_stay_finite_where_fits_are_large(dtype: str) -> None:
    model = Model(
        (Node(Attention("dot", 1, 1e4), (-1, -1, -1)), Node(Pool("sum"), (0,))),
        (1,),
        (Head(1),),
        np.dtype(dtype),
        (Input(1),),
    )
    trace = run_batch(model, [[np.array([[1.0], [2.0], [-3.0]])]])
    np.testing.assert_allclose(trace.scores, [[2.0 + 2.0 - 3.0]])


@pytest.mark.parametrize(("dtype", "most"), [("float64", 2e-16), ("float32", 1e-7)])
def test_the_error_function_is_that_of_the_standard_library(dtype: str, most: float) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            np.linspace(-7.0, 7.0, 100_001),
            rng.normal(size=50_000),
            *(sign * np.logspace(-300, 300, 6_001) for sign in (-1.0, 1.0)),
            (np.arange(-6144, 6144) + 0.5) / 1024,  # as far from the table's points as can be
            [0.0, np.inf, -np.inf],
        ]
    )
    with np.errstate(over="ignore", under="ignore"):
        x = x.astype(dtype)
    found = erf(x)
    assert found.dtype == dtype
    assert np.abs(found - [math.erf(each) for each in x.tolist()]).max() <= most
    assert np.isnan(erf(np.array([np.nan], dtype=dtype))).all()
