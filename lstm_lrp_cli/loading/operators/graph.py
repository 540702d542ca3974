"""The graph of an ONNX file as a mapping: each operator is followed for what it does.

What a node takes is known, such as a constant or a shape, or it is a signal: a tensor whose every
axis has a meaning. Operators that move numbers about change that meaning; the others become layers.
What is not understood is refused by the node's operator and name.
"""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as MappingOf

import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.mapping import Described, Mapping, PaddingSpec
from .arrays import ARRAY_OPS, Dim, GraphNode, Known, Size, Zeros, are_zeros, without_dims
from .file import DAMAGED, GraphFile, GraphInput
from .kinds import OPS
from .kinds.moves import OF_ZEROS
from .kinds.recurrent import FUNCTIONS
from .layers import RAW_INPUT, Call, Layers, Operator, Value
from .patterns import rewritten
from .signal import BATCH, FEATURE, TIME, Signal, SignalPart

# What the axes of an input may mean, in the order in which that is tried.
ID_AXES = [(TIME,), (BATCH, TIME), (TIME, BATCH)]
NUMBER_AXES = [
    *((BATCH, TIME, FEATURE), (TIME, BATCH, FEATURE), (BATCH, FEATURE, TIME)),
    *((BATCH, TIME), (TIME, BATCH), (TIME, FEATURE), (TIME,)),
]


class Dialect(Struct, frozen=True):
    """The operators that a format has.

    Parameters
    ----------
    operators : dict
    recurrent : frozenset of str
        Those of them that are whole recurrent layers.
    apart : str
        What to do where a graph has none, since its layer was taken apart.
    fixes_steps : bool
        Whether a number of steps that is not free is the model's own. Else it is that of the
        example with which a model was exported, where the number of sequences is fixed too.
    known : sequence of str
        What the format itself calls its operators, where that is another dialect than ONNX.
    """

    operators: MappingOf[str, Operator]
    recurrent: frozenset[str]
    apart: str
    fixes_steps: bool = False
    known: Sequence[str] = ()


ONNX = Dialect(
    OPS,
    frozenset(FUNCTIONS),
    "from PyTorch export nn.LSTM by torch.onnx.export(..., dynamo=False), from Keras save .keras "
    "or .h5",
)


@np.errstate(all="ignore")  # numbers that are none are told of when a layer reads them
def describe(file: GraphFile, dialect: Dialect = ONNX, free: Collection[str] = ()) -> Described:
    """Read the graph as a mapping.

    Parameters
    ----------
    file : GraphFile
    dialect : Dialect
    free : collection of str
        Of BATCH and TIME those axes of the inputs that may have any size, whatever the file says.

    Raises
    ------
    UnusableInput
        There is a node, named, that lrp cannot follow.
    """
    nodes = live(rewritten(live(file.nodes, file.outputs), file.constants), file.outputs)
    if dialect.recurrent.isdisjoint(node.op for node in nodes):
        raise UnusableInput(
            str(file.path),
            f"its graph has no LSTM, GRU or RNN node: what exported it "
            f"({file.producer or 'unknown'}) took the layer apart; {dialect.apart}",
        )
    entry = _input(file, nodes)
    is_ids = entry.dtype.startswith(("int", "uint"))
    candidates = [
        axes for axes in (ID_AXES if is_ids else NUMBER_AXES) if len(axes) == len(entry.sizes)
    ]
    if not candidates:
        raise UnusableInput(
            f"{file.path}: input `{entry.name}`",
            f"has {len(entry.sizes)} axes of {entry.dtype}; expected ids of sequences and steps, "
            "or numbers of sequences, steps and features",
        )
    errors: list[UnusableInput] = []
    for axes in candidates:
        layers = Layers(file.outputs)
        try:
            mapping = _mapping(file, nodes, entry, axes, layers, dialect, free)
        except UnusableInput as error:
            if layers.recurrent:
                raise
            errors.append(error)  # none could be fed: the axes may mean something else
        else:
            described = Described.by(mapping, f"the graph in {file.path.name}")
            return replace(described, is_followed=True)
    raise errors[0]


def live(nodes: Sequence[GraphNode], outputs: Sequence[str]) -> list[GraphNode]:
    """The nodes that the outputs depend on."""
    needed = set(outputs)
    live = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]


