"""Reading a pickle without executing it: data by name, all else by its name alone.

A pickle is a program for a small stack machine. This one knows the instructions that build plain
values, and of the functions that a pickle may ask to have called, those that its user knows, such
as the ones by which PyTorch rebuilds tensors, which here only note what the tensor is made of. What
any other class or function would make is `Made`: its name, and what the pickle gives it. So a
checkpoint's settings may be of any class, a whole module shows what it is made of, and who needs a
value where there is none refuses it by its name.
"""

import re
import struct
from collections.abc import Callable
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from .machine import ALLOWED_PARTS, Machine, Mark
from .unfolding import SHARING, check_unfolding
from .values import PLAIN, Foreign, Functions, Unordered

# So many instructions a compressed file may come to.
ALLOWED_STEPS = 2**20
STEPS_A_BYTE = 8

# No number of a model is spelled in more digits.
_LONGEST_NUMBER = 100
# How Python writes bytes in quotes.
_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_ESCAPES = {b"\\": b"\\", b"'": b"'", b'"': b'"', b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def read_pickle(data: bytes, where: str, functions: Functions = PLAIN) -> Any:
    """The value that a pickle holds.

    Parameters
    ----------
    functions : dict of (str, str) to callable
        What is known, by module and name. They are given what the pickle says, whatever it is, and
        make no more of it than a value; one that does not fit is a ValueError or a TypeError.

    Raises
    ------
    UnusableInput
        It is damaged, or has an instruction that is not known; nothing has been executed.
    """
    return PickleReader(data, where, functions).read()


class PickleReader(Machine):
    """Reads pickles that stand one behind the other."""

    def __init__(
        self, data: Any, where: str, functions: Functions = PLAIN, size: int | None = None
    ) -> None:
        super().__init__(data, where, functions, size)
        self._outer: tuple[list[Any], dict[int, Any]] | None = None

    def read(self) -> Any:
        """The value that the next pickle holds.

        Raises
        ------
        UnusableInput
            It is damaged, or has an instruction that is not known.
        """
        self.stack, self.memo, self._outer = [], {}, None
        with damaged(
            self.where,
            lambda error: (
                f"is a damaged pickle ({type(error).__name__}: {error}); save the file again"
            ),
            *(struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError),
            *(OverflowError, RecursionError),
        ):
            value = self._run()
            most = SHARING * (ALLOWED_PARTS + self.size)
            if self.shares or self.repeated > most:
                check_unfolding(value, most)
            return value

    def read_inside(self) -> Any:
        """The value of a pickle that stands amid another.

        Raises
        ------
        ValueError
            It stands in one that does so itself.
        """
        if self._outer is not None:
            raise ValueError("pickles stand inside of each other")
        self._outer = self.stack, self.memo
        self.stack, self.memo = [], {}
        found = self._run()
        self.stack, self.memo = self._outer
        self._outer = None
        return found

    def _run(self) -> Any:
        data = self.data
        for _ in range(ALLOWED_STEPS + STEPS_A_BYTE * self.size):
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise UnusableInput(
                    self.where,
                    f"is a pickle with the instruction {bytes([code])!r}, which is not known; "
                    "expected one by Python's pickle, with nothing kept outside of it",
                )
            step(self)
        raise ValueError("it has more instructions than a file of its size honestly holds")


_U1, _U2, _I4, _U4, _U8, _F8 = (struct.Struct(form) for form in ("B", "<H", "<i", "<I", "<Q", ">d"))
_STOP = ord(".")


def _text(machine: Machine, count: int) -> None:
    machine.stack.append(machine.take_bytes(count).decode("utf-8", "surrogatepass"))


def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError("a name is no text")
    machine.put(Foreign(module, name))


def _text_of_python_2(machine: Machine, data: bytes) -> None:
    """Text as Python 2 has it: bytes of whatever encoding."""
    try:
        machine.stack.append(data.decode("utf-8"))
    except UnicodeDecodeError:
        machine.stack.append(data.decode("latin-1"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes.fromhex(code[1:].decode()) if len(code) == 3 else _ESCAPES[code]


def _quoted(machine: Machine) -> None:
    """Text of Python 2 as protocol 0 has it: in quotes, with escapes."""
    line = machine.take_line()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text is not in quotes")
    _text_of_python_2(machine, _ESCAPED.sub(_unescaped, line[1:-1]))


def _unicode_line(machine: Machine) -> None:
    machine.stack.append(machine.take_line().decode("raw-unicode-escape"))


def _number_line(machine: Machine) -> None:
    """A number or a truth value as protocol 0 has it."""
    line = machine.take_line().rstrip(b"L")
    if len(line) > _LONGEST_NUMBER:
        machine.stack.append(Foreign("builtins", "int"))
    else:
        machine.stack.append(bool(int(line)) if line in (b"00", b"01") else int(line))


def _short_line(machine: Machine) -> bytes:
    """A number as protocol 0 has it, or where a value is kept."""
    line = machine.take_line()
    if len(line) > _LONGEST_NUMBER:
        raise ValueError("a number is spelled without end")
    return line


def _long(machine: Machine) -> None:
    value = machine.take_bytes(machine.take(_U1))
    machine.stack.append(int.from_bytes(value, "little", signed=True))


def _longer(machine: Machine) -> None:
    """A number of more than 255 bytes, which is none of a model."""
    machine.take_bytes(machine.take(_I4))
    machine.stack.append(Foreign("builtins", "int"))


def _call_with_names(machine: Machine) -> None:
    machine.stack.pop()
    machine.call()


def _call_since_mark(machine: Machine) -> None:
    function, *arguments = machine.since_mark()
    machine.stack += [function, tuple(arguments)]
    machine.call()


def _call_named(machine: Machine) -> None:
    arguments = tuple(machine.since_mark())
    machine.stack += [Foreign(machine.take_name(), machine.take_name()), arguments]
    machine.call()


def _dict_since_mark(machine: Machine) -> None:
    values = machine.since_mark()
    machine.put({})
    machine.set_items(values)


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _append(machine: Machine) -> None:
    machine.extend([machine.stack.pop()])


# The instructions of pickle protocols 0 to 5 (see Python's pickletools), but for those that name
# what a registry or another buffer has.
_STEPS: dict[int, Callable[[Machine], None]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.take_bytes(1),
        "\x95": lambda m: m.take_bytes(8),
        "(": lambda m: m.stack.append(Mark),
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
        "I": _number_line,
        "L": _number_line,
        "F": lambda m: m.stack.append(float(_short_line(m))),
        "S": _quoted,
        "V": _unicode_line,
        "T": lambda m: _text_of_python_2(m, m.take_bytes(m.take(_I4))),
        "U": lambda m: _text_of_python_2(m, m.take_bytes(m.take(_U1))),
        "X": lambda m: _text(m, m.take(_U4)),
        "\x8c": lambda m: _text(m, m.take(_U1)),
        "\x8d": lambda m: _text(m, m.take(_U8)),
        "B": lambda m: m.stack.append(m.take_bytes(m.take(_U4))),
        "C": lambda m: m.stack.append(m.take_bytes(m.take(_U1))),
        "\x8e": lambda m: m.stack.append(m.take_bytes(m.take(_U8))),
        "\x96": lambda m: m.stack.append(m.take_bytes(m.take(_U8))),
        "}": lambda m: m.put({}),
        "]": lambda m: m.put([]),
        ")": lambda m: m.stack.append(()),
        "\x8f": lambda m: m.put(Unordered()),
        "t": lambda m: m.put(tuple(m.since_mark())),
        "\x85": lambda m: m.put_tuple(1),
        "\x86": lambda m: m.put_tuple(2),
        "\x87": lambda m: m.put_tuple(3),
        "l": lambda m: m.put(m.since_mark()),
        "\x91": lambda m: m.put(Unordered(m.since_mark())),
        "d": _dict_since_mark,
        "a": _append,
        "e": lambda m: m.extend(m.since_mark()),
        "\x90": lambda m: m.extend(m.since_mark()),
        "s": _set_item,
        "u": lambda m: m.set_items(m.since_mark()),
        "q": lambda m: m.memoize(m.take(_U1)),
        "r": lambda m: m.memoize(m.take(_U4)),
        "\x94": lambda m: m.memoize(len(m.memo)),
        "p": lambda m: m.memoize(int(_short_line(m))),
        "h": lambda m: m.recall(m.take(_U1)),
        "j": lambda m: m.recall(m.take(_U4)),
        "g": lambda m: m.recall(int(_short_line(m))),
        "c": lambda m: m.put(Foreign(m.take_name(), m.take_name())),
        "\x93": _stack_global,
        "Q": lambda m: m.push_persistent(),
        "R": lambda m: m.call(),
        "\x81": lambda m: m.call(),
        "\x92": _call_with_names,
        "o": _call_since_mark,
        "i": _call_named,
        "b": lambda m: m.build(),
    }.items()
}
