"""Sequences that stand one a line: text, token ids, labelled text, JSON lines."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from .sequence import Sequence
from .series import checked_values
from .stream import BOM
from .tokens import Encoded, Tokenizer, gold_class

# How text in UTF-16 begins.
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A stream without line ends would otherwise fill the memory.
LONGEST_LINE = 64 * 2**20
# How much is asked of a stream at a time.
CHUNK = 2**16

Read = TypeVar("Read")


class _JsonSequence(Struct):
    """A line of JSON; keys of other purposes are let be."""

    tokens: list[str | int] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    values: list[list[float]] | UnsetType = UNSET
    features: list[str] | None = None
    id: str | int | None = None
    label: str | int | None = None


_DECODER = msgspec.json.Decoder(_JsonSequence)
_EMPTY = _JsonSequence(tokens=[], values=[])


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of an input as they stand there, to be read by themselves.

    Parameters
    ----------
    where : str
        What messages call the input.
    first : int
        The number of the first line, from 1.
    data : bytes
        Whole lines.
    """

    where: str
    first: int
    data: bytes

    @property
    def place(self) -> str:
        """The first line, for error messages."""
        return f"{self.where}: line {self.first}"

    def texts(self) -> list[str]:
        """Each line as text without its end.

        Raises
        ------
        UnusableInput
            A line is not UTF-8, or longer than any text has. The error names the first line.
        """
        if len(self.data) > LONGEST_LINE and max(map(len, self._split())) > LONGEST_LINE:
            raise UnusableInput(self.place, f"is longer than {LONGEST_LINE:,} bytes; is it text?")
        try:
            text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            encoding = "utf-16" if self.data.startswith(UTF_16) else "latin1"
            mend = f"convert the file, for instance with iconv -f {encoding} -t utf-8"
            if encoding == "latin1" and b"\0" in self.data:
                mend = "there are null bytes too, so it is no text"
            raise UnusableInput(
                self.place,
                f"byte {error.start + 1} (0x{self.data[error.start]:02x}) is not UTF-8; {mend}",
            ) from error
        texts = text.removesuffix("\n").split("\n")
        return [line.removesuffix("\r") for line in texts] if "\r" in text else texts

    def one_by_one(self) -> Iterator["Lines"]:
        """Each line for itself."""
        for number, line in enumerate(self._split(), start=self.first):
            yield Lines(self.where, number, line)

    def _split(self) -> list[bytes]:
        return self.data.removesuffix(b"\n").split(b"\n")


def blocks_of_lines(file: BufferedReader, where: str, size: int) -> Iterator[Lines]:
    """Cut a file into blocks of about so many bytes, each of whole lines."""
    first = 1
    for data in _whole_lines(file, size):
        yield Lines(where, first, data.removeprefix(BOM) if first == 1 else data)
        first += data.count(b"\n")


def _whole_lines(file: BufferedReader, size: int) -> Iterator[bytes]:
    """Cut a file at the first end of a line behind every `size` bytes.

    Blocks are the same however the bytes come in. A line that is too long is cut short.
    """
    held = bytearray()
    while True:
        try:
            more = file.read1(CHUNK)
        except Exception:
            # What was read before the error comes first.
            whole = held.rfind(b"\n") + 1
            if whole:
                yield bytes(held[:whole])
            raise
        searched = max(size - 1, len(held))
        held += more
        while (end := held.find(b"\n", searched) + 1) or len(held) > size + LONGEST_LINE:
            yield bytes(held[: end or len(held)])
            del held[: end or len(held)]
            searched = size - 1
        if not more:
            break
    if held:
        yield bytes(held)


def read_in_order(block: Lines, read: Callable[[Lines], list[Read]]) -> Iterator[Read]:
    """What is read of each line of a block.

    A block is read as a whole, which is fast. Where something in it is wrong it is read again line
    by line, so that what stands before the error comes first, and the error names its line.

    Parameters
    ----------
    read : callable
        Reads several lines; its errors name the first of them.

    Raises
    ------
    UnusableInput
    """
    found: Iterable[Read]
    try:
        found = read(block)
    except UnusableInput:
        found = chain.from_iterable(map(read, block.one_by_one()))
    yield from found


def decoded_lines(file: BufferedReader, where: str) -> Iterator[tuple[str, str]]:
    """Each line as text without its end, with its place for error messages.

    Raises
    ------
    UnusableInput
        A line is not UTF-8, or longer than any text has.
    """
    number = 0
    for block in blocks_of_lines(file, where, CHUNK):
        for text in read_in_order(block, Lines.texts):
            number += 1
            yield text, f"{where}: line {number}"


