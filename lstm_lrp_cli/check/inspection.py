"""What `lrp inspect` tells of a file, and of the model that is read from it: tables, or JSON."""

import json
import math
import re
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec import UNSET
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import named_datasets
from lstm_lrp_cli.loading.load import Contents, LoadedModel
from lstm_lrp_cli.loading.mapping import InputSpec, Mapping, PaddingSpec
from lstm_lrp_cli.model.layers import Convolution, Dense, Each, Embedding, Flatten, Layer, Scale
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.recurrent import Gru, Lstm, LstmCell, Recurrent, SimpleRnn
from lstm_lrp_cli.model.text import SIDES, Padding
from lstm_lrp_cli.terminal.console import FoldedParts, open_console
from lstm_lrp_cli.terminal.numbers import counted

# What a dataset's name, type and shape may be folded behind: no shape is.
JOINTS = re.compile(r"(?<=/)|(?<= )(?!\d+[,)])")
# Longer tables take more time than anybody reads; JSON has all.
MOST_ROWS = 5000


def inspection(loaded: LoadedModel) -> dict[str, Any]:
    """All that is known of a model, as JSON has it."""
    model, contents = loaded.model, loaded.contents
    mapping = contents.described.mapping
    layers = [
        _layer(spec, built, contents)
        for spec, built in zip(mapping.layers or [], loaded.built, strict=True)
    ]
    return {
        **contents_object(contents),
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "outputs": model.classes,
        "output_activation": _activation(model),
        "heads": [
            {"name": head.name, "outputs": head.size, "activation": head.activation}
            for head in model.heads
        ],
        "by_step": model.by_step,
        "task": mapping.task or "classification",
        "labels": model.labels,
        "output_scaling": _output_scaling(model),
        **_inputs(model, mapping),
        "stateful": model.stateful,
        "assumptions": loaded.assumptions,
        "unused": loaded.unused,
    }


def _inputs(model: Model, mapping: Mapping) -> dict[str, Any]:
    """What the only input is given; of several, what each is, in a list."""
    if not model.several_inputs:
        return _input(model.only_input, _source(mapping.vocabulary))
    specs = mapping.inputs or [InputSpec()] * len(model.inputs)
    several = [
        {
            "name": name,
            "steps": read.steps,
            "size": read.size,
            **_input(
                read, _source(mapping.vocabulary if spec.vocabulary is UNSET else spec.vocabulary)
            ),
        }
        for name, read, spec in zip(model.input_names, model.inputs, specs, strict=True)
    ]
    no = dict.fromkeys(("vocabulary", "tokens", "padding", "scaling", "features"))
    return {**no, "inputs": several}


def _source(vocabulary: Any) -> Any:
    """Where a vocabulary stands; of one that the mapping has in full, the mapping."""
    if isinstance(vocabulary, list):
        return "the mapping"
    here = Path.cwd()
    if isinstance(vocabulary, str) and Path(vocabulary).is_relative_to(here):
        return str(Path(vocabulary).relative_to(here))  # as `--set` has it
    return vocabulary


def _scaling(read: Input) -> list[dict[str, Any]] | None:
    """What is done to numbers, one after the other."""
    found = [
        {"minus": each.minus.tolist(), "divide": each.divide.tolist(), "inside": inside}
        for each, inside in ((read.scaling, False), (read.own_scaling, True))
        if each is not None
    ]
    return found or None


def _output_scaling(model: Model) -> dict[str, Any] | None:
    """What was done to the predicted values before training."""
    scaling = model.output_scaling
    if scaling is None:
        return None
    return {"minus": scaling.minus.tolist(), "divide": scaling.divide.tolist()}


def _input(read: Input, source: Any) -> dict[str, Any]:
    vocabulary = read.vocabulary
    unknown = vocabulary.unknown_id if vocabulary else None
    return {
        "vocabulary": vocabulary
        and {
            "source": source,
            "tokens": vocabulary.size,
            "cut": vocabulary.cut,
            "unknown_id": unknown,
            "unknown_token": None if unknown is None else vocabulary.tokens.get(unknown),
        },
        "tokens": msgspec.to_builtins(read.tokenization) if read.embedding else None,
        "padding": _padding(read.padding),
        "scaling": _scaling(read),
        "features": read.features,
    }


def contents_object(contents: Contents) -> dict[str, Any]:
    """What a file holds, as JSON has it."""
    return {
        "model": str(contents.path),
        "format": contents.format,
        "mapping": str(contents.mapping_path) if contents.mapping_path else None,
        "origins": contents.described.origins,
        "datasets": {
            name: {"shape": stored.shape, "dtype": stored.dtype}
            for name, stored in contents.datasets.items()
        },
    }


