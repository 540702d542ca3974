"""Reading a pickle without executing it: data and tensors by name, all else by its name alone.

A pickle is a program for a small stack machine. This one knows the instructions that build plain
values, and of the functions that a pickle may ask to have called, those by which PyTorch rebuilds
tensors, which here only note what the tensor is made of. What any other class or function would
make is `Made`: its name, and the attributes that the pickle gives it. So a checkpoint's settings
may be of any class, a whole module shows what it is made of, and who needs a value where there is
none refuses it by its name.
"""

import struct
from collections.abc import Callable, Sized
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from .values import (
    ATTRIBUTE_OF,
    FUNCTIONS,
    INERT,
    PLAIN,
    STORAGE_MODULES,
    STORAGES,
    VARIABLE_FUNCTIONS,
    WITH_ATTRIBUTES,
    Foreign,
    Made,
    Storage,
    Tensor,
    with_items,
)

# The most parts that a persistent id has.
_LONGEST_ID = 6


class _Mark:
    """Where a group of values begins on the stack."""


def refused(where: str, what: str) -> UnusableInput:
    """The error where a pickle has, at a place that matters, what only executing it would give."""
    return UnusableInput(
        where,
        f"is a pickle that asks for {what}, which is not executed; expected tensors and plain "
        "values alone: save `model.state_dict()` with torch.save, or as .safetensors",
    )


def read_pickle(data: bytes, where: str) -> Any:
    """The value that a pickle of PyTorch's holds: a `Tensor` for every tensor, or `Made`.

    Raises
    ------
    UnusableInput
        It is damaged, or has an instruction that is not known; nothing has been executed.
    """
    return PickleReader(data, where).read()


