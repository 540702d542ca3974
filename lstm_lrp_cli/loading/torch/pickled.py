"""Reading a pickle without executing it: data and tensors by name, all else by its name alone.

A pickle is a program for a small stack machine. This one knows the instructions that build plain
values, and of the functions that a pickle may ask to have called, those by which PyTorch rebuilds
tensors, which here only note what the tensor is made of. What any other class or function would
make is `Foreign`: a name, without what the pickle says of it. So a checkpoint's settings may be of
any class, and who needs a value there refuses it by its name.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged

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


class Storage(Struct, frozen=True):
    """The numbers that tensors are views of: `key` names them in the file."""

    key: str
    dtype: str
    size: int


class Tensor(Struct, frozen=True):
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Foreign(Struct, frozen=True, eq=False):
    """A function or class that the pickle names, or what it would make; it is never imported.

    Two are equal where they are one: as a key it costs no more than a number does.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Mark:
    """Where a group of values begins on the stack."""


# What may be a key. A tuple is hashed by all that is in it: without end where tuples are shared.
_KEYS = (str, int, float, bytes, type(None), Foreign)


def _with_items(target: dict[Any, Any], pairs: Iterable[Any]) -> dict[Any, Any]:
    for key, value in pairs:
        target[key if isinstance(key, _KEYS) else Foreign("a key", type(key).__name__)] = value
    return target


def _dict(content: Any = ()) -> dict[Any, Any]:
    return dict(content) if isinstance(content, dict) else _with_items({}, content)


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> Tensor | Foreign:
    if isinstance(storage, Foreign):  # of numbers that NumPy does not have
        return storage
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError("a tensor is not made of a storage and whole numbers")
    if len(shape) != len(strides):
        raise ValueError("a tensor's shape and strides differ in length")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
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
}


def refused(where: str, what: str) -> UnusableInput:
    """The error where a pickle has, at a place that matters, what only executing it would give."""
    return UnusableInput(
        where,
        f"is a pickle that asks for {what}, which is not executed; expected tensors and plain "
        "values alone: save `model.state_dict()` with torch.save, or as .safetensors",
    )


def read_pickle(data: bytes, where: str) -> Any:
    """The value that a pickle of PyTorch's holds: a `Tensor` for every tensor, or `Foreign`.

    Raises
    ------
    UnusableInput
        It is damaged, or has an instruction that is not known; nothing has been executed.
    """
    with damaged(
        where,
        lambda error: f"is a damaged pickle ({type(error).__name__}: {error}); save the file again",
        *(struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError),
    ):
        return _Machine(data, where).run()


