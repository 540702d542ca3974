"""Hypothesis strategies: models of every shape that layers can express, and batches for them."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, get_args

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Flatten, Layer, Merge, Pool, PoolName, Reverse, Scale, StepSoftmax
from lstm_lrp_cli.model.recurrent import ActivationName, DirectionMergeName, GateActivationName, Lstm, LstmCell
from lstm_lrp_cli.model.layers import MODEL_INPUT, Node
from lstm_lrp_cli.model.model import Head, Model

# The exponential of an exponential overflows, and says nothing about the engine.
ACTIVATIONS = [kind for kind in get_args(ActivationName) if kind != "exponential"]
UNIT_ACTIVATIONS = [kind for kind in ACTIVATIONS if kind != "softmax"]


class Case(NamedTuple):
    """A model, a ragged batch for it, one target a sequence, a rule, and which step.

    `steps` has a step for each sequence where the model gives scores at every step, else None.
    """

    model: Model
    sequences: list[NDArray[Any]]
    targets: list[int]
    rule: LrpRule
    steps: list[int] | None = None


def rules() -> st.SearchStrategy[LrpRule]:
    return st.builds(
        LrpRule,
        eps=st.floats(1e-3, 0.5),
        bias_factor=st.just(0.0) | st.just(1.0) | st.floats(0.0, 1.0),
        gates=st.sampled_from(get_args(GateRuleName)),
    )


@dataclass
class Drawing:
    """A graph that grows; what its nodes give, by node: how many units, step by step or once."""

    draw: st.DrawFn
    rng: np.random.Generator
    by_step: dict[int, int]
    by_sequence: dict[int, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def add(self, layer: Layer, sources: tuple[int, ...], size: int, *, by_step: bool) -> int:
        self.nodes.append(Node(layer, sources))
        place = len(self.nodes) - 1
        (self.by_step if by_step else self.by_sequence)[place] = size
        return place

    def pick(self, values: dict[int, int]) -> int:
        """The latest value most often, for models are deep rather than broad."""
        return self.draw(st.sampled_from([max(values), *values]))

    def step_layer(self, *, most_lstms: int) -> None:
        """A layer that gives something at every step."""
        source = self.pick(self.by_step)
        kinds = ["unit", "merge", "reverse", "attention"]
        kind = self.draw(st.sampled_from(kinds + ["lstm"] * 3 if most_lstms else kinds))
        match kind:
            case "lstm":
                lstm = self.draw(lstms(self.rng, self.by_step[source], "sequence"))
                self.add(lstm, (source,), lstm.output_size, by_step=True)
            case "reverse":
                self.add(Reverse(), (source,), self.by_step[source], by_step=True)
            case "attention":
                units = self.draw(st.sampled_from([1, self.by_step[source]]))
                dense = Dense(_weights(self.rng, units, self.by_step[source]), None)
                scores = self.add(dense, (source,), units, by_step=True)
                gate = self.add(StepSoftmax(), (scores,), units, by_step=True)
                self.add(Merge("gate"), (gate, source), self.by_step[source], by_step=True)
            case _:
                self.any_layer(self.by_step, kind, by_step=True)

    def any_layer(self, values: dict[int, int], kind: str, *, by_step: bool) -> None:
        """A layer that works on steps and on sequences alike."""
        source = self.pick(values)
        size = values[source]
        if kind == "merge":
            count = self.draw(st.integers(2, 3))
            others = [self.draw(st.sampled_from(list(values))) for _ in range(count - 1)]
            sources = (source, *others)
            alike = len({values[place] for place in sources}) == 1
            joins = ["concat", "sum", "mean", "product"] if alike else ["concat"]
            join = self.draw(st.sampled_from(joins))
            units = sum(values[place] for place in sources) if join == "concat" else size
            self.add(Merge(join), sources, units, by_step=by_step)
            return
        match self.draw(st.sampled_from(["dense", "dense", "activation", "scale"])):
            case "dense":
                outputs = self.draw(st.integers(1, 4))
                self.add(
                    Dense(_weights(self.rng, outputs, size), self.bias(outputs)),
                    (source,),
                    outputs,
                    by_step=by_step,
                )
            case "activation":
                kind = self.draw(st.sampled_from(ACTIVATIONS))
                self.add(Activation(kind), (source,), size, by_step=by_step)
            case "scale":
                scale = Scale(self.rng.normal(size=size), self.rng.normal(scale=0.5, size=size))
                self.add(scale, (source,), size, by_step=by_step)

    def bias(self, size: int) -> Floats | None:
        return self.rng.normal(scale=0.5, size=size) if self.draw(st.booleans()) else None

    def sequence_layer(self, steps: int | None) -> None:
        """A layer that makes one vector of all steps."""
        source = self.pick(self.by_step)
        size = self.by_step[source]
        kinds = ["lstm", "pool", "pool"] + ["flatten"] * bool(steps)
        match self.draw(st.sampled_from(kinds)):
            case "lstm":
                lstm = self.draw(lstms(self.rng, size, "last"))
                self.add(lstm, (source,), lstm.output_size, by_step=False)
            case "pool":
                pool = Pool(self.draw(st.sampled_from(get_args(PoolName))))
                self.add(pool, (source,), size, by_step=False)
            case "flatten":
                assert steps is not None
                self.add(Flatten(steps), (source,), steps * size, by_step=False)


@st.composite
def cases(draw: st.DrawFn, most_lstms: int = 3) -> Case:
    """Draw a whole problem. Weights and numbers come from a generator with a drawn seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has_embedding = draw(st.booleans())
    features = draw(st.integers(1, 4))
    tokens = draw(st.integers(1, 8))
    embedding = Embedding(rng.normal(size=(tokens, features))) if has_embedding else None

    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    steps = max(lengths) if draw(st.booleans()) else None
    if steps:
        lengths = [steps] * len(lengths)

    drawing = Drawing(draw, rng, {MODEL_INPUT: features})
    for _ in range(draw(st.integers(0, 3))):
        read = sum(isinstance(node.layer, Lstm) for node in drawing.nodes)
        drawing.step_layer(most_lstms=most_lstms - read)
    # Scores of a step need a step: sequences without one are another matter.
    scores_by_step = draw(st.integers(0, 3)) == 0 and min(lengths) > 0 and bool(drawing.nodes)
    if not scores_by_step:
        for _ in range(draw(st.integers(1, 2))):
            drawing.sequence_layer(steps)
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["unit", "unit", "merge"]))
            drawing.any_layer(drawing.by_sequence, kind, by_step=False)
    candidates = dict(drawing.by_step if scores_by_step else drawing.by_sequence)
    candidates.pop(MODEL_INPUT, None)
    last = max(candidates)
    outputs = (last, *draw(st.lists(st.sampled_from(list(candidates)), max_size=1)))
    heads = tuple(Head(candidates[output]) for output in outputs)
    model = Model(
        tuple(drawing.nodes), outputs, heads, np.dtype(np.float64), embedding, scores_by_step
    )
    sequences: list[NDArray[Any]] = [
        rng.integers(tokens, size=length) if has_embedding else rng.normal(size=(length, features))
        for length in lengths
    ]
    targets = [draw(st.integers(0, model.classes - 1)) for _ in lengths]
    at = [draw(st.integers(0, length - 1)) for length in lengths] if scores_by_step else None
    return Case(model, sequences, targets, draw(rules()), at)


