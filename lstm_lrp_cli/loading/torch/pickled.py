"""PyTorch's pickles: what they are made of beside plain values and names is tensors."""

from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.pickles.reader import PickleReader
from lstm_lrp_cli.loading.pickles.values import INERT, PLAIN, Foreign, Functions, Made, Redirect

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
# The most parts that a persistent id has.
_LONGEST_ID = 6


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


def _is_plain(kind: Any) -> bool:
    return isinstance(kind, Foreign) and (kind.module, kind.name) in PLAIN_TENSORS


def _rebuild_with_attributes(*given: Any) -> Any:
    """A tensor that has attributes of its own: what rebuilds it, its class, what that is given."""
    if len(given) >= 3:
        rebuilds, kind, arguments = given[:3]
        if _is_plain(kind) and isinstance(rebuilds, Foreign) and isinstance(arguments, tuple):
            return Redirect(rebuilds, arguments)
    return Made(Foreign("torch._tensor", "_rebuild_from_type_v2"))


def _attribute(*given: Any) -> Any:
    """A function of torch's own, which is pickled as an attribute by its name."""
    owner, name = given if len(given) == 2 else (None, None)
    if isinstance(owner, Foreign) and str(owner) == VARIABLE_FUNCTIONS and isinstance(name, str):
        return Foreign(VARIABLE_FUNCTIONS, name)
    return Made(Foreign("builtins", "getattr"))


# What a function of torch's own is pickled as: the attribute of this class by its name.
VARIABLE_FUNCTIONS = "torch._C._VariableFunctionsClass"
# The classes of tensors that are views of numbers and no more.
PLAIN_TENSORS = frozenset(
    {("torch", "Tensor"), ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer")}
)
# What makes a tensor, beside Python's plain values.
FUNCTIONS: Functions = {
    **PLAIN,
    ("torch", "Size"): lambda values=(): tuple(values),
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    # As PyTorch before 1.0 has them, and before 0.4.
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch.autograd.variable", "Variable"): _rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_with_attributes,
    ("builtins", "getattr"): _attribute,
    ("__builtin__", "getattr"): _attribute,
}


def refused(where: str, what: str) -> UnusableInput:
    """The error where a pickle has, at a place that matters, what only executing it would give."""
    return UnusableInput(
        where,
        f"is a pickle that asks for {what}, which is not executed; expected tensors and plain "
        "values alone: save `model.state_dict()` with torch.save, or as .safetensors",
    )


class TorchPickles(PickleReader):
    """Reads pickles of PyTorch's that stand one behind the other: a `Tensor` for every tensor.

    Attributes
    ----------
    storages : dict of str to Foreign
        The class of every storage that was named, when it was named first.
    """

    def __init__(self, data: Any, where: str) -> None:
        super().__init__(data, where, FUNCTIONS)
        self.storages: dict[str, Foreign] = {}

    def push_persistent(self) -> None:
        """PyTorch's persistent ids: a storage, or a class with its source, which is left out.

        They are ("storage", class, key, device, size) and, before 1.6, ("module", class, file,
        source) and a part of a storage: None, or (a key of its own, offset, size).
        """
        found = self.stack.pop()
        if not isinstance(found, tuple) or not 2 <= len(found) <= _LONGEST_ID:
            raise ValueError("a persistent id is no storage")
        kind, named, *others = found
        if kind == "module" and isinstance(named, Foreign):
            self.stack.append(named)
            return
        if kind != "storage" or not isinstance(named, Foreign) or not isinstance(others[0], str):
            raise ValueError("a persistent id is no storage")
        key, _, size, *part = others
        self.storages.setdefault(key, named)
        begin = 0
        if part and part[0] is not None:
            _, begin, size = part[0]
        if not all(type(number) is int and number >= 0 for number in (begin, size)):
            raise ValueError("a storage's size is no whole number")
        is_known = named.module in STORAGE_MODULES and named.name in STORAGES
        dtype = STORAGES.get(named.name, "")
        self.stack.append(Storage(key, dtype, size, begin) if is_known else named)
