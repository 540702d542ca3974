"""How far models are from the scores that were expected of some sequences."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Runner
from lstm_lrp_cli.engine.records import WrongSteps
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.windows import Carried, batch_rows, run_batch
from lstm_lrp_cli.inputs.batching import Batch, batches, make_batch
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import FORGET, GATES, Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm
from .expected import Expected
from .kinds import KINDS, deviations_of, kinds_of, probabilities_of
from .trial import Built, Kept, Trial
from .variations import Candidate, Setting

# What a model deviates that cannot run the sequences.
NOT_RUN: tuple[float, str] = (np.inf, "scores")


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
    lengths : tuple of int
        The steps of each sequence that scores were compared of.
    is_whole : bool
        Whether everything was tried that there is.
    steps, masked : int or None
        Of a model by step, at how many steps scores were compared, and how many more are masked.
    """

    ranked: list[MatchedMapping]
    tolerance: float
    tried: int
    lengths: tuple[int, ...]
    is_whole: bool = True
    steps: int | None = None
    masked: int | None = None

    @property
    def sequences(self) -> int:
        return len(self.lengths)

    @property
    def found(self) -> list[MatchedMapping]:
        """The variations that reproduce the scores; more than one cannot be told apart."""
        return [each for each in self.ranked if each.worst <= self.tolerance]

    @property
    def others(self) -> list[MatchedMapping]:
        """The nearest of those that do not."""
        return [each for each in self.ranked if not each.worst <= self.tolerance]


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures models on sequences whose scores are known.

    Parameters
    ----------
    sequences : list of Sequence
    expected : Expected
    model : Model
        One of them; all others have its inputs.
    kept : Kept
        What many models have alike.
    """

    sequences: list[Sequence]
    expected: Expected
    model: Model
    kept: Kept = field(default_factory=Kept)
    _theirs: dict[str, Floats] = field(default_factory=dict)

    @cached_property
    def _batches(self) -> list[Batch]:
        abreast = Carried(self.model).abreast(self.sequences)
        return [batch for some in abreast for batch in _whole(some, self.model)]

    @cached_property
    def _trial(self) -> Trial:
        return Trial(self._batches, self.kept)

    def judge(self, built: Built, settings: Several[Setting | None]) -> list[tuple[float, str]]:
        """The largest deviation by each setting, of scores or of what comes of them.

        Whichever fits better is meant. It is infinite where the model cannot run the sequences:
        they overflow, or are of another length.
        """
        model = built.model
        if not built.is_side_by_side and settings[0] is not None:
            return [
                self.judge(Built.alone(with_setting(model, each)), [None])[0] for each in settings
            ]
        if model.own_steps_alone and any(
            p.padding is not None for b in self._batches for p in b.packed
        ):
            return [NOT_RUN] * len(settings)
        try:
            if model.stateful is None:
                found = self._trial.scores(built, settings)
            else:
                found = self._carried(model)
            theirs = self._theirs_at(model, [steps for _, steps in found])
            ours = [
                self._own(batch, scores, steps)
                for batch, (scores, steps) in zip(self._batches, found, strict=True)
            ]
        except (UnusableInput, WrongSteps):
            return [NOT_RUN] * len(settings)
        return _compared(model, np.concatenate(ours), theirs)

    def _carried(self, model: Model) -> list[tuple[Floats, Packing | None]]:
        """The scores of a model whose sequences begin where others ended."""
        carried = Carried(model)
        traces = [run_batch(Runner(model), batch, carried) for batch in self._batches]
        return [(trace.scores[:, np.newaxis], trace.steps) for trace in traces]

    def _own(self, batch: Batch, scores: Floats, steps: Packing | None) -> Floats:
        """The scores of a batch; of a model by step, those of all real steps, one by one."""
        return scores if steps is None else scores[batch.steps_of(steps).own_rows]

    @staticmethod
    def _called(batch: Batch, steps: Packing | None) -> object:
        """What tells steps of scores from others: an input's own may be masked, or padding."""
        if steps is None:
            return None
        return [each.packing is steps for each in batch.packed], steps.lengths.tolist()

    def _theirs_at(self, model: Model, steps: Several[Packing | None]) -> Floats:
        """The expected scores, as the model's own are laid out.

        Raises
        ------
        UnusableInput
            They are of another number of steps.
        """
        key = repr([model.classes, *map(self._called, self._batches, steps)])
        if key not in self._theirs:
            found: list[Any] = []
            for batch, own in zip(self._batches, steps, strict=True):
                packed = batch.packed[0] if own is None else batch.steps_of(own)
                read = batch.packed[0].given.tolist()
                for sequence, kept, steps_read in zip(
                    batch.sequences, packed.kept(), read, strict=True
                ):
                    shape = (model.classes,) if own is None else (len(kept), model.classes)
                    scores = self.expected.of(sequence.number, shape, kept, steps_read)
                    # What stands at masked steps means nothing.
                    found.append(scores[np.newaxis] if own is None else scores[kept])
            self._theirs[key] = np.concatenate(found)
        return self._theirs[key]


def _compared(model: Model, scores: Floats, theirs: Floats) -> list[tuple[float, str]]:
    """How far scores, (rows, settings, classes), or what comes of them, are from the expected."""
    _, count, classes = scores.shape
    likely = probabilities_of(model, scores.reshape(-1, classes)).reshape(scores.shape)
    possible = kinds_of(theirs, model)
    with np.errstate(invalid="ignore", over="ignore"):
        found = {
            kind: deviations_of(kind, scores, likely, possible[kind][:, np.newaxis])
            for kind in sorted(possible, key=KINDS.index)
        }
    kinds = list(found)
    by_kind = np.stack([found[kind] for kind in kinds])
    by_kind[:, ~np.isfinite(scores).all(axis=(0, 2))] = np.inf
    by_kind[np.isnan(by_kind)] = np.inf
    nearest = by_kind.argmin(axis=0)
    return [(float(by_kind[nearest[k], k]), kinds[nearest[k]]) for k in range(count)]


def _whole(sequences: Several[Sequence], model: Model) -> Iterator[Batch]:
    """Sequences as few batches as can be: one, unless several inputs have lengths of their own."""
    if model.several_inputs:
        return batches(sequences, model, len(sequences), batch_rows(model))
    return iter([make_batch(sequences, model)])


def with_setting(model: Model, setting: Setting | None) -> Model:
    """The model as it is if its gates stood in another order, with that sigmoid and forget bias."""
    if setting is None:
        return model
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
