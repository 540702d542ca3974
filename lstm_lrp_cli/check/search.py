"""Searching the mapping by which a model gives the scores that its framework gave.

The weights are read once and every variation is a model of its own. All are run on one short
sequence; those that are near are run on all.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.forward import Runner
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.windows import Carried, batch_rows, run_batch
from lstm_lrp_cli.inputs.batching import (
    Batch,
    Packed,
    batches,
    make_batch,
    masked_steps,
    real_lengths,
)
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Datasets
from lstm_lrp_cli.loading.load import Contents, build_model
from lstm_lrp_cli.model import FORGET, GATES, Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm
from lstm_lrp_cli.model.text import Padding
from .expected import KINDS, Expected, deviation_of, kinds_of, probabilities_of
from .variations import (
    Candidate,
    Setting,
    Variation,
    given_setting,
    layer_choices,
    likely_lengths,
    of_length,
    variations,
)

# How many variations that are near on one sequence are run on all, at the least.
FINALISTS = 48
# How many times the tolerance a variation may be off on one sequence to be run on all.
NEAR = 10
# The one sequence has so many steps, where there is one: few, yet enough that every gate counts.
TELLING_STEPS = 3


@dataclass(frozen=True, slots=True)
class MatchedMapping:
    """A variation, and how far its scores are from those that were expected."""

    choice: Candidate
    worst: float
    compared: str


@dataclass(frozen=True, slots=True)
class Match:
    """The result of a search.

    Parameters
    ----------
    ranked : list of MatchedMapping
        The nearest variations, the nearest first.
    tolerance : float
    tried : int
    sequences : int
    steps, masked : int or None
        Of a model by step, at how many steps scores were compared, and how many more are masked.
    """

    ranked: list[MatchedMapping]
    tolerance: float
    tried: int
    sequences: int
    steps: int | None = None
    masked: int | None = None

    @property
    def found(self) -> list[MatchedMapping]:
        """The variations that reproduce the scores; more than one cannot be told apart."""
        return [each for each in self.ranked if each.worst <= self.tolerance]

    @property
    def others(self) -> list[MatchedMapping]:
        """The nearest of those that do not."""
        return [each for each in self.ranked if not each.worst <= self.tolerance]


@dataclass(frozen=True, slots=True)
class _Built:
    """A variation as a model, its gates taken to stand as i, f, g, o."""

    variation: Variation
    model: Model


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Layers to begin with, and the weights that every variation of them takes.

    Parameters
    ----------
    contents : Contents
        What the file and its mapping say.
    datasets : Datasets
    starts : list of list of LayerSpec
        Layers to begin with.
    """

    contents: Contents
    datasets: Datasets
    starts: list[list[LayerSpec]]

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
        models = (
            model
            for start in self.starts
            for layers, _ in layer_choices(start)
            if (model := self._model(layers)) is not None
        )
        first = next(models, None)
        if first is None:
            # The mapping as it is says best what is wrong with it.
            return build_model(self._with_layers(self.starts[0]), self.datasets).model
        return next(filter(is_meant, itertools.chain([first], models)), first)

    def match(
        self,
        first: Model,
        sequences: list[Sequence],
        expected: Expected,
        tolerance: float,
        tell: Callable[[int, int], None],
    ) -> Match:
        """Try every variation.

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
        all_variations = variations(mapping, self.starts, longest)
        ranked = self._of_lengths(all_variations[0], sequences, expected, tolerance)
        tried = len(ranked)
        if not any(each.worst <= tolerance for each in ranked):
            near = self._near(all_variations, (short, sequences), expected, tolerance, tell)
            within = sum(worst <= NEAR * tolerance for worst, *_ in near)
            tried += len(near)
            judges: dict[int, _Judge] = {}
            finalists = []
            for _, setting, built in near[: max(within, FINALISTS)]:
                if id(built) not in judges:
                    judges[id(built)] = _Judge(sequences, expected, built.model)
                finalists.append(judges[id(built)].matched(built, setting))
            ranked = finalists + ranked
        ranked.sort(key=lambda each: each.worst if each.worst == each.worst else np.inf)
        steps = masked = None
        if first.by_step:
            steps, masked = sum(real), sum(masked_steps(sequences, first))
        return Match(ranked, tolerance, tried, len(sequences), steps, masked)

    def _near(
        self,
        all_variations: list[Variation],
        sequences: tuple[Sequence, list[Sequence]],
        expected: Expected,
        tolerance: float,
        tell: Callable[[int, int], None],
    ) -> list[tuple[float, Setting, _Built]]:
        """How far each variation is off on one sequence, the nearest first.

        Parameters
        ----------
        sequences : (Sequence, list of Sequence)
            The one, and all of them.
        """
        short, everything = sequences
        near: list[tuple[float, Setting, _Built]] = []
        anchor: Variation | None = None
        for done, variation in enumerate(all_variations, start=1):
            tell(done, len(all_variations))
            # What differs in several ways from a mapping that fits does not fit as well.
            if anchor is not None and variation.ways_from(anchor) > 1:
                continue
            built = self._built(variation)
            if built is None or built.model.by_step != expected.by_step:
                continue
            one = _Judge([short], expected, built.model)
            found = []
            for setting in variation.settings:
                worst, _ = one.judge(_with_setting(built.model, setting))
                found.append((worst if worst == worst else np.inf, setting, built))
            near += found
            fitting = [setting for worst, setting, _ in found if worst <= NEAR * tolerance]
            if anchor is None and fitting:
                judge = _Judge(everything, expected, built.model)
                if any(judge.matched(built, each).worst <= tolerance for each in fitting):
                    anchor = variation
        if not near:
            raise UnusableInput(
                str(self.contents.path), "its arrays fit together in no way that the mapping allows"
            )
        return sorted(near, key=lambda entry: entry[0])

    def _of_lengths(
        self, variation: Variation, sequences: list[Sequence], expected: Expected, tolerance: float
    ) -> list[MatchedMapping]:
        """The model as it is given, its sequences filled up and cut to every likely length.

        There are none where it fits as it is, where a length is given, where the gate order is not,
        or where the scores are of steps and its are not, or the other way round.
        """
        mapping = self.contents.described.mapping
        padding, setting = mapping.padding or None, given_setting(mapping.layers or [])
        built = None if setting is None else self._built(variation)
        if setting is None or built is None or built.model.by_step != expected.by_step:
            return []
        if mapping.inputs or (padding is not None and padding.length):
            return []
        judge = _Judge(sequences, expected, built.model)
        if judge.matched(built, setting).worst <= tolerance:
            return []
        longest = max(len(each) for each in sequences)
        found = []
        for length in likely_lengths(longest):
            for spec in of_length(length, padding, longest):
                filled = Padding(
                    spec.side or None,
                    length,
                    spec.value or 0,
                    spec.masked is True,
                    truncate=spec.truncate or None,
                )
                [given] = built.model.inputs
                model = replace(built.model, inputs=(replace(given, padding=filled),))
                each = _Built(dataclasses.replace(variation, padding=spec), model)
                found.append(_Judge(sequences, expected, model).matched(each, setting))
        return found

    def _built(self, variation: Variation) -> _Built | None:
        """A variation as a model, None where its arrays do not fit together."""
        # Words and names play no part in a score.
        plain: dict[str, Any] = {"vocabulary": None, "tokens": None, "labels": None}
        model = self._model(variation.layers, padding=variation.padding, **plain)
        return None if model is None else _Built(variation, model)

    def _model(self, layers: Iterable[LayerSpec], **others: Any) -> Model | None:
        """The model of some layers, None where the arrays do not fit together."""
        try:
            return build_model(self._with_layers(layers, **others), self.datasets).model
        except UnusableInput:
            return None

    def _with_layers(self, layers: Iterable[LayerSpec], **others: Any) -> Contents:
        described = self.contents.described
        mapping = replace(described.mapping, layers=list(layers), **others)
        described = replace(described, mapping=mapping)
        return replace(self.contents, described=described)


class _Judge:
    """Measures models on sequences whose scores are known."""

    def __init__(self, sequences: list[Sequence], expected: Expected, model: Model) -> None:
        abreast = Carried(model).abreast(sequences)
        self._batches = [batch for some in abreast for batch in _whole(some, model)]
        classes, by_step = model.classes, model.by_step
        self._steps = _steps_of_scores(model, self._batches)
        kept = [each for steps in self._steps for each in steps.kept()]
        numbers = [each.number for batch in self._batches for each in batch.sequences]
        of_each = [
            expected.of(number, (len(own), classes) if by_step else (classes,), own)
            for number, own in zip(numbers, kept, strict=True)
        ]
        if by_step:  # what stands at masked steps means nothing
            real = iter(kept)
            self._theirs = np.concatenate([s[r] for s, r in zip(of_each, real, strict=True)])
        else:
            self._theirs = np.stack(of_each)

    def judge(self, model: Model) -> tuple[float, str]:
        """The largest deviation, of scores or of what comes of them, whichever fits better.

        Infinite where the model cannot run the sequences: they overflow, or are of another length.
        """
        carried = Carried(model)
        try:
            pairs = zip(self._batches, self._steps, strict=True)
            scores = np.concatenate([_scores(model, *each, carried) for each in pairs])
        except UnusableInput:
            return np.inf, "scores"
        likely = probabilities_of(model, scores)
        found = {
            kind: deviation_of(kind, scores, likely, self._theirs)
            for kind in sorted(kinds_of(self._theirs), key=KINDS.index)
        }
        compared = min(found, key=lambda name: found[name])
        return found[compared], compared

    def matched(self, built: _Built, setting: Setting) -> MatchedMapping:
        worst, compared = self.judge(_with_setting(built.model, setting))
        return MatchedMapping(Candidate(built.variation, *setting), worst, compared)


def _whole(sequences: Several[Sequence], model: Model) -> Iterator[Batch]:
    """Sequences as few batches as can be: one, unless several inputs have lengths of their own."""
    if model.several_inputs:
        return batches(sequences, model, len(sequences), batch_rows(model))
    return iter([make_batch(sequences, model)])


def _steps_of_scores(model: Model, found: list[Batch]) -> list[Packed]:
    """The steps that have scores, which need not be an input's; else those of the first input."""
    of_first = [batch.packed[0] for batch in found]
    if not model.by_step:
        return of_first
    carried = Carried(model)
    try:
        traces = [run_batch(Runner(model), batch, carried) for batch in found]
    except UnusableInput:  # which it will be judged by
        return of_first
    return [
        own if trace.steps is None else batch.steps_of(trace.steps)
        for own, batch, trace in zip(of_first, found, traces, strict=True)
    ]


def _scores(model: Model, batch: Batch, steps: Packed, carried: Carried) -> Floats:
    """The scores of a batch; of a model by step, those of all real steps, one after another."""
    scores = run_batch(Runner(model), batch, carried).scores
    return scores[steps.own_rows] if model.by_step else scores


def _with_setting(model: Model, setting: Setting) -> Model:
    """The model as it is if its gates stood in another order, with that sigmoid and forget bias."""
    order, sigmoid, forget_bias = setting
    places = [order.index(gate) for gate in GATES]

    def cell(one: Any) -> Any:
        bias = one.bias[places]
        bias[FORGET] += forget_bias
        return replace(one, input=one.input[places], recurrent=one.recurrent[places], bias=bias)

    nodes = tuple(
        replace(
            node,
            layer=replace(
                node.layer, cells=tuple(map(cell, node.layer.cells)), gate_activation=sigmoid
            ),
        )
        if isinstance(node.layer, Lstm)
        else node
        for node in model.nodes
    )
    return replace(model, nodes=nodes)
