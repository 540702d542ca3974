"""`.pt2` of torch.export.save: the graph, whose constants have the names of the state dict."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.files.numpy import unpacking
from lstm_lrp_cli.loading.operators.arrays import GraphNode
from lstm_lrp_cli.loading.operators.file import DAMAGED, GraphFile, GraphInput
from . import AtenNode, Taken
from .archive import Archive
from .schema import DTYPES, GraphModule, JsonGraph, JsonNode
from .table import RECURRENT, translated

MOST_NODES = 10_000
# What counts batches while training, and is no weight.
COUNTER = "num_batches_tracked"


class Names(Struct):
    """What tensors of the graph are called here: weights as in the state dict."""

    datasets: frozenset[str]
    given: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        return self.given.get(name) or (f"%{name}" if name in self.datasets else name)


class ExportedFile(GraphFile):
    """A program that torch.export wrote, with its weights.

    Attributes
    ----------
    program : GraphModule
        As it is written.
    results : dict of str to str
        For each output, by its name, the tensor of the program.
    left_out : list of str
        Outputs that are states of recurrent layers beside others.
    """

    format = "torch.export"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opset = 18  # whose operators the nodes become
        with unpacking(str(path), "PyTorch"):
            archive = Archive(path, self.size)
            try:
                self.constants = archive.tensors()
            finally:
                archive.close()
        self.producer = f"torch {archive.torch_version}"
        self.program = archive.program.graph_module
        with damaged(str(path), lambda error: _not_whole(repr(error)), *DAMAGED):
            self._read_graph(self.program)
            self._complete()

    def _read_graph(self, module: GraphModule) -> None:
        graph = module.graph
        if len(graph.nodes) > MOST_NODES:
            raise UnusableInput(
                str(self.path),
                f"its graph has {len(graph.nodes):,} nodes; lrp follows at most {MOST_NODES:,}: "
                "export the model without .run_decompositions(), which takes its LSTM apart",
            )
        names = Names(frozenset(self.constants))
        self.inputs = []
        for spec in module.signature.input_specs:
            self._read_input(spec, graph, names)
        nodes = [self._node(node, graph, names) for node in graph.nodes]
        found = [names.of(name) for name in self._raw_outputs(module)]
        self.nodes = translated(nodes, found, str(self.path), self.size)
        self._read_outputs(module, nodes, names)

    def _read_input(self, spec: dict[str, dict[str, Any]], graph: JsonGraph, names: Names) -> None:
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

    def _node(self, node: JsonNode, graph: JsonGraph, names: Names) -> AtenNode:
        stack = node.metadata.get("nn_module_stack", "").split(";")[-1].split(",")
        outputs = [name for each in node.outputs for name in names_in(each)]
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

    def _raw_outputs(self, module: GraphModule) -> list[str]:
        """The tensors that the model gives, as the program calls them."""
        raw: list[str] = []
        for spec in module.signature.output_specs:
            ((kind, said),) = spec.items()
            if kind == "user_output":
                raw += names_in(said["arg"])
            elif kind != "buffer_mutation" or not said["buffer_name"].endswith(COUNTER):
                raise UnusableInput(
                    str(self.path),
                    f"has an output of the kind {kind}; expected scores alone: a model that keeps "
                    "what it changes (a state) from one run to the next is not read",
                )
        return raw

    def _read_outputs(self, module: GraphModule, nodes: list[AtenNode], names: Names) -> None:
        """What the model gives; states that recurrent layers give beside it are left out."""
        raw = self._raw_outputs(module)
        found = [names.of(name) for name in raw]
        states = {name for node in nodes if node.kind in RECURRENT for name in node.outputs[1:]}
        scores = [k for k, name in enumerate(found) if name not in states]
        scores = scores or list(range(len(found)))
        self.left_out = [name for k, name in enumerate(found) if k not in scores]
        called = _output_names(module, found, nodes)
        taken = Counter(called[k] for k in scores)
        made = {*self.constants, *(entry.name for entry in self.inputs)}
        made |= {name for node in self.nodes for name in node.outputs}
        self.outputs, self.results = [], {}
        for k in scores:
            name = called[k]
            if name != found[k] or taken[name] > 1:
                if name in made or taken[name] > 1:
                    name = f"{name}:{k}"
                self.nodes.append(
                    GraphNode(str(self.path), self.size, "Identity", name, [found[k]], [name], {})
                )
            self.outputs.append(name)
            self.results[name] = raw[k]


def names_in(arg: dict[str, Any]) -> list[str]:
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
            return names_in(value)
        case "as_optional_tensors":
            return [name for each in value for name in names_in(each)]
    return []


def _tensors_of(node: JsonNode) -> Iterator[str]:
    for given in node.inputs:
        yield from names_in(given.arg)


def _value(arg: dict[str, Any], names: Names) -> Any:
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


def _symbol(value: dict[str, Any], names: Names) -> Any:
    if "as_name" in value:
        return Taken(names.of(value["as_name"]))
    ((_, number),) = value.items()
    return number


def _output_names(module: GraphModule, found: list[str], nodes: list[AtenNode]) -> list[str]:
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


def _not_whole(problem: str) -> str:
    return f"is not a whole program of torch.export ({problem}); copy or export it again"
