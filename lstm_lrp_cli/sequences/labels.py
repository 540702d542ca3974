"""The true class of a labelled sequence."""

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.naming import whole_number


def gold_class(label: str | int, model: Model, where: str) -> int:
    """The class that a label names: one of the model's labels, or a class's number.

    Where the model has one output unit, its label or 1 is class 1, and 0 is class 0.
    """
    classes = max(model.classes, 2)
    text = str(label).strip()
    if model.labels and text in model.labels:
        return 1 if model.classes == 1 else model.labels.index(text)
    number = whole_number(text)
    if number is not None and number < classes:
        return number
    names = f"one of {', '.join(model.labels)}, or " if model.labels else ""
    raise UnusableInput(
        where, f"label `{text}`; expected {names}a class number from 0 to {classes - 1}"
    )
