"""How text becomes the token ids that a model was trained on, and how sequences are filled up."""

from functools import cached_property
from typing import Final, Literal

from msgspec import Struct

# The keys of a padding that say where: a file that says its length seldom says these.
SIDES: Final = frozenset({"side", "truncate"})


class Pieces(Struct, frozen=True):
    """A tokenizer that a library runs: it cuts text into pieces of words.

    Parameters
    ----------
    library : {"tokenizers", "sentencepiece"}
        What runs it.
    data : bytes
        The tokenizer as the library saved it.
    adds : bool
        Whether it puts tokens of its own around a text, such as [CLS] and [SEP].
    offset : int
        What is added to its ids.
    """

    library: Literal["tokenizers", "sentencepiece"]
    data: bytes
    adds: bool = False
    offset: int = 0


class Vocabulary(Struct, frozen=True, dict=True):
    """The tokens that a model knows.

    Parameters
    ----------
    ids : dict
        The id of each token.
    size : int
        How many ids there are: the rows of the embedding.
    unknown_id : int or None
        The id that stands for any other token; None where there is none.
    cut : int
        How many more tokens its source has, which the model was not given.
    pieces : Pieces or None
        What cuts text into its tokens, where a library does.
    """

    ids: dict[str, int]
    size: int
    unknown_id: int | None = None
    cut: int = 0
    pieces: Pieces | None = None

    @cached_property
    def tokens(self) -> dict[int, str]:
        """The token of each id."""
        return {number: token for token, number in self.ids.items()}


class Tokenization(Struct, frozen=True):
    """How a line of text is cut into tokens.

    Parameters
    ----------
    split : {"whitespace", "characters", "separate", "pieces"}
        Where tokens end: at white space, behind every character, only where `separate` matches, or
        where the vocabulary's own tokenizer ends them.
    lowercase : bool or "ascii"
        By "ascii", the letters from A to Z alone.
    remove : str or None
        A regular expression; what matches it is deleted, after lowercasing and before splitting.
    separate : str or None
        A regular expression; what matches it parts tokens.
    skip : bool
        Whether unknown tokens are left out where no token stands for them.
    start_id, end_id : int or None
        The ids that were put before and behind every sequence.
    """

    split: Literal["whitespace", "characters", "separate", "pieces"] = "whitespace"
    lowercase: bool | Literal["ascii"] = False
    remove: str | None = None
    separate: str | None = None
    skip: bool = False
    start_id: int | None = None
    end_id: int | None = None


class Padding(Struct, frozen=True):
    """The padding that a model was trained on, and what became of sequences that were too long.

    Parameters
    ----------
    side : {"pre", "post"} or None
        Where a sequence is filled up; None is nowhere.
    length : int
        Steps that a sequence is filled up to, and that a longer one is cut to.
    value : float
        The token id, or the value of every feature, of a padding step.
    masked : bool
        Whether the model skips padding: then it skips every step of that value, and adds none.
    truncate : {"pre", "post"} or None
        Where a longer sequence is cut: its beginning, or its end; None is nowhere.
    told : frozenset of str
        Which of `side` and `truncate` somebody said; the others are taken for granted.
    """

    side: Literal["pre", "post"] | None = "pre"
    length: int = 0
    value: float = 0
    masked: bool = False
    truncate: Literal["pre", "post"] | None = None
    told: frozenset[str] = SIDES

    @property
    def fills(self) -> int:
        """The steps that every sequence has at least, since it is filled up to them."""
        return 0 if self.masked or self.side is None else self.length
