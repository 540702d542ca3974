"""What a graph is given: what the axes of each input may mean, and what a mapping says of it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from msgspec import UNSET, Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import INPUT_NAME, InputSpec, PaddingSpec
from .arrays import Dim, GraphNode, Lengths, Size
from .file import GraphFile, GraphInput
from .layers import RAW_INPUT
from .parts import SignalPart
from .signal import BATCH, FEATURE, TIME, Signal

# What the axes of an input may mean, in the order in which that is tried.
ID_AXES = [(TIME,), (BATCH, TIME), (TIME, BATCH)]
NUMBER_AXES = [
    *((BATCH, TIME, FEATURE), (TIME, BATCH, FEATURE), (BATCH, FEATURE, TIME)),
    *((BATCH, TIME), (TIME, BATCH), (TIME, FEATURE), (TIME,)),
]
# Where there are other inputs: the lengths of sequences, and one vector a sequence.
LENGTHS: tuple[str, ...] = (BATCH,)
VECTOR: tuple[str, ...] = (BATCH, FEATURE)
# So many meanings of all inputs together are tried.
MOST_MEANINGS = 512
MOST_INPUTS = 32


class GivenInput(Struct, frozen=True):
    """An input, and what its axes are taken to mean.

    Parameters
    ----------
    entry : GraphInput
    name : str
        What a mapping calls it.
    axes : tuple of str
    free : frozenset of str or None
        Where its sizes are but those of an example, of BATCH and TIME those that may be others.
    """

    entry: GraphInput
    name: str
    axes: tuple[str, ...]
    free: frozenset[str] | None = None

    @property
    def is_lengths(self) -> bool:
        return self.axes == LENGTHS

    @property
    def steps(self) -> str:
        """The name of its number of steps: the file's own, so that inputs may have one number."""
        return f"{TIME} {self._sizes.get(TIME) or self.name}"

    @property
    def _sizes(self) -> dict[str, int | str | None]:
        """What the file says, a number or name of each."""
        return dict(zip(self.axes, self.entry.sizes, strict=True))

    def size(self, label: str, settled: Mapping[str, int | None]) -> Size:
        """How many sequences or steps it has.

        Parameters
        ----------
        settled : mapping of str to int or None
            What the graph was found to say of numbers of steps, by their names: None where it is
            left open.
        """
        size, name = self._sizes.get(label), self.steps if label == TIME else label
        found = settled.get(name, size) if label == TIME else size
        is_example = isinstance(size, int) and label in (self.free or ())
        if isinstance(found, int) and (not is_example or name in settled):
            return found
        return Dim((name,), example=size if isinstance(size, int) and is_example else None)

    @property
    def features(self) -> int | None:
        """How many numbers a step has, or a vector; None where the file leaves it open."""
        size = self._sizes.get(FEATURE) if FEATURE in self.axes else 1
        return size if isinstance(size, int) else None

    def value(self, settled: Mapping[str, int | None]) -> Signal | Lengths:
        """What it is to the nodes that take it."""
        if self.is_lengths:
            return Lengths(self.name, self.size(BATCH, settled))
        sizes = {label: self.size(label, settled) for label in (BATCH, TIME) if label in self.axes}
        if BATCH not in sizes:
            sizes[BATCH] = Dim((BATCH,))
        part = SignalPart(RAW_INPUT + self.name, self.features)
        return Signal.of(part, self.axes, sizes)

    def padding(self, settled: Mapping[str, int | None]) -> PaddingSpec | None:
        """The padding, where the steps alone are fixed: all sequences are filled up to them."""
        if TIME not in self.axes or BATCH not in self.axes:
            return None
        steps = self.size(TIME, settled)
        if not isinstance(steps, int) or steps < 2:
            return None
        return PaddingSpec(length=steps, value=0, masked=False)

    def spec(self, settled: Mapping[str, int | None]) -> InputSpec:
        """What a mapping says of it, where there are several."""
        if TIME not in self.axes:
            return InputSpec(self.name, steps=False)
        return InputSpec(self.name, padding=self.padding(settled) or UNSET)


def meanings(file: GraphFile, nodes: Sequence[GraphNode]) -> Iterator[tuple[GivenInput, ...]]:
    """What all inputs of a graph may mean, the likeliest first.

    Raises
    ------
    UnusableInput
        There is none, or one that can mean nothing that lrp takes.
    """
    taken = {name for node in nodes for name in node.inputs if name}
    entries = [entry for entry in file.inputs if entry.name in taken]
    if not 1 <= len(entries) <= MOST_INPUTS:
        raise UnusableInput(
            str(file.path),
            f"its graph takes {len(entries)} inputs; expected 1 to {MOST_INPUTS}: sequences, their "
            "lengths, and vectors",
        )
    is_alone = len(entries) == 1
    candidates = []
    for entry in entries:
        found = [
            GivenInput(entry, entry.name, axes) for axes in _candidates(entry, is_alone=is_alone)
        ]
        if not found and entry.dtype == "bool":
            raise UnusableInput(
                f"{file.path}: input `{entry.name}`",
                "is a mask; export the model without lengths, packing and masks: lrp runs each "
                "sequence at its own length",
            )
        if not found:
            raise UnusableInput(
                f"{file.path}: input `{entry.name}`",
                f"has {len(entry.sizes)} axes of {entry.dtype}; expected ids of sequences and "
                "steps, or numbers of sequences, steps and features",
            )
        candidates.append(found)
    together = itertools.product(*candidates)
    for meaning in itertools.islice(together, MOST_MEANINGS):
        sequences = [given for given in meaning if not given.is_lengths]
        if len(sequences) == 1 and TIME in sequences[0].axes:
            # The only one that is explained has no name of its own.
            yield tuple(
                given if given.is_lengths else replace(given, name=INPUT_NAME) for given in meaning
            )
        elif sequences:
            yield meaning


def _candidates(entry: GraphInput, *, is_alone: bool) -> list[tuple[str, ...]]:
    """What the axes of one input may mean."""
    is_ids = entry.dtype.startswith(("int", "uint"))
    if entry.dtype == "bool":
        return []
    known = [axes for axes in (ID_AXES if is_ids else NUMBER_AXES) if len(axes) == len(entry.sizes)]
    if is_alone:
        return known
    if is_ids and len(entry.sizes) == 1:
        return [LENGTHS, *known]
    if not is_ids and len(entry.sizes) == 2:
        return [VECTOR, *known]
    return known
