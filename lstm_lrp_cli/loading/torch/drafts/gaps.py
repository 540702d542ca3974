"""What stands between the modules of a state dict, as far as names or a whole pickle tell it."""

import itertools
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.steps import WindowsSpec
from lstm_lrp_cli.loading.layers.units import LeakyReluSpec
from lstm_lrp_cli.loading.torch.modules import FoundModule, ModuleRecord, Modules
from lstm_lrp_cli.model.recurrent import ActivationName

# Modules without weights that do nothing to a trained model, and what others do to every unit.
SILENT = frozenset(
    {
        *("Dropout", "Dropout1d", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout", "Identity"),
        "Flatten",  # where it does something, sizes tell
        *("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss"),
    }
)
ACTIVATIONS: dict[str, ActivationName] = {
    "ReLU": "relu",
    "ReLU6": "relu6",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "SELU": "selu",
    "SiLU": "silu",
    "Softsign": "softsign",
    "Hardsigmoid": "hard_sigmoid_relu6",
}
# The same as functions, by their names in torch.
FUNCTIONS: dict[str, ActivationName] = {
    name: name
    for name in ("relu", "relu6", "tanh", "sigmoid", "selu", "silu", "softsign", "gelu", "elu")
}
LAST: dict[str, ActivationName] = {
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
}
POOLS = {"MaxPool1d": "max", "AvgPool1d": "mean"}
WHOLE_POOLS: dict[str, Any] = {"AdaptiveAvgPool1d": "mean", "AdaptiveMaxPool1d": "max"}


class Gap(Struct, frozen=True):
    """What stands behind a module, before the next one with weights.

    Parameters
    ----------
    hidden : int or None
        How many modules without weights stand there; None where nothing says it.
    layers : tuple of LayerSpec or None
        Those, where a whole pickle says them.
    silent : tuple of FoundModule
        The modules whose layers they are.
    """

    hidden: int | None = None
    layers: tuple[LayerSpec, ...] | None = None
    silent: tuple[FoundModule, ...] = ()


def gap_behind(modules: Modules, place: int) -> Gap:
    """What stands between a module and the next one with weights.

    What an nn.Sequential holds runs in that order. Of other modules, what is registered between
    two layers is taken to be between them; behind the last one there may be all that are
    used elsewhere, so that only a sigmoid or softmax tells something.
    """
    this, *behind = modules.found[place:]
    silent = list(itertools.takewhile(lambda each: each.kind == "silent", behind))
    after = behind[len(silent)] if len(silent) < len(behind) else None
    is_last = after is None
    sequence = modules.sequence_of(this)
    if sequence is not None:
        own = [each for each in silent if modules.sequence_of(each) == sequence]
        layers = layers_of(own, is_last)
        # Behind its end something may stand that is none of its modules.
        ends = after is not None and modules.sequence_of(after) != sequence
        return Gap(len(own), layers or None if ends else layers, tuple(own))
    own = [each for each in silent if each.parent == this.parent]
    layers = layers_of(own, is_last)
    if modules.records and is_last:
        names = {each.path: each.record.torch_name for each in silent if each.record}
        ending = [each for each in silent if names.get(each.path) in LAST][-1:]
        kinds = (LAST[names[each.path]] for each in ending)
        return Gap(None, tuple(LayerSpec(activation=kind) for kind in kinds), tuple(ending))
    if layers and after is not None and after.parent == this.parent:
        return Gap(len(own), layers, tuple(own))
    if after is None or after.parent != this.parent or modules.records:
        return Gap()
    places = (this.place, after.place)
    hidden = None if None in places else (after.place or 0) - (this.place or 0) - 1
    return Gap(hidden if hidden is None or hidden >= 0 else None)


def layers_of(silent: Sequence[FoundModule], is_last: bool = False) -> tuple[LayerSpec, ...]:
    """What modules without weights do, as far as it is known."""
    known = [layer_of(each.record, is_last) or () for each in silent if each.record is not None]
    return tuple(itertools.chain.from_iterable(known))


def leading(modules: Modules, place: int) -> list[FoundModule]:
    """The modules without weights with which the sequence begins that a module is a part of."""
    found = modules.found
    sequence = modules.sequence_of(found[place])
    before = (
        list(itertools.takewhile(lambda each: each.kind == "silent", found[place - 1 :: -1]))
        if place
        else []
    )
    if sequence is None or any(
        each.kind != "silent" and modules.sequence_of(each) == sequence for each in found[:place]
    ):
        return []
    return [each for each in reversed(before) if modules.sequence_of(each) == sequence]


def usual_activation(modules: Modules) -> str:
    """The activation that a whole pickle has a module of, wherever it stands; else relu."""
    for record in modules.records.values():
        kind = _activation(record.torch_name, record.settings, False)
        if kind is not None and record.torch_name not in LAST:
            return kind
    said = (name for each in modules.records.values() for name in each.functions.values())
    return next((FUNCTIONS[name] for name in said if name in FUNCTIONS), "relu")


def layer_of(record: ModuleRecord, is_last: bool) -> tuple[LayerSpec, ...] | None:
    """What a module without weights does; None where that is not known.

    A softmax is over units where it is the last, or says so.
    """
    name, said = record.torch_name, record.settings
    if name in SILENT or (not name and "dropout" in record.kind.rpartition(".")[2].lower()):
        return ()
    if name in WHOLE_POOLS and said.get("output_size") in (1, (1,)):
        return (LayerSpec(pool=WHOLE_POOLS[name]),)
    if name in POOLS:
        return _window(name, said)
    slope = said.get("negative_slope")
    if name == "LeakyReLU" and type(slope) is float:
        return (LayerSpec(leaky_relu=LeakyReluSpec(slope=slope)),)
    kind = _activation(name, said, is_last)
    return None if kind is None else (LayerSpec(activation=kind),)


def _activation(name: str, said: dict[str, Any], is_last: bool) -> ActivationName | None:
    match name:
        case "Softmax" | "LogSoftmax" if is_last:
            return "softmax"
        case "Softmax" if said.get("dim") == -1:
            return "softmax"
        case "GELU":
            kinds: dict[Any, ActivationName] = {"none": "gelu", "tanh": "gelu_tanh"}
            return kinds.get(said.get("approximate", "none"))
        case "ELU" if said.get("alpha", 1.0) == 1:
            return "elu"
        case "Softplus" if (said.get("beta", 1), said.get("threshold", 20)) == (1, 20):
            return "softplus"
    return ACTIVATIONS.get(name)


def _window(name: str, said: dict[str, Any]) -> tuple[LayerSpec, ...] | None:
    """Pooling over windows, as its record says; None where a mapping has no such setting."""
    numbers: list[Any] = []
    for key, default in (("kernel_size", None), ("stride", None), ("padding", 0)):
        value = said.get(key, default)
        numbers.append(value[0] if isinstance(value, tuple) and len(value) == 1 else value)
    size, stride, padding = numbers
    whole = type(size) is int and type(padding) is int and (stride is None or type(stride) is int)
    if not whole or said.get("ceil_mode") or said.get("dilation", 1) not in (1, (1,)):
        return None
    kind: Any = POOLS[name]
    spec = WindowsSpec(kind, size, stride, [padding, padding] if padding else "valid")
    if kind == "mean" and padding:
        spec = replace(spec, counts_padding=bool(said.get("count_include_pad", True)))
    return (LayerSpec(windows=spec),)
