"""The NumPy engine: forward pass, rules, relevance. No I/O; NumPy alone, and `model`."""

from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any


@cache
def imported(package: str, module: str, name: str) -> Any:
    """What a module of a package has by a name, such as `Class.method`.

    A model needs few kinds of layers, and each module takes a millisecond or more to import.
    """
    return attrgetter(name)(import_module(f"{package}.{module}"))
