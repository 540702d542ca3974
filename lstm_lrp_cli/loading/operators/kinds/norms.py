"""Operators that normalize: by averages of training, over the units of a step, over steps too."""

from lstm_lrp_cli.loading.layers.units import BatchNormSpec, GroupNormSpec, LayerNormSpec
from lstm_lrp_cli.loading.operators.file import vector_name
from lstm_lrp_cli.loading.operators.layers import Call, Operator, Value
from lstm_lrp_cli.loading.operators.signal import FEATURE, TIME, Signal


def _batch_norm(call: Call) -> list[Value]:
    signal = call.signal()
    scale, offset, mean, variance = (call.dataset(call.constant(k).name) for k in range(1, 5))
    if signal.axes[1] != FEATURE or call.setting("training_mode"):
        raise call.unusable("normalizes another axis than that of units, or as in training")
    epsilon = call.setting("epsilon", 1e-5)
    spec = BatchNormSpec(mean=mean, variance=variance, scale=scale, offset=offset, epsilon=epsilon)
    return [call.layer(signal, batch_norm=spec)]


def _layer_norm(call: Call) -> list[Value]:
    """Over the units of each step."""
    signal = call.signal()
    axis = call.axis(signal, -1)
    over = [label for k, label in enumerate(signal.axes) if k >= axis and not signal.is_unit(k)]
    if over != [FEATURE]:
        raise call.unusable(f"normalizes over axes of {', '.join(over)}; expected units alone")
    scale, offset = _vectors(call, signal)
    norm = LayerNormSpec(scale, offset, call.setting("epsilon", 1e-5))
    return [call.layer(signal, layer_norm=norm)]


def _group_norm(call: Call) -> list[Value]:
    """Over all steps and the units of a group; of InstanceNormalization every unit is a group."""
    signal = call.signal()
    behind = {label for k, label in enumerate(signal.axes) if k > 1 and not signal.is_unit(k)}
    if signal.axes[1] != FEATURE or behind - {TIME} or signal.size is None:
        raise call.unusable(
            f"is given axes of {', '.join(signal.axes)}; expected sequences, units and steps"
        )
    groups = call.setting("num_groups", signal.size)
    scale, offset = _vectors(call, signal)
    norm = GroupNormSpec(groups, scale, offset, call.setting("epsilon", 1e-5))
    return [call.layer(signal, group_norm=norm)]


def _vectors(call: Call, signal: Signal) -> tuple[str | None, str | None]:
    """The datasets by which units are scaled and shifted, where they are."""
    found: list[str | None] = []
    for place in (1, 2):
        if call.value(place) is None:
            found.append(None)
            continue
        constant = call.constant(place)
        if constant.array.size != signal.size:
            raise call.unusable(
                f"takes {constant.array.size} numbers; expected one for each of {signal.size} units"
            )
        found.append(call.dataset(vector_name(constant.name, constant.array)))
    return found[0], found[1]


NORMS: dict[str, Operator] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
}
