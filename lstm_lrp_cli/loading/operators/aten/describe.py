"""A program of torch.export as a mapping.

PyTorch fixes the number of steps in every graph with a recurrent layer, and, unless told otherwise,
the number of sequences. So what the inputs' sizes say is not taken for true, but for an example's.
"""

from msgspec.structs import replace

from lstm_lrp_cli.loading.files.formats import EXPORT
from lstm_lrp_cli.loading.mapping import Assumption, Described
from lstm_lrp_cli.loading.operators.graph import Dialect, describe_example, live
from lstm_lrp_cli.loading.operators.kinds import OPS
from . import REFUSED
from .exported import ExportedFile
from .layers import ATEN, STATES
from .table import TABLE

TORCH = Dialect(
    OPS | ATEN,
    frozenset(STATES),
    f"export it by the PyTorch of today, without .run_decompositions(): {EXPORT}",
    known=sorted(TABLE),
)


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
    described = describe_example(file, TORCH)
    if not file.left_out:
        return described
    told = Assumption(
        "outputs",
        f"the states that it gives beside its scores ({', '.join(file.left_out)}) are left out",
    )
    return replace(described, assumptions=(*described.assumptions, told))
