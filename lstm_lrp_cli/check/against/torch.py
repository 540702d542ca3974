"""PyTorch: a state dict's tensors as torch itself reads them, in torch's own modules.

A state dict holds no architecture, so torch cannot run it as a model: modules are connected as the
mapping says, and the check says so. What a module is loaded with is torch's own affair, by the
names of a state dict, and not asked of the mapping: gate order, layout, both biases and the
direction of an nn.LSTM, layout and bias of an nn.Linear, what is what in an nn.BatchNorm1d. Weights
under other names, or in other formats, are none that torch knows what to do with; they are refused.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import dataset_names
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.loading.torch.content import state_tensors
from lstm_lrp_cli.loading.torch.modules import RECURRENT_WEIGHT
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from .framework import Framework, asking, import_framework, refuse_others

NAME = "--against torch"
# Before it, torch.load(weights_only=True) could be made to run code (CVE-2025-32434).
OLDEST = (2, 6)
# What it loads; the format's name is that of the file's reader.
FORMATS = ("PyTorch", "safetensors", "torch.export")
# From the values of a node's sources to its own: (n, steps, units) by step, else (n, units).
Function = Callable[..., Any]


def open_torch(loaded: LoadedModel) -> Framework:
    """Load the file's tensors into torch's modules.

    Raises
    ------
    UnusableInput
        The file is none of torch's, or its weights have other names than torch gives; or torch has
        no such module.
    """
    refuse_others("torch", "torch", loaded, FORMATS)
    torch = import_framework("torch", "torch", "torch")
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST:
        raise UnusableInput(
            NAME,
            f"found torch {torch.__version__}, which a file can have run code (CVE-2025-32434); "
            "python -m pip install 'torch>=2.6'",
        )
    model, path = loaded.model, loaded.contents.path
    if loaded.contents.format == "torch.export":
        from .program import open_program

        return open_program(torch, loaded, f"{NAME}: {path}")
    dtype = getattr(torch, model.dtype.name)
    name = f"torch {torch.__version__}"
    with asking(f"{NAME}: {path}", "torch does not load it"):
        tensors = _Tensors(torch, dtype, loaded)
        modules = _Modules(torch, dtype, loaded, tensors)
        embedding = modules.embedding()
        functions = [modules.function(node.layer) for node in model.nodes]

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            own = model.only_input.own_scaling
            inputs = inputs if own is None else own.of(inputs)
            given = torch.as_tensor(np.ascontiguousarray(inputs))
            embedded = given.to(dtype) if embedding is None else embedding(given.long())
            outputs: NDArray[Any] = torch.cat(run_graph(model, functions, embedded), -1).numpy()
        return outputs

    return Framework(name, model.dtype, "scores", masks=False, run=run, is_whole=False)


def run_graph(model: Model, functions: Sequence[Function], embedded: Any) -> list[Any]:
    """The value of each output of a model, given its input after the embedding."""
    values = {MODEL_INPUT: embedded}
    for place, (node, function) in enumerate(zip(model.nodes, functions, strict=True)):
        values[place] = function(*(values[source] for source in node.sources))
    return [values[output] for output in model.outputs]


class _Tensors:
    """The file's tensors by their names, as torch reads them."""

    def __init__(self, torch: Any, dtype: Any, loaded: LoadedModel) -> None:
        self._torch, self._dtype, self._precision = torch, dtype, loaded.model.dtype
        self._path = path = loaded.contents.path
        self._read: dict[str, Any]
        if loaded.contents.format == "PyTorch":
            try:
                content = torch.load(path, weights_only=True, map_location="cpu")
            except UnpicklingError as error:
                raise UnusableInput(
                    f"{NAME}: {path}",
                    "torch loads it only by running what it holds; save `model.state_dict()` alone",
                ) from error
            self._read = state_tensors(content, torch.Tensor)
        else:
            reader = import_framework("safetensors.torch", "torch", "safetensors")
            self._read = reader.load_file(path)

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            raise UnusableInput(
                f"{NAME}: {self._path}",
                f"torch has no tensor `{name}` there: it is computed of others, and no module of "
                "torch's keeps it under that name",
            )
        return self._read[name].to(self._dtype)

    def of_names(self, names: Mapping[str, str]) -> dict[str, Any]:
        """By role, the tensors of those names that the file has."""
        return {role: self[name] for role, name in names.items() if name in self._read}

    def of_array(self, array: NDArray[Any]) -> Any:
        """A tensor of numbers that have no arrangement."""
        return self._torch.from_numpy(np.array(array, dtype=self._precision))


