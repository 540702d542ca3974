"""From the mapping of a dense layer to its weights, every shape checked."""

import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.datasets import Datasets, dataset_names
from lstm_lrp_cli.loading.mapping import DenseSpec
from lstm_lrp_cli.loading.weight_file import shape_text
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Dense


def build_dense(spec: DenseSpec, datasets: Datasets, key: str, inputs: int | None) -> Dense:
    """Build a dense layer that the layer before feeds with `inputs` features, where known."""
    names = [spec.weights] if isinstance(spec.weights, str) else spec.weights
    if not names:
        raise UnusableInput(
            datasets.mapping_name, f"{key}.weights: names no dataset; expected one or more"
        )
    parts = [datasets.read(name, f"{key}.weights", 2) for name in names]
    where = datasets.where(" + ".join(names))
    layout = spec.layout or _dense_layout(parts, inputs)
    if layout is None:
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}: `layout` is missing and the shapes leave it open; "
            "set it to classes_by_features (as in PyTorch) or features_by_classes (as in Keras)",
        )
    oriented = parts if layout == "classes_by_features" else [part.T for part in parts]
    if len({part.shape[0] for part in oriented}) > 1:
        raise UnusableInput(
            where, f"the matrices have different numbers of outputs under layout {layout}"
        )
    weights = np.ascontiguousarray(np.concatenate(oriented, axis=1))
    outputs, found = weights.shape
    if inputs is not None and found != inputs:
        other = "features_by_classes" if layout == "classes_by_features" else "classes_by_features"
        mend = f"; set `layout: {other}`" if _dense_layout(parts, inputs) == other else ""
        raise UnusableInput(
            where,
            f"({key}.weights, layout {layout}) takes {found} features, "
            f"the layer before gives {inputs}{mend}",
        )
    bias: Floats | None = None
    names = dataset_names(spec.bias)
    for name in names:
        part = datasets.read(name, f"{key}.bias", 1)
        if len(part) != outputs:
            raise UnusableInput(
                datasets.where(name),
                f"({key}.bias) has {len(part)} values; expected {outputs}, one a class or unit",
            )
        bias = part if bias is None else bias + part
    return Dense(weights, bias)


def build_vector(
    name: str, bias: str | None, datasets: Datasets, key: str, inputs: int | None
) -> Dense:
    """Build a dense layer of one output from a vector, or a matrix of one row or column."""
    stored = datasets.file.datasets.get(name)
    dimensions = 2 if stored is not None and len(stored.shape) == 2 else 1
    vector = datasets.read(name, f"{key}.weights", dimensions)
    if vector.size != max(vector.shape) or (inputs is not None and vector.size != inputs):
        expected = "a vector" if inputs is None else f"a vector of {inputs}"
        raise UnusableInput(
            datasets.where(name),
            f"({key}.weights) has shape {shape_text(vector.shape)}; expected {expected}, one "
            "number a unit of what is weighed",
        )
    offset = None
    if bias is not None:
        offset = datasets.read(bias, f"{key}.bias", 1)
        if len(offset) != 1:
            raise UnusableInput(
                datasets.where(bias), f"({key}.bias) has {len(offset)} values; expected 1"
            )
    return Dense(vector.reshape(1, -1), offset)


def _dense_layout(parts: list[Floats], inputs: int | None) -> str | None:
    """The layout that the shapes alone allow; None where they allow both or neither."""
    if inputs is None:
        return None
    fits_rows = sum(part.shape[0] for part in parts) == inputs
    fits_columns = sum(part.shape[1] for part in parts) == inputs
    if fits_rows == fits_columns:
        return None
    return "classes_by_features" if fits_columns else "features_by_classes"
