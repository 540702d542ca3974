"""Explain trained LSTM models with Layer-wise Relevance Propagation (LRP).

>>> import lstm_lrp_cli as lrp
>>> model = lrp.load("model.h5")
>>> [e] = lrp.explain(model, "a fine and moving film")
"""

from typing import TYPE_CHECKING as _CHECKING

if _CHECKING:
    from lstm_lrp_cli.api import (
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


def __getattr__(name: str) -> object:
    """The names above, imported when they are used (PEP 562): `lrp --help` needs no NumPy."""
    if name in __all__:
        from lstm_lrp_cli import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])
