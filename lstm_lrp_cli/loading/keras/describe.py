"""A whole Keras model as a mapping: layers, padding and states, and what its losses tell."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.mapping import (
    INPUT_NAME,
    NO_CLASS,
    Assumption,
    Described,
    InputSpec,
    Mapping,
    PaddingSpec,
    Task,
    crf_assumption,
)
from .architecture import Architecture, KerasLayer
from .kinds.chain import KINDS_OF_CRF, crf_transitions, emissions_alone
from .kinds.feed import SILENT, known_product
from .kinds.inputs import SCALING, TEXT, Words
from .masks import Masks, makes_mask, masks_of
from .placing import Placed, place
from .refused import OTHER_CELLS, begins_with_text, unknown_layer

# What a mapping says of the only input by keys of its own.
OF_INPUTS = ("vocabulary", "tokens", "padding", "scaling")
# Losses of models whose outputs are values, of classes, and of a yes or no each, by all names that
# Keras gives them, in small letters and without underscores.
REGRESSION_LOSSES = frozenset(
    {
        *("mse", "meansquarederror", "mae", "meanabsoluteerror"),
        *("mape", "meanabsolutepercentageerror", "msle", "meansquaredlogarithmicerror"),
        *("huber", "huberloss", "logcosh", "poisson"),
    }
)
CLASS_LOSSES = frozenset(
    {"categoricalcrossentropy", "sparsecategoricalcrossentropy", "categoricalfocalcrossentropy"}
)
BINARY_LOSSES = frozenset({"bce", "binarycrossentropy", "binaryfocalcrossentropy"})


def describe_architecture(
    architecture: Architecture, losses: Any, origin: str, keras_version: str
) -> Described:
    """The mapping of a whole model, and what of it is assumed.

    Parameters
    ----------
    losses
        What the model was compiled with: a name, an object, or several of them; None if unknown.
    origin : str
        What says it.
    keras_version : str
        Of the Keras that wrote it; empty where it is not said.

    Raises
    ------
    UnusableInput
        A layer cannot be explained, or Keras would compute it otherwise; it is named.
    """
    for layer in architecture.every_layer():
        if layer.kind == "IntegerLookup":
            raise begins_with_text(layer, architecture, "makes token ids of other ids")
        if layer.kind in OTHER_CELLS:  # whatever else there is: of this no mapping can be made
            raise unknown_layer(layer)
    architecture = emissions_alone(architecture)
    transitions = crf_transitions(architecture)
    stateful = _stateful(architecture.layers)
    masks = masks_of(architecture)
    placed = place(architecture, masks)
    inputs = _inputs(architecture, placed, masks)
    alone = len(inputs) == 1 and inputs[0].steps
    said = {key: getattr(inputs[0], key) for key in OF_INPUTS} if alone else {"inputs": inputs}
    outputs = [placed.outputs[name].name for name in architecture.outputs]
    several = len(outputs) > 1 or outputs[0] != placed.last
    if several:
        placed.referred.update(outputs)
    specs = [
        _without_needless(spec, name if name in placed.referred else None, bool(stateful))
        for name, spec in placed.specs
    ]
    ends = dict(placed.specs)
    last = [ends.get(name, LayerSpec()) for name in outputs]
    tasks = _output_tasks(architecture, last, losses)
    assumptions = [*_sigmoids_of_values(outputs, last, losses)]
    if not keras_version and any(map(_has_hard_sigmoid, specs)):
        assumptions.append(Assumption("layers", "its hard_sigmoid is that of Keras 1 and 2"))
    assumptions += [*_padded_behind(placed)]
    if None in tasks:
        assumptions.append(NO_CLASS)
    fronts = (placed.front[name].words for name in architecture.inputs)
    if any(map(_grows_with_batch, fronts, inputs)):
        text = "each text is given by itself, and not filled up to the longest of its batch"
        assumptions.append(Assumption("padding" if alone else "inputs", text))
    if transitions:
        assumptions.append(crf_assumption(transitions))
    if stateful:
        assumptions.append(
            Assumption(
                "stateful",
                f"the input comes as its stateful LSTMs had it, in batches of {stateful}: sequence "
                f"n begins in the states in which sequence n - {stateful} ended, from the first "
                f"on; settled by `stateful: {stateful}`, or `stateful: null` where each sequence "
                "begins anew",
            )
        )
    mapping = Mapping(
        format=1,
        layers=specs,
        **said,
        outputs=outputs if several else UNSET,
        task=_task(tasks, len(outputs)),
        stateful=stateful or UNSET,
        unused=transitions or UNSET,
    )
    return Described.by(mapping, origin, assumptions)


def _grows_with_batch(words: Words | None, spec: InputSpec) -> bool:
    """Whether Keras fills texts up to the longest that it is given at once, and lets it count."""
    masked = isinstance(spec.padding, PaddingSpec) and spec.padding.masked
    return words is not None and words.cuts and words.length is None and not masked


def _without_needless(spec: LayerSpec, name: str | None, carries: bool) -> LayerSpec:
    """A layer with its name where others need it; an LSTM that carries nothing where others do."""
    spec = replace(spec, name=name)
    if spec.kind in ("lstm", "gru", "rnn"):
        says = False if carries and not spec.settings.stateful else None
        spec = replace(spec, **{spec.kind: replace(spec.settings, stateful=says)})
    return spec


def _has_hard_sigmoid(spec: LayerSpec) -> bool:
    names = [spec.activation, spec.dense and spec.dense.activation]
    for gated in (spec.lstm, spec.gru):
        names += [gated.activation, gated.recurrent_activation] if gated else []
    return "hard_sigmoid" in names


def _input_shapes(layers: list[KerasLayer]) -> Iterator[Any]:
    """The shapes of inputs, of batches of sequences."""
    for layer in layers:
        shape = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
        if shape:
            yield shape


def _stateful(layers: list[KerasLayer]) -> int | bool:
    """How many sequences a batch has between which stateful LSTMs carry their states.

    False where none is stateful, true where the file does not say how many.
    """
    if not any(layer.inner.get("stateful") for layer in layers):
        return False
    batch = next((shape[0] for shape in _input_shapes(layers) if shape[0] is not None), True)
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"found an input of {batch!r} sequences")
    return batch


def _inputs(architecture: Architecture, placed: Placed, masks: Masks) -> list[InputSpec]:
    """The inputs with their padding."""
    layers = {layer.name: layer for layer in architecture.layers}
    first = [layers[name] for name in architecture.inputs]
    paddings = [
        _padding(layer, architecture.layers, placed, masks) if spec.steps else None
        for layer, spec in zip(first, placed.inputs, strict=True)
    ]
    return [
        replace(spec, padding=padding or UNSET)
        for spec, padding in zip(placed.inputs, paddings, strict=True)
    ]


def _padding(
    first: KerasLayer, layers: list[KerasLayer], placed: Placed, masks: Masks
) -> PaddingSpec | None:
    """The padding that the model must have been trained on, if any, by what an input feeds.

    It pads with 0; on which side, the file says where it cuts text itself, which is behind.
    """
    shape = placed.shapes[first.name]
    # Ids have no axis of units, which may be missing of numbers too.
    name = first.name if len(placed.inputs) > 1 else INPUT_NAME
    is_ids = name in placed.embedded or len(shape) < 2
    length = known_product(shape if is_ids else shape[:-1]) or 0
    if not isinstance(length, int):
        raise ValueError(f"found an input of {length!r} steps")
    words = placed.front[first.name].words
    sides: dict[str, Any] = {"side": "post", "truncate": "post"} if words and words.cuts else {}
    names = {first.name}
    for layer in layers:
        if layer is first or names & set(layer.sources):
            if makes_mask(layer) and first.name in masks.inputs:
                value = float(layer.config.get("mask_value", 0))
                said = sides if length else {}
                return PaddingSpec(**said, length=length, value=value, masked=True)
            if layer.kind in (*SILENT, *SCALING, *TEXT):
                names.add(layer.name)
    return PaddingSpec(**sides, length=length, value=0, masked=False) if length else None


def _output_tasks(
    architecture: Architecture, ends: list[LayerSpec], losses: Any
) -> list[Task | None]:
    """What each output that does not end in a softmax or sigmoid is of, by its loss.

    None where that does not say it: it is one of the user's own, or there is none. The only output
    may also end in sigmoids, of which a loss of classes says that they are no labels each.
    """
    layers = {layer.name: layer for layer in architecture.layers}
    tasks: list[Task | None] = []
    names = _loss_names(architecture.outputs, losses)
    for name, end, loss in zip(architecture.outputs, ends, names, strict=True):
        activation = _last_activation(end)
        if activation == "sigmoid" and len(ends) == 1 and loss in CLASS_LOSSES:
            return ["classification"]
        if activation in ("softmax", "sigmoid"):
            continue
        if name in layers and layers[name].kind in KINDS_OF_CRF:
            tasks.append("classification")  # of tags
            continue
        units = layers[name].inner.get("units") if name in layers else None
        tasks.append(_task_by(loss, is_single=units == 1))
    return tasks


def _sigmoids_of_values(
    outputs: Sequence[str], ends: list[LayerSpec], losses: Any
) -> Iterator[Assumption]:
    """Sigmoids that were trained by a loss of values, which as many take for classes as not."""
    for end, loss in zip(ends, _loss_names(outputs, losses), strict=True):
        if _last_activation(end) == "sigmoid" and loss in REGRESSION_LOSSES:
            yield Assumption(
                "task or labels",
                f"its sigmoid is of classes, though its loss, {loss}, is one of values",
            )


def _padded_behind(placed: Placed) -> Iterator[Assumption]:
    """What Keras reads of padding that lrp skips, which does nothing where it stands last."""
    for name, inputs in placed.reading_on.items():
        which = " and ".join(f"`{each}`" for each in sorted(inputs))
        yield Assumption(
            "inputs",
            f"{which} is padded behind and nowhere else: Keras 3 gives `{name}` no mask, since it "
            "begins in given states, so what padding stood in front would be read",
        )


def _last_activation(end: LayerSpec) -> str | UnsetType | None:
    return end.dense.activation if end.dense else end.activation


def _loss_names(outputs: Sequence[str], losses: Any) -> list[str]:
    """The name of each output's loss, as `_loss_name` tells it."""
    match losses:
        case {"class_name": _} | str() | None:
            each = [losses] * len(outputs)
        case dict():
            each = [losses.get(name) for name in outputs]
        case [*found] if len(found) == len(outputs):
            each = found
        case _:
            each = [None] * len(outputs)
    return [_loss_name(loss) for loss in each]


def _task_by(loss: str, *, is_single: bool) -> Task | None:
    if loss in REGRESSION_LOSSES:
        return "regression"
    # Several logits of a yes or no each are no classes of which one is taken.
    return (
        "classification" if loss in CLASS_LOSSES | (BINARY_LOSSES if is_single else set()) else None
    )


def _loss_name(loss: Any) -> str:
    """The name of a loss of Keras's own, however it wrote it; empty of any other."""
    match loss:
        case [only]:
            return _loss_name(only)
        case str(name) | {"class_name": "function", "config": str(name)}:
            return name.lower().replace("_", "")
        case {"class_name": str(name)} if str(loss.get("module") or "keras").startswith("keras"):
            return name.lower().replace("_", "")
    return ""


def _task(tasks: Sequence[Task | None], outputs: int) -> Task | UnsetType:
    """What a mapping says of all outputs; nothing where their activations do."""
    if not tasks:
        return UNSET
    same = set(tasks) if len(tasks) == outputs else {None}
    [task] = same if len(same) == 1 else [None]
    return task or "unknown"
