"""Finding the modules of a state dict by names and shapes.

A state dict has each module's weights under the module's path, in the order in which a script made
the modules; what has no weights is not in it. A whole pickle has that too, as `ModuleRecord`s.
"""

import re
from collections.abc import Mapping as Names
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.files import Stored
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RnnSpec
from lstm_lrp_cli.loading.layers.steps import ConvolutionSpec
from lstm_lrp_cli.loading.layers.units import (
    BatchNormSpec,
    DenseSpec,
    EmbeddingSpec,
    LayerNormSpec,
    LeakyReluSpec,
)
from lstm_lrp_cli.loading.torch.modules import (
    RECURRENT_WEIGHT,
    FoundModule,
    ModuleKind,
    ModuleRecord,
    Modules,
)

# PyTorch keeps (W_ii|W_if|W_ig|W_io), each (hidden, inputs): see torch.nn.LSTM; of nn.GRU
# (W_ir|W_iz|W_in).
GATES: dict[int, list[str]] = {4: ["i", "f", "g", "o"], 3: ["r", "z", "n"]}
# What nn.BatchNorm1d trains, and what it gathers.
AFFINE = ("weight", "bias")
MOMENTS = ("running_mean", "running_var")
# What both normalizations add to the variance unless told otherwise.
NORM_EPSILON = 1e-5

# What scripts call a loss, and what one keeps.
LOSS = re.compile(r"(.*[._])?(loss|criterion|crit)(_?(fn|func|function))?")
OF_LOSSES = ("weight", "pos_weight")

# The classes of torch.nn whose weights look so.
CLASSES: dict[str, tuple[str, ...]] = {
    "dense": ("Linear", "Embedding"),
    "recurrent": ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"),
    "convolution": ("Conv1d",),
    "batch_norm": ("BatchNorm1d",),
    "layer_norm": ("LayerNorm",),
    "self_attention": ("MultiheadAttention",),
    "prelu": ("PReLU",),
}


# Weights of a recurrent layer that somebody keeps under names of their own: lstm_weight_ih_l0.
OWN_NAME = re.compile(r"(.+?)((?:weight|bias)_(?:ih|hh|hr)(?:_l\d+(?:_reverse)?)?)", re.DOTALL)


class Group(Struct, frozen=True):
    """The datasets of one module, by the last part of their names, and what stands before it."""

    path: str
    dot: str
    shapes: dict[str, tuple[int, ...]]

    def name(self, part: str) -> str:
        return f"{self.path}{self.dot}{part}"

    def has(self, part: str) -> str | None:
        return self.name(part) if part in self.shapes else None


def groups_of(datasets: Names[str, Stored]) -> list[Group]:
    """The datasets that may be weights, by the module that they belong to, in the file's order."""
    found: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for name, stored in datasets.items():
        # Beside the state dict stands an optimizer's; whole numbers are no weights.
        if "/" in name or stored.dtype.startswith(("int", "uint", "bool")):
            continue
        path, dot, part = name.rpartition(".")
        own = OWN_NAME.fullmatch(part)
        if own is not None:
            path, dot, part = f"{path}{dot}{own[1]}", "", own[2]
        # The weights of classes in a loss are no part of the model.
        if part in OF_LOSSES and len(stored.shape) == 1 and LOSS.fullmatch(path.lower()):
            continue
        found.setdefault((path, dot), {})[part] = stored.shape
    return [Group(path, dot, shapes) for (path, dot), shapes in found.items()]


