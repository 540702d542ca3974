"""Text from files, made safe to show on a terminal."""

import unicodedata

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


def before_number(text: str) -> str:
    """A text that a number follows, which keeps its place and sign if the text runs to the left."""
    if text.isascii() or not any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        return text
    return text + LEFT_TO_RIGHT


def share_name(name: str, *, series: bool) -> str:
    """A ledger's share as people read it; a numeric series has steps for tokens."""
    return "steps" if series and name == "tokens" else name.replace("_", " ")
