"""The graph of an ONNX file as a mapping: each operator is followed for what it does.

A node's inputs are constants, shapes, or signals: tensors whose every axis has a meaning. Operators
that move numbers about change that meaning, and the others become layers. What is not understood is
refused by the node's operator and name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, get_args

import msgspec
import numpy as np
from msgspec import UNSET

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import (
    MODEL_INPUT,
    BatchNormSpec,
    DenseSpec,
    Described,
    EmbeddingSpec,
    LayerSpec,
    Mapping,
    PaddingSpec,
)
from lstm_lrp_cli.loading.onnx_arrays import (
    ARRAY_OPS,
    DTYPES,
    Array,
    Copies,
    Dim,
    Known,
    OnnxNode,
    Size,
    Zeros,
    argument,
    axis_of,
    part_of_shape,
    resolved,
    slices,
    split_sizes,
)
from lstm_lrp_cli.loading.onnx_file import DAMAGED, OnnxFile, OnnxInput, column_name, vector_name
from lstm_lrp_cli.loading.onnx_lstm import OnnxLstm, activation, read_lstm
from lstm_lrp_cli.loading.onnx_signal import (
    BATCH,
    FEATURE,
    STACK,
    TIME,
    Part,
    Signal,
    is_reversal,
    total,
)
from lstm_lrp_cli.model.layers import ActivationName, MergeName, PoolName

Value = Known | Zeros | Copies | Signal
# The model's input before an embedding.
RAW_INPUT = ""

# What the axes of an input may mean, by its kind and how many there are: batch first is tried first.
AXES: dict[tuple[bool, int], list[tuple[str, ...]]] = {
    (True, 1): [(TIME,)],
    (True, 2): [(BATCH, TIME), (TIME, BATCH)],
    (False, 1): [(TIME,)],
    (False, 2): [(BATCH, TIME), (TIME, BATCH), (TIME, FEATURE)],
    (False, 3): [(BATCH, TIME, FEATURE), (TIME, BATCH, FEATURE), (BATCH, FEATURE, TIME)],
}


def describe(file: OnnxFile) -> Described:
    """Read the graph as a mapping.

    Raises
    ------
    UnusableInput
        A node that lrp cannot follow, named.
    """
    nodes = _live(file)
    if not any(node.op == "LSTM" for node in nodes):
        raise UnusableInput(
            str(file.path),
            f"its graph has no LSTM node: what exported it ({file.producer or 'unknown'}) took the "
            "LSTM apart into other operators; export from PyTorch by torch.onnx.export(..., "
            "dynamo=False), from Keras save .keras or .h5",
        )
    entry = _input(file, nodes)
    is_ids = entry.dtype.startswith(("int", "uint"))
    candidates = AXES.get((is_ids, len(entry.sizes)))
    if candidates is None:
        raise UnusableInput(
            f"{file.path}: input `{entry.name}`",
            f"has {len(entry.sizes)} axes of {entry.dtype}; expected ids of sequences and steps, "
            "or numbers of sequences, steps and features",
        )
    errors: list[UnusableInput] = []
    for axes in candidates:
        follower = _Follower(file, entry, axes)
        try:
            mapping = follower.mapping(nodes)
        except UnusableInput as error:
            if follower.lstms:
                raise
            errors.append(error)  # axes that mean something else may fit
        else:
            return Described.by(mapping, f"the graph in {file.path.name}")
    raise errors[0]


def _live(file: OnnxFile) -> list[OnnxNode]:
    """The nodes that the outputs depend on."""
    needed = set(file.outputs)
    live = []
    for node in reversed(file.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]


def _input(file: OnnxFile, nodes: list[OnnxNode]) -> OnnxInput:
    taken = {name for node in nodes for name in node.inputs}
    entries = [entry for entry in file.inputs if entry.name in taken]
    if len(entries) != 1:
        names = ", ".join(entry.name for entry in entries) or "none"
        raise UnusableInput(
            str(file.path),
            f"its graph takes {len(entries)} inputs ({names}); expected the sequences alone: export "
            "the model without lengths and states",
        )
    return entries[0]
