"""From text to tokens to ids."""

import re
from collections.abc import Sequence as Several
from itertools import chain, repeat
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput, short
from lstm_lrp_cli.inputs.sequence import pieces
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.text import Vocabulary
from .patterns import Pattern
from .subwords import cutter_of

# The id of a token that is shown and not run: it takes no step, and has no relevance.
SKIPPED = -1
# What stands for a token that is not in the vocabulary until it is decided what becomes of it.
MISSING = -2

# As many make one sequence, and no more: a line of text may have eight times as many.
MOST_TOKENS = 2**22
PART = 2**20
TOO_MANY = f"has more than {MOST_TOKENS:,} tokens; expected a sequence of fewer: part it"

# A whole number as a column of floats has it.
_WHOLE = re.compile(r"(\d+)\.0*")
ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def has_too_many(text: str) -> bool:
    """Whether more tokens than a sequence has stand between spaces; a part is cut at a time."""
    if len(text) < 2 * MOST_TOKENS:
        return False
    count = 0
    for start in range(0, len(text), PART):
        part = text[start : start + PART]
        is_begun = start > 0 and not (part[0].isspace() or text[start - 1].isspace())
        count += len(part.split()) - is_begun
        if count > MOST_TOKENS:
            return True
    return False


class Encoded(NamedTuple):
    """The tokens of one line, their ids, and how many of them were unknown."""

    tokens: tuple[str, ...]
    ids: NDArray[np.intp]
    unknown: int


class Tokenizer:
    """Cuts text as an input's mapping says, and looks the tokens up, of many lines at once."""

    def __init__(self, read: Input) -> None:
        if read.embedding is None:
            raise ValueError("an input without an embedding reads no tokens")
        self._rows = len(read.embedding.weights)
        self._vocabulary = read.vocabulary
        self._tokenization = read.tokenization
        remove, separate = read.tokenization.remove, read.tokenization.separate
        self._remove = Pattern("remove", remove) if remove else None
        self._separate = Pattern("separate", separate) if separate else None
        library = None if self._vocabulary is None else self._vocabulary.pieces
        self._parting = None if library is not None else _parting(self._vocabulary)
        self._cutter = None if library is None else cutter_of(library)

    def cut(self, text: str, where: str = "text") -> list[str]:
        """The tokens of a line.

        Raises
        ------
        UnusableInput
            The library that the vocabulary needs is not there, or cannot cut it; or a pattern of
            the mapping takes too long for it; or there are more tokens than a sequence has.
        """
        tokens = self._cut(text, where)
        if len(tokens) > MOST_TOKENS:
            raise UnusableInput(where, TOO_MANY)
        return tokens

    def _cut(self, text: str, where: str) -> list[str]:
        """No more than one token too many."""
        lowercase = self._tokenization.lowercase
        if lowercase:
            text = text.translate(ASCII_LOWER) if lowercase == "ascii" else text.lower()
        if self._remove is not None:
            text = self._remove.without(text, where)
        if self._cutter is not None and self._vocabulary is not None:
            if len(text) > MOST_TOKENS:
                raise UnusableInput(where, TOO_MANY)
            return self._cutter(text, self._vocabulary, where)
        if self._tokenization.split == "separate":
            parts = (
                [text] if self._separate is None else self._separate.split(text, MOST_TOKENS, where)
            )
            return [part for part in parts if part]
        if self._separate is not None:
            text = self._separate.without(text, where, " ")
        if self._tokenization.split == "characters":
            return list(text[: MOST_TOKENS + 1])
        if self._parting is None:
            if has_too_many(text):
                raise UnusableInput(where, TOO_MANY)
            return text.split()
        return self._parting.split(text.strip(" "), MOST_TOKENS)

    def of_tokens(self, lines: Several[list[str]], where: str) -> list[Encoded]:
        """Look up the tokens of lines that are cut already.

        Raises
        ------
        UnusableInput
            There is no vocabulary, or an unknown token and no id to stand for it.
        """
        vocabulary = self._vocabulary
        if vocabulary is None:
            if any(lines):
                raise UnusableInput(
                    where,
                    "has words, and the mapping names no `vocabulary`; add one, for instance "
                    "by --set vocabulary=FILE, or give token ids with --ids",
                )
            return self.of_ids([[] for _ in lines], where)
        start, end = self._tokenization.start_id, self._tokenization.end_id
        before = [] if start is None else [vocabulary.tokens.get(start, "<start>")]
        behind = [] if end is None else [vocabulary.tokens.get(end, "<end>")]
        if before or behind:
            lines = [[*before, *line, *behind] if line else line for line in lines]
        tokens = list(chain.from_iterable(lines))
        looked_up = map(vocabulary.ids.get, tokens, repeat(MISSING))
        ids = np.fromiter(looked_up, dtype=np.intp, count=len(tokens))
        lengths = np.array(list(map(len, lines)), dtype=np.intp)
        ends = np.cumsum(lengths)
        if start is not None:
            ids[(ends - lengths)[lengths > 0]] = start
        if end is not None:
            ids[(ends - 1)[lengths > 0]] = end
        missing = ids == MISSING
        if missing.any():
            ids[missing] = self._other(vocabulary, tokens[int(missing.argmax())], where)
        unknown = np.diff(np.concatenate([[0], np.cumsum(missing)])[ends], prepend=0)
        found = map(tuple, lines), pieces(ids, lengths.tolist()), unknown.tolist()
        return list(map(Encoded, *found))

    def of_ids(self, lines: Several[list[int]], where: str) -> list[Encoded]:
        """Check ids, and name them where there is a vocabulary.

        Raises
        ------
        UnusableInput
            An id is not a row of the embedding.
        """
        ids = list(chain.from_iterable(lines))
        if ids and not 0 <= min(ids) <= max(ids) < self._rows:
            outside = next(number for number in ids if not 0 <= number < self._rows)
            raise UnusableInput(
                where,
                f"token id {outside} is out of range; the embedding has rows 0 to {self._rows - 1}",
            )
        lengths = list(map(len, lines))
        tokens = map(tuple, pieces(self._names(ids), lengths))
        return list(map(Encoded, tokens, pieces(np.array(ids, dtype=np.intp), lengths), repeat(0)))

    def _other(self, vocabulary: Vocabulary, token: str, where: str) -> int:
        """The id of a token that the vocabulary does not have."""
        if vocabulary.unknown_id is not None:
            return vocabulary.unknown_id
        if self._tokenization.skip:
            return SKIPPED
        raise UnusableInput(
            where,
            f"token `{short(token)}` is not among the {vocabulary.size:,} of the vocabulary, and "
            "no token stands for unknown ones; name it in the mapping as "
            "tokens: {unknown: TOKEN}, or mend the text",
        )

    def _names(self, ids: list[int]) -> list[str]:
        """How ids are shown: as their tokens, and as numbers where they have none."""
        if self._vocabulary is None:
            return list(map(str, ids))
        names = list(map(self._vocabulary.tokens.get, ids))
        return [str(i) if name is None else name for name, i in zip(names, ids, strict=True)]


