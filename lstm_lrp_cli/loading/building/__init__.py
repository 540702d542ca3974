"""From a mapping and a weight file to the nodes of a model."""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import (
    INPUT_NAME,
    AttentionSpec,
    BatchNormSpec,
    DenseSpec,
    LayerSpec,
    Task,
)
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Merge,
    Node,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Lstm
from .datasets import Datasets, build_dense, build_vector
from .lstm import build_lstm

# Every sequence of a model with such a layer is as long, so it is bounded before memory is taken.
MOST_STEPS = 1_000_000


def build_graph(
    specs: list[LayerSpec],
    outputs: list[str] | None,
    task: Task,
    datasets: Datasets,
    *,
    stateful: bool = False,
) -> tuple[Model, tuple[Layer, ...]]:
    """Build the layers that a mapping lists, and connect them.

    Parameters
    ----------
    specs : list of LayerSpec
    outputs : list of str or None
        The names of the layers that give the scores; None is the last one.
    task : {"classification", "regression", "unknown"}
    stateful : bool
        Whether LSTMs carry their states on, but for those that say otherwise.

    Returns
    -------
    Model
        Of layers alone: what its inputs and outputs mean is not said.
    tuple of Layer
        What each entry of `specs` became, the first of several.

    Raises
    ------
    UnusableInput
        A dataset is missing, of the wrong shape or not finite, or a layer cannot follow another.
    """
    builder = _Builder(datasets, stateful)
    for index, spec in enumerate(specs):
        builder.add(spec, f"layers[{index}].{spec.kind}", first=index == 0)
    return builder.finish(outputs, task), tuple(builder.built)


class _Value(Struct, frozen=True):
    """What a node gives: how many units, where known, at every step or once a sequence."""

    size: int | None
    by_step: bool


