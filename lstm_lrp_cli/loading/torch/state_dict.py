"""The model that a PyTorch state dict implies by its names and shapes, as a mapping.

A state dict holds weights by name and no architecture. An `nn.LSTM` shows in its names, and its
embedding and linear layers in names and shapes.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.joins import AttentionSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, DenseSpec, EmbeddingSpec
from lstm_lrp_cli.loading.mapping import Assumption, Described, Mapping, crf_assumption
from lstm_lrp_cli.loading.mapping.draft import Draft, DraftedLayer, OpenQuestion
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import Returns
from .modules import AFFINE, MOMENTS, Modules, find_modules, is_named_embedding

# PyTorch keeps (W_ii|W_if|W_ig|W_io), each (hidden, inputs): see torch.nn.LSTM.
GATE_ORDER = ["i", "f", "g", "o"]
# What nn.BatchNorm1d adds to the variance unless told otherwise; a state dict does not keep it.
NORM_EPSILON = 1e-5

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
    found = find_modules(file)
    if found is None:
        return None
    questions = list(_questions(found))
    told = [Assumption("layers", each.likeliest) for each in questions if each.likeliest]
    if found.crf:
        told.append(crf_assumption(found.crf))
    beside = Mapping(format=1, **_settings_beside(file, found), unused=found.crf or UNSET)
    draft = Draft(_drafted(found), questions, told, beside)
    return draft.settled(file.path, assume, _ways_out(file, draft))


def _ways_out(file: ArrayFile, draft: Draft) -> str:
    """What a user can do about questions, up to the draft."""
    saved = f"save it as {file.path.with_suffix('.yaml').name}"
    if not draft.is_likely:
        return f"No answer is likelier than all others (--assume takes none): mend this and {saved}"
    likeliest = "; ".join(str(question.likeliest) for question in draft.asked)
    search = ", find what gives your own scores by `lrp match`" if draft.is_searched else ""
    return f"Take the likeliest by --assume ({likeliest}){search}, or choose here and {saved}"


def _questions(found: Modules) -> Iterator[OpenQuestion]:
    """Everything that names and shapes leave open."""
    yield from _of_embedding(found)
    yield from _of_lstms(found)
    yield from _of_dense_layers(found)
    if found.norms:
        norms = ", ".join(found.norms)
        yield OpenQuestion(
            f"nothing says where batch normalization ({norms}) stands",
            f"batch normalization ({norms}) stands where the file lists it, with epsilon "
            f"{NORM_EPSILON:g}"
            if found.norms_fit and not found.is_sorted
            else None,
        )
    convolutions = [name for name in found.unknown if len(found.shape(name)) > 2]
    if convolutions:
        yield OpenQuestion(
            f"a mapping cannot describe convolutions, which {', '.join(convolutions[:5])} are by "
            "their shapes"
        )
    of_convolutions = {*convolutions, *map(found.bias_of, convolutions)}
    others = [name for name in found.unknown if name not in of_convolutions]
    if others:
        yield OpenQuestion(f"nothing says what {', '.join(others[:5])} are for")


def _of_embedding(found: Modules) -> Iterator[OpenQuestion]:
    read, inputs = f"{found.lstms[0]}weight_ih_l0", found.inputs(found.lstms[0])
    embedding = found.embeddings[0] if found.embeddings else None
    rows, given = found.shape(embedding) if embedding else (0, inputs)
    if len(found.embeddings) > 1:
        yield OpenQuestion(
            f"there are {len(found.embeddings)} embeddings ({', '.join(found.embeddings)}), of "
            "which a mapping takes one"
        )
    elif given < inputs:
        yield OpenQuestion(
            f"`{embedding}`, an embedding, gives {given} of the {inputs} features that `{read}` "
            "takes, and a mapping cannot join it with others"
        )
    elif given > inputs:
        yield OpenQuestion(
            f"`{embedding}`, an embedding, gives {given} features, `{read}` takes {inputs}"
        )
    elif embedding and not is_named_embedding(embedding) and rows == given:
        yield OpenQuestion(
            f"`{embedding}` is an embedding or a linear layer", f"`{embedding}` is an embedding"
        )


def _of_lstms(found: Modules) -> Iterator[OpenQuestion]:
    if len(found.lstms) == 1:
        return
    pairs = list(itertools.pairwise(found.lstms))
    in_a_row = all(
        found.inputs(later) == found.width(earlier) for earlier, later in pairs
    ) and not any("decod" in lstm.lower() for lstm in found.lstms)
    yield OpenQuestion(
        f"there are {len(found.lstms)} LSTMs ({', '.join(found.lstms)})",
        "; ".join(f"`{later}` reads every step of `{earlier}`" for earlier, later in pairs)
        if in_a_row
        else None,
    )


def _of_dense_layers(found: Modules) -> Iterator[OpenQuestion]:
    """What the linear layers are given, and what stands between them."""
    if found.before:
        yield OpenQuestion(
            f"nothing says what stands behind {', '.join(found.before)}, before the LSTM"
        )
    if not found.behind:
        yield OpenQuestion("there is no linear layer behind the LSTM")
        return
    attention = found.attention
    chain = found.behind[len(attention) :]
    if attention:
        quoted = [f"`{name}`" for name in attention]
        yield OpenQuestion(
            f"nothing says what weights of steps {' and '.join(quoted)} make",
            f"`{chain[0]}` is given a weighted sum of the steps, the weights a softmax of what "
            f"{', tanh and '.join(quoted)} make",
        )
    width, takes = found.width(found.lstms[-1]), found.shape(chain[0])[1]
    if takes != width:
        yield OpenQuestion(f"`{chain[0]}` takes {takes} features, the LSTM gives {width}")
        return
    if not attention:
        both = found.is_bidirectional(found.lstms[-1])
        yield OpenQuestion(
            f"nothing says what `{chain[0]}` is given of the LSTM's steps",
            f"`{chain[0]}` is given {next(iter(_heads(found.is_tagger, both)))}",
            is_safe=bool(found.crf) or not (both or found.is_tagger),
            is_searched=True,
        )
    if len(chain) > 1:
        fit = all(
            found.shape(later)[1] == found.shape(earlier)[0]
            for earlier, later in itertools.pairwise(chain)
        )
        yield OpenQuestion(
            f"there are {len(chain)} linear layers ({', '.join(chain)}), and nothing says what "
            "stands between them",
            f"a relu stands between {' and '.join(f'`{name}`' for name in chain)}" if fit else None,
            is_searched=True,
        )


def _drafted(found: Modules) -> list[DraftedLayer]:
    """Every layer in the file's order, each with what of it is a guess.

    Of what the shapes don't settle, the file's order is the likeliest: modules stand in it as
    scripts make them. Only what must come first does: the embedding that is fed the tokens.
    """
    entries: dict[str, list[DraftedLayer]] = {}
    for name in found.embeddings:
        note = "an embedding, by its " + ("name" if is_named_embedding(name) else "shape")
        entries[name] = [DraftedLayer(LayerSpec(embedding=EmbeddingSpec(name)), note)]
    for lstm in found.lstms:
        *lower, top = _lstms(found, lstm)
        if lstm == found.lstms[-1] and not found.attention:
            drafted = _with_heads(top, found.is_tagger)
        else:
            note = "" if found.attention else "every step's output is used"
            drafted = DraftedLayer(LayerSpec(lstm=top), note)
        below = (DraftedLayer(LayerSpec(lstm=each)) for each in lower)
        entries[f"{lstm}weight_ih_l0"] = [*below, drafted]
    for norm in found.norms:
        note = "epsilon, and where it stands"
        entries[f"{norm}{MOMENTS[0]}"] = [DraftedLayer(_norm(found, norm), note)]
    for name in found.denses:
        note = "" if name in found.behind[-1:] else "a linear layer, and no activation behind it"
        entries[name] = [DraftedLayer(LayerSpec(dense=_dense(found, name)), note)]
    if found.attention:
        *hidden, name = found.attention
        for each in hidden:
            del entries[each]
        entries[name] = [_attention(found, name, hidden)]
    order = [*found.embeddings[:1], *found.order]
    places = [name for name in dict.fromkeys(order) if name in entries]
    return list(_with_activations([entry for name in places for entry in entries[name]]))


def _dense(found: Modules, name: str) -> DenseSpec:
    return DenseSpec(name, layout="classes_by_features", bias=found.bias_of(name))


def _attention(found: Modules, name: str, hidden: list[str]) -> DraftedLayer:
    before = next((replace(_dense(found, each), activation="tanh") for each in hidden), None)
    return DraftedLayer(
        LayerSpec(attention=AttentionSpec(name, found.bias_of(name), before)),
        "attention: a softmax over the steps of one number each, which weighs them",
    )


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


def _norm(found: Modules, prefix: str) -> LayerSpec:
    affine = [f"{prefix}{part}" for part in AFFINE]
    scale, offset = (name if name in found.datasets else None for name in affine)
    mean, variance = (f"{prefix}{part}" for part in MOMENTS)
    return LayerSpec(batch_norm=BatchNormSpec(mean, variance, scale, offset, NORM_EPSILON))


def _lstms(found: Modules, prefix: str) -> list[LstmSpec]:
    """The layers of an nn.LSTM, each of which returns every step."""

    def named(role: str, suffix: str) -> str | None:
        name = f"{prefix}{role}_l{suffix}"
        return name if name in found.datasets else None

    def cell(suffix: str) -> CellSpec | None:
        weights = named("weight_ih", suffix)
        if weights is None:
            return None
        biases: list[Any] = [
            name for kind in ("ih", "hh") if (name := named(f"bias_{kind}", suffix))
        ]
        return CellSpec(
            weights,
            f"{prefix}weight_hh_l{suffix}",
            bias=biases or None,
            projection=named("weight_hr", suffix),
        )

    depth = sum(named("weight_ih", str(k)) is not None for k in range(len(found.datasets)))
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


def _settings_beside(file: ArrayFile, found: Modules) -> dict[str, Any]:
    """The vocabulary and the labels that a script keeps in its checkpoint, where they fit."""
    settings: dict[str, Any] = {}
    rows = found.shape(found.embeddings[0])[0] if found.embeddings else 0
    classes = found.shape(found.behind[-1])[0] if found.behind else 0
    for name, document in file.documents.items():
        key = name.rsplit("/", 1)[-1].lower()
        if key in VOCABULARIES and _spans(document, rows):
            settings.setdefault("vocabulary", name)
        elif key in LABELS:
            labels = _labels(document, classes)
            if labels:
                settings.setdefault("labels", labels)
    return settings


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
