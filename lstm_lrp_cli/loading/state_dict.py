"""The model that a PyTorch state dict implies by its names and shapes, as a mapping.

A state dict holds weights by name and no architecture. An `nn.LSTM` shows in its names; one
embedding that feeds it and one linear layer that it feeds leave nothing open but what the linear
layer is given of all steps, which is taken to be the last hidden states. Anything else is asked
for.
"""

import re
from collections.abc import Mapping as Names
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import (
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    Described,
    EmbeddingSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    layers_yaml,
)
from lstm_lrp_cli.loading.weight_file import Stored, WeightFile

# PyTorch keeps (W_ii|W_if|W_ig|W_io), each (hidden, inputs): see torch.nn.LSTM.
GATE_ORDER = ["i", "f", "g", "o"]
LSTM_WEIGHT = re.compile(r"(.*?)weight_ih_l(\d+)(_reverse)?$")

# What nn.BatchNorm1d adds to the variance unless told otherwise; a state dict does not keep it.
NORM_EPSILON = 1e-5
AFFINE = ("weight", "bias")

# Under these keys scripts keep a vocabulary in their checkpoints, and the names of the classes.
VOCABULARIES = frozenset(
    {
        *("vocab", "vocabulary", "stoi", "itos", "tokens", "word_index"),
        *("word2idx", "word2index", "word_to_idx", "word_to_ix", "word_to_id", "token_to_id"),
        *("idx2word", "index2word", "id2word", "id_to_token"),
    }
)
LABELS = frozenset(
    {
        *("labels", "classes", "class_names", "label_names", "label_encoder", "label_map"),
        *("label2id", "id2label", "label_to_idx", "idx_to_label"),
    }
)


def describe(file: WeightFile) -> Described | None:
    """The mapping that a state dict implies; None where it has no LSTM by its name.

    Raises
    ------
    UnusableInput
        There is an LSTM, and more than one model could be made with it: the message asks.
    """
    found = _find(file)
    if found is None:
        return None
    layers = _layers(file, found)
    settings: dict[str, Any] = {}
    rows = file.datasets[found.embedding].shape[0] if found.embedding else 0
    for name, document in file.documents.items():
        key = name.rsplit("/", 1)[-1].lower()
        if key in VOCABULARIES and _spans(document, rows):
            settings.setdefault("vocabulary", name)
        elif key in LABELS:
            labels = _labels(document, file.datasets[found.denses[0]].shape[0])
            if labels:
                settings.setdefault("labels", labels)
    origin = f"names and shapes in {file.path.name}"
    described = Described.by(Mapping(format=1, layers=layers, **settings), origin)
    assumed = {"layers": f"{origin}; that the last hidden states are used is assumed"}
    return Described(described.mapping, described.origins | assumed)


class _Found(Struct, frozen=True):
    """What a state dict's names show: LSTM prefixes, and what is no part of an LSTM.

    `norms` are the prefixes of batch normalizations; `order` is that of all names in the file.
    """

    prefixes: list[str]
    embedding: str | None
    denses: list[str]
    norms: list[str]
    others: list[str]
    order: list[str]


def _find(file: WeightFile) -> _Found | None:
    datasets = file.datasets
    matches = [match for name in datasets if (match := LSTM_WEIGHT.match(name))]
    prefixes = list(dict.fromkeys(match[1] for match in matches if _is_lstm(datasets, match[0])))
    if not prefixes:
        return None
    inputs = datasets[f"{prefixes[0]}weight_ih_l0"].shape[-1]
    others = [
        name
        for name, stored in datasets.items()
        if not name.startswith(tuple(prefixes))
        and not stored.dtype.startswith(("int", "uint", "bool"))
        and "/" not in name  # beside the state dict: an optimizer's
    ]
    if "" in prefixes:
        others = [n for n in datasets if not re.search(r"(weight|bias)_(ih|hh|hr)_l\d+", n)]
    matrices = [n for n in others if len(datasets[n].shape) == 2 and n.endswith("weight")]
    unbiased = [n for n in matrices if not _bias_of(n, datasets)]
    embeddings = [n for n in unbiased if datasets[n].shape[1] == inputs]
    named = [n for n in embeddings if "emb" in n.lower()] or embeddings
    embedding = named[0] if len(named) == 1 else None
    denses = [name for name in matrices if name != embedding]
    norms = [n.removesuffix("running_mean") for n in others if n.endswith("running_mean")]
    norms = [prefix for prefix in norms if f"{prefix}running_var" in datasets]
    parts = {
        f"{prefix}{part}" for prefix in norms for part in ("running_mean", "running_var", *AFFINE)
    }
    used = {embedding, *denses, *(_bias_of(name, datasets) for name in denses), *parts}
    unused = [name for name in others if name not in used]
    return _Found(prefixes, embedding, denses, norms, unused, list(datasets))


