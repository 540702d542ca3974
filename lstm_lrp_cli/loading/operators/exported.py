"""`.pt2` of torch.export.save: a zip of a graph as JSON, its weights, and how it was made.

Neither torch nor pickle is used, and nothing is executed. Three forms are read, all of version 8 of
PyTorch's schema (torch/_export/serde/schema.py), whose loader reads them too (torch/export):

    models/NAME.json, data/weights/NAME_weights_config.json and raw storages   since 2.9
    models/NAME.json, data/weights/NAME.pt                                     2.8
    serialized_exported_program.json, serialized_state_dict.pt                 before

Where a graph's constants are datasets, they have the names of the state dict.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import bfloat16, check_size, damaged, shape_text
from lstm_lrp_cli.loading.files.numpy import unpacking
from lstm_lrp_cli.loading.torch.pickled import Tensor, read_pickle
from .arrays import Array, GraphNode
from .aten import AtenNode, Taken
from .aten.table import translated
from .file import DAMAGED, GraphFile, GraphInput

# A node takes some hundred bytes of it; what is read of JSON may take twenty times its length.
LONGEST_JSON = 8 * 2**20
MOST_NODES = 10_000
SCHEMA = 8
# The element types of the schema, as NumPy names them.
DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    34: "uint32",
    35: "uint64",
}
# What counts batches while training, and is no weight.
COUNTER = "num_batches_tracked"
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


class _Size(Struct):
    as_int: int | None = None
    as_expr: Any = None


class _Meta(Struct):
    dtype: int
    sizes: list[_Size]
    strides: list[_Size]
    storage_offset: _Size


class _Payload(Struct):
    path_name: str
    use_pickle: bool = False
    tensor_meta: _Meta | None = None


class _Config(Struct):
    config: dict[str, _Payload]


class _Given(Struct):
    name: str
    arg: dict[str, Any]


class _Node(Struct):
    target: str
    inputs: list[_Given]
    outputs: list[dict[str, Any]]
    metadata: dict[str, str] = {}


class _Graph(Struct):
    outputs: list[dict[str, Any]]
    nodes: list[_Node]
    tensor_values: dict[str, _Meta]


class _Signature(Struct):
    input_specs: list[dict[str, dict[str, Any]]]
    output_specs: list[dict[str, Any]]


class _Called(Struct):
    out_spec: str = ""


class _Call(Struct):
    fqn: str
    signature: _Called | None = None


class _Module(Struct):
    graph: _Graph
    signature: _Signature
    module_call_graph: list[_Call] = []


class _Version(Struct):
    major: int
    minor: int = 0


class _Versioned(Struct):
    schema_version: _Version
    torch_version: str = ""


class _Program(Struct):
    graph_module: _Module


class ExportedFile(GraphFile):
    """A program that torch.export wrote, with its weights.

    Attributes
    ----------
    left_out : list of str
        Outputs that are states of recurrent layers beside others.
    """

    format = "torch.export"
    left_out: list[str]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opset = 18  # whose operators `aten` translates to
        with self._closed_if_refused():
            with unpacking(str(path), "PyTorch"):
                self._handle = self._zip = zipfile.ZipFile(path)
                self._names = self._zip.namelist()
                program = self._program()
                weights, constants = self._weights()
            with damaged(str(path), lambda error: _not_whole(repr(error)), *DAMAGED):
                self._read_graph(program.graph_module, weights, constants)
                self._complete()

    def _program(self) -> _Program:
        """The graph, by its version."""
        found = [
            name
            for name in self._names
            if name.split("/")[-2:-1] == ["models"] and name.endswith(".json")
        ]
        old = [name for name in self._names if name == "serialized_exported_program.json"]
        named = [name for name in found if name.endswith("/model.json")] or found or old
        if len(named) != 1:
            raise UnusableInput(
                str(self.path),
                f"holds {len(named)} programs ({', '.join(named) or 'none'}); expected one: "
                "torch.export.save writes one",
            )
        place = named[0]
        self._root = place.removesuffix(place.split("/models/")[-1]).removesuffix("models/")
        self._called = "" if old else place.split("/")[-1].removesuffix(".json")
        data = self._bytes(place)
        version = self._decoded(place, data, _Versioned)
        self.producer = f"PyTorch {version.torch_version}"
        if version.schema_version.major != SCHEMA:
            found_version = f"{version.schema_version.major}.{version.schema_version.minor}"
            raise UnusableInput(
                self.where(place),
                f"is of version {found_version} of PyTorch's schema (torch "
                f"{version.torch_version or 'unknown'}); lrp reads version {SCHEMA}: export the "
                "model again by a newer torch",
            )
        return self._decoded(place, data, _Program)

    def _decoded(self, name: str, data: bytes, kind: Any) -> Any:
        with damaged(
            self.where(name),
            lambda error: f"is not what torch.export writes ({error}); export the model again",
            *(msgspec.MsgspecError, UnicodeDecodeError, RecursionError),
        ):
            return msgspec.json.decode(data, type=kind)

    def _bytes(self, name: str, limit: int = LONGEST_JSON) -> bytes:
        member = self._zip.getinfo(name)
        where = self.where(name)
        if member.file_size > self.size:
            raise UnusableInput(
                where,
                f"claims {member.file_size:,} bytes in a file of {self.size:,}; PyTorch does not "
                "compress its files, so it is not read",
            )
        if member.file_size > limit:
            raise UnusableInput(
                where,
                f"has {member.file_size:,} bytes; lrp reads graphs of at most {limit:,}: export "
                "the model without .run_decompositions()",
            )
        with unpacking(where):
            return self._zip.read(member)

    def _weights(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The state dict, and the constants beside it."""
        if not self._called:
            return self._torch_file("serialized_state_dict"), self._torch_file(
                "serialized_constants"
            )
        folder = f"{self._root}data"
        return tuple(
            self._payloads(f"{folder}/{kind}/", f"{self._called}_{kind}_config.json")
            if f"{folder}/{kind}/{self._called}_{kind}_config.json" in self._names
            else self._torch_file(f"{folder}/{kind}/{self._called}")
            for kind in ("weights", "constants")
        )  # type: ignore[return-value]

    def _payloads(self, folder: str, config: str) -> dict[str, Array]:
        """The tensors that a config lists, each a view of a raw storage."""
        order = f"{self._root}byteorder"
        big = order in self._names and self._bytes(order) == b"big"
        arrays: dict[str, Array] = {}
        storages: dict[str, bytes] = {}
        claimed = 0
        for name, payload in self._decoded(
            config, self._bytes(folder + config), _Config
        ).config.items():
            meta, stored = payload.tensor_meta, payload.path_name
            if not stored.startswith(("weight_", "tensor_")) or meta is None:
                continue  # an object of a class of its own: a node that takes it is refused
            where = self.where(f"tensor `{name}`")
            if payload.use_pickle or meta.dtype not in DTYPES:
                raise UnusableInput(
                    where,
                    "is pickled, or of numbers that NumPy does not have; expected a plain tensor "
                    "of floats: quantized models are not read",
                )
            dtype = DTYPES[meta.dtype]
            sizes = [_number(size) for size in (meta.storage_offset, *meta.sizes, *meta.strides)]
            rank = len(meta.sizes)
            view = (sizes[0], tuple(sizes[1 : rank + 1]), tuple(sizes[rank + 1 :]))
            claimed += np.dtype(_bits(dtype)).itemsize * int(np.prod(view[1], dtype=object))
            check_size(where, (claimed,), 1, self.size)
            if stored not in storages:
                storages[stored] = self._bytes(folder + stored, self.size)
            arrays[name] = _view(where, storages[stored], dtype, view, big)
        return arrays

    def _torch_file(self, name: str) -> dict[str, Array]:
        """The tensors of a dict that torch.save wrote into the file."""
        found = [f"{name}{ending}" for ending in (".pt", ".json") if f"{name}{ending}" in self._names]
        if not found:
            return {}
        where = self.where(found[0])
        data = self._bytes(found[0], self.size)
        with unpacking(where), zipfile.ZipFile(io.BytesIO(data)) as inner:
            names = inner.namelist()
            pickled = min((n for n in names if n.split("/")[-1] == "data.pkl"), key=len)
            root = pickled.removesuffix("data.pkl")
            if sum(member.file_size for member in inner.infolist()) > 2 * len(data):
                raise UnusableInput(where, "is compressed, as PyTorch's files are not")
            big = f"{root}byteorder" in names and inner.read(f"{root}byteorder") == b"big"
            content = read_pickle(inner.read(pickled), where)
            if not isinstance(content, dict):
                raise UnusableInput(where, "is no dict of tensors; export the model again")
            arrays = {}
            claimed = 0
            for key, tensor in content.items():
                if not isinstance(tensor, Tensor):
                    continue
                itemsize = np.dtype(_bits(tensor.storage.dtype)).itemsize
                claimed += itemsize * int(np.prod(tensor.shape, dtype=object))
                check_size(where, (claimed,), 1, self.size)
                view = (tensor.offset, tensor.shape, tensor.strides)
                storage = inner.read(f"{root}data/{tensor.storage.key}")
                arrays[str(key)] = _view(
                    f"{where}: tensor `{key}`", storage, tensor.storage.dtype, view, big
                )
        return arrays

    def _read_graph(
        self, module: _Module, weights: dict[str, Array], constants: dict[str, Array]
    ) -> None:
        graph = module.graph
        if len(graph.nodes) > MOST_NODES:
            raise UnusableInput(
                str(self.path),
                f"its graph has {len(graph.nodes):,} nodes; lrp follows at most {MOST_NODES:,}: "
                "export the model without .run_decompositions(), which takes its LSTM apart",
            )
        self.constants = {**weights, **constants}
        names = _Names(set(self.constants))
        self.inputs = []
        for spec in module.signature.input_specs:
            self._read_input(spec, graph, names)
        nodes = [self._node(node, graph, names) for node in graph.nodes]
        self.nodes = translated(nodes, str(self.path), self.size)
        self._read_outputs(module, nodes, names)

    def _read_input(
        self, spec: dict[str, dict[str, Any]], graph: _Graph, names: "_Names"
    ) -> None:
        """One argument of the graph: a weight, by its name, or what the model is given."""
        ((kind, said),) = spec.items()
        match kind:
            case "parameter" | "buffer" | "tensor_constant":
                stored = said[f"{kind}_name"]
                if stored not in self.constants:
                    raise UnusableInput(
                        self.where(f"tensor `{stored}`"),
                        "is a part of the graph, and the file does not hold it; export the model "
                        "again",
                    )
                names.given[said["arg"]["name"]] = stored
            case "user_input" if "as_tensor" in said["arg"]:
                name = said["arg"]["as_tensor"]["name"]
                meta = graph.tensor_values[name]
                sizes: list[int | str | None] = [size.as_int for size in meta.sizes]
                self.inputs.append(
                    GraphInput(names.of(name), sizes, DTYPES.get(meta.dtype, "other"))
                )

    def _node(self, node: _Node, graph: _Graph, names: "_Names") -> AtenNode:
        stack = node.metadata.get("nn_module_stack", "").split(";")[-1].split(",")
        outputs = [name for each in node.outputs for name in _names_in(each)]
        return AtenNode(
            node.target.removeprefix("torch.ops."),
            stack[1] if len(stack) > 2 and "_hook" not in stack[1] else "",
            {each.name: _value(each.arg, names) for each in node.inputs},
            [names.of(name) for name in outputs],
            {
                names.of(name): [size.as_int for size in graph.tensor_values[name].sizes]
                for name in (*_tensors_of(node), *outputs)
                if name in graph.tensor_values
            },
        )

    def _read_outputs(self, module: _Module, nodes: list[AtenNode], names: "_Names") -> None:
        """What the model gives; states that recurrent layers give beside it are left out."""
        found: list[str] = []
        for spec in module.signature.output_specs:
            ((kind, said),) = spec.items()
            if kind == "user_output":
                found += [names.of(name) for name in _names_in(said["arg"])]
            elif kind != "buffer_mutation" or not said["buffer_name"].endswith(COUNTER):
                raise UnusableInput(
                    str(self.path),
                    f"has an output of the kind {kind}; expected scores alone: a model that keeps "
                    "what it changes (a state) from one run to the next is not read",
                )
        states = {
            name
            for node in nodes
            if node.kind in RECURRENT
            for name in node.outputs[1:]
        }
        scores = [k for k, name in enumerate(found) if name not in states]
        scores = scores or list(range(len(found)))
        self.left_out = [name for k, name in enumerate(found) if k not in scores]
        called = _output_names(module, found, nodes)
        taken = Counter(called[k] for k in scores)
        made = {*self.constants, *(entry.name for entry in self.inputs)}
        made |= {name for node in self.nodes for name in node.outputs}
        self.outputs = []
        for k in scores:
            name = called[k]
            if name != found[k]:
                if name in made or taken[name] > 1:
                    name = f"{name}:{k}"
                self.nodes.append(
                    GraphNode(str(self.path), self.size, "Identity", name, [found[k]], [name], {})
                )
            self.outputs.append(name)


