"""Where Keras's layers may stand: what feeds each, and the steps and masks that reach it."""

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import EachSpec, LayerSpec
from lstm_lrp_cli.loading.mapping import INPUT_NAME, InputSpec
from .architecture import Architecture, KerasLayer
from .kinds import KINDS, STEPWISE
from .kinds.feed import SILENT, Feed, KerasKind, Output
from .kinds.inputs import TEXT, InFront, in_front, reached
from .kinds.units import gate_of
from .masks import Masks, masks_of
from .refused import MENDS, unknown_layer
from .roles import Shape


class Placed(Struct):
    """The layers of the mapping so far, under the names that they have if others refer to them.

    Parameters
    ----------
    specs : list of (name, LayerSpec)
    outputs : dict of str to Output
        Those of Keras's layers.
    referred : set
        The names that a `from` or `outputs` needs.
    inputs : list of InputSpec
        What the model is given, in its order.
    shapes : dict of str to Shape
        By the layer that is fed with an input, the shape of it.
    embedded : set of str
        The inputs that are of token ids.
    reading_on : dict of str to frozenset of str
        The layers that read masked steps as others, and the inputs that those are of.
    last : str
        The name of the last of the layers.
    front : dict of str to InFront
        The layers that belong to an input, by the one that is fed with it.
    """

    specs: list[tuple[str, LayerSpec]] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)
    referred: set[str] = field(default_factory=set)
    inputs: list[InputSpec] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    embedded: set[str] = field(default_factory=set)
    reading_on: dict[str, frozenset[str]] = field(default_factory=dict)
    last: str = INPUT_NAME
    front: dict[str, InFront] = field(default_factory=dict)

    def belongs_to_input(self, layer: KerasLayer) -> bool:
        """Whether an input's scaling or words have it, so that it is no layer of the mapping."""
        return any(layer.name in each.names for each in self.front.values())

    def add_input(self, layer: KerasLayer, name: str, architecture: Architecture) -> None:
        """Add an input, by the layer that is fed with it."""
        shape = _input_shape(layer, architecture)
        front = self.front[layer.name] = in_front(layer, shape, architecture)
        spec = InputSpec(name, len(shape) > 1 or _is_embedded(layer, architecture))
        if front.words is not None:
            words = front.words
            spec = replace(spec, vocabulary=words.vocabulary, tokens=words.tokens)
            shape = (words.length,) if words.cuts else shape
        if front.scalings:
            one, several = front.scalings[0], len(front.scalings) > 1
            spec = replace(spec, scaling=front.scalings if several else one)
        self.inputs.append(spec)
        self.shapes[layer.name] = shape

    def add(self, called: str, specs: list[LayerSpec], sources: list[str]) -> str:
        """Add what an output of a layer amounts to, layers one behind the other: its name."""
        if not specs:
            return sources[0] if sources else self.last
        for place, spec in enumerate(specs):
            given = spec.source
            if given is None:
                given = (sources or [INPUT_NAME]) if place == 0 else [self.last]
            names = [given] if isinstance(given, str) else list(given)
            name = spec.name or (called if place == len(specs) - 1 else f"{called} {place + 1}")
            name = f"{name}_" if name == INPUT_NAME else name
            if names == [self.last]:
                spec = replace(spec, source=None)
            else:
                self.referred.update(names)
                spec = replace(spec, source=names[0] if len(names) == 1 else names)
            self.last = name
            self.specs.append((name, replace(spec, name=None)))
        return self.last


def place(architecture: Architecture, masks: Masks) -> Placed:
    """The layers of a mapping that those of an architecture amount to.

    Raises
    ------
    UnusableInput
        There is a layer that lrp does not know or cannot explain where it is.
    """
    placed = Placed()
    named = {layer.name: layer for layer in architecture.layers}
    inputs = [named[name] for name in architecture.inputs]
    for layer in inputs:
        placed.add_input(layer, layer.name if len(inputs) > 1 else INPUT_NAME, architecture)
    if placed.inputs:
        placed.last = placed.inputs[0].name or INPUT_NAME
    # Of what is not masked there is no step that lrp skips.
    given = {
        layer.name: Output(
            own.name or INPUT_NAME,
            _input_shape(layer, architecture),
            is_made=layer.name not in masks.inputs and bool(masks.inputs),
        )
        for layer, own in zip(inputs, placed.inputs, strict=True)
    }
    _place_all(architecture, masks, placed, given)
    return placed