def _is_lstm(datasets: Names[str, Stored], name: str) -> bool:
    """Whether it has four gates: a GRU, with three, has the same names."""
    recurrent = datasets.get(name.replace("weight_ih", "weight_hh"))
    projected = name.replace("weight_ih", "weight_hr") in datasets
    if recurrent is None or len(recurrent.shape) != 2:
        return False
    return projected or recurrent.shape[0] == 4 * recurrent.shape[1]


def _bias_of(weight: str, datasets: Names[str, Stored]) -> str | None:
    bias = weight.removesuffix("weight") + "bias"
    return bias if bias in datasets else None


def _layers(file: WeightFile, found: _Found) -> list[LayerSpec]:
    datasets = file.datasets
    prefix = found.prefixes[0]
    lstms = _lstms(datasets, prefix)
    embedding = [LayerSpec(embedding=EmbeddingSpec(found.embedding))] if found.embedding else []
    width = datasets[f"{prefix}weight_hh_l0"].shape[1]
    directions = 2 if f"{prefix}weight_ih_l0_reverse" in datasets else 1
    behind = {
        name: LayerSpec(
            dense=DenseSpec(name, layout="classes_by_features", bias=_bias_of(name, datasets))
        )
        for name in found.denses
    } | {f"{norm}running_mean": _norm(datasets, norm) for norm in found.norms}
    layers = [*embedding, *lstms, *(behind[name] for name in found.order if name in behind)]
    problems = []
    if len(found.prefixes) > 1:
        problems.append(f"there are {len(found.prefixes)} LSTMs ({', '.join(found.prefixes)})")
    if len(found.denses) != 1:
        problems.append(
            f"there are {len(found.denses)} linear layers ({', '.join(found.denses)})"
            if found.denses
            else "there is no linear layer behind the LSTM"
        )
    elif datasets[found.denses[0]].shape[1] != directions * width:
        problems.append(
            f"`{found.denses[0]}` takes {datasets[found.denses[0]].shape[1]} features, the LSTM "
            f"gives {directions * width}"
        )
    if found.norms:
        problems.append(f"nothing says where batch normalization ({', '.join(found.norms)}) stands")
    if found.others:
        problems.append(f"nothing says what {', '.join(found.others[:5])} are for")
    if problems:
        raise UnusableInput(
            str(file.path),
            "names and shapes leave the model open: "
            + "; ".join(problems)
            + f". Mend this and save it as {file.path.with_suffix('.yaml').name}:",
            layers_yaml(layers),
        )
    return layers


def _norm(datasets: Names[str, Stored], prefix: str) -> LayerSpec:
    scale, offset = (
        f"{prefix}{part}" if f"{prefix}{part}" in datasets else None for part in AFFINE
    )
    return LayerSpec(
        batch_norm=BatchNormSpec(
            f"{prefix}running_mean", f"{prefix}running_var", scale, offset, NORM_EPSILON
        )
    )


def _lstms(datasets: Names[str, Stored], prefix: str) -> list[LayerSpec]:
    """One layer for each of an nn.LSTM; all but the last return every step."""
    depth = sum(f"{prefix}weight_ih_l{k}" in datasets for k in range(len(datasets)))

    def cell(suffix: str) -> CellSpec | None:
        if f"{prefix}weight_ih_l{suffix}" not in datasets:
            return None
        biases = [f"{prefix}bias_{kind}_l{suffix}" for kind in ("ih", "hh")]
        present: list[Any] = [name for name in biases if name in datasets]
        projection = f"{prefix}weight_hr_l{suffix}"
        return CellSpec(
            f"{prefix}weight_ih_l{suffix}",
            f"{prefix}weight_hh_l{suffix}",
            bias=present or None,
            projection=projection if projection in datasets else None,
        )

    return [
        LayerSpec(
            lstm=LstmSpec(
                gate_order=GATE_ORDER,
                layout="gates_by_features",
                forward=cell(str(k)),
                backward=cell(f"{k}_reverse"),
                returns="last" if k == depth - 1 else "sequence",
            )
        )
        for k in range(depth)
    ]


def _spans(document: Any, rows: int) -> bool:
    """Whether a vocabulary has as many ids as the embedding has rows."""
    if isinstance(document, list | tuple):
        return len(document) == rows
    if not isinstance(document, dict):
        return False
    numbers = [value for value in document.values() if type(value) is int]
    return len(numbers) == len(document) and max(numbers, default=-1) + 1 == rows


def _labels(document: Any, scores: int) -> list[str | int | float] | None:
    """The classes' names in their order, of a list or of a mapping either way round."""
    if isinstance(document, dict):
        names = document
        if all(type(value) is int for value in document.values()):
            names = {number: name for name, number in document.items()}
        numbers = range(len(names))
        document = [names[k] for k in numbers] if set(names) == set(numbers) else None
    # One score may be that of the second of two classes.
    if not isinstance(document, list | tuple) or len(document) not in (scores, max(scores, 2)):
        return None
    return list(document) if all(isinstance(name, str) for name in document) else None
