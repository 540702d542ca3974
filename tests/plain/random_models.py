"""Hypothesis strategies: models of every shape that layers can express, and batches for them."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, get_args

import numpy as np
from hypothesis import assume, given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from plain_forward import Given, by_input, embedded, run
from random_families import FAMILIES, bring_in, grow, of_vectors, to_steps, to_vector
from random_graphs import Drawing, Value, needed, pruned
from random_layers import ACTIVATIONS, UNIT_ACTIVATIONS, lstms

from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.model.layers import MODEL_INPUT, Dense, Each, Embedding, Flatten, Node, Transpose
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, SimpleRnn

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "UNIT_ACTIVATIONS",
    "Case",
    "any_number_of_steps",
    "cases",
    "describable",
    "draw_until",
    "lstms",
    "rules",
    "stateful",
]


class Case(NamedTuple):
    """A model, a ragged batch for it, one target a sequence, a rule, and which step.

    A sequence is an array, of a model with several inputs a tuple of them. `steps` has a step of
    the scores for each sequence where the model gives scores at every step, else None.
    """

    model: Model
    sequences: list[Any]
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


class Lengths(NamedTuple):
    """How long the sequences of a batch are, and further lengths that the model is for."""

    of_batch: list[int]
    further: tuple[int, ...]


@st.composite
def cases(draw: st.DrawFn, most_lstms: int = 3, families: Collection[str] = ()) -> Case:
    """Draw a whole problem. Weights and numbers come from a generator with a drawn seed.

    Without families, models are of the first kinds of layer: LSTMs, pools, dense layers and the
    like. With some of FAMILIES, there are layers of these too, and the first is one of them.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    several = "inputs" in families
    inputs = draw(inputs_of(rng, draw(st.integers(1, 3)) if several else 1))
    lengths = draw(lengths_of("each" in families))
    shapes = [Value(inputs[0].size, (*lengths.of_batch, *lengths.further))]
    shapes += [draw(other_lengths(shapes[0], each)) for each in inputs[1:]]

    given = {MODEL_INPUT - k: shape for k, shape in enumerate(shapes)}
    drawing = Drawing(draw, rng, given, frozenset(families))
    if families:
        grow(drawing, most=3)
    else:
        for _ in range(draw(st.integers(0, 3))):
            drawing.step_layer(most_lstms=most_lstms - drawing.lstms_so_far())
    batch = len(lengths.of_batch)
    scores_by_step = draw(st.integers(0, 3)) == 0 and bool(scored_steps(drawing, batch))
    if not scores_by_step:
        scores_by_step = finish(drawing, batch)

    candidates = scored_steps(drawing, batch) if scores_by_step else drawing.by_sequence
    candidates = {place: value for place, value in candidates.items() if place >= 0}
    last = max(candidates)
    alike = [p for p, value in candidates.items() if value.lengths == candidates[last].lengths]
    outputs = (last, *draw(st.lists(st.sampled_from(alike), max_size=1)))
    heads = tuple(Head(candidates[output].units) for output in outputs)
    model = Model(
        tuple(drawing.nodes), outputs, heads, np.dtype(np.float64), inputs, scores_by_step
    )
    sequences = [
        tuple(numbers_for(rng, each, shape, k) for each, shape in zip(inputs, shapes, strict=True))
        for k in range(batch)
    ]
    sequences = [each if len(inputs) > 1 else each[0] for each in sequences]
    if families:
        for sequence in sequences:
            assume(stays_small(model, sequence))
    targets = [draw(st.integers(0, model.classes - 1)) for _ in range(batch)]
    steps = [draw(st.integers(0, n - 1)) for n in (candidates[last].lengths or ())[:batch]]
    return Case(model, sequences, targets, draw(rules()), steps if scores_by_step else None)