class _Modules:
    """Makes torch's modules of the layers of a model."""

    def __init__(self, torch: Any, dtype: Any, loaded: LoadedModel, tensors: _Tensors) -> None:
        self._torch, self._dtype, self._tensors = torch, dtype, tensors
        specs = loaded.contents.described.mapping.layers or []
        self._table = next((spec.embedding for spec in specs if spec.embedding), None)
        self._specs = {id(layer): spec for layer, spec in zip(loaded.built, specs, strict=True)}
        # An attention is made of several layers, each of which has names of its own.
        denses = (node.layer for node in loaded.model.nodes if isinstance(node.layer, Dense))
        self._linear_names = dict(zip(map(id, denses), _linear_names(specs), strict=True))

    def embedding(self) -> Function | None:
        if self._table is None:
            return None
        weights = self._tensors[self._table.weights]
        table: Function = self._torch.nn.Embedding.from_pretrained(weights)
        return table

    def function(self, layer: Layer) -> Function:
        """What torch makes of a layer."""
        spec = self._specs.get(id(layer), LayerSpec())
        match layer:
            case Lstm():
                return self._lstm(layer, spec.lstm)
            case Dense():
                return self._linear(layer)
            case Scale():
                return self._normalization(layer, spec.batch_norm)
            case Activation():
                return self._activation(layer.kind)
            case Pool():
                pools: dict[str, Function] = {
                    "mean": lambda x: x.mean(1),
                    "max": lambda x: x.amax(1),
                    "sum": lambda x: x.sum(1),
                    "first": lambda x: x[:, 0],
                    "last": lambda x: x[:, -1],
                }
                return pools[layer.kind]
            case Flatten():
                return lambda x: x.flatten(1)
            case Reverse():
                return lambda x: x.flip(1)
            case StepSoftmax():
                return lambda x: x.softmax(1)
            case Merge():
                return self._merge(layer.kind)
            case _:
                raise UnusableInput(NAME, f"has no torch module for {type(layer).__name__}")

    def _lstm(self, layer: Lstm, spec: LstmSpec | None) -> Function:
        """An nn.LSTM of one layer; one that goes backwards alone is given the steps reversed."""
        torch = self._torch
        if layer.stateful:
            raise UnusableInput(
                NAME,
                "torch's LSTMs begin every sequence anew, and the mapping says `stateful`; compare "
                "by --expected",
            )
        if layer.activation != "tanh" or layer.gate_activation != "sigmoid":
            raise UnusableInput(
                NAME,
                f"torch's LSTM has sigmoid gates and tanh cells, this one {layer.gate_activation} "
                f"gates and {layer.activation} cells; compare by --expected",
            )
        cells = sorted(self._cells(layer, spec), key=lambda cell: cell.backward)
        cell = layer.cells[0]
        if cell.projection is not None and cell.output_size >= cell.hidden_size:
            raise UnusableInput(
                NAME,
                f"torch's LSTM projects to fewer units than it has; this one projects "
                f"{cell.hidden_size} to {cell.output_size}; compare by --expected",
            )
        module = torch.nn.LSTM(
            cell.input_size,
            cell.hidden_size,
            batch_first=True,
            bidirectional=len(cells) == 2,
            proj_size=0 if cell.projection is None else cell.output_size,
            dtype=self._dtype,
        )
        parameters: dict[str, Any] = {}
        for each, suffix in zip(cells, ("", "_reverse"), strict=False):
            parameters |= {f"{role}_l0{suffix}": each.tensors[role] for role in each.tensors}
        module.load_state_dict(parameters)
        flipped = len(cells) == 1 and cells[0].backward
        states = self._states(layer)

        def run(x: Any) -> Any:
            x = x.flip(1) if flipped else x
            initial = [state.expand(-1, len(x), -1).contiguous() for state in states]
            steps, (last, _) = module(x, tuple(initial))
            if layer.returns == "last":
                parts = list(last)
            else:
                steps = steps.flip(1) if flipped else steps
                parts = list(steps.chunk(len(cells), -1))
            return self._merge(layer.merge)(*parts)

        return run

    def _states(self, layer: Lstm) -> list[Any]:
        """The hidden and cell states before the first step, each (directions, 1, units)."""
        found = []
        for role, width in (("initial_hidden", "output_size"), ("initial_cell", "hidden_size")):
            states = [getattr(cell, role) for cell in layer.cells]
            zeros = np.zeros(getattr(layer.cells[0], width))
            stacked = np.stack([zeros if state is None else state for state in states])
            found.append(self._tensors.of_array(stacked)[:, None])
        return found

    def _cells(self, layer: Lstm, spec: LstmSpec | None) -> list["_Cell"]:
        """The directions by torch's own names, which say what is the reverse one, if any does."""
        names = [_input_name(cell, spec) for cell in layer.cells]
        told = any(name.endswith("_reverse") for name in names)
        return [
            _Cell(
                name.endswith("_reverse") if told else cell.backward, self._parameters(cell, name)
            )
            for cell, name in zip(layer.cells, names, strict=True)
        ]

    def _parameters(self, cell: LstmCell, input_name: str) -> dict[str, Any]:
        """What an nn.LSTM is loaded with; a bias that the file lacks is 0."""
        gates = 4 * cell.hidden_size
        before, _, after = input_name.rpartition("weight_ih")
        names = {
            role: f"{before}{role}{after}"
            for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        }
        zeros = self._tensors.of_array(np.zeros(gates))
        return {"bias_ih": zeros, "bias_hh": zeros} | self._tensors.of_names(names)

    def _linear(self, layer: Dense) -> Function:
        """An nn.Linear, with its own bias; a vector is one of a single output."""
        name, biases = self._linear_names[id(layer)]
        weights = self._tensors[name]
        if weights.ndim > 1 and not name.endswith("weight"):
            raise _not_torchs(name, "an nn.Linear's weights", "how they lie")
        bias = self._tensors.of_names({"bias": f"{name.removesuffix('weight')}bias"})
        if biases and not bias:
            raise _not_torchs(biases[0], "the bias of an nn.Linear", "whose it is")
        weights = weights.reshape(-1, weights.shape[-1])
        outputs, inputs = layer.weights.shape
        module = self._torch.nn.Linear(inputs, outputs, bias=bool(bias), dtype=self._dtype)
        module.load_state_dict({"weight": weights} | bias)
        linear: Function = module
        return linear

    def _normalization(self, layer: Scale, spec: BatchNormSpec | None) -> Function:
        """An nn.BatchNorm1d, whatever roles the mapping gives to its parts."""
        parts = (spec.mean, spec.variance, spec.scale, spec.offset) if spec else ()
        name = next((part for part in parts if isinstance(part, str)), "")
        own = name[: name.rfind(".") + 1]
        roles = ("running_mean", "running_var", "weight", "bias")
        tensors = self._tensors.of_names({role: f"{own}{role}" for role in roles})
        if spec is None or not {"running_mean", "running_var"} <= set(tensors):
            raise _not_torchs(name, "part of an nn.BatchNorm1d", "what it is")
        module = self._torch.nn.BatchNorm1d(
            len(layer.factors), eps=spec.epsilon, affine="weight" in tensors, dtype=self._dtype
        )
        # That some files lack how many batches there were changes nothing.
        module.load_state_dict(tensors, strict=False)
        module.eval()
        # A batch of steps has its units in the middle there.
        return lambda x: module(x) if x.ndim == 2 else module(x.transpose(1, 2)).transpose(1, 2)

    def _activation(self, kind: str) -> Function:
        torch, functional = self._torch, self._torch.nn.functional
        known: dict[str, Function] = {
            "linear": lambda x: x,
            "softmax": lambda x: x.softmax(-1),
            "exponential": torch.exp,
            "square": torch.square,
            "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
            "hard_sigmoid_relu6": functional.hardsigmoid,
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
        }
        if kind == "hard_sigmoid":
            raise UnusableInput(
                NAME, "torch has not the hard sigmoid of Keras 1 and 2; compare by --expected"
            )
        return known[kind] if kind in known else getattr(functional, kind)

    def _merge(self, kind: str) -> Function:
        torch = self._torch

        def joined(*parts: Any) -> Any:
            if kind == "concat":
                return torch.cat(parts, -1)
            if kind in ("product", "gate"):
                return math.prod(parts[1:], start=parts[0])
            if kind == "difference":
                return parts[0] - parts[1]
            if kind == "max":
                return torch.stack(parts).amax(0)
            total = sum(parts[1:], start=parts[0])
            return total / len(parts) if kind == "mean" else total

        return joined


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One direction: which, and its tensors by torch's names of their roles."""

    backward: bool
    tensors: dict[str, Any]


