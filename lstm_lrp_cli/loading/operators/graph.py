"""The graph of an ONNX file as a mapping: each operator is followed for what it does.

What a node takes is known, such as a constant or a shape, or it is a signal: a tensor whose every
axis has a meaning. Operators that move numbers about change that meaning; the others become layers.
What is not understood is refused by the node's operator and name.
"""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as MappingOf

import numpy as np
from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import EmbeddingSpec
from lstm_lrp_cli.loading.mapping import Assumption, Described, Mapping, PaddingSpec
from .arrays import ARRAY_OPS, Array, Dim, GraphNode, Known, Lengths, Order, Zeros, are_zeros
from .file import DAMAGED, GraphFile
from .inputs import GivenInput, meanings
from .kinds import OPS
from .kinds.moves import OF_LENGTHS, OF_ZEROS
from .kinds.recurrent import FUNCTIONS
from .layers import Call, Layers, Operator, Value
from .parts import SignalPart
from .patterns import rewritten
from .signal import BATCH, FEATURE, STACK, TIME, OtherSize, Signal

# The kinds of layers that look at all steps.
OF_ALL_STEPS = frozenset(
    ("pool", "softmax", "attend", "convolution", "windows", "group_norm", "flatten", "reverse")
)
WEIGHTS = "weights of attention"
# Where sizes are those of an example, which of them may be others, in the order in which that is
# tried: the more an axis may be of any size, the more can be explained.
FREE = ((BATCH, TIME), (TIME,), (BATCH,), ())
# So many nodes are followed before no further meaning of the inputs is tried.
MOST_FOLLOWED = 500_000


class Dialect(Struct, frozen=True):
    """The operators that a format has.

    Parameters
    ----------
    operators : dict
    recurrent : frozenset of str
        Those of them that are whole recurrent layers.
    apart : str
        What to do where a graph has none, since its layer was taken apart.
    known : sequence of str
        What the format itself calls its operators, where that is another dialect than ONNX.
    """

    operators: MappingOf[str, Operator]
    recurrent: frozenset[str]
    apart: str
    known: Sequence[str] = ()


ONNX = Dialect(
    OPS,
    frozenset(FUNCTIONS),
    "from PyTorch export nn.LSTM by torch.onnx.export(..., dynamo=False), from Keras save .keras "
    "or .h5",
)


@np.errstate(all="ignore")  # numbers that are none are told of when a layer reads them
def describe(
    file: GraphFile, dialect: Dialect = ONNX, free: Collection[str] | None = None
) -> Described:
    """Read the graph as a mapping.

    Parameters
    ----------
    file : GraphFile
    dialect : Dialect
    free : collection of str or None
        Where the sizes of inputs are but those of an example, of BATCH and TIME those that may be
        others. None is where the file has what it means.

    Raises
    ------
    UnusableInput
        There is a node, named, that lrp cannot follow.
    """
    if free is None and all(isinstance(size, int) for each in file.inputs for size in each.sizes):
        return describe_example(file, dialect)
    nodes = live(rewritten(live(file.nodes, file.outputs), file.constants), file.outputs)
    if dialect.recurrent.isdisjoint(node.op for node in nodes):
        raise UnusableInput(
            str(file.path),
            f"its graph has no LSTM, GRU or RNN node: what exported it "
            f"({file.producer or 'unknown'}) took the layer apart, or the model has none; "
            f"{dialect.apart}",
        )
    errors: list[tuple[int, UnusableInput]] = []
    for meaning in meanings(file, nodes):
        if free is not None:
            meaning = tuple(replace(given, free=frozenset(free)) for given in meaning)
        reading = GraphReading(file, meaning, dialect)
        try:
            mapping = reading.settled(nodes)
        except UnusableInput as error:
            if reading.layers.recurrent and len(meaning) == 1:
                raise
            errors.append((reading.followed, error))  # the axes may mean something else
            if sum(followed for followed, _ in errors) > MOST_FOLLOWED:
                break
        else:
            described = Described.by(mapping, f"the graph in {file.path.name}", reading.told)
            return replace(described, is_followed=True)
    raise max(errors, key=lambda each: each[0])[1]


def describe_example(file: GraphFile, dialect: Dialect) -> Described:
    """Read a graph as a mapping, where all sizes of its inputs are those of an example.

    The graph is followed as one of any number of sequences and steps, and only where that has no
    meaning as one of those sizes.

    Raises
    ------
    UnusableInput
        There is a node, named, that lrp cannot follow.
    """
    problem: UnusableInput | None = None
    for free in FREE:
        try:
            described = describe(file, dialect, free)
        except UnusableInput as error:
            problem = error
            continue
        if TIME in free and _counts_steps(file, described):
            continue  # they may be those of the inputs, which the exporter wrote out
        return _with_cuts(described)
    assert problem is not None
    raise problem


def _counts_steps(file: GraphFile, described: Described) -> bool:
    """Whether a layer makes as many steps as an input has of some axis."""
    sizes = {size for entry in file.inputs for size in entry.sizes} - {None}
    return any(
        layer.repeat.steps in sizes for layer in described.mapping.layers or [] if layer.repeat
    )