@st.composite
def inputs_of(draw: st.DrawFn, rng: np.random.Generator, count: int) -> tuple[Input, ...]:
    """Tokens, numbers, and but for the first perhaps one vector; some are alike."""
    inputs: list[Input] = []
    for number in range(count):
        name = None if count == 1 else f"input_{number + 1}"
        kind = draw(st.sampled_from(["tokens", "numbers", *["alike", "vector"] * bool(number)]))
        if kind == "alike":
            inputs.append(replace(inputs[0], name=name))
            continue
        features = draw(st.integers(1, 4))
        tokens = draw(st.integers(1, 8))
        embedding = Embedding(rng.normal(size=(tokens, features))) if kind == "tokens" else None
        inputs.append(Input(features, embedding, name, steps=kind != "vector"))
    return tuple(inputs)


@st.composite
def lengths_of(draw: st.DrawFn, in_groups: bool) -> Lengths:
    """Any, all the same, or multiples of something."""
    kinds = ["any", "same", *["multiples"] * (2 * in_groups)]
    kind = draw(st.sampled_from(kinds))
    if kind == "multiples":
        steps = draw(st.integers(2, 4))
        counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
        return Lengths([steps * count for count in counts], tuple(range(0, 4 * steps, steps)))
    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    if kind == "same" and max(lengths):
        return Lengths([max(lengths)] * len(lengths), ())
    return Lengths(lengths, tuple(range(10)))


@st.composite
def other_lengths(draw: st.DrawFn, first: Value, given: Input) -> Value:
    """Those of an input beside the first: never longer where the first is shorter."""
    assert first.lengths is not None
    if not given.steps:
        return Value(given.size)
    kind, some = draw(st.sampled_from(["same", "half", "more", "fixed"])), draw(st.integers(1, 4))
    count = {
        "same": lambda steps: steps,
        "half": lambda steps: steps // 2,
        "more": lambda steps: steps + 1,
        "fixed": lambda steps: some,
    }[kind]
    return Value(given.size, tuple(map(count, first.lengths)))


def numbers_for(rng: np.random.Generator, given: Input, shape: Value, k: int) -> Any:
    """What an input is given of sequence k."""
    if shape.lengths is None:
        return rng.normal(size=given.size)
    if given.embedding is None:
        return rng.normal(size=(shape.lengths[k], given.size))
    return rng.integers(len(given.embedding.weights), size=shape.lengths[k])


def scored_steps(drawing: Drawing, batch: int) -> dict[int, Value]:
    """The nodes whose steps may have scores: a score of a step needs one in every sequence."""
    return {
        place: value
        for place, value in drawing.by_step.items()
        if place >= 0 and min((value.lengths or ())[:batch]) > 0
    }


def finish(drawing: Drawing, batch: int) -> bool:
    """Layers that make vectors, and of these perhaps steps again; whether steps have the scores."""
    draw = drawing.draw
    for _ in range(draw(st.integers(1, 2))):
        to_vector(drawing)
    for _ in range(draw(st.integers(0, 3))):
        of_vectors(drawing)
    if drawing.families & {"shapes", "recurrent"} and draw(st.integers(0, 2)) == 0:
        to_steps(drawing)
        grow(drawing, most=2)
        if scored_steps(drawing, batch) and draw(st.booleans()):
            return True
        to_vector(drawing)
    if "inputs" in drawing.families:
        bring_in(drawing, [place for place in drawing.values if place < 0])
    return False


def stays_small(model: Model, sequence: Given) -> bool:
    """Whether no numbers grow on and on, as they may in cells with activations without a bound."""
    with np.errstate(over="ignore", invalid="ignore"):
        computed = run(model, embedded(model, sequence))
    return all(np.abs(values).max(initial=0.0) < 100 for values in computed.values())


def any_number_of_steps(model: Model) -> bool:
    """Whether a model is for sequences of any length, and of one input."""
    of_some = any(isinstance(layer, Flatten | Transpose | Each) for layer in model.layers)
    return len(model.inputs) == 1 and not of_some


