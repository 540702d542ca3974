"""A small stack machine for pickles: what its instructions do to its stack, and nothing else.

Of the functions that a pickle may ask to have called it knows those of its user. What any other
would make is `Made`: its name, and what the pickle gives it.
"""

import struct
from collections.abc import Sized
from typing import Any

from .unfolding import CHARACTERS_A_PART, NESTING
from .values import INERT, Filled, Foreign, Functions, Made, Redirect, with_items

# So many lists, dicts and objects any file may hold, and one more for so many bytes that it has: a
# byte can ask for one of hundreds.
ALLOWED_PARTS = 2**20
BYTES_A_PART = 4

# What has no attributes.
_WITHOUT = (str, bytes, int, float, tuple, list)


class Mark:
    """Where a group of values begins on the stack."""


class Machine:
    """What a pickle is read with: its data, and the stack and memo that its instructions fill.

    Parameters
    ----------
    data : bytes or mmap
    where : str
        What errors call it.
    functions : dict of (str, str) to callable
        As `read_pickle` takes them.
    size : int or None
        Of the file, where that is compressed.

    Attributes
    ----------
    at : int
        Where the next begins.
    asked : dict of Foreign to None
        Whatever was to be called that is not known, in the order of the file.
    shares : bool
        Whether a list, dict or tuple stands in more than one place.
    repeated : int
        What texts come to that do, in parts.
    """

    def __init__(
        self, data: Any, where: str, functions: Functions, size: int | None = None
    ) -> None:
        self.data, self.where, self.functions = data, where, functions
        self.size = len(data) if size is None else size
        self.parts_left = ALLOWED_PARTS + self.size // BYTES_A_PART
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.asked: dict[Foreign, None] = {}
        self.copied = 0
        self.shares = False
        self.repeated = 0

    def put(self, value: Any) -> None:
        """Put something on the stack that takes memory of its own."""
        self.parts_left -= 1
        if self.parts_left < 0:
            raise ValueError("it is made of more parts than a file of its size honestly holds")
        self.stack.append(value)

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

    def take_line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise ValueError("a line has no end")
        value: bytes = self.data[self.at : end]
        self.at = end + 1
        return value

    def take_name(self) -> str:
        return self.take_line().decode("utf-8")

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is Mark:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("a group has no beginning")

    def push_persistent(self) -> None:
        """Put in its place what the pickle keeps elsewhere, by an id that stands on the stack."""
        raise ValueError("it keeps a part of itself elsewhere")

    def call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if isinstance(function, Made):  # such as a partial function
            function = function.kind
        if not isinstance(function, Foreign) or not isinstance(arguments, tuple):
            raise ValueError("what is called is no function")
        made = self._called(function, arguments)
        if isinstance(made, Redirect):
            made = self._called(made.function, made.arguments)
        self.put(Made(function) if isinstance(made, Redirect) else made)

    def _called(self, function: Foreign, arguments: tuple[Any, ...]) -> Any:
        known = self.functions.get((function.module, function.name))
        if known is None:
            self.asked[function] = None
            return Made(function, arguments=arguments)
        # What is called copies what it is given: a value named again and again would fill memory.
        self.copy(arguments, *arguments)
        return known(*arguments)

    def copy(self, *values: Any) -> None:
        """Count what is copied, which is no more than an honest file holds."""
        self.copied += sum(len(each) for each in values if isinstance(each, Sized))
        if self.copied > len(self.data):
            raise ValueError("it copies more values than it holds")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            with_items(target, zip(values[::2], values[1::2], strict=True))
        elif isinstance(target, Made):
            with_items(target.items, zip(values[::2], values[1::2], strict=True))
        elif not isinstance(target, INERT):
            raise ValueError("items are set on something that is no dict")

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Made):
            target.values.extend(values)
        elif not isinstance(target, INERT):
            raise ValueError("values are added to something that is no list")

    def memoize(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def recall(self, key: int) -> None:
        value = self.memo[key]
        kind = type(value)
        if kind is str or kind is bytes:
            self.repeated += len(value) // CHARACTERS_A_PART
        elif isinstance(value, NESTING):
            self.shares = True
        self.stack.append(value)

    def build(self) -> None:
        """Set attributes; those of plain values, such as a state dict's _metadata, are dropped."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Filled):
            made.fill(state)
            return
        if made is None or made is Mark or isinstance(made, _WITHOUT):
            raise ValueError("attributes are set on something that has none")
        if not isinstance(made, Made):
            return
        given = state
        if isinstance(state, tuple) and len(state) == 2:  # those in a dict, and those in slots
            given = next((part for part in state if isinstance(part, dict)), None)
        if isinstance(given, dict):
            if made.attributes:
                self.copy(made.attributes, given)
                given = made.attributes | given
            made.attributes = given
        else:
            made.state = state

    def put_tuple(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) < count or any(value is Mark for value in values):
            raise ValueError("a tuple lacks values")
        del self.stack[len(self.stack) - count :]
        self.put(values)
