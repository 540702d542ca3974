"""Keras's weights alone, as `model.save_weights` writes them: names and shapes, no architecture.

What they leave open is assumed, and told, where there is one usual choice, and asked for where
there are more.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.gates import GateLayout
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RnnSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, DenseSpec, EmbeddingSpec
from lstm_lrp_cli.loading.mapping import Assumption, Described, Mapping, PaddingSpec
from lstm_lrp_cli.loading.mapping.draft import Draft, DraftedLayer, OpenQuestion
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName
from .kinds.feed import SILENT
from .kinds.recurrent import GATE_ORDER, GRU_ORDER
from .kinds.steps import POOLS
from .older.weights import is_called_as_older, joined_gates
from .weights import LayerGroup, class_of, layer_groups, layer_names

# What both TensorFlow 1.13 to 1.15 and 2.0 to 2.1 call their Keras.
AMBIGUOUS = "2.2.4-tf"
# What a dense layer that feeds another may have, the likeliest first.
HIDDEN: tuple[ActivationName, ...] = ("relu", "tanh", "sigmoid", "linear")
# The kinds of layer that a chain has, as they usually follow each other.
RANKS = {"embedding": 0, "recurrent": 1, "pool": 2, "norm": 3, "dense": 4}
# No more layers than these are put in order by their sizes.
MOST_UNORDERED = 7


def describe(file: Hdf5File, assume: bool) -> Described | None:
    """The chain that names and shapes imply; None where the file is not Keras's or has no
    recurrent layer.

    Parameters
    ----------
    assume : bool
        Whether the likeliest chain is taken where more than one could be meant.

    Raises
    ------
    UnusableInput
        More than one model could be made of it: the message asks, with a mapping to mend.
    """
    draft = draft_of(file)
    if draft is None:
        return None
    way = "take the likeliest by --assume, or choose here" if draft.is_likely else "mend this"
    if draft.is_searched:
        way = f"find by `lrp match` what gives your own scores, or {way}"
    beside, mapping = (file.path.with_suffix(end).name for end in (".json", ".yaml"))
    return draft.settled(
        file.path,
        assume,
        f"Save the whole model by model.save('model.keras'), or beside it {beside} with "
        f"model.to_json(), or {way} and save it as {mapping}",
        opening="holds weights and no architecture, and ",
    )


def draft_of(file: Hdf5File) -> Draft | None:
    """The likeliest chain, and what else may be meant; None where there is none."""
    found = [_recognised(file, group) for group in layer_groups(file)]
    if not any(each.kind == "recurrent" for each in found):
        return None
    return _drafted(file, found)


class _FoundLayer(Struct, frozen=True):
    """A layer by its weights: what it is, and how many units it takes and gives.

    `kind` is one of RANKS, "masking", "silent", or "unknown", which is asked for. A bidirectional
    layer gives `merged` units where it makes one of its directions. One that is
    `by_step` is fed with every step.
    """

    name: str
    kind: str
    spec: LayerSpec = field(default_factory=LayerSpec)
    inputs: int = 0
    outputs: int = 0
    merged: int = 0
    by_step: bool = False


def _recognised(file: Hdf5File, group: LayerGroup) -> _FoundLayer:
    """What a layer is, if the shapes of its weights agree with its class."""
    name, kind = group.name, group.kind
    if kind in POOLS and not file.holds(group.path):
        return _FoundLayer(name, "pool", LayerSpec(pool=POOLS[kind]))
    names = [each for each in group.weights if each in file.datasets]
    weights: list[Any] = names
    shapes = [file.datasets[each].shape for each in names]
    if kind in ("LSTM", "Bidirectional") and is_called_as_older(names):
        weights, shapes = joined_gates(names, shapes)
    half = len(weights) // 2
    match kind, shapes:
        case "Embedding", [(tokens, size)]:
            spec = LayerSpec(embedding=EmbeddingSpec(weights[0]))
            return _FoundLayer(name, "embedding", spec, tokens, size)
        case "LSTM" | "CuDNNLSTM" | "GRU" | "SimpleRNN", [(inputs, _), (units, _), *_]:
            found = _recurrent(shapes, _cell(weights))
            if found is not None:
                return _FoundLayer(name, "recurrent", found, inputs, units)
        case "Bidirectional", [(inputs, _), (units, _), *_] if shapes[:half] == shapes[half:]:
            found = _recurrent(shapes[:half], _cell(weights[:half]), _cell(weights[half:]))
            if found is not None:
                return _FoundLayer(name, "recurrent", found, inputs, 2 * units, merged=units)
        case "Dense" | "TimeDistributed", [(inputs, outputs)] | [(inputs, outputs), (_,)]:
            bias = weights[1] if len(weights) > 1 else None
            dense = DenseSpec(weights[0], "features_by_classes", bias)
            by_step = kind == "TimeDistributed"
            return _FoundLayer(
                name, "dense", LayerSpec(dense=dense), inputs, outputs, by_step=by_step
            )
        case "BatchNormalization", [(units,), (_,), (_,), (_,)]:
            scale, offset, mean, variance = weights
            norm = BatchNormSpec(mean, variance, scale, offset)
            return _FoundLayer(name, "norm", LayerSpec(batch_norm=norm), units, units)
    return _FoundLayer(name, _kind_without_weights(file, group))


def _kind_without_weights(file: Hdf5File, group: LayerGroup) -> str:
    """What a layer is by its class, if it has no weights."""
    if not file.holds(group.path):
        if group.kind == "Masking":
            return "masking"
        if group.kind in SILENT:
            return "silent"
    return "unknown"


def _recurrent(
    shapes: list[tuple[int, ...]], forward: CellSpec, backward: CellSpec | None = None
) -> LayerSpec | None:
    """A recurrent layer by the shapes of one cell: its kernels, and a bias if it has one.

    A bias of a GRU in two rows is of a reset gate behind the product; of an LSTM of twice the size,
    cuDNN's.
    """
    match shapes:
        case [(_, gates), (units, same), *biases] if gates == same and len(biases) < 2:
            bias = biases[0] if biases else ()
        case _:
            return None
    if gates == 4 * units and bias in ((), (gates,), (2 * gates,)):
        layout: GateLayout = "cudnn" if bias == (2 * gates,) else "features_by_gates"
        lstm = LstmSpec(gate_order=GATE_ORDER, layout=layout, forward=forward, backward=backward)
        return LayerSpec(lstm=lstm)
    if gates == 3 * units and bias in ((), (gates,), (2, gates)):
        gru = GruSpec(
            gate_order=GRU_ORDER,
            layout="features_by_gates",
            forward=forward,
            backward=backward,
            reset="before" if bias == (gates,) else "after",
        )
        return LayerSpec(gru=gru)
    if gates == units and bias in ((), (gates,)):
        rnn = RnnSpec(layout="features_by_units", forward=forward, backward=backward)
        return LayerSpec(rnn=rnn)
    return None


def _cell(weights: list[Any]) -> CellSpec:
    bias = weights[2] if len(weights) > 2 else None
    return CellSpec(input=weights[0], recurrent=weights[1], bias=bias)


def _orders(chain: list[_FoundLayer]) -> list[list[_FoundLayer]]:
    """The orders in which each layer takes what the one before gives: at most two of them.

    An embedding comes first, layers of one class in the order of their numbers, and a pooling
    behind the last recurrent layer.
    """
    pools = [each for each in chain if each.kind == "pool"]
    sized = [each for each in chain if each.kind != "pool"]
    if len(sized) > MOST_UNORDERED or len(pools) > 1:
        return []
    orders: list[list[_FoundLayer]] = []
    for order in itertools.permutations(sized):
        if _is_numbered(order) and not _misfits(order):
            last = max(place for place, each in enumerate(order) if each.kind == "recurrent")
            orders.append([*order[: last + 1], *pools, *order[last + 1 :]])
    return orders[:2]


def _is_numbered(order: Sequence[_FoundLayer]) -> bool:
    if any(each.kind == "embedding" for each in order[1:]):
        return False
    numbers: dict[str, int] = {}
    for each in order:
        kind = class_of(each.name)
        _, _, suffix = each.name.rpartition("_")
        number = int(suffix) if suffix.isdigit() else 0
        if number < numbers.get(kind, 0):
            return False
        numbers[kind] = number
    return True


def _misfits(chain: Sequence[_FoundLayer]) -> list[str]:
    """Where a layer takes another number of units than the one before gives."""
    problems = []
    sizes: tuple[int, ...] = ()
    for each in chain:
        if sizes and each.inputs and each.inputs not in sizes:
            problems.append(f"`{each.name}` takes {each.inputs} units where there are {sizes[0]}")
        if each.outputs:
            sizes = (each.outputs, *[each.merged] * bool(each.merged))
    return problems


def _drafted(file: Hdf5File, found: list[_FoundLayer]) -> Draft:
    """The likeliest chain."""
    chain = [each for each in found if each.spec.kinds]
    questions = [
        OpenQuestion(f"nothing says what `{each.name}` is")
        for each in found
        if each.kind == "unknown"
    ]
    choices = []
    if layer_names(file) is None:
        orders = _orders(chain)
        if len(orders) != 1:
            usual = "they stand in the usual order"
            choices.append(OpenQuestion("sizes do not tell the order of its layers", usual))
            orders = [sorted(chain, key=lambda each: RANKS[each.kind])]
        [chain] = orders
    questions += map(OpenQuestion, _misfits(chain))
    is_masked = any(each.kind == "masking" for each in found)
    if is_masked and any(each.spec.pool == "max" for each in chain):
        questions.append(OpenQuestion("Keras pools masked steps too, which lrp skips"))
    # It is told in a comment of the draft, where a line feed of a stranger's would go on as YAML.
    version = "".join(re.findall(r"[\w.-]", str(file.attribute("/", "keras_version") or "")))
    if not version and any(is_called_as_older(list(group.weights)) for group in layer_groups(file)):
        version = "1"
    questions += [*choices, *_choices(chain, version)]
    layers = [_linked(each, chain[k + 1 :], version) for k, each in enumerate(chain)]
    names = [each.name for each in chain]
    padding = PaddingSpec(value=0, masked=True) if is_masked else UNSET
    assumptions = [Assumption("layers", "; ".join(_told(names, layers)))]
    if is_masked:
        text = "its Masking layer masks steps of nothing but 0, Keras's default"
        assumptions.append(Assumption("padding.value", text))
    elif layers[0].layers[0].embedding is not None:
        text = "sequences were not padded, and its embedding masks nothing (mask_zero=False)"
        assumptions.append(Assumption("padding or layers", text))
    return Draft(layers, questions, assumptions, Mapping(format=1, padding=padding))


def _choices(chain: list[_FoundLayer], version: str) -> Iterator[OpenQuestion]:
    """What is open of the layers, of which the chain has the likeliest."""
    for place, each in enumerate(chain):
        if _is_merged(each, chain[place + 1 :]):
            what = f"whether `{each.name}` joins its directions by sum, mean or product"
            yield OpenQuestion(f"nothing says {what}", "by sum")
    for each in chain:
        if _leaves_reset_open(each.spec):
            what = f"where the reset gate of `{each.name}` stands"
            yield OpenQuestion(f"nothing says {what}", "behind the product")
    hidden = [f"`{each.name}`" for place, each in enumerate(chain) if _is_hidden(chain[place:])]
    if hidden:
        which = f"which activation {', '.join(hidden)} has"
        yield OpenQuestion(f"nothing says {which}", HIDDEN[0], is_searched=True)
    if version == AMBIGUOUS and any(_has_gates(each.spec) for each in chain):
        yield OpenQuestion(
            "gates are hard_sigmoid where TensorFlow 1 wrote it, sigmoid where TensorFlow 2 did, "
            f"which both call themselves Keras {AMBIGUOUS}",
            "sigmoid",
            is_searched=True,
        )


def _told(names: list[str], layers: list[DraftedLayer]) -> list[str]:
    """What is taken for granted of each layer, those of which it is the same together."""
    same: dict[str, list[str]] = {}
    for name, layer in zip(names, layers, strict=True):
        if layer.guess:
            same.setdefault(layer.guess, []).append(f"`{name}`")
    told = [f"{', '.join(names)}: {guess}" for guess, names in same.items()]
    chained = ["one layer feeds the next"] if len(layers) > 2 else []
    return [*told, *chained, "each sequence begins anew (stateful=False)"]


def _linked(each: _FoundLayer, behind: list[_FoundLayer], version: str) -> DraftedLayer:
    """A layer as it stands before others, and what of that is a guess."""
    spec = each.spec
    if each.kind == "recurrent":
        return _linked_recurrent(each, behind, version)
    if spec.dense is not None and _is_hidden([each, *behind]):
        relu, *others = (
            LayerSpec(dense=replace(spec.dense, activation=activation)) for activation in HIDDEN
        )
        return DraftedLayer(
            (relu,), "relu", "relu", dict(zip(HIDDEN[1:], zip(others), strict=True))
        )
    guesses = {
        "dense": "no activation, or a softmax or sigmoid that is the last",
        "pool": "stands behind the last recurrent layer",
        "norm": "epsilon 0.001",
    }
    return DraftedLayer((spec,), guesses.get(each.kind, ""))


def _linked_recurrent(each: _FoundLayer, behind: list[_FoundLayer], version: str) -> DraftedLayer:
    kind, layer = each.spec.kind, each.spec.settings

    def of(**settings: Any) -> LayerSpec:
        return LayerSpec(**{kind: replace(layer, **settings)})

    told = ["reads forwards"] if layer.backward is None else []
    means: list[str] = []
    others: dict[str, tuple[LayerSpec, ...]] = {}
    if any(later.kind in ("recurrent", "pool") or later.by_step for later in behind):
        layer = replace(layer, returns="sequence")
    if _has_gates(each.spec):
        gates = _gates_of(version)
        layer = replace(layer, recurrent_activation=gates)
        default = f", the default of Keras {version}" if gates == "hard_sigmoid" else ""
        told += ["tanh cells", f"{gates} gates{default}"]
    elif each.spec.rnn is not None:
        told.append("tanh cells")
    is_merged = _is_merged(each, behind)
    if is_merged:
        layer = replace(layer, merge="sum")
        means.append("directions summed")
        others["their mean"] = (of(merge="mean"),)
        others["their product"] = (of(merge="product"),)
    if _leaves_reset_open(each.spec):
        means.append("its reset gate behind the product")
        others["its reset gate before the product"] = (of(reset="before"),)
    if version == AMBIGUOUS and _has_gates(each.spec):
        means.append("sigmoid gates, of TensorFlow 2")
        others["hard_sigmoid gates, of TensorFlow 1"] = (of(recurrent_activation="hard_sigmoid"),)
    told += ["directions summed"] * is_merged
    if layer.returns == "last":
        told.append("gives its last hidden state" + "s" * (layer.backward is not None))
    return DraftedLayer((of(),), ", ".join(told), ", ".join(means), others)


def _is_hidden(chain: list[_FoundLayer]) -> bool:
    """Whether the first of these is a dense layer whose activation another layer is given."""
    first, *behind = chain
    return first.kind == "dense" and any(each.kind in ("dense", "recurrent") for each in behind)


def _is_merged(each: _FoundLayer, behind: list[_FoundLayer]) -> bool:
    """Whether a bidirectional layer's two directions are made one, by what the next one takes."""
    return each.merged > 0 and each.merged == next(
        (later.inputs for later in behind if later.inputs), 0
    )


def _has_gates(spec: LayerSpec) -> bool:
    """Whether its gates are such as Keras lets choose; cuDNN's are sigmoid."""
    return spec.gru is not None or (spec.lstm is not None and spec.lstm.layout != "cudnn")


def _leaves_reset_open(spec: LayerSpec) -> bool:
    """Whether a GRU has no bias, which would tell where its reset gate stands."""
    gru = spec.gru
    return gru is not None and gru.forward is not None and gru.forward.bias is None


def _gates_of(version: str) -> GateActivationName:
    """What gates go through by default in the Keras that wrote a file.

    Keras took the sigmoid instead of the hard sigmoid in 2.3.0. TensorFlow's own Keras did so with
    TensorFlow 2.0, whose version of Keras is, as that of 1.13 to 1.15, 2.2.4-tf.
    """
    numbers = re.match(r"(\d+)(?:\.(\d+))?", version)
    if numbers is None or version == AMBIGUOUS:
        return "sigmoid"
    return "hard_sigmoid" if tuple(map(int, numbers.groups("0"))) < (2, 3) else "sigmoid"