def _place_all(
    architecture: Architecture, masks: Masks, placed: Placed, given: dict[str, Output]
) -> None:
    """Add what the layers amount to of which nothing is known yet.

    Parameters
    ----------
    given : dict of str to Output
        What the layers are fed with that no layer feeds.
    """
    used = {*architecture.outputs}.union(*(layer.sources for layer in architecture.layers))
    names = [own.name or INPUT_NAME for own in placed.inputs]
    for layer in architecture.layers:
        if layer.name in placed.outputs:
            continue
        _check_sources(layer, placed)
        feed = Feed([placed.outputs[source] for source in layer.sources] or [given[layer.name]])
        _check_place(layer, feed, names)
        masks.check(layer, feed)
        if masks.reads_on(layer, feed):
            placed.reading_on[layer.name] = masks.of.get(layer.sources[0], frozenset())
        if layer.repeated is not None:
            _place_repeated(layer, layer.repeated, feed, placed)
            continue
        kind = KINDS.get(layer.kind)
        if kind is None:
            raise unknown_layer(layer)
        if any(source.fit for source in feed.sources) and layer.kind != "Dot":
            placed.outputs[layer.name] = _of_fit(layer, feed)
            continue
        is_masked = masks.is_masked(layer, feed)
        _place(layer, kind, feed, placed, used, is_masked=is_masked)


def _place_repeated(layer: KerasLayer, model: Architecture, feed: Feed, placed: Placed) -> None:
    """Add what a model amounts to that is done for each part of a sequence.

    Its embedding stands in front of all parts, as a mapping has it.
    """
    _check_repeated(layer, model, feed)
    [source] = feed.sources
    masks = masks_of(model)
    for embedding in (each for each in model.layers if each.kind == "Embedding"):
        _check_first(embedding, model)
        _check_place(embedding, feed, [own.name or INPUT_NAME for own in placed.inputs])
        _place(embedding, KINDS["Embedding"], feed, placed, set(), is_masked=False)
        source = placed.outputs[embedding.name]
    part = Output(INPUT_NAME, source.shape[1:])
    if not part.by_step:  # what is done to single vectors is done to all steps
        for each in model.layers:
            if each.kind not in STEPWISE:
                raise each.unusable("is given single vectors, as steps; expected steps for each")
        _place_all(model, masks, placed, {model.inputs[0]: source})
        placed.outputs[layer.name] = placed.outputs[model.outputs[0]]
        return
    if part.steps is None:
        raise layer.unusable("parts sequences of no fixed length; expected an input of so many")
    inner = Placed(inputs=[InputSpec(INPUT_NAME)])
    inner.outputs = {each.name: part for each in model.layers if each.kind == "Embedding"}
    _place_all(model, masks, inner, {model.inputs[0]: part})
    made = inner.outputs[model.outputs[0]]
    if made.name != inner.last:  # what stands last in a mapping is its output
        inner.add("output", [LayerSpec(activation="linear")], [made.name])
    specs = [
        replace(spec, name=name if name in inner.referred else None) for name, spec in inner.specs
    ]
    parts = [LayerSpec(each=EachSpec(part.steps, specs))] if specs else []
    name = placed.add(layer.name, parts, [source.name])
    placed.outputs[layer.name] = Output(name, (*source.shape[:1], *made.shape))