def find_modules(datasets: Names[str, Stored], records: Sequence[ModuleRecord] = ()) -> Modules:
    """The modules whose weights a state dict holds, and what belongs to none.

    Parameters
    ----------
    datasets : mapping of str to Stored
    records : sequence of ModuleRecord
        Of a whole pickle; what they say is no guess.
    """
    groups = groups_of(datasets)
    beside = {group.path: group for group in groups}
    said = {record.path: record for record in records}
    parts = [_recorded(_module(group, beside), said) for group in groups]
    found = [each for each in parts if each is not None]
    # The linear layer inside an attention is a part of it.
    inner = {name for each in found if each.kind == "self_attention" for name in each.weights[1:]}
    found = [each for each in found if each.kind != "dense" or each.weights[0] not in inner]
    used = {name for each in found for name in each.weights}
    of_groups = {
        group.name(part): shape for group in groups for part, shape in group.shapes.items()
    }
    shapes = {name: of_groups[name] for name in datasets if name in of_groups}
    unknown = [name for name in shapes if name not in used]
    everything = Modules(found, unknown, shapes, said)
    embedded = _with_embeddings(everything)
    return replace(everything, found=_interleaved(embedded, records))


def _module(group: Group, beside: Names[str, Group]) -> FoundModule | None:
    """What a group of weights is, by its names and shapes; None where it is nothing known."""
    shapes = group.shapes
    if any(RECURRENT_WEIGHT.fullmatch(part) for part in shapes):
        return _recurrent(group)
    if set(MOMENTS) <= shapes.keys():
        mean, variance = map(group.name, MOMENTS)
        scale, offset = map(group.has, AFFINE)
        spec = BatchNormSpec(mean, variance, scale, offset, NORM_EPSILON)
        return _of(group, "batch_norm", LayerSpec(batch_norm=spec), (*MOMENTS, *AFFINE))
    if "in_proj_weight" in shapes:
        return _self_attention(group, beside)
    match shapes.get("weight", ()):
        case (outputs, inputs, _):
            convolution = ConvolutionSpec(
                group.name("weight"), "outputs_inputs_width", group.has("bias")
            )
            found = _of(group, "convolution", LayerSpec(convolution=convolution), AFFINE)
            return replace(found, inputs=inputs, outputs=outputs)
        case (outputs, inputs):
            dense = DenseSpec(group.name("weight"), "classes_by_features", group.has("bias"))
            found = _of(group, "dense", LayerSpec(dense=dense), AFFINE)
            return replace(found, inputs=inputs, outputs=outputs)
        case (_,):
            return _of_vectors(group)
    return None


def _of(group: Group, kind: ModuleKind, layer: LayerSpec, parts: Sequence[str]) -> FoundModule:
    """A module with those of the parts that the group has; as wide as the first of them."""
    names = tuple(name for part in parts if (name := group.has(part)))
    units = group.shapes[parts[0]][0]
    return FoundModule(group.path, kind, (layer,), units, units, names)


def _of_vectors(group: Group) -> FoundModule:
    """Layer normalization, which has two vectors of one size; a single one is of an nn.PReLU."""
    name = group.path.rpartition(".")[2].lower()
    if "bias" in group.shapes or "norm" in name or name.startswith("ln"):
        spec = LayerNormSpec(group.name("weight"), group.has("bias"), NORM_EPSILON)
        return _of(group, "layer_norm", LayerSpec(layer_norm=spec), AFFINE)
    leaky = LeakyReluSpec(slopes=group.name("weight"))
    found = _of(group, "prelu", LayerSpec(leaky_relu=leaky), ("weight",))
    return replace(found, inputs=0, outputs=0) if group.shapes["weight"] == (1,) else found


def _recurrent(group: Group) -> FoundModule | None:
    """An nn.LSTM, nn.GRU or nn.RNN with all of its layers, or a cell; None where it is neither."""
    shapes = group.shapes
    suffix = "_l0" if "weight_ih_l0" in shapes else ""
    gates = gates_of(shapes, f"weight_ih{suffix}")
    if gates is None:
        return None
    depth = 1
    while suffix and f"weight_ih_l{depth}" in shapes:
        depth += 1
    suffixes = [f"_l{k}" for k in range(depth)] if suffix else [""]
    layers = tuple(_layer(group, each, gates) for each in suffixes)
    parts = [
        f"{role}{each}{side}"
        for each in suffixes
        for side in ("", "_reverse")
        for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    ]
    both = 1 + (f"weight_ih{suffix}_reverse" in shapes)
    found = _of(group, "recurrent", layers[0], parts)
    width = shapes[f"weight_hh{suffix}"][1]
    return replace(
        found, layers=layers, inputs=shapes[f"weight_ih{suffix}"][1], outputs=both * width
    )


