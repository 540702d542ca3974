"""Several nodes that exporters write for one operator, as that operator.

What a node of a pattern takes is looked up by name, in whatever order it takes it. Nodes that the
outputs need no more are left for who follows the graph to leave out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import erf
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from .arrays import Array, GraphNode
from .file import DAMAGED

# Where functions are compared, and how closely: constants are of 32 bits.
POINTS = np.linspace(-4.0, 4.0, 33)
CLOSENESS = 1e-6
# Of how many tensors a value is known as a function; functions of one unit are short.
MOST_ROOTS = 6
# How often the type of a shape is changed.
MOST_CASTS = 4
FUNCTIONS = {
    "none": POINTS * 0.5 * (1 + np.array([erf(x / np.sqrt(2)) for x in POINTS])),
    "tanh": 0.5 * POINTS * (1 + np.tanh(np.sqrt(2 / np.pi) * (POINTS + 0.044715 * POINTS**3))),
}
# Each with how many values it takes.
UNITWISE: dict[str, tuple[int, Callable[..., Any]]] = {
    "Add": (2, np.add),
    "Div": (2, np.divide),
    "Erf": (1, np.vectorize(erf, otypes=[float])),
    "Mul": (2, np.multiply),
    "Pow": (2, np.power),
    "Sub": (2, np.subtract),
    "Tanh": (1, np.tanh),
}


def rewritten(nodes: Sequence[GraphNode], constants: Mapping[str, Array]) -> list[GraphNode]:
    """The nodes, of which those that end a pattern are what the pattern means."""
    patterns = Patterns({name: node for node in nodes for name in node.outputs}, constants)
    functions = dict(_gelus(nodes, constants))
    made = []
    for node in nodes:
        found = functions.get(node.outputs[0] if node.outputs else "")
        with suppress(*DAMAGED):  # following the graph says what is wrong, if the node matters
            found = found or patterns.layer_norm(node) or patterns.group_norm(node)
            found = found or patterns.keras_layer_norm(node)
        made.append(node if found is None else found)
    return made


class Patterns(Struct, frozen=True):
    """Looks for patterns that end in a node."""

    makers: Mapping[str, GraphNode]
    constants: Mapping[str, Array]

    def layer_norm(self, node: GraphNode) -> GraphNode | None:
        """(x - mean) / sqrt(mean of squares + epsilon), over the last axis."""
        if node.op != "Div" or len(node.inputs) != 2:
            return None
        centred, deviation = (self.makers.get(name) for name in node.inputs)
        source = self._centred(centred)
        if source is None:
            return None
        summed = self._root(deviation)
        if summed is None or summed.op != "Add":
            return None
        epsilon, variance = self._with_number(summed)
        squares = self._mean(self.makers.get(variance))
        if epsilon is None or self._squared(self.makers.get(squares)) != source:
            return None
        return _made(node, "LayerNormalization", [source], axis=-1, epsilon=epsilon)

    def group_norm(self, node: GraphNode) -> GraphNode | None:
        """Units of a group laid out as steps, normalized by InstanceNormalization, and back."""
        inner = self.makers.get(node.inputs[0]) if node.op == "Reshape" and node.inputs else None
        if inner is None or inner.op != "InstanceNormalization" or len(inner.inputs) != 3:
            return None
        folded = self.makers.get(inner.inputs[0])
        if folded is None or folded.op != "Reshape" or len(folded.inputs) != 2:
            return None
        target, scale, offset = (
            self.constants.get(name) for name in (folded.inputs[1], *inner.inputs[1:])
        )
        back = self.makers.get(node.inputs[1])
        if target is None or scale is None or offset is None or back is None:
            return None
        if target.tolist()[:1] != [0] or target.tolist()[2:] != [-1]:
            return None
        is_plain = (scale == 1).all() and not offset.any()
        if not is_plain or back.op != "Shape" or back.inputs[0] != folded.inputs[0]:
            return None
        settings = {"num_groups": int(target[1]), "epsilon": inner.attributes.get("epsilon", 1e-5)}
        return _made(node, "GroupNormalization", folded.inputs[:1], **settings)

    def keras_layer_norm(self, node: GraphNode) -> GraphNode | None:
        """Keras's, which lays steps out as the units of a batch normalization in training."""
        inner = self._maker_of(node, "Reshape", 0, "BatchNormalization")
        folded = self._maker_of(inner, "BatchNormalization", 0, "Reshape")
        mean = self._maker_of(self._maker_of(inner, "", 3, "Squeeze"), "", 0, "ReduceMean")
        summed = self._maker_of(self._maker_of(inner, "", 4, "Div"), "", 0, "ReduceSumSquare")
        centred = self._maker_of(summed, "", 0, "Sub")
        back = self._maker_of(node, "", 1, "Cast")
        if None in (inner, folded, mean, centred, back) or inner is None or folded is None:
            return None
        assert mean is not None
        assert centred is not None
        target = self.constants.get(folded.inputs[1])
        rows = folded.outputs[0]
        scale, offset = (self._copied_number(name) for name in inner.inputs[1:3])
        if (
            target is None
            or target.tolist()[:2] != [1, -1]
            or target.tolist()[3:] != [1]
            or (scale, offset) != (1, 0)
            or mean.inputs[0] != rows
            or centred.inputs != [rows, mean.outputs[0]]
            or inner.attributes.get("training_mode")
            or self._shape_of(node.inputs[1]) != folded.inputs[0]
        ):
            return None
        epsilon = inner.attributes.get("epsilon", 1e-5)
        return _made(node, "LayerNormalization", folded.inputs[:1], axis=-1, epsilon=epsilon)

    def _maker_of(
        self, node: GraphNode | None, op: str, place: int, maker: str
    ) -> GraphNode | None:
        """What makes one of a node's inputs, where both are such operators; "" is any."""
        if node is None or (op and node.op != op) or place >= len(node.inputs):
            return None
        found = self.makers.get(node.inputs[place])
        return found if found is not None and found.op == maker else None

    def _copied_number(self, name: str) -> float | None:
        """The one number that all of a tensor is."""
        maker = self.makers.get(name)
        return self._number(maker.inputs[0] if maker and maker.op == "Expand" else name)

    def _shape_of(self, name: str) -> str | None:
        """The tensor whose shape another is, through changes of its type."""
        for _ in range(MOST_CASTS):
            maker = self.makers.get(name)
            if maker is None or maker.op not in ("Cast", "Shape"):
                return None
            name = maker.inputs[0]
            if maker.op == "Shape":
                return name
        return None

    def _centred(self, node: GraphNode | None) -> str | None:
        """What a node takes the mean off, over the last axis."""
        if node is None or node.op != "Sub" or len(node.inputs) != 2:
            return None
        source, mean = node.inputs
        return source if self._mean(self.makers.get(mean)) == source else None

    def _mean(self, node: GraphNode | None) -> str:
        """What a node is the mean of, over the last axis, which stays."""
        if node is None or node.op != "ReduceMean" or not node.attributes.get("keepdims", 1):
            return ""
        given = self.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        return node.inputs[0] if node.integers("axes", given) == [-1] else ""

    def _squared(self, node: GraphNode | None) -> str | None:
        """Of what a node is the square, free of its mean."""
        if node is None:
            return None
        if node.op == "Mul" and len(node.inputs) == 2 and node.inputs[0] == node.inputs[1]:
            return self._centred(self.makers.get(node.inputs[0]))
        if node.op == "Pow" and self._number(node.inputs[1]) == 2:
            return self._centred(self.makers.get(node.inputs[0]))
        return None

    def _root(self, node: GraphNode | None) -> GraphNode | None:
        """Of what a node is the square root."""
        if node is None:
            return None
        if node.op == "Sqrt" or (node.op == "Pow" and self._number(node.inputs[1]) == 0.5):
            return self.makers.get(node.inputs[0])
        return None

    def _with_number(self, node: GraphNode) -> tuple[float | None, str]:
        """The number that a node takes, and the other tensor."""
        for name, other in (node.inputs, node.inputs[::-1]):
            number = self._number(name)
            if number is not None:
                return number, other
        return None, ""

    def _number(self, name: str) -> float | None:
        array = self.constants.get(name)
        return float(array.item()) if array is not None and array.size == 1 else None