def _input(file: GraphFile, nodes: list[GraphNode]) -> GraphInput:
    taken = {name for node in nodes for name in node.inputs}
    entries = [entry for entry in file.inputs if entry.name in taken]
    if len(entries) != 1:
        names = ", ".join(entry.name for entry in entries) or "none"
        raise UnusableInput(
            str(file.path),
            f"its graph takes {len(entries)} inputs ({names}); expected the sequences alone: "
            "export the model without lengths, masks and states",
        )
    return entries[0]


def _mapping(
    file: GraphFile,
    nodes: list[GraphNode],
    entry: GraphInput,
    axes: tuple[str, ...],
    layers: Layers,
    dialect: Dialect,
    free: Collection[str],
) -> Mapping:
    """The mapping, where the input's axes mean that."""
    given = dict(zip(axes, entry.sizes, strict=True))
    sizes: dict[str, Size] = {}
    for label in (BATCH, TIME):
        size = given.get(label)
        example = size if isinstance(size, int) else None
        if example is None or label in free:
            sizes[label] = Dim((label,), example=example)
        else:
            sizes[label] = example
    features = given.get(FEATURE) if FEATURE in axes else 1
    part = SignalPart(RAW_INPUT, features if isinstance(features, int) else None)
    values: dict[str, Value] = {name: Known(array, name) for name, array in file.constants.items()}
    values[entry.name] = Signal.of(part, axes, sizes)
    for node in nodes:
        if not all(name in values for name in node.outputs if name):
            values.update(
                zip(node.outputs, _followed(node, values, layers, file, dialect), strict=False)
            )
    ends = [_end(file, name, values.get(name), layers) for name in file.outputs]
    embedding = [LayerSpec(embedding=layers.embedding)] if layers.embedding else []
    steps = sizes[TIME]
    fixed = BATCH not in axes or isinstance(sizes[BATCH], int)
    padding = None
    if isinstance(steps, int) and steps > 1 and (dialect.fixes_steps or not fixed):
        padding = PaddingSpec(length=steps, value=0, masked=False)
    return Mapping(
        format=1,
        layers=[*embedding, *layers.leading_to(ends, file.outputs)],
        outputs=file.outputs if len(ends) > 1 else UNSET,
        padding=padding or UNSET,
    )


def _followed(
    node: GraphNode, values: dict[str, Value], layers: Layers, file: GraphFile, dialect: Dialect
) -> list[Value]:
    """What a node's outputs are."""
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
            made = [without_dims(array) for array in ARRAY_OPS[node.op](node, *arrays)]
            return [
                Known(array, name)
                for name, array in zip(node.outputs, file.keep(node, made), strict=False)
            ]
        if node.op in OF_ZEROS and are_zeros(given if node.op == "Concat" else given[:1]):
            return [Zeros()] * len(node.outputs)
        if node.op in dialect.operators:
            file.keep_parts(node)
            return dialect.operators[node.op](Call(node, given, layers, file))
    except DAMAGED as error:
        raise node.unusable(f"cannot be followed: {error or type(error).__name__}") from error
    known = ", ".join(dialect.known or sorted(dialect.operators))
    raise node.unusable(f"is not an operator that lrp can follow; it knows {known}")


def _are_known(node: GraphNode, given: Sequence[Value | None]) -> bool:
    """Whether an operator can be worked out; a tensor of a shape is, where it is a shape too."""
    known = [value.array for value in given if isinstance(value, Known)]
    if not known or not all(value is None or isinstance(value, Known) for value in given):
        return False
    return node.op != "ConstantOfShape" or (known[0].size == 1 and known[0].dtype != object)


def _end(file: GraphFile, name: str, value: Value | None, layers: Layers) -> str:
    """The layer that is an output of the graph."""
    if not isinstance(value, Signal) or not set(value.meaning) <= {BATCH, TIME, FEATURE}:
        raise UnusableInput(
            f"{file.path}: output `{name}`",
            "is no score of sequences or steps, or none that lrp can follow; export the model with "
            "its scores as the only outputs",
        )
    try:
        return layers.of(tuple(value.parts.reshape(-1)))
    except DAMAGED as error:
        raise UnusableInput(f"{file.path}: output `{name}`", str(error)) from error
