"""Sequences that stand one a line: text, token ids, labelled text, JSON lines."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.labels import gold_class
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.series import checked_values
from lstm_lrp_cli.sequences.tokens import Encoded, Tokenizer

# A stream without line ends would otherwise fill the memory.
LONGEST_LINE = 64 * 2**20


class _JsonSequence(Struct):
    """A line of JSON; keys of other purposes are let be."""

    tokens: list[str | int] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    values: list[list[float]] | UnsetType = UNSET
    features: list[str] | None = None
    id: str | int | None = None
    label: str | int | None = None


def decoded_lines(file: BinaryIO, where: str) -> Iterator[tuple[str, str]]:
    """Each line as text without its end, with its place for error messages.

    Raises
    ------
    UnusableInput
        A line is not UTF-8, or longer than any text has.
    """
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
        place = f"{where}: line {number}"
        if len(line) > LONGEST_LINE:
            raise UnusableInput(place, f"is longer than {LONGEST_LINE:,} bytes; is it text?")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UnusableInput(
                place,
                f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; "
                "convert the file, for instance with iconv -f latin1 -t utf-8",
            ) from error
        yield text.removesuffix("\n").removesuffix("\r"), place


def read_text(
    file: BinaryIO, where: str, model: Model, *, ids: bool, labelled: bool
) -> Iterator[Sequence]:
    """Read one sequence a line; `label<TAB>text` where labelled.

    An empty line is an empty sequence, so that line numbers stay true.
    """
    tokenizer = Tokenizer(model)
    for number, (line, place) in enumerate(decoded_lines(file, where)):
        gold = None
        text = line
        if labelled and line:
            label, tab, text = line.partition("\t")
            if not tab:
                raise UnusableInput(
                    place, f"found no tab in `{_short(line)}`; expected label<TAB>text"
                )
            gold = gold_class(label, model, place)
        encoded = _integers(text, tokenizer, place) if ids else tokenizer.of_text(text, place)
        yield Sequence(number, encoded.ids, encoded.tokens, gold=gold, unknown=encoded.unknown)


def read_json_lines(
    file: BinaryIO, where: str, model: Model, *, ids: bool, labelled: bool
) -> Iterator[Sequence]:
    """Read one JSON object a line: tokens, ids as tokens, text, or a series' values."""
    tokenizer = Tokenizer(model) if model.embedding is not None else None
    decoder = msgspec.json.Decoder(_JsonSequence)
    for number, (line, place) in enumerate(decoded_lines(file, where)):
        if line.strip():
            try:
                document = decoder.decode(line)
            except msgspec.ValidationError as error:
                raise UnusableInput(place, str(error)) from error
            except (msgspec.DecodeError, RecursionError) as error:
                raise UnusableInput(place, f"is not JSON: {error}") from error
        else:
            document = _JsonSequence(tokens=[], values=[])
        gold = None
        if labelled and line.strip():
            if document.label is None:
                raise UnusableInput(place, "has no `label`; expected the sequence's true class")
            gold = gold_class(document.label, model, place)
        if tokenizer is None:
            yield _series(document, number, gold, model, place)
        else:
            encoded = _tokens(document, tokenizer, place, ids=ids)
            yield Sequence(
                number,
                encoded.ids,
                encoded.tokens,
                id=document.id,
                gold=gold,
                unknown=encoded.unknown,
            )


def _tokens(document: _JsonSequence, tokenizer: Tokenizer, place: str, *, ids: bool) -> Encoded:
    if document.tokens is UNSET and document.text is UNSET:
        raise UnusableInput(place, "has neither `tokens` nor `text`; expected one of them")
    if document.tokens is UNSET:
        text = str(document.text)
        return _integers(text, tokenizer, place) if ids else tokenizer.of_text(text, place)
    numbers = [token for token in document.tokens if isinstance(token, int)]
    if len(numbers) == len(document.tokens):
        return tokenizer.of_ids(numbers, place)
    if numbers:
        raise UnusableInput(place, "its `tokens` mix texts and ids; expected one or the other")
    texts = [str(token) for token in document.tokens]
    return (
        _integers(" ".join(texts), tokenizer, place) if ids else tokenizer.of_tokens(texts, place)
    )


def _series(
    document: _JsonSequence, number: int, gold: int | None, model: Model, place: str
) -> Sequence:
    if document.values is UNSET:
        raise UnusableInput(
            place, "has no `values`; the model takes numbers, expected one list of them a step"
        )
    rows: Any = document.values
    widths = {len(row) for row in rows} or {model.input_size}
    if len(widths) > 1:
        raise UnusableInput(place, "its steps have different numbers of values")
    values = np.array(rows, dtype=np.float64).reshape(len(rows), *widths)
    names = tuple(document.features) if document.features else None
    array, features = checked_values(values, names, model, place)
    return Sequence(number, array, features=features, id=document.id, gold=gold)


def _integers(text: str, tokenizer: Tokenizer, place: str) -> Encoded:
    try:
        return tokenizer.of_ids([int(token) for token in text.split()], place)
    except (ValueError, OverflowError) as error:
        wrong = next((t for t in text.split() if not t.lstrip("-").isdigit()), text)
        raise UnusableInput(
            place, f"found `{_short(wrong)}`; with --ids, expected token ids such as 12 7 431"
        ) from error


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
