"""All variations of some layers and their padding, the likeliest first."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from lstm_lrp_cli.loading.mapping import Mapping, PaddingSpec
from lstm_lrp_cli.model import GATES
from .variations import PLAIN, Axis, Start, Variation, axes_of_cells, axes_of_others

# Where a sequence is filled up, and where one that is longer is cut; None is nowhere.
SIDES: tuple[Literal["pre", "post"] | None, ...] = ("pre", "post", None)
CUTS: tuple[Literal["pre", "post"] | None, ...] = (None, "pre", "post")
# Lengths that are tried where nothing says one: all up to this, but of those longer than every
# sequence only what people choose.
MOST_LENGTHS = 512
USUAL_LENGTHS = (*range(10, 100, 10), *(100, 120, 128, 150, 200, 250, 256, 300, 400, 500, 512))
# No variation departs from the likeliest layers in more ways, where there are many.
MOST_DEPARTURES = 5
# As many are tried in every way.
FEW = 4096


@dataclass(frozen=True, slots=True)
class Space:
    """All variations of some layers, the likeliest first.

    Parameters
    ----------
    mapping : Mapping
        What is given beside layers.
    starts : list of Start
    longest : int
        The steps of the longest sequence.
    """

    mapping: Mapping
    starts: list[Start]
    longest: int
    _axes: dict[int, tuple[list[Axis], list[Axis], Axis]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many there are, where each is tried."""
        return sum(
            math.prod(len(axis.options) for axis in self._all(number))
            for number in range(len(self.starts))
        )

    def variations(self) -> Iterator[Variation]:
        """Every variation once: those that depart in no way from a start, then in one, ..."""
        counts = [len(self._all(number)) for number in range(len(self.starts))]
        most = max(counts) if self.size <= FEW else min(MOST_DEPARTURES, max(counts))
        seen: set[tuple[int, tuple[int, ...]]] = set()
        for ways in range(most + 1):
            for number, count in enumerate(counts):
                for choice in self._choices(number, (0,) * count, ways):
                    if (number, choice) not in seen:
                        seen.add((number, choice))
                        yield self._variation(number, choice)

    def around(self, variation: Variation, ways: int) -> Iterator[Variation]:
        """What differs from a variation of the same start in so many ways."""
        for choice in self._choices(variation.start, variation.choice, ways):
            yield self._variation(variation.start, choice)

    def _choices(self, number: int, base: tuple[int, ...], ways: int) -> Iterator[tuple[int, ...]]:
        """What differs from a choice in so many ways; axes of a family may change as one."""
        axes = self._all(number)
        groups: list[tuple[int, ...]] = [(place,) for place in range(len(axes))]
        for family in sorted({axis.family for axis in axes if axis.family}):
            own = tuple(k for k, axis in enumerate(axes) if axis.family == family)
            if len(own) > 1 and len({len(axes[k].options) for k in own}) == 1:
                groups.insert(0, own)
        for some in itertools.combinations(groups, ways):
            places = [place for group in some for place in group]
            if len(set(places)) < len(places):
                continue
            others = [
                [k for k in range(len(axes[group[0]].options)) if any(base[p] != k for p in group)]
                for group in some
            ]
            for options in itertools.product(*others):
                choice = list(base)
                for group, option in zip(some, options, strict=True):
                    for place in group:
                        choice[place] = option
                yield tuple(choice)

    def _all(self, number: int) -> list[Axis]:
        slots, rewrites, padding = self._of(number)
        return [*slots, *rewrites, padding]

    def _of(self, number: int) -> tuple[list[Axis], list[Axis], Axis]:
        """The axes of a start: what stands where, what is rewritten everywhere, and padding."""
        if number not in self._axes:
            start = self.starts[number]
            slots = [Axis.of(each.choices, each.family) for each in start.layers]
            rewrites = [] if start.is_settled else axes_of_cells(start.likeliest)
            rewrites += axes_of_others(start.likeliest)
            given = self.mapping.padding or None
            # Of several inputs each has its own, and is as long as it is.
            ways = [given] if self.mapping.inputs else _paddings(given, self.longest)
            self._axes[number] = (slots, rewrites, Axis([""] * len(ways), ways))
        return self._axes[number]

    def _variation(self, number: int, choice: tuple[int, ...]) -> Variation:
        slots, rewrites, padding = self._of(number)
        of_slots, rest = choice[: len(slots)], choice[len(slots) :]
        words = [axis.words[k] for axis, k in zip(slots, of_slots, strict=True)]
        layers = tuple(
            layer for axis, k in zip(slots, of_slots, strict=True) for layer in axis.options[k]
        )
        for axis, k in zip(rewrites, rest, strict=False):
            layers = axis.options[k](layers)
            words.append(axis.words[k])
        # What several places have alike is said once.
        what = tuple(dict.fromkeys(word for word in words if word))
        settled = self.starts[number].is_settled
        if not settled:
            layers = tuple(
                layer
                if layer.lstm is None
                else replace(layer, lstm=replace(layer.lstm, gate_order=[*GATES], **PLAIN))
                for layer in layers
            )
        return Variation(number, layers, what, padding.options[rest[-1]], choice, settled)


def _paddings(given: PaddingSpec | None, longest: int) -> list[PaddingSpec | None]:
    """What is given, then all else: none, either side, and longer sequences cut on either side.

    Sequences are filled up to the length that is given, or that of the longest.
    """
    if given is None:
        return [None, *_sides_and_cuts(longest, UNSET, longest)]
    if given.masked is True:
        cuts = CUTS if given.length and longest > given.length else ()
        others = [replace(given, truncate=cut) for cut in cuts]
        return [given, *(each for each in others if each.truncate != (given.truncate or None))]
    side = "pre" if given.side is UNSET else given.side
    usual = PaddingSpec(side, given.length or longest, given.value, False, given.truncate or None)
    others = _sides_and_cuts(usual.length or 0, given.value, longest)
    return [usual, None, *(each for each in others if each != usual)]


def _sides_and_cuts(length: int, value: float | UnsetType, longest: int) -> list[PaddingSpec]:
    """Every way to fill up and to cut to a length."""
    return [
        PaddingSpec(side, length, value, False, cut)
        for side in SIDES
        for cut in (CUTS if longest > length else CUTS[:1])
        if side or cut
    ]


def of_length(length: int, given: PaddingSpec | None, longest: int) -> list[PaddingSpec]:
    """Every way to fill up and to cut to a length, as far as what is given leaves it open."""
    value = UNSET if given is None else given.value
    specs = _sides_and_cuts(length, value, longest)
    if given is None or given.masked is not True:
        return specs
    # What is filled up is skipped, so where it stands makes no difference.
    cuts = [each.truncate for each in specs if each.side is None]
    return [PaddingSpec(UNSET, length, value, True, cut) for cut in cuts]


def likely_lengths(longest: int) -> list[int]:
    """Those that are tried where nothing says one."""
    return [*range(1, min(longest, MOST_LENGTHS)), *(n for n in USUAL_LENGTHS if n > longest)]