class _Builder(Struct):
    """A graph that grows layer by layer."""

    datasets: Datasets
    stateful: bool
    embedding: Embedding | None = None
    nodes: list[Node] = field(default_factory=list)
    values: dict[int, _Value] = field(default_factory=lambda: {MODEL_INPUT: _Value(None, True)})
    names: dict[str, int] = field(default_factory=lambda: {INPUT_NAME: MODEL_INPUT})
    keys: dict[int, str] = field(default_factory=dict)
    built: list[Layer] = field(default_factory=list)
    current: int = MODEL_INPUT

    def add(self, spec: LayerSpec, key: str, *, first: bool) -> None:
        """Add what one entry of `layers` says."""
        if spec.embedding is not None:
            if not first or spec.source not in (None, INPUT_NAME):
                raise self._misplaced(key, "an embedding comes first; nothing can feed it")
            weights = self.datasets.read(spec.embedding.weights, f"{key}.weights", 2)
            self.embedding = Embedding(weights)
            self.built.append(self.embedding)
            self.values[MODEL_INPUT] = _Value(weights.shape[1], True)
        else:
            place = len(self.nodes)
            self._add_layer(spec, self._sources(spec, key), key)
            self.built.append(self.nodes[place].layer)
            self.keys[self.current] = key
        if spec.name is not None:
            if spec.name in self.names:
                raise self._misplaced(
                    key, f"the name `{spec.name}` is taken; expected another for each layer"
                )
            self.names[spec.name] = self.current

    def finish(self, outputs: list[str] | None, task: Task) -> Model:
        """Connect the scores, leaving out a softmax or sigmoid at the very end."""
        wrong = self.datasets.mapping_error
        lstms = [node.layer for node in self.nodes if isinstance(node.layer, Lstm)]
        if not lstms:
            raise wrong("layers: there is no lstm among them")
        if self.stateful and not any(lstm.stateful for lstm in lstms):
            raise wrong(
                "stateful: every lstm says `stateful: false`; expected null, or one that is"
            )
        if outputs is not None and len(set(outputs)) < len(outputs):
            raise wrong(f"outputs: [{', '.join(outputs)}] names a layer twice")
        places = [self.current] if outputs is None else [self._output(name) for name in outputs]
        self._check_use(places)
        if len({self.values[place].by_step for place in places}) > 1:
            raise wrong("outputs: some give a score at every step, others one a sequence; choose")
        heads: list[Head] = []
        kept: list[int] = []
        for name, place in zip([None] if outputs is None else outputs, places, strict=True):
            size = self.values[place].size
            if size is None:
                raise wrong(f"outputs: `{name}` gives the input's own features; no weights made it")
            score, activation = self._before_output_activation(place)
            kept.append(score)
            if task == "regression":
                heads += [Head(1, activation, name)] * size
            else:
                heads.append(Head(size, activation, name))
        nodes, scores = _without_unused(self.nodes, kept)
        return Model(
            nodes,
            scores,
            tuple(heads),
            self.datasets.dtype,
            (Input(_input_size(self.embedding, nodes), self.embedding),),
            by_step=self.values[kept[0]].by_step,
        )

    def _add_layer(self, spec: LayerSpec, sources: tuple[int, ...], key: str) -> None:  # noqa: C901 - a case each
        source = self.values[sources[0]]
        if spec.lstm is not None:
            self._need_steps(sources, key)
            lstm = build_lstm(spec.lstm, self.datasets, key, source.size, stateful=self.stateful)
            self._append(lstm, sources, _Value(lstm.output_size, lstm.returns == "sequence"))
        elif spec.pool is not None:
            self._need_steps(sources, key)
            self._append(Pool(spec.pool), sources, _Value(source.size, False))
        elif spec.flatten is not None:
            self._need_steps(sources, key)
            self._flatten(spec.flatten.steps, sources, key)
        elif spec.reverse is not None:
            self._need_steps(sources, key)
            self._append(Reverse(), sources, source)
        elif spec.softmax is not None:
            self._need_steps(sources, key)
            self._append(StepSoftmax(), sources, source)
        elif spec.dense is not None:
            self._dense(spec.dense, sources, key)
        elif spec.activation is not None:
            self._append(Activation(spec.activation), sources, source)
        elif spec.batch_norm is not None:
            scale = _scale(spec.batch_norm, self.datasets, key, source.size)
            self._append(scale, sources, _Value(len(scale.factors), source.by_step))
        elif spec.merge is not None:
            self._merge(Merge(spec.merge), sources, key)
        elif spec.attention is not None:
            self._need_steps(sources, key)
            self._attention(spec.attention, sources, key)

    def _append(self, layer: Layer, sources: tuple[int, ...], value: _Value) -> None:
        self.nodes.append(Node(layer, sources))
        self.current = len(self.nodes) - 1
        self.values[self.current] = value

    def _dense(self, spec: DenseSpec, sources: tuple[int, ...], key: str) -> None:
        source = self.values[sources[0]]
        dense = build_dense(spec, self.datasets, key, source.size)
        value = _Value(dense.weights.shape[0], source.by_step)
        self._append(dense, sources, value)
        if spec.activation != "linear":
            self._append(Activation(spec.activation), (self.current,), value)

    def _flatten(self, steps: int, sources: tuple[int, ...], key: str) -> None:
        size = self.values[sources[0]].size
        if not 1 <= steps <= MOST_STEPS:
            raise self._misplaced(key, f"steps: found {steps}; expected 1 to {MOST_STEPS:,}")
        self._append(Flatten(steps), sources, _Value(None if size is None else steps * size, False))

    def _merge(self, layer: Merge, sources: tuple[int, ...], key: str) -> None:
        values = [self.values[source] for source in sources]
        if len(sources) < 2:
            raise self._misplaced(key, "joins layers; name two or more of them in `from: [.., ..]`")
        if len({value.by_step for value in values}) > 1:
            raise self._misplaced(key, "joins a value of every step and one of the whole sequence")
        sizes = [value.size for value in values]
        given = " and ".join(map(str, sizes))
        if layer.kind == "concat":
            known = [size for size in sizes if size is not None]
            size = sum(known) if len(known) == len(sizes) else None
        elif layer.kind == "gate":
            if len(sources) != 2 or sizes[0] not in (1, sizes[1]):
                raise self._misplaced(
                    key, f"has sources of {given} units; expected a gate, of 1 or as many, and a "
                    "signal"
                )  # fmt: skip
            size = sizes[1]
        else:
            if len(set(sizes)) > 1:
                raise self._misplaced(key, f"has sources of {given} units; expected as many each")
            size = sizes[0]
        self._append(layer, sources, _Value(size, values[0].by_step))

    def _attention(self, spec: AttentionSpec, sources: tuple[int, ...], key: str) -> None:
        """Bahdanau's additive attention without a query: scores, softmax, a gate, a sum."""
        feeding = sources
        if spec.hidden is not None:
            self._dense(spec.hidden, sources, f"{key}.hidden")
            feeding = (self.current,)
        size = self.values[feeding[0]].size
        vector = build_vector(spec.weights, spec.bias, self.datasets, key, size)
        self._append(vector, feeding, _Value(1, True))
        self._append(StepSoftmax(), (self.current,), _Value(1, True))
        value = self.values[sources[0]]
        self._append(Merge("gate"), (self.current, *sources), value)
        self._append(Pool("sum"), (self.current,), _Value(value.size, False))

    def _sources(self, spec: LayerSpec, key: str) -> tuple[int, ...]:
        if spec.source is None:
            return (self.current,)
        names = [spec.source] if isinstance(spec.source, str) else spec.source
        for name in names:
            if name not in self.names:
                raise self._misplaced(
                    key,
                    f"`from` names `{name}`; no layer above it has that name "
                    f"({', '.join(self.names)})",
                )
        if not names or (len(names) > 1 and spec.merge is None):
            raise self._misplaced(key, f"`from` names {len(names)} layers; expected one")
        return tuple(self.names[name] for name in names)

    def _need_steps(self, sources: tuple[int, ...], key: str) -> None:
        if not self.values[sources[0]].by_step:
            raise self._misplaced(
                key, "the layer before gives no sequence; set its `returns: sequence`"
            )

    def _output(self, name: str) -> int:
        if name not in self.names or self.names[name] == MODEL_INPUT:
            raise self.datasets.mapping_error(f"outputs: there is no layer named `{name}`")
        return self.names[name]

    def _check_use(self, outputs: list[int]) -> None:
        """Refuse a layer that no score depends on: a name in `from` or `outputs` is missing."""
        used = {*outputs, *itertools.chain.from_iterable(node.sources for node in self.nodes)}
        for place, key in self.keys.items():
            if place not in used:
                raise self._misplaced(key, "feeds no other layer, and is no output")

    def _before_output_activation(
        self, place: int
    ) -> tuple[int, Literal["linear", "sigmoid", "softmax"]]:
        """The node of the score: what stands before a last softmax or sigmoid."""
        node = self.nodes[place]
        users = [other for other in self.nodes if place in other.sources]
        if (
            isinstance(node.layer, Activation)
            and node.layer.kind in ("softmax", "sigmoid")
            and node.sources[0] != MODEL_INPUT
            and not users
        ):
            return node.sources[0], node.layer.kind
        return place, "linear"

    def _misplaced(self, key: str, problem: str) -> UnusableInput:
        return self.datasets.mapping_error(f"{key}: {problem}")