@st.composite
def describable(draw: st.DrawFn, families: Collection[str] = ()) -> Case:
    """Random models that a mapping can describe.

    They have a recurrent layer, nothing that no score depends on, and weights that tell how many
    features their inputs have.
    """
    case = draw(cases(families=families))
    model = case.model
    of_numbers = [k for k, each in enumerate(model.inputs) if each.embedding is None]
    # All places move up, and those of such inputs to what is put behind them.
    first = {MODEL_INPUT - k: place for place, k in enumerate(of_numbers)}

    def moved(place: int) -> int:
        return place + len(first) if place >= 0 else first.get(place, place)

    nodes = [
        Node(Dense(np.eye(model.inputs[k].size) + 0.1, None), (MODEL_INPUT - k,))
        for k in of_numbers
    ]
    nodes += [Node(node.layer, tuple(map(moved, node.sources))) for node in model.nodes]
    outputs = tuple(dict.fromkeys(map(moved, model.outputs)))
    assume(MODEL_INPUT in needed(nodes, outputs))
    kept, outputs, places = pruned(nodes, outputs)
    assume(any(isinstance(node.layer, Lstm | Gru | SimpleRnn) for node in kept))
    inputs = [model.inputs[MODEL_INPUT - place] for place in places]
    if len(inputs) == 1:
        inputs = [replace(inputs[0], name=None)]
    inputs = [
        replace(each, parts=part_of_each(kept, MODEL_INPUT - k)) for k, each in enumerate(inputs)
    ]
    heads = model.heads[: len(outputs)]
    scores = sum(head.size for head in heads)
    return case._replace(
        model=replace(model, nodes=kept, outputs=outputs, heads=heads, inputs=tuple(inputs)),
        sequences=[only(sequence, places) for sequence in case.sequences],
        targets=[target % scores for target in case.targets],
    )


def part_of_each(nodes: Iterable[Node], place: int) -> int | None:
    """How many steps the first layer takes at a time that reads an input part by part."""
    readers = (node.layer for node in nodes if node.sources == (place,))
    return next((layer.steps for layer in readers if isinstance(layer, Each)), None)


def only(sequence: Given, places: list[int]) -> Given:
    """What a sequence has for some of the inputs."""
    kept = tuple(by_input(sequence)[MODEL_INPUT - place] for place in places)
    return kept if len(kept) > 1 else kept[0]


@st.composite
def stateful(draw: st.DrawFn, families: Collection[str] = ()) -> Case:
    """Random models of which some recurrent layers are stateful, or all.

    These read steps where there are any, and only then, and no node gives their states.
    """
    case = draw(cases(families=families))
    nodes = case.model.nodes
    layers = [node.layer for node in nodes]
    may = [
        place
        for place, node in enumerate(nodes)
        if isinstance(node.layer, Lstm | Gru | SimpleRnn)
        and len(node.sources) == 1
        and layers.count(node.layer) == 1
    ]
    assume(may)
    some = draw(st.sets(st.sampled_from(may), min_size=1))
    for sequence in case.sequences if families else ():
        computed = run(case.model, embedded(case.model, sequence))
        given = len(by_input(sequence)[0]) > 0
        assume(all((len(computed[nodes[place].sources[0]]) > 0) == given for place in some))
    changed = [
        replace(node, layer=replace(node.layer, stateful=True)) if place in some else node
        for place, node in enumerate(nodes)
    ]
    batch = draw(st.integers(1, 3))
    return case._replace(model=replace(case.model, nodes=tuple(changed), stateful=batch))


def draw_until(
    wanted: set[object],
    strategy: st.SearchStrategy[Case],
    look: Callable[[Case, set[object]], None],
    rounds: int,
) -> set[object]:
    """Draw until all that is wanted was seen, 50 at a time; give what was seen."""
    seen: set[object] = set()
    for number in range(rounds):

        @seed(number)
        @settings(max_examples=50, deadline=None, database=None)
        @given(strategy)
        def draw(case: Case) -> None:
            look(case, seen)

        draw()
        if seen >= wanted:
            break
    return seen
