"""The report: what was explained, and an account of where all the scores went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.figures import SHOWN_EMPTY, Figures
from lstm_lrp_cli.reporting.jsonl import ledger_object
from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.reporting.printable import printable
from lstm_lrp_cli.sequences.explanation import Explanation


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, as the report says it."""

    model: str
    input: str
    method: str
    eps: float
    bias_factor: float
    dtype: str


class Summary:
    """The report of a run, from the figures of all that was explained."""

    def __init__(self, model: Model, run: Run) -> None:
        self.model = model
        self.run = run
        self.figures = Figures.none(model)

    def add(self, explanations: Sequence[Explanation]) -> None:
        """Count a block of explanations: all those of each of its sequences, in order."""
        self.merge(Figures.of(explanations, self.model))

    def merge(self, figures: Figures) -> None:
        """Take in the figures of a block that was counted elsewhere, such as in a process."""
        self.figures.merge(figures)

    def warnings(self) -> list[str]:
        """What the user should know beyond the figures."""
        figures = self.figures
        found = []
        if figures.empty:
            more = ", ..." if figures.empty > SHOWN_EMPTY else ""
            which = ", ".join(map(str, figures.first_empty)) + more
            found.append(
                f"{counted(figures.empty, 'empty sequence')} "
                f"(counted from 0: {which}): kept, with nothing to explain"
            )
        if figures.unpadded and self.model.padding:
            length = self.model.padding.length
            found.append(
                f"{figures.unpadded:,} of the sequences exceed the {length} steps "
                "that the model was trained on; they were run whole"
            )
        check = figures.conservation
        if not check.passed:
            mend = "; try --dtype float64" if self.run.dtype == "float32" else ""
            found.append(
                f"relevance is not conserved: sequence {check.sequence} has a residual of "
                f"{check.worst:.2g} of its score, more than {check.tolerance:g}{mend}"
            )
        return found

    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""
        figures = self.figures
        accuracy = (
            {"labelled": figures.labelled, "right": figures.right} if figures.labelled else {}
        )
        return {
            "model": self.run.model,
            "input": self.run.input,
            "method": self.run.method,
            "eps": self.run.eps,
            "bias_factor": self.run.bias_factor,
            "dtype": self.run.dtype,
            "sequences": figures.sequences,
            "tokens": figures.steps,
            "unknown_tokens": figures.unknown,
            "empty_sequences": figures.empty,
            "padded_sequences": figures.padded,
            "explanations": figures.explanations,
            "predicted": {str(name): count for name, count in figures.predicted.most_common()},
            **accuracy,
            "ledger": ledger_object(figures.totals),
            "worst_residual": {
                "relative": figures.conservation.worst,
                "sequence": figures.conservation.sequence,
                "tolerance": figures.conservation.tolerance,
                "conserved": figures.conservation.passed,
            },
            "warnings": self.warnings(),
        }

    def as_json(self) -> str:
        return json_document(self.as_object())

    def as_text(self) -> str:
        """The report as a person reads it."""
        figures = self.figures
        step = "token" if self.model.embedding is not None else "step"
        unknown = f" ({figures.unknown:,} unknown)" if self.model.vocabulary else ""
        lines = {
            "model": f"{self.run.model} ({self.run.dtype})",
            "input": f"{self.run.input}: {counted(figures.sequences, 'sequence')}, "
            f"{counted(figures.steps, step)}{unknown}",
            "method": f"{self.run.method}, eps {self.run.eps:g}, "
            f"bias factor {self.run.bias_factor:g}",
        }
        if figures.predicted:
            lines["predicted"] = ", ".join(
                f"{name if isinstance(name, str) else f'class {name}'}: {count:,}"
                for name, count in figures.predicted.most_common()
            )
        if figures.padded and self.model.padding:
            padding = self.model.padding
            lines["padded"] = (
                f"{counted(figures.padded, 'sequence')}, {padding.side}, to {padding.length} steps"
            )
        if figures.labelled:
            share = 100 * figures.right / figures.labelled
            lines["accuracy"] = f"{share:.1f} % ({figures.right:,} of {figures.labelled:,} right)"
        totals = ledger_object(figures.totals)
        residual = totals.pop("residual")
        score = totals.pop("score")
        lines["score"] = (
            f"{score:.6g}, the sum over {counted(figures.explanations, 'explanation')}, of which"
        )
        for name, amount in totals.items():
            part = f" ({100 * amount / score + 0.0:.1f} %)" if score else ""
            label = f"{step}s" if name == "tokens" else name.replace("_", " ")
            lines[f"  {label}"] = f"{amount:.6g}{part}"
        lines["  residual"] = f"{residual:.2g}"
        check = figures.conservation
        lines["conserved"] = (
            f"{'yes' if check.passed else 'NO'}, worst residual {check.worst:.2g} of the score "
            f"(sequence {check.sequence}), allowed {check.tolerance:g}"
        )
        return "".join(f"{name:<16}{printable(text)}\n" for name, text in lines.items())