def _parting(vocabulary: Vocabulary | None) -> re.Pattern[str] | None:
    """What parts tokens where a vocabulary has some with white space in them; else None.

    A tokenizer that made a token with a no-break space, say, has not cut text there. The space
    itself parts tokens all the same.
    """
    if vocabulary is None:
        return None
    inside = set(re.findall(r"[^\S ]", "".join(vocabulary.ids)))
    return re.compile(f"[^\\S{re.escape(''.join(sorted(inside)))}]+") if inside else None


def gold_class(label: str | float, model: Model, where: str) -> int:
    """The class that a label names: one of the model's labels, or a class's number.

    Numbers may be written as floats, and 1 and 0 as booleans, as they come out of data frames.
    """
    spelled = _spellings(str(label).strip())
    for text in spelled:
        labelled = model.target_labelled(text)
        if labelled is not None:
            return labelled
    text, number = spelled[0], whole_number(spelled[-1])
    if number is not None and number < model.targets:
        return number
    names = f"one of {', '.join(model.labels)}, or " if model.labels else ""
    mend = ""
    if not model.labels and number is None:
        mend = (
            "; if it is a class's name, say those of all, in the order of the scores: "
            '--set "labels=[..]"'
        )
    raise UnusableInput(
        where,
        f"label `{short(text)}`; expected {names}a class number from 0 to {model.targets - 1}"
        f"{mend}",
    )


def _spellings(label: str) -> tuple[str, ...]:
    """How a label may be spelled; a number or a boolean last as a whole number."""
    lower = label.lower()
    if lower in ("true", "false"):
        return label, lower, lower.title(), lower.upper(), str(int(lower == "true"))
    whole = _WHOLE.fullmatch(label)
    return (label, whole.group(1)) if whole else (label,)
