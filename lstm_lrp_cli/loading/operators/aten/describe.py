"""A program of torch.export as a mapping.

PyTorch fixes the number of steps in every graph with a recurrent layer, and, unless told otherwise,
the number of sequences. So what the inputs' sizes say is not taken for true: the graph is followed
as one of any number of sequences and steps, and only where that has no meaning as one of those
sizes.
"""

from msgspec import UnsetType
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import Assumption, Described, PaddingSpec
from lstm_lrp_cli.loading.operators.graph import Dialect, live
from lstm_lrp_cli.loading.operators.graph import describe as follow
from lstm_lrp_cli.loading.operators.kinds import OPS
from lstm_lrp_cli.loading.operators.signal import BATCH, TIME
from . import REFUSED
from .exported import ExportedFile
from .layers import ATEN, STATES
from .table import LINE, TABLE

TORCH = Dialect(
    OPS | ATEN,
    frozenset(STATES),
    f"export it by the PyTorch of today, without .run_decompositions(): {LINE}",
    known=sorted(TABLE),
)
# In this order: the more an axis may be of any size, the more can be explained.
FREE = ((BATCH, TIME), (TIME,), (BATCH,), ())


def describe(file: ExportedFile) -> Described:
    """Read the graph as a mapping.

    Raises
    ------
    UnusableInput
        There is a node, named, that lrp cannot follow.
    """
    for node in live(file.nodes, file.outputs):
        if node.op == REFUSED:
            raise node.unusable(node.attributes["problem"])
    problem: UnusableInput | None = None
    for free in FREE:
        try:
            described = follow(file, TORCH, free)
        except UnusableInput as error:
            problem = error
            continue
        if TIME in free and _counts_steps(file, described):
            continue  # they may be those of the inputs, which torch.export wrote out
        return _told(file, described)
    assert problem is not None
    raise problem


def _counts_steps(file: ExportedFile, described: Described) -> bool:
    """Whether a layer makes as many steps as an input has of some axis."""
    sizes = {size for entry in file.inputs for size in entry.sizes}
    return any(
        layer.repeat.steps in sizes for layer in described.mapping.layers or [] if layer.repeat
    )


def _told(file: ExportedFile, described: Described) -> Described:
    """With what is assumed of the inputs and outputs."""
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
    if file.left_out:
        told.append(
            Assumption(
                "outputs",
                f"the states that it gives beside its scores ({', '.join(file.left_out)}) are "
                "left out",
            )
        )
    mapping = replace(mapping, padding=padding, inputs=inputs)
    return replace(described, mapping=mapping, assumptions=tuple(told))


def _cut(padding: PaddingSpec | UnsetType | None) -> PaddingSpec | UnsetType | None:
    """A padding with the side on which longer sequences are cut."""
    return replace(padding, truncate="pre") if padding else padding
