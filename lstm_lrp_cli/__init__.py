"""Explain trained LSTM models with Layer-wise Relevance Propagation (LRP).

>>> import lstm_lrp_cli as lrp
>>> model = lrp.load("model.h5")
>>> [e] = lrp.explain(model, "a fine and moving film")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        Explainer,
        Explanation,
        Model,
        UnusableInput,
        explain,
        load,
        predict,
        read,
        sequences,
        write,
    )

__version__ = "0.2.0"

__all__ = [
    "Explainer",
    "Explanation",
    "Model",
    "UnusableInput",
    "explain",
    "load",
    "predict",
    "read",
    "sequences",
    "write",
]


def __getattr__(name: str) -> Any:
    """The names above, imported when they are used (PEP 562): `lrp --help` needs no NumPy."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
