"""The result of `lrp inspect` as tables or as JSON."""

import math
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.loading.datasets import dataset_names
from lstm_lrp_cli.loading.load import Contents, LoadedModel
from lstm_lrp_cli.loading.mapping import CellSpec, LayerSpec
from lstm_lrp_cli.model.layers import Dense, Embedding, Layer, Lstm
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.console import open_console
from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.reporting.printable import printable


def inspection(loaded: LoadedModel) -> dict[str, Any]:
    """All that is known of a model, as JSON has it."""
    model, contents = loaded.model, loaded.contents
    mapping = contents.described.mapping
    vocabulary = model.vocabulary
    unknown = vocabulary.unknown_id if vocabulary else None
    layers = [_layer(spec, built, contents) for spec, built in _pairs(loaded)]
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
        "labels": model.labels,
        "vocabulary": vocabulary
        and {
            "source": mapping.vocabulary,
            "tokens": vocabulary.size,
            "unknown_id": unknown,
            "unknown_token": None if unknown is None else vocabulary.tokens.get(unknown),
        },
        "tokens": msgspec.to_builtins(model.tokenization) if model.embedding else None,
        "padding": msgspec.to_builtins(model.padding),
        "unused": loaded.unused,
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
    for name, stored in contents.datasets.items():
        shape = ", ".join(map(str, stored.shape))
        table.add_row(Text(printable(name)), f"({shape})", stored.dtype)
    open_console(file).print(table)


def print_inspection(loaded: LoadedModel, file: TextIO) -> None:
    """Print the layers, what was inferred and from what, and what was left unused."""
    console = open_console(file)
    contents, found = loaded.contents, inspection(loaded)
    layers = _table(
        f"{contents.path} ({contents.format})", "layer", "what it is", "datasets", "parameters"
    )
    layers.columns[-1].justify = "right"
    for layer in found["layers"]:
        datasets = "\n".join(printable(dataset) for dataset in layer["datasets"])
        layers.add_row(layer["kind"], layer["what"], Text(datasets), f"{layer['parameters']:,}")
    behind = found["output_activation"]
    after = "" if behind == "linear" else f", before the {behind}"
    each = " at every step" if found["by_step"] else ""
    outputs = counted(found["outputs"], "output") + each + after
    layers.add_row("scores", outputs, "", f"{found['parameters']:,}", style="bold")
    console.print(layers)

    facts = _table(None, "what", "value", "from")
    for key, value in _facts(found):
        facts.add_row(key, Text(printable(value)), Text(found["origins"].get(key, "")))
    if facts.row_count:
        console.print(facts)
    if loaded.unused:
        shown = [printable(f"{name} {contents.datasets[name]}") for name in loaded.unused[:10]]
        more = len(loaded.unused) - len(shown)
        rest = f" and {more} more" if more else ""
        console.print(f"unused datasets: {', '.join(shown)}{rest}", markup=False)


def _activation(model: Model) -> str:
    """What the framework applies to the scores, of all heads."""
    return ", ".join(dict.fromkeys(head.activation for head in model.heads))


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pairs(loaded: LoadedModel) -> Iterator[tuple[LayerSpec, Layer | None]]:
    """Each layer of the mapping with what was built from its weights, if it has any."""
    with_weights = (
        layer for layer in loaded.model.layers if isinstance(layer, Embedding | Lstm | Dense)
    )
    for spec in loaded.contents.described.mapping.layers or []:
        has_weights = spec.kind in ("embedding", "lstm", "dense")
        yield spec, next(with_weights) if has_weights else None


def _layer(spec: LayerSpec, built: Layer | None, contents: Contents) -> dict[str, Any]:
    match built:
        case Embedding():
            rows, dimensions = built.weights.shape
            what = f"{rows:,} tokens, {dimensions} dimensions"
        case Lstm():
            what = _lstm(spec, built)
        case Dense():
            outputs, inputs = built.weights.shape
            bias = "no bias" if built.bias is None else "bias"
            activation = spec.dense.activation if spec.dense else "linear"
            what = f"{inputs} to {outputs} units, {bias}, {activation}"
        case _:
            what = spec.pool or spec.activation or ""
    names = dict.fromkeys(_names(spec))
    return {
        "kind": spec.kind,
        "what": what,
        "datasets": [f"{name} {contents.datasets[name]}" for name in names],
        "parameters": sum(math.prod(contents.datasets[name].shape) for name in names),
    }


def _lstm(spec: LayerSpec, built: Lstm) -> str:
    directions = " and ".join("backward" if cell.backward else "forward" for cell in built.cells)
    merged = f", merge {built.merge}" if len(built.cells) > 1 else ""
    order = spec.lstm.gate_order if spec.lstm else None
    gates = f"gate order {', '.join(order)}" if order else "weights by gate"
    forget = (
        f", forget bias {spec.lstm.forget_bias:g}" if spec.lstm and spec.lstm.forget_bias else ""
    )
    return (
        f"{built.cells[0].hidden_size} units, {directions}{merged}, returns {built.returns}, "
        f"{gates}, {built.gate_activation} gates{forget}"
    )


def _names(spec: LayerSpec) -> list[str]:
    """The datasets that a layer of the mapping names."""
    if spec.embedding is not None:
        return [spec.embedding.weights]
    if spec.dense is not None:
        return [*dataset_names(spec.dense.weights), *dataset_names(spec.dense.bias)]
    if spec.lstm is not None:
        cells: list[CellSpec | None] = [spec.lstm.forward, spec.lstm.backward]
        return [
            name
            for cell in cells
            if cell is not None
            for reference in (cell.input, cell.recurrent, cell.bias)
            for name in dataset_names(reference)
        ]
    return []


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("layers", f"{len(found['layers'])}")]
    if found["vocabulary"]:
        vocabulary = found["vocabulary"]
        unknown = (
            "no token for unknown ones"
            if vocabulary["unknown_id"] is None
            else f"unknown ones are {vocabulary['unknown_token']} (id {vocabulary['unknown_id']})"
        )
        facts.append(
            ("vocabulary", f"{vocabulary['source']}: {vocabulary['tokens']:,} tokens, {unknown}")
        )
    elif found["tokens"]:
        facts.append(("vocabulary", "none: input is token ids (--ids)"))
    for key in ("tokens", "padding"):
        if found[key]:
            said = ", ".join(f"{name} {value}" for name, value in found[key].items())
            facts.append((key, said))
    if found["labels"]:
        facts.append(("labels", ", ".join(found["labels"])))
    return facts
