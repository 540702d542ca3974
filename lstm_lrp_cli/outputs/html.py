"""The page that people look at: every sequence as a heat map, to be searched and sorted."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from importlib import resources
from itertools import repeat
from typing import Any, TextIO

import jinja2
import msgspec
import numpy as np
from markupsafe import Markup

from lstm_lrp_cli import __version__
from lstm_lrp_cli.engine.records import NO_SHARES, Ledger
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.shown import doubts, units_text
from lstm_lrp_cli.inputs.batching import cut_off
from lstm_lrp_cli.inputs.sequence import Part, Sequence
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.terminal.numbers import rounded_each
from lstm_lrp_cli.terminal.words import class_name, shown, what_is_missing
from .writer import Layout, Writer

STYLES = ("report.css",)
# In one module, so that each may use the others' functions.
SCRIPTS = (
    "data.js",
    "text.js",
    "ledger.js",
    "tokens.js",
    "series.js",
    "rows.js",
    "list.js",
    "controls.js",
    "main.js",
)


class HtmlWriter(Writer[Several[Explanation]]):
    """Writes one page: its head, the data as JSON, block by block, and what is seen of it.

    The data stands before what is seen, since the report is complete when all of it is written.
    """

    def __init__(self, file: TextIO, layout: Layout) -> None:
        self._file = file
        self._series = not layout.model.takes_tokens
        self._layout = msgspec.structs.replace(layout, whole_tokens=True)
        self._model = layout.model
        self._decisions = decisions_of(layout.model)
        # All that may be predicted, and by where the scores of a decision begin, its first there.
        self._outcomes: list[dict[str, str | int | None]] = []
        self._first_outcomes: dict[int, int] = {}
        for decision in self._decisions:
            self._first_outcomes[decision.scores.start] = len(self._outcomes)
            # Where 0 and 1 might be classes of another output as well.
            output = f"{decision.name}: " if decision.name and decision.one is not None else ""
            self._outcomes += (
                {"name": f"{output}{class_name(name)}", "target": target}
                for name, target in zip(decision.classes, decision.targets, strict=True)
            )

    def _report(self) -> dict[str, Any]:
        if self._layout.report is None:
            raise ValueError("a part of a page is neither opened nor closed")
        return self._layout.report.as_object()

    def open(self) -> None:
        """Write the page's head."""
        style, style_hash = element("style", STYLES)
        _, script_hash = element("script", SCRIPTS)
        self._file.write(
            rendered(
                "head.html.j2",
                report=self._report(),
                version=__version__,
                style=style,
                style_hash=style_hash,
                script_hash=script_hash,
            )
        )

    def write(self, explanations: Several[Explanation], /) -> None:
        """Write data: all explanations of each of some sequences, in order."""
        before: Sequence | None = None
        for part in self._layout.parts(explanations):
            self._file.write(json_block(self._objects(part, before), 'class="explanations"'))
            before = part[-1].sequence

    def close(self) -> None:
        """Write what is seen, with the report, and the script."""
        script, _ = element("script", SCRIPTS, ' type="module"')
        report = self._report()
        self._file.write(
            rendered(
                "body.html.j2",
                report=report,
                about=json_block([self._about(report)], 'id="about"'),
                left_out=self._model.leaves_out,
                version=__version__,
                series=self._series,
                units=units_text(self._layout.asked, self._layout.methods),
                no_shares=NO_SHARES,
                predicted=list(self._predicted(report["predicted"])),
                script=script,
            )
        )

    def _about(self, report: dict[str, Any]) -> dict[str, Any]:
        """What the script must know of the model, the methods, and what there is to see."""
        model, methods = self._model, report["methods"]
        heads = [
            {"name": head.name, "start": where.start, "stop": where.stop}
            for head, where in zip(model.heads, model.head_slices, strict=True)
        ]
        # Of one score among several outputs, class 1 is called so, and not by the score's number. A
        # number that has no name there is that of a score of no class.
        shown = {outcome["target"]: outcome["name"] for outcome in self._outcomes}
        names = map(model.target_name, range(model.targets))
        return {
            "classes": [
                name if isinstance(name, str) else shown.get(name, f"output {name}")
                for name in names
            ],
            "outcomes": self._outcomes,
            "heads": heads,
            "binary": model.binary,
            "by_step": model.by_step,
            "series": self._series,
            **({"inputs": model.input_names} if model.several_inputs else {}),
            "missing": self._missing(report),
            "methods": [method["method"] for method in methods],
            "shares": [_shares(method["ledger"]) for method in methods],
        }

    def _missing(self, report: dict[str, Any]) -> str | None:
        """What the steps are called that have no relevance; None where there are none."""
        left_out = self._model.leaves_out and report["unknown_tokens"]
        some = report["masked_tokens"] or report["cut_sequences"] or left_out
        return what_is_missing(self._model) if some else None

    def _predicted(
        self, counts: dict[str, Any]
    ) -> Iterator[tuple[str | None, list[tuple[str, int]]]]:
        """How often each class was predicted at each output, as the report counts it."""
        alone = len(self._decisions) == 1 and self._decisions[0].name is None
        of_outputs = [counts] if alone else counts.values()
        for decision, own in zip(self._decisions, of_outputs, strict=True):
            names = {str(name): class_name(name) for name in decision.classes}
            yield decision.name, [(names[name], count) for name, count in own.items()]

    def _outcome(self, explanation: Explanation) -> int | None:
        """Which of the outcomes is predicted."""
        decision, predicted = explanation.decision, explanation.predicted_number
        if decision is None or predicted is None:
            return None
        return self._first_outcomes[decision.scores.start] + predicted - decision.first

    def _objects(self, part: list[Explanation], before: Sequence | None) -> list[dict[str, Any]]:
        """One object an explanation; a sequence's first has the sequence as well."""
        scores = rounded_each([each.scores for each in part])
        found = [own for each in part if (own := each.original) is not None]
        originals: Iterable[Any] = rounded_each(found) if found else repeat(None, len(part))
        each_input = [
            rounded_each([self._told(each, number) for each in part])
            for number in range(len(self._model.inputs))
        ]
        several = self._model.several_inputs
        relevance = map(list, zip(*each_input, strict=True)) if several else each_input[0]
        ledgers = rounded_each([_amounts(each.ledger) for each in part])
        objects = []
        each_part = zip(part, scores, originals, relevance, ledgers, strict=True)
        for explanation, *numbers in each_part:
            its_scores, its_original, its_relevance, its_ledger = numbers
            sequence = explanation.sequence
            of_sequence = {} if sequence is before else self._sequence(explanation)
            before = sequence
            doubted = doubts(explanation, series=self._series)
            objects.append(
                {
                    "sequence": sequence.number,
                    **of_sequence,
                    "method": explanation.method,
                    "step": explanation.step,
                    "target": explanation.target_number if explanation.scored else None,
                    **_subtracted(explanation),
                    "predicted": self._outcome(explanation),
                    "scores": its_scores,
                    **({"original": its_original} if its_original else {}),
                    "relevance": its_relevance,
                    "ledger": its_ledger or None,
                    **({"doubts": doubted} if doubted else {}),
                }
            )
        return objects

    def _told(self, explanation: Explanation, number: int) -> Floats:
        """The relevance at an input; that of one vector is shown as that of words is."""
        told = self._layout.told(explanation, number)
        return told.reshape(-1) if _is_fact(self._model, number) else told

    def _sequence(self, explanation: Explanation) -> dict[str, Any]:
        sequence = explanation.sequence
        parts = [
            {"tokens": _facts(part, self._told(explanation, number).size)}
            if _is_fact(self._model, number)
            else _given(read, part)
            for number, (read, part) in enumerate(
                zip(self._model.inputs, sequence.parts, strict=True)
            )
        ]
        inputs = {"inputs": parts} if self._model.several_inputs else parts[0]
        return {"id": sequence.id, **inputs, "label": sequence.gold, "right": explanation.right}