def _with_cuts(described: Described) -> Described:
    """With the side on which sequences of more steps than the example are cut, which is told."""
    mapping, told = described.mapping, list(described.assumptions)
    padding, inputs = _cut(mapping.padding), mapping.inputs
    if inputs:
        inputs = [replace(each, padding=_cut(each.padding)) for each in inputs]
    for found in (padding, *(each.padding for each in inputs or [])):
        if found:
            told.append(
                Assumption(
                    "padding",
                    f"its graph depends on the {found.length} steps of its example: shorter "
                    "sequences are filled up with zeros, longer ones lose their beginning",
                )
            )
    mapping = replace(mapping, padding=padding, inputs=inputs)
    return replace(described, mapping=mapping, assumptions=tuple(told))


def _cut(padding: PaddingSpec | UnsetType | None) -> PaddingSpec | UnsetType | None:
    return replace(padding, truncate="pre") if padding else padding


def live(nodes: Sequence[GraphNode], outputs: Sequence[str]) -> list[GraphNode]:
    """The nodes that the outputs depend on."""
    needed = set(outputs)
    live = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]


class GraphReading(Struct):
    """A graph that is followed, where its inputs mean what they are taken to mean.

    Parameters
    ----------
    file : GraphFile
    inputs : tuple of GivenInput
    dialect : Dialect
    sizes : dict of str to int or None
        What the graph was found to say of numbers of steps that inputs leave open or fix.
    layers : Layers
    followed : int
        How many nodes could be followed.
    left_out : dict of str to list of str
        Outputs that are no scores, but beside them: by what they are, their names.
    """

    file: GraphFile
    inputs: tuple[GivenInput, ...]
    dialect: Dialect
    sizes: dict[str, int | None] = field(default_factory=dict)
    layers: Layers = field(default_factory=lambda: Layers([]))
    followed: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sequences(self) -> list[GivenInput]:
        return [given for given in self.inputs if not given.is_lengths]

    @property
    def told(self) -> list[Assumption]:
        """What is taken for granted, as where lengths are given and all steps are looked at."""
        kinds = {kind for spec in self.layers.specs.values() for kind in spec.kinds}
        told = [Assumption("layers", text) for text in dict.fromkeys(self.layers.assumed)]
        for kind, beside in self.left_out.items():
            text = f"the {kind} that it gives beside its scores ({', '.join(beside)}) are left out"
            told.append(Assumption("outputs", text))
        if not self.layers.lengths or kinds.isdisjoint(OF_ALL_STEPS):
            return told
        names = ", ".join(self.layers.lengths)
        text = (
            f"every sequence is run at its own length, which {names} says: steps behind it, which "
            "fill shorter sequences of a batch up, are in no mean, maximum or attention"
        )
        return [*told, Assumption("padding", text)]

    def settled(self, nodes: Sequence[GraphNode]) -> Mapping:
        """The mapping, with the numbers of steps that the graph itself tells."""
        for _ in range(2 * len(self.inputs) + 1):
            try:
                return self._mapping(nodes)
            except OtherSize as other:
                self._settle(other)
        raise UnusableInput(str(self.file.path), "takes several numbers of steps; expected one")

    def _settle(self, other: OtherSize) -> None:
        """Take another number of steps for that which an input says."""
        names = [given.steps for given in self.sequences if TIME in given.axes]
        if isinstance(other.size, str):  # of sequences that have lengths
            self.sizes |= dict.fromkeys(names)
        elif other.steps in names and other.steps not in self.sizes:
            self.sizes[other.steps] = other.size
        else:
            raise UnusableInput(
                str(self.file.path),
                f"its graph cuts a number of steps that is left open into {other.size:,}; expected "
                "an input of so many steps",
            )

    def _mapping(self, nodes: Sequence[GraphNode]) -> Mapping:
        file = self.file
        several = len(self.sequences) > 1 or TIME not in self.sequences[0].axes
        inputs = [given.name for given in self.sequences]
        self.layers = layers = Layers([*file.outputs, *inputs])
        values: dict[str, Value] = {
            name: Known(array, name) for name, array in file.constants.items()
        }
        values |= {given.entry.name: given.value(self.sizes) for given in self.inputs}
        for given in self.sequences:
            if given.features is not None:
                layers.features[given.name] = given.features
            steps = given.size(TIME, self.sizes) if TIME in given.axes else None
            if isinstance(steps, Dim):
                layers.counted.setdefault(steps, given.name)
        for place, node in enumerate(nodes):
            self.followed = max(self.followed, place)
            if not all(name in values for name in node.outputs if name):
                made = _followed(node, values, layers, self)
                values.update(zip(node.outputs, made, strict=False))
        outputs = self._scores(values)
        ends = [_end(file, name, values.get(name), layers) for name in outputs]
        embeddings = [
            LayerSpec(embedding=EmbeddingSpec(weights), source=name if several else None)
            for name, weights in layers.embeddings.items()
        ]
        padding = None if several else self.sequences[0].padding(self.sizes)
        return Mapping(
            format=1,
            inputs=[given.spec(self.sizes) for given in self.sequences] if several else UNSET,
            layers=[*embeddings, *layers.leading_to(ends, outputs)],
            outputs=outputs if len(ends) > 1 else UNSET,
            padding=padding or UNSET,
        )

    def _scores(self, values: MappingOf[str, Value]) -> list[str]:
        """The outputs but for states and weights of attention, where others are scores."""
        kinds = {name: _beside(values.get(name), self.layers) for name in self.file.outputs}
        scores = [name for name, kind in kinds.items() if not kind]
        self.left_out = {}
        if not scores:
            return self.file.outputs
        found = [values.get(name) for name in scores]
        by_step = any(isinstance(each, Signal) and TIME in each.meaning for each in found)
        kept = [name for name, kind in kinds.items() if not kind or (kind == WEIGHTS and by_step)]
        for name in self.file.outputs:
            if name not in kept:
                self.left_out.setdefault(kinds[name], []).append(name)
        return kept


