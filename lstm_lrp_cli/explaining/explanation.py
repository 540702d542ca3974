"""The explanation of one sequence for one target: what every output is written from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.forward import originals
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.inputs.sequence import Part, Sequence
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.decision import Decision
from lstm_lrp_cli.model.model import Input, Model
from .attention import AttentionWeights
from .difference import difference_name

# How finely relevance is told: tokens or their embedding's dimensions, steps or their features.
Detail = Literal["token", "dimension", "step", "feature"]
# Those that tell every value of a step.
WHOLE: tuple[Detail, ...] = ("dimension", "feature")
# What inputs are told by, the usual one first.
OF_TOKENS: tuple[Detail, ...] = ("token", "dimension")
OF_NUMBERS: tuple[Detail, ...] = ("feature", "step")


def kinds_of_details(model: Model) -> list[tuple[Detail, ...]]:
    """What each input may be told by, the usual one first."""
    return [OF_NUMBERS if each.embedding is None else OF_TOKENS for each in model.inputs]


def details_of(model: Model, by: str | tuple[str, ...] | None = None) -> tuple[Detail, ...]:
    """How finely relevance of each input is told.

    Of several inputs, those of the other kind than `by` is of are told as where it is not given:
    tokens as a whole, of numbers every feature. A tuple has one for each.

    Raises
    ------
    WrongUsage
        It fits no input, or one of several does not fit its own.
    """
    of_inputs = kinds_of_details(model)
    if isinstance(by, tuple):
        fitting = [set(details) & {one} for details, one in zip(of_inputs, by, strict=False)]
        if len(by) != len(of_inputs) or not all(fitting):
            each = ", ".join(" or ".join(details) for details in of_inputs)
            raise WrongUsage(f"is {by}; expected one for each input: ({each})", "by")
        return tuple(one for [one] in fitting)
    if by is not None and not any(by in details for details in of_inputs):
        kind = "tokens" if model.takes_tokens else "numbers"
        allowed = dict.fromkeys(detail for details in of_inputs for detail in details)
        raise WrongUsage(f"the model takes {kind}; expected {' or '.join(allowed)}.", "by")
    return tuple(
        next((each for each in details if each == by), details[0]) for details in of_inputs
    )


class Asked(Protocol):
    """What was asked of a model: an Explainer."""

    @property
    def model(self) -> Model: ...

    @property
    def methods(self) -> tuple[Method, ...]: ...

    @property
    def details(self) -> tuple[Detail, ...]: ...

    @property
    def of_difference(self) -> bool: ...

    @property
    def both(self) -> tuple[int, int] | None: ...

    def shown(self, explanation: Explanation, /, *, html: bool) -> str:
        """An explanation as HTML for a notebook, or as plain text."""
        ...


class ExplainedInput(Struct, frozen=True, eq=False, gc=False):
    """What one input has of an explanation.

    Parameters
    ----------
    name : str or None
        None of the only input.
    read : Input
    part : Part
        What it was given of the sequence.
    relevance : ndarray, shape (steps, features) or (steps,)
    """

    name: str | None
    read: Input
    part: Part
    relevance: Floats

    @property
    def tokens(self) -> tuple[str, ...] | None:
        return self.part.tokens

    @property
    def features(self) -> tuple[str, ...] | None:
        return self.part.features

    @property
    def dates(self) -> tuple[str, ...] | None:
        return self.part.dates

    @property
    def step_names(self) -> tuple[str, ...]:
        """What its steps are called, where they are no tokens: by their dates, or by number."""
        return self.dates or tuple(f"step {step}" for step in range(len(self.relevance)))

    @property
    def relevance_of_steps(self) -> Floats:
        """Relevance of each token or step, shape (steps,)."""
        return _of_steps(self.relevance)

    def named(self, name: str) -> str:
        """What one of its tokens, features or steps is called among those of all inputs."""
        return name if self.name is None else f"{self.name}: {name}"


class Explanation(Struct, frozen=True, eq=False, gc=False):
    """Where one score of one sequence comes from.

    Parameters
    ----------
    asked : Asked
        The explainer that gave it.
    sequence : Sequence
    scores : ndarray, shape (classes,)
        All scores of the sequence, or of the step, before any softmax or sigmoid.
    target_number : int
        The number of the class, or value, that is explained.
    score : float
        What is explained: the target's score, less that of `against_number` where there is one; of
        class 0 of a single score, its negative.
    decision : Decision or None
        The classes that the target stands among; None where it is a value.
    predicted_number : int or None
        The number of the one that is taken.
    amounts : tuple of ndarray, each of shape (steps, features) or (steps,)
        Relevance at each input of the model: of every feature, or dimension of the embedding, at
        every step; or of every step in all, where nothing finer is asked for. NaN at steps that the
        model passes over: it knows nothing of them, and they have none. A vector is one step.
    ledger : Ledger or None
        None where the method does not account for the score.
    method : str
    step : int or None
        Where the model gives scores at every step: the position of the step whose score it is.
    attention : tuple of AttentionWeights, or None
        The weights of each layer that has some; none of a sequence without a score. None where they
        were not asked for.
    against_number : int or None
        The number of the class, or value, whose score is subtracted; None where none is.

    Notes
    -----
    Relevance is in the unit of the score, which is that before any softmax or sigmoid (a logit), or
    a regressor's value as the model was trained on it (`original` is that of the user's). By LRP,
    relevance and the ledger's other shares sum to the score (Arras et al. 2017, section 3). In a
    notebook it shows itself as a heat map.

    Examples
    --------
    >>> [e] = lrp.explain(model, "a fine and moving film")
    >>> e.tokens
    ('a', 'fine', 'and', 'moving', 'film')
    >>> e.relevance.shape, e.target, round(e.score, 3)
    ((5,), 'positive', 1.526)
    >>> sum(e.ledger.shares.values()) + e.ledger.residual == e.score
    True
    """

    asked: Asked
    sequence: Sequence
    scores: Floats
    target_number: int
    score: float
    decision: Decision | None
    predicted_number: int | None
    amounts: tuple[Floats, ...]
    ledger: Ledger | None
    method: str
    step: int | None = None
    attention: tuple[AttentionWeights, ...] | None = None
    against_number: int | None = None

    @classmethod
    def without_score(
        cls, asked: Asked, sequence: Sequence, method: Method, *, attention: bool = False
    ) -> Explanation:
        """Of a sequence without real steps, of a model by step: there is nothing to explain."""
        model = asked.model
        relevance = tuple(
            np.full((len(part.inputs), read.size), np.nan, dtype=model.dtype)
            for read, part in zip(model.inputs, sequence.parts, strict=True)
        )
        nothing = method.promise.nothing if method.promise else None
        scores = np.zeros(0, dtype=model.dtype)
        explained = (asked, sequence, scores, 0, 0.0, None, None, relevance, nothing, method.name)
        return cls(*explained, attention=() if attention else None)

    def __repr__(self) -> str:
        return self.asked.shown(self, html=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the heat map."""
        return self.asked.shown(self, html=True)

    @property
    def model(self) -> Model:
        """The model whose score it is."""
        return self.asked.model

    @property
    def number(self) -> int:
        """The sequence's place among those that were given, from 0."""
        return self.sequence.number

    @property
    def id(self) -> str | int | None:
        """The name that the input gives the sequence."""
        return self.sequence.id

    @property
    def parts(self) -> list[ExplainedInput]:
        """What each input has of it, in the model's order."""
        inputs = self.model.inputs
        if len(inputs) == 1:
            return [ExplainedInput(None, inputs[0], self.sequence, self.amounts[0])]
        names = self.model.input_names
        each = zip(names, inputs, self.sequence.parts, self.amounts, strict=True)
        return [ExplainedInput(*own) for own in each]

    @property
    def tokens(self) -> Any:
        """The tokens, as they are shown; None of a numeric series. Of several inputs, by name."""
        return self._by_name(lambda part: part.tokens)

    @property
    def features(self) -> Any:
        """The names of a numeric series' features; None of tokens. Of several inputs, by name."""
        return self._by_name(lambda part: part.features)

    @property
    def dates(self) -> Any:
        """When each step was, as the input has it; None if it does not say. Of several, by name."""
        return self._by_name(lambda part: part.dates)

    @property
    def relevance(self) -> Any:
        """Relevance of the only input, as `amounts` has it; of several inputs, by name."""
        return self._by_name(lambda part: part.relevance)

    @property
    def scored(self) -> bool:
        """Whether there is a score."""
        return len(self.scores) > 0

    @property
    def original(self) -> Floats | None:
        """All scores in the units of a regressor's user, where its `output_scaling` says them."""
        if self.model.output_scaling is None:
            return None
        found = originals(self.model, self.scores[np.newaxis])
        return None if found is None else found[0]

    @property
    def original_score(self) -> float | None:
        """The one of them that is explained; of a difference A-B, theirs."""
        original = self.original
        if original is None or not self.scored:
            return None
        subtracted = 0.0 if self.against_number is None else original[self.against_number]
        return float(original[self.target_number] - subtracted)

    @property
    def target(self) -> str | int | None:
        """What is explained, by its label, or by its number where it has none.

        Of a difference it is A-B, by both. None where there is no score.
        """
        if not self.scored:
            return None
        if self.against_number is not None:
            return difference_name(self.target_number, self.against_number, self.model)
        return self.model.target_name(self.target_number)

    @property
    def predicted(self) -> str | int | None:
        """The predicted class, called alike; None where nothing is decided."""
        return self._class_name(self.predicted_number)

    @property
    def output(self) -> str | None:
        """At which output the class is predicted, of a model with several."""
        return None if self.decision is None else self.decision.name

    @property
    def label(self) -> str | int | None:
        """The true class, called alike; None where it is not known."""
        return self._class_name(self.sequence.gold)

    @property
    def relevance_of_steps(self) -> Any:
        """Relevance of each token or step, shape (steps,); of several inputs, by name."""
        return self._by_name(lambda part: part.relevance_of_steps)

    @property
    def of_all_steps(self) -> Floats:
        """Relevance of each token or step of all inputs, one input after the other."""
        if len(self.amounts) == 1:
            return _of_steps(self.amounts[0])
        return np.concatenate(list(map(_of_steps, self.amounts)))

    @property
    def of_inputs(self) -> dict[str, float] | None:
        """What each of several inputs has of the ledger's tokens, by its name; None of one."""
        if len(self.amounts) == 1:
            return None
        sums = (float(np.nansum(own)) for own in self.amounts)
        return dict(zip(self.model.input_names, sums, strict=True))

    @property
    def attention_values(self) -> int:
        """How many attention weights are told of it."""
        return sum([each.weights.size for each in self.attention or ()])

    @property
    def right(self) -> bool | None:
        """Whether the prediction is the true class; None where that is not known."""
        if self.sequence.gold is None or self.predicted_number is None:
            return None
        return self.predicted_number == self.sequence.gold

    def _by_name(self, take: Callable[[ExplainedInput], Any]) -> Any:
        """Something of the only input, or of each that has it, by its name."""
        found = [(part.name, take(part)) for part in self.parts]
        if len(found) == 1:
            return found[0][1]
        return {name: value for name, value in found if value is not None}

    def _class_name(self, number: int | None) -> str | int | None:
        if number is None or self.decision is None:
            return None
        return self.decision.classes[number - self.decision.first]


