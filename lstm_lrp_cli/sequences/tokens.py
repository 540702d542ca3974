"""From text to tokens to ids."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model

# The id of a token that is shown and not run: it takes no step, and has no relevance.
SKIPPED = -1


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The tokens of one line, their ids, and how many of them were unknown."""

    tokens: tuple[str, ...]
    ids: NDArray[np.intp]
    unknown: int


class Tokenizer:
    """Cuts text as a model's mapping says, and looks the tokens up."""

    def __init__(self, model: Model) -> None:
        if model.embedding is None:
            raise ValueError("a model without an embedding reads no tokens")
        self._rows = len(model.embedding.weights)
        self._vocabulary = model.vocabulary
        self._tokenization = model.tokenization
        remove, separate = model.tokenization.remove, model.tokenization.separate
        self._remove = re.compile(remove) if remove else None
        self._separate = re.compile(separate) if separate else None

    def of_text(self, text: str, where: str) -> Encoded:
        """Cut and look up a text."""
        if self._tokenization.lowercase:
            text = text.lower()
        if self._remove is not None:
            text = self._remove.sub("", text)
        if self._separate is not None:
            text = self._separate.sub(" ", text)
        by_character = self._tokenization.split == "characters"
        return self.of_tokens(list(text) if by_character else text.split(), where)

    def of_tokens(self, tokens: list[str], where: str) -> Encoded:
        """Look up tokens that are cut already.

        Raises
        ------
        UnusableInput
            There is no vocabulary, or an unknown token and no id to stand for it.
        """
        vocabulary = self._vocabulary
        if not tokens:
            return self.of_ids([], where)
        if vocabulary is None:
            raise UnusableInput(
                where,
                "has words, and the mapping names no `vocabulary`; add one, "
                "or give token ids with --ids",
            )
        other = SKIPPED if self._tokenization.skip else None
        if vocabulary.unknown_id is not None:
            other = vocabulary.unknown_id
        ids = [vocabulary.ids.get(token, other) for token in tokens]
        if None in ids:
            token = tokens[ids.index(None)]
            raise UnusableInput(
                where,
                f"token `{token}` is not among the {vocabulary.size:,} of the vocabulary, and "
                "no token stands for unknown ones; name it in the mapping as "
                "tokens: {unknown: TOKEN}, or mend the text",
            )
        unknown = sum(token not in vocabulary.ids for token in tokens)
        start = self._tokenization.start_id
        if start is not None:
            ids.insert(0, start)
            tokens = [vocabulary.tokens.get(start, "<start>"), *tokens]
        return Encoded(tuple(tokens), np.array(ids, dtype=np.intp), unknown)

    def of_ids(self, ids: list[int], where: str) -> Encoded:
        """Check ids, and name them where there is a vocabulary.

        Raises
        ------
        UnusableInput
            An id is not a row of the embedding.
        """
        outside = [number for number in ids if not 0 <= number < self._rows]
        if outside:
            raise UnusableInput(
                where,
                f"token id {outside[0]} is out of range; "
                f"the embedding has rows 0 to {self._rows - 1}",
            )
        array = np.array(ids, dtype=np.intp)
        names = self._vocabulary.tokens if self._vocabulary else {}
        tokens = tuple(names.get(number, str(number)) for number in array.tolist())
        return Encoded(tokens, array, 0)