class _Machine:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self) -> Any:
        data = self.data
        while True:
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise refused(self.where, f"the instruction {bytes([code])!r}")
            step(self)

    def take(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self.data, self.at)
        self.at += form.size
        return value

    def take_bytes(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError(f"{count} bytes are claimed, {len(self.data) - self.at} are left")
        value = self.data[self.at : self.at + count]
        self.at += count
        return value

    def take_line(self) -> str:
        end = self.data.index(b"\n", self.at)
        value = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return value

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("a group has no beginning")

    def push_storage(self) -> None:
        """PyTorch's persistent ids: ("storage", class, key, device, size)."""
        kind, storage, key, _, size = self.stack.pop()
        if kind != "storage" or not isinstance(storage, Foreign) or not isinstance(key, str):
            raise ValueError("a persistent id is no storage")
        is_known = storage.module in ("torch", "torch.storage") and storage.name in STORAGES
        self.stack.append(Storage(key, STORAGES[storage.name], int(size)) if is_known else storage)

    def call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not isinstance(function, Foreign) or not isinstance(arguments, tuple):
            raise ValueError("what is called is no function")
        known = _FUNCTIONS.get((function.module, function.name))
        if known is None:
            self.stack.append(function)
            return
        # What is called copies what it is given: a value named again and again would fill memory.
        self.copied += sum(len(each) for each in arguments if isinstance(each, list | tuple | dict))
        if self.copied > len(self.data):
            raise ValueError("it copies more values than it holds")
        self.stack.append(known(*arguments))

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            _with_items(target, zip(values[::2], values[1::2], strict=True))
        elif not isinstance(target, Foreign):
            raise ValueError("items are set on something that is no dict")

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Foreign):
            raise ValueError("values are added to something that is no list")

    def memoize(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def build(self) -> None:
        """Attributes, such as a state dict's _metadata, are dropped."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict | Foreign):
            raise ValueError("attributes are set on something that has none")

    def put_tuple(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) < count or any(value is _Mark for value in values):
            raise ValueError("a tuple lacks values")
        del self.stack[len(self.stack) - count :]
        self.stack.append(values)


_U1, _U2, _I4, _U4, _U8, _F8 = (struct.Struct(form) for form in ("B", "<H", "<i", "<I", "<Q", ">d"))
_STOP = ord(".")


def _text(machine: _Machine, count: int) -> None:
    machine.stack.append(machine.take_bytes(count).decode("utf-8", "surrogatepass"))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(Foreign(str(module), str(name)))


def _long(machine: _Machine) -> None:
    value = machine.take_bytes(machine.take(_U1))
    machine.stack.append(int.from_bytes(value, "little", signed=True))


def _call_with_names(machine: _Machine) -> None:
    machine.stack.pop()
    machine.call()


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _append(machine: _Machine) -> None:
    machine.extend([machine.stack.pop()])


# The instructions of pickle protocols 2 to 5 that build plain values (see Python's pickletools).
_STEPS: dict[int, Callable[[_Machine], None]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.take_bytes(1),
        "\x95": lambda m: m.take_bytes(8),
        "(": lambda m: m.stack.append(_Mark),
        "0": lambda m: m.stack.pop(),
        "N": lambda m: m.stack.append(None),
        "\x88": lambda m: m.stack.append(True),
        "\x89": lambda m: m.stack.append(False),
        "J": lambda m: m.stack.append(m.take(_I4)),
        "K": lambda m: m.stack.append(m.take(_U1)),
        "M": lambda m: m.stack.append(m.take(_U2)),
        "G": lambda m: m.stack.append(m.take(_F8)),
        "\x8a": _long,
        "X": lambda m: _text(m, m.take(_U4)),
        "\x8c": lambda m: _text(m, m.take(_U1)),
        "\x8d": lambda m: _text(m, m.take(_U8)),
        "B": lambda m: m.stack.append(m.take_bytes(m.take(_U4))),
        "C": lambda m: m.stack.append(m.take_bytes(m.take(_U1))),
        "\x8e": lambda m: m.stack.append(m.take_bytes(m.take(_U8))),
        "\x96": lambda m: m.stack.append(m.take_bytes(m.take(_U8))),
        "}": lambda m: m.stack.append({}),
        "]": lambda m: m.stack.append([]),
        ")": lambda m: m.stack.append(()),
        "\x8f": lambda m: m.stack.append([]),
        "t": lambda m: m.stack.append(tuple(m.since_mark())),
        "\x85": lambda m: m.put_tuple(1),
        "\x86": lambda m: m.put_tuple(2),
        "\x87": lambda m: m.put_tuple(3),
        "l": lambda m: m.stack.append(m.since_mark()),
        "\x91": lambda m: m.stack.append(m.since_mark()),
        "a": _append,
        "e": lambda m: m.extend(m.since_mark()),
        "\x90": lambda m: m.extend(m.since_mark()),
        "s": _set_item,
        "u": lambda m: m.set_items(m.since_mark()),
        "q": lambda m: m.memoize(m.take(_U1)),
        "r": lambda m: m.memoize(m.take(_U4)),
        "\x94": lambda m: m.memoize(len(m.memo)),
        "h": lambda m: m.stack.append(m.memo[m.take(_U1)]),
        "j": lambda m: m.stack.append(m.memo[m.take(_U4)]),
        "c": lambda m: m.stack.append(Foreign(m.take_line(), m.take_line())),
        "\x93": _stack_global,
        "Q": lambda m: m.push_storage(),
        "R": lambda m: m.call(),
        "\x81": lambda m: m.call(),
        "\x92": _call_with_names,
        "b": lambda m: m.build(),
    }.items()
}