def _input_name(cell: LstmCell, spec: LstmSpec | None) -> str:
    """The dataset of a cell's input weights, which must be called as torch calls them."""
    direction = spec and (spec.backward if cell.backward else spec.forward)
    name = direction.input if direction else None
    if not isinstance(name, str) or not RECURRENT_WEIGHT.match(name):
        shown = ", ".join(dataset_names(name)) or "combined weights"
        raise _not_torchs(shown, "an nn.LSTM's weights", "how its gates lie")
    return name


def _not_torchs(name: str, what: str, known: str) -> UnusableInput:
    """An error about weights of which the mapping alone knows something."""
    return UnusableInput(
        NAME,
        f"`{name}` is not what torch calls {what}, so the mapping alone knows {known}; compare by "
        "--expected",
    )


def _linear_names(specs: Iterable[LayerSpec]) -> Iterator[tuple[str, list[str]]]:
    """Of every linear map, in the order in which they are built, its weights and its biases."""
    for spec in specs:
        attention = spec.attention
        for each in (spec.dense, attention and attention.hidden, attention):
            if each is not None:
                weights = dataset_names(each.weights)
                if len(weights) > 1:
                    raise UnusableInput(
                        NAME, f"no nn.Linear joins {', '.join(weights)}; compare by --expected"
                    )
                yield weights[0], dataset_names(each.bias)
