"""The dialect of torch.export: nodes of aten, PyTorch's operators, as ONNX's.

Where the meaning is the same a node becomes nodes of ONNX's vocabulary (`table`); what has none, or
keeps its weights otherwise, is an operator of its own (`layers`).
"""

from typing import Any

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.loading.operators.arrays import GraphNode

# An operator that is known, and why it is not followed.
REFUSED = "aten.refused"


class Taken(Struct, frozen=True):
    """A tensor or size that another node makes, by its name."""

    name: str


class AtenNode(Struct, frozen=True):
    """A node as torch.export writes it.

    Parameters
    ----------
    target : str
        The operator and its overload, such as `aten.select.int`.
    module : str
        The path of the innermost module that runs it; "" is the model itself.
    given : dict
        Arguments by their names in the operator's schema, as plain values or `Taken`; what the
        schema's defaults say is left out.
    outputs : list of str
    sizes : dict
        For each tensor that it takes or makes, its sizes; None where the input tells.
    """

    target: str
    module: str
    given: dict[str, Any]
    outputs: list[str]
    sizes: dict[str, list[int | None]]

    @property
    def kind(self) -> str:
        """The operator without its overload."""
        parts = self.target.split(".")
        return parts[1] if parts[0] == "aten" and len(parts) > 1 else self.target


class Translation(Struct):
    """A node that is translated, and the nodes that it becomes."""

    node: AtenNode
    path: str
    file_bytes: int
    made: list[GraphNode] = field(default_factory=list)

    def given(self, name: str, default: Any = None) -> Any:
        return self.node.given.get(name, default)

    def tensor(self, name: str) -> str:
        """The tensor that an argument is; "" where it is left out."""
        value = self.given(name)
        if value is None:
            return ""
        return value.name if isinstance(value, Taken) else self.constant(float(value))

    def sizes_of(self, name: str) -> list[int | None]:
        """The sizes of a tensor that is an argument."""
        return self.node.sizes.get(self.tensor(name), [])

    def axis(self, name: str, of: str = "self", *, default: int = 0, more: int = 0) -> int:
        """An argument that is an axis, counted from the front."""
        rank = len(self.sizes_of(of)) + more
        axis = self.given(name, default)
        if not isinstance(axis, int) or not -max(rank, 1) <= axis < max(rank, 1):
            raise ValueError(f"axis {axis} of {rank}")
        return axis % max(rank, 1)

    def axes(self, name: str, of: str = "self") -> list[int]:
        """An argument that is one axis or several."""
        given = self.given(name)
        rank = len(self.sizes_of(of))
        return [axis % rank for axis in (given if isinstance(given, list) else [given])]

    def put(
        self, op: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """A node of ONNX's; without names for its outputs, one for use within the translation."""
        names = outputs or [f"{self.node.outputs[0]}/{len(self.made)}"]
        label = self.node.module or self.node.outputs[0]
        said = self.node.target
        made = GraphNode(self.path, self.file_bytes, op, label, inputs, names, attributes, said)
        self.made.append(made)
        return names[0]

    def become(self, op: str, *inputs: str, **attributes: Any) -> None:
        """The node that is the whole translation, or its end."""
        self.put(op, list(inputs), self.node.outputs[:1], **attributes)

    def constant(self, value: Any) -> str:
        dtype = np.float64 if isinstance(value, float) else np.int64
        return self.put("Constant", [], value=np.array(value, dtype=dtype))

    def shape(self, sizes: list[Any]) -> str:
        """A shape of numbers and of sizes that other nodes make."""
        if not any(isinstance(size, Taken) for size in sizes):
            return self.constant([int(size) for size in sizes])
        parts = [s.name if isinstance(s, Taken) else self.constant([int(s)]) for s in sizes]
        return self.put("Concat", parts, axis=0)

    def refuse(self, problem: str) -> None:
        """An operator that cannot be followed: an error, if the outputs depend on it."""
        self.put(REFUSED, [], self.node.outputs, problem=problem)
