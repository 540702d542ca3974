"""Layers that several others feed, or that are made of others, as a mapping has them."""

import math

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Attention, AttentionName, Merge, MergeName, Pool, StepSoftmax
from .datasets import Spec
from .site import Keep, Site, Units
from .units import DenseSpec, build_vector


class AttentionSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A weighted sum over steps; the weights are a softmax over steps of one number each.

    The number is weights . h + bias of the step's vector h, or of what `hidden` makes of it:
    Bahdanau's additive attention without a query.
    """

    named = ("weights", "bias")
    weights: str
    bias: str | None = None
    hidden: DenseSpec | None = None

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        shape, feeding = site.shape, site
        if self.hidden is not None:
            self.hidden.add(Site(site.graph, f"{site.key}.hidden", site.sources))
            feeding = site.of_source(len(site.graph.nodes) - 1)
        vector = build_vector(self.weights, self.bias, site.datasets, site.key, feeding.inputs)
        feeding.tell(vector.weights.shape[1])
        one = shape.of_size(1)
        scored = site.put(vector, one, feeding.sources)
        weighed = site.put(StepSoftmax(), one, [scored])
        gated = site.put(Merge("gate"), shape, [weighed, *site.sources])
        site.put(Pool("sum"), shape.as_vector(), [gated])


class AttendSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sums of values, weighted by how well their keys fit a query; `from: [query, value, key]`.

    `factors` names those of additive attention, or one by which products are scaled too.
    """

    named = ("factors",)
    kind: AttentionName = "dot"
    heads: int = 1
    scale: float = 1.0
    factors: str | None = None
    causal: bool = False

    def add(self, site: Site) -> None:
        if len(site.sources) not in (2, 3):
            raise site.wrong("needs `from: [query, value]` or `from: [query, value, key]`")
        if len(site.sources) == 2:
            site = Site(site.graph, site.key, (*site.sources, site.sources[1]))
        site.need_steps(1)
        site.need_steps(2)
        self._check_settings(site)
        query, value, key = site.shapes
        if None not in (value.steps, key.steps) and value.steps != key.steps:
            raise site.wrong(f"has values of {value.steps} steps and keys of {key.steps}")
        sizes = site.sizes
        if None not in (sizes[0], sizes[2]) and sizes[0] != sizes[2]:
            raise site.wrong(f"has queries of {sizes[0]} units and keys of {sizes[2]}")
        site.tell_alike(0, 2)
        scale, factors = self.scale, self._factors(site)
        if self.kind == "dot" and factors is not None:
            scale, factors = scale * float(factors[0]), None

        def check(size: int) -> None:
            if size % self.heads:
                raise site.wrong(f"heads: found {self.heads}; expected a divisor of {size} units")

        site.when_known(0, check)
        site.when_known(1, check)
        layer = Attention(self.kind, self.heads, scale, factors, self.causal)
        site.put(layer, query.of_units(value.units))

    def _factors(self, site: Site) -> Floats | None:
        """The factors of additive attention, one a unit; or the one of products."""
        if self.factors is None:
            return None
        key = f"{site.key}.factors"
        found = site.datasets.read(self.factors, key, 1, flat=True)
        expected = 1 if self.kind == "dot" else site.inputs
        if expected not in (None, len(found)):
            problem = f"({key}) has {len(found)} values; expected {expected}"
            raise site.datasets.array_error([self.factors], problem)
        if self.kind == "additive":
            site.tell(len(found))
        return found

    def _check_settings(self, site: Site) -> None:
        """Refuse settings that make no sense, alone or together."""
        if self.heads < 1:
            raise site.wrong(f"heads: found {self.heads}; expected 1 or more")
        if not math.isfinite(self.scale):
            raise site.wrong(f"scale: found {self.scale}; expected a number")
        if self.kind == "additive" and self.scale != 1:
            raise site.wrong("scale: is of `kind: dot`; additive attention has `factors`")
        if self.causal and not site.shape.by_step:
            raise site.wrong("causal: its query is one vector a sequence, which sees all steps")

    @classmethod
    def of(cls, layer: Attention, keep: Keep) -> "AttendSpec":
        factors = keep("factors", layer.factors)
        return cls(layer.kind, layer.heads, float(layer.scale), factors, layer.causal)


def add_merge(kind: MergeName, site: Site) -> None:
    """Several values made one."""
    shapes = site.shapes
    if len(shapes) < 2:
        raise site.wrong("joins layers; name two or more of them in `from: [.., ..]`")
    if len({shape.by_step for shape in shapes}) > 1:
        raise site.wrong("joins a value of every step and one of the whole sequence")
    steps = {shape.steps for shape in shapes} - {None}
    if len(steps) > 1:
        raise site.wrong(f"joins values of {' and '.join(map(str, steps))} steps; expected as many")
    units = _joined(kind, site)
    known, grown = next(iter(steps), None), max(shape.grown for shape in shapes)
    joined = shapes[0].of_units(units)
    site.put(Merge(kind), joined.at_steps(known, grown) if joined.by_step else joined)


def _joined(kind: MergeName, site: Site) -> Units:
    """The units of several values made one, which must be as many where they meet one by one."""
    sizes = site.sizes
    given = " and ".join("?" if size is None else str(size) for size in sizes)
    if kind == "concat":
        units = Units()
        for shape in site.shapes:
            units = units.plus(shape.units)
        return units
    if kind == "difference" and len(sizes) != 2:
        raise site.wrong(f"joins {len(sizes)} layers; expected two, of which one is taken off")
    known = {size for size in sizes if size is not None}
    if kind == "gate":
        if len(sizes) != 2 or sizes[0] is None or (sizes[0] != 1 and len(known) > 1):
            raise site.wrong(
                f"has sources of {given} units; expected a gate, of 1 or as many, and a signal"
            )
        if sizes[0] == 1:
            return site.shapes[1].units
    elif len(known) > 1:
        raise site.wrong(f"has sources of {given} units; expected as many each")
    for other in range(1, len(sizes)):
        site.tell_alike(0, other)
    return site.shape.units