def _input_size(embedding: Embedding | None, nodes: Sequence[Node]) -> int:
    """Features of one step of the input."""
    if embedding is not None:
        return int(embedding.weights.shape[1])
    for node in nodes:
        match node.layer:
            case Dense():
                return int(node.layer.weights.shape[1])
            case Lstm():
                return node.layer.cells[0].input_size
            case Scale():
                return len(node.layer.factors)
    raise ValueError("a model without weights has no input size")


def _without_unused(
    nodes: list[Node], outputs: list[int]
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes that the outputs depend on, renumbered."""
    needed = set(outputs)
    for place in range(len(nodes) - 1, -1, -1):
        if place in needed:
            needed.update(nodes[place].sources)
    places = {MODEL_INPUT: MODEL_INPUT}
    for place in sorted(needed - {MODEL_INPUT}):
        places[place] = len(places) - 1
    kept = [
        Node(nodes[place].layer, tuple(places[source] for source in nodes[place].sources))
        for place in places
        if place != MODEL_INPUT
    ]
    return tuple(kept), tuple(places[output] for output in outputs)


def _scale(spec: BatchNormSpec, datasets: Datasets, key: str, inputs: int | None) -> Scale:
    """Batch normalization at inference (Ioffe and Szegedy 2015): a factor and an offset a unit."""
    names = {role: getattr(spec, role) for role in ("mean", "variance", "scale", "offset")}
    names = {role: name for role, name in names.items() if name is not None}
    if not names:
        raise datasets.mapping_error(f"{key}: names no dataset; expected one or more of its four")
    vectors = {role: datasets.read(name, f"{key}.{role}", 1) for role, name in names.items()}
    first, *_ = vectors
    size, source = len(vectors[first]), f"as in `{first}`"
    if inputs is not None:
        size, source = inputs, "which the layer before gives"
    for role, vector in vectors.items():
        if len(vector) not in (1, size):
            raise datasets.array_error(
                [names[role]], f"({key}.{role}) has {len(vector)} values; expected {size}, {source}"
            )
        vectors[role] = np.broadcast_to(vector, size)
    dtype = datasets.dtype
    factors, offsets = np.ones(size, dtype=dtype), np.zeros(size, dtype=dtype)
    if "variance" in vectors:
        variance = vectors["variance"] + spec.epsilon
        if not (variance > 0).all():
            problem = f"({key}.variance) is not positive; is it the variance?"
            raise datasets.array_error([names["variance"]], problem)
        factors = 1.0 / np.sqrt(variance)
    if "scale" in vectors:
        factors = factors * vectors["scale"]
    if "mean" in vectors:
        offsets = -vectors["mean"] * factors
    if "offset" in vectors:
        offsets = offsets + vectors["offset"]
    return Scale(factors.astype(dtype), offsets.astype(dtype))