def print_contents(contents: Contents, file: TextIO) -> None:
    """Print the datasets of a file whose architecture is not known."""
    table = _table(f"{contents.path} ({contents.format})", "dataset", "shape", "type")
    for name, stored in islice(contents.datasets.items(), MOST_ROWS):
        shape = ", ".join(map(str, stored.shape))
        table.add_row(Text(printable(name)), f"({shape})", Text(printable(str(stored.dtype))))
    if len(contents.datasets) > MOST_ROWS:
        table.add_row(f"and {len(contents.datasets) - MOST_ROWS:,} more", "", "")
    open_console(file).print(table)


def print_inspection(loaded: LoadedModel, file: TextIO) -> None:
    """Print the layers, what was inferred and from what, what is assumed, and what is unused."""
    console = open_console(file)
    contents, found = loaded.contents, inspection(loaded)
    layers = _table(
        f"{contents.path} ({contents.format})", "layer", "what it is", "datasets", "parameters"
    )
    layers.columns[-1].justify = "right"
    for layer in found["layers"][:MOST_ROWS]:
        datasets = [FoldedParts(JOINTS.split(printable(dataset))) for dataset in layer["datasets"]]
        name = f" {printable(layer['name'])}" if layer["name"] else ""
        layers.add_row(
            Text(f"{layer['kind']}{name}"),
            Text(printable(layer["what"])),
            Group(*datasets),
            f"{layer['parameters']:,}",
        )
    if len(found["layers"]) > MOST_ROWS:
        layers.add_row(f"and {len(found['layers']) - MOST_ROWS:,} more", "", "", "")
    behind = found["output_activation"]
    after = "" if behind == "linear" else f", before the {behind}"
    each = " at every step" if found["by_step"] else ""
    outputs = counted(found["outputs"], "output") + each + after
    layers.add_row("scores", outputs, "", f"{found['parameters']:,}", style="bold")
    console.print(layers)

    facts = _table(None, "what", "value", "from")
    for key, value in _facts(found):
        cells = (key, value, found["origins"].get(key, ""))
        facts.add_row(*(Text(printable(cell)) for cell in cells))
    if facts.row_count:
        console.print(facts)
    for assumption in found["assumptions"]:
        console.print(f"assumed: {printable(assumption)}", markup=False)
    if loaded.unused:
        shown = [printable(f"{name} {contents.datasets[name]}") for name in loaded.unused[:10]]
        more = len(loaded.unused) - len(shown)
        rest = f" and {more} more" if more else ""
        console.print(f"unused datasets: {', '.join(shown)}{rest}", markup=False)


def _padding(padding: Padding | None) -> dict[str, Any] | None:
    """The padding, and which of its sides nobody said, where they matter."""
    if padding is None:
        return None
    unsaid = SIDES - padding.told if padding.length else frozenset()
    if padding.masked:
        unsaid -= {"side"}
    known = {key: getattr(padding, key) for key in PaddingSpec.__struct_fields__}
    return {**known, "not_said": sorted(unsaid)}


