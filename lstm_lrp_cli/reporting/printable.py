"""Text from files, made safe to show on a terminal."""


def printable(text: str) -> str:
    """Write out what could move the cursor or colour the screen, such as escape sequences."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def share_name(name: str, *, series: bool) -> str:
    """A ledger's share as people read it; a numeric series has steps for tokens."""
    return "steps" if series and name == "tokens" else name.replace("_", " ")