@st.composite
def describable(draw: st.DrawFn) -> Case:
    """Random models that a mapping can describe.

    They have an LSTM, nothing that no score depends on, and weights that tell how many features
    their input has.
    """
    case = draw(cases())
    model = case.model
    nodes, outputs = list(model.nodes), list(dict.fromkeys(model.outputs))
    if model.embedding is None:  # all places move up by one, and the input's to the first
        size = case.sequences[0].shape[1]
        first = Node(Dense(np.eye(size) + 0.1, None), (MODEL_INPUT,))
        nodes = [first, *(replace(n, sources=tuple(s + 1 for s in n.sources)) for n in nodes)]
        outputs = [place + 1 for place in outputs]
    needed = set(outputs)
    for place in reversed(range(len(nodes))):
        if place in needed:
            needed.update(nodes[place].sources)
    places = {
        place: number
        for number, place in enumerate(sorted(needed | {MODEL_INPUT}), start=MODEL_INPUT)
    }
    kept = tuple(
        replace(nodes[place], sources=tuple(places[source] for source in nodes[place].sources))
        for place in places
        if place != MODEL_INPUT
    )
    assume(any(isinstance(node.layer, Lstm) for node in kept))
    heads = model.heads[: len(outputs)]
    scores = sum(head.size for head in heads)
    return case._replace(
        model=replace(
            model, nodes=kept, outputs=tuple(places[place] for place in outputs), heads=heads
        ),
        targets=[target % scores for target in case.targets],
    )


@st.composite
def stateful(draw: st.DrawFn) -> Case:
    """Random models of which some LSTMs are stateful, or all."""
    case = draw(cases())
    lstms = [place for place, node in enumerate(case.model.nodes) if isinstance(node.layer, Lstm)]
    assume(lstms)
    some = draw(st.sets(st.sampled_from(lstms), min_size=1))
    nodes = [
        replace(node, layer=replace(node.layer, stateful=True)) if place in some else node
        for place, node in enumerate(case.model.nodes)
    ]
    batch = draw(st.integers(1, 3))
    return case._replace(model=replace(case.model, nodes=tuple(nodes), stateful=batch))


@st.composite
def lstms(draw: st.DrawFn, rng: np.random.Generator, inputs: int, returns: Any) -> Lstm:
    hidden = draw(st.integers(1, 6))
    projected = draw(st.sampled_from([False, False, True]))
    outputs = draw(st.integers(1, 6)) if projected else hidden
    has_state = draw(st.sampled_from([False, False, True]))
    cells = tuple(
        LstmCell(
            input=_weights(rng, 4, hidden, inputs),
            recurrent=_weights(rng, 4, hidden, outputs),
            bias=rng.normal(scale=0.5, size=(4, hidden)) * draw(st.sampled_from([0.0, 1.0])),
            backward=backward,
            projection=_weights(rng, outputs, hidden) if projected else None,
            initial_hidden=rng.normal(size=outputs) if has_state else None,
            initial_cell=rng.normal(size=hidden) if has_state else None,
        )
        for backward in draw(st.sampled_from([(False,), (True,), (False, True)]))
    )
    return Lstm(
        cells,
        merge=draw(st.sampled_from(get_args(DirectionMergeName))),
        returns=returns,
        gate_activation=draw(st.sampled_from(get_args(GateActivationName))),
        activation=draw(st.sampled_from(["tanh", "tanh", *UNIT_ACTIVATIONS])),
    )


def _weights(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape) / np.sqrt(shape[-1])
