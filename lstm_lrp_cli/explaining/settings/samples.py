"""Baselines that are made of sequences: their mean, or each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from lstm_lrp_cli.engine.methods import InputBaseline
from lstm_lrp_cli.errors import UnusableInput, WrongUsage, reading
from lstm_lrp_cli.inputs.stream import ENDINGS, STANDARD_INPUT, TABLES, format_ending, open_input
from lstm_lrp_cli.inputs.tables import LISTED
from lstm_lrp_cli.inputs.tables.columns import TEXT
from .groups import EACH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstm_lrp_cli.inputs.read import Source
    from lstm_lrp_cli.inputs.sequence import Sequence
    from lstm_lrp_cli.inputs.stream import InputFormat
    from lstm_lrp_cli.inputs.tables.columns import Columns
    from lstm_lrp_cli.model import Floats
    from lstm_lrp_cli.model.model import Input, Model

KEYWORD = "baseline"
# What stands before a file whose sequences' mean is meant, and not each of them.
MEAN = "mean:"
# Samples are held in memory, and sent to every process.
SAMPLES_BYTES = 256 * 2**20
# How many sequences are averaged at a time.
TOGETHER = 256


class MadeBaseline(NamedTuple):
    """What is made of one input's baseline, or of all that one file holds.

    Parameters
    ----------
    inputs : list of (InputBaseline or None)
        None is zero.
    sequences : int or None
        How many sequences they were made of.
    """

    inputs: list[InputBaseline | None]
    sequences: int | None = None


def of_every_step(numbers: Floats, read: Input) -> InputBaseline:
    """Scaled numbers, shape (features,), that stand for every step."""
    import numpy as np

    if not np.isfinite(numbers).all():
        raise WrongUsage("has numbers that, scaled, are not finite.", KEYWORD)
    return InputBaseline(numbers[np.newaxis, np.newaxis])


def of_file(text: str, model: Model, source: Source | None) -> MadeBaseline | None:
    """What the sequences of a file come to; None of what names no file."""
    kind = next((each for each in (MEAN, EACH) if text.startswith(each)), None)
    path = text.removeprefix(kind or "").strip()
    if kind is None and not Path(path).is_file() and format_ending(Path(path)) not in ENDINGS:
        return None
    if path in ("", STANDARD_INPUT):
        raise WrongUsage(f"{text!r} names no file.", KEYWORD)
    with reading(path):
        return _of_path(path, kind, model, source)


def _of_path(path: str, kind: str | None, model: Model, source: Source | None) -> MadeBaseline:
    vector = _vector(path, model)
    if vector is not None:
        return MadeBaseline([of_every_step(vector, model.only_input)], 1)
    from lstm_lrp_cli.inputs.read import read_sequences

    sequences = read_sequences(_written(path, model, source), model)
    return _mean(sequences, model, path) if kind == MEAN else _samples(sequences, model, path)


def _written(path: str, model: Model, source: Source | None) -> Source:
    """How a file is written: as the user's input is, but for its format.

    What has no meaning in that format is not said of it. It needs no names, nor labels where they
    are no part of what a line holds; of a table of numbers their column, if it is there, is told
    apart from features.
    """
    from lstm_lrp_cli.inputs.read import Source
    from lstm_lrp_cli.inputs.tables.roles import USUAL_SERIES

    given = Source(path) if source is None else source
    form, said = ENDINGS.get(format_ending(Path(path))) or given.format, given.columns
    of_numbers = form in TABLES and not model.takes_tokens
    columns = replace(said, label=None, id=None)
    if form in TABLES and Path(path).is_file():
        known = _columns_of(path, form, said)
        if of_numbers and said.label in known:
            columns = replace(columns, label=said.label)
        elif not (of_numbers or model.several_inputs or said.text or TEXT in known):
            raise UnusableInput(
                path,
                f"is a table of the columns {', '.join(known[:LISTED])}, and a baseline's texts "
                f"are in the column that --text names for INPUT, else `{TEXT}`; expected such a "
                "table, or .txt with a sequence a line",
            )
    if of_numbers or form not in (None, "jsonl", *TABLES):
        columns = replace(columns, text=())
    in_lines = given.labelled and said.label is None and form in (None, "txt")
    return replace(
        given,
        path=path,
        format=form,
        labelled=in_lines or columns.label is not None,
        others=(),
        columns=columns,
        sentences=(),
        array=given.array if form in ("npz", "h5") else None,
        series=given.series if of_numbers or form is None else USUAL_SERIES,
    )


def _columns_of(path: str, form: InputFormat, said: Columns) -> Several[str]:
    """The columns of a table."""
    from lstm_lrp_cli.inputs.tables.opening import open_table

    with open_input(path) as opened, open_table(opened, form, path, said.delimiter) as table:
        return table.columns


def with_names(model: Model, source: Source) -> Model:
    """The model with the names that its only input's features have in the user's file.

    They stand there where its mapping says none. A pipe is not read for it, which cannot be twice.
    """
    read = model.inputs[0]
    if model.several_inputs or read.embedding is not None or read.features is not None:
        return model
    if source.others or not Path(source.path).is_file():
        return model
    from lstm_lrp_cli.inputs.read import read_sequences

    try:
        first = next(read_sequences(source, model), None)
    except UnusableInput:
        return model  # which is told as it is explained
    names = None if first is None else first.features
    if names is None or names == tuple(f"feature_{number}" for number in range(read.size)):
        return model
    return replace(model, inputs=(replace(read, features=names),))


def _vector(path: str, model: Model) -> Floats | None:
    """The scaled numbers of a .npy file that holds those of one step; None of other files."""
    if model.several_inputs or model.takes_tokens or Path(path).suffix.lower() != ".npy":
        return None
    if not Path(path).is_file():
        return None  # which is told as it is read
    from lstm_lrp_cli.loading.files.numpy import open_npy

    array = open_npy(Path(path), path)
    return _scaled_vector(array, model.only_input)


def _scaled_vector(array: NDArray[Any], read: Input) -> Floats | None:
    """The numbers of one step, scaled; None where an array has another shape."""
    if array.shape != (read.size,) or array.dtype.kind not in "fiu":
        return None
    if not read.steps or read.size == 1:
        return None
    scaled: Floats = read.scaled(array.astype(float)[None])[0]
    return scaled


def of_sequences(given: Any, model: Model) -> MadeBaseline:
    """What a program has in memory: numbers of one step, or sequences, of which each counts."""
    import numpy as np

    from lstm_lrp_cli.inputs.memory import sequences

    if not model.several_inputs and model.only_input.embedding is None:
        numbers = (int, float, np.number)
        flat = isinstance(given, list | tuple) and all(isinstance(n, numbers) for n in given)
        if flat or hasattr(given, "__array__"):
            vector = _scaled_vector(np.asarray(given), model.only_input)
            if vector is not None:
                return MadeBaseline([of_every_step(vector, model.only_input)])
    return _samples(sequences(given, model), model, KEYWORD)


def _mean(sequences: Iterator[Sequence], model: Model, where: str) -> MadeBaseline:
    """The mean of all steps of all sequences, without padding: of tokens, of their embeddings."""
    import numpy as np

    from lstm_lrp_cli.inputs.sequence import each_input

    sums = [np.zeros(each.size) for each in model.inputs]
    steps = [0] * len(sums)
    count = 0
    while some := list(islice(sequences, TOGETHER)):
        count += len(some)
        for number, (read, parts) in enumerate(each_input(some, model)):
            rows, own = _rows([part.inputs for part in parts], read)
            values = rows[own]
            steps[number] += len(values)
            if read.embedding is not None:
                weights = read.embedding.weights
                sums[number] += np.bincount(values, minlength=len(weights)) @ weights
            else:
                sums[number] += values.sum(axis=0, dtype=np.float64)
    if not all(steps):
        raise UnusableInput(where, "has no steps to take the mean of")
    means = [total / own for total, own in zip(sums, steps, strict=True)]
    each = zip(means, model.inputs, strict=True)
    return MadeBaseline([of_every_step(mean, read) for mean, read in each], count)


def _rows(inputs: Iterable[NDArray[Any]], read: Input) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the model is given of some sequences, one after another, and what is not padding."""
    from lstm_lrp_cli.inputs.batching import prepare

    prepared = prepare(list(inputs), read)
    rows = prepared.inputs
    return rows if read.own_scaling is None else read.own_scaling.of(rows), ~prepared.padding


