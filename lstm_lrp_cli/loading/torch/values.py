"""What a pickle of PyTorch's is made of, as `pickled` reads it: tensors, and names."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

# The element type of each storage class, as NumPy names it; NumPy has no bfloat16.
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
STORAGE_MODULES = ("torch", "torch.storage", "torch.cuda")


class Storage(Struct, frozen=True):
    """The numbers that tensors are views of: `key` names them in the file.

    Parameters
    ----------
    key : str
    dtype : str
    size : int
        How many elements there are.
    begin : int
        Where they begin, where they are a part of what the key names.
    """

    key: str
    dtype: str
    size: int
    begin: int = 0


class Tensor(Struct, frozen=True):
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Foreign(Struct, frozen=True, eq=False):
    """A function or class that the pickle names; it is never imported.

    Two are equal where they are one: as a key it costs no more than a number does.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Made(Struct, eq=False):
    """What a function or class would make that is not known: its name, and what it is filled with.

    Parameters
    ----------
    kind : Foreign
        What would make it.
    attributes : dict
        What the pickle gives it.
    """

    kind: Foreign
    attributes: dict[Any, Any] = {}

    def __str__(self) -> str:
        return str(self.kind)


# What only executing the pickle would give.
INERT = (Foreign, Made)

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


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    if isinstance(storage, INERT):  # of numbers that NumPy does not have
        return storage
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError("a tensor is not made of a storage and whole numbers")
    if len(shape) != len(strides):
        raise ValueError("a tensor's shape and strides differ in length")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _dict,
    ("collections", "Counter"): _dict,
    ("collections", "defaultdict"): lambda *_: {},
    ("builtins", "set"): lambda values=(): list(values),
    ("__builtin__", "set"): lambda values=(): list(values),
    ("torch", "Size"): lambda values=(): tuple(values),
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    # As PyTorch before 1.0 has them, and before 0.4.
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch.autograd.variable", "Variable"): _rebuild_parameter,
}
# What a function of torch's own is pickled as: the attribute of this class by its name.
VARIABLE_FUNCTIONS = "torch._C._VariableFunctionsClass"
ATTRIBUTE_OF = (("builtins", "getattr"), ("__builtin__", "getattr"))
# What calls one of those, for a tensor that has attributes of its own.
WITH_ATTRIBUTES = ("torch._tensor", "_rebuild_from_type_v2")
# The classes of such tensors that are views of numbers and no more.
PLAIN = frozenset(
    {("torch", "Tensor"), ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer")}
)
