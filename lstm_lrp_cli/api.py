"""What a program does with the package: load a model, explain, predict, read and write."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby, islice
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import numpy as np

from lstm_lrp_cli.errors import UnusableInput, WrongUsage, printable
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import Explanation, Explanations
from lstm_lrp_cli.explaining.prediction import Prediction, predictions_of
from lstm_lrp_cli.explaining.reconstruction import ERROR, asked_model
from lstm_lrp_cli.inputs.memory import sequences
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.stream import InputFormat
from lstm_lrp_cli.inputs.tables.columns import ByInput, named_columns
from lstm_lrp_cli.inputs.tables.roles import SERIES, SeriesOptions, as_series
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.mapping.given import said_in_python
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs import OUTPUTS, format_of
from lstm_lrp_cli.outputs.writer import Layout
from lstm_lrp_cli.running.figures import Figures
from lstm_lrp_cli.running.files import open_binary, open_output
from lstm_lrp_cli.running.report import ExplainReport, Run

__all__ = [
    "Explainer",
    "Explanation",
    "Model",
    "UnusableInput",
    "explain",
    "load",
    "predict",
    "read",
    "sequences",
    "write",
]


class ReadOptions(SeriesOptions, total=False):
    """The columns of a table, or keys of JSON lines, that `read` is told; and others' options."""

    text: ByInput
    label: str
    id: str
    delimiter: str
    array: str


# How many sequences' explanations are written at a time.
WRITTEN_TOGETHER = 256


def load(
    path: str | Path,
    mapping: str | Path | Mapping[str, Any] | None = None,
    *,
    dtype: str = "float64",
    assume: bool = False,
) -> Model:
    """Load a model.

    Parameters
    ----------
    path : str or Path
        A file of Keras, PyTorch, ONNX, safetensors, HDF5 or NumPy, told by what is in it.
    mapping : str, Path or dict, optional
        What the file cannot say, as YAML. Without it, `model.yaml` beside `model.h5` is used, if it
        is there. The keys of a dict win over those of that file, and its paths are relative to the
        current folder.
    dtype : {"float64", "float32"}
        The precision of the computation.
    assume : bool
        Whether the likeliest model is taken where the file leaves open what changes scores.

    Returns
    -------
    Model
        What was taken for granted is in its `assumptions`, and each is warned of.

    Raises
    ------
    UnusableInput
        The file or the mapping cannot be used; the message says what would mend it.
    ValueError
        There is no such precision.

    Examples
    --------
    >>> model = lrp.load("model.h5")
    >>> model.labels
    ('negative', 'positive')
    """
    if str(dtype) not in ("float64", "float32"):
        raise WrongUsage(f"{dtype!r} is neither float64 nor float32", "dtype")
    if not isinstance(path, str | PathLike):
        raise WrongUsage(f"is of type {type(path).__name__}; expected the path of a file", "path")
    if not isinstance(mapping, str | PathLike | Mapping | None):
        raise WrongUsage("expected the path of a YAML file, or a dict", "mapping")
    where, said = None, None
    if isinstance(mapping, Mapping):
        said = said_in_python(mapping)
    elif mapping is not None:
        where = Path(mapping)
    model = load_model(Path(path), where, np.dtype(str(dtype)), assume, said).model
    for warning in model.warnings:
        warnings.warn(printable(warning), stacklevel=2)
    return model


