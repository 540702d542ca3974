"""JSON lines: one object for every sequence and target."""

from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.numbers import exact
from lstm_lrp_cli.reporting.writer import Detail
from lstm_lrp_cli.sequences.explanation import Explanation


class JsonLinesWriter:
    """Writes one JSON object a line."""

    def __init__(self, file: TextIO, model: Model, detail: Detail) -> None:
        self._file = file
        self._model = model
        self._detail = detail
        self._encode = msgspec.json.Encoder().encode

    def write(self, explanations: Sequence[Explanation]) -> None:
        for explanation in explanations:
            self._file.write(self._encode(self._object(explanation)).decode("utf-8") + "\n")

    def close(self) -> None:
        """Nothing is left to write."""

    def _object(self, explanation: Explanation) -> dict[str, Any]:
        sequence, name = explanation.sequence, self._model.target_name
        whole = self._detail in ("dimension", "feature")
        inputs: dict[str, Any] = (
            {"tokens": sequence.tokens}
            if sequence.tokens is not None
            else {"features": sequence.features, "values": exact(sequence.inputs)}
        )
        label = {} if sequence.gold is None else {"label": self._gold(sequence.gold)}
        scores = exact(explanation.scores)
        step = {"step": explanation.step} if self._model.by_step else {}
        ledger = ledger_object(explanation.ledger)
        if explanation.scored:
            ledger["score"] = scores[explanation.target]
        return {
            "sequence": sequence.number,
            "id": sequence.id,
            **inputs,
            "scores": scores,
            "predicted": name(explanation.predicted) if explanation.scored else None,
            "target": name(explanation.target) if explanation.scored else None,
            **step,
            **label,
            "relevance": exact(explanation.relevance if whole else explanation.relevance_of_steps),
            "ledger": ledger,
        }

    def _gold(self, gold: int) -> str | int:
        return gold if self._model.classes == 1 else self._model.target_name(gold)


def ledger_object(ledger: Ledger) -> dict[str, float]:
    """A ledger as it stands in every JSON output."""
    return {
        "score": ledger.score,
        "tokens": ledger.tokens,
        "initial_state": ledger.initial_state,
        "biases": ledger.biases,
        "stabilizers": ledger.stabilizers,
        "padding": ledger.padding,
        "residual": ledger.residual,
    }
