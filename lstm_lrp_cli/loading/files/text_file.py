"""Small text files, read whole but never without end."""

from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput


def read_text_file(path: Path, limit: int, what: str) -> str:
    """Read a UTF-8 text file of at most so many bytes.

    Parameters
    ----------
    what : str
        What the file should be, for error messages.

    Raises
    ------
    UnusableInput
        There is no such file, it is no UTF-8, or it is larger than the limit.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise UnusableInput(str(path), f"there is no such file; expected {what}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UnusableInput(str(path), f"cannot be read: {error}") from error
    if len(data) > limit:
        raise UnusableInput(str(path), f"is larger than {limit:,} bytes; expected {what}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        from lstm_lrp_cli.loading.seen import look
        from .formats import what_it_is

        found = what_it_is(look(path))
        if found:
            raise UnusableInput(str(path), f"{found}; expected {what}") from error
        line = data.count(b"\n", 0, error.start) + 1
        raise UnusableInput(
            f"{path}: line {line}", f"byte 0x{data[error.start]:02x} is not UTF-8 text"
        ) from error