def read(
    path: str | Path | Mapping[str, str | Path],
    model: Model,
    *,
    format: InputFormat | None = None,
    ids: bool = False,
    labelled: bool = False,
    **columns: Unpack[ReadOptions],
) -> Iterator[Sequence]:
    """Read the sequences of a file, one after the other, as the command line does.

    Parameters
    ----------
    path : str, Path, or dict of these
        Text, one sequence a line; JSON lines; a table of texts: .csv, .tsv, .parquet, .arrow, or a
        folder that datasets wrote; or a numeric series: .csv, .npy, .npz or .h5. All may be
        compressed. Of a model with several inputs, JSON lines with a key for each, .npz or .h5
        with an array for each, or a dict with a file for each, by its name.
    model : Model
        Whose vocabulary and features they are read for.
    format : {"txt", "jsonl", "csv", "tsv", "parquet", "arrow", "npy", "npz", "h5"}, optional
        Told by the ending, else by how the data begins.
    ids : bool
        Whether lines of text hold token ids.
    labelled : bool
        Whether lines are `label<TAB>text`; JSON lines and tables have `label`.
    **columns
        `text`, `label` and `id` name the columns of a table, or the keys of JSON lines, that have
        the texts, the true classes, and what sequences are called. For a model with several inputs,
        `text` may be a dict with a column for each. `delimiter` is what parts the fields of CSV,
        which is found where it is not given. Of a table of numbers, `window`, `stride`, `group` and
        `date` say how series are cut from it, as of `sequences`; `label` may also be an array of
        .npz or .h5, or a .npy file. `array` is the one to be read, of a file with several.

    Yields
    ------
    Sequence
        In their order, read as they are asked for.

    Raises
    ------
    UnusableInput
        The file cannot be used; the message names the line.
    ValueError
        There is no such format.

    Examples
    --------
    >>> first, *others = lrp.read("sentences.txt", model)
    >>> first.number, first.tokens[:3], len(others)
    (0, ('the', 'large', 'format'), 99)
    """
    if format not in (None, *get_args(InputFormat)):
        raise WrongUsage(f"{format!r} is none of {', '.join(get_args(InputFormat))}", "format")
    if not isinstance(model, Model):
        raise WrongUsage(f"is of type {type(model).__name__}; expected what `load` gives", "model")
    if not isinstance(path, str | PathLike | Mapping):
        found = type(path).__name__
        raise WrongUsage(f"is of type {found}; `sequences` takes what is no file", "path")
    files = [str(path)]
    if isinstance(path, Mapping):
        files = [f"{name}={file}" for name, file in path.items()]
        if not (files and model.several_inputs):
            raise WrongUsage("is a dict of files, which are those of several inputs", "path")
    first, *others = files
    given: dict[str, Any] = dict(columns)
    array = given.pop("array", None)
    series = as_series(**{key: given.pop(key) for key in SERIES if key in given})
    named = named_columns(**given)
    labelled = labelled or named.label is not None
    source = Source(first, format, ids, labelled, tuple(others), named, array=array, series=series)
    return read_sequences(source, model)


def explain(
    model: Model, inputs: Any, methods: Any = "lrp-all", *, labels: Any = None, **asked: Any
) -> Explanations:
    """Explain what a model makes of some sequences.

    Parameters
    ----------
    model : Model
    inputs : str, iterable, array or table
        Texts, tokens, token ids, arrays or series, as `sequences` takes them, or what `read` gives.
    methods : str, iterable of str, or iterable of Method
        As `Explainer` takes them.
    labels : iterable of str or int, or array, optional
        The true class of each sequence; an array of numbers may be one-hot.
    **asked
        `target`, `step`, `by`, `attention` and the methods' settings, as `Explainer` takes them.

    Returns
    -------
    list of Explanation
        Of each sequence, one for each of its targets, by each of the methods. For a corpus, call an
        `Explainer`, which gives them one by one.

    Raises
    ------
    UnusableInput
        An input is not what the model takes, or its scores are not finite.
    ValueError
        The model has no such target, step or detail, or there is no such method or setting.

    Examples
    --------
    >>> [e] = lrp.explain(model, "a fine and moving film")
    >>> e.predicted, e.tokens[3], round(float(e.relevance[3]), 2), abs(e.ledger.residual) < 1e-10
    ('positive', 'moving', 0.68, True)
    """
    explainer = Explainer(model, methods, **asked)
    return Explanations(explainer(sequences(inputs, model, labels)))


