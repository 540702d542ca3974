"""Searching the mapping by which a model gives the scores that its framework gave.

The weights are read once and every variation is a model of its own. All are run on one short
sequence, the likeliest first; those that are near are run on all.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import masked_steps, real_lengths
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Datasets
from lstm_lrp_cli.loading.load import Contents, LoadedModel, build_model
from lstm_lrp_cli.loading.mapping import PaddingSpec
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import Padding
from .expected import Expected
from .judging import Judge, Match, MatchedMapping
from .space import FEW, Space, likely_lengths, of_length
from .starts import of_steps
from .trial import Built, Kept
from .variations import Candidate, Layers, Setting, Start, Variation, given_setting

# How many variations that are near on one sequence are run on all, at the least.
FINALISTS = 48
# How many times the tolerance a variation may be off on one sequence to be run on all.
NEAR = 10
# The one sequence has so many steps, where there is one: few, yet enough that every gate counts.
TELLING_STEPS = 3
# So many variations are kept whose scores of one sequence are off.
MOST_KEPT = 4096
# So many layers are built to find out of what form the scores are.
MOST_FIRST = 256
# No search takes longer, in seconds; nor, once something is found, for what it cannot be told from.
MOST_SECONDS = 50.0
MOST_SECONDS_FOUND = 15.0
# Of much to try, what differs in more ways from all that fits is not tried any more.
WAYS_FROM_FOUND = 2
# So many ways from what is likeliest are tried before other lengths of sequences are.
WAYS_BEFORE_LENGTHS = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A variation with one setting, and how far it is off on one sequence."""

    worst: float
    setting: Setting | None
    variation: Variation
    built: Built
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Layers to begin with, and the weights that every variation of them takes.

    Parameters
    ----------
    contents : Contents
        What the file and its mapping say.
    datasets : Datasets
    starts : list of Start
        Layers to begin with.
    """

    contents: Contents
    datasets: Datasets
    starts: list[Start]

    def first_model(self, is_meant: Callable[[Model], bool]) -> Model:
        """A model of the first layers that fit together: what input and scores are read for.

        Parameters
        ----------
        is_meant : callable
            Whether a model has the form of the scores; one that has not is taken where none has.

        Raises
        ------
        UnusableInput
            None do.
        """
        space = Space(self.contents.described.mapping, self.starts, 1)
        models = (
            loaded.model
            for variation in itertools.islice(space.variations(), MOST_FIRST)
            if (loaded := self.model(variation.layers)) is not None
        )
        first = next(models, None)
        if first is None:
            # The mapping as it is says best what is wrong with it.
            return build_model(self._with_layers(self.starts[0].likeliest), self.datasets).model
        return next(filter(is_meant, itertools.chain([first], models)), first)

    def match(
        self,
        first: Model,
        sequences: list[Sequence],
        expected: Expected,
        tolerance: float,
        tell: Callable[[int, int | None], None],
    ) -> Match:
        """Try every variation, or as many as time allows.

        Parameters
        ----------
        first : Model
            What the sequences and scores were read for.
        sequences : list of Sequence
        expected : Expected
            The framework's scores of all of them.
        tolerance : float
            What they may differ by, relative to scores over 1.
        tell : callable
            Is told how many of how many variations were tried.

        Raises
        ------
        UnusableInput
            There is no variation whose weights fit together.
        """
        mapping = self.contents.described.mapping
        real = np.sum(real_lengths(sequences, first), axis=0).tolist()
        # Of a stateful model, one that begins in its initial states.
        anew = slice(mapping.stateful or None)
        _, short = min(
            zip(real[anew], sequences[anew], strict=True),
            key=lambda each: (each[0] < TELLING_STEPS, each[0] or 1 << 30),
        )
        longest = max(len(each) for each in sequences)
        made = {len(scores) for scores in expected.scores} if expected.by_step else set()
        repeated = made.pop() if len(made) == 1 else longest
        space = Space(mapping, [of_steps(start, repeated) for start in self.starts], longest)
        run = _Run(self, space, (short, sequences), expected, tolerance, tell)
        run.try_all(WAYS_BEFORE_LENGTHS)
        if not run.found:
            run.try_lengths()
        if not run.found:
            run.try_all(None)
        ranked = run.ranked()
        if not ranked:
            raise UnusableInput(
                str(self.contents.path), "its arrays fit together in no way that the mapping allows"
            )
        steps = masked = None
        if first.by_step:
            steps, masked = sum(real), sum(masked_steps(sequences, first))
        lengths = tuple(len(each) for each in sequences)
        return Match(ranked, tolerance, run.tried, lengths, not run.is_cut, steps, masked)

    def model(self, layers: Layers, **others: Any) -> LoadedModel | None:
        """The model of some layers, None where the arrays do not fit together."""
        try:
            return build_model(self._with_layers(layers, **others), self.datasets)
        except UnusableInput:
            return None

    def _with_layers(self, layers: Iterable[LayerSpec], **others: Any) -> Contents:
        described = self.contents.described
        mapping = replace(described.mapping, layers=list(layers), **others)
        described = replace(described, mapping=mapping)
        return replace(self.contents, described=described)


@dataclass(slots=True, eq=False)
class _Run:
    """One search as it goes on: what is built and kept, and what is near.

    Parameters
    ----------
    search : Search
    space : Space
    sequences : (Sequence, list of Sequence)
        One short sequence, and all of them.
    expected : Expected
    tolerance : float
    tell : callable
    tried : int
        How many variations with all their settings.
    is_cut : bool
        Whether not everything was tried that there is.
    found : list of Variation
        Those that reproduce all scores.
    """

    search: Search
    space: Space
    sequences: tuple[Sequence, list[Sequence]]
    expected: Expected
    tolerance: float
    tell: Callable[[int, int | None], None]
    tried: int = 0
    is_cut: bool = False
    found: list[Variation] = dataclasses.field(default_factory=list)
    _near: list[_Tried] = dataclasses.field(default_factory=list)
    _lengths: list[MatchedMapping] = dataclasses.field(default_factory=list)
    _judges: dict[tuple[int, str], Judge] = dataclasses.field(default_factory=dict)
    _kept: Kept = dataclasses.field(default_factory=Kept)
    _seen: set[bytes] = dataclasses.field(default_factory=set)
    _waiting: Variation | None = None
    _until: float = 0.0
    _is_few: bool = True
    _variations: Iterator[Variation] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._variations = self.space.variations()
        self._is_few = self.space.size <= FEW
        self._until = time.monotonic() + MOST_SECONDS

    def try_all(self, ways: int | None) -> None:
        """Try the variations that depart in up to so many ways from the likeliest, or all left.

        Where there are many, and one reproduces the scores, only what differs from it in few ways
        is tried any more: what it cannot be told from.
        """
        total = self.space.size if self._is_few else None
        for variation in self._next():
            if ways is not None and sum(map(bool, variation.choice)) > ways and not self.found:
                self._waiting = variation
                return
            if time.monotonic() > self._until:
                self.is_cut = True
                return
            self._try(variation, total)
            if self.found and not self._is_few:
                self.is_cut = True
                self._try_around()
                return

    def _next(self) -> Iterator[Variation]:
        """The variations from where the last one was left, which stay there when this ends."""
        waiting, self._waiting = self._waiting, None
        return itertools.chain([waiting] if waiting else [], self._variations)

    def _try_around(self) -> None:
        """Try what differs in few ways from what was found, and from what is found of that."""
        for place in itertools.count():
            if place >= len(self.found):
                return
            for ways in range(1, WAYS_FROM_FOUND + 1):
                for variation in self.space.around(self.found[place], ways):
                    if time.monotonic() > self._until:
                        return
                    self._try(variation, None)

    def _try(self, variation: Variation, total: int | None) -> None:
        """Try a variation with all of its settings, unless the same was tried."""
        content = msgspec.json.encode((variation.layers, variation.padding, variation.is_settled))
        if content in self._seen:
            return
        self._seen.add(content)
        self.tell(len(self._seen), total)
        built = self._built(variation)
        if built is None or built.model.by_step != self.expected.by_step:
            return
        settings = variation.settings
        short, everything = (self._judge(k, variation, built.model) for k in (0, 1))
        found = [
            _Tried(worst, settings[k], variation, built, self.tried + k)
            for k, (worst, _) in enumerate(short.judge(built, settings))
        ]
        self.tried += len(settings)
        self._near += found
        within = NEAR * self.tolerance
        fitting = [each.setting for each in found if each.worst <= within]
        if fitting and min(everything.judge(built, fitting))[0] <= self.tolerance:
            if not self.found:
                self._until = min(self._until, time.monotonic() + MOST_SECONDS_FOUND)
            self.found.append(variation)
        if len(self._near) > MOST_KEPT:
            self._near.sort(key=lambda each: each.worst)
            others = [each for each in self._near[FINALISTS:] if each.worst <= within]
            self._near = [*self._near[:FINALISTS], *others]

    def ranked(self) -> list[MatchedMapping]:
        """What is near on one sequence, as far as it is off on all.

        What reproduces the scores comes first, in the order of likelihood; then the nearest.
        """
        near = sorted(self._near, key=lambda each: each.worst)
        within = sum(each.worst <= NEAR * self.tolerance for each in near)
        ranked = list(self._lengths)
        for each in sorted(near[: max(within, FINALISTS)], key=lambda each: each.number):
            judge = self._judge(1, each.variation, each.built.model)
            [(worst, compared)] = judge.judge(each.built, [each.setting])
            ranked.append(MatchedMapping(Candidate(each.variation, each.setting), worst, compared))
        return sorted(ranked, key=lambda each: each.worst if each.worst > self.tolerance else 0.0)

    def try_lengths(self) -> None:
        """The model as it is given, its sequences filled up and cut to every likely length.

        There are none where a length is given, where the gate order is not, or where the scores are
        of steps and its are not, or the other way round.
        """
        mapping = self.search.contents.described.mapping
        padding, first = mapping.padding or None, next(self.space.variations())
        setting = given_setting(self.space.starts[0].likeliest)
        built = None if setting is None else self._built(first)
        if built is None or built.model.by_step != self.expected.by_step:
            return
        if mapping.inputs or (padding is not None and padding.length):
            return
        settled = None if first.is_settled else setting
        longest = max(len(each) for each in self.sequences[1])
        for length in likely_lengths(longest):
            if time.monotonic() > self._until:
                self.is_cut = True
                return
            for spec in of_length(length, padding, longest):
                variation = dataclasses.replace(first, padding=spec)
                model = _padded(built.model, spec)
                judge = Judge(self.sequences[1], self.expected, model)
                [(worst, compared)] = judge.judge(Built(model, built.keys), [settled])
                self._lengths.append(MatchedMapping(Candidate(variation, settled), worst, compared))
                self.tried += 1
                if worst <= self.tolerance:
                    self.found.append(variation)

    def _built(self, variation: Variation) -> Built | None:
        """A variation as a model, None where its arrays do not fit together."""
        # Words and names play no part in a score.
        plain: dict[str, Any] = dict.fromkeys(("vocabulary", "tokens", "labels"))
        loaded = self.search.model(variation.layers, padding=variation.padding, **plain)
        return None if loaded is None else Built.of(loaded.model, variation.layers, loaded.built)

    def _judge(self, which: int, variation: Variation, model: Model) -> Judge:
        """What measures a variation on one sequence or on all."""
        key = (which, repr((variation.padding, [each.size for each in model.inputs])))
        if key not in self._judges:
            sequences = self.sequences[1] if which else [self.sequences[0]]
            self._judges[key] = Judge(sequences, self.expected, model, self._kept)
        return self._judges[key]


def _padded(model: Model, spec: PaddingSpec) -> Model:
    """A model of one input whose sequences are filled up and cut so."""
    filled = Padding(
        spec.side or None,
        spec.length or 0,
        spec.value or 0,
        spec.masked is True,
        truncate=spec.truncate or None,
    )
    [given] = model.inputs
    return replace(model, inputs=(replace(given, padding=filled),))
