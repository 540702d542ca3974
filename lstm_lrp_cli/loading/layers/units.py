"""Layers that work on the units of a step or a vector, as a mapping has them."""

import math
from typing import Literal

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, LeakyRelu, Normalize, Scale, Select
from lstm_lrp_cli.model.recurrent import ActivationName
from .datasets import Datasets, Numbers, Spec, dataset_names
from .site import Keep, Site

# The last two are of the heads of attention, as Keras has them: (features, heads, units) and
# (heads, units, classes).
DenseLayout = Literal[
    "classes_by_features", "features_by_classes", "features_by_heads", "heads_by_classes"
]


class EmbeddingSpec(Spec, frozen=True, forbid_unknown_fields=True):
    named = ("weights",)
    weights: str


class DenseSpec(Spec, frozen=True, forbid_unknown_fields=True):
    named = ("weights", "bias")
    weights: str | list[str]
    layout: DenseLayout | None = None
    bias: str | list[str] | None = None
    activation: ActivationName = "linear"
    negative: bool | UnsetType = UNSET

    def add(self, site: Site) -> None:
        site.need_one()
        dense = build_dense(self, site.datasets, site.key, site.inputs)
        site.tell(dense.weights.shape[1])
        place = site.put(dense, site.shape.of_size(len(dense.weights)))
        add_activation(site, self.activation, place)

    @classmethod
    def of(cls, layer: Dense, keep: Keep) -> "DenseSpec":
        weights, bias = keep("weights", layer.weights), keep("bias", layer.bias)
        return cls(weights, "classes_by_features", bias)


class BatchNormSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset, unit by unit.

    Without `mean` and `variance` it is y = scale x + offset, as exporters write it. Each may be a
    dataset or numbers. By `invert` it is done backwards: x of y.
    """

    named = ("mean", "variance", "scale", "offset")
    mean: Numbers | None = None
    variance: Numbers | None = None
    scale: Numbers | None = None
    offset: Numbers | None = None
    epsilon: float = 1e-3
    invert: bool = False

    def add(self, site: Site) -> None:
        site.need_one()
        scale = self._scale(site)
        site.tell(len(scale.factors))
        site.put(scale, site.shape.of_size(len(scale.factors)))

    def _scale(self, site: Site) -> Scale:
        """Batch normalization at inference (Ioffe and Szegedy 2015): a factor and an offset."""
        datasets = site.datasets
        given = {role: getattr(self, role) for role in self.named}
        names = {role: name for role, name in given.items() if name is not None}
        if not names:
            raise site.wrong("names no dataset; expected one or more of its four")
        size, source = self._size(site, names)
        vectors = {
            role: site.vector(name, role, size, source)
            if isinstance(name, str)
            else datasets.numbers(name, f"{site.key}.{role}", size)
            for role, name in names.items()
        }
        dtype = datasets.dtype
        site.claim(2 * size)
        factors, offsets = np.ones(size, dtype=dtype), np.zeros(size, dtype=dtype)
        if "variance" in vectors:
            variance = vectors["variance"] + self.epsilon
            if not (variance > 0).all():
                problem = f"({site.key}.variance) is not positive; is it the variance?"
                raise datasets.array_error(dataset_names(names["variance"]), problem)
            factors = 1.0 / np.sqrt(variance)
        if "scale" in vectors:
            factors = factors * vectors["scale"]
        if "mean" in vectors:
            offsets = -vectors["mean"] * factors
        if "offset" in vectors:
            offsets = offsets + vectors["offset"]
        if self.invert:
            if not factors.all():
                raise site.wrong("invert: a factor is 0, which nothing undoes")
            factors, offsets = 1.0 / factors, -offsets / factors
        return Scale(factors.astype(dtype), offsets.astype(dtype))

    @staticmethod
    def _size(site: Site, names: dict[str, Numbers]) -> tuple[int, str]:
        """How many units there are, and what messages say of it."""
        if site.inputs:
            return site.inputs, ""
        for role, name in names.items():
            if isinstance(name, str):
                size = len(site.datasets.read(name, f"{site.key}.{role}", 1))
            elif isinstance(name, list):
                size = len(name)
            else:
                continue
            return size, f"as in `{role}`"
        raise site.wrong("nothing tells how many units there are; expected a number for each")

    @classmethod
    def of(cls, layer: Scale, keep: Keep) -> "BatchNormSpec":
        return cls(scale=keep("scale", layer.factors), offset=keep("offset", layer.offsets))


class LayerNormSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Units freed of the mean of their step and divided by its deviation, scaled and shifted."""

    named = ("scale", "offset")
    scale: str | None = None
    offset: str | None = None
    epsilon: float = 1e-5

    def add(self, site: Site) -> None:
        add_normalization(site, self, None)


class GroupNormSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The same over all steps, where there are any, and the units of a group."""

    named = ("scale", "offset")
    groups: int
    scale: str | None = None
    offset: str | None = None
    epsilon: float = 1e-5

    def add(self, site: Site) -> None:
        add_normalization(site, self, self.groups)


def add_normalization(site: Site, spec: LayerNormSpec | GroupNormSpec, groups: int | None) -> None:
    """Add a normalization over features."""
    site.need_one()
    names = {role: getattr(spec, role) for role in spec.named if getattr(spec, role) is not None}
    size = site.inputs
    for role, name in names.items():
        size = size or len(site.datasets.read(name, f"{site.key}.{role}", 1))
    if size is None:
        raise site.wrong("nothing tells how many features it is given; name its `scale`")
    if groups is not None and (groups < 1 or size % groups):
        raise site.wrong(f"groups: found {groups}; expected a divisor of {size} units")
    if not 0 <= spec.epsilon < math.inf:
        raise site.wrong(f"epsilon: found {spec.epsilon}; expected 0 or more")
    vectors = {role: site.vector(name, role, size) for role, name in names.items()}
    site.claim(2 * size)
    ones, zeros = np.ones(size, site.datasets.dtype), np.zeros(size, site.datasets.dtype)
    factors, offsets = vectors.get("scale", ones), vectors.get("offset", zeros)
    site.tell(size)
    site.put(Normalize(factors, offsets, spec.epsilon, groups), site.shape.of_size(size))


def normalization_of(layer: Normalize, keep: Keep) -> LayerNormSpec | GroupNormSpec:
    """A normalization as a mapping has it."""
    scale, offset = keep("scale", layer.factors), keep("offset", layer.offsets)
    if layer.groups is None:
        return LayerNormSpec(scale, offset, float(layer.epsilon))
    return GroupNormSpec(layer.groups, scale, offset, float(layer.epsilon))


class UnitsSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Some of the units: from one up to another."""

    start: int
    stop: int

    def add(self, site: Site) -> None:
        site.need_one()
        if not 0 <= self.start < self.stop:
            raise site.wrong(f"found {self.start} to {self.stop}; expected 0 or more, to more")

        def check(size: int) -> None:
            if self.stop > size:
                raise site.wrong(f"stop: found {self.stop}; the layer before gives {size} units")

        site.when_known(0, check)
        site.put(Select(self.start, self.stop), site.shape.of_size(self.stop - self.start))

    @classmethod
    def of(cls, layer: Select, keep: Keep) -> "UnitsSpec":
        return cls(layer.start, layer.stop)


class LeakyReluSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """x where it is above 0, else x times a slope: one number, or a dataset of one a unit."""

    named = ("slopes",)
    slope: float | None = None
    slopes: str | None = None

    def add(self, site: Site) -> None:
        site.need_one()
        if (self.slope is None) == (self.slopes is None):
            raise site.wrong("expected `slope`, a number, or `slopes`, a dataset")
        if self.slopes is None:
            slopes = np.array([self.slope], dtype=site.datasets.dtype)
            if not np.isfinite(slopes).all():
                raise site.wrong(f"slope: found {self.slope}; expected a number")
        else:
            slopes = site.vector(self.slopes, "slopes", site.inputs, flat=True)
            if len(slopes) > 1:
                site.tell(len(slopes))
        site.put(LeakyRelu(slopes), site.shape)

    @classmethod
    def of(cls, layer: LeakyRelu, keep: Keep) -> "LeakyReluSpec":
        if len(layer.slopes) == 1:
            return cls(slope=float(layer.slopes[0]))
        return cls(slopes=keep("slopes", layer.slopes))


