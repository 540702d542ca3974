"""Text from files, made safe to show on a terminal."""

import re
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.batching import cut_off
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.tokens import SKIPPED
from .numbers import decimal

# They part or join the letters of Persian and of Indian scripts, and join emoji, and no more.
JOINERS = "\u200c\u200d"
LEFT_TO_RIGHT = "\u200e"


def printable(text: str) -> str:
    """Write out what could move the cursor or colour the screen, such as escape sequences."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text
    )


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


def share_name(name: str, *, series: bool) -> str:
    """A ledger's share as people read it; a numeric series has steps for tokens."""
    return "steps" if series and name == "tokens" else name.replace("_", " ")


# What the steps are called that a model passes over.
MASKED, LEFT_OUT, CUT_OFF = "masked", "left out", "cut off"
# In series, what stands for them.
NOT_READ = "_"
# What rounds to nothing is not shown.
LEAST_SHARE = 5e-4


def strongest(relevance: Floats, top: int) -> NDArray[np.signedinteger[Any]]:
    """The places of the largest absolute values, of equal ones the first, strongest first.

    What is missing (NaN) is not among them.
    """
    there = int(np.count_nonzero(~np.isnan(relevance)))
    return np.argsort(-np.abs(relevance), kind="stable")[: min(top, there)]


def for_and_against(amounts: Floats, most: int) -> tuple[list[int], list[int]]:
    """The places of the largest amounts above 0, and of the lowest below, strongest first.

    What is missing (NaN) is neither.
    """
    order = np.argsort(-amounts, kind="stable").tolist()
    above = [k for k in order if amounts[k] > 0][:most]
    below = [k for k in order[::-1] if amounts[k] < 0][:most]
    return above, below


def why_missing(sequence: Sequence, model: Model) -> list[str]:
    """What each token is called if it has no relevance, since the model passes over it."""
    left_out, cut = sequence.inputs == SKIPPED, cut_off(sequence.inputs, model.padding)
    named: list[str] = np.select([left_out, cut], [LEFT_OUT, CUT_OFF], MASKED).tolist()
    return named


def what_is_missing(model: Model) -> str:
    """What all steps are called that a model may pass over."""
    return " or ".join(
        [*[MASKED] * model.masks, *[LEFT_OUT] * model.leaves_out, *[CUT_OFF] * model.cuts]
    )


def shown_shares(ledger: Ledger, *, series: bool) -> list[str]:
    """A ledger's shares as people read them, without those that round to zero."""
    return [
        f"{share_name(name, series=series)} {decimal(amount, 3, '+')}"
        for name, amount in ledger.shares.items()
        if abs(amount) >= LEAST_SHARE
    ]
