"""The result of `lrp inspect` as tables or as JSON."""

from typing import Any, TextIO

import msgspec
from rich.table import Table

from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.loading.weight_file import shape_text
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Layer, Lstm, Pool
from lstm_lrp_cli.reporting.console import open_console


def inspection(loaded: LoadedModel) -> dict[str, Any]:
    """All that is known of a model, as JSON has it."""
    model, described = loaded.model, loaded.described
    vocabulary = model.vocabulary
    return {
        "model": str(loaded.path),
        "format": loaded.format,
        "mapping": str(loaded.mapping_path) if loaded.mapping_path else None,
        "origins": described.origins,
        "layers": [_layer(layer) for layer in model.layers],
        "parameters": sum(_parameters(layer) for layer in model.layers),
        "outputs": model.classes,
        "output_activation": model.output_activation,
        "labels": model.labels,
        "vocabulary": None
        if vocabulary is None
        else {
            "source": described.mapping.vocabulary,
            "tokens": vocabulary.size,
            "unknown_id": vocabulary.unknown_id,
            "unknown_token": vocabulary.tokens.get(vocabulary.unknown_id)
            if vocabulary.unknown_id is not None
            else None,
        },
        "tokens": msgspec.to_builtins(model.tokenization) if model.embedding else None,
        "padding": msgspec.to_builtins(model.padding),
        "gate_orders": [
            layer.lstm.gate_order
            for layer in (described.mapping.layers or [])
            if layer.lstm is not None
        ],
        "datasets": {name: str(stored) for name, stored in loaded.datasets.items()},
        "unused": loaded.unused,
    }


def inspection_json(loaded: LoadedModel) -> str:
    document = msgspec.json.encode(inspection(loaded))
    return msgspec.json.format(document, indent=2).decode() + "\n"


def print_inspection(loaded: LoadedModel, file: TextIO) -> None:
    """Print the layers, what was inferred and from what, and what was left unused."""
    console = open_console(file)
    found = inspection(loaded)
    layers = Table(title=f"{loaded.path} ({loaded.format})", title_justify="left")
    layers.add_column("layer")
    layers.add_column("what it is", overflow="fold")
    layers.add_column("shapes", overflow="fold")
    layers.add_column("parameters", justify="right")
    for layer in found["layers"]:
        layers.add_row(
            layer["kind"], layer["what"], "\n".join(layer["shapes"]), f"{layer['parameters']:,}"
        )
    layers.add_row("scores", _scores(found), "", f"{found['parameters']:,}", style="bold")
    console.print(layers)

    facts = Table(show_header=True)
    facts.add_column("what")
    facts.add_column("value", overflow="fold")
    facts.add_column("from", overflow="fold")
    for key, value in _facts(found):
        facts.add_row(key, value, found["origins"].get(key.replace("gate order", "layers"), ""))
    console.print(facts)
    if loaded.unused:
        unused = [f"{name} {loaded.datasets[name]}" for name in loaded.unused]
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
        console.print(f"unused datasets: {', '.join(unused[:10])}{more}", markup=False)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("layers", f"{len(found['layers'])}")]
    orders = [", ".join(order) if order else "per gate" for order in found["gate_orders"]]
    facts.append(("gate order", "; ".join(orders)))
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


def _scores(found: dict[str, Any]) -> str:
    behind = found["output_activation"]
    after = "" if behind == "linear" else f", before the {behind}"
    return f"{found['outputs']} output{'s' * (found['outputs'] != 1)}{after}"


def _layer(layer: Layer) -> dict[str, Any]:
    match layer:
        case Embedding():
            what = f"{layer.weights.shape[0]:,} tokens, {layer.weights.shape[1]} dimensions"
            arrays = {"weights": layer.weights}
        case Lstm():
            directions = " and ".join(
                "backward" if cell.backward else "forward" for cell in layer.cells
            )
            merged = f", merged by {layer.merge}" if len(layer.cells) > 1 else ""
            what = (
                f"{layer.cells[0].hidden_size} units, {directions}{merged}, "
                f"returns {layer.returns}, gates {layer.gate_activation}"
            )
            arrays = {
                f"{'backward' if cell.backward else 'forward'} {name}": getattr(cell, name)
                for cell in layer.cells
                for name in ("input", "recurrent", "bias")
            }
        case Dense():
            bias = "no bias" if layer.bias is None else "bias"
            what = f"{layer.weights.shape[1]} to {layer.weights.shape[0]} units, {bias}"
            arrays = {"weights": layer.weights}
            if layer.bias is not None:
                arrays["bias"] = layer.bias
        case Pool() | Activation():
            what, arrays = layer.kind, {}
    return {
        "kind": type(layer).__name__.lower(),
        "what": what,
        "shapes": [f"{name} {shape_text(array.shape)}" for name, array in arrays.items()],
        "parameters": _parameters(layer),
    }


def _parameters(layer: Layer) -> int:
    match layer:
        case Embedding():
            return int(layer.weights.size)
        case Lstm():
            return sum(c.input.size + c.recurrent.size + c.bias.size for c in layer.cells)
        case Dense():
            return int(layer.weights.size + (0 if layer.bias is None else layer.bias.size))
        case Pool() | Activation():
            return 0
