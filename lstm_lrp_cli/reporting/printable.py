"""Text from files, made safe to show on a terminal."""


def printable(text: str) -> str:
    """Write out what could move the cursor or colour the screen, such as escape sequences."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
