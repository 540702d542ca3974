"""The model that a PyTorch state dict implies by its names and shapes, as a mapping.

A state dict holds weights by name and no architecture. An `nn.LSTM` shows in its names, and its
embedding and linear layers in names and shapes. What they leave open is a `_Question`: one whose
likeliest answer is nearly always right is told, any other is asked, by a draft of the mapping. The
draft is the likeliest model, so saving it as it is and `--assume` come to the same.
"""

import itertools
import re
from collections.abc import Iterator
from collections.abc import Mapping as Names
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.array_file import ArrayFile, Stored, shape_text
from lstm_lrp_cli.loading.mapping.schema import (
    Assumption,
    AttentionSpec,
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    Described,
    DraftedLayer,
    EmbeddingSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    layers_yaml,
)
from lstm_lrp_cli.model.layers import PoolName, Returns

# PyTorch keeps (W_ii|W_if|W_ig|W_io), each (hidden, inputs): see torch.nn.LSTM.
GATE_ORDER = ["i", "f", "g", "o"]
FIRST_WEIGHT = re.compile(r".*?weight_ih_l0$")
# What nn.LSTM, nn.GRU and nn.RNN call theirs, of each layer and direction, and the same of a cell.
RECURRENT_WEIGHT = re.compile(r"(.*?)weight_ih(?:_l\d+(?:_reverse)?)?$")
# How many matrices are stacked in cells that are no LSTM's.
OTHER_CELLS = {3: "a GRU (3d, d)", 1: "a plain RNN (d, d)"}

# What the output layer of a tagger is called, as hidden2tag; no stage and no vintage.
TAGS = re.compile(r"(?<![a-z])tag(?!e)|to_?tag")

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


class _Question(Struct, frozen=True):
    """What names and shapes leave open of a model.

    Parameters
    ----------
    text : str
        What is open, as a clause.
    likeliest : str or None
        What the draft takes, as a clause; None where nothing is likelier than all else.
    is_safe : bool
        Whether that is nearly always right, so that it is told and not asked.
    is_searched : bool
        Whether `lrp match` tries other answers.
    """

    text: str
    likeliest: str | None = None
    is_safe: bool = False
    is_searched: bool = False


def describe(file: ArrayFile, assume: bool) -> Described | None:
    """The mapping that a state dict implies; None where it has no LSTM by its name.

    Parameters
    ----------
    assume : bool
        Whether to take the likeliest model where more than one could be meant.

    Raises
    ------
    UnusableInput
        There is an LSTM, and more than one model could be made with it: the message asks.
    """
    found = _find(file)
    if found is None:
        return None
    drafted = _drafted(file.datasets, found)
    questions = list(_questions(file.datasets, found))
    beside = Mapping(format=1, **_settings_beside(file, found))
    asked = [question for question in questions if not question.is_safe]
    is_likely = all(question.likeliest for question in asked)
    if asked and not (assume and is_likely):
        raise UnusableInput(
            str(file.path),
            "names and shapes leave the model open: "
            + "; ".join(question.text for question in asked)
            + f". {_ways_out(file, asked, is_likely)}:",
            layers_yaml(drafted, beside),
        )
    assumed = [
        Assumption("layers", question.likeliest) for question in questions if question.likeliest
    ]
    mapping = replace(beside, layers=[each.layer for each in drafted])
    return Described.by(mapping, f"names and shapes in {file.path.name}", assumed)


def _ways_out(file: ArrayFile, asked: list[_Question], is_likely: bool) -> str:
    """What a user can do about questions, up to the draft."""
    saved = f"save it as {file.path.with_suffix('.yaml').name}"
    if not is_likely:
        return f"No answer is likelier than all others (--assume takes none): mend this and {saved}"
    likeliest = "; ".join(str(question.likeliest) for question in asked)
    is_searched = any(question.is_searched for question in asked)
    search = ", find what gives your own scores by `lrp match`" if is_searched else ""
    return f"Take the likeliest by --assume ({likeliest}){search}, or choose here and {saved}"


