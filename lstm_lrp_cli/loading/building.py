"""From the layers that a mapping lists to a graph of them, whatever file their weights are in."""

import itertools
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.layers import MODEL_INPUT, Activation, Each, Embedding, Layer, Node
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Recurrent
from .layers import EachSpec, LayerSpec, add
from .layers.datasets import Datasets
from .layers.site import Graph, Site, Value
from .mapping import INPUT_NAME, InputSpec, Task


def build_graph(
    specs: list[LayerSpec],
    outputs: list[str] | None,
    task: Task,
    datasets: Datasets,
    *,
    inputs: Sequence[InputSpec] = (),
    stateful: bool = False,
) -> tuple[Model, tuple[Layer, ...]]:
    """Build the layers that a mapping lists, and connect them.

    Parameters
    ----------
    specs : list of LayerSpec
    outputs : list of str or None
        The names of the layers that give the scores; None is the last one.
    task : {"classification", "regression", "unknown"}
    inputs : sequence of InputSpec
        The model's inputs, where it has several.
    stateful : bool
        Whether recurrent layers carry their states on, but for those that say otherwise.

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
    names = {each.name or INPUT_NAME: MODEL_INPUT - k for k, each in enumerate(inputs)}
    values = {MODEL_INPUT - k: _given(MODEL_INPUT - k, each) for k, each in enumerate(inputs)}
    if len(names) < len(inputs):
        raise datasets.mapping_error("inputs: two of them have one name")
    graph = Graph(datasets, stateful, values or {MODEL_INPUT: Value(None, origin=MODEL_INPUT)})
    builder = _Builder(graph, names or {INPUT_NAME: MODEL_INPUT})
    builder.add_all(specs)
    return builder.finish(outputs, task, inputs), tuple(builder.built)


def _given(place: int, spec: InputSpec) -> Value:
    return Value(None, by_step=spec.steps is not False, origin=place)


class _Entry(Struct, frozen=True):
    """What an entry of `layers` became: its nodes, and what fed it."""

    first: int
    stop: int
    sources: tuple[int, ...]


class _Builder(Struct):
    """A graph that grows entry by entry."""

    graph: Graph
    names: dict[str, int]
    prefix: str = "layers"
    embeddings: dict[int, Embedding] = field(default_factory=dict)
    entries: dict[str, _Entry] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    built: list[Layer] = field(default_factory=list)
    current: int = MODEL_INPUT

    def add_all(self, specs: list[LayerSpec]) -> None:
        """Add what the entries say, in their order."""
        for index, spec in enumerate(specs):
            self._add(spec, f"{self.prefix}[{index}].{spec.kind}")

    def _add(self, spec: LayerSpec, key: str) -> None:
        if spec.embedding is not None:
            self._embed(spec, key)
        else:
            site = Site(self.graph, key, self._sources(spec, key))
            first = len(self.graph.nodes)
            if spec.same is not None:
                self._repeat(spec.same, site)
            elif spec.each is not None:
                self._each(spec.each, site)
            else:
                add(spec, site)
            self.current = len(self.graph.nodes) - 1
            self.built.append(self.graph.nodes[first].layer)
            self.keys[self.current] = key
            if spec.name is not None:
                self.entries[spec.name] = _Entry(first, len(self.graph.nodes), site.sources)
        if spec.name is not None:
            if spec.name in self.names:
                raise self._misplaced(
                    key, f"the name `{spec.name}` is taken; expected another for each layer"
                )
            self.names[spec.name] = self.current

    def _embed(self, spec: LayerSpec, key: str) -> None:
        """Look up what an input gives; whatever the input feeds is given what is found."""
        assert spec.embedding is not None
        [place, *others] = self._sources(spec, key)
        used = any(place in node.sources for node in self.graph.nodes)
        if place > MODEL_INPUT or others or used or place in self.embeddings or "." in self.prefix:
            raise self._misplaced(key, "an embedding comes first; nothing can feed it")
        if not self.graph.values[place].by_step:
            raise self._misplaced(key, "its input is one vector a sequence; expected token ids")
        datasets = self.graph.datasets
        weights = datasets.read(spec.embedding.weights, f"{key}.weights", 2)
        self.embeddings[place] = Embedding(weights)
        self.built.append(self.embeddings[place])
        self.graph.values[place] = Value(weights.shape[1])
        self.current = place

    def _repeat(self, name: str, site: Site) -> None:
        """Add a layer once more, with other sources."""
        if name not in self.entries:
            raise site.wrong(f"there is no layer named `{name}` above it")
        entry = self.entries[name]
        sizes = [self.graph.size(self.graph.values[source]) for source in entry.sources]
        if len(site.sources) != len(sizes) or any(
            one is not None and one != other for one, other in zip(site.sizes, sizes, strict=True)
        ):
            given = " and ".join(map(str, site.sizes))
            raise site.wrong(f"is given {given} units; `{name}` takes {sizes}")
        for place, size in zip(site.sources, sizes, strict=True):
            if size is not None:
                self.graph.tell(self.graph.values[place], size)
        if any(
            self.graph.values[one].by_step != self.graph.values[other].by_step
            for one, other in zip(site.sources, entry.sources, strict=True)
        ):
            raise site.wrong(f"is not given steps where `{name}` is, or is where it is not")
        moved = dict(zip(entry.sources, site.sources, strict=True))
        for place in range(entry.first, entry.stop):
            node = self.graph.nodes[place]
            moved[place] = len(self.graph.nodes)
            # How many steps it has may be another number.
            value = self.graph.values[place]
            self.graph.append(node.layer, tuple(moved[s] for s in node.sources), value)

    def _each(self, spec: EachSpec, site: Site) -> None:
        """Add a graph for every so many steps."""
        site.need_one()
        site.need_steps()
        steps = site.bounded("steps", spec.steps)
        outer = site.value.steps
        if outer is not None and outer % steps:
            raise site.wrong(f"steps: found {steps}; the layer before gives {outer}")
        inputs = Value(site.inputs, steps=steps, origin=MODEL_INPUT)
        graph = Graph(site.datasets, False, {MODEL_INPUT: inputs})
        inner = _Builder(graph, {INPUT_NAME: MODEL_INPUT}, f"{site.key}.layers")
        inner.add_all(spec.layers)
        if not graph.nodes:
            raise site.wrong("has no layers; expected one or more")
        inner.check_use([inner.current])
        if MODEL_INPUT in graph.sizes:
            site.tell(graph.sizes[MODEL_INPUT])
        value, groups = graph.values[inner.current], None if outer is None else outer // steps
        if value.by_step and groups is not None:
            groups = None if value.steps is None else groups * value.steps
        layer = Each(tuple(graph.nodes), inner.current, steps)
        made = site.value.at_steps(groups)
        site.put(layer, made.of_size(graph.size(value)) if value.size is not None else made)

    def finish(self, outputs: list[str] | None, task: Task, inputs: Sequence[InputSpec]) -> Model:
        """Connect the scores, leaving out a softmax or sigmoid at the very end."""
        graph, wrong = self.graph, self.graph.datasets.mapping_error
        recurrent = list(_recurrent(graph.nodes))
        if not recurrent:
            raise wrong("layers: there is no lstm among them, nor another recurrent layer")
        if graph.stateful and not any(layer.stateful for layer in recurrent):
            raise wrong(
                "stateful: every lstm says `stateful: false`; expected null, or one that is"
            )
        if outputs is not None and len(set(outputs)) < len(outputs):
            raise wrong(f"outputs: [{', '.join(outputs)}] names a layer twice")
        places = [self.current] if outputs is None else [self._output(name) for name in outputs]
        self.check_use(places)
        if len({graph.values[place].by_step for place in places}) > 1:
            raise wrong("outputs: some give a score at every step, others one a sequence; choose")
        heads: list[Head] = []
        kept: list[int] = []
        for name, place in zip([None] if outputs is None else outputs, places, strict=True):
            size = graph.size(graph.values[place])
            if size is None:
                raise wrong(f"outputs: `{name}` gives the input's own features; no weights made it")
            score, activation = self._before_output_activation(place)
            kept.append(score)
            if task == "regression":
                heads += [Head(1, activation, name)] * size
            else:
                heads.append(Head(size, activation, name))
        nodes, scores = _without_unused(graph.nodes, kept)
        return Model(
            nodes,
            scores,
            tuple(heads),
            graph.datasets.dtype,
            self._inputs(inputs),
            by_step=graph.values[kept[0]].by_step,
        )

    def _inputs(self, specs: Sequence[InputSpec]) -> tuple[Input, ...]:
        """The inputs with the features that they must have."""
        made = []
        for k, spec in enumerate(specs or [InputSpec()]):
            place = MODEL_INPUT - k
            size = self.graph.size(self.graph.values[place])
            if size is None:
                what = f"inputs: nothing tells how many features `{spec.name}` has"
                raise self.graph.datasets.mapping_error(
                    what if specs else "layers: nothing tells how many features the input has"
                )
            steps = spec.steps is not False
            made.append(Input(size, self.embeddings.get(place), spec.name, steps))
        return tuple(made)

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
        if not names:
            raise self._misplaced(key, "`from` names 0 layers; expected one")
        return tuple(self.names[name] for name in names)

    def _output(self, name: str) -> int:
        if name not in self.names or self.names[name] <= MODEL_INPUT:
            raise self.graph.datasets.mapping_error(f"outputs: there is no layer named `{name}`")
        return self.names[name]

    def check_use(self, outputs: list[int]) -> None:
        """Refuse a layer or an input that no score depends on: a name is missing."""
        nodes = self.graph.nodes
        used = {*outputs, *itertools.chain.from_iterable(node.sources for node in nodes)}
        for place, key in self.keys.items():
            if place not in used:
                raise self._misplaced(key, "feeds no other layer, and is no output")
        for name, place in self.names.items():
            if place <= MODEL_INPUT and place not in used and len(self.names) > 1:
                raise self.graph.datasets.mapping_error(f"inputs: no layer uses `{name}`")

    def _before_output_activation(
        self, place: int
    ) -> tuple[int, Literal["linear", "sigmoid", "softmax"]]:
        """The node of the score: what stands before a last softmax or sigmoid."""
        node = self.graph.nodes[place]
        users = [other for other in self.graph.nodes if place in other.sources]
        if (
            isinstance(node.layer, Activation)
            and node.layer.kind in ("softmax", "sigmoid")
            and node.sources[0] > MODEL_INPUT
            and not users
        ):
            return node.sources[0], node.layer.kind
        return place, "linear"

    def _misplaced(self, key: str, problem: str) -> UnusableInput:
        return self.graph.datasets.mapping_error(f"{key}: {problem}")


def _recurrent(nodes: Sequence[Node]) -> Sequence[Recurrent]:
    """The recurrent layers of a graph, those of the graphs in it too."""
    found: list[Recurrent] = []
    for node in nodes:
        if isinstance(node.layer, Recurrent):
            found.append(node.layer)
        elif isinstance(node.layer, Each):
            found += _recurrent(node.layer.nodes)
    return found


def _without_unused(
    nodes: list[Node], outputs: list[int]
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes that the outputs depend on, renumbered."""
    needed = set(outputs)
    for place in range(len(nodes) - 1, -1, -1):
        if place in needed:
            needed.update(nodes[place].sources)
    places: dict[int, int] = {}
    for place in sorted(needed):
        places[place] = place if place <= MODEL_INPUT else sum(p > MODEL_INPUT for p in places)
    kept = [
        Node(nodes[place].layer, tuple(places[source] for source in nodes[place].sources))
        for place in places
        if place > MODEL_INPUT
    ]
    return tuple(kept), tuple(places[output] for output in outputs)