def _yaml(value: Any) -> str:
    """A value as a mapping has it, but for quotes."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _activation(model: Model) -> str:
    """What the framework applies to the scores, of all heads."""
    return ", ".join(dict.fromkeys(head.activation for head in model.heads))


def _table(title: str | None, *columns: str) -> Table:
    heading = Text(printable(title)) if title else None
    table = Table(title=heading, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _layer(spec: LayerSpec, built: Layer, contents: Contents) -> dict[str, Any]:
    names = list(dict.fromkeys(named_datasets(getattr(spec, spec.kind))))
    fed_by = [spec.source] if isinstance(spec.source, str) else spec.source
    return {
        "kind": spec.kind,
        "name": spec.name,
        "from": fed_by,
        "what": _what(spec, built) + (f", from {' and '.join(fed_by)}" if fed_by else ""),
        "datasets": [f"{name} {contents.datasets[name]}" for name in names],
        "parameters": sum(math.prod(contents.datasets[name].shape) for name in names),
    }


def _what(spec: LayerSpec, built: Layer) -> str:
    if spec.same is not None:
        return f"{spec.same} once more"
    match built:
        case Embedding():
            rows, dimensions = built.weights.shape
            return f"{rows:,} tokens, {dimensions} dimensions"
        case Lstm() | Gru() | SimpleRnn():
            return _recurrent(spec, built)
        case Dense() if spec.dense is not None:
            outputs, inputs = built.weights.shape
            bias = "no bias" if built.bias is None else "bias"
            negative = ", negative" if spec.dense.negative is True else ""
            return f"{inputs} to {outputs} units, {bias}, {spec.dense.activation}{negative}"
        case Dense():
            return f"weights over the steps, of {built.weights.shape[1]} units"
        case Convolution():
            outputs, inputs, width = built.weights.shape
            sizes = f"{inputs * built.groups} to {outputs} units, windows of {width} steps"
            return f"{sizes}, {_said(spec.settings)}"
        case Scale():
            return f"{len(built.factors)} units"
        case Flatten():
            return f"{built.steps} steps"
        case Each():
            inner = counted(len(built.nodes), "layer")
            return f"{inner} for every {counted(built.steps, 'step')}"
        case _:
            return _said(spec.settings) or "at every step"  # a vector that is repeated


def _said(settings: Any) -> str:
    """The settings of a layer, but for datasets and what it does not have."""
    if isinstance(settings, str):
        return settings
    names = getattr(settings, "named", ())
    given = {key: getattr(settings, key) for key in settings.__struct_fields__ if key not in names}
    return ", ".join(
        f"{key} {_yaml(value)}"
        for key, value in given.items()
        if value is not None and key not in ("layout", "bias")
    )


def _recurrent(spec: LayerSpec, built: Recurrent) -> str:
    cell, settings = built.cells[0], spec.settings
    directions = " and ".join("backward" if each.backward else "forward" for each in built.cells)
    is_projected = isinstance(cell, LstmCell) and cell.projection is not None
    projected = f" projected to {cell.output_size}" if is_projected else ""
    said = [f"{cell.hidden_size} units{projected}", directions]
    if len(built.cells) > 1:
        said[-1] += f", merge {built.merge}"
    said.append(f"returns {built.returns}")
    if not isinstance(built, SimpleRnn):
        order = settings.gate_order
        said.append(f"gate order {', '.join(order)}" if order else "weights by gate")
        said.append(f"{built.gate_activation} gates")
    if isinstance(built, Gru):
        said.append(f"reset gate {settings.reset} the product")
    if built.activation != "tanh":
        said.append(f"{built.activation} cells")
    if isinstance(built, Lstm) and settings.forget_bias:
        said.append(f"forget bias {settings.forget_bias:g}")
    if isinstance(built, Lstm) and built.gives_cell:
        said.append("with its cell state")
    return ", ".join([*said, *["stateful"] * built.stateful])


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("layers", f"{len(found['layers'])}"), *_facts_of_input(found)]
    for each in found.get("inputs", ()):
        numbers = f"{each['size']} numbers{' a step' if each['steps'] else ', one vector'}"
        facts.append((f"input {each['name']}", "tokens" if each["tokens"] else numbers))
        facts += [(f"{key} of {each['name']}", value) for key, value in _facts_of_input(each)]
    says = {
        "regression": "each output is a value",
        "unknown": "no class is predicted but by a softmax or sigmoid",
    }
    if found["task"] in says:
        facts.append(("task", f"{found['task']}: {says[found['task']]}"))
    if found["stateful"] is not None:
        facts.append(
            ("stateful", f"a sequence begins where the one {found['stateful']} before it ended")
        )
    if found["output_scaling"]:
        told = _scaling_text(found["output_scaling"])
        facts.append(("output_scaling", f"{told}: done to the values before training"))
    if found["labels"]:
        facts.append(("labels", ", ".join(found["labels"])))
    return facts


def _facts_of_input(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What is told of the words, the padding and the scaling of an input."""
    facts = []
    if found["vocabulary"]:
        vocabulary = found["vocabulary"]
        unknown = (
            "no token for unknown ones"
            if vocabulary["unknown_id"] is None
            else f"unknown ones are {vocabulary['unknown_token']} (id {vocabulary['unknown_id']})"
        )
        tokens = f"{vocabulary['source']}: {vocabulary['tokens']:,} tokens"
        cut = f", {vocabulary['cut']:,} more cut off" if vocabulary["cut"] else ""
        facts.append(("vocabulary", f"{tokens}{cut}, {unknown}"))
    elif found["tokens"]:
        facts.append(("vocabulary", "none: input is token ids (--ids)"))
    for key in ("tokens", "padding"):
        if found[key]:
            known = dict(found[key])
            not_said = known.pop("not_said", ())
            facts.append(
                (
                    key,
                    ", ".join(
                        f"{name} {_yaml(value)}{' (not said)' * (name in not_said)}"
                        for name, value in known.items()
                    ),
                )
            )
    for each in found["scaling"] or ():
        does = "the model scales" if each["inside"] else "scaled before the model has it"
        facts.append(("scaling", f"{_scaling_text(each)}: {does}"))
    if found["features"]:
        facts.append(("features", ", ".join(found["features"])))
    return facts


def _scaling_text(found: dict[str, Any]) -> str:
    return ", ".join(f"{role} {_few(found[role])}" for role in ("minus", "divide"))


def _few(numbers: list[float]) -> str:
    """Numbers as people read them, the first of many; one where all are alike."""
    few = numbers[:1] if len(set(numbers)) == 1 else numbers[:4]
    more = "" if len(few) == 1 or len(numbers) == len(few) else f" and {len(numbers) - 4} more"
    return ", ".join(f"{number:.4g}" for number in few) + more
