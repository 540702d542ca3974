"""The objects of TensorFlow 2 that have variables: which has what, and by what name.

Source: TensorFlow, core/protobuf/trackable_object_graph.proto and core/util/tensor_bundle.
"""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from .wire import messages, number_at, text_of, whole

MOST_OBJECTS = 1_000_000
# No path of an object is longer.
LONGEST_PATH = 1000
# What an object has beside its parts: the same variables once more, in lists.
LISTS = frozenset(
    {
        *("variables", "trainable_variables", "non_trainable_variables", "keras_api", "layers"),
        *("regularization_losses", "layer_regularization_losses", "metrics", "layer_metrics"),
        *("signatures", "losses", "states"),
    }
)
# How Keras calls a layer that has variables; by another name it has each layer once more.
WITH_WEIGHTS = "layer_with_weights-"
# A check sum stands between the lengths of texts and the texts.
CHECK_SUM = 4


class Object(Struct, frozen=True):
    """An object.

    Parameters
    ----------
    parts : list of (str, int)
        What it has, by name, and the number of the object that it is.
    key : str
        What the variable that it is is called in the file; "" where it is none.
    """

    parts: list[tuple[str, int]]
    key: str


class Objects(Struct, frozen=True):
    """All objects, of which the first is what was saved."""

    objects: list[Object]

    @classmethod
    def of(cls, message: bytes) -> "Objects":
        """Read a graph of objects; ValueError where it is damaged."""
        objects = []
        for node in messages(message, 1):
            parts = [(text_of(child, 2), whole(child, 1)) for child in messages(node, 1)]
            keys = [text_of(attribute, 3) for attribute in messages(node, 2)]
            objects.append(Object(parts, keys[0] if len(keys) == 1 else ""))
            if len(objects) > MOST_OBJECTS:
                raise ValueError(f"there are more than {MOST_OBJECTS:,} objects")
        if any(number >= len(objects) for each in objects for _, number in each.parts):
            raise ValueError("an object has one that is not there")
        return cls(objects)

    def variables(self, path: str = "") -> dict[str, str]:
        """The keys of the variables that an object has, by the shortest path to each from it.

        Paths through lists are none. The object is the one at a path from the first.
        """
        start = self._at(path)
        if start is None:
            return {}
        found, seen = {}, {start}
        waiting = deque([("", start)])
        while waiting:
            reached, number = waiting.popleft()
            key = self.objects[number].key
            if key:
                found[reached] = key
            for name, other in self._ordered(number):
                further = f"{reached}/{name}" if reached else name
                if name not in LISTS and other not in seen and len(further) <= LONGEST_PATH:
                    seen.add(other)
                    waiting.append((further, other))
        return found

    def _ordered(self, number: int) -> Iterator[tuple[str, int]]:
        parts = self.objects[number].parts
        yield from (each for each in parts if each[0].startswith(WITH_WEIGHTS))
        yield from (each for each in parts if not each[0].startswith(WITH_WEIGHTS))

    def _at(self, path: str) -> int | None:
        if not self.objects:
            return None
        number = 0
        for name in path.split("/") if path else ():
            parts = dict(self.objects[number].parts)
            if name not in parts:
                return None
            number = parts[name]
        return number


def only_text(data: bytes) -> bytes:
    """The only text of an array of one, as TensorFlow stores it."""
    length, at = number_at(data, 0)
    if at + CHECK_SUM + length != len(data):
        raise ValueError("a text is cut short")
    return data[at + CHECK_SUM :]
