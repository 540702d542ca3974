"""Text made safe to show, and what lrp says of itself on standard error."""

import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from lstm_lrp_cli.errors import HALVES, LeftOut, printable

LEFT_TO_RIGHT = "\u200e"


# A message may quote what stands in a file, and stays a message. What is cut of it is cut from the
# middle: a name from its own, so that what can be done, which comes last, is still said.
LONGEST_NAME = 300
LONGEST_MESSAGE = 1000
KEPT_END = 400
# A name in quotes, or whatever has no space in it, that is longer.
LONG_NAME = re.compile(rf"`[^`]{{{LONGEST_NAME},}}`|[^\s`]{{{LONGEST_NAME},}}")


def legible(text: str) -> str:
    """A message as one line of printable characters, and not too many of them."""
    # Far more than is shown need not be looked through.
    line = printable(_cut(text, 100 * LONGEST_MESSAGE))
    return _cut(LONG_NAME.sub(lambda name: _cut(name[0], LONGEST_NAME), line), LONGEST_MESSAGE)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = min(KEPT_END, longest // 3)
    return f"{text[: longest - end - 3]}...{text[-end:]}"


def before_number(text: str) -> str:
    """A text that a number follows, which keeps its place and sign if the text runs to the left."""
    if text.isascii() or not any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        return text
    return text + LEFT_TO_RIGHT


# What a terminal takes for orders, or turns text round by, and what is read as the end of a line by
# some programs and not by others; but for tabs and line feeds.
ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)


class PlainScreen:
    """A terminal that text is written to which is data: of it, nothing is an order.

    Parameters
    ----------
    screen : TextIO
        The terminal, for what makes pictures of its own.
    """

    def __init__(self, screen: TextIO) -> None:
        self.screen = screen

    def write(self, text: str) -> int:
        return self.screen.write(ORDERS.sub(lambda order: printable(order[0]), text))

    def flush(self) -> None:
        self.screen.flush()

    def isatty(self) -> bool:
        return True


def json_text(data: bytes) -> str:
    """JSON as text, in which orders are written out: it may have some of them as they are."""
    text = data.decode("utf-8")
    if text.isascii() and "\x7f" not in text:
        return text
    return ORDERS.sub(_in_json, text)


def _in_json(order: re.Match[str]) -> str:
    code = order[0].encode("utf-16-be").hex()  # of two halves, beyond U+FFFF
    return "".join(f"\\u{code[place : place + 4]}" for place in range(0, len(code), 4))


def json_document(content: dict[str, Any]) -> str:
    """Indented JSON, ending in a line break."""
    import msgspec  # which no help needs

    try:
        encoded = msgspec.json.encode(content)
    except UnicodeEncodeError:  # names of files need not be text
        encoded = msgspec.json.encode(_without_halves(content))
    return json_text(msgspec.json.format(encoded, indent=2)) + "\n"


def _without_halves(value: Any) -> Any:
    """The same, in which what stands for bytes that are no text is as good as can be."""
    if isinstance(value, str):
        return HALVES.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_without_halves(key): _without_halves(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_without_halves, value))
    return value


# Where the text of a message begins, behind "lrp: ".
MESSAGE = 5


def say(message: str) -> None:
    """Say something, with whatever names it has made safe to show."""
    say_lines(f"lrp: {legible(message)}", MESSAGE)


def warn(messages: Iterable[str]) -> None:
    """Say warnings, each for itself."""
    for message in messages:
        say(f"warning: {message}")


@contextmanager
def telling_left_out() -> Iterator[None]:
    """Say what readers leave out of an input as the warnings of runs are said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=LeftOut)
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, LeftOut):
                warn([str(message)])
            else:
                shown(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def say_lines(text: str, hang: int) -> None:
    """Say lines, folded between words where a terminal has no room for them.

    By itself it would break them wherever its edge is, in the middle of numbers too.

    Parameters
    ----------
    text : str
        Safe to show.
    hang : int
        The indent of what is folded.
    """
    if sys.stderr is None:
        return
    width = _width()
    for line in text.splitlines():
        fits = width is None or len(line) <= width
        print(line if fits else _folded(line, width or 0, hang), file=sys.stderr, flush=True)


def _width() -> int | None:
    """The columns of the terminal; None where standard error is none."""
    if not sys.stderr.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _folded(line: str, width: int, hang: int) -> str:
    from textwrap import wrap

    kept = line.replace(" %", "\0%")  # with its number
    return "\n".join(
        wrap(
            kept,
            width,
            subsequent_indent=" " * min(hang, width // 3),
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ).replace("\0", " ")