def _of_steps(relevance: Floats) -> Floats:
    if relevance.ndim == 1:
        return relevance
    total: Floats = relevance.sum(axis=1)
    return total


def unknown_places(part: Part, read: Input) -> list[int]:
    """The positions of the tokens that an input's vocabulary does not know.

    A word of the vocabulary is known, be it the very one that stands for unknown tokens.
    """
    tokens, vocabulary = part.tokens or (), read.vocabulary
    if not part.unknown or vocabulary is None:
        return []
    stand_in = SKIPPED if vocabulary.unknown_id is None else vocabulary.unknown_id
    places = np.flatnonzero(part.inputs == stand_in).tolist()
    return [place for place in places if tokens[place] not in vocabulary.ids]


def ledger_object(ledger: Ledger, of_inputs: dict[str, float] | None = None) -> dict[str, Any]:
    """A ledger as it stands in every JSON output; of several inputs with what each has of it."""
    content: dict[str, Any] = {"score": ledger.score, **ledger.shares, "residual": ledger.residual}
    if ledger.stabilizers_size is not None:
        content["stabilizers_size"] = ledger.stabilizers_size
    if ledger.scores_size is not None:
        content["scores_size"] = ledger.scores_size
    if of_inputs is not None:
        content["inputs"] = of_inputs
    return content


class Explanations(list[Explanation]):
    """Several explanations; a notebook shows the heat maps of the first of them."""

    MOST_SHOWN = 20

    def _repr_html_(self) -> str:
        shown = "".join(each._repr_html_() for each in self[: self.MOST_SHOWN])
        left = len(self) - self.MOST_SHOWN
        return shown + (f"<div>and {left:,} more</div>" if left > 0 else "")
