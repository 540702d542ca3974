"""A program of torch.export, run by torch's own operators as its graph says, node by node.

The file is read as data: `torch.export.load` would unpickle the inputs that a file gives as an
example, and evaluate its expressions for sizes, so that a hostile file could run code. What each
operator computes is torch's own affair, and so is the order in which they run.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.check.kinds import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.loading.operators.aten.exported import ExportedFile, names_in
from lstm_lrp_cli.loading.operators.aten.schema import DTYPES, JsonNode
from lstm_lrp_cli.loading.operators.aten.table import RECURRENT, TABLE
from .framework import Framework, as_laid_out, asking

# What the graph computes of sizes.
OF_SIZES: dict[str, Callable[..., Any]] = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "truediv", "neg", "mod", "eq", "ge", "le")
}
POSITIONAL = 1
# The forms of a value that are as they stand.
PLAIN = frozenset(
    {
        *("as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string"),
        *("as_strings", "as_int_lists"),
    }
)
# Those that say where or how a tensor lies, which is left to torch.
LEFT_OUT = frozenset({"as_device", "as_layout", "as_memory_format"})
LOG = "log_softmax"
# What takes features before steps.
TURNED = ("conv1d", "batch_norm", "max_pool1d", "avg_pool1d", "group_norm", "instance_norm")


def open_program(torch: Any, loaded: LoadedModel, where: str) -> Framework:
    """Read the file's graph and weights for torch to run.

    Raises
    ------
    UnusableInput
        The graph has an operator that is none of torch's own.
    """
    with ExportedFile(loaded.contents.path) as file:
        running = _Running(torch, file, loaded, where)
    linear = all(head.activation == "linear" for head in loaded.model.heads)
    gives: Kind = "scores" if linear else "probabilities"
    name = f"torch {torch.__version__}"
    return Framework(name, running.dtype, gives, masks=False, run=running.run)


class _Running:
    """The graph of a file, ready to be run.

    Attributes
    ----------
    dtype : numpy.dtype
        The precision of its weights.
    """

    def __init__(self, torch: Any, file: ExportedFile, loaded: LoadedModel, where: str) -> None:
        self._torch, self._model, self._where = torch, loaded.model, where
        graph = file.program.graph
        self._nodes = [node for node in graph.nodes if node.outputs]
        self._functions = [self._function(node.target) for node in self._nodes]
        self._values: dict[str, Any] = {}
        given = []
        for spec in file.program.signature.input_specs:
            ((kind, said),) = spec.items()
            if kind == "user_input":
                given += names_in(said["arg"])
            elif f"{kind}_name" in said:
                array = file.constants[said[f"{kind}_name"]]
                self._values[said["arg"]["name"]] = torch.from_numpy(array.copy())
        if len(given) != 1:
            raise UnusableInput(
                where, f"takes {len(given)} inputs; expected one. Compare by --expected"
            )
        [self._input] = given
        self._meta = graph.tensor_values[self._input]
        wanted = list(dict.fromkeys(head.name for head in self._model.heads))
        made = file.results
        self._outputs = [made[name] for name in wanted if name in made] or list(made.values())[:1]
        self._layout = self._laid_out()
        self._axis = self._batch_axis(graph.tensor_values[self._outputs[0]].sizes)
        wide = any(array.dtype == np.float64 for array in file.constants.values())
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """The outputs for sequences of one length, of as many at once as the graph takes."""
        fixed = None if self._axis is None else self._meta.sizes[self._axis].as_int
        size = len(inputs) if fixed is None and self._axis is not None else fixed or 1
        found = []
        for start in range(0, len(inputs), max(size, 1)):
            part = inputs[start : start + size]
            filled = np.concatenate([part, *[part[-1:]] * (size - len(part))])
            found.append(self._run_batch(filled)[: len(part)])
        return np.concatenate(found)

    def _run_batch(self, inputs: NDArray[Any]) -> NDArray[Any]:
        torch = self._torch
        steps, by_step = inputs.shape[1], self._model.by_step
        if self._layout:
            inputs = inputs[..., 0] if self._layout == "flat" else inputs.swapaxes(1, 2)
        given = torch.as_tensor(np.ascontiguousarray(inputs))
        given = given[0] if self._axis is None else given.movedim(0, self._axis)
        values = dict(self._values)
        values[self._input] = given.to(self._dtype(self._meta.dtype))
        with torch.no_grad(), asking(self._where, "torch does not run its graph"):
            for node, function in zip(self._nodes, self._functions, strict=True):
                made = self._called(node, function, values)
                values.update(zip(self._named(node), made, strict=False))
        parts = []
        for name in self._outputs:
            part = values[name]
            if self._axis is None:
                part = part.unsqueeze(0)
            elif by_step:
                part = part.movedim(self._axis, 0)
            if by_step and part.ndim == 3 and self._are_turned(name, part.shape):
                part = part.swapaxes(1, 2)
            rows = (len(inputs), steps) if by_step else (len(inputs),)
            numbers = part.reshape(*rows, -1).numpy()
            parts.append(np.exp(numbers) if self._is_log(name) else numbers)
        return np.concatenate(parts, axis=-1)

    def _called(self, node: JsonNode, function: Any, values: dict[str, Any]) -> Sequence[Any]:
        positional, named = [], {}
        for given in node.inputs:
            ((form, _),) = given.arg.items()
            if form in LEFT_OUT:
                continue
            value = self._value(given.arg, values)
            if given.kind == POSITIONAL:
                positional.append(value)
            else:
                named[given.name] = value
        made = function(*positional, **named)
        return made if isinstance(made, tuple | list) else [made]

    def _named(self, node: JsonNode) -> list[str]:
        return [name for each in node.outputs for name in names_in(each)]

    def _value(self, arg: dict[str, Any], values: dict[str, Any]) -> Any:
        """An argument as torch takes it."""
        ((form, value),) = arg.items()
        match form:
            case "as_none":
                return None
            case "as_tensor" | "as_sym_int" | "as_sym_float" | "as_sym_bool":
                if "name" in value or "as_name" in value:
                    return values[value.get("name", value.get("as_name"))]
                return next(iter(value.values()))
            case "as_tensors":
                return [values[each["name"]] for each in value]
            case "as_sym_ints" | "as_optional_tensors":
                single = "as_sym_int" if form == "as_sym_ints" else ""
                return [self._value({single: each} if single else each, values) for each in value]
            case "as_optional_tensor":
                return self._value(value, values)
            case "as_scalar_type":
                return self._dtype(value)
        if form not in PLAIN:
            raise UnusableInput(self._where, f"has an argument of the form {form}")
        return value

    def _function(self, target: str) -> Any:
        """One of torch's own operators that models are made of: others open files."""
        if target in OF_SIZES:
            return OF_SIZES[target]
        parts = target.split(".")
        is_known = len(parts) == 5 and parts[3].removesuffix("_") in TABLE
        if not is_known or parts[:3] != ["torch", "ops", "aten"]:
            raise UnusableInput(
                self._where,
                f"calls `{target}`, which is not among the operators of aten that lrp knows, so it "
                "is not run. Compare by --expected",
            )
        with asking(self._where, f"torch has no operator `{target}`"):
            return getattr(getattr(self._torch.ops.aten, parts[3]), parts[4])

    def _dtype(self, number: int) -> Any:
        if number not in DTYPES:
            raise UnusableInput(self._where, f"has numbers of PyTorch's type {number}")
        return getattr(self._torch, DTYPES[number])

    def _batch_axis(self, scored: Sequence[Any]) -> int | None:
        """The axis of sequences: one that has any size, or that the scores have too.

        Where the sizes leave it open, the first recurrent layer says whether it comes first.
        """
        sizes = [size.as_int for size in self._meta.sizes]
        if len(sizes) < (2 if self._model.takes_tokens else 3):
            return 0 if self._layout == "flat" else None
        open_sizes = [axis for axis in (0, 1) if sizes[axis] is None]
        if len(open_sizes) == 1:
            return open_sizes[0]
        if not self._model.by_step and sizes[0] != sizes[1] and scored:
            return int(scored[0].as_int == sizes[1])
        for node in self._nodes:
            if node.target.split(".")[-2] in RECURRENT:
                first = next((g.arg for g in node.inputs if g.name == "batch_first"), {})
                return int(not first.get("as_bool", True))
        return 0

    def _laid_out(self) -> str:
        """How the input's numbers lie, where it takes some."""
        if self._model.takes_tokens:
            return ""
        taker = next((n for n in self._nodes if self._input in self._taken(n)), None)
        is_turned = taker is not None and taker.target.split(".")[-2] in TURNED
        sizes = [size.as_int for size in self._meta.sizes]
        return as_laid_out(sizes, self._model.inputs[0].size, is_turned=is_turned)

    def _taken(self, node: JsonNode) -> list[str]:
        return [name for each in node.inputs for name in names_in(each.arg)]

    def _are_turned(self, name: str, shape: Sequence[int]) -> bool:
        """Whether scores stand before steps: by their number, else where that is changed last."""
        classes = sum(head.size for head in self._model.heads)
        if len(self._outputs) > 1 or shape[1] != classes:
            return False
        maker = next((node for node in self._nodes if name in self._named(node)), None)
        moved = ("transpose", "permute", "mT", "swapaxes")
        return shape[2] != classes or (maker is not None and maker.target.split(".")[-2] in moved)

    def _is_log(self, name: str) -> bool:
        maker = next((node for node in self._nodes if name in self._named(node)), None)
        return maker is not None and LOG in maker.target