def add_activation(site: Site, kind: ActivationName, source: int) -> None:
    """Add an activation behind a node, unless there is none."""
    if kind != "linear":
        site.put(Activation(kind), site.graph.shapes[source], [source])


def build_dense(spec: DenseSpec, datasets: Datasets, key: str, inputs: int | None) -> Dense:
    """Build a dense layer that the layer before feeds with `inputs` features, where known."""
    names = [spec.weights] if isinstance(spec.weights, str) else spec.weights
    if not names:
        raise datasets.mapping_error(f"{key}.weights: names no dataset; expected one or more")
    of_heads = spec.layout in ("features_by_heads", "heads_by_classes")
    parts = [datasets.read(name, f"{key}.weights", 3 if of_heads else 2) for name in names]
    if of_heads:
        by_heads = spec.layout == "features_by_heads"
        parts = [
            part.reshape((len(part), -1) if by_heads else (-1, part.shape[-1])) for part in parts
        ]
    layout = spec.layout or _dense_layout(parts, inputs)
    if layout is None:
        raise datasets.mapping_error(
            f"{key}: `layout` is missing and the shapes leave it open; "
            "set it to classes_by_features (as in PyTorch) or features_by_classes (as in Keras)"
        )
    oriented = parts if layout == "classes_by_features" else [part.T for part in parts]
    if len({part.shape[0] for part in oriented}) > 1:
        raise datasets.array_error(
            names, f"the matrices have different numbers of outputs under layout {layout}"
        )
    weights = np.ascontiguousarray(np.concatenate(oriented, axis=1))
    outputs, found = weights.shape
    if inputs is not None and found != inputs:
        other = "features_by_classes" if layout == "classes_by_features" else "classes_by_features"
        mend = f"; set `layout: {other}`" if _dense_layout(parts, inputs) == other else ""
        raise datasets.array_error(
            names,
            f"({key}.weights, layout {layout}) takes {found} features, "
            f"the layer before gives {inputs}{mend}",
        )
    bias: Floats | None = None
    for name in dataset_names(spec.bias):
        part = datasets.read(name, f"{key}.bias", 1, flat=of_heads)
        if len(part) != outputs:
            raise datasets.array_error(
                [name],
                f"({key}.bias) has {len(part)} values; expected {outputs}, one a class or unit",
            )
        bias = part if bias is None else bias + part
    if spec.negative is True:
        weights, bias = -weights, None if bias is None else -bias
    return Dense(weights, bias)


def build_vector(
    name: str, bias: str | None, datasets: Datasets, key: str, inputs: int | None
) -> Dense:
    """Build a dense layer of one output from a vector, or a matrix of one row or column."""
    stored = datasets.file.datasets.get(name)
    dimensions = 2 if stored is not None and len(stored.shape) == 2 else 1
    vector = datasets.read(name, f"{key}.weights", dimensions)
    if vector.size != max(vector.shape) or (inputs is not None and vector.size != inputs):
        expected = "a vector" if inputs is None else f"a vector of {inputs}"
        raise datasets.array_error(
            [name],
            f"({key}.weights) has shape {shape_text(vector.shape)}; expected {expected}, one "
            "number a unit of what is weighed",
        )
    offset = None
    if bias is not None:
        offset = datasets.read(bias, f"{key}.bias", 1)
        if len(offset) != 1:
            problem = f"({key}.bias) has {len(offset)} values; expected 1"
            raise datasets.array_error([bias], problem)
    return Dense(vector.reshape(1, -1), offset)


def _dense_layout(parts: list[Floats], inputs: int | None) -> str | None:
    """The layout that the shapes alone allow; None where they allow both or neither."""
    if inputs is None:
        return None
    fits_rows = sum(part.shape[0] for part in parts) == inputs
    fits_columns = sum(part.shape[1] for part in parts) == inputs
    if fits_rows == fits_columns:
        return None
    return "classes_by_features" if fits_columns else "features_by_classes"
