"""Layers that several others feed, or that are made of others, as a mapping has them."""

import numpy as np

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Attention, AttentionName, Merge, MergeName, Pool, StepSoftmax
from .datasets import Spec
from .site import Keep, Site
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
        value, feeding = site.value, site
        if self.hidden is not None:
            self.hidden.add(Site(site.graph, f"{site.key}.hidden", site.sources))
            feeding = site.of_source(len(site.graph.nodes) - 1)
        vector = build_vector(self.weights, self.bias, site.datasets, site.key, feeding.inputs)
        feeding.tell(vector.weights.shape[1])
        one = value.of_size(1)
        scored = site.put(vector, one, feeding.sources)
        weighed = site.put(StepSoftmax(), one, [scored])
        gated = site.put(Merge("gate"), value, [weighed, *site.sources])
        site.put(Pool("sum"), value.as_vector(), [gated])


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
        site.need_steps(1)
        query = site.value
        sources = (*site.sources, site.sources[1]) if len(site.sources) == 2 else site.sources
        sizes = [site.graph.size(site.graph.values[each]) for each in sources]
        if None in sizes:
            raise site.wrong("nothing tells how many features its queries, values and keys have")
        if sizes[0] != sizes[2]:
            raise site.wrong(f"has queries of {sizes[0]} units and keys of {sizes[2]}")
        if self.heads < 1 or any(size is None or size % self.heads for size in sizes):
            given = " and ".join(map(str, dict.fromkeys(sizes)))
            raise site.wrong(f"heads: found {self.heads}; expected a divisor of {given} units")
        if not np.isfinite(self.scale):
            raise site.wrong(f"scale: found {self.scale}; expected a number")
        if self.causal and not query.by_step:
            raise site.wrong("causal: its query is one vector a sequence, which sees all steps")
        scale = self.scale
        factors: Floats | None = None
        if self.factors is not None:
            key = f"{site.key}.factors"
            found = site.datasets.read(self.factors, key, 1, flat=True)
            if len(found) != (1 if self.kind == "dot" else sizes[0]):
                expected = 1 if self.kind == "dot" else sizes[0]
                problem = f"({key}) has {len(found)} values; expected {expected}"
                raise site.datasets.array_error([self.factors], problem)
            if self.kind == "dot":
                scale *= float(found[0])
            else:
                factors = found
        layer = Attention(self.kind, self.heads, scale, factors, self.causal)
        site.put(layer, query.of_size(sizes[1]), sources)

    @classmethod
    def of(cls, layer: Attention, keep: Keep) -> "AttendSpec":
        factors = keep("factors", layer.factors)
        return cls(layer.kind, layer.heads, layer.scale, factors, layer.causal)


def add_merge(kind: MergeName, site: Site) -> None:
    """Several values made one."""
    values, sizes = site.values, site.sizes
    if len(values) < 2:
        raise site.wrong("joins layers; name two or more of them in `from: [.., ..]`")
    if len({value.by_step for value in values}) > 1:
        raise site.wrong("joins a value of every step and one of the whole sequence")
    steps = {value.steps for value in values} - {None}
    if len(steps) > 1:
        raise site.wrong(f"joins values of {' and '.join(map(str, sorted(steps, key=str)))} steps")
    given, size = " and ".join(map(str, sizes)), sizes[0]
    if kind == "concat":
        known = [size for size in sizes if size is not None]
        size = sum(known) if len(known) == len(sizes) else None
    elif kind == "gate":
        if len(sizes) != 2 or sizes[0] not in (1, sizes[1]):
            raise site.wrong(
                f"has sources of {given} units; expected a gate, of 1 or as many, and a signal"
            )
        size = sizes[1]
    elif len(set(sizes)) > 1:
        raise site.wrong(f"has sources of {given} units; expected as many each")
    elif kind == "difference" and len(values) != 2:
        raise site.wrong(f"joins {len(values)} layers; expected two, of which one is taken off")
    signal = values[1] if kind == "gate" else values[0]
    value = signal if kind != "concat" and size is None else signal.of_size(size)
    site.put(Merge(kind), value)
