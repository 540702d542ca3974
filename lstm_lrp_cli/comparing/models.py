"""Models that explain sequences as they are compared, rather than files of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.results.result import Result
from lstm_lrp_cli.scaling.corpus import explain_corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.sequence import Sequence as InputSequence


def explained_by(
    model: Model,
    sequences: Iterable[InputSequence],
    methods: Sequence[Method],
    question: Question,
) -> Iterator[list[Result]]:
    """Explain sequences as `lrp explain` does.

    The results have what is compared of them, and no ledgers. Relevance is that of tokens, or of
    every value in a numeric series where the methods tell of them.
    """
    whole = model.embedding is None and not any(method.whole_steps for method in methods)
    reach: Reach = "features" if whole else "steps"
    for explanations in explain_corpus(model, sequences, methods, question, reach):
        yield [_result(explanation, model) for explanation in explanations]


def _result(explanation: Explanation, model: Model) -> Result:
    sequence = explanation.sequence
    return Result(
        sequence.number,
        model.target_name(explanation.target) if explanation.scored else None,
        explanation.relevance.astype("float64", copy=False),
        id=sequence.id,
        tokens=None if sequence.tokens is None else list(sequence.tokens),
        features=None if sequence.features is None else list(sequence.features),
        scores=explanation.scores.tolist(),
        output=explanation.output,
        predicted=explanation.predicted_name,
        step=explanation.step,
        label=explanation.label,
        method=explanation.method,
    )


def named_alike(model: Model, other: Model, where: str, than: str) -> tuple[Model, Model]:
    """Both models, with the labels of the other where one has none of its own.

    Raises
    ------
    UnusableInput
        The models do not take or give the same.
    """
    problem = _unlike(model, other)
    if problem is not None:
        found, expected = problem
        raise UnusableInput(where, f"{found}, and {than} {expected}; they cannot be compared")
    labels = model.labels or other.labels
    return replace(model, labels=labels), replace(other, labels=labels)


def _predicting(model: Model) -> str:
    if model.undecided:
        return "does not say whether it predicts classes or values (`task` in its mapping does)"
    return "predicts values" if model.regression else "predicts classes"


def _unlike(model: Model, other: Model) -> tuple[str, str] | None:
    """What the other model is, and what the first one, where they differ; None where not."""
    for both in (
        ["takes numbers" if each.embedding is None else "takes tokens" for each in (other, model)],
        [
            "gives scores at every step" if each.by_step else "gives scores once a sequence"
            for each in (other, model)
        ],
        [_predicting(each) for each in (other, model)],
        [f"gives {each.classes} scores" for each in (other, model)],
    ):
        if both[0] != both[1]:
            return both[0], both[1]
    if model.embedding is None and model.input_size != other.input_size:
        return f"takes {other.input_size} features", f"takes {model.input_size}"
    if model.labels and other.labels and model.labels != other.labels:
        return f"has the labels {', '.join(other.labels)}", f"has {', '.join(model.labels)}"
    return None