class _Names(Struct):
    """What tensors of the graph are called here: weights as in the state dict."""

    datasets: set[str]
    given: dict[str, str] = {}

    def of(self, name: str) -> str:
        return self.given.get(name) or (f"%{name}" if name in self.datasets else name)


def _names_in(arg: dict[str, Any]) -> list[str]:
    """The tensors and sizes that an argument names, in their order."""
    ((kind, value),) = arg.items()
    match kind:
        case "as_tensor":
            return [value["name"]]
        case "as_tensors":
            return [each["name"] for each in value]
        case "as_sym_int" | "as_sym_float" | "as_sym_bool" if "as_name" in value:
            return [value["as_name"]]
        case "as_optional_tensor":
            return _names_in(value)
        case "as_optional_tensors":
            return [name for each in value for name in _names_in(each)]
    return []


def _tensors_of(node: _Node) -> Iterator[str]:
    for given in node.inputs:
        yield from _names_in(given.arg)


def _value(arg: dict[str, Any], names: _Names) -> Any:
    """An argument as a value; what the graph makes as `Taken`."""
    ((kind, value),) = arg.items()
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return Taken(names.of(value["name"]))
        case "as_tensors":
            return [Taken(names.of(each["name"])) for each in value]
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return _symbol(value, names)
        case "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
            return [_symbol(each, names) for each in value]
        case "as_optional_tensor":
            return _value(value, names)
        case "as_optional_tensors":
            return [_value(each, names) for each in value]
    return value


