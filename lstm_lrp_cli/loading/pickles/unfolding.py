"""How large what a pickle holds is where it is written out: what it names twice stands there twice.

A pickle of a few kilobytes may name a list twice in a list that it names twice, and so on: each
part is one in memory, and whatever spells, compares or copies it takes 2^n. So is a text that a
list names a million times. Honest ones share little.
"""

from collections.abc import Iterable
from typing import Any

from .values import Filled, Made, Redirect

# So many times as many parts as a file may hold it may come to.
SHARING = 4
# So many characters of a text count as one part.
CHARACTERS_A_PART = 16
# Deeper ones are no values of a model, and end what walks down them.
DEEPEST = 1000
# A dict that holds itself has one way back. Two may lead to each other without end.
MOST_WAYS_BACK = 1

NESTING = (dict, list, tuple)
_TEXTS = (str, bytes)


class _Size:
    """What a value comes to, written out."""

    __slots__ = ("back", "depth", "parts")

    def __init__(self) -> None:
        self.parts, self.depth, self.back = 1, 0, 0

    def add(self, other: "_Size") -> None:
        self.parts += other.parts
        self.depth = max(self.depth, other.depth)
        self.back += other.back


def check_unfolding(value: Any, most: int) -> None:
    """Refuse what comes to more than so many parts where it is written out.

    What is made by functions that are not known is written out by its name alone, so what is in it
    is looked at for itself.

    Parameters
    ----------
    value : any
        What a pickle holds.
    most : int

    Raises
    ------
    ValueError
    """
    rooms, seen = [value], set()
    sizes: dict[int, _Size] = {}  # of what is kept by the value itself, so that no other has its id
    while rooms:
        room = rooms.pop()
        if isinstance(room, NESTING):
            _measure(room, sizes, rooms, most)
        elif id(room) not in seen:
            seen.add(id(room))
            rooms += _inside(room)


def _inside(room: Any) -> Iterable[Any]:
    """What an object holds that it is not written out with."""
    if isinstance(room, Made):
        return room.attributes, room.arguments, room.items, room.values, room.state
    if isinstance(room, Redirect):
        return (room.arguments,)
    data = getattr(room, "data", None) if isinstance(room, Filled) else None
    return (data,) if isinstance(data, list) else ()


def _measure(top: Any, sizes: dict[int, _Size], rooms: list[Any], most: int) -> None:
    """Note the size of what nests, and of all that it nests; other rooms are put by."""
    if id(top) in sizes:
        return
    size = _Size()
    path: list[tuple[int, _Size, Any]] = [(id(top), size, iter(_parts(top)))]
    open_ones = {id(top)}
    while path:
        key, size, parts = path[-1]
        for part in parts:
            if isinstance(part, NESTING):
                known = sizes.get(id(part))
                if known is not None:
                    size.add(known)
                elif id(part) in open_ones:
                    size.back += 1
                else:
                    open_ones.add(id(part))
                    path.append((id(part), _Size(), iter(_parts(part))))
                    break
            elif isinstance(part, _TEXTS):
                size.parts += 1 + len(part) // CHARACTERS_A_PART
            else:
                size.parts += 1
                if isinstance(part, Made | Filled | Redirect):
                    rooms.append(part)
        else:
            path.pop()
            size.depth += 1
            _check(size, most)
            sizes[key] = size
            open_ones.discard(key)
            if path:
                path[-1][1].add(size)


def _parts(value: Any) -> Iterable[Any]:
    """What a value holds; of a dict not its keys, which are plain."""
    return value.values() if isinstance(value, dict) else value


def _check(size: _Size, most: int) -> None:
    if size.parts > most:
        raise ValueError(
            "it names its parts so often that they come to more than a file of its size honestly "
            "holds"
        )
    if size.depth > DEEPEST:
        raise ValueError(f"its values are nested deeper than {DEEPEST}")
    if size.back > MOST_WAYS_BACK:
        raise ValueError("its values hold each other")