def _settings_beside(file: ArrayFile, found: "_FoundModule") -> dict[str, Any]:
    """The vocabulary and the labels that a script keeps in its checkpoint, where they fit."""
    settings: dict[str, Any] = {}
    rows = file.datasets[found.embeddings[0]].shape[0] if found.embeddings else 0
    classes = file.datasets[found.behind[-1]].shape[0] if found.behind else 0
    for name, document in file.documents.items():
        key = name.rsplit("/", 1)[-1].lower()
        if key in VOCABULARIES and _spans(document, rows):
            settings.setdefault("vocabulary", name)
        elif key in LABELS:
            labels = _labels(document, classes)
            if labels:
                settings.setdefault("labels", labels)
    return settings


class _FoundModule(Struct, frozen=True):
    """What a state dict's names show: LSTM prefixes, and what is no part of an LSTM.

    `norms` are the prefixes of batch normalizations. `order` is that in which the layers are taken
    to stand, by names of weights; `is_sorted` says that the file's own is that of the alphabet.
    """

    prefixes: list[str]
    embeddings: list[str]
    denses: list[str]
    norms: list[str]
    others: list[str]
    order: list[str]
    is_sorted: bool

    @property
    def last_lstm(self) -> int:
        """Its place in the order."""
        return self.order.index(f"{self.prefixes[-1]}weight_ih_l0")

    @property
    def before(self) -> list[str]:
        """The linear layers before the last LSTM."""
        return [name for name in self.denses if self.order.index(name) < self.last_lstm]

    @property
    def behind(self) -> list[str]:
        """The linear layers behind the last LSTM."""
        return [name for name in self.denses if self.order.index(name) > self.last_lstm]


def _find(file: ArrayFile) -> _FoundModule | None:
    datasets = file.datasets
    prefixes: list[str] = []
    for name in datasets:
        match = RECURRENT_WEIGHT.match(name)
        gates = _gates(datasets, name) if match else None
        if gates == 4 and FIRST_WEIGHT.match(name):
            prefixes.append(name.removesuffix("weight_ih_l0"))
        elif gates in OTHER_CELLS:
            raise _no_lstm(file, name, gates)
    if not prefixes:
        return None
    for name in datasets:
        if re.search(r"(^|\.)in_proj_weight$", name):
            raise UnusableInput(
                f"{file.path}: {name}",
                "is of nn.MultiheadAttention; lrp does not explain attention by dot products, and "
                "no mapping can describe it",
            )
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
    floats = [name for name in datasets if not datasets[name].dtype.startswith(("int", "uint"))]
    is_sorted = floats == sorted(floats)
    embeddings = [n for n in matrices if _is_embedding(n, datasets, prefixes, is_sorted)]
    denses = [name for name in matrices if name not in embeddings]
    norms = [n.removesuffix("running_mean") for n in others if n.endswith("running_mean")]
    norms = [prefix for prefix in norms if f"{prefix}running_var" in datasets]
    parts = {
        f"{prefix}{part}" for prefix in norms for part in ("running_mean", "running_var", *AFFINE)
    }
    used = {*matrices, *(_bias_of(name, datasets) for name in denses), *parts}
    unused = [name for name in others if name not in used]
    order = _order(datasets, prefixes, embeddings, denses, is_sorted)
    denses.sort(key=order.index)
    return _FoundModule(prefixes, embeddings, denses, norms, unused, order, is_sorted)


def _order(
    datasets: Names[str, Stored],
    prefixes: list[str],
    embeddings: list[str],
    denses: list[str],
    is_sorted: bool,
) -> list[str]:
    """The file's order, with linear layers last that fit before no LSTM of those behind them.

    In a file that is sorted by name, as safetensors are, they all stand last.
    """
    order = list(datasets)
    lstms = [f"{prefix}weight_ih_l0" for prefix in prefixes]
    # What a linear layer may be given before an LSTM; without an embedding it may be any input.
    given = {
        *(datasets[name].shape[1] for name in embeddings),
        *(datasets[name].shape[0] for name in denses),
        *(_width(datasets, prefix) for prefix in prefixes[:-1]),
    }

    def feeds_one(name: str) -> bool:
        outputs, inputs = datasets[name].shape
        behind = (each for each in lstms if order.index(each) > order.index(name))
        is_fed = inputs in given or not embeddings
        return is_fed and any(datasets[each].shape[1] == outputs for each in behind)

    last = max(map(order.index, lstms))
    late = [
        name for name in denses if order.index(name) < last and (is_sorted or not feeds_one(name))
    ]
    return [*(name for name in order[: last + 1] if name not in late), *late, *order[last + 1 :]]


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


