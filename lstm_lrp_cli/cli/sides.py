"""What `lrp compare` compares: results that are read, and models that explain as they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import click
import numpy as np

from lstm_lrp_cli.cli.methods import resolve_methods
from lstm_lrp_cli.cli.options import resolve_question, unknown_method
from lstm_lrp_cli.comparing.matching import same_sequences
from lstm_lrp_cli.comparing.models import explained_by, named_alike
from lstm_lrp_cli.comparing.side import Explained, Side, explained_sequences, explained_twice
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.results.read import read_results
from lstm_lrp_cli.results.result import Result
from lstm_lrp_cli.scaling.question import Step
from lstm_lrp_cli.sequences.read import READ_STEPS, Block, Source, read_blocks
from lstm_lrp_cli.sequences.stream import display_name

USUAL_METHOD = "lrp-all"


@dataclass(frozen=True, slots=True)
class Asked:
    """What models are asked.

    Parameters
    ----------
    source : Source
        The sequences.
    mappings : (Path or None, Path or None)
        Of A and of B.
    target, step, dtype
        As the command line has them.
    settings : dict
        Of methods, as `resolve_methods` takes them.
    """

    source: Source
    mappings: tuple[Path | None, Path | None]
    target: str
    step: Step | None
    dtype: str
    settings: dict[str, Any]

    def load(self, path: str, place: int) -> Model:
        """The model of A (0) or of B (1)."""
        return load_model(Path(path), self.mappings[place], np.dtype(self.dtype)).model

    def explained(
        self, model: Model, blocks: Iterable[Block], names: tuple[str, ...], of: tuple[str, ...]
    ) -> Iterator[list[Result]]:
        """The explanations of the input by some of the methods that are compared.

        All of these are set up, so that an option that none of them takes is refused.
        """
        question = resolve_question(
            model, self.target, self.step, labelled=self.source.labelled, default_step=None
        )
        methods = resolve_methods(names, model, **self.settings)
        chosen = [method for method in methods if method.name in of]
        return explained_by(model, blocks, chosen, question)


def both_sides(
    paths: tuple[str, ...], models: tuple[bool, ...], methods: tuple[str, ...], asked: Asked
) -> tuple[tuple[Side, Side], Iterator[tuple[Explained, Explained]]]:
    """The two sides, and the explanations of one sequence after the other by both.

    Parameters
    ----------
    paths : tuple of str
        A and B, or A alone.
    models : tuple of bool
        Whether each is a model.
    methods : tuple of str
        The methods of A and of B, that of both, or none where it is left open.
    asked : Asked
    """
    if len(paths) == 1:
        return _two_methods(paths[0], models[0], (methods[0], methods[1]), asked)
    given = methods * 2 if len(methods) == 1 else methods
    names: tuple[str | None, ...] = given or tuple(
        USUAL_METHOD if is_model else None for is_model in models
    )
    sides = Side(display_name(paths[0]), names[0]), Side(display_name(paths[1]), names[1])
    by = {k: name for k, name in enumerate(names) if models[k] and name is not None}
    of_models = tuple(dict.fromkeys(by.values()))
    _check_known(of_models)
    loaded = {k: asked.load(paths[k], k) for k in by}
    if len(loaded) == 2:
        loaded = dict(enumerate(named_alike(loaded[0], loaded[1], sides[1].name, sides[0].name)))
    blocks = _blocks(asked, loaded)
    streams = [
        asked.explained(loaded[k], blocks[k], of_models, (by[k],))
        if k in loaded
        else read_results(path)
        for k, path in enumerate(paths)
    ]
    a, b = map(explained_sequences, streams, sides)
    return sides, same_sequences(a, b, sides)


def _two_methods(
    path: str, is_model: bool, names: tuple[str, str], asked: Asked
) -> tuple[tuple[Side, Side], Iterator[tuple[Explained, Explained]]]:
    """Both sides where they are one model, or one file."""
    sides = Side(display_name(path), names[0]), Side(display_name(path), names[1])
    if is_model:
        _check_known(names)
        model = asked.load(path, 0)
        blocks = read_blocks(asked.source, model, READ_STEPS)
        return sides, explained_twice(asked.explained(model, blocks, names, names), sides)
    return sides, explained_twice(read_results(path), sides)


def _blocks(asked: Asked, loaded: dict[int, Model]) -> dict[int, Iterator[Block]]:
    """The input for each model. It is read once, as both need it, and so may be a pipe."""
    if not loaded:
        return {}
    blocks = read_blocks(asked.source, next(iter(loaded.values())), READ_STEPS)
    return dict(zip(loaded, tee(blocks, len(loaded)), strict=True))


def _check_known(names: tuple[str, ...]) -> None:
    problem = unknown_method(names)
    if problem is not None:
        raise click.BadParameter(problem, param_hint="--methods")
