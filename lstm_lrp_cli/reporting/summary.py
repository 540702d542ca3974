"""The report: what was explained, and an account of where all the scores went."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.checking.check import Check
from lstm_lrp_cli.engine.ledger import TOLERANCES, Ledger
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.jsonl import ledger_object
from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.reporting.printable import printable
from lstm_lrp_cli.sequences.explanation import Explanation

SHOWN_EMPTY = 5


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, as the report says it."""

    model: str
    input: str
    method: str
    eps: float
    bias_factor: float
    dtype: str


@dataclass(slots=True)
class Summary:
    """Counts over explanations, added one by one; it does not grow with the corpus."""

    model: Model
    run: Run
    sequences: int = 0
    steps: int = 0
    unknown: int = 0
    padded: int = 0
    unpadded: int = 0
    explanations: int = 0
    empty: int = 0
    first_empty: list[int] = field(default_factory=list)
    predicted: Counter[str | int] = field(default_factory=Counter)
    labelled: int = 0
    right: int = 0
    totals: Ledger = field(default_factory=lambda: Ledger(0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    conservation: Check = field(init=False)
    _last: int = -1
    _counted: set[tuple[int | None, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.conservation = Check("conservation", "residual", TOLERANCES[self.model.dtype])

    def add(self, explanation: Explanation) -> None:
        sequence, ledger = explanation.sequence, explanation.ledger
        if sequence.number != self._last:  # a sequence may be explained for several targets
            self._last = sequence.number
            self._counted.clear()
            self._add_sequence(explanation)
        if not explanation.scored:
            return
        self._add_prediction(explanation)
        self.explanations += 1
        self.totals = self.totals + ledger
        self.conservation = self.conservation.seen(ledger.relative_residual, sequence.number)

    def _add_sequence(self, explanation: Explanation) -> None:
        sequence = explanation.sequence
        padding = self.model.padding
        self.sequences += 1
        self.steps += len(sequence)
        self.unknown += sequence.unknown
        if padding and not padding.masked:
            self.padded += len(sequence) < padding.length
            self.unpadded += len(sequence) > padding.length
        if not len(sequence):
            self.empty += 1
            self.first_empty = [*self.first_empty, sequence.number][:SHOWN_EMPTY]
        if explanation.right is not None:
            self.labelled += 1
            self.right += explanation.right

    def _add_prediction(self, explanation: Explanation) -> None:
        """Count a predicted class once for each head, and step, of a sequence."""
        prediction = explanation.step, explanation.predicted
        if (self.model.predicts or self.model.classes == 1) and prediction not in self._counted:
            self._counted.add(prediction)
            self.predicted[self._class_name(explanation)] += 1

    def _class_name(self, explanation: Explanation) -> str | int:
        name = self.model.target_name(explanation.predicted)
        if self.model.classes > 1:
            return name
        return f"{name} above 0" if explanation.scores[0] > 0 else f"{name} 0 or below"

    def warnings(self) -> list[str]:
        """What the user should know beyond the figures."""
        found = []
        if self.empty:
            which = ", ".join(map(str, self.first_empty)) + (", ..." if self.empty > 5 else "")
            found.append(
                f"{counted(self.empty, 'empty sequence')} "
                f"(counted from 0: {which}): kept, with nothing to explain"
            )
        if self.unpadded and self.model.padding:
            found.append(
                f"{self.unpadded:,} of the sequences exceed the {self.model.padding.length} steps "
                "that the model was trained on; they were run whole"
            )
        check = self.conservation
        if not check.passed:
            mend = "; try --dtype float64" if self.run.dtype == "float32" else ""
            found.append(
                f"relevance is not conserved: sequence {check.sequence} has a residual of "
                f"{check.worst:.2g} of its score, more than {check.tolerance:g}{mend}"
            )
        return found

    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""
        accuracy = {"labelled": self.labelled, "right": self.right} if self.labelled else {}
        return {
            "model": self.run.model,
            "input": self.run.input,
            "method": self.run.method,
            "eps": self.run.eps,
            "bias_factor": self.run.bias_factor,
            "dtype": self.run.dtype,
            "sequences": self.sequences,
            "tokens": self.steps,
            "unknown_tokens": self.unknown,
            "empty_sequences": self.empty,
            "padded_sequences": self.padded,
            "explanations": self.explanations,
            "predicted": {str(name): count for name, count in self.predicted.most_common()},
            **accuracy,
            "ledger": ledger_object(self.totals),
            "worst_residual": {
                "relative": self.conservation.worst,
                "sequence": self.conservation.sequence,
                "tolerance": self.conservation.tolerance,
                "conserved": self.conservation.passed,
            },
            "warnings": self.warnings(),
        }

    def as_json(self) -> str:
        return json_document(self.as_object())

    def as_text(self) -> str:
        """The report as a person reads it."""
        step = "token" if self.model.embedding is not None else "step"
        unknown = f" ({self.unknown:,} unknown)" if self.model.vocabulary else ""
        lines = {
            "model": f"{self.run.model} ({self.run.dtype})",
            "input": f"{self.run.input}: {counted(self.sequences, 'sequence')}, "
            f"{counted(self.steps, step)}{unknown}",
            "method": f"{self.run.method}, eps {self.run.eps:g}, "
            f"bias factor {self.run.bias_factor:g}",
        }
        if self.predicted:
            lines["predicted"] = ", ".join(
                f"{name if isinstance(name, str) else f'class {name}'}: {count:,}"
                for name, count in self.predicted.most_common()
            )
        if self.padded and self.model.padding:
            padding = self.model.padding
            lines["padded"] = (
                f"{counted(self.padded, 'sequence')}, {padding.side}, to {padding.length} steps"
            )
        if self.labelled:
            share = 100 * self.right / self.labelled
            lines["accuracy"] = f"{share:.1f} % ({self.right:,} of {self.labelled:,} right)"
        totals = ledger_object(self.totals)
        residual = totals.pop("residual")
        score = totals.pop("score")
        lines["score"] = (
            f"{score:.6g}, the sum over {counted(self.explanations, 'explanation')}, of which"
        )
        for name, amount in totals.items():
            part = f" ({100 * amount / score + 0.0:.1f} %)" if score else ""
            label = f"{step}s" if name == "tokens" else name.replace("_", " ")
            lines[f"  {label}"] = f"{amount:.6g}{part}"
        lines["  residual"] = f"{residual:.2g}"
        check = self.conservation
        lines["conserved"] = (
            f"{'yes' if check.passed else 'NO'}, worst residual {check.worst:.2g} of the score "
            f"(sequence {check.sequence}), allowed {check.tolerance:g}"
        )
        return "".join(f"{name:<16}{printable(text)}\n" for name, text in lines.items())
