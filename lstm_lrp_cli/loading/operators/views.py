"""Layers of a graph that are settled when it is known what others take of them.

Of recurrent layers those take some directions, steps and states: a view. It becomes a layer of its
own where it is the only one; several are taken of one layer that gives them all. Products of
queries and keys become attention where values are weighed by them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RecurrentSpec, RnnSpec
from lstm_lrp_cli.loading.layers.units import UnitsSpec
from .arrays import GraphNode
from .parts import SignalPart

KINDS: dict[type[RecurrentSpec], str] = {LstmSpec: "lstm", GruSpec: "gru", RnnSpec: "rnn"}


class View(Struct, frozen=True):
    """What is taken of a recurrent layer.

    Parameters
    ----------
    number : str
        Of the layer.
    directions : tuple of bool
        For each, whether it reads backwards.
    is_final : bool
        Whether it is the state after the last step that each direction reads, or that of all steps.
    has_cells : bool
        Whether the cell states stand behind the hidden states.
    """

    number: str
    directions: tuple[bool, ...]
    is_final: bool
    has_cells: bool = False


class Product(Struct, frozen=True):
    """Products of queries and keys, which are no layer until values are weighed by them.

    Parameters
    ----------
    left, right : tuple of SignalPart
        The units of both sides, head by head.
    heads : int
    scale : float
    is_causal : bool
        Whether later steps are hidden from each.
    keys : str or None
        The axis of the keys' steps; None where no softmax has run over one yet.
    values : tuple of SignalPart
        What has been weighed, and is yet to be added up.
    """

    left: tuple[SignalPart, ...]
    right: tuple[SignalPart, ...]
    heads: int
    scale: float = 1.0
    is_causal: bool = False
    keys: str | None = None
    values: tuple[SignalPart, ...] = ()


class RecurrentNode(Struct, frozen=True):
    """A recurrent layer of a graph.

    Parameters
    ----------
    node : GraphNode
    sources : list of str
        The layer that feeds it, and that which gives the states it begins in, if any.
    hidden : int
    cells : dict
        One for each direction, by whether it reads backwards.
    settings : LstmSpec, GruSpec or RnnSpec
        All but the directions and what it returns.
    """

    node: GraphNode
    sources: list[str]
    hidden: int
    cells: dict[bool, CellSpec]
    settings: RecurrentSpec

    def kind(self, view: View) -> dict[str, Any]:
        """The mapping of what is taken of it, by its key of LayerSpec."""
        more: dict[str, Any] = {"cell_state": True} if view.has_cells else {}
        spec = replace(
            self.settings,
            forward=self.cells[False] if False in view.directions else None,
            backward=self.cells[True] if True in view.directions else None,
            returns="last" if view.is_final else "sequence",
            **more,
        )
        return {KINDS[type(self.settings)]: spec}


def united(
    specs: dict[str, LayerSpec], views: dict[str, View], nodes: dict[str, RecurrentNode]
) -> list[LayerSpec]:
    """Layers, of which those that are views of one recurrent layer are taken of one.

    Parameters
    ----------
    specs : dict of str to LayerSpec
        By name, each after those that feed it.
    views : dict of str to View
        What those of them are that are recurrent.
    nodes : dict of str to RecurrentNode
        By number.
    """
    taken: dict[str, list[str]] = {}
    for name in specs:
        if name in views:
            taken.setdefault(views[name].number, []).append(name)
    made: dict[str, list[LayerSpec]] = {}
    for number, names in taken.items():
        if len(names) > 1:
            made |= _of_one(nodes[number], {name: views[name] for name in names}, specs)
    return [spec for name in specs for spec in made.get(name, [specs[name]])]


def _of_one(
    node: RecurrentNode, views: dict[str, View], specs: dict[str, LayerSpec]
) -> dict[str, list[LayerSpec]]:
    """What each view becomes; the first has the layer itself before it."""
    directions = {direction for view in views.values() for direction in view.directions}
    first = next(iter(views))
    whole = View(
        views[first].number,
        tuple(sorted(directions)),
        all(view.is_final for view in views.values()),
        any(view.has_cells for view in views.values()),
    )
    base = next((name for name, view in views.items() if view == whole), f"{first} of all")
    while base not in views and base in specs:
        base += "'"
    made = {
        name: [] if name == base else list(_taken(name, view, base, whole, node.hidden))
        for name, view in views.items()
    }
    layer = replace(specs[first], name=base, lstm=None, gru=None, rnn=None)
    made[first].insert(0, replace(layer, **node.kind(whole)))
    return made


def _taken(name: str, view: View, base: str, whole: View, hidden: int) -> Iterator[LayerSpec]:
    """The layers that make a view of one that gives all."""
    kept = [place for place, each in enumerate(whole.directions) if each in view.directions]
    if view.has_cells:
        kept += [place + len(whole.directions) for place in kept]
    count = len(whole.directions) * (1 + whole.has_cells)
    spans = [[place] for place in kept]
    if view.is_final == whole.is_final:
        spans = _runs(kept)
    parts = []
    for span in spans:
        steps = [LayerSpec(units=UnitsSpec(span[0] * hidden, (span[-1] + 1) * hidden))]
        if len(span) == count:
            steps = []
        if view.is_final and not whole.is_final:
            is_backward = whole.directions[span[0] % len(whole.directions)]
            steps.append(LayerSpec(pool="first" if is_backward else "last"))
        parts.append(steps)
    source = base
    if len(parts) == 1:
        yield from _chain(name, source, parts[0])
        return
    names = [f"{name}, part {k}" for k in range(1, len(parts) + 1)]
    for part, steps in zip(names, parts, strict=True):
        yield from _chain(part, base, steps)
    yield LayerSpec(name=name, source=list(names), merge="concat")


def _runs(places: Sequence[int]) -> list[list[int]]:
    """Numbers, those that follow one another together."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] + 1 == place:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _chain(name: str, source: str, steps: Sequence[LayerSpec]) -> Iterator[LayerSpec]:
    """Layers one after another, of which the last has the name."""
    for place, step in enumerate(steps, start=1):
        called = name if place == len(steps) else f"{name}, step {place}"
        yield replace(step, name=called, source=source)
        source = called