def _no_lstm(file: ArrayFile, name: str, gates: int) -> UnusableInput:
    """The refusal of a cell that no mapping can make an LSTM of."""
    recurrent = name.replace("weight_ih", "weight_hh")
    shape = shape_text(file.datasets[recurrent].shape)
    return UnusableInput(
        f"{file.path}: {recurrent}",
        f"has the shape {shape} of {OTHER_CELLS[gates]}, where an LSTM's is (4d, d); lrp explains "
        "LSTMs, and no mapping can describe another cell as one",
    )


def _is_embedding(
    name: str, datasets: Names[str, Stored], prefixes: list[str], is_sorted: bool
) -> bool:
    """Whether a matrix is an embedding: one by its name, or one that an LSTM behind it reads.

    In a file that is sorted by name nothing stands behind; it is one that no LSTM feeds.
    """
    if _bias_of(name, datasets):
        return False
    if _is_named_embedding(name):
        return True
    order, columns = list(datasets), datasets[name].shape[1]
    reads = [prefix for prefix in prefixes if datasets[f"{prefix}weight_ih_l0"].shape[1] == columns]
    if is_sorted:
        return bool(reads) and all(_width(datasets, prefix) != columns for prefix in prefixes)
    return any(order.index(name) < order.index(f"{prefix}weight_ih_l0") for prefix in reads)


def _is_named_embedding(name: str) -> bool:
    return "emb" in name.lower()


def _bias_of(weight: str, datasets: Names[str, Stored]) -> str | None:
    bias = weight.removesuffix("weight") + "bias"
    return bias if bias in datasets else None


def _questions(datasets: Names[str, Stored], found: _FoundModule) -> Iterator[_Question]:
    """Everything that names and shapes leave open."""
    yield from _of_embedding(datasets, found)
    yield from _of_lstms(datasets, found)
    yield from _of_dense_layers(datasets, found)
    if found.norms:
        norms = ", ".join(found.norms)
        yield _Question(
            f"nothing says where batch normalization ({norms}) stands",
            f"batch normalization ({norms}) stands where the file lists it, with epsilon "
            f"{NORM_EPSILON:g}"
            if _norms_fit(datasets, found) and not found.is_sorted
            else None,
        )
    convolutions = [name for name in found.others if len(datasets[name].shape) > 2]
    if convolutions:
        yield _Question(
            f"a mapping cannot describe convolutions, which {', '.join(convolutions[:5])} are by "
            "their shapes"
        )
    others = {*found.others} - {*convolutions, *(_bias_of(name, datasets) for name in convolutions)}
    if others:
        named = [name for name in found.others if name in others]
        yield _Question(f"nothing says what {', '.join(named[:5])} are for")


def _of_embedding(datasets: Names[str, Stored], found: _FoundModule) -> Iterator[_Question]:
    read = f"{found.prefixes[0]}weight_ih_l0"
    inputs = datasets[read].shape[1]
    embedding = found.embeddings[0] if found.embeddings else None
    given = datasets[embedding].shape[1] if embedding else inputs
    if len(found.embeddings) > 1:
        yield _Question(
            f"there are {len(found.embeddings)} embeddings ({', '.join(found.embeddings)}), of "
            "which a mapping takes one"
        )
    elif given < inputs:
        yield _Question(
            f"`{embedding}`, an embedding, gives {given} of the {inputs} features that `{read}` "
            "takes, and a mapping cannot join it with others"
        )
    elif given > inputs:
        yield _Question(
            f"`{embedding}`, an embedding, gives {given} features, `{read}` takes {inputs}"
        )
    elif embedding and not _is_named_embedding(embedding):
        rows, columns = datasets[embedding].shape
        if rows == columns:
            yield _Question(
                f"`{embedding}` is an embedding or a linear layer", f"`{embedding}` is an embedding"
            )


def _of_lstms(datasets: Names[str, Stored], found: _FoundModule) -> Iterator[_Question]:
    prefixes = found.prefixes
    if len(prefixes) == 1:
        return
    pairs = list(itertools.pairwise(prefixes))
    in_a_row = all(
        datasets[f"{later}weight_ih_l0"].shape[1] == _width(datasets, earlier)
        for earlier, later in pairs
    ) and not any("decod" in prefix.lower() for prefix in prefixes)
    yield _Question(
        f"there are {len(prefixes)} LSTMs ({', '.join(prefixes)})",
        "; ".join(f"`{later}` reads every step of `{earlier}`" for earlier, later in pairs)
        if in_a_row
        else None,
    )


