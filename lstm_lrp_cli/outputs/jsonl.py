"""JSON lines: one object for every sequence and target."""

from collections.abc import Sequence as Several
from itertools import chain
from typing import Any, TextIO

import msgspec
import numpy as np

from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object, unknown_places
from lstm_lrp_cli.inputs.sequence import Part
from lstm_lrp_cli.model.model import Input
from lstm_lrp_cli.terminal.numbers import exact, exact_each
from .writer import Joined, Layout, Writer

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
        each_input = [
            self._of_input(Joined(explanations, self._layout, number))
            for number in range(len(self._model.inputs))
        ]
        of_inputs = zip(*each_input, strict=True)
        names = self._model.input_names
        parts = (own[0] if len(own) == 1 else by_name(names, own) for own in of_inputs)
        return list(map(self._object, explanations, parts, explained, scores))

    def _of_input(self, joined: Joined) -> list[dict[str, Any]]:
        """What one input has of each: tokens, or features and values; and the relevance."""
        explanations, number, parts = joined.explanations, joined.number, joined.parts
        relevance = exact_each([self._layout.told(each, number) for each in explanations])
        if joined.read.embedding is not None:
            return [
                {**self._tokens(part, joined.read), "relevance": amounts}
                for part, amounts in zip(parts, relevance, strict=True)
            ]
        values = exact_each([part.inputs for part in parts])
        return [
            {"features": part.features, "values": rows, "relevance": amounts}
            for part, rows, amounts in zip(parts, values, relevance, strict=True)
        ]

    def _tokens(self, part: Part, read: Input) -> dict[str, Any]:
        unknown = unknown_places(part, read)
        return {"tokens": part.tokens or (), **({"unknown": unknown} if unknown else {})}

    def _object(
        self,
        explanation: Explanation,
        inputs: dict[str, Any],
        explained: float,
        scores: list[float],
    ) -> dict[str, Any]:
        sequence, label, output = explanation.sequence, explanation.label, explanation.output
        step = {"step": explanation.step} if self._model.by_step else {}
        method = {"method": explanation.method} if self._layout.several_methods else {}
        ledger = None if explanation.ledger is None else ledger_object(explanation.ledger)
        if ledger is not None and explanation.scored:
            ledger["score"] = explained
        relevance = inputs.pop("relevance")
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


def by_name(names: Several[str], of_inputs: Several[dict[str, Any]]) -> dict[str, Any]:
    """The same keys of several inputs, each of which has an object of those that have it."""
    keys = dict.fromkeys(chain.from_iterable(of_inputs))
    return {
        key: {name: own[key] for name, own in zip(names, of_inputs, strict=True) if key in own}
        for key in keys
    }
