"""The figures of reports, counted block by block: of what was explained, and what predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.engine.methods.method import Method, Promise
from lstm_lrp_cli.engine.records import Ledger, relative_residuals
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.prediction import Predictions
from lstm_lrp_cli.explaining.sizes import Check, Sizes
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs.predictions import PredictionLayout
from lstm_lrp_cli.terminal.inputs import InputFigures
from lstm_lrp_cli.terminal.words import Taken


class Accounts(Struct):
    """All ledgers that one method gave.

    Parameters
    ----------
    check : Check
        Of their residuals.
    totals : Ledger
        All of them together.
    sizes : Sizes
        How large they are beside the scores.
    of_inputs : dict
        What each of several inputs has of the totals' tokens, by its name.
    """

    check: Check
    totals: Ledger
    sizes: Sizes
    of_inputs: dict[str, float] = field(default_factory=dict)

    @classmethod
    def none(cls, promise: Promise, model: Model) -> Accounts:
        """Those of no explanation."""
        tolerance = promise.tolerances[model.dtype]
        check = Check(promise.word, "residual", tolerance)
        return cls(check, promise.nothing, Sizes.none(promise.nothing))

    def merge(self, later: Accounts) -> None:
        self.check = self.check.merged(later.check)
        self.totals += later.totals
        self._add(later.of_inputs)
        self.sizes = self.sizes.merged(later.sizes)

    def _add(self, of_inputs: Mapping[str, float]) -> None:
        for name, amount in of_inputs.items():
            self.of_inputs[name] = self.of_inputs.get(name, 0.0) + amount

    # What overflows shows in the figures.
    @np.errstate(over="ignore", invalid="ignore")
    def count(self, explanations: Sequence[Explanation]) -> None:
        """Add the ledgers of explanations."""
        ledgers = [each.ledger for each in explanations if each.ledger is not None]
        amounts = np.array([(ledger.score, *ledger.shares.values()) for ledger in ledgers])
        against: Floats | float = 0.0
        if ledgers[0].scores_size is not None:  # all of a run are of differences, or none
            against = np.array([ledger.scores_size for ledger in ledgers])
        worst = int(np.argmax(relative_residuals(amounts, against)))  # the first, or the first NaN
        score, *shares = amounts.sum(axis=0).tolist()
        size = None
        if self.totals.stabilizers_size is not None:
            size = sum(ledger.stabilizers_size or 0.0 for ledger in ledgers)
        self.totals += Ledger(score, dict(zip(self.totals.shares, shares, strict=True)), size)
        if len(explanations[0].amounts) > 1:
            for each in explanations:
                if each.ledger is not None:
                    self._add(each.of_inputs or {})
        self.sizes = self.sizes.with_explanations(explanations)
        self.check = replace(
            self.check.seen(ledgers[worst].relative_residual, explanations[worst].sequence.number),
            compared=self.check.compared + len(ledgers),
        )


class RunFigures(InputFigures):
    """What every report counts, as `InputFigures`.

    They do not grow with the corpus, and hold nothing of the model, so that they are cheap to send
    from one process to another.

    Parameters
    ----------
    taken : Taken
        How often each class was predicted.
    """

    taken: Taken = field(default_factory=Counter)

    def merge(self, later: Self) -> None:
        """Add the figures of what comes after these."""
        self.add_input(later)
        self.taken += later.taken


class Figures(RunFigures):
    """What a report counts of explanations and their sequences.

    Parameters
    ----------
    accounts : dict
        The Accounts of each method that gives ledgers, by its name.
    labelled, right : int
        Sequences whose true class is known, and those whose prediction it is.
    explanations : int
    """

    accounts: dict[str, Accounts] = field(default_factory=dict)
    labelled: int = 0
    right: int = 0
    explanations: int = 0

    @classmethod
    def none(cls, model: Model, methods: Sequence[Method]) -> Figures:
        """Those of no explanation."""
        return cls(
            accounts={
                method.name: Accounts.none(method.promise, model)
                for method in methods
                if method.promise is not None
            }
        )

    @classmethod
    def of(
        cls, explanations: Sequence[Explanation], model: Model, methods: Sequence[Method]
    ) -> Figures:
        """Count one block: all explanations of each of its sequences, in order."""
        figures = cls.none(model, methods)
        figures._count_sequences(explanations, model)
        scored = [each for each in explanations if len(each.scores)]
        if scored:
            figures.explanations = len(scored)
            figures._count_ledgers(scored)
            figures._count_predictions(scored, model)
        return figures

    def merge(self, later: Self) -> None:
        RunFigures.merge(self, later)
        for name, accounts in self.accounts.items():
            accounts.merge(later.accounts[name])
        self.labelled += later.labelled
        self.right += later.right
        self.explanations += later.explanations

    def _count_sequences(self, explanations: Sequence[Explanation], model: Model) -> None:
        """Count each sequence once, however many explanations it has."""
        firsts = [
            each
            for before, each in zip((None, *explanations), explanations, strict=False)
            if before is None or each.sequence is not before.sequence
        ]
        self.count_input([first.sequence for first in firsts], model)
        labelled = [first.right for first in firsts if first.sequence.gold is not None]
        known = [right for right in labelled if right is not None]
        self.labelled = len(known)
        self.right = sum(known)

    def _count_ledgers(self, scored: Sequence[Explanation]) -> None:
        for name, accounts in self.accounts.items():
            accounts.count([each for each in scored if each.method == name])

    def _count_predictions(self, scored: Sequence[Explanation], model: Model) -> None:
        """Count predicted classes: once for each head of a sequence, and step."""
        numbers = {each.scores.start: number for number, each in enumerate(decisions_of(model))}
        found: dict[tuple[int, int | None, int], int] = {}
        for each in scored:
            if each.decision is not None and each.predicted_number is not None:
                which = numbers[each.decision.scores.start]
                place = each.predicted_number - each.decision.first
                found[each.sequence.number, each.step, which] = place
        self.taken.update((which, place) for (_, _, which), place in found.items())


class PredictionFigures(RunFigures):
    """What a report counts of predictions and their sequences.

    Parameters
    ----------
    predictions : int
        Sequences, or of a model by step their steps, that have scores.
    pairs : Counter
        How often each class was predicted of each, by the numbers of the true and the predicted
        class.
    """

    predictions: int = 0
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    @classmethod
    def of(cls, predictions: Predictions, layout: PredictionLayout) -> PredictionFigures:
        """Count one block."""
        figures = cls(predictions=predictions.rows)
        figures.count_input(predictions.sequences, layout.model)
        for number, decision in enumerate(layout.decisions):
            taken = decision.taken(predictions.scores).tolist()
            figures.taken.update((number, place) for place in taken)
            if layout.labelled:
                golds = [sequence.gold for sequence in predictions.of_rows]
                pairs = zip(golds, taken, strict=True)
                figures.pairs.update((gold, place) for gold, place in pairs if gold is not None)
        return figures

    def merge(self, later: Self) -> None:
        RunFigures.merge(self, later)
        self.predictions += later.predictions
        self.pairs += later.pairs
