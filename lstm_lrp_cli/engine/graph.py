"""The nodes of a graph one after the other: run, and passed down again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Node
from .arrays import Copies
from .records import Record, Value

if TYPE_CHECKING:
    from .parts import Parted

Other = TypeVar("Other")


def run_nodes(
    nodes: Sequence[Node],
    values: dict[int, Value | Other],
    run: Callable[[int, list[Value | Other]], Record],
) -> list[Record]:
    """Run all nodes, and add to `values`, those of the inputs, what they give.

    Parameters
    ----------
    run : callable
        Runs the node at a place on what feeds it.
    """
    records: list[Record] = []
    for place, node in enumerate(nodes):
        record = run(place, [values[source] for source in node.sources])
        records.append(record)
        values[place] = record.value
    return records


def pass_amounts(
    nodes: Sequence[Node],
    amounts: Iterable[tuple[int, Floats]],
    pass_down: Callable[[int, Floats], Sequence[Floats | None]],
    arrive: Callable[[int, Floats], Floats] = lambda place, amount: amount,
) -> dict[int, Floats]:
    """Pass amounts from node to node; what several nodes give to one adds up.

    Parameters
    ----------
    amounts : iterable of (int, ndarray)
        Nodes, or inputs, and what their values have.
    pass_down : callable
        Passes what the outputs of the node at a place have to its sources; None to those that get
        nothing.
    arrive : callable
        Takes what arrives at an input, by its place, and gives it the form in which it adds up.

    Returns
    -------
    dict
        What arrived, by the inputs' places; nothing where nothing did.
    """
    waiting: dict[int, Floats] = {}

    def give(place: int, amount: Floats) -> None:
        if place <= MODEL_INPUT:
            amount = arrive(place, amount)
        waiting[place] = waiting[place] + amount if place in waiting else amount

    for place, amount in amounts:
        give(place, amount)
    for place in range(len(nodes) - 1, -1, -1):
        if place not in waiting:
            continue  # no score depends on it, or it is a gate, which gets nothing
        down = pass_down(place, waiting.pop(place))
        for source, part in zip(nodes[place].sources, down, strict=True):
            if part is not None:
                give(source, part)
    return waiting


def part_nodes(
    nodes: Sequence[Node], records: Sequence[Record], values: dict[int, Parted], copies: Copies
) -> None:
    """Run all nodes on parts, and add to `values`, those of the inputs, what they give."""
    for place, (node, record) in enumerate(zip(nodes, records, strict=True)):
        values[place] = record.parted([values[source] for source in node.sources], copies)