def _gelus(
    nodes: Sequence[GraphNode], constants: Mapping[str, Array]
) -> Iterator[tuple[str, GraphNode]]:
    """Nodes whose value is the function gelu of another's, however it is written.

    A value that sums, products and the like make of one tensor and of numbers is a function of it;
    it is told by what it gives at several points.
    """
    known: dict[str, dict[str, Array]] = {}
    for node in nodes:
        if node.op not in UNITWISE or len(node.outputs) != 1:
            continue
        given = [_functions(name, known, constants) for name in node.inputs]
        roots = {root for functions in given for root in functions if root}
        count, function = UNITWISE[node.op]
        values = {}
        for root in sorted(roots):
            found = [functions.get(root, functions.get("")) for functions in given]
            if len(found) == count and all(each is not None for each in found):
                values[root] = function(*found)
        if len(values) > MOST_ROOTS:
            values = {}
        known[node.outputs[0]] = values
        for root, value in values.items():
            for kind, expected in FUNCTIONS.items():
                if _is_close(value, expected):
                    yield node.outputs[0], _made(node, "Gelu", [root], approximate=kind)


def _is_close(value: Array, expected: Array) -> bool:
    """Whether a function gives the same at all points; most differ at the first."""
    if value.shape != expected.shape or not abs(value.flat[0] - expected.flat[0]) <= CLOSENESS:
        return False
    return np.allclose(value, expected, rtol=0, atol=CLOSENESS)


def _functions(
    name: str, known: Mapping[str, dict[str, Array]], constants: Mapping[str, Array]
) -> dict[str, Array]:
    """A value as functions of tensors, by those; of "" where it is a number."""
    array = constants.get(name)
    if array is None:
        return {name: POINTS, **known.get(name, {})}
    return {"": np.asarray(array.item(), dtype=float)} if array.size == 1 else {}


def _made(node: GraphNode, op: str, inputs: list[str], **attributes: object) -> GraphNode:
    return replace(node, op=op, inputs=inputs, attributes=attributes)
