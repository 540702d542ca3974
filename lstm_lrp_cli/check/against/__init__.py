"""Frameworks that `lrp check --against` runs, each on a file of its own.

A module has `open_` and the framework's name, which takes what was loaded and gives a `Framework`.
It is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.load import LoadedModel
    from .framework import Framework


# Each framework's module.
FRAMEWORKS = {
    "keras": "keras",
    "onnxruntime": "onnxruntime",
    "tensorflow": "keras",
    "torch": "torch",
}


def open_framework(name: str, loaded: LoadedModel) -> Framework:
    """Have a framework load a model's file.

    Raises
    ------
    UnusableInput
        It does not load such files, is not installed, or cannot run the model.
    """
    module = importlib.import_module(f"{__name__}.{FRAMEWORKS[name]}")
    framework: Framework = getattr(module, f"open_{name}")(loaded)
    return framework
