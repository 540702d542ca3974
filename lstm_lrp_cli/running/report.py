"""The reports of runs: what was explained, and an account of where all the scores went."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from msgspec import Struct

from lstm_lrp_cli import __version__
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import ledger_object
from lstm_lrp_cli.explaining.shown import share_name, units_text
from lstm_lrp_cli.model.decision import decisions_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs.writer import Report
from lstm_lrp_cli.terminal.numbers import counted, decimal
from lstm_lrp_cli.terminal.text import json_document
from lstm_lrp_cli.terminal.words import (
    method_text,
    predicted_lines,
    predicted_object,
    settings_object,
    size_warnings,
    sizes_text,
)
from .figures import Accounts, Figures, RunFigures

Counted = TypeVar("Counted", bound=RunFigures)

# How many features a line names.
LISTED = 8


class Run(Struct, frozen=True):
    """What the model and the input are called."""

    model: str
    input: str


class RunReport(Report, Generic[Counted]):
    """What is told of a run beside its data, from the figures of all that was computed."""

    def __init__(self, model: Model, run: Run, figures: Counted) -> None:
        self.model = model
        self.run = run
        self.figures = figures

    def merge(self, figures: Counted, /) -> None:
        """Take in the figures of a block that was counted elsewhere, such as in a process."""
        self.figures.merge(figures)

    @abstractmethod
    def warnings(self) -> list[str]:
        """What the user should know beyond the figures."""

    def as_json(self) -> str:
        return json_document(self.as_object())

    def as_text(self) -> str:
        """The report as a person reads it."""
        return "".join(f"{name:<16}{printable(text)}\n" for name, text in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        """The names and texts of its lines: first what was read, and what was predicted."""
        figures, model = self.figures, self.model
        yield "model", f"{self.run.model} ({model.dtype})"
        yield "input", figures.input_text(self.run.input, model)
        features = features_text(model)
        if features is not None:
            yield "features", features
        for counts in predicted_lines(decisions_of(model), figures.taken):
            yield "predicted", counts
        padded, cut = figures.padded_text(model), figures.cut_text(model)
        if padded is not None:
            yield "padded", padded
        if cut is not None:
            yield "cut", cut

    def _predicted(self) -> dict[str, Any]:
        """How often each class was predicted, as JSON has it."""
        return predicted_object(decisions_of(self.model), self.figures.taken)


def features_text(model: Model) -> str | None:
    """What is taken of tables, where the mapping or a scaler names it: the rest is left out."""
    named = []
    for name, features in _named_features(model).items():
        more = len(features) - LISTED
        text = ", ".join(features[:LISTED]) + f" and {more} more" * (more > 0)
        named.append(f"{name}: {text}" if model.several_inputs else text)
    return "; ".join(named) or None


def features_object(model: Model) -> dict[str, Any]:
    """The same as JSON has it; of several inputs, by their names."""
    named = _named_features(model)
    if not named:
        return {}
    return {"features": named if model.several_inputs else next(iter(named.values()))}


def _named_features(model: Model) -> dict[str, tuple[str, ...]]:
    pairs = zip(model.input_names, model.inputs, strict=True)
    return {name: read.features for name, read in pairs if read.features is not None}


def output_scaling_object(model: Model) -> dict[str, Any]:
    """What was done to a regressor's values before training, as JSON has it, where it is known.

    An original value is a model's output * `divide` + `minus`.
    """
    scaling = model.output_scaling
    if scaling is None:
        return {}
    numbers = {"minus": scaling.minus.tolist(), "divide": scaling.divide.tolist()}
    return {"output_scaling": numbers}


class ExplainReport(RunReport[Figures]):
    """The report of what was explained, by some methods."""

    def __init__(self, explainer: Explainer, run: Run) -> None:
        super().__init__(explainer.model, run, Figures.none(explainer.model, explainer.methods))
        self.explainer = explainer
        self.methods = explainer.methods

    def about(self) -> dict[str, Any]:
        """What an output that is kept tells of the run."""
        names = map(self.model.target_name, range(self.model.targets))
        return {
            "lrp": __version__,
            "model": self.run.model,
            "input": self.run.input,
            "methods": [settings_object(method) for method in self.methods],
            "dtype": str(self.model.dtype),
            "by": self._by(),
            "targets": list(map(str, names)),
            **output_scaling_object(self.model),
        }

    def _by(self) -> Any:
        """How finely relevance is told; of several inputs, by name."""
        details = self.explainer.details
        if len(details) == 1:
            return details[0]
        return dict(zip(self.model.input_names, details, strict=True))

    def warnings(self) -> list[str]:
        found = self.model.warnings
        found.extend(self.figures.input_warnings(self.model, "kept, with nothing to explain"))
        for method in self.methods:
            found.extend(self._broken_promise(method))
            found.extend(self._large_sizes(method))
        return found

    def _accounts(self, method: Method) -> Accounts | None:
        """What a method gave; None where it gives no ledgers, or nothing was explained."""
        found = self.figures.accounts.get(method.name)
        return found if found is not None and found.check.compared else None

    def _broken_promise(self, method: Method) -> Iterator[str]:
        """A warning where more is left of a score than the method allows."""
        accounts = self._accounts(method)
        if method.promise is None or accounts is None or accounts.check.passed:
            return
        check = accounts.check
        mend = method.promise.mends.get(self.model.dtype)
        yield (
            f"relevance is not {method.promise.word}"
            f"{f' by {method.name}' if len(self.methods) > 1 else ''}: "
            f"sequence {check.sequence} has a residual of "
            f"{check.worst:.2g} of the shares' sizes, more than {check.tolerance:g}"
            f"{f'; {mend}' if mend else ''}"
        )

    def _large_sizes(self, method: Method) -> Iterator[str]:
        """A warning where the ledger closes, and yet single numbers are not to be believed."""
        accounts = self._accounts(method)
        if accounts is not None:
            yield from size_warnings(method, accounts.sizes, series=not self.model.takes_tokens)

    def as_object(self) -> dict[str, Any]:
        figures = self.figures
        accuracy = (
            {"labelled": figures.labelled, "right": figures.right} if figures.labelled else {}
        )
        first, *_ = self.methods
        return {
            "model": self.run.model,
            "input": self.run.input,
            **self._of_method(first),
            "dtype": str(self.model.dtype),
            **figures.input_object(self.model),
            **features_object(self.model),
            "explanations": figures.explanations,
            **output_scaling_object(self.model),
            "predicted": self._predicted(),
            **accuracy,
            "methods": [self._of_method(method) for method in self.methods],
            "assumptions": self.model.assumptions,
            "warnings": self.warnings(),
        }

    def _of_method(self, method: Method) -> dict[str, Any]:
        """What a method was set to, and its account of all scores together."""
        content = settings_object(method)
        accounts = self._accounts(method)
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
            "ledger": ledger_object(accounts.totals, self._of_inputs(accounts)),
            "worst_residual": worst,
            "sizes": accounts.sizes.as_object(),
        }

    def _of_inputs(self, accounts: Accounts) -> dict[str, float] | None:
        """What each of several inputs has of all ledgers' tokens."""
        if not self.model.several_inputs:
            return None
        return {name: accounts.of_inputs.get(name, 0.0) for name in self.model.input_names}

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield from super()._lines()
        figures = self.figures
        if figures.labelled:
            share = 100 * figures.right / figures.labelled
            yield "accuracy", f"{share:.1f} % ({figures.right:,} of {figures.labelled:,} right)"
        for method in self.methods:
            yield from self._account(method)
        units = units_text(self.explainer, self.methods)
        if units is not None:
            yield "units", units

    def _account(self, method: Method) -> Iterator[tuple[str, str]]:
        """The lines of a method: what it was set to, and where all scores went."""
        yield "method", method_text(method)
        accounts = self._accounts(method)
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
            label = share_name(name, series=not self.model.takes_tokens)
            yield f"  {label}", f"{amount:.6g}{part}"
            for own, of_input in (self._of_inputs(accounts) or {}).items():
                if name == "tokens":
                    yield f"    {own}", f"{of_input:.6g}"
        yield "  residual", f"{accounts.totals.residual:.2g}"
        yield (
            check.name,
            f"{'yes' if check.passed else 'NO'}, worst residual {check.worst:.2g} of the shares' "
            f"sizes (sequence {check.sequence}), allowed {check.tolerance:g}",
        )
        yield "sizes", sizes_text(accounts.sizes, series=not self.model.takes_tokens)
