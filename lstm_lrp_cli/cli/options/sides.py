"""What `lrp compare` compares: results that are read, and models that explain as they are asked."""

from collections.abc import Iterable, Iterator
from itertools import islice, tee, zip_longest
from pathlib import Path
from typing import Any

import click
import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.compare.pairing import same_sequences
from lstm_lrp_cli.compare.side import (
    ExplainedSequence,
    Explaining,
    Files,
    Side,
    explained_sequences,
    explained_twice,
    named_alike,
)
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.explaining.settings import parse_method, resolve_methods
from lstm_lrp_cli.inputs.read import READ_STEPS, Block, read_blocks, sequences_of
from lstm_lrp_cli.inputs.stream import display_name
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.mapping import Described
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.results import Result
from lstm_lrp_cli.results.manifest import inputs_of, is_folder_of_parts
from lstm_lrp_cli.results.read import result_files
from lstm_lrp_cli.terminal.inputs import InputFigures
from lstm_lrp_cli.terminal.text import warn
from .arguments import QuestionOptions
from .inputs import InputOptions
from .methods import SettingOptions
from .model import sources_of

USUAL_METHOD = "lrp-all"


class AskedModels(Struct, frozen=True):
    """What models are asked.

    Parameters
    ----------
    given : InputOptions
        The sequences.
    mappings : (Path or None, Path or None)
        Of A and of B.
    said : Described or None
        What is said of both besides.
    assume : bool
        Whether the likeliest model is taken where more than one could be meant.
    dtype : str
    question : QuestionOptions
    settings : SettingOptions
        Of methods.
    sources : dict
        The files that models were read from, by what they are.
    loaded : list of (str, Model)
        The models that were loaded, with their names, which may be the same.
    figures : list of (InputFigures, Model)
        What each model was given.
    explaining : list of Explaining
        What each model explains, in the order of `loaded`.
    """

    given: InputOptions
    mappings: tuple[Path | None, Path | None]
    said: Described | None
    assume: bool
    dtype: str
    question: QuestionOptions
    settings: SettingOptions
    sources: dict[str, Path | None] = field(default_factory=dict)
    loaded: list[tuple[str, Model]] = field(default_factory=list)
    figures: list[tuple[InputFigures, Model]] = field(default_factory=list)
    explaining: list[Explaining] = field(default_factory=list)

    def told(self, warnings: list[str]) -> dict[str, Any]:
        """What is to be told beside the comparison, as JSON has it."""
        assumptions: dict[str, list[str]] = {name: [] for name, _ in self.loaded}
        for name, loaded in self.loaded:
            own = assumptions[name]
            own += [each for each in loaded.assumptions if each not in own]
        return {"assumptions": assumptions, "warnings": [*self._warnings_of_models(), *warnings]}

    def _warnings_of_models(self) -> list[str]:
        """Each once, though one file may be loaded by two mappings."""
        found = (warning for _, loaded in self.loaded for warning in loaded.warnings)
        return list(dict.fromkeys(found))

    def load(self, path: str, place: int) -> Model:
        """The model of A (0) or of B (1)."""
        dtype = np.dtype(self.dtype)
        mapping = self.mappings[place]
        read = load_model(Path(path), mapping, dtype, self.assume, self.said)
        model = read.model
        for name, source in sources_of(read.contents).items():
            self.sources[f"{'AB'[place]}, {name}"] = source
        told = self._warnings_of_models()
        warn(each for each in model.warnings if each not in told)
        model = self.question.asked(model)
        self.loaded.append((display_name(path), model))
        return model

    def explained(
        self, model: Model, blocks: Iterable[Block], names: tuple[str, ...], of: tuple[str, ...]
    ) -> Iterator[list[Result]]:
        """The explanations of the input by some of the methods that are compared.

        All of these are set up, so that an option that none of them takes is refused.
        """
        question = self.question.of(model, labelled=self.given.labelled)
        settings = self.settings.given(names)
        methods = resolve_methods(names, model, settings, self.given.source)
        chosen = [method for method in methods if method.name in of]
        sequences = (each for block in blocks for each in sequences_of(block, model))
        figures = InputFigures()
        self.figures.append((figures, model))
        explaining = Explaining(model, chosen)
        self.explaining.append(explaining)
        return explaining.results(figures.watch(sequences, model), question)

    def input_warnings(self) -> list[str]:
        """What the user should know of input and explanations, when all of them were read."""
        found = [
            warning
            for figures, model in self.figures
            for warning in figures.input_warnings(model, "compared, with nothing to explain")
        ]
        for (name, _), explaining in zip(self.loaded, self.explaining, strict=True):
            which = f"{name}: " if len(self.loaded) > 1 else ""
            found += (f"{which}{warning}" for warning in explaining.warnings())
        return list(dict.fromkeys(found))