def _beside(value: Value | None, layers: Layers) -> str:
    """What an output is, where it may stand beside scores: states, or weights of attention."""
    if not isinstance(value, Signal):
        return ""
    parts: list[SignalPart] = value.parts.reshape(-1).tolist()
    if all(part.layer in layers.products for part in parts):
        return WEIGHTS
    if len(value.axes) == 3 and value.axes[0] == STACK and all(part.is_final for part in parts):
        return "states"
    spec = layers.specs.get(parts[0].layer) if len(parts) == 1 else None
    is_weights = spec is not None and spec.softmax is not None and TIME in value.meaning
    return WEIGHTS if is_weights else ""


def _followed(
    node: GraphNode, values: dict[str, Value], layers: Layers, reading: GraphReading
) -> list[Value]:
    """What a node's outputs are."""
    file, operators = reading.file, reading.dialect.operators
    for name in node.inputs:
        if name and name not in values:
            raise node.unusable(
                f"takes `{name}`, which no node before it makes; expected nodes in the order in "
                "which they run"
            )
    given = [values[name] if name else None for name in node.inputs]
    try:
        if node.op in ARRAY_OPS and _are_known(node, given):
            arrays = [value.array if isinstance(value, Known) else None for value in given]
            made = [_without_dims(array) for array in ARRAY_OPS[node.op](node, *arrays)]
            return [
                Known(array, name)
                for name, array in zip(node.outputs, file.keep(node, made), strict=False)
            ]
        if node.op in OF_LENGTHS and given and isinstance(given[0], Lengths | Order):
            return [given[0]]
        if node.op in OF_ZEROS and are_zeros(given if node.op == "Concat" else given[:1]):
            return [Zeros()] * len(node.outputs)
        if node.op in operators:
            file.keep_parts(node)
            return operators[node.op](Call(node, given, layers, file))
    except DAMAGED as error:
        raise node.unusable(f"cannot be followed: {error or type(error).__name__}") from error
    known = ", ".join(reading.dialect.known or sorted(operators))
    raise node.unusable(f"is not an operator that lrp can follow; it knows {known}")


def _without_dims(array: Array) -> Array:
    """An array of sizes as integers, where the input tells none of them."""
    if array.dtype == object and all(isinstance(size, int) for size in array.reshape(-1)):
        return array.astype(np.int64)
    return array


def _are_known(node: GraphNode, given: Sequence[Value | None]) -> bool:
    """Whether an operator can be worked out; a tensor of a shape is, where it is a shape too."""
    known = [value.array for value in given if isinstance(value, Known)]
    if not known or not all(value is None or isinstance(value, Known) for value in given):
        return False
    return node.op != "ConstantOfShape" or (known[0].size == 1 and known[0].dtype != object)


def _are_scores(signal: Signal) -> bool:
    """Whether an output is scores of sequences or steps; those of several axes stand in a row."""
    units = [label for label in signal.meaning if label in (STACK, FEATURE)]
    ends_in_them = not units or signal.meaning[-len(units) :] == tuple(units)
    rows = f"{BATCH}+{TIME}"  # those of one sequence follow one another
    if len(units) > 1 and (not ends_in_them or units[-1] != FEATURE):
        return False
    return set(signal.meaning) - {*units} <= {BATCH, TIME, rows}


def _end(file: GraphFile, name: str, value: Value | None, layers: Layers) -> str:
    """The layer that is an output of the graph."""
    if not isinstance(value, Signal) or not _are_scores(value):
        raise UnusableInput(
            f"{file.path}: output `{name}`",
            "is no score of sequences or steps, or none that lrp can follow; export the model with "
            "its scores as the only outputs",
        )
    try:
        return layers.of(tuple(value.parts.reshape(-1)))
    except DAMAGED as error:
        raise UnusableInput(f"{file.path}: output `{name}`", str(error)) from error
