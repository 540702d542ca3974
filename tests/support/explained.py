"""Explanations of every kind that an output has to write."""

from dataclasses import dataclass

import numpy as np
from made_models import make_model
from together import lrp_all, lrp_ledger

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.explaining.explanation import Detail, Explanation
from lstm_lrp_cli.explaining.question import chosen_of
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs.writer import Layout

WIDTH = 3
LABELS = ("poor", 'so "so"', "good, or\tnot")
WORDS = ("not", "naïve", "日本", "", "a\tb", 'q"\n')
FEATURES = ("x", "y,\t", "日")
DETAILS: tuple[Detail, ...] = ("token", "dimension", "step", "feature")
COMPLETE = "integrated-gradients"
NO_PROMISE = "gradient"
# The steps that a mask skips, and of which sequence.
MASKED_SEQUENCE, MASKED = 4, [0, 3]


def layout_of(
    detail: Detail, dtype: str = "float64", *, by_step: bool = False, several: bool = False
) -> Layout:
    dense = Dense(np.ones((len(LABELS), WIDTH)), None)
    layers = (dense,) if detail in ("step", "feature") else (Embedding(np.ones((9, WIDTH))), dense)
    model = make_model(*layers, classes=len(LABELS), dtype=dtype, labels=LABELS, by_step=by_step)
    others = [METHODS[name](Settings(1e-3, 0.0)) for name in (COMPLETE, NO_PROMISE)]
    asked = explainer_of(model, (detail,), (lrp_all(), *(others if several else ())))
    return Layout(asked, {"model": "m.h5"})


@dataclass(frozen=True)
class Asking:
    """What outputs know of an explainer; of any detail, whatever the model takes."""

    model: Model
    methods: tuple[Method, ...]
    details: tuple[Detail, ...]
    of_difference: bool = False


def explainer_of(
    model: Model, details: tuple[Detail, ...] = ("token",), methods: tuple[Method, ...] = ()
) -> Asking:
    return Asking(model, methods or (lrp_all(),), details)


def explanation_of(
    model: Model,
    sequence: Sequence,
    scores: Floats,
    target: int,
    relevance: Floats,
    ledger: Ledger | None,
    method: str = "lrp-all",
    step: int | None = None,
) -> Explanation:
    """One of a model with one head, which is a classifier."""
    (decision,) = decisions_of(model)
    predicted = decision.first + int(decision.taken(scores[np.newaxis])[0])
    score = float(chosen_of(model, np.array([target])).of(scores[np.newaxis])[0])
    return Explanation(
        explainer_of(model),
        sequence,
        scores,
        target,
        score,
        decision,
        predicted,
        (relevance,),
        ledger,
        method,
        step,
    )


def explanations_of(layout: Layout) -> list[Explanation]:
    """Of five sequences, by every method: one is empty, one has no score, one has masked steps."""
    rng = np.random.default_rng(5)
    model, dtype = layout.model, layout.model.dtype
    series = model.only_input.embedding is None

    def numbers(*shape: int):
        return (rng.standard_normal(shape) / 7).astype(dtype)

    found = []
    for number, steps in enumerate([4, 0, 1, 3, 6]):
        named = {"id": [None, 7, "no 3", None, ""][number], "gold": [0, None, 1, 2, None][number]}
        if series:
            one = Sequence(number, numbers(steps, WIDTH), features=FEATURES, **named)
        else:
            words = tuple(rng.permutation(WORDS)[:steps].tolist())
            one = Sequence(number, np.zeros(steps, dtype=np.intp), words, **named)
        for method in layout.methods:
            if number == 3:
                found.append(Explanation.without_score(layout.asked, one, method))
                continue
            shape = (steps, WIDTH) if layout.whole(0) else (steps,)
            step = 2 if model.by_step else None
            ledger = {
                "lrp-all": lrp_ledger(0.5, tokens=0.25, biases=0.125, stabilizers_size=0.75),
                COMPLETE: Ledger(0.5, {"tokens": 0.25, "baseline": 0.25, "padding": 0.0}),
                NO_PROMISE: None,
            }[method.name]
            scores, relevance = numbers(len(LABELS)), numbers(*shape)
            if number == MASKED_SEQUENCE:
                relevance[MASKED] = np.nan
            target = number % len(LABELS)
            found.append(
                explanation_of(model, one, scores, target, relevance, ledger, method.name, step)
            )
    return found
