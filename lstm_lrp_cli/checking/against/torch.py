"""PyTorch: the file as torch itself reads it, in torch's own modules.

A state dict holds no architecture, so modules are connected as the mapping says. What a module is
loaded with is torch's own affair where the names are those of a state dict: gate order, layout,
both biases and the direction of an nn.LSTM are not asked of the mapping. Of other files the weights
are taken as the mapping arranges them.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.checking.against.framework import Framework, asking, import_framework
from lstm_lrp_cli.checking.against.graph import Function, run_graph
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.formats import open_weights
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.loading.mapping import BatchNormSpec, DenseSpec, LayerSpec, LstmSpec
from lstm_lrp_cli.loading.state_dict import LSTM_WEIGHT
from lstm_lrp_cli.loading.torch_zip import named
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Flatten,
    Layer,
    Lstm,
    LstmCell,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)

NAME = "--against torch"
# Before it, torch.load(weights_only=True) could be made to run code (CVE-2025-32434).
OLDEST = (2, 6)


def open_framework(loaded: LoadedModel) -> Framework:
    """Load the file's tensors into torch's modules."""
    torch = import_framework("torch", "torch", "torch")
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST:
        raise UnusableInput(
            NAME,
            f"found torch {torch.__version__}, which a file can have run code (CVE-2025-32434); "
            "python -m pip install 'torch>=2.6'",
        )
    model = loaded.model
    dtype = getattr(torch, model.dtype.name)
    name = f"torch {torch.__version__}"
    with asking(f"{NAME}: {loaded.contents.path}", "torch does not load it"):
        tensors = _Tensors(torch, dtype, loaded)
        modules = _Modules(torch, dtype, loaded, tensors)
        embedding = modules.embedding()
        functions = [modules.function(node.layer) for node in model.nodes]

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            given = torch.as_tensor(np.ascontiguousarray(inputs))
            embedded = given.to(dtype) if embedding is None else embedding(given.long())
            outputs: NDArray[Any] = torch.cat(run_graph(model, functions, embedded), -1).numpy()
        return outputs

    return Framework(name, model.dtype, "scores", masks=False, run=run)


class _Tensors:
    """The file's tensors by their names.

    Parameters
    ----------
    own : bool
        Whether torch reads them itself; else lrp does.
    """

    def __init__(self, torch: Any, dtype: Any, loaded: LoadedModel) -> None:
        self._torch, self._dtype, self._precision = torch, dtype, loaded.model.dtype
        self._path = loaded.contents.path
        self.names = frozenset(loaded.contents.datasets)
        self._read: dict[str, Any] | None = None
        if loaded.contents.format == "PyTorch":
            content = torch.load(self._path, weights_only=True, map_location="cpu")
            self._read = dict(named(content, torch.Tensor))
        elif loaded.contents.format == "safetensors":
            reader = import_framework("safetensors.torch", "torch", "safetensors")
            self._read = reader.load_file(self._path)

    @property
    def own(self) -> bool:
        return self._read is not None

    def __getitem__(self, name: str) -> Any:
        if self._read is not None:
            return self._read[name].to(self._dtype)
        with open_weights(self._path).file as file:
            return self.of_array(file.read(name))

    def of_array(self, array: NDArray[Any]) -> Any:
        """A tensor of weights as the mapping arranges them."""
        return self._torch.from_numpy(np.array(array, dtype=self._precision))


class _Modules:
    """Makes torch's modules of the layers of a model."""

    def __init__(self, torch: Any, dtype: Any, loaded: LoadedModel, tensors: _Tensors) -> None:
        self._torch, self._dtype, self._tensors = torch, dtype, tensors
        self._embedding = loaded.model.embedding
        # An exporter may keep torch's names for weights that it rearranges.
        self._has_own_names = loaded.contents.format != "ONNX"
        specs = loaded.contents.described.mapping.layers or []
        self._specs = {id(layer): spec for layer, spec in zip(loaded.built, specs, strict=True)}

    def embedding(self) -> Function | None:
        if self._embedding is None:
            return None
        spec = self._specs[id(self._embedding)].embedding
        if spec is not None and self._tensors.own:
            weights = self._tensors[spec.weights]
        else:
            weights = self._tensors.of_array(self._embedding.weights)
        table: Function = self._torch.nn.Embedding.from_pretrained(weights)
        return table

    def function(self, layer: Layer) -> Function:
        """What torch makes of a layer."""
        spec = self._specs.get(id(layer), LayerSpec())
        match layer:
            case Lstm():
                return self._lstm(layer, spec.lstm)
            case Dense():
                return self._linear(layer, spec.dense)
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
        """The directions: by torch's own names where the mapping names one, else as it is mapped.

        Where one of two names says that it is the reverse one, the other is not.
        """
        names = [_input_name(cell, spec) for cell in layer.cells]
        own = self._has_own_names
        matches = [LSTM_WEIGHT.match(name) if name and own else None for name in names]
        told = any(match and match[3] for match in matches)
        found = []
        for cell, match in zip(layer.cells, matches, strict=True):
            backward = bool(match[3]) if match and told else cell.backward
            found.append(_Cell(backward, self._parameters(cell, match)))
        return found

    def _parameters(self, cell: LstmCell, own: re.Match[str] | None) -> dict[str, Any]:
        gates = 4 * cell.hidden_size
        arrays = {
            "weight_ih": cell.input.reshape(gates, -1),
            "weight_hh": cell.recurrent.reshape(gates, -1),
            "bias_ih": cell.bias.reshape(-1),
            "bias_hh": np.zeros(gates),
        }
        if cell.projection is not None:
            arrays["weight_hr"] = cell.projection
        if own is None:
            return {role: self._tensors.of_array(array) for role, array in arrays.items()}
        prefix, depth, reverse = own.groups()
        found = {}
        for role, array in arrays.items():
            name = f"{prefix}{role}_l{depth}{reverse or ''}"
            there = name in self._tensors.names
            found[role] = self._tensors[name] if there else self._tensors.of_array(0.0 * array)
        return found

    def _linear(self, layer: Dense, spec: DenseSpec | None) -> Function:
        """An nn.Linear, with its own bias where torch reads the file itself."""
        outputs, inputs = layer.weights.shape
        weights = self._tensors.of_array(layer.weights)
        bias = None if layer.bias is None else self._tensors.of_array(layer.bias)
        name = spec.weights if spec else None
        if self._tensors.own and isinstance(name, str) and name.endswith("weight"):
            own = self._tensors[name]
            if own.shape == weights.shape:
                other = name.removesuffix("weight") + "bias"
                weights = own
                bias = self._tensors[other] if other in self._tensors.names else None
        module = self._torch.nn.Linear(inputs, outputs, bias=bias is not None, dtype=self._dtype)
        module.load_state_dict({"weight": weights} | ({} if bias is None else {"bias": bias}))
        linear: Function = module
        return linear

    def _normalization(self, layer: Scale, spec: BatchNormSpec | None) -> Function:
        if spec is None or spec.mean is None or spec.variance is None:
            factors, offsets = map(self._tensors.of_array, (layer.factors, layer.offsets))
            return lambda x: x * factors + offsets
        module = self._torch.nn.BatchNorm1d(len(layer.factors), eps=spec.epsilon, dtype=self._dtype)
        roles = {
            "running_mean": spec.mean,
            "running_var": spec.variance,
            "weight": spec.scale,
            "bias": spec.offset,
        }
        tensors = {role: self._tensors[name] for role, name in roles.items() if name is not None}
        module.load_state_dict(
            {role: tensor.expand(len(layer.factors)) for role, tensor in tensors.items()},
            strict=False,
        )
        module.eval()
        # A batch of steps has its units in the middle there.
        return lambda x: module(x) if x.ndim == 2 else module(x.transpose(1, 2)).transpose(1, 2)

    def _activation(self, kind: str) -> Function:
        torch, functional = self._torch, self._torch.nn.functional
        known: dict[str, Function] = {
            "linear": lambda x: x,
            "softmax": lambda x: x.softmax(-1),
            "exponential": torch.exp,
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
            total = sum(parts[1:], start=parts[0])
            return total / len(parts) if kind == "mean" else total

        return joined


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One direction: which, and its tensors by torch's names of their roles."""

    backward: bool
    tensors: dict[str, Any]


def _input_name(cell: LstmCell, spec: LstmSpec | None) -> str | None:
    """The dataset of a cell's input weights, where it is one."""
    direction = spec and (spec.backward if cell.backward else spec.forward)
    name = direction.input if direction else None
    return name if isinstance(name, str) else None
