"""Keras's attention: its own layers, and products of queries and keys that are made of others."""

import math

from msgspec.structs import replace

from lstm_lrp_cli.loading.keras.architecture import KerasLayer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.joins import AttendSpec
from lstm_lrp_cli.loading.layers.steps import TransposeSpec, UnflattenSpec
from lstm_lrp_cli.loading.layers.units import DenseLayout, DenseSpec
from .feed import Feed, KerasKind, Output, Specs


def _attention(layer: KerasLayer, feed: Feed) -> Specs:
    config = layer.config
    if not 2 <= len(feed.sources) <= 3:
        raise layer.unusable(f"is fed by {len(feed.sources)} layers; expected query, value and key")
    if config.get("score_mode", "dot") != "dot":
        raise layer.unusable(f"has score_mode {config['score_mode']!r}; expected 'dot'")
    is_causal = bool(config.get("causal")) or (layer.call is not None and layer.call.is_causal)
    is_additive = layer.kind == "AdditiveAttention"
    scaled = config.get("use_scale", is_additive)
    spec = AttendSpec(
        kind="additive" if is_additive else "dot",
        factors=layer.weight("scale") if scaled else None,
        causal=is_causal,
    )
    return [LayerSpec(attend=spec, source=[source.name for source in feed.sources])]


def _attended(layer: KerasLayer, feed: Feed) -> Shape:
    return (*feed.shape[:-1], feed.sources[1].units)


def _multi_head(layer: KerasLayer, feed: Feed) -> Specs:
    """Queries, keys and values of each head by dense layers, and a dense layer of all heads."""
    config = layer.config
    query, value, key = _query_value_key(layer, feed)
    if config.get("attention_axes") not in (None, [1], (1,), 1):
        raise layer.unusable(f"attends over axes {config['attention_axes']}; expected the steps, 1")
    for setting in ("use_gate", "sliding_window"):
        if config.get(setting):
            raise layer.unusable(f"has {setting}={config[setting]!r}; expected none")
    if config.get("output_shape") not in (None, [query.units], query.units):
        shape = config["output_shape"]
        if isinstance(shape, list) and len(shape) > 1:
            raise layer.unusable(f"puts out shape {shape}; expected one number of units")
    name = layer.name
    specs = [
        _projection(layer, part, source, f"{name} {part}")
        for part, source in (("query", query), ("key", key), ("value", value))
    ]
    attend = AttendSpec(
        heads=int(config["num_heads"]),
        scale=1.0 / math.sqrt(int(config["key_dim"])),
        causal=layer.call is not None and layer.call.is_causal,
    )
    sources = [f"{name} query", f"{name} value", f"{name} key"]
    output = _dense(layer, "attention_output", "heads_by_classes")
    return [*specs, LayerSpec(attend=attend, source=sources), LayerSpec(dense=output)]


def _query_value_key(layer: KerasLayer, feed: Feed) -> tuple[Output, Output, Output]:
    placed = [feed.sources[k] for k in layer.sources_as(None)]
    named = {
        role: [feed.sources[k] for k in layer.sources_as(role)]
        for role in ("query", "value", "key")
    }
    given = dict(zip(("query", "value", "key"), placed, strict=False))
    given |= {role: found[0] for role, found in named.items() if found}
    if not {"query", "value"} <= set(given) or len(placed) > 3:
        raise layer.unusable("is not called with a query and a value; expected both")
    return given["query"], given["value"], given.get("key", given["value"])


def _projection(layer: KerasLayer, part: str, source: Output, name: str) -> LayerSpec:
    return LayerSpec(name=name, source=source.name, dense=_dense(layer, part, "features_by_heads"))


def _dense(layer: KerasLayer, part: str, layout: DenseLayout) -> DenseSpec:
    bias = layer.weight(f"{part}/bias") if layer.config.get("use_bias", True) else None
    return DenseSpec(layer.weight(f"{part}/kernel"), layout, bias)


def _dot(layer: KerasLayer, feed: Feed) -> Specs:
    """Products of two vectors, or of the queries and keys, or weights and values, of attention."""
    one, other = feed.sources
    axes = layer.config["axes"]
    first, second = axes if isinstance(axes, list | tuple) else (axes, axes)
    if _fits(one, other, (first, second)) is not None:
        if layer.config.get("normalize"):
            raise layer.unusable("normalizes queries and keys; expected normalize=False")
        return []  # what becomes of it is told by what it feeds
    weighed = _weighed(one, other, (first, second))
    if weighed is not None:
        return _of_weights(layer, *weighed, is_turned=_is_turned(one, weighed))
    if one.by_step or other.by_step or (first, second) not in ((1, 1), (-1, -1)):
        raise layer.unusable(
            f"multiplies shapes {one.shape} and {other.shape} along {axes}; expected two vectors, "
            "or the products of attention: of queries and keys, and of weights and values"
        )
    if not layer.config.get("normalize"):
        return [LayerSpec(merge="product"), LayerSpec(sum="units")]
    sides = [f"{layer.name} {k}" for k in (1, 2)]
    return [
        LayerSpec(name=sides[0], source=one.name, unit_norm="units"),
        LayerSpec(name=sides[1], source=other.name, unit_norm="units"),
        LayerSpec(merge="product", source=sides),
        LayerSpec(sum="units"),
    ]