def gates_of(shapes: Names[str, tuple[int, ...]], name: str) -> int | None:
    """How many gates a cell has, by the shapes of its two matrices; None where they are no cell's.

    An nn.LSTM, an nn.GRU and an nn.RNN have the same names.
    """
    pair = [shapes.get(each, ()) for each in (name, name.replace("weight_ih", "weight_hh"))]
    if any(len(shape) != 2 for shape in pair):
        return None
    (rows, _), (others, width) = pair
    if name.replace("weight_ih", "weight_hr") in shapes:
        return 4  # only an LSTM can have a projection
    gates = rows // width if rows == others and width and rows % width == 0 else None
    return gates if gates in GATES or gates == 1 else None


def _layer(group: Group, suffix: str, gates: int) -> LayerSpec:
    """One layer, which returns every step."""

    def cell(side: str) -> CellSpec | None:
        end = f"{suffix}{side}"
        weights, recurrent = group.has(f"weight_ih{end}"), group.has(f"weight_hh{end}")
        if weights is None or recurrent is None:
            return None
        biases: Any = [name for kind in ("ih", "hh") if (name := group.has(f"bias_{kind}{end}"))]
        if gates == 3 and len(biases) == 2:
            return CellSpec(weights, recurrent, bias=biases[0], recurrent_bias=biases[1])
        projection = group.has(f"weight_hr{end}")
        return CellSpec(weights, recurrent, bias=biases or None, projection=projection)

    sides: Any = {"forward": cell(""), "backward": cell("_reverse"), "returns": "sequence"}
    match gates:
        case 4:
            return LayerSpec(lstm=LstmSpec(GATES[4], "gates_by_features", **sides))
        case 3:
            return LayerSpec(gru=GruSpec(GATES[3], "gates_by_features", **sides))
    return LayerSpec(rnn=RnnSpec(layout="units_by_features", **sides))


def _self_attention(group: Group, beside: Names[str, Group]) -> FoundModule | None:
    """nn.MultiheadAttention: queries, keys and values by one product, and a linear layer behind."""
    after, shape = beside.get(group.name("out_proj")), group.shapes["in_proj_weight"]
    units = shape[-1] if shape else 0
    if after is None or shape != (3 * units, units) or after.shapes.get("weight") != (units, units):
        return None
    parts = (
        (group.name("in_proj_weight"), group.has("in_proj_bias")),
        (after.name("weight"), after.has("bias")),
    )
    layers = tuple(LayerSpec(dense=DenseSpec(w, "classes_by_features", b)) for w, b in parts)
    weights = tuple(name for part in parts for name in part if name)
    return FoundModule(group.path, "self_attention", layers, units, units, weights)


def _with_embeddings(modules: Modules) -> list[FoundModule]:
    """The modules, those matrices embeddings that are some by their name or by what reads them.

    A matrix without bias before a recurrent layer that takes as many features is taken for one. In
    a file that is sorted by name, as safetensors are, nothing stands before; it is one that no
    recurrent layer feeds, or is called an encoder.
    """
    found = modules.found
    recurrent = [each for each in found if each.kind == "recurrent"]
    order = {each.path: place for place, each in enumerate(found)}

    def is_embedding(each: FoundModule) -> bool:
        if each.kind != "dense" or len(each.weights) > 1 or each.record is not None:
            return False
        if each.is_named_embedding:
            return True
        reading = [one for one in recurrent if one.inputs == each.inputs]
        if modules.is_sorted:
            is_fed = any(one.outputs == each.inputs for one in recurrent)
            return bool(reading) and (not is_fed or "encod" in each.path.lower())
        return any(order[each.path] < order[one.path] for one in reading)

    return [_as_embedding(each) if is_embedding(each) else each for each in found]


