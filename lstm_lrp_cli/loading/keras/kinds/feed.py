"""What Keras's layers are fed with and what they give, as far as a mapping needs to know."""

import math
from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.loading.keras.architecture import KerasLayer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec

# Layers that do nothing at inference.
SILENT = frozenset(
    {
        "InputLayer",
        "Dropout",
        "SpatialDropout1D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "ActivityRegularization",
        "Identity",
    }
)


class Output(Struct, frozen=True):
    """What a layer puts out.

    Parameters
    ----------
    name : str
        Of the layer of the mapping that it is; a silent layer's is its source's.
    shape : tuple of (int or None)
        Of one sequence: (steps, units), or (units,); (parts, steps, units) of sequences of
        sequences, whose steps stand one after another in a mapping. None is open.
    is_masked : bool
        Whether a mask goes with it.
    weighs : bool
        Whether it is a softmax over the steps, however it lies now.
    holds_steps : bool
        Whether its units are the steps of a sequence: flattened, or turned.
    is_made : bool
        Whether its steps are made of a vector, so that no step of an input is among them.
    fit : tuple of str, or None
        The layers of queries and of keys whose products it is.
    """

    name: str
    shape: Shape
    is_masked: bool = False
    weighs: bool = False
    holds_steps: bool = False
    is_made: bool = False
    fit: tuple[str, str] | None = None

    @property
    def by_step(self) -> bool:
        """Whether it has a vector a step."""
        return len(self.shape) > 1

    @property
    def steps(self) -> int | None:
        """How many steps it has as a mapping counts them, where that is fixed."""
        return known_product(self.shape[:-1])

    @property
    def units(self) -> int | None:
        return self.shape[-1]


def known_product(sizes: Shape) -> int | None:
    """The product of sizes, None where one is open."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


class Feed(Struct, frozen=True):
    """What a layer is fed with."""

    sources: list[Output]

    @property
    def steps(self) -> list[Output]:
        """The sources that have a vector a step."""
        return [source for source in self.sources if source.by_step]

    @property
    def has_steps(self) -> bool:
        return len(self.steps) == len(self.sources)

    @property
    def is_masked(self) -> bool:
        """Whether a mask goes with any of the steps."""
        return any(source.is_masked for source in self.steps)

    @property
    def shape(self) -> Shape:
        """Of the first source."""
        return self.sources[0].shape

    def is_units(self, axis: Any) -> bool:
        """Whether an axis is that of units, the last."""
        return axis in (-1, len(self.shape))


# The output of a layer in a mapping: layers one behind the other, of which the first is fed by the
# sources unless it says by what; none where it does nothing.
Specs = list[LayerSpec]


class KerasKind(Struct, frozen=True):
    """A kind of Keras's layers.

    Parameters
    ----------
    specs : callable
        What a layer and its feed are in a mapping.
    shape : callable
        The shape of what it puts out.
    joins : bool
        Whether it is fed by several layers.
    takes_masked : bool
        Whether masked steps take part in it, as they never do in a mapping.
    parts : callable or None
        Of a layer that has several outputs, given those that are used: the layers that stand behind
        all of them, and what each is, by its name.
    mark : callable
        What else is known of its output.
    """

    specs: Callable[[KerasLayer, Feed], Specs]
    shape: Callable[[KerasLayer, Feed], Shape] = lambda layer, feed: feed.shape
    joins: bool = False
    takes_masked: bool = False
    parts: Callable[[KerasLayer, Feed, Collection[str]], tuple[Specs, dict[str, Specs]]] | None = (
        None
    )
    mark: Callable[[KerasLayer, Feed, Output], Output] = lambda layer, feed, output: output
