"""JSON lines: one object for every sequence and target."""

from collections.abc import Sequence as Several
from typing import Any, TextIO

import msgspec
import numpy as np

from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object, unknown_places
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.terminal.numbers import exact, exact_each
from .writer import Layout, Writer

_encode = msgspec.json.Encoder().encode_lines


def json_lines(objects: list[dict[str, Any]]) -> str:
    """One object a line."""
    return _encode(objects).decode("utf-8")


class JsonLinesWriter(Writer[Several[Explanation]]):
    """Writes one JSON object a line."""

    def __init__(self, file: TextIO, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._model = layout.model

    def write(self, explanations: Several[Explanation], /) -> None:
        for part in self._layout.parts(explanations):
            self._file.write(json_lines(self._objects(part)))

    def _objects(self, explanations: list[Explanation]) -> list[dict[str, Any]]:
        """One object an explanation; all their numbers are made exact at once."""
        explained = exact(np.array([each.score for each in explanations], self._model.dtype))
        scores = exact_each([each.scores for each in explanations])
        relevance = exact_each(list(map(self._layout.told, explanations)))
        inputs = self._inputs([each.sequence for each in explanations])
        return list(map(self._object, explanations, inputs, explained, scores, relevance))

    def _inputs(self, sequences: list[Sequence]) -> list[dict[str, Any]]:
        if self._model.embedding is not None:
            return list(map(self._tokens, sequences))
        values = exact_each([sequence.inputs for sequence in sequences])
        return [
            {"features": sequence.features, "values": rows}
            for sequence, rows in zip(sequences, values, strict=True)
        ]

    def _tokens(self, sequence: Sequence) -> dict[str, Any]:
        unknown = unknown_places(sequence, self._model)
        return {"tokens": sequence.tokens or (), **({"unknown": unknown} if unknown else {})}

    def _object(
        self,
        explanation: Explanation,
        inputs: dict[str, Any],
        explained: float,
        scores: list[float],
        relevance: list[Any],
    ) -> dict[str, Any]:
        sequence, label, output = explanation.sequence, explanation.label, explanation.output
        step = {"step": explanation.step} if self._model.by_step else {}
        method = {"method": explanation.method} if self._layout.several_methods else {}
        ledger = None if explanation.ledger is None else ledger_object(explanation.ledger)
        if ledger is not None and explanation.scored:
            ledger["score"] = explained
        return {
            "sequence": sequence.number,
            "id": sequence.id,
            **inputs,
            "scores": scores,
            **({} if output is None else {"output": output}),
            "predicted": explanation.predicted,
            "target": explanation.target,
            **step,
            **({} if label is None else {"label": label}),
            **method,
            "relevance": relevance,
            "ledger": ledger,
        }