def _as_embedding(each: FoundModule) -> FoundModule:
    layer = LayerSpec(embedding=EmbeddingSpec(each.weights[0]))
    changed = replace(each, kind="embedding", layers=(layer,))
    return replace(changed, inputs=each.outputs, outputs=each.inputs)


def _recorded(module: FoundModule | None, records: Names[str, ModuleRecord]) -> FoundModule | None:
    """A module with the settings that its record says; None where it is of a class of its own."""
    record = None if module is None else records.get(module.path)
    if module is None or record is None:
        return module
    if record.torch_name not in CLASSES[module.kind]:
        return None
    said, module = record.settings, replace(module, record=record)
    layer = module.layers[0]
    match module.kind:
        case "dense" if record.torch_name == "Embedding":
            return _as_embedding(module)
        case "batch_norm" | "layer_norm" if type(said.get("eps")) is float:
            spec: Any = {layer.kind: replace(layer.settings, epsilon=said["eps"])}
            return replace(module, layers=(replace(layer, **spec),))
        case "recurrent" if said.get("nonlinearity") == "relu" and layer.rnn is not None:
            relu = tuple(
                LayerSpec(rnn=replace(each.rnn, activation="relu"))
                for each in module.layers
                if each.rnn is not None
            )
            return replace(module, layers=relu)
        case "convolution":
            return _recorded_convolution(module, said)
    return module


def _recorded_convolution(module: FoundModule, said: dict[str, Any]) -> FoundModule | None:
    """A convolution as its record says; None where that is no setting of a mapping."""
    spec = module.layers[0].convolution
    assert spec is not None
    values: dict[str, Any] = {"stride": 1, "dilation": 1, "groups": 1, "padding": 0} | said
    numbers = {
        name: values[name][0] if isinstance(values[name], tuple | list) else values[name]
        for name in ("stride", "dilation", "groups", "padding")
        if values[name] != ()
    }
    padding = numbers.pop("padding", None)
    if padding not in ("same", "valid"):
        numbers["padding"] = padding
        padding = [padding, padding] if padding else "valid"
    if any(type(number) is not int for number in numbers.values()) or len(numbers) < 3:
        return None
    if said.get("padding_mode", "zeros") != "zeros":
        return None
    numbers["padding"] = padding
    layer = LayerSpec(convolution=replace(spec, **numbers))
    return replace(module, layers=(layer,), inputs=module.inputs * numbers["groups"])


def _interleaved(found: list[FoundModule], records: Sequence[ModuleRecord]) -> list[FoundModule]:
    """The modules, and among them those of a whole pickle that have no weights and no parts."""
    if not records:
        return found
    places = {record.path: place for place, record in enumerate(records)}
    known = {each.path for each in found}
    inner = {each.path for each in found if each.kind == "self_attention"}
    parents = {record.path.rpartition(".")[0] for record in records if record.path}
    silent = [
        FoundModule(record.path, "silent", record=record)
        for record in records
        if record.path not in known | parents and record.path.rpartition(".")[0] not in inner
    ]
    return sorted([*found, *silent], key=lambda each: places.get(each.path, len(places)))


def attention_at(found: Sequence[FoundModule], width: int, joined: int = 0) -> list[FoundModule]:
    """The linear layers that make one number of each step, where another takes the steps too.

    One, or a hidden one before it (Bahdanau et al. 2015).
    """
    denses = [each for each in found if each.kind == "dense"]
    for count in (1, 2):
        given = [width, *(each.outputs for each in denses)][:count]
        are_fed = [each.inputs for each in denses[:count]] == given
        takes_steps = [width + joined] == [each.inputs for each in denses[count : count + 1]]
        if are_fed and denses[count - 1].outputs == 1 and takes_steps:
            return denses[:count]
    return []