def _of_dense_layers(datasets: Names[str, Stored], found: _FoundModule) -> Iterator[_Question]:
    """What the linear layers are given, and what stands between them."""
    if found.before:
        yield _Question(
            f"nothing says what stands behind {', '.join(found.before)}, before the LSTM"
        )
    if not found.behind:
        yield _Question("there is no linear layer behind the LSTM")
        return
    chain = found.behind
    attention = _attention(datasets, found)
    if attention:
        chain = chain[len(attention) :]
        quoted = [f"`{name}`" for name in attention]
        yield _Question(
            f"nothing says what weights of steps {' and '.join(quoted)} make",
            f"`{chain[0]}` is given a weighted sum of the steps, the weights a softmax of what "
            f"{', tanh and '.join(quoted)} make",
        )
    width, takes = _width(datasets, found.prefixes[-1]), datasets[chain[0]].shape[1]
    if takes != width:
        yield _Question(f"`{chain[0]}` takes {takes} features, the LSTM gives {width}")
        return
    if not attention:
        both = f"{found.prefixes[-1]}weight_ih_l0_reverse" in datasets
        yield _Question(
            f"nothing says what `{chain[0]}` is given of the LSTM's steps",
            f"`{chain[0]}` is given {next(iter(_heads(_is_tagger(found), both)))}",
            is_safe=not both and not _is_tagger(found),
            is_searched=True,
        )
    if len(chain) > 1:
        fit = all(
            datasets[later].shape[1] == datasets[earlier].shape[0]
            for earlier, later in itertools.pairwise(chain)
        )
        yield _Question(
            f"there are {len(chain)} linear layers ({', '.join(chain)}), and nothing says what "
            "stands between them",
            f"a relu stands between {' and '.join(f'`{name}`' for name in chain)}" if fit else None,
            is_searched=True,
        )


def _attention(datasets: Names[str, Stored], found: _FoundModule) -> list[str]:
    """The linear layers that make one number of each step, where another takes the steps too.

    One, or a hidden one before it (Bahdanau et al. 2015).
    """
    width = _width(datasets, found.prefixes[-1])
    shapes = [datasets[name].shape for name in found.behind]
    for count in (1, 2):
        given = [width, *(outputs for outputs, _ in shapes)][:count]
        are_fed = [inputs for _, inputs in shapes[:count]] == given
        if are_fed and shapes[count - 1][0] == 1 and [width] == [i for _, i in shapes[count:][:1]]:
            return found.behind[:count]
    return []


def _is_tagger(found: _FoundModule) -> bool:
    """Whether the output layer is called one that tags every step."""
    return bool(found.behind) and TAGS.search(found.behind[-1].lower()) is not None


def _norms_fit(datasets: Names[str, Stored], found: _FoundModule) -> bool:
    """Whether every batch normalization has the units of what the file lists before it."""
    units = 0
    for name in found.order:
        prefix = name.removesuffix("running_mean")
        if name in (*found.embeddings, *found.denses):
            units = datasets[name].shape[int(name in found.embeddings)]
        elif name.endswith("weight_ih_l0") and name.removesuffix("weight_ih_l0") in found.prefixes:
            units = _width(datasets, name.removesuffix("weight_ih_l0"))
        elif prefix in found.norms and datasets[name].shape != (units,):
            return False
    return True


