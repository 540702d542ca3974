"""The model that a PyTorch state dict implies by its names and shapes, as a mapping.

A state dict holds weights by name and no architecture. An `nn.LSTM` shows in its names; one
embedding that feeds it and one linear layer that it feeds leave nothing open but what the linear
layer is given of all steps, which is taken to be the last hidden states. Anything else is asked
for.
"""

import re
from collections.abc import Iterator
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
from lstm_lrp_cli.loading.weight_file import Stored, WeightFile, shape_text
from lstm_lrp_cli.model.layers import Returns

# PyTorch keeps (W_ii|W_if|W_ig|W_io), each (hidden, inputs): see torch.nn.LSTM.
GATE_ORDER = ["i", "f", "g", "o"]
LSTM_WEIGHT = re.compile(r"(.*?)weight_ih_l(\d+)(_reverse)?$")
# The same, and what nn.LSTMCell, nn.GRUCell and nn.RNNCell call theirs.
RECURRENT_WEIGHT = re.compile(r"(.*?)weight_ih(?:_l\d+(?:_reverse)?)?$")
# How many matrices are stacked in cells that are no LSTM's.
OTHER_CELLS = {3: "a GRU (3d, d)", 1: "a plain RNN (d, d)"}

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
    rows = file.datasets[found.embeddings[0]].shape[0] if found.embeddings else 0
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
    embeddings: list[str]
    denses: list[str]
    norms: list[str]
    others: list[str]
    order: list[str]


def _find(file: WeightFile) -> _Found | None:
    datasets = file.datasets
    prefixes: list[str] = []
    for name in datasets:
        match = RECURRENT_WEIGHT.match(name)
        gates = _gates(datasets, name) if match else None
        if match and gates == 4 and name == f"{match[1]}weight_ih_l0":
            prefixes.append(match[1])
        elif gates in OTHER_CELLS:
            raise _no_lstm(file, name, gates)
    if not prefixes:
        return None
    parts_of_lstms = re.compile(
        rf"({'|'.join(map(re.escape, prefixes))})(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?"
    )
    others = [
        name
        for name, stored in datasets.items()
        if not parts_of_lstms.fullmatch(name)
        and not stored.dtype.startswith(("int", "uint", "bool"))
        and "/" not in name  # beside the state dict: an optimizer's
    ]
    matrices = [n for n in others if len(datasets[n].shape) == 2 and n.endswith("weight")]
    embeddings = [n for n in matrices if _is_embedding(n, datasets, prefixes)]
    denses = [name for name in matrices if name not in embeddings]
    norms = [n.removesuffix("running_mean") for n in others if n.endswith("running_mean")]
    norms = [prefix for prefix in norms if f"{prefix}running_var" in datasets]
    parts = {
        f"{prefix}{part}" for prefix in norms for part in ("running_mean", "running_var", *AFFINE)
    }
    used = {*matrices, *(_bias_of(name, datasets) for name in denses), *parts}
    unused = [name for name in others if name not in used]
    return _Found(prefixes, embeddings, denses, norms, unused, list(datasets))


def _gates(datasets: Names[str, Stored], name: str) -> int | None:
    """How many gates a cell has, by the shapes of its two matrices; None where they are no cell's.

    An nn.LSTM, an nn.GRU and an nn.RNN have the same names.
    """
    recurrent = datasets.get(name.replace("weight_ih", "weight_hh"))
    shapes = [stored.shape for stored in (datasets[name], recurrent) if stored is not None]
    if len(shapes) != 2 or any(len(shape) != 2 for shape in shapes):
        return None
    (rows, _), (others, width) = shapes
    if name.replace("weight_ih", "weight_hr") in datasets:
        return 4  # only an LSTM can have a projection
    return rows // width if rows == others and width and rows % width == 0 else None


def _no_lstm(file: WeightFile, name: str, gates: int) -> UnusableInput:
    """The refusal of a cell that no mapping can make an LSTM of."""
    recurrent = name.replace("weight_ih", "weight_hh")
    shape = shape_text(file.datasets[recurrent].shape)
    return UnusableInput(
        f"{file.path}: {recurrent}",
        f"has the shape {shape} of {OTHER_CELLS[gates]}, where an LSTM's is (4d, d); lrp explains "
        "LSTMs, and no mapping can describe another cell as one",
    )


def _is_embedding(name: str, datasets: Names[str, Stored], prefixes: list[str]) -> bool:
    """Whether a matrix is an embedding: one by its name, or one that an LSTM behind it reads."""
    if _bias_of(name, datasets):
        return False
    order = list(datasets)
    return _is_named_embedding(name) or any(
        order.index(name) < order.index(f"{prefix}weight_ih_l0")
        and datasets[name].shape[1] == datasets[f"{prefix}weight_ih_l0"].shape[1]
        for prefix in prefixes
    )


def _is_named_embedding(name: str) -> bool:
    return "emb" in name.lower()


def _bias_of(weight: str, datasets: Names[str, Stored]) -> str | None:
    bias = weight.removesuffix("weight") + "bias"
    return bias if bias in datasets else None


