"""Which columns of a table, or keys of JSON lines, hold what."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.model.model import Model

TEXT, LABEL, ID = "text", "label", "id"


class Columns(Struct, frozen=True):
    """What the user says of the columns of a table, or of the keys of JSON lines.

    Parameters
    ----------
    text : tuple of str
        The column of the texts; of a model with several inputs, NAME=COLUMN for each that is told.
    label, id : str or None
        The columns of the true classes, and of what sequences are called.
    delimiter : str or None
        What parts the fields of CSV; None finds it.
    """

    text: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    delimiter: str | None = None

    @property
    def told(self) -> str | None:
        """The option that names a column, the first of them; None where none does."""
        named = {"--text": self.text, "--label": self.label, "--id": self.id}
        return next((option for option, value in named.items() if value), None)

    @property
    def told_beside_labels(self) -> str | None:
        """The same, of what no series of numbers has; their classes may stand beside them."""
        return "--text" if self.text else "--id" if self.id else None

    def of_inputs(self, model: Model) -> tuple[str | None, ...]:
        """The column that is told for each input of a model, or None.

        Raises
        ------
        WrongUsage
            One is of no input, or two are of one.
        """
        named = by_input(self.text, model, "COLUMN")
        if any(len(columns) > 1 for columns in named.values()):
            raise WrongUsage("names two columns for one input of the model", "text")
        return tuple(named[name][0] if named[name] else None for name in model.input_names)

    def of_file(self, name: str, *, keyed: bool, labelled: bool) -> "Columns":
        """What is told of the file of one input, where each has one of its own.

        Parameters
        ----------
        name : str
            The input's.
        keyed : bool
            Whether the file may have columns or keys, of which one is a text's.
        labelled : bool
            Whether true classes stand in it.
        """
        parted = [each.partition("=") for each in self.text]
        own = [column for begin, equals, column in parted if equals and begin == name]
        if keyed and not own:
            own = [each for each in self.text if "=" not in each]
        label, id = self.label if labelled else None, self.id if keyed else None
        return Columns(tuple(own), label, id, self.delimiter)


NOTHING_TOLD = Columns()
# A column, or one for each input by its name, as Python has them.
ByInput = str | Mapping[str, str]


def named_columns(
    text: ByInput | None = None,
    label: str | None = None,
    id: str | None = None,
    delimiter: str | None = None,
) -> Columns:
    """Columns as keywords name them; a number is the name that pandas gives to one without.

    Raises
    ------
    WrongUsage
        One is named by something else.
    """
    if isinstance(text, Mapping):
        texts = tuple(f"{name}={column}" for name, column in text.items())
    else:
        texts = () if text is None else (_named(text, "text"),)
    return Columns(
        texts,
        None if label is None else _named(label, LABEL),
        None if id is None else _named(id, ID),
        delimiter,
    )


def _named(column: object, key: str) -> str:
    if not isinstance(column, str | int):
        raise WrongUsage(f"is of type {type(column).__name__}; expected the name of a column", key)
    return str(column)


def by_input(given: Iterable[str], model: Model, what: str) -> dict[str, list[str]]:
    """What is given as NAME=..., by the names of inputs; of a model with one input, as it stands.

    Raises
    ------
    WrongUsage
        A name is that of no input.
    """
    names = model.input_names
    found: dict[str, list[str]] = {name: [] for name in names}
    for each in given:
        name, equals, value = each.partition("=")
        if not model.several_inputs:
            name, value = names[0], each
        elif not equals or name not in found:
            raise WrongUsage(
                f"`{each[:40]}` names no input of the model ({', '.join(names)}); "
                f"expected {names[0]}={what}",
                "text",
            )
        found[name].append(value)
    return found