def read_text(lines: Lines, model: Model, *, ids: bool, labelled: bool) -> list[Sequence]:
    """Read one sequence a line; `label<TAB>text` where labelled.

    An empty line is an empty sequence, so that line numbers stay true. Errors name the first line.
    """
    tokenizer, place = Tokenizer(model), lines.place
    texts = lines.texts()
    golds: list[int | None] = [None] * len(texts)
    if labelled:
        for number, line in enumerate(texts):
            if line:
                label, tab, texts[number] = line.partition("\t")
                if not tab:
                    raise UnusableInput(
                        place, f"found no tab in `{_short(line)}`; expected label<TAB>text"
                    )
                golds[number] = gold_class(label, model, place)
    if ids:
        encoded = tokenizer.of_ids([_integers(text, place) for text in texts], place)
    else:
        encoded = tokenizer.of_tokens(list(map(tokenizer.cut, texts)), place)
    return [
        Sequence(number, each.ids, each.tokens, gold=gold, unknown=each.unknown)
        for number, (each, gold) in enumerate(
            zip(encoded, golds, strict=True), start=lines.first - 1
        )
    ]


def read_json_lines(lines: Lines, model: Model, *, ids: bool, labelled: bool) -> list[Sequence]:
    """Read one JSON object a line: tokens, ids as tokens, text, or a series' values.

    Errors name the first line.
    """
    place = lines.place
    documents = [_document(line, place) for line in lines.texts()]
    golds = [_gold(each, model, place) if labelled else None for each in documents]
    numbered = enumerate(zip(documents, golds, strict=True), start=lines.first - 1)
    if model.embedding is None:
        return [_series(each, number, gold, model, place) for number, (each, gold) in numbered]
    encoded = _encoded(documents, Tokenizer(model), place, ids=ids)
    return [
        Sequence(number, of.ids, of.tokens, id=each.id, gold=gold, unknown=of.unknown)
        for of, (number, (each, gold)) in zip(encoded, numbered, strict=True)
    ]


def _document(line: str, place: str) -> _JsonSequence:
    if not line.strip():
        return _EMPTY
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = _as_python_writes(line, place)
        if found is None:
            raise UnusableInput(place, f"is not JSON: {error}") from error
        return found


def _as_python_writes(line: str, place: str) -> _JsonSequence | None:
    """A line with NaN or Infinity, which are no JSON but stand in what Python's json writes.

    Where they are among the values, these are refused by their step and feature.
    """
    import json

    try:
        return msgspec.convert(json.loads(line), _JsonSequence)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (ValueError, RecursionError):
        return None


def _gold(document: _JsonSequence, model: Model, place: str) -> int | None:
    if document is _EMPTY:
        return None
    if document.label is None:
        raise UnusableInput(place, "has no `label`; expected the sequence's true class")
    return gold_class(document.label, model, place)


def _encoded(
    documents: list[_JsonSequence], tokenizer: Tokenizer, place: str, *, ids: bool
) -> Iterator[Encoded]:
    """The tokens of each line. Lines of words that follow each other are looked up at once."""
    cut = [_cut(each, tokenizer, place, ids=ids) for each in documents]
    for are_ids, run in groupby(cut, key=itemgetter(0)):
        look_up = tokenizer.of_ids if are_ids else tokenizer.of_tokens
        yield from look_up([tokens for _, tokens in run], place)


def _cut(
    document: _JsonSequence, tokenizer: Tokenizer, place: str, *, ids: bool
) -> tuple[bool, list[Any]]:
    """The tokens of one line, and whether they are ids."""
    if document.tokens is UNSET and document.text is UNSET:
        raise UnusableInput(place, "has neither `tokens` nor `text`; expected one of them")
    if document.tokens is UNSET:
        text = str(document.text)
        return ids, _integers(text, place) if ids else tokenizer.cut(text)
    kinds = set(map(type, document.tokens))
    if len(kinds) > 1:
        raise UnusableInput(place, "its `tokens` mix texts and ids; expected one or the other")
    if str in kinds and ids:
        return True, _integers(" ".join(map(str, document.tokens)), place)
    return str not in kinds, document.tokens


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


def _integers(text: str, place: str) -> list[int]:
    try:
        return list(map(int, text.split()))
    except ValueError as error:
        wrong = next((t for t in text.split() if not t.lstrip("-").isdigit()), text)
        raise UnusableInput(
            place, f"found `{_short(wrong)}`; with --ids, expected token ids such as 12 7 431"
        ) from error


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