def _dot_shape(layer: KerasLayer, feed: Feed) -> Shape:
    one, other = feed.sources
    axes = layer.config["axes"]
    first, second = axes if isinstance(axes, list | tuple) else (axes, axes)
    fit = _fits(one, other, (first, second))
    if fit is not None:
        query, key = fit
        return (*query.shape[:-1], key.shape[0])
    weighed = _weighed(one, other, (first, second))
    if weighed is not None:
        weights, values = weighed
        if weights.fit is None and weights.by_step:
            return (1, values.units)
        made = (*weights.shape[:-1], values.units)
        return made[::-1] if _is_turned(one, weighed) else made
    return (1,)


def _mark_dot(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    one, other = feed.sources
    axes = layer.config["axes"]
    first, second = axes if isinstance(axes, list | tuple) else (axes, axes)
    fit = _fits(one, other, (first, second))
    if fit is None:
        return output
    return replace(output, fit=(fit[0].name, fit[1].name), holds_steps=True)


def _fits(one: Output, other: Output, axes: tuple[int, int]) -> tuple[Output, Output] | None:
    """The queries and the keys, where the product is of each query with each key.

    Keras has queries first where the second axis of the product is to be that of the keys.
    """
    if one.fit or other.fit or one.weighs or other.weighs or not (one.by_step or other.by_step):
        return None
    last = [axis in (-1, len(value.shape)) for axis, value in zip(axes, (one, other), strict=True)]
    if not all(last) or len(one.shape) > 2 or len(other.shape) > 2:
        return None
    return (one, other) if other.by_step else (other, one)


def _weighed(one: Output, other: Output, axes: tuple[int, int]) -> tuple[Output, Output] | None:
    """The weights and the values, where the product is of weights with the steps of values."""
    pairs = [((one, axes[0]), (other, axes[1])), ((other, axes[1]), (one, axes[0]))]
    for (weights, along), (values, steps) in pairs:
        is_last = along in (-1, len(weights.shape))
        if not (weights.weighs and len(values.shape) == 2 and steps == 1):
            continue
        if weights.fit:
            if is_last:
                return weights, values
        elif (weights.holds_steps and not weights.by_step) or (
            weights.by_step and weights.units == 1 and along == 1 and not weights.holds_steps
        ):
            return weights, values
    return None


def _is_turned(one: Output, weighed: tuple[Output, Output]) -> bool:
    """Whether the sums lie with their units first: of values, and behind them weights."""
    weights, values = weighed
    return values is one and weights.by_step


def _of_weights(layer: KerasLayer, weights: Output, values: Output, *, is_turned: bool) -> Specs:
    """Sums of values, by weights of their fit to queries, or by one weight a step."""
    if weights.fit is None:
        if is_turned:
            raise layer.unusable("has the weights behind the values; expected [weights, values]")
        specs = []
        sides = [weights.name, values.name]
        if not weights.by_step:
            steps = weights.units
            if steps is None:
                raise layer.unusable(
                    "weighs steps of no fixed number; expected an input of so many"
                )
            sides[0] = f"{layer.name} weights"
            cut = UnflattenSpec(steps)
            specs.append(LayerSpec(name=sides[0], source=weights.name, unflatten=cut))
        specs += [LayerSpec(merge="gate", source=sides), LayerSpec(pool="sum")]
        return [*specs, LayerSpec(unflatten=UnflattenSpec(1))] if weights.by_step else specs
    query, key = weights.fit
    attended = LayerSpec(attend=AttendSpec(), source=[query, values.name, key])
    if not is_turned:
        return [attended]
    steps = weights.shape[0]
    if steps is None:
        raise layer.unusable("turns sums of no fixed number; expected an input of so many steps")
    return [attended, LayerSpec(transpose=TransposeSpec(steps))]


DOT = KerasKind(_dot, _dot_shape, joins=True, takes_masked=True, mark=_mark_dot)
ATTENTION_KINDS: dict[str, KerasKind] = {
    **dict.fromkeys(
        ("Attention", "AdditiveAttention"), KerasKind(_attention, _attended, joins=True)
    ),
    "MultiHeadAttention": KerasKind(
        _multi_head, lambda layer, feed: (*feed.shape[:-1], _output_units(layer, feed)), joins=True
    ),
    "Dot": DOT,
}


def _output_units(layer: KerasLayer, feed: Feed) -> int | None:
    shape = layer.config.get("output_shape")
    if shape is None:
        return feed.shape[-1]
    return int(shape[0] if isinstance(shape, list) else shape)
