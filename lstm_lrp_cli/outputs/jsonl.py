"""JSON lines: one object for every sequence and target."""

from collections.abc import Sequence as Several
from itertools import chain
from typing import Any, TextIO

import msgspec
import numpy as np

from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object, unknown_places
from lstm_lrp_cli.inputs.sequence import Part
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Input
from lstm_lrp_cli.terminal.numbers import exact, exact_each
from lstm_lrp_cli.terminal.text import json_text
from .writer import Joined, Layout, Writer

_encoder = msgspec.json.Encoder()
_encode = _encoder.encode_lines
# Of a sequence with more steps, so many are made to text at a time.
PIECE = 2**14


def json_lines(objects: list[dict[str, Any]]) -> str:
    """One object a line."""
    return json_text(_encode(objects))


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
        model, scores = self._model, self._scores(explanations)
        each_input = [
            Joined(explanations, self._layout, number) for number in range(len(model.inputs))
        ]
        inputs, relevance = zip(*map(self._of_input, each_input), strict=True)
        if not model.several_inputs:
            return list(map(self._object, explanations, inputs[0], explained, scores, relevance[0]))
        given = (by_name(model.input_names, own) for own in zip(*inputs, strict=True))
        rows = zip(*relevance, strict=True)
        amounts = (dict(zip(model.input_names, own, strict=True)) for own in rows)
        return list(map(self._object, explanations, given, explained, scores, amounts))

    def _scores(self, explanations: list[Explanation]) -> list[dict[str, Any]]:
        """All scores of each, and, of values that were scaled, the same in original units."""
        own = exact_each([each.scores for each in explanations])
        originals = [found for each in explanations if (found := each.original) is not None]
        if not originals:
            return [{"scores": scores} for scores in own]
        pairs = zip(own, exact_each(originals), strict=True)
        return [{"scores": scores, "original": original} for scores, original in pairs]

    def _of_input(self, joined: Joined) -> tuple[list[dict[str, Any]], list[Any]]:
        """What one input has of each: tokens, or features and values; and the relevance."""
        layout, number, parts = self._layout, joined.number, joined.parts
        relevance = _numbers([layout.told(each, number) for each in joined.explanations])
        if joined.read.embedding is not None:
            return [self._tokens(part, joined.read) for part in parts], relevance
        values = _numbers([part.inputs for part in parts])
        return [
            {"features": part.features, **_dates(part), "values": rows}
            for part, rows in zip(parts, values, strict=True)
        ], relevance

    def _tokens(self, part: Part, read: Input) -> dict[str, Any]:
        unknown = unknown_places(part, read)
        places = {"unknown": unknown} if unknown else {}
        return {"tokens": part.tokens or (), **places, **_dates(part)}

    def _object(
        self,
        explanation: Explanation,
        inputs: dict[str, Any],
        explained: float,
        scores: dict[str, Any],
        relevance: Any,
    ) -> dict[str, Any]:
        sequence, label, output = explanation.sequence, explanation.label, explanation.output
        step = {"step": explanation.step} if self._model.by_step else {}
        method = {"method": explanation.method} if self._layout.several_methods else {}
        ledger: dict[str, Any] | None = None
        if explanation.ledger is not None:
            ledger = ledger_object(explanation.ledger, explanation.of_inputs)
        if ledger is not None and explanation.scored:
            ledger["score"] = explained
        return {
            "sequence": sequence.number,
            "id": sequence.id,
            **inputs,
            **scores,
            **({} if output is None else {"output": output}),
            "predicted": explanation.predicted,
            "target": explanation.target,
            **step,
            **({} if label is None else {"label": label}),
            **method,
            "relevance": relevance,
            "ledger": ledger,
            **attention_object(explanation),
        }


def _numbers(arrays: list[Floats]) -> list[Any]:
    """What `exact_each` gives; of a long array its text, which takes less than its numbers."""
    if all(len(array) <= PIECE for array in arrays):
        return exact_each(arrays)
    return [msgspec.Raw(_text(each)) if len(each) > PIECE else exact(each) for each in arrays]


def _text(array: Floats) -> bytes:
    """A long array as JSON, of which some rows are made at a time."""
    starts = range(0, len(array), PIECE)
    pieces = (_encoder.encode(exact(array[start : start + PIECE]))[1:-1] for start in starts)
    return b"[" + b",".join(pieces) + b"]"


def _dates(part: Part) -> dict[str, Any]:
    """When the steps of an input were, where that is known."""
    return {} if part.dates is None else {"dates": part.dates}


def attention_object(explanation: Explanation) -> dict[str, Any]:
    """The attention weights, layer by layer, where they were asked for."""
    if explanation.attention is None:
        return {}
    layers = []
    for each in explanation.attention:
        part = {} if each.part is None else {"part": each.part}
        steps = {} if each.steps is None else {"steps": each.steps}
        layers.append(
            {
                "layer": each.layer,
                **part,
                **steps,
                "queries": each.queries,
                "keys": each.keys,
                "weights": exact(each.weights),
                "padding": exact(each.padding),
            }
        )
    return {"attention": layers}


def by_name(names: Several[str], of_inputs: Several[dict[str, Any]]) -> dict[str, Any]:
    """The same keys of several inputs, each of which has an object of those that have it."""
    keys = dict.fromkeys(chain.from_iterable(of_inputs))
    return {
        key: {name: own[key] for name, own in zip(names, of_inputs, strict=True) if key in own}
        for key in keys
    }
