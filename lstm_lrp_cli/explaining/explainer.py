"""What explains: a model, the methods, what is asked of it, and how finely it is told."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, repeat
from operator import attrgetter
from typing import Any

from lstm_lrp_cli.engine.backward import told
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.errors import UnusableInput, WrongUsage, printable
from lstm_lrp_cli.inputs.batching import Batch, Packed
from lstm_lrp_cli.inputs.memory import sequences
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model
from .attention import AttentionWeights, attention_of, pair_values, refuse_without_attention
from .explanation import OF_TOKENS, WHOLE, Detail, Explanation, details_of, kinds_of_details
from .question import Choice, Question, choices
from .reconstruction import asked_model
from .settings import resolve_methods, split_methods
from .shown import html_of, text_of
from .windows import Carried, finite_relevance, one_blas_thread, run_window, windows


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class Explainer:
    """Explains sequences: called with some, it gives their explanations one by one.

    Parameters
    ----------
    model : Model
        As `load` gives it. Of the target "error" it is kept with that error as its one score.
    methods : str, iterable of str, or iterable of Method
        Names such as "lrp-all,occlusion", with settings as in "lrp-all:eps=1e-6".
    target : str or int
        "predicted"; "gold", the true class, where sequences have one; "all"; a label or a number;
        "error", of an autoencoder how far its output is from its input; or "A-B", the difference of
        two scores, each of a label, a number, "predicted", "second" or "gold".
    step : int, "first", "last", "all" or None
        Of a model that gives scores at every step: which step's are explained.
    by : {"token", "dimension", "step", "feature"}, tuple of these, or None
        How finely relevance is told: of whole tokens or steps, shape (steps,), or of every value,
        shape (steps, features). None is tokens, and features of numeric series. Of a model with
        several inputs it is for those of its kind; a tuple has one for each.
    attention : bool
        Whether explanations hold the attention weights of the layers that have some.
    **settings
        Of the methods: `eps`, `bias_factor`, `steps`, `baseline`, `groups`, `span`, `seed`. A
        baseline is a text as on the command line, a number, a dict by features or inputs, an array
        of every step, or sequences, as `sequences` takes them, of which each is one. Groups are a
        text, a dict of lists of features, spans (FROM, TO), or an array of whole numbers.

    Notes
    -----
    The rules of LRP are those of Arras et al. 2017 and 2019; docs/mathematics.md has the equations
    and sources of all methods.

    Raises
    ------
    ValueError
        The model has no such target, step or detail, or no attention, or there is no such method or
        setting.

    Examples
    --------
    >>> explainer = lrp.Explainer(model, "lrp-all,occlusion", target="positive")
    >>> several = list(explainer(lrp.read("sentences.txt", model)))
    >>> [(e.sequence.number, e.method) for e in several[:3]]
    [(0, 'lrp-all'), (0, 'occlusion'), (1, 'lrp-all')]
    """

    model: Model
    methods: tuple[Method, ...]
    question: Question
    details: tuple[Detail, ...]
    attention: bool

    def __init__(
        self,
        model: Model,
        methods: str | Iterable[str] | Iterable[Method] = "lrp-all",
        *,
        target: str | int | Question = "predicted",
        step: int | str | None = None,
        by: Detail | tuple[Detail, ...] | None = None,
        attention: bool = False,
        **settings: Any,
    ) -> None:
        if not isinstance(model, Model):
            found = type(model).__name__
            raise WrongUsage(f"is of type {found}; expected what `load` gives", "model")
        question = target
        if not isinstance(question, Question):
            model = asked_model(model, question)
            question = Question.of(model, question, step)
        several = [methods] if isinstance(methods, str) else list(methods)
        named = [name for each in several if isinstance(each, str) for name in split_methods(each)]
        made = tuple(each for each in several if not isinstance(each, str))
        if settings and not named:
            raise WrongUsage(
                "settings are for methods by name, and these have been made", "methods"
            )
        if named or not made:
            made += resolve_methods(named, model, settings)
        if attention:
            refuse_without_attention(model)
        for field, value in (
            ("model", model),
            ("methods", made),
            ("question", question),
            ("details", details_of(model, by)),
            ("attention", attention),
        ):
            object.__setattr__(self, field, value)
        if self.reach == "features":
            self._refuse_whole_steps()

    def __repr__(self) -> str:
        names = ", ".join(method.name for method in self.methods)
        told = ", ".join(f"{each}s" for each in dict.fromkeys(self.details))
        return printable(
            f"Explainer({self.model!r}, by {names}, of {self.question.target}, {told})"
        )

    @property
    def of_difference(self) -> bool:
        """Whether explanations are of the difference of two scores."""
        return self.question.of_difference

    @property
    def both(self) -> tuple[int, int] | None:
        """The numbers of two scores, where of every sequence the difference of these is told."""
        return self.question.both

    @property
    def reach(self) -> Reach:
        """How finely the engine has to tell relevance."""
        return "features" if any(each in WHOLE for each in self.details) else "steps"

    def shown(self, explanation: Explanation, /, *, html: bool) -> str:
        """One of its explanations as HTML for a notebook, or as plain text."""
        return html_of(explanation) if html else text_of(explanation)

    def _refuse_whole_steps(self) -> None:
        """Refuse to tell of every value of a step what a method tells of whole steps."""
        finest = {detail for detail in self.details if detail in WHOLE}
        whole = "step" if "feature" in finest else "token"
        for method in self.methods:
            if method.whole_steps:
                with_span = " with a span" if "span" in method.settings else ""
                raise WrongUsage(
                    f"{method.name}{with_span} tells of whole {whole}s alone; it needs "
                    f"`by` {whole}."
                )

    def __call__(self, inputs: Any) -> Iterator[Explanation]:
        """Explain sequences in their order, as they are asked for.

        Parameters
        ----------
        inputs : str, iterable, array or table
            What `read` gives, or whatever else `sequences` takes. It is read as it is needed; where
            reading fails, what was read before is explained first.

        Yields
        ------
        Explanation
            Of each sequence, one for each of its targets, by each of the methods.

        Raises
        ------
        UnusableInput
            A sequence cannot be read, lacks the step or the true class that is asked for, or its
            scores or relevance are not finite.
        """
        found = self.windows(sequences(inputs, self.model))
        while True:
            with one_blas_thread():
                window = next(found, None)
            if window is None:
                return
            for message in self._broken_promises(window):
                warnings.warn(printable(message), stacklevel=2)
            yield from window

    def _broken_promises(self, window: Several[Explanation]) -> Iterator[str]:
        """Where more is left of a score than a method promises, one for each method."""
        for method in self.methods:
            promise = method.promise
            if promise is None:
                continue
            residuals = [
                each.ledger.relative_residual
                for each in window
                if each.method == method.name and each.ledger is not None
            ]
            if max(residuals, default=0.0) > promise.tolerances[self.model.dtype]:
                yield (
                    f"relevance is not {promise.word} by {method.name}: a residual is "
                    f"{max(residuals):.2g} of the shares' sizes"
                )

    def windows(
        self, given: Iterable[Sequence], carried: Carried | None = None
    ) -> Iterator[list[Explanation]]:
        """Explain sequences in their order, window by window.

        Parameters
        ----------
        given : iterable of Sequence
        carried : Carried or None
            What earlier sequences of the same run left; None is nothing.
        """
        model, methods = self.model, self.methods
        keep_gates = any(method.keeps_gates for method in methods)
        carried = carried or Carried(model)
        weights = partial(pair_values, model) if self.attention else None
        for window in windows(model, given, self.question, len(methods), weights):
            if self.question.needs_gold:
                _check_labels(window)
            found: list[Explanation] = []
            for batch, trace in run_window(model, window, carried, keep_gates):
                found.extend(self.of_batch(batch, trace))
                del trace  # as run_window says
            if model.by_step:
                found.extend(self._without_scores(window, found))
            found.sort(key=attrgetter("sequence.number"))  # those of one sequence stay as they are
            yield found

    def of_batch(self, batch: Batch, trace: Trace) -> Iterator[Explanation]:
        """Explain one batch from its forward pass, target by target, by each of the methods."""
        attention = attention_of(batch, trace) if self.attention else None
        return chain.from_iterable(
            self._explained(batch, trace, choice, method, attention)
            for choice in choices(self.question, trace, batch)
            for method in self.methods
        )

    def _explained(
        self,
        batch: Batch,
        trace: Trace,
        choice: Choice,
        method: Method,
        attention: list[tuple[AttentionWeights, ...]] | None,
    ) -> Iterator[Explanation]:
        chosen, steps = choice.chosen, choice.steps
        result = finite_relevance(batch, trace, chosen, method, self.reach)
        explanations = map(
            Explanation,
            repeat(self),
            batch.sequences,
            choice.scores,
            choice.targets.tolist(),
            chosen.of(trace.scores).tolist(),
            repeat(choice.decision),
            repeat(None) if choice.predicted is None else choice.predicted.tolist(),
            zip(*map(_told, batch.packed, result.values, self.details), strict=True),
            repeat(None) if result.ledgers is None else result.ledgers,
            repeat(method.name),
            repeat(None) if steps is None else steps.tolist(),
            repeat(None) if attention is None else attention,
            repeat(None) if choice.against is None else choice.against.tolist(),
        )
        if chosen.rows is None:
            return explanations
        # Others of the batch may have more steps.
        return compress(explanations, (chosen.rows >= 0).tolist())

    def _without_scores(
        self, window: Several[Sequence], found: Several[Explanation]
    ) -> Iterator[Explanation]:
        """What stands for the sequences of a window that have no step with a score."""
        explained = {explanation.sequence.number for explanation in found}
        for sequence in window:
            if sequence.number not in explained:
                for method in self.methods:
                    yield Explanation.without_score(
                        self, sequence, method, attention=self.attention
                    )


def detail_of(model: Model, *, finest: bool = False) -> tuple[Detail, ...]:
    """Of each input, that of whole tokens or steps; the finest is that of every value."""
    return tuple(
        details[1 if finest == (details is OF_TOKENS) else 0] for details in kinds_of_details(model)
    )


def _told(packed: Packed, values: Floats, detail: Detail) -> list[Floats]:
    """What a method gives of an input, of each sequence, as finely as it is told."""
    if values.ndim == 2 and detail not in WHOLE:
        values = told(values, "steps")  # it is told finer of another input
    return packed.per_sequence(values)


def _check_labels(window: Several[Sequence]) -> None:
    """Refuse a sequence whose true class is to be explained, and is not known."""
    for sequence in window:
        if sequence.gold is None and len(sequence):
            raise UnusableInput(
                f"sequence {sequence.number}",
                "has no true class, and target gold explains it; give labels with the sequences",
            )
