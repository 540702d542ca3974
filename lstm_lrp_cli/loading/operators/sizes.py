"""How many features an input has, told by a layer of its own where no weights take it whole."""

from collections.abc import Mapping

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec

# No step of a sequence has more, and where no weights tell their number it takes memory.
MOST_FEATURES = 2**22
# The kinds of layers that give as many units as they take.
PASSING = frozenset(
    ("activation", "pool", "repeat", "reverse", "crop", "pad", "upsample", "windows", "leaky_relu")
)


def sources_of(spec: LayerSpec) -> list[str]:
    return spec.source if isinstance(spec.source, list) else [str(spec.source)]


def renamed(spec: LayerSpec, names: dict[str, str]) -> LayerSpec:
    sources = [names.get(name, name) for name in sources_of(spec)]
    return replace(
        spec,
        name=names.get(str(spec.name), spec.name),
        source=sources if isinstance(spec.source, list) else sources[0],
    )


def with_sizes(specs: Mapping[str, LayerSpec], features: Mapping[str, int]) -> dict[str, LayerSpec]:
    """Layers, with one that multiplies an input by 1 where no other tells how wide it is.

    Parameters
    ----------
    specs : mapping
        Layers by their names, each after those that feed it.
    features : mapping of str to int
        How many features inputs have, by their names.
    """
    told = _told(specs, _unsized(specs, features))
    made, telling = dict(specs), {}
    for name, size in features.items():
        if name in told or all(name not in sources_of(spec) for spec in specs.values()):
            continue
        if size > MOST_FEATURES:
            raise ValueError(f"`{name}` has {size:,} features; expected {MOST_FEATURES:,} at most")
        whole = f"{name} whole"
        while whole in specs:
            whole += "*"
        scale = BatchNormSpec(scale=[1.0] * size)
        telling[whole] = LayerSpec(name=whole, source=name, batch_norm=scale)
        made = {key: renamed(spec, {name: whole}) for key, spec in made.items()}
    return telling | made


def _unsized(specs: Mapping[str, LayerSpec], features: Mapping[str, int]) -> set[str]:
    """The inputs, and what layers give that are as wide as those."""
    unsized = set(features)
    for name, spec in specs.items():
        if not PASSING.isdisjoint(spec.kinds) and not unsized.isdisjoint(sources_of(spec)):
            unsized.add(name)
    return unsized


def _told(specs: Mapping[str, LayerSpec], unsized: set[str]) -> set[str]:
    """What has a width that a layer with weights tells, which takes it whole."""
    told: set[str] = set()
    for name in reversed(list(specs)):
        spec = specs[name]
        sources = sources_of(spec)
        if spec.units is not None:
            continue
        if spec.merge == "concat":
            # Where one part alone is unknown it is what the others leave.
            if name in told and sum(source in unsized for source in sources) < 2:
                told.update(sources)
        elif name in told or PASSING.isdisjoint(spec.kinds):
            told.update(sources)
    return told