def both_sides(
    paths: tuple[str, ...], models: tuple[bool, ...], methods: tuple[str, ...], asked: AskedModels
) -> tuple[tuple[Side, Side], Iterator[tuple[ExplainedSequence, ExplainedSequence]]]:
    """The two sides, and the explanations of one sequence after the other by both.

    Parameters
    ----------
    paths : tuple of str
        A and B, or A alone.
    models : tuple of bool
        Whether each is a model.
    methods : tuple of str
        The methods of A and of B, that of both, or none where it is left open.
    asked : AskedModels
    """
    if len(paths) == 1:
        return _two_methods(paths[0], models[0], (methods[0], methods[1]), asked)
    given = methods * 2 if len(methods) == 1 else methods
    names: tuple[str | None, ...] = given or tuple(
        USUAL_METHOD if is_model else None for is_model in models
    )
    by = {k: _known(name) for k, name in enumerate(names) if models[k] and name is not None}
    names = tuple(by.get(k, name) for k, name in enumerate(names))
    sides = Side(display_name(paths[0]), names[0]), Side(display_name(paths[1]), names[1])
    _refuse_other_inputs(paths[0], paths[1])
    of_models = tuple(dict.fromkeys(by.values()))
    loaded = {k: asked.load(paths[k], k) for k in by}
    if len(loaded) == 2:
        loaded = dict(enumerate(named_alike(loaded[0], loaded[1], sides[1].name, sides[0].name)))
    blocks = _blocks(asked, loaded)
    streams: list[Files] = [
        [(sides[k].name, asked.explained(loaded[k], blocks[k], of_models, (by[k],)))]
        if k in loaded
        else _files(path)
        for k, path in enumerate(paths)
    ]
    a, b = map(explained_sequences, streams, sides)
    return sides, same_sequences(a, b, sides)


def _two_methods(
    path: str, is_model: bool, names: tuple[str, str], asked: AskedModels
) -> tuple[tuple[Side, Side], Iterator[tuple[ExplainedSequence, ExplainedSequence]]]:
    """Both sides where they are one model, or one file."""
    if is_model:
        names = _known(names[0]), _known(names[1])
    sides = Side(display_name(path), names[0]), Side(display_name(path), names[1])
    if is_model:
        model = asked.load(path, 0)
        blocks = read_blocks(asked.given.source, model, READ_STEPS)
        explained = asked.explained(model, blocks, names, names)
        return sides, explained_twice([(sides[0].name, explained)], sides)
    return sides, explained_twice(_files(path), sides)


def _files(path: str) -> Files:
    """The results of a file, or of each of a folder's parts."""
    return ((each.name, each.blocks()) for each in result_files(path))


def _refuse_other_inputs(a: str, b: str) -> None:
    """Refuse folders of parts that are not of the same inputs, before any part is read.

    Raises
    ------
    UnusableInput
        So it is; or only one side is a folder, of several inputs.
    """
    folders = [path for path in (a, b) if is_folder_of_parts(path)]
    if len(folders) == 2:
        for one, other in zip_longest(inputs_of(a), inputs_of(b)):
            if one != other:
                has, expected = (f"`{each}`" if each else "nothing more" for each in (other, one))
                raise UnusableInput(
                    display_name(b),
                    f"is of other inputs: it has {has} where {display_name(a)} has {expected}; "
                    "both must be of the same inputs, in the same order",
                )
    elif folders:
        [folder] = folders
        first = list(islice(inputs_of(folder), 2))
        if len(first) > 1:
            alone = b if folder == a else a
            raise UnusableInput(
                display_name(folder),
                f"is of several inputs ({' and '.join(first)} first), and {display_name(alone)} is "
                "of one; compare it with a folder, or one of its parts with that",
            )


def _blocks(asked: AskedModels, loaded: dict[int, Model]) -> dict[int, Iterator[Block]]:
    """The input for each model. It is read once, as both need it, and so may be a pipe."""
    if not loaded:
        return {}
    blocks = read_blocks(asked.given.source, next(iter(loaded.values())), READ_STEPS)
    return dict(zip(loaded, tee(blocks, len(loaded)), strict=True))


def _known(name: str) -> str:
    """The name of a method that models can be explained by."""
    try:
        return parse_method(name).name
    except WrongUsage as error:
        raise click.BadParameter(error.problem, param_hint="--methods") from error