class PickleReader:
    """Reads pickles that stand one behind the other.

    Parameters
    ----------
    data : bytes or mmap
    where : str
        What errors call it.

    Attributes
    ----------
    at : int
        Where the next begins.
    storages : dict of str to Foreign
        The class of every storage that was named, when it was named first.
    """

    def __init__(self, data: Any, where: str) -> None:
        self.data, self.where = data, where
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0
        self.storages: dict[str, Foreign] = {}

    def read(self) -> Any:
        """The value that the next pickle holds.

        Raises
        ------
        UnusableInput
            It is damaged, or has an instruction that is not known.
        """
        self.stack, self.memo = [], {}
        with damaged(
            self.where,
            lambda error: (
                f"is a damaged pickle ({type(error).__name__}: {error}); save the file again"
            ),
            *(struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError),
        ):
            return self._run()

    def _run(self) -> Any:
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
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError(f"{count} bytes are claimed, {len(self.data) - self.at} are left")
        value: bytes = self.data[self.at : self.at + count]
        self.at += count
        return value

    def take_line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise ValueError("a name has no end")
        value: str = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return value

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("a group has no beginning")

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

    def call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if isinstance(function, Made):  # such as a partial function
            function = function.kind
        if not isinstance(function, Foreign) or not isinstance(arguments, tuple):
            raise ValueError("what is called is no function")
        if (function.module, function.name) == WITH_ATTRIBUTES and _is_plain(arguments):
            function, _, arguments = arguments[:3]
        known = FUNCTIONS.get((function.module, function.name))
        if known is None:
            self.stack.append(_of_torch(function, arguments) or Made(function))
            return
        # What is called copies what it is given: a value named again and again would fill memory.
        self.copy(arguments, *arguments)
        self.stack.append(known(*arguments))

    def copy(self, *values: Any) -> None:
        """Count what is copied, which is no more than an honest file holds."""
        self.copied += sum(len(each) for each in values if isinstance(each, Sized))
        if self.copied > len(self.data):
            raise ValueError("it copies more values than it holds")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            with_items(target, zip(values[::2], values[1::2], strict=True))
        elif not isinstance(target, INERT):
            raise ValueError("items are set on something that is no dict")

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, INERT):
            raise ValueError("values are added to something that is no list")

    def memoize(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def build(self) -> None:
        """Set attributes; those of plain values, such as a state dict's _metadata, are dropped."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, dict | Tensor | Foreign | Made):
            raise ValueError("attributes are set on something that has none")
        if isinstance(state, tuple) and len(state) == 2:  # those in a dict, and those in slots
            state = next((part for part in state if isinstance(part, dict)), None)
        if isinstance(made, Made) and isinstance(state, dict):
            if made.attributes:
                self.copy(made.attributes, state)
                state = made.attributes | state
            made.attributes = state

    def put_tuple(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) < count or any(value is _Mark for value in values):
            raise ValueError("a tuple lacks values")
        del self.stack[len(self.stack) - count :]
        self.stack.append(values)


def _of_torch(function: Foreign, arguments: tuple[Any, ...]) -> Foreign | None:
    """A function of torch's own, which is pickled as an attribute by its name; None of all else."""
    if (function.module, function.name) not in ATTRIBUTE_OF or len(arguments) != 2:
        return None
    owner, name = arguments
    is_known = isinstance(owner, Foreign) and str(owner) == VARIABLE_FUNCTIONS
    return Foreign(VARIABLE_FUNCTIONS, name) if is_known and isinstance(name, str) else None


def _is_plain(arguments: tuple[Any, ...]) -> bool:
    """Whether a tensor with attributes of its own is of a class that is no more than its view."""
    if len(arguments) < 3:
        return False
    rebuilds, kind, given = arguments[:3]
    is_plain = isinstance(kind, Foreign) and (kind.module, kind.name) in PLAIN
    return is_plain and isinstance(rebuilds, Foreign) and isinstance(given, tuple)


_U1, _U2, _I4, _U4, _U8, _F8 = (struct.Struct(form) for form in ("B", "<H", "<i", "<I", "<Q", ">d"))
_STOP = ord(".")


def _text(machine: PickleReader, count: int) -> None:
    machine.stack.append(machine.take_bytes(count).decode("utf-8", "surrogatepass"))


def _stack_global(machine: PickleReader) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError("a name is no text")
    machine.stack.append(Foreign(module, name))


def _text_of_python_2(machine: PickleReader, count: int) -> None:
    """Text as Python 2 has it: bytes of whatever encoding."""
    data = machine.take_bytes(count)
    try:
        machine.stack.append(data.decode("utf-8"))
    except UnicodeDecodeError:
        machine.stack.append(data.decode("latin-1"))


def _long(machine: PickleReader) -> None:
    value = machine.take_bytes(machine.take(_U1))
    machine.stack.append(int.from_bytes(value, "little", signed=True))


def _longer(machine: PickleReader) -> None:
    """A number of more than 255 bytes, which is none of a model."""
    machine.take_bytes(machine.take(_I4))
    machine.stack.append(Foreign("builtins", "int"))


def _call_with_names(machine: PickleReader) -> None:
    machine.stack.pop()
    machine.call()


def _set_item(machine: PickleReader) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _append(machine: PickleReader) -> None:
    machine.extend([machine.stack.pop()])


# The instructions of pickle protocols 2 to 5 that build plain values (see Python's pickletools).
_STEPS: dict[int, Callable[[PickleReader], None]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.take_bytes(1),
        "\x95": lambda m: m.take_bytes(8),
        "(": lambda m: m.stack.append(_Mark),
        "0": lambda m: m.stack.pop(),
        "1": lambda m: m.since_mark(),
        "N": lambda m: m.stack.append(None),
        "\x88": lambda m: m.stack.append(True),
        "\x89": lambda m: m.stack.append(False),
        "J": lambda m: m.stack.append(m.take(_I4)),
        "K": lambda m: m.stack.append(m.take(_U1)),
        "M": lambda m: m.stack.append(m.take(_U2)),
        "G": lambda m: m.stack.append(m.take(_F8)),
        "\x8a": _long,
        "\x8b": _longer,
        "T": lambda m: _text_of_python_2(m, m.take(_I4)),
        "U": lambda m: _text_of_python_2(m, m.take(_U1)),
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
        "Q": lambda m: m.push_persistent(),
        "R": lambda m: m.call(),
        "\x81": lambda m: m.call(),
        "\x92": _call_with_names,
        "b": lambda m: m.build(),
    }.items()
}
