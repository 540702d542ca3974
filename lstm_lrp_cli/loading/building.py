"""From the layers that a mapping lists to a graph of them, whatever file their weights are in."""

import itertools
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.layers import MODEL_INPUT, Activation, Each, Embedding, Layer, Node
from lstm_lrp_cli.model.model import Head, Input, Model, OutputActivation
from lstm_lrp_cli.model.recurrent import Recurrent
from .layers import EachSpec, LayerSpec, add
from .layers.datasets import Datasets
from .layers.site import Graph, Shape, Site, Units
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
    given = list(inputs) or [InputSpec()]
    names = {each.name or INPUT_NAME: MODEL_INPUT - k for k, each in enumerate(given)}
    if len(names) < len(given):
        raise datasets.mapping_error("inputs: two of them have one name; expected one of its own")
    shapes = {MODEL_INPUT - k: _given(MODEL_INPUT - k, each) for k, each in enumerate(given)}
    builder = _Builder(Graph(datasets, stateful, shapes), names)
    builder.add_all(specs)
    return builder.finish(outputs, task, given), tuple(builder.built)


def _given(place: int, spec: InputSpec) -> Shape:
    return Shape(Units(0, {place: 1}), by_step=spec.steps is not False)


class _Entry(Struct, frozen=True):
    """An entry of `layers`, what fed it, and the nodes that it became, from the first on."""

    spec: LayerSpec
    sources: tuple[int, ...]
    first: int
    stop: int


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
            self._build(spec, site)
            self.current = len(self.graph.nodes) - 1
            self.built.append(self.graph.nodes[first].layer)
            self.keys[self.current] = key
            if spec.name is not None:
                self.entries[spec.name] = _Entry(spec, site.sources, first, len(self.graph.nodes))
        if spec.name is not None:
            if spec.name in self.names:
                raise self._misplaced(
                    key, f"the name `{spec.name}` is taken; expected another for each layer"
                )
            self.names[spec.name] = self.current

    def _build(self, spec: LayerSpec, site: Site) -> None:
        """Add the nodes of an entry."""
        if spec.same is not None:
            self._add_again(spec.same, site)
        elif spec.each is not None:
            self._each(spec.each, site)
        else:
            add(spec, site)

    def _embed(self, spec: LayerSpec, key: str) -> None:
        """Look up what an input gives; whatever the input feeds is given what is found."""
        assert spec.embedding is not None
        [place, *others] = self._sources(spec, key)
        used = any(place in node.sources for node in self.graph.nodes)
        if place > MODEL_INPUT or others or used or place in self.embeddings or "." in self.prefix:
            raise self._misplaced(key, "an embedding comes first; nothing can feed it")
        if not self.graph.shapes[place].by_step:
            raise self._misplaced(key, "its input is one vector a sequence; expected steps")
        datasets = self.graph.datasets
        weights = datasets.read(spec.embedding.weights, f"{key}.weights", 2)
        self.embeddings[place] = Embedding(weights)
        self.built.append(self.embeddings[place])
        self.graph.shapes[place] = Shape(Units(weights.shape[1]))
        self.current = place

    def _add_again(self, name: str, site: Site) -> None:
        """Add a layer once more, with other sources, which are checked as those of the first."""
        if self.names.get(name) in self.embeddings:
            raise site.wrong(
                f"`{name}` is an embedding; expected `embedding` with the same `weights`"
            )
        if name not in self.entries:
            raise site.wrong(f"there is no layer named `{name}` above it")
        entry = self.entries[name]
        first = Site(self.graph, site.key, entry.sources)
        if len(site.sources) != len(first.sources):
            raise site.wrong(f"has {len(site.sources)} sources; `{name}` has {len(first.sources)}")
        for place, (one, other) in enumerate(zip(site.sizes, first.sizes, strict=True)):
            if None not in (one, other) and one != other:
                raise site.wrong(f"is given {one} units; expected {other}, as `{name}` is given")
            one_, other_ = site.shapes[place].units, first.shapes[place].units
            self.graph.features.tell(one_, other_, site.wrong)
        begin = len(self.graph.nodes)
        self._build(entry.spec, site)
        # Its settings made the same once more; it is the same.
        for node, layer in zip(
            range(begin, len(self.graph.nodes)),
            [node.layer for node in self.graph.nodes[entry.first : entry.stop]],
            strict=True,
        ):
            self.graph.nodes[node] = replace(self.graph.nodes[node], layer=layer)

    def _each(self, spec: EachSpec, site: Site) -> None:
        """Add a graph for every so many steps."""
        site.need_one()
        site.need_steps()
        steps, outer = site.bounded("steps", spec.steps), site.shape.steps
        if outer is not None and outer % steps:
            raise site.wrong(f"steps: found {steps}; the layer before gives {outer}")
        shapes = {MODEL_INPUT: Shape(site.shape.units, steps=steps)}
        graph = Graph(site.datasets, False, shapes, self.graph.features)
        inner = _Builder(graph, {INPUT_NAME: MODEL_INPUT}, f"{site.key}.layers")
        inner.add_all(spec.layers)
        if not graph.nodes:
            raise site.wrong("has no layers; expected one or more")
        inner.check_use([inner.current])
        made = graph.shapes[inner.current]
        of_each = (made.steps or 1) if made.by_step else 1
        of_all = None if outer is None else outer // steps * of_each
        grown = site.shape.grown * -(-of_each // steps)
        if made.by_step and made.steps is None:
            of_all = None
        layer = Each(tuple(graph.nodes), inner.current, steps)
        site.put(layer, made.at_steps(of_all, grown))

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
        shapes = [graph.shapes[place] for place in places]
        if len({shape.by_step for shape in shapes}) > 1:
            raise wrong("outputs: some give a score at every step, others one a sequence; choose")
        steps = {shape.steps for shape in shapes} - {None}
        if len(steps) > 1:
            raise wrong(f"outputs: give scores at {' and '.join(map(str, steps))} steps; choose")
        given = self._inputs(inputs)
        graph.features.check()
        nodes, heads, scores = graph.nodes, list[Head](), list[int]()
        for name, place in zip([None] if outputs is None else outputs, places, strict=True):
            size = graph.size(place)
            assert size is not None  # as those of the inputs are
            nodes, score, activation = _before_output_activation(nodes, place)
            scores.append(score)
            if task == "regression":
                heads += [Head(1, activation, name)] * size
            else:
                heads.append(Head(size, activation, name))
        kept, ends = _without_unused(nodes, scores)
        by_step = shapes[0].by_step
        return Model(kept, ends, tuple(heads), graph.datasets.dtype, given, by_step=by_step)

    def _inputs(self, specs: Sequence[InputSpec]) -> tuple[Input, ...]:
        """The inputs with the features that they must have."""
        made = []
        for k, spec in enumerate(specs):
            size = self.graph.size(MODEL_INPUT - k)
            if size is None:
                raise self.graph.datasets.mapping_error(
                    f"layers: nothing tells how many features `{spec.name or INPUT_NAME}` has; "
                    "expected a layer with weights that takes it as it is"
                )
            embedding = self.embeddings.get(MODEL_INPUT - k)
            parts = _parts(self.graph.nodes, MODEL_INPUT - k)
            made.append(Input(size, embedding, spec.name, spec.steps is not False, parts=parts))
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

    def _misplaced(self, key: str, problem: str) -> UnusableInput:
        return self.graph.datasets.mapping_error(f"{key}: {problem}")


def _parts(nodes: Sequence[Node], place: int) -> int | None:
    """How many steps each part of an input has, where a layer reads it part by part."""
    for node in nodes:
        if place in node.sources and isinstance(node.layer, Each):
            return node.layer.steps
    return None


def _recurrent(nodes: Sequence[Node]) -> Sequence[Recurrent]:
    """The recurrent layers of a graph, those of the graphs in it too."""
    found: list[Recurrent] = []
    for node in nodes:
        if isinstance(node.layer, Recurrent):
            found.append(node.layer)
        elif isinstance(node.layer, Each):
            found += _recurrent(node.layer.nodes)
    return found


def _before_output_activation(
    nodes: list[Node], place: int
) -> tuple[list[Node], int, OutputActivation]:
    """The node of the score: what stands before a last softmax or sigmoid.

    One at the end of a graph for every so many steps is left out of that.
    """
    node = nodes[place]
    if any(place in other.sources for other in nodes):
        return nodes, place, "linear"
    if isinstance(node.layer, Activation) and node.sources[0] > MODEL_INPUT:
        if node.layer.kind == "softmax" or node.layer.kind == "sigmoid":
            return nodes, node.sources[0], node.layer.kind
    elif isinstance(node.layer, Each):
        each = node.layer
        inner, output, activation = _before_output_activation(list(each.nodes), each.output)
        kept, [output] = _without_unused(inner, [output])
        shorter = replace(node, layer=replace(each, nodes=kept, output=output))
        return [*nodes[:place], shorter, *nodes[place + 1 :]], place, activation
    return nodes, place, "linear"


def _without_unused(
    nodes: list[Node], outputs: list[int]
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes that the outputs depend on, renumbered."""
    needed = set(outputs)
    for place in range(len(nodes) - 1, -1, -1):
        if place in needed:
            needed.update(nodes[place].sources)
    places: dict[int, int] = {place: place for place in needed if place <= MODEL_INPUT}
    inputs = len(places)
    for place in sorted(needed - places.keys()):
        places[place] = len(places) - inputs
    kept = [
        Node(nodes[place].layer, tuple(places[source] for source in nodes[place].sources))
        for place in places
        if place > MODEL_INPUT
    ]
    return tuple(kept), tuple(places[output] for output in outputs)
