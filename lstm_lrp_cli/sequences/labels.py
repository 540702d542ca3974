"""The true class of a labelled sequence."""

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.naming import whole_number


def gold_class(label: str | int, model: Model, where: str) -> int:
    """The class that a label names: one of the model's labels, or a class's number."""
    text = str(label).strip()
    labelled = model.target_labelled(text)
    if labelled is not None:
        return labelled
    number = whole_number(text)
    if number is not None and number < model.targets:
        return number
    names = f"one of {', '.join(model.labels)}, or " if model.labels else ""
    raise UnusableInput(
        where, f"label `{text}`; expected {names}a class number from 0 to {model.targets - 1}"
    )
