"""Frameworks that `lrp check --against` runs, each in a module of its name.

A module has `open_framework(loaded)`, which gives a `Framework`. It is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.load import LoadedModel
    from .framework import Framework


FRAMEWORKS = ("keras", "onnxruntime", "tensorflow", "torch")


def open_framework(name: str, loaded: LoadedModel) -> Framework:
    """Have a framework load a model's file.

    Raises
    ------
    UnusableInput
        It is not installed, or cannot run the model.
    """
    module = importlib.import_module(f"{__name__}.{name}")
    framework: Framework = module.open_framework(loaded)
    return framework
