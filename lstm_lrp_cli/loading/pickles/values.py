"""What the machine makes of a pickle: names, what would be made by them, and plain values."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct


class Foreign(Struct, frozen=True, eq=False):
    """A function or class that the pickle names; it is never imported.

    Two are equal where they are one: as a key it costs no more than a number does.
    """

    module: str
    name: str

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"


class Made(Struct, eq=False):
    """What a function or class would make that is not known: its name, and what it is filled with.

    Parameters
    ----------
    kind : Foreign
        What would make it.
    attributes : dict
        What the pickle gives it.
    arguments : tuple
        What the function or class is called with.
    items : dict
        Where it is a dict, what is in it.
    values : list
        Where it is a list, what is in it.
    state : any
        What it is filled with, where that is no dict of attributes.
    """

    kind: Foreign
    attributes: dict[Any, Any] = {}
    arguments: tuple[Any, ...] = ()
    items: dict[Any, Any] = {}
    values: list[Any] = []
    state: Any = None

    def __repr__(self) -> str:  # and not what is in it, which may hold itself
        return str(self.kind)


class Unordered(list[Any]):
    """What is in a set, which is not hashed; its order means nothing."""


# What only executing the pickle would give.
INERT = (Foreign, Made)


class Redirect(Struct, frozen=True):
    """What a known function comes to where it does no more than call another."""

    function: Foreign
    arguments: tuple[Any, ...]


class Filled(ABC):
    """What a known function makes, and the pickle fills afterwards."""

    @abstractmethod
    def fill(self, state: Any) -> None:
        """Take what it is filled with.

        Raises
        ------
        ValueError, TypeError
            That is not what such a thing is made of.
        """


Functions = Mapping[tuple[str, str], Callable[..., Any]]

# What may be a key. A tuple is hashed by all that is in it: without end where tuples are shared.
_KEYS = (str, int, float, bytes, type(None), *INERT)
# Of larger whole numbers any many can have one hash, and a dict of those takes their square.
_LARGEST_KEY = 2**63


def with_items(target: dict[Any, Any], pairs: Iterable[Any]) -> dict[Any, Any]:
    for key, value in pairs:
        target[key if _is_key(key) else Foreign("a key", type(key).__name__)] = value
    return target


def _is_key(key: Any) -> bool:
    return isinstance(key, _KEYS) and not (isinstance(key, int) and abs(key) > _LARGEST_KEY)


def _dict(content: Any = ()) -> dict[Any, Any]:
    return dict(content) if isinstance(content, dict) else with_items({}, content)


def _set(values: Any = ()) -> Unordered:
    return Unordered(values)


def _new(kind: Any, *arguments: Any) -> Redirect:
    if not isinstance(kind, Foreign):
        raise ValueError("what is made is of no class")
    return Redirect(kind, arguments)


def _rebuilt(kind: Any, *_: Any) -> Redirect:
    """An object of a class as protocols 0 and 1 have it: its base, and what that is made of."""
    return _new(kind)


# By what Python itself makes plain values. A set is a list here.
PLAIN: Functions = {
    ("collections", "OrderedDict"): _dict,
    ("collections", "Counter"): _dict,
    ("collections", "defaultdict"): lambda *_: {},
    **{(module, "set"): _set for module in ("builtins", "__builtin__")},
    **{(module, "_reconstructor"): _rebuilt for module in ("copyreg", "copy_reg")},
    **{(module, "__newobj__"): _new for module in ("copyreg", "copy_reg")},
}