def _subtracted(explanation: Explanation) -> dict[str, int]:
    against = explanation.against_number
    return {} if against is None else {"against": against}


def _is_fact(model: Model, number: int) -> bool:
    """Whether an input is one vector beside others, which has no course to draw."""
    read = model.inputs[number]
    return model.several_inputs and not read.steps and read.embedding is None


def _facts(part: Part, told: int) -> list[str]:
    """The features of one vector with their values; or all of them, where relevance is of all."""
    names, (values,) = part.features or (), part.inputs.tolist()
    shown = [f"{name} = {value:g}" for name, value in zip(names, values, strict=True)]
    return shown if told == len(shown) else [", ".join(shown)]


def _given(read: Input, part: Part) -> dict[str, Any]:
    """What an input is given."""
    if read.embedding is None:
        (values,) = rounded_each([part.inputs])
        inputs: dict[str, Any] = {"features": part.features, "values": values}
    else:
        inputs = {"tokens": part.tokens}
        if read.leaves_out and part.unknown:
            inputs["left_out"] = np.flatnonzero(part.inputs == SKIPPED).tolist()
    if part.dates is not None:
        inputs["dates"] = part.dates
    if read.cuts:
        inputs["cut"] = np.flatnonzero(cut_off(part.inputs, read.padding)).tolist()
    return inputs


def _shares(ledger: dict[str, float] | None) -> list[str]:
    """What a method's ledgers hold between score and residual."""
    return [name for name in ledger or () if name not in NO_SHARES]


def _amounts(ledger: Ledger | None) -> Floats:
    """A ledger's score, shares and residual; nothing where there is no ledger."""
    if ledger is None:
        return np.zeros(0)
    return np.array([ledger.score, *ledger.shares.values(), ledger.residual])


# What must not stand in a page as it is: it might end the element around it, or a line of script.
ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

_files = resources.files(__package__) / "page"
_encode = msgspec.json.Encoder().encode


class OwnFiles(jinja2.BaseLoader):
    """Finds templates among the package's own files."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, None]:
        return read(template), None, None


def read(name: str) -> str:
    """A file of the page."""
    return (_files / name).read_text("utf-8")


def rendered(template: str, **values: Any) -> str:
    """A template with values in it, of which all text is escaped."""
    environment = jinja2.Environment(
        loader=OwnFiles(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["setting"] = shown
    return environment.get_template(template).render(**values)


def element(name: str, files: Several[str], attributes: str = "") -> tuple[Markup, str]:
    """Files as the text of one element, and the hash by which a policy allows it.

    Parameters
    ----------
    name : {"style", "script"}
    """
    text = "\n" + "\n".join(map(read, files))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"<{name}{attributes}>{text}</{name}>"), f"'sha256-{digest}'"


def json_text(content: Any) -> str:
    """JSON that may stand in a script element, whatever text is in it."""
    text: str = _encode(content).decode("utf-8")
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


def json_block(objects: Several[Any], attributes: str) -> str:
    """A list as JSON in an element of its own, one object a line."""
    lines = ",\n".join(map(json_text, objects))
    return f'<script type="application/json" {attributes}>[\n{lines}\n]</script>\n'