def _samples(sequences: Iterator[Sequence], model: Model, where: str) -> MadeBaseline:
    """Every sequence, as the model is given it; all have as many steps."""
    import numpy as np

    held: list[list[NDArray[Any]]] = [[] for _ in model.inputs]
    size = count = 0
    for sequence in sequences:
        count += 1
        for own, read, part in zip(held, model.inputs, sequence.parts, strict=True):
            rows, _ = _rows([part.inputs], read)
            size += rows.nbytes
            steps = len(own[0]) if own else len(rows)
            if not len(rows) or len(rows) != steps:
                raise UnusableInput(
                    f"{where}: sequence {sequence.number}",
                    f"has {len(rows)} steps as the model is given it, and a baseline is for "
                    f"sequences of {steps or 'some'}; expected as many in each, or one step that "
                    f"stands for all ({MEAN}FILE is the mean of all steps)",
                )
            own.append(rows)
        if size > SAMPLES_BYTES:
            raise UnusableInput(
                where,
                f"holds more than {SAMPLES_BYTES // 2**20} MB of baselines "
                f"({count} sequences); expected fewer, or their mean: {MEAN}FILE",
            )
    if not count:
        raise UnusableInput(where, "holds no baseline; expected at least one sequence")
    return MadeBaseline(
        [
            InputBaseline(np.stack(own), read.embedding.weights if read.embedding else None)
            for own, read in zip(held, model.inputs, strict=True)
        ],
        count,
    )
