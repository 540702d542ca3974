"""Files of results, read block by block: JSON lines, or Parquet; and folders of such parts."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput, reading
from lstm_lrp_cli.inputs.lines import LONGEST_LINE, Lines, blocks_of_lines, read_in_order
from lstm_lrp_cli.inputs.stream import (
    OpenInput,
    display_name,
    is_text,
    on_disk,
    open_input,
    seen_of,
)
from lstm_lrp_cli.loading.files.formats import what_it_is
from . import OUTDATED, Result, ResultInput, misfit
from .manifest import AGAIN, inside, is_folder_of_parts, read_manifest, size_of

PARQUET = b"PAR1"
# How much is read at a time: some ten thousand tokens.
BLOCK_BYTES = 2**20
# Numbers and texts take four bytes or more as `lrp explain` writes them, so that no longer line has
# as many; what is denser would unfold to far more than its file.
MOST_VALUES = LONGEST_LINE // 4
EXPECTED = "expected a line of `lrp explain --format jsonl`"
# Where null stands for what is no finite number; in relevance, for what is missing.
NUMBERS = ("scores", "original", "ledger")


class ResultFile(Struct, frozen=True):
    """A file of results: a source by itself, or a part of a folder.

    Parameters
    ----------
    path : str
    source : str
        What the user named: the file, or the folder.
    input : str or None
        Of a part, the input that its sequences are of.
    size : int or None
        The bytes that the manifest says a part has.
    is_empty : bool
        Whether the manifest says that a part has no sequences.
    """

    path: str
    source: str
    input: str | None = None
    size: int | None = None
    is_empty: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return display_name(self.path)

    def blocks(self) -> Iterator[list[Result]]:
        """Its results, as `read_results` gives them.

        Raises
        ------
        UnusableInput
            As there; and where a part is not what the manifest says.
        """
        if self.input is None:
            yield from read_results(self.path)
            return
        self._check_size()
        if not self.is_empty:
            for block in read_results(self.path):
                yield [replace(result, input=self.input) for result in block]

    def _check_size(self) -> None:
        try:
            size = size_of(self.path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnusableInput(self.name, f"this part is missing; {AGAIN}") from error
        if size is not None and size != self.size:
            raise UnusableInput(
                self.name,
                f"this part has {size:,} bytes, and the manifest says {self.size:,}; remove it, "
                f"and {AGAIN}",
            )


def result_files(source: str) -> Iterator[ResultFile]:
    """A file of results, or those that a folder or URL has, in its manifest's order.

    Raises
    ------
    UnusableInput
        The folder has no manifest yet, or one that is damaged.
    """
    if not is_folder_of_parts(source):
        yield ResultFile(source, source)
        return
    for entry in read_manifest(source):
        path = inside(source, entry.part)
        yield ResultFile(path, source, entry.input, entry.bytes, not entry.sequences)


def read_results(source: str) -> Iterator[list[Result]]:
    """The results of a file or of standard input (`-`), compressed or not, in order.

    Memory is that of a block.

    Parameters
    ----------
    source : str
        JSON lines or Parquet, as `lrp explain` writes them.

    Raises
    ------
    UnusableInput
        It cannot be read, or is not what `lrp explain` writes. The error names the line.
    """
    where = display_name(source)
    with reading(where), open_input(source) as opened:
        empty = True
        for block in _blocks(opened, where):
            empty = empty and not block
            yield block
        if empty:
            raise UnusableInput(
                where, "is empty; expected the lines that `lrp explain --format jsonl` writes"
            )


def _blocks(opened: OpenInput, where: str) -> Iterator[list[Result]]:
    if not opened.beginning.startswith(PARQUET):
        found = "" if is_text(opened.beginning) else what_it_is(seen_of(opened, where))
        if found:
            raise UnusableInput(
                where,
                f"{found}; expected what `lrp explain` writes as JSON lines "
                "(--format jsonl) or Parquet",
            )
        yield from _json_lines(opened.file, where)
        return
    from .parquet import parquet_blocks

    with on_disk(opened, ".parquet") as path:
        yield from parquet_blocks(path, where)


_Amounts = list[float | list[float | None] | None]


class _Line(Struct):
    """What a line may say; keys of other purposes are let be.

    Of a model with several inputs, what is of steps is an object by the inputs' names.
    """

    sequence: int
    target: str | int | None
    relevance: _Amounts | dict[str, _Amounts]
    id: str | int | None = None
    tokens: list[str] | dict[str, list[str]] | None = None
    features: list[str] | dict[str, list[str]] | None = None
    scores: list[float] = []
    output: str | None = None
    predicted: str | int | None = None
    step: int | None = None
    label: str | int | None = None
    method: str | None = None
    ledger: dict[str, float | dict[str, float]] | None = None
    unknown: list[int] | dict[str, list[int]] = []
    dates: list[str] | dict[str, list[str]] | None = None
    original: list[float] = []


_DECODER = msgspec.json.Decoder(_Line)


def _json_lines(file: BufferedReader, where: str) -> Iterator[list[Result]]:
    """The results of a file, those of some of its lines at a time.

    Raises
    ------
    UnusableInput
        A line is not what `lrp explain` writes. The error names it.
    """
    for block in blocks_of_lines(file, where, BLOCK_BYTES):
        yield list(read_in_order(block, _read))


def _read(lines: Lines) -> list[Result]:
    """The result of each line that is not blank. Errors name the first line."""
    if lines.data.isspace():
        return []
    found = _decoded(lines)
    texts = enumerate(lines.data.split(b"\n"), start=lines.first)
    numbers = [number for number, text in texts if text.strip()]
    # What is decoded need not end where its line does: an object may be spread over several.
    if len(found) != len(numbers):
        raise UnusableInput(lines.place, f"is not one JSON object; {EXPECTED}")
    return [_result(line, number, lines.place) for line, number in zip(found, numbers, strict=True)]


def _decoded(lines: Lines) -> list[_Line]:
    if len(lines.data) > MOST_VALUES and lines.data.count(b",") > MOST_VALUES:
        raise UnusableInput(lines.place, f"has more than {MOST_VALUES:,} values; {EXPECTED}")
    try:
        return _DECODER.decode_lines(lines.data)
    except msgspec.ValidationError as error:
        problem = str(error).replace("`$[0]", "`$")
        if any(f"got `null` - at `$.{key}" in problem for key in NUMBERS):
            problem += ", which stands for NaN or infinity: the model's numbers overflowed"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"is not JSON: {error}"
    if len(lines.data) > LONGEST_LINE:
        problem = f"is longer than {LONGEST_LINE:,} bytes"
    raise UnusableInput(lines.place, f"{problem}; {EXPECTED}")


def _amounts(ledger: dict[str, float | dict[str, float]] | None) -> dict[str, float] | None:
    """A ledger without what each of several inputs has of its tokens."""
    if ledger is None:
        return None
    return {name: own for name, own in ledger.items() if not isinstance(own, dict)}


def _result(line: _Line, number: int, place: str) -> Result:
    """A line whose parts fit each other."""
    try:
        inputs = _inputs(line)
        result = Result(
            line.sequence,
            line.target,
            np.zeros(0) if inputs else np.array(line.relevance, dtype=np.float64),
            line.id,
            None if inputs else line.tokens,  # type: ignore[arg-type]
            None if inputs else line.features,  # type: ignore[arg-type]
            line.scores,
            line.output,
            line.predicted,
            line.step,
            line.label,
            line.method,
            _amounts(line.ledger),
            [] if inputs else line.unknown,  # type: ignore[arg-type]
            number,
            inputs,
            None if inputs else line.dates,  # type: ignore[arg-type]
            original=line.original,
        )
    except ValueError as error:
        raise UnusableInput(
            place, f"its `relevance` has lists of different lengths; {EXPECTED}"
        ) from error
    except KeyError as error:
        raise UnusableInput(
            place, f"has no {error.args[0]}, or has it of one input alone; {EXPECTED}"
        ) from error
    problem = misfit(result)
    # Without labels of both, the two classes of a single score are numbers.
    if isinstance(line.predicted, int) and len(line.scores) == 1:
        problem = problem or (OUTDATED if line.predicted != (line.scores[0] > 0) else None)
    if problem is not None:
        raise UnusableInput(place, f"{problem}; {EXPECTED}")
    return result


def _inputs(line: _Line) -> tuple[ResultInput, ...]:
    """What a line says of each of several inputs; none where it is of one."""
    relevance = line.relevance
    others = (line.tokens, line.features, line.unknown or None, line.dates)
    of_one = [each for each in others if each is not None and not isinstance(each, dict)]
    if not isinstance(relevance, dict) and len(of_one) == len(others) - others.count(None):
        return ()
    if not isinstance(relevance, dict) or of_one:
        raise KeyError("`relevance` by the same inputs as tokens or features")
    if not relevance:
        raise KeyError("`relevance` of any input")
    return tuple(
        ResultInput(
            name,
            np.array(amounts, dtype=np.float64),
            (line.tokens or {}).get(name),  # type: ignore[union-attr]
            (line.features or {}).get(name),  # type: ignore[union-attr]
            (line.unknown or {}).get(name, []),  # type: ignore[union-attr]
            (line.dates or {}).get(name),  # type: ignore[union-attr]
        )
        for name, amounts in relevance.items()
    )
