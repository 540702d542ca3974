"""A program of torch.export as a mapping.

PyTorch fixes the number of steps in every graph with a recurrent layer, and, unless told otherwise,
the number of sequences. So what the inputs' sizes say is not taken for true: the graph is followed
as one of any number of sequences and steps, and only where that has no meaning as one of those
sizes.
"""

from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import Assumption, Described
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
    f"export it without .run_decompositions(), and nn.LSTM as it is: {LINE}",
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
    told = list(described.assumptions)
    mapping = described.mapping
    for padding in (mapping.padding, *(each.padding for each in mapping.inputs or [])):
        if not padding:
            continue
        told.append(
            Assumption(
                "padding",
                f"its graph was exported for sequences of {padding.length} steps and depends on "
                "that number: shorter ones are filled up with zeros, longer ones cut",
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
    return replace(described, assumptions=tuple(told))