def _check_repeated(layer: KerasLayer, model: Architecture, feed: Feed) -> None:
    """Refuse a model for each part that needs to know more than that part."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise layer.unusable("repeats a model of several inputs or outputs; expected one of each")
    if masks_of(model).inputs:
        raise layer.unusable(
            "repeats a model that masks steps, and lrp parts sequences by a fixed number of steps; "
            "train without the mask"
        )
    for each in model.every_layer():
        if each.inner.get("stateful"):
            raise each.unusable("carries states from part to part; expected stateful=False")
    if not feed.has_steps:
        raise layer.unusable("is given one vector a sequence; expected steps")


def _check_first(embedding: KerasLayer, model: Architecture) -> None:
    """Refuse a model that does something else with the ids that it embeds."""
    given = {model.inputs[0]}
    for each in model.layers:
        is_given = bool(given & set(each.sources))
        if is_given and each.kind in SILENT:
            given.add(each.name)
        elif is_given and each is not embedding:
            raise each.unusable("is fed with the ids that another layer embeds; expected only that")
    if embedding.name not in given and not given & set(embedding.sources):
        raise embedding.unusable("embeds what another layer puts out; expected it to stand first")


def _place(
    layer: KerasLayer,
    kind: KerasKind,
    feed: Feed,
    placed: Placed,
    used: set[str],
    *,
    is_masked: bool,
) -> None:
    """Add what one layer amounts to."""
    names = [source.name for source in feed.sources]
    belongs = placed.belongs_to_input(layer)
    if layer.kind in TEXT and not belongs:
        raise layer.unusable("makes ids of what another layer puts out; expected an input")
    if layer.kind == "Embedding":
        if names[0] in placed.embedded:
            raise layer.unusable("embeds what another layer embeds too; expected one of them")
        placed.embedded.add(names[0])
    shape = kind.shape(layer, feed)
    is_masked = is_masked and len(shape) > 1
    if len(layer.outputs) == 1 or (kind.parts is None):
        specs = [] if belongs else kind.specs(layer, feed)
        if specs and layer.kind != "Embedding" and placed.embedded & set(names):
            raise layer.unusable("takes token ids as numbers; expected an embedding of them")
        gate = gate_of(layer, feed)
        if gate is not None:
            names = sorted(names, key=lambda name: name != gate.name)
        name = placed.add(layer.name, specs, names)
        # What does nothing passes on all that is known of its source.
        output = Output(name, shape, is_masked, is_made=_is_made(layer, shape, feed))
        if not specs and shape == feed.shape:
            output = replace(feed.sources[0], is_masked=is_masked)
        placed.outputs[layer.name] = kind.mark(layer, feed, output)
        return
    behind, parts = kind.parts(layer, feed, used)
    base = placed.add(f"{layer.name} and states", behind, names)
    for put_out, specs in parts.items():
        if put_out in used:
            name = placed.add(put_out, specs, [base])
            is_first = put_out == layer.outputs[0] or _is_direction(layer, put_out)
            made = shape if is_first else (layer.size("units"),)
            own = is_masked and len(made) > 1
            placed.outputs[put_out] = Output(name, made, own, is_made=_is_made(layer, made, feed))


def _is_made(layer: KerasLayer, shape: Shape, feed: Feed) -> bool:
    """Whether steps are made of vectors; those of attention are its queries'."""
    first = feed.sources[0]
    is_vector = not first.by_step and layer.kind != "Embedding"  # whose ids are steps
    return len(shape) > 1 and (first.is_made or is_vector)


def _is_direction(layer: KerasLayer, output: str) -> bool:
    """Whether it is the second output of a layer that leaves its directions apart."""
    apart = layer.kind == "Bidirectional" and layer.config.get("merge_mode", "concat") is None
    return apart and output == layer.outputs[1]


def _of_fit(layer: KerasLayer, feed: Feed) -> Output:
    """What a layer makes of the products of queries and keys, which is known where it is used."""
    [fit, *others] = feed.sources
    is_softmax = layer.kind == "Softmax" or (
        layer.kind == "Activation" and layer.config["activation"] == "softmax"
    )
    if others or not (is_softmax or layer.kind in SILENT) or (is_softmax and layer.axis != -1):
        raise layer.unusable(
            "is given the products of queries and keys; expected a softmax over the keys, and a "
            "product (Dot) of that with values"
        )
    return replace(fit, weighs=fit.weighs or is_softmax)


def _input_shape(layer: KerasLayer, architecture: Architecture) -> Shape:
    """The shape of one sequence of an input, by the first layer that says it."""
    config = layer.config
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if shape:
        return tuple(shape[1:])
    if layer.kind == "Embedding":
        length = config.get("input_length")
        return (length if isinstance(length, int) else None,)
    if layer.kind in ("Dense", "Activation") and not architecture.is_sequential:
        return (None,)
    return (None, None)


def _is_embedded(layer: KerasLayer, architecture: Architecture) -> bool:
    """Whether an input of one vector is one of token ids."""
    return layer.kind == "Embedding" or any(
        each.kind == "Embedding" for each in reached(layer, architecture)
    )


def _check_sources(layer: KerasLayer, placed: Placed) -> None:
    for source in layer.sources:
        if source not in placed.outputs:
            raise layer.unusable(f"is fed by `{source}`, which gives no such output")
    kind = KINDS.get(layer.kind)
    if len(layer.sources) > 1 and not (kind and kind.joins):
        if layer.kind in MENDS:
            raise unknown_layer(layer)
        raise layer.unusable(f"is fed by {len(layer.sources)} layers; expected one")


def _check_place(layer: KerasLayer, feed: Feed, inputs: list[str]) -> None:
    """Refuse arrays that are laid out otherwise, and what stands first in Keras's own models."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise layer.unusable("does not keep its steps first; expected channels_last")
    if "Quantized" in str(layer.config.get("dtype")):
        raise layer.unusable("is quantized; expected weights as they were trained")
    # What the model itself is fed with reaches these under the name of an input.
    is_fed = any(source.name not in inputs for source in feed.sources)
    if layer.kind in ("Masking", "Embedding") and is_fed:
        does = "masks" if layer.kind == "Masking" else "embeds"
        raise layer.unusable(f"{does} what another layer puts out; expected it to stand first")
