"""The operators that are followed, in ONNX's vocabulary: the table of all, OPS.

A new operator is a function in a file here, and its line in the table there.
"""

from lstm_lrp_cli.loading.operators.layers import Operator
from .arithmetic import ARITHMETIC
from .moves import MOVES
from .norms import NORMS
from .recurrent import FUNCTIONS, follow_recurrent
from .units import UNITS
from .windows import WINDOWS

OPS: dict[str, Operator] = {
    **MOVES,
    **ARITHMETIC,
    **UNITS,
    **NORMS,
    **WINDOWS,
    **dict.fromkeys(FUNCTIONS, follow_recurrent),
}