def _symbol(value: dict[str, Any], names: _Names) -> Any:
    if "as_name" in value:
        return Taken(names.of(value["as_name"]))
    ((_, number),) = value.items()
    return number


def _output_names(module: _Module, found: list[str], nodes: list[AtenNode]) -> list[str]:
    """What each output is called: by its key in a dict, or by the layer that it comes from."""
    called = next((each.signature for each in module.module_call_graph if not each.fqn), None)
    try:
        _, spec = json.loads(called.out_spec if called else "")
        if spec["type"] == "builtins.dict":
            keys = json.loads(spec["context"])
            if len(keys) == len(found) and all(isinstance(key, str) and key for key in keys):
                return list(keys)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # it is no tree of that form, so names are those of layers
    makers = {name: node.module for node in nodes for name in node.outputs}
    paths = [makers.get(name, "") for name in found]
    return [
        path if path and paths.count(path) == 1 else name
        for path, name in zip(paths, found, strict=True)
    ]


def _number(size: _Size) -> int:
    if size.as_int is None or size.as_int < 0:
        raise ValueError("a weight's size is no number")
    return size.as_int


def _bits(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _view(
    where: str,
    data: bytes,
    dtype: str,
    view: tuple[int, tuple[int, ...], tuple[int, ...]],
    big: bool,
) -> Array:
    """A tensor's numbers in a storage, by offset, shape and strides, all in elements."""
    offset, shape, strides = view
    bits = np.dtype(_bits(dtype)).newbyteorder(">" if big else "<")
    if len(shape) != len(strides) or len(shape) > 32:
        raise ValueError(f"a tensor of {len(shape)} sizes and {len(strides)} strides")
    if 0 in shape:
        return np.zeros(shape, dtype=bits)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if (last + 1) * bits.itemsize > len(data):
        raise UnusableInput(
            where,
            f"claims the shape {shape_text(shape)} and reaches to element {last:,} of a storage of "
            f"{len(data) // bits.itemsize:,}; export or copy the file again",
        )
    numbers = np.frombuffer(data, bits, len(data) // bits.itemsize)[offset:]
    steps = tuple(stride * bits.itemsize for stride in strides)
    array = np.lib.stride_tricks.as_strided(numbers, shape, steps, writeable=False)
    if dtype == "bfloat16":
        return bfloat16(array)
    return array.astype(bits.newbyteorder("="), copy=False)


def _not_whole(problem: str) -> str:
    return f"is not a whole program of torch.export ({problem}); copy or export it again"