def predict(
    model: Model, inputs: Any, *, target: Literal["error"] | None = None
) -> list[Prediction]:
    """Predict, and explain nothing.

    Parameters
    ----------
    model : Model
    inputs : str, iterable, array or table
        As `explain` takes them.
    target : "error", optional
        Of an autoencoder, its reconstruction error alone.

    Returns
    -------
    list of Prediction
        One of each sequence, with `scores`, `probabilities` and `predicted`.

    Raises
    ------
    UnusableInput
        An input is not what the model takes, or its scores are not finite.
    ValueError
        There is no such target, or the model is no autoencoder.

    Examples
    --------
    >>> [p] = lrp.predict(model, "a fine and moving film")
    >>> p.predicted, p.probabilities.round(2).tolist()
    ('positive', [0.04, 0.96])
    """
    if target not in (None, ERROR):
        raise WrongUsage(f"{target!r} is not {ERROR!r}; all scores are told without it", "target")
    asked = asked_model(model, target)
    return list(predictions_of(asked, sequences(inputs, asked)))


def write(
    explanations: Explanation | Iterable[Explanation],
    path: str | Path,
    *,
    format: str | None = None,
    top: int | None = None,
    verbatim: bool = False,
) -> None:
    """Write explanations to a file, as `lrp explain -o` does.

    Parameters
    ----------
    explanations : Explanation, or iterable of Explanation
        All of one explainer, in their order, as `explain` or an `Explainer` gives them; they are
        written as they come.
    path : str or Path
        It appears whole, or not at all. It is compressed where its name ends in .gz, .xz or .bz2.
    format : str, optional
        "tsv", "csv", "jsonl", "parquet", "parquet-nested", "npz", "markdown", "terminal" or "html";
        told by the ending.
    top : int, optional
        How many values of each are written, the strongest first; all of them where it is not given.
    verbatim : bool, optional
        In tsv and csv, whether no apostrophe is put before what a spreadsheet takes for formulas.

    Raises
    ------
    UnusableInput
        The file cannot be written, or making an explanation failed: then there is no file.
    ValueError
        There is no such format, it has no place for `top` or for attention weights, or there is
        nothing to write.

    Examples
    --------
    >>> explainer = lrp.Explainer(model)
    >>> lrp.write(explainer(lrp.read("sentences.txt", model)), "relevance.jsonl")
    """
    path = Path(path)
    form = format or format_of(path)
    if form not in OUTPUTS:
        found = f"the ending of {path.name}" if format is None else repr(format)
        raise WrongUsage(f"{found} is of no format; expected {', '.join(OUTPUTS)}", "format")
    if top is not None and not OUTPUTS[form].tells_top:
        raise WrongUsage(f"{form} has a place for every relevance", "top")
    explanations = iter([explanations] if isinstance(explanations, Explanation) else explanations)
    begin = list(islice(explanations, 1))
    if not begin or not isinstance(begin[0], Explanation):
        raise WrongUsage("there are no explanations to write", "explanations")
    if begin[0].attention is not None and not OUTPUTS[form].tells_attention:
        raise WrongUsage(
            f"{form} has no place for the attention weights of these explanations; expected jsonl, "
            "or explain without `attention`",
            "format",
        )
    explainer = begin[0].asked
    assert isinstance(explainer, Explainer)
    report = ExplainReport(explainer, Run(str(explainer.model.source or "model"), "sequences"))
    dated = begin[0].sequence.has_dates
    layout = Layout(explainer, report.about(), top, report, dated=dated, verbatim=verbatim)
    output = OUTPUTS[form]
    everything = chain(begin, explanations)
    opened = open_binary if output.binary else open_output
    with opened(path) as file, output.sink(file, layout) as sink:
        _write(everything, output.writer(sink, layout), report)


def _write(explanations: Iterator[Explanation], writer: Any, report: ExplainReport) -> None:
    """Write some sequences at a time, each with all of its explanations."""
    of_sequences = (list(own) for _, own in groupby(explanations, attrgetter("sequence.number")))
    first, last, explainer = True, 0, report.explainer
    while some := list(islice(of_sequences, WRITTEN_TOGETHER)):
        block = [explanation for own in some for explanation in own]
        for each in block:
            if each.asked is not explainer or each.number < last:
                raise WrongUsage(
                    "they are of several explainers, or not in the order of their sequences; "
                    "explain all by one: Explainer(model, 'lrp-all,occlusion')",
                    "explanations",
                )
            last = each.number
        if first:
            writer.open()
            first = False
        writer.write(block)
        report.merge(Figures.of(block, report.model, report.methods))
    writer.close()
