"""The report: what was explained, and an account of where all the scores went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_lrp_cli import __version__
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.terminal.console import json_document
from lstm_lrp_cli.terminal.numbers import counted, decimal
from lstm_lrp_cli.terminal.text import printable
from lstm_lrp_cli.terminal.words import (
    method_text,
    predicted_lines,
    predicted_object,
    settings_object,
    share_name,
    size_warnings,
    sizes_text,
)
from .figures import Figures


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, as the report says it.

    Parameters
    ----------
    explainer : Explainer
    model, input : str
        What they are called.
    """

    explainer: Explainer
    model: str
    input: str

    @property
    def methods(self) -> tuple[Method, ...]:
        return self.explainer.methods

    @property
    def dtype(self) -> str:
        return str(self.explainer.model.dtype)

    def about(self) -> dict[str, Any]:
        """What an output that is kept tells of the run."""
        model = self.explainer.model
        return {
            "lrp": __version__,
            "model": self.model,
            "input": self.input,
            "methods": [settings_object(method) for method in self.methods],
            "dtype": self.dtype,
            "by": self.explainer.detail,
            "targets": [str(model.target_name(target)) for target in range(model.targets)],
        }


class ExplainReport:
    """The report of a run, from the figures of all that was explained."""

    def __init__(self, run: Run) -> None:
        self.model = run.explainer.model
        self.run = run
        self.figures = Figures.none(self.model, run.methods)

    def add(self, explanations: Sequence[Explanation]) -> None:
        """Count a block of explanations: all those of each of its sequences, in order."""
        self.merge(Figures.of(explanations, self.model, self.run.methods))

    def merge(self, figures: Figures) -> None:
        """Take in the figures of a block that was counted elsewhere, such as in a process."""
        self.figures.merge(figures)

    def warnings(self) -> list[str]:
        """What the user should know beyond the figures."""
        found = self.model.warnings
        found.extend(self.figures.input_warnings(self.model, "kept, with nothing to explain"))
        for method in self.run.methods:
            found.extend(self._broken_promise(method))
            found.extend(self._large_sizes(method))
        return found

    def _broken_promise(self, method: Method) -> Iterator[str]:
        """A warning where more is left of a score than the method allows."""
        accounts = self.figures.accounts.get(method.name)
        if method.promise is None or accounts is None or accounts.check.passed:
            return
        check = accounts.check
        mend = method.promise.mends.get(self.model.dtype)
        yield (
            f"relevance is not {method.promise.word}"
            f"{f' by {method.name}' if len(self.run.methods) > 1 else ''}: "
            f"sequence {check.sequence} has a residual of "
            f"{check.worst:.2g} of the shares' sizes, more than {check.tolerance:g}"
            f"{f'; {mend}' if mend else ''}"
        )

    def _large_sizes(self, method: Method) -> Iterator[str]:
        """A warning where the ledger closes, and yet single numbers are not to be believed."""
        accounts = self.figures.accounts.get(method.name)
        if accounts is not None:
            yield from size_warnings(method, accounts.sizes, series=self.model.embedding is None)

    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""
        figures = self.figures
        accuracy = (
            {"labelled": figures.labelled, "right": figures.right} if figures.labelled else {}
        )
        first, *_ = self.run.methods
        return {
            "model": self.run.model,
            "input": self.run.input,
            **self._of_method(first),
            "dtype": self.run.dtype,
            "sequences": figures.sequences,
            "tokens": figures.steps,
            "masked_tokens": figures.masked,
            "unknown_tokens": figures.unknown,
            "empty_sequences": figures.empty,
            "padded_sequences": figures.padded,
            "cut_sequences": figures.cut,
            "explanations": figures.explanations,
            "predicted": predicted_object(decisions_of(self.model), figures.taken),
            **accuracy,
            "methods": [self._of_method(method) for method in self.run.methods],
            "assumptions": self.model.assumptions,
            "warnings": self.warnings(),
        }

    def _of_method(self, method: Method) -> dict[str, Any]:
        """What a method was set to, and its account of all scores together."""
        content = settings_object(method)
        accounts = self.figures.accounts.get(method.name)
        if accounts is None:
            return {**content, "ledger": None, "worst_residual": None, "sizes": None}
        check = accounts.check
        worst = {
            "relative": check.worst,
            "sequence": check.sequence,
            "tolerance": check.tolerance,
            check.name: check.passed,
        }
        return {
            **content,
            "ledger": ledger_object(accounts.totals),
            "worst_residual": worst,
            "sizes": accounts.sizes.as_object(),
        }

    def as_json(self) -> str:
        return json_document(self.as_object())

    def as_text(self) -> str:
        """The report as a person reads it."""
        figures = self.figures
        lines = [
            ("model", f"{self.run.model} ({self.run.dtype})"),
            ("input", figures.input_text(self.run.input, self.model)),
        ]
        for counts in predicted_lines(decisions_of(self.model), figures.taken):
            lines.append(("predicted", counts))
        padded = figures.padded_text(self.model)
        if padded is not None:
            lines.append(("padded", padded))
        cut = figures.cut_text(self.model)
        if cut is not None:
            lines.append(("cut", cut))
        if figures.labelled:
            share = 100 * figures.right / figures.labelled
            right = f"{figures.right:,} of {figures.labelled:,} right"
            lines.append(("accuracy", f"{share:.1f} % ({right})"))
        for method in self.run.methods:
            lines.extend(self._account(method))
        return "".join(f"{name:<16}{printable(text)}\n" for name, text in lines)

    def _account(self, method: Method) -> Iterator[tuple[str, str]]:
        """The lines of a method: what it was set to, and where all scores went."""
        yield "method", method_text(method)
        accounts = self.figures.accounts.get(method.name)
        if accounts is None:
            return
        check, score = accounts.check, accounts.totals.score
        explanations = counted(check.compared, "explanation")
        yield "score", f"{score:.6g}, the sum over {explanations}, of which"
        for name, amount in accounts.totals.shares.items():
            part = f" ({decimal(100 * amount / score + 0.0, 1)} %)" if score else ""
            size = accounts.totals.stabilizers_size
            if name == "stabilizers" and score and size is not None:
                by_size = decimal(100 * size / abs(score), 1)
                part = f"{part.removesuffix(')')}; by size {by_size} %)"
            label = share_name(name, series=self.model.embedding is None)
            yield f"  {label}", f"{amount:.6g}{part}"
        yield "  residual", f"{accounts.totals.residual:.2g}"
        yield (
            check.name,
            f"{'yes' if check.passed else 'NO'}, worst residual {check.worst:.2g} of the shares' "
            f"sizes (sequence {check.sequence}), allowed {check.tolerance:g}",
        )
        if check.compared:
            yield "sizes", sizes_text(accounts.sizes, series=self.model.embedding is None)