def _drafted(datasets: Names[str, Stored], found: _FoundModule) -> list[DraftedLayer]:
    """Every layer in the file's order, each with what of it is a guess.

    Of what the shapes don't settle, the file's order is the likeliest: modules stand in it as
    scripts make them. Only what must come first does: the embedding that is fed the tokens.
    """

    def linear(name: str) -> DenseSpec:
        return DenseSpec(name, layout="classes_by_features", bias=_bias_of(name, datasets))

    entries: dict[str, list[DraftedLayer]] = {}
    for name in found.embeddings:
        note = "an embedding, by its " + ("name" if _is_named_embedding(name) else "shape")
        entries[name] = [DraftedLayer(LayerSpec(embedding=EmbeddingSpec(name)), note)]
    attention = _attention(datasets, found)
    for prefix in found.prefixes:
        *lower, top = _lstms(datasets, prefix)
        if prefix == found.prefixes[-1] and not attention:
            drafted = _with_heads(top, _is_tagger(found))
        else:
            note = "" if attention else "every step's output is used"
            drafted = DraftedLayer(LayerSpec(lstm=top), note)
        entries[f"{prefix}weight_ih_l0"] = [
            *(DraftedLayer(LayerSpec(lstm=each)) for each in lower),
            drafted,
        ]
    for norm in found.norms:
        note = "epsilon, and where it stands"
        entries[f"{norm}running_mean"] = [DraftedLayer(_norm(datasets, norm), note)]
    for name in found.denses:
        note = "" if name in found.behind[-1:] else "a linear layer, and no activation behind it"
        entries[name] = [DraftedLayer(LayerSpec(dense=linear(name)), note)]
    for name in attention[:-1]:
        del entries[name]
    for name in attention[-1:]:
        hidden = next(map(linear, attention[:-1]), None)
        spec = AttentionSpec(
            name, _bias_of(name, datasets), hidden and replace(hidden, activation="tanh")
        )
        note = "attention: a softmax over the steps of one number each, which weighs them"
        entries[name] = [DraftedLayer(LayerSpec(attention=spec), note)]
    order = [*found.embeddings[:1], *found.order]
    places = [name for name in dict.fromkeys(order) if name in entries]
    layers = [entry for name in places for entry in entries[name]]
    return list(_with_activations(layers))


Heads = dict[str, tuple[Returns, PoolName | None]]


def _heads(is_tagger: bool, both: bool) -> Heads:
    """What the layer behind the last LSTM may be given, the likeliest first."""
    steps: Heads = {"every step's output, for scores at every step": ("sequence", None)}
    states: Heads = {
        f"the last hidden state{'s of both directions' if both else ''}": ("last", None)
    }
    if both:
        states["the last step's output, out[:, -1]"] = ("sequence", "last")
    pools: Heads = {
        "the sum of all steps' outputs": ("sequence", "sum"),
        "their mean": ("sequence", "mean"),
        "their maximum": ("sequence", "max"),
    }
    return (steps | states if is_tagger else states | steps) | pools


def _with_heads(top: LstmSpec, is_tagger: bool) -> DraftedLayer:
    """The last LSTM, with what the layer behind it may be given of its steps."""
    both = top.forward is not None and top.backward is not None
    (this, (returns, _)), *others = _heads(is_tagger, both).items()
    return DraftedLayer(
        LayerSpec(lstm=replace(top, returns=returns)),
        "what of its steps goes on",
        this,
        {
            meaning: (
                LayerSpec(lstm=replace(top, returns=returns)),
                *([LayerSpec(pool=pool)] if pool else []),
            )
            for meaning, (returns, pool) in others
        },
    )


def _with_activations(layers: list[DraftedLayer]) -> Iterator[DraftedLayer]:
    """The layers with a relu behind each linear one that another follows.

    Between the two stands the batch normalization, as in most scripts.
    """
    relu = "relu behind a linear layer; or tanh, sigmoid, linear, ..."
    kinds = [each.layer.kind for each in layers]
    for place, each in enumerate(layers):
        behind = kinds[place + 1 :]
        then = next((kind for kind in behind if kind != "batch_norm"), None)
        before = next((kind for kind in kinds[place::-1] if kind != "batch_norm"), None)
        if each.layer.dense is not None and behind[:1] == ["dense"]:
            dense = replace(each.layer.dense, activation="relu")
            yield DraftedLayer(LayerSpec(dense=dense), relu)
            continue
        yield each
        is_norm_between = before == then == "dense" and kinds[place] == "batch_norm"
        if is_norm_between and behind[:1] == ["dense"]:
            yield DraftedLayer(LayerSpec(activation="relu"), relu)


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


def _lstms(datasets: Names[str, Stored], prefix: str) -> list[LstmSpec]:
    """The layers of an nn.LSTM, each of which returns every step."""
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
        LstmSpec(
            gate_order=GATE_ORDER,
            layout="gates_by_features",
            forward=cell(str(k)),
            backward=cell(f"{k}_reverse"),
            returns="sequence",
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
