"""Lines of text, block by block, and sequences that stand one a line: text, or token ids."""

import re
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput, short
from lstm_lrp_cli.model.model import Model
from .sequence import Sequence
from .stream import BOM
from .tokens import TOO_MANY, Tokenizer, gold_class, has_too_many

# How text in UTF-16 begins.
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A stream without line ends would otherwise fill the memory.
LONGEST_LINE = 64 * 2**20
TOO_LONG = f"is longer than {LONGEST_LINE:,} bytes; is it text?"
# How much is asked of a stream at a time.
CHUNK = 2**16

Read = TypeVar("Read")


class Lines(Struct, frozen=True):
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
        text = self.decoded()
        texts = text.removesuffix("\n").split("\n")
        return [line.removesuffix("\r") for line in texts] if "\r" in text else texts

    def decoded(self) -> str:
        """All of them as one text, with their ends; errors as of `texts`."""
        if len(self.data) > LONGEST_LINE and max(map(len, self._split())) > LONGEST_LINE:
            raise UnusableInput(self.place, TOO_LONG)
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            # In Latin-1 these are no characters; Windows has quotes and the euro there.
            one_byte = "cp1252" if re.search(rb"[\x80-\x9f]", self.data) else "latin1"
            encoding = "utf-16" if self.data.startswith(UTF_16) else one_byte
            mend = f"convert the file, for instance with iconv -f {encoding} -t utf-8"
            if encoding != "utf-16" and b"\0" in self.data:
                mend = "there are null bytes too, so it is no text"
            raise UnusableInput(
                self.place,
                f"byte {error.start + 1} (0x{self.data[error.start]:02x}) is not UTF-8; {mend}",
            ) from error

    def one_by_one(self) -> Iterator["Lines"]:
        """Each line for itself."""
        for number, line in enumerate(self._split(), start=self.first):
            yield Lines(self.where, number, line)

    def _split(self) -> list[bytes]:
        return self.data.removesuffix(b"\n").split(b"\n")


def blocks_of_lines(
    file: BufferedReader, where: str, size: int, part: tuple[int, int, int] | None = None
) -> Iterator[Lines]:
    """Cut a file into blocks of about so many bytes, each of whole lines.

    A block holds the lines that begin between two multiples of its size.

    Parameters
    ----------
    part : (int, int, int) or None
        Of a part of the file: where its first line begins, at which `file` stands; before which
        multiple of the size its last line begins; the number of the first line. None is all.

    Raises
    ------
    UnusableInput
        A line does not end within what any text has. The lines before it come first.
    """
    at, stop, first = part or (0, None, 1)
    for data in _whole_lines(file, size, at, stop):
        whole = data.rfind(b"\n") + 1
        endless = len(data) - whole > LONGEST_LINE
        if whole or not endless:
            some = data[:whole] if endless else data
            yield Lines(where, first, some.removeprefix(BOM) if first == 1 else some)
        first += data.count(b"\n")
        if endless:
            raise UnusableInput(f"{where}: line {first}", TOO_LONG)


def _whole_lines(file: BufferedReader, size: int, at: int, stop: int | None) -> Iterator[bytes]:
    """Cut a file where the first line begins at or behind every multiple of `size` bytes.

    Blocks are the same however the bytes come in. A line that is too long is cut short.
    """
    held = bytearray()
    while stop is None or at < stop:
        try:
            more = file.read1(CHUNK)
        except Exception:
            # What was read before the error comes first.
            whole = held.rfind(b"\n") + 1
            if whole:
                yield bytes(held[:whole])
            raise
        searched = max(_ends(at, size), len(held))
        held += more
        while (end := held.find(b"\n", searched) + 1) or len(held) > size + LONGEST_LINE:
            cut = end or len(held)
            yield bytes(held[:cut])
            del held[:cut]
            at += cut
            if stop is not None and at >= stop:
                return
            searched = _ends(at, size)
        if not more:
            break
    if held:
        yield bytes(held)


def _ends(at: int, size: int) -> int:
    """How far behind a place the last line of its block ends at the earliest."""
    return size - 1 - at % size


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
    tokenizer, place = Tokenizer(model.only_input), lines.place
    texts = lines.texts()
    golds: list[int | None] = [None] * len(texts)
    if labelled:
        for number, line in enumerate(texts):
            if line:
                label, tab, texts[number] = line.partition("\t")
                if not tab:
                    raise UnusableInput(
                        place, f"found no tab in `{short(line)}`; expected label<TAB>text"
                    )
                golds[number] = gold_class(label, model, place)
    if ids:
        encoded = tokenizer.of_ids([integers(text, place) for text in texts], place)
    else:
        encoded = tokenizer.of_tokens([tokenizer.cut(text, place) for text in texts], place)
    return [
        Sequence(number, each.ids, each.tokens, gold=gold, unknown=each.unknown)
        for number, (each, gold) in enumerate(
            zip(encoded, golds, strict=True), start=lines.first - 1
        )
    ]


def integers(text: str, place: str) -> list[int]:
    """The token ids of a line.

    Raises
    ------
    UnusableInput
    """
    if has_too_many(text):
        raise UnusableInput(place, TOO_MANY)
    try:
        found = list(map(int, text.split()))
    except ValueError as error:
        wrong = next((t for t in text.split() if not t.lstrip("-").isdigit()), text)
        raise UnusableInput(
            place, f"found `{short(wrong)}`; with --ids, expected token ids such as 12 7 431"
        ) from error
    return found
