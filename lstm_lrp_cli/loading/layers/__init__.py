"""The layers of a mapping: each kind its settings, how it is built of them, and its way back.

A new kind is a spec in a file here (`add` builds it, `of` writes it out), a field of LayerSpec, and
an entry of OF for the way back.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lstm_lrp_cli.model.layers import (
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Embedding,
    Flatten,
    Layer,
    LeakyRelu,
    Merge,
    MergeName,
    Normalize,
    Pad,
    Pool,
    PoolName,
    Repeat,
    Reverse,
    Scale,
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)
from lstm_lrp_cli.model.recurrent import ActivationName, Gru, Lstm, SimpleRnn
from .joins import AttendSpec, AttentionSpec, add_merge
from .recurrent import GruSpec, LstmSpec, RnnSpec
from .site import Keep, Shape, Site
from .steps import (
    ConvolutionSpec,
    CropSpec,
    FlattenSpec,
    PadSpec,
    RepeatSpec,
    TransposeSpec,
    UnflattenSpec,
    UpsampleSpec,
    WindowsSpec,
)
from .units import (
    BatchNormSpec,
    DenseSpec,
    EmbeddingSpec,
    GroupNormSpec,
    LayerNormSpec,
    LeakyReluSpec,
    UnitsSpec,
    normalization_of,
)


class EachSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Layers of their own for every so many steps; `input` is what feeds the first of them."""

    steps: int
    layers: list["LayerSpec"]


class LayerSpec(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"source": "from"}
):
    """One entry of `layers`: exactly one of the kinds, and where it stands in the model.

    Without `source` a layer is fed by the one before it in the list. `same` is a layer above once
    more, by its name.
    """

    name: str | None = None
    source: str | list[str] | None = None
    same: str | None = None
    embedding: EmbeddingSpec | None = None
    lstm: LstmSpec | None = None
    gru: GruSpec | None = None
    rnn: RnnSpec | None = None
    convolution: ConvolutionSpec | None = None
    windows: WindowsSpec | None = None
    upsample: UpsampleSpec | None = None
    pad: PadSpec | None = None
    crop: CropSpec | None = None
    pool: PoolName | None = None
    dense: DenseSpec | None = None
    activation: ActivationName | None = None
    leaky_relu: LeakyReluSpec | None = None
    flatten: FlattenSpec | None = None
    unflatten: UnflattenSpec | None = None
    repeat: RepeatSpec | None = None
    transpose: TransposeSpec | None = None
    reverse: Literal["steps"] | None = None
    softmax: Literal["steps"] | None = None
    batch_norm: BatchNormSpec | None = None
    layer_norm: LayerNormSpec | None = None
    group_norm: GroupNormSpec | None = None
    unit_norm: Literal["units"] | None = None
    sum: Literal["units"] | None = None
    units: UnitsSpec | None = None
    merge: MergeName | None = None
    attention: AttentionSpec | None = None
    attend: AttendSpec | None = None
    each: EachSpec | None = None

    @property
    def kinds(self) -> list[str]:
        """The kinds that are given: one, in a valid mapping."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def kind(self) -> str:
        return self.kinds[0]

    @property
    def settings(self) -> Any:
        """What is given of its kind."""
        return getattr(self, self.kind)


KINDS = tuple(name for name in LayerSpec.__struct_fields__ if name not in ("name", "source"))


def _pool(kind: PoolName, site: Site) -> None:
    site.need_one()
    site.need_steps()
    site.put(Pool(kind), site.shape.as_vector())


def _activation(kind: ActivationName, site: Site) -> None:
    site.need_one()
    site.put(Activation(kind), site.shape)


def _of_steps(layer: Layer) -> Callable[[Any, Site], None]:
    def add(_: Any, site: Site) -> None:
        site.need_one()
        site.need_steps()
        site.put(layer, site.shape)

    return add


def _one_vector(layer: Layer, site: Site, shape: Shape) -> None:
    site.need_one()
    site.put(layer, shape)


# How kinds that are no more than a name are built.
NAMED: dict[str, Callable[[Any, Site], None]] = {
    "pool": _pool,
    "activation": _activation,
    "reverse": _of_steps(Reverse()),
    "softmax": _of_steps(StepSoftmax()),
    "merge": add_merge,
    "unit_norm": lambda _, site: _one_vector(UnitNorm(), site, site.shape),
    "sum": lambda _, site: _one_vector(UnitSum(), site, site.shape.of_size(1)),
}


def add(spec: LayerSpec, site: Site) -> None:
    """Add what an entry says to a graph.

    Raises
    ------
    UnusableInput
        A dataset is missing, of the wrong shape or not finite, or a layer cannot follow another.
    """
    if spec.kind in NAMED:
        NAMED[spec.kind](spec.settings, site)
    else:
        spec.settings.add(site)


# The way back: the kind of a layer, and its settings, given what keeps its arrays.
OF: dict[type[Layer], tuple[str, Callable[[Any, Keep], Any]]] = {
    Embedding: ("embedding", lambda layer, keep: EmbeddingSpec(keep("weights", layer.weights))),
    Lstm: ("lstm", LstmSpec.of),
    Gru: ("gru", GruSpec.of),
    SimpleRnn: ("rnn", RnnSpec.of),
    Convolution: ("convolution", ConvolutionSpec.of),
    WindowPool: ("windows", WindowsSpec.of),
    Upsample: ("upsample", UpsampleSpec.of),
    Pad: ("pad", PadSpec.of),
    Crop: ("crop", CropSpec.of),
    Pool: ("pool", lambda layer, keep: layer.kind),
    Dense: ("dense", DenseSpec.of),
    Activation: ("activation", lambda layer, keep: layer.kind),
    LeakyRelu: ("leaky_relu", LeakyReluSpec.of),
    Flatten: ("flatten", FlattenSpec.of),
    Unflatten: ("unflatten", UnflattenSpec.of),
    Repeat: ("repeat", RepeatSpec.of),
    Transpose: ("transpose", TransposeSpec.of),
    Reverse: ("reverse", lambda layer, keep: "steps"),
    StepSoftmax: ("softmax", lambda layer, keep: "steps"),
    Scale: ("batch_norm", BatchNormSpec.of),
    Normalize: ("layer_norm", normalization_of),
    UnitNorm: ("unit_norm", lambda layer, keep: "units"),
    UnitSum: ("sum", lambda layer, keep: "units"),
    Select: ("units", UnitsSpec.of),
    Merge: ("merge", lambda layer, keep: layer.kind),
    Attention: ("attend", AttendSpec.of),
}


def kind_of(layer: Layer) -> str:
    """What a mapping calls the kind of a layer."""
    if isinstance(layer, Each):
        return "each"
    if isinstance(layer, Normalize) and layer.groups is not None:
        return "group_norm"
    return OF[type(layer)][0]


def described(layer: Layer, keep: Keep) -> LayerSpec:
    """A layer as a mapping has it, its arrays kept."""
    _, of = OF[type(layer)]
    return msgspec.structs.replace(LayerSpec(), **{kind_of(layer): of(layer, keep)})