def _layers(file: WeightFile, found: _Found) -> list[LayerSpec]:
    """The layers, each of which stands in the mapping that is drafted where they leave it open."""
    drafted = _drafted(file.datasets, found)
    problems = list(_open(file.datasets, found))
    if problems:
        raise UnusableInput(
            str(file.path),
            "names and shapes leave the model open: "
            + "; ".join(problems)
            + f". Mend this and save it as {file.path.with_suffix('.yaml').name}:",
            layers_yaml([layer for layer, _ in drafted], [note for _, note in drafted]),
        )
    return [layer for layer, _ in drafted]


def _open(datasets: Names[str, Stored], found: _Found) -> Iterator[str]:
    """What names and shapes leave open, in words."""
    read = f"{found.prefixes[0]}weight_ih_l0"
    inputs = datasets[read].shape[1]
    embedding = found.embeddings[0] if found.embeddings else None
    given = datasets[embedding].shape[1] if embedding else inputs
    if len(found.embeddings) > 1:
        yield (
            f"there are {len(found.embeddings)} embeddings ({', '.join(found.embeddings)}), of "
            "which a mapping takes one"
        )
    elif given < inputs:
        yield (
            f"`{embedding}`, an embedding, gives {given} of the {inputs} features that `{read}` "
            "takes, and a mapping cannot join it with others"
        )
    elif given > inputs:
        yield f"`{embedding}`, an embedding, gives {given} features, `{read}` takes {inputs}"
    elif embedding and not _is_named_embedding(embedding):
        rows, columns = datasets[embedding].shape
        if rows == columns:
            yield f"`{embedding}` is an embedding or a linear layer"
    if len(found.prefixes) > 1:
        yield f"there are {len(found.prefixes)} LSTMs ({', '.join(found.prefixes)})"
    if len(found.denses) != 1:
        yield (
            f"there are {len(found.denses)} linear layers ({', '.join(found.denses)})"
            if found.denses
            else "there is no linear layer behind the LSTM"
        )
    elif datasets[found.denses[0]].shape[1] != _width(datasets, found.prefixes[-1]):
        yield (
            f"`{found.denses[0]}` takes {datasets[found.denses[0]].shape[1]} features, the LSTM "
            f"gives {_width(datasets, found.prefixes[-1])}"
        )
    if found.norms:
        yield f"nothing says where batch normalization ({', '.join(found.norms)}) stands"
    if found.others:
        yield f"nothing says what {', '.join(found.others[:5])} are for"


def _drafted(datasets: Names[str, Stored], found: _Found) -> list[tuple[LayerSpec, str]]:
    """Every layer in the file's order, each with what of it is a guess.

    Of what the shapes don't settle, the file's order is the likeliest: modules stand in it as
    scripts make them. Only what must come first does: the embedding that is fed the tokens.
    """
    entries: dict[str, list[tuple[LayerSpec, str]]] = {}
    for name in found.embeddings:
        note = "an embedding, by its " + ("name" if _is_named_embedding(name) else "shape")
        entries[name] = [(LayerSpec(embedding=EmbeddingSpec(name)), note)]
    for prefix in found.prefixes:
        last = prefix == found.prefixes[-1]
        lstms = _lstms(datasets, prefix, returns="last" if last else "sequence")
        note = "the last hidden states are used" if last else "every step's output is used"
        entries[f"{prefix}weight_ih_l0"] = [*((each, "") for each in lstms[:-1]), (lstms[-1], note)]
    for name in found.denses:
        dense = DenseSpec(name, layout="classes_by_features", bias=_bias_of(name, datasets))
        entries[name] = [(LayerSpec(dense=dense), "a linear layer, and no activation behind it")]
    for norm in found.norms:
        entries[f"{norm}running_mean"] = [(_norm(datasets, norm), "epsilon, and where it stands")]
    order = [*found.embeddings[:1], *found.order]
    places = [name for name in dict.fromkeys(order) if name in entries]
    return [entry for name in places for entry in entries[name]]


def _width(datasets: Names[str, Stored], prefix: str) -> int:
    """How many features an nn.LSTM gives."""
    directions = 2 if f"{prefix}weight_ih_l0_reverse" in datasets else 1
    return directions * datasets[f"{prefix}weight_hh_l0"].shape[1]


def _norm(datasets: Names[str, Stored], prefix: str) -> LayerSpec:
    scale, offset = (
        f"{prefix}{part}" if f"{prefix}{part}" in datasets else None for part in AFFINE
    )
    return LayerSpec(
        batch_norm=BatchNormSpec(
            f"{prefix}running_mean", f"{prefix}running_var", scale, offset, NORM_EPSILON
        )
    )


def _lstms(datasets: Names[str, Stored], prefix: str, returns: Returns) -> list[LayerSpec]:
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
                returns=returns if k == depth - 1 else "sequence",
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


def _labels(document: Any, classes: int) -> list[str | int | float] | None:
    """The classes' names in their order, of a list or of a mapping either way round."""
    if isinstance(document, dict):
        names = document
        if all(type(value) is int for value in document.values()):
            names = {number: name for name, number in document.items()}
        document = [names[k] for k in range(classes)] if set(names) == set(range(classes)) else None
    if not isinstance(document, list | tuple) or len(document) != classes:
        return None
    return list(document) if all(isinstance(name, str) for name in document) else None
