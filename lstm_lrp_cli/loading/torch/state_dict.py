"""The model that a PyTorch state dict implies by its names and shapes, as a mapping.

A state dict holds weights by name and no architecture; a whole pickle also says which modules there
are. What both leave open is asked, or told.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.beside.vocabulary_pickles import from_pickle
from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.files.formats import EXPORT
from lstm_lrp_cli.loading.layers.datasets import listed
from lstm_lrp_cli.loading.mapping import Assumption, Described, Mapping, crf_assumption
from lstm_lrp_cli.loading.mapping.choices import POOLED, ReadSteps
from lstm_lrp_cli.loading.mapping.draft import Draft, OpenQuestion
from lstm_lrp_cli.loading.pickles.values import Made
from .drafts.chain import Chain
from .drafts.drafting import drafted, in_order, is_decoder, is_in_a_row
from .drafts.finding import NORM_EPSILON, attention_at, find_modules, groups_of
from .drafts.gaps import usual_activation
from .drafts.records import are_in_order, questions_of_records
from .modules import RECURRENT_WEIGHT, FoundModule, ModuleRecord, Modules

# What the CRF of torchcrf and AllenNLP keeps: the scores of tags that follow each other, those of
# the first and the last, and which are allowed.
TRANSITIONS = "transitions"
BESIDE_TRANSITIONS = ("start_transitions", "end_transitions")
CONSTRAINTS = "_constraint_mask"
# No more modules than these are drafted, nor are more of a kind told one by one.
MOST_MODULES = 1000
MOST_TOLD = 8
KINDS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}

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


def describe(file: ArrayFile, records: Sequence[ModuleRecord], assume: bool) -> Described | None:
    """The mapping that a state dict implies; None where it has no recurrent module by its names.

    Parameters
    ----------
    file : ArrayFile
    records : sequence of ModuleRecord
        The modules of a whole pickle; of a state dict there are none.
    assume : bool
        Whether to take the likeliest model where more than one could be meant.

    Raises
    ------
    UnusableInput
        There is one, and more than one model could be made with it: the message asks.
    """
    draft = draft_of(file, records)
    return None if draft is None else draft.settled(file.path, assume, _ways_out(file, draft))


def draft_of(file: ArrayFile, records: Sequence[ModuleRecord]) -> Draft | None:
    """The likeliest model, and what else may be meant.

    Raises
    ------
    UnusableInput
        It has more modules and layers than are drafted.
    """
    groups = groups_of(file.datasets)
    recurrent = [sum(map(bool, map(RECURRENT_WEIGHT.fullmatch, group.shapes))) for group in groups]
    count = sum(max(layers, 1) for layers in recurrent)
    if count > MOST_MODULES:
        raise UnusableInput(
            str(file.path),
            f"holds weights of {count:,} modules, and no more than {MOST_MODULES:,} are drafted; "
            f"describe its layers in a mapping, or save the whole model: {EXPORT}",
        )
    modules = in_order(find_modules(file.datasets, records))
    if all(each.kind != "recurrent" for each in modules.found):
        return None
    crf = _crf(modules)
    chain = drafted(modules, bool(crf))
    questions = [*_questions(modules, chain, crf)]
    told = [Assumption("layers", each.likeliest) for each in questions if each.likeliest]
    if crf:
        told.append(crf_assumption(crf))
    beside = Mapping(
        format=1,
        **_settings_beside(file, modules),
        inputs=chain.inputs or UNSET,
        unused=crf or UNSET,
    )
    return Draft(chain.layers, questions, told, beside)


def _ways_out(file: ArrayFile, draft: Draft) -> str:
    """What a user can do about questions, up to the draft."""
    whole = f"Where its code is at hand, {EXPORT} saves all; else"
    search = " find what gives your own scores by `lrp match`," if draft.is_searched else ""
    saved = f"save it as {file.path.with_suffix('.yaml').name}"
    if not draft.is_likely:
        none = "No answer is likelier than all others (--assume takes none)"
        return f"{none}. {whole}{search}{' or' if search else ''} mend this and {saved}"
    likeliest = "; ".join(str(question.likeliest) for question in draft.asked)
    return (
        f"{whole} take the likeliest by --assume ({likeliest}),{search} or choose here and {saved}"
    )


def _crf(modules: Modules) -> list[str]:
    """What a CRF keeps of the tags whose emissions the last linear layer makes.

    Transitions of another number of tags are none: those would have states that it does not tell
    of.
    """
    denses = [each for each in modules.found if each.kind == "dense"]
    tags = denses[-1].outputs if denses else 0
    sizes: dict[str, tuple[int, ...]] = {TRANSITIONS: (tags, tags)}
    sizes |= dict.fromkeys(BESIDE_TRANSITIONS, (tags,))
    sizes[CONSTRAINTS] = (tags + 2, tags + 2)
    for name in modules.unknown:
        if re.search(rf"(^|\.){TRANSITIONS}$", name) and modules.shapes[name] == (tags, tags):
            prefix = name.removesuffix(TRANSITIONS)
            beside = {f"{prefix}{role}": size for role, size in sizes.items()}
            return [name for name, size in beside.items() if modules.shapes.get(name) == size]
    return []


def _questions(modules: Modules, chain: Chain, crf: Sequence[str]) -> Iterator[OpenQuestion]:
    """Everything that names and shapes leave open."""
    yield from _of_embedding(modules)
    yield from chain.questions
    yield from _of_recurrent(modules, chain)
    yield from _of_dense_layers(modules, chain, bool(crf))
    yield from _of_norms(modules, chain)
    guessed = [each.called for each in chain.guessed if each.kind == "convolution"]
    if guessed:
        yield OpenQuestion(
            f"nothing says how convolutions ({listed(guessed)}) go over the steps, and what "
            "stands behind them",
            is_searched=True,
        )
    for each in modules.found:
        if each.kind == "prelu" and each.record is None:
            slopes = f"`{each.called}` has the slopes of an nn.PReLU"
            yield OpenQuestion(f"nothing says whether {slopes}", slopes)
    others = [name for name in modules.unknown if name not in crf]
    if others:
        yield OpenQuestion(f"nothing says what {listed(others)} are for")
    if modules.records:
        has_attention = any(each.kind == "attention" for one in chain.layers for each in one.layers)
        yield from questions_of_records(
            modules, chain.settled, chain.guessed, has_attention=has_attention
        )


def _of_embedding(modules: Modules) -> Iterator[OpenQuestion]:
    weighted = [each for each in modules.found if each.kind != "silent"]
    embeddings = [each for each in weighted if each.kind == "embedding"]
    if not embeddings:
        return
    first, *_ = embeddings
    reader = next((each for each in weighted if each.kind != "embedding"), first)
    named, inputs = first.weights[0], reader.inputs
    if len(embeddings) > 1:
        names = listed([each.weights[0] for each in embeddings])
        yield OpenQuestion(
            f"there are {len(embeddings)} embeddings ({names}), and nothing says which input each "
            "is of"
        )
    elif first.outputs < inputs:
        yield OpenQuestion(
            f"`{named}`, an embedding, gives {first.outputs} of the {inputs} features that "
            f"`{reader.weights[0]}` takes; {inputs - first.outputs} may be of another input"
        )
    elif inputs and first.outputs > inputs:
        yield OpenQuestion(
            f"`{named}`, an embedding, gives {first.outputs} features, `{reader.weights[0]}` takes "
            f"{inputs}"
        )
    elif not first.record and not first.is_named_embedding and first.inputs == first.outputs:
        yield OpenQuestion(
            f"`{named}` is an embedding or a linear layer", f"`{named}` is an embedding"
        )


def _of_recurrent(modules: Modules, chain: Chain) -> Iterator[OpenQuestion]:
    found = [each for each in modules.found if each.kind == "recurrent"]
    plain = [each for each in found if each.layers[0].rnn is not None and each.record is None]
    for each in plain:
        text = f"`{each.called}`, a plain RNN, has tanh for its activation"
        yield OpenQuestion(f"nothing says the activation of `{each.called}`", text, is_safe=True)
    if are_in_order(modules, found):
        return
    if len(found) > 1 and not any(map(is_decoder, found)) and is_in_a_row(modules.found):
        kinds = {KINDS[each.layers[0].kind] for each in found}
        what = f"{kinds.pop()}s" if len(kinds) == 1 else "recurrent modules"
        yield OpenQuestion(
            f"there are {len(found)} {what} ({listed([each.called for each in found])})",
            "; ".join(
                f"`{later.called}` reads every step of `{earlier.called}`"
                for earlier, later in itertools.pairwise(found[:MOST_TOLD])
            ),
        )


def _of_dense_layers(modules: Modules, chain: Chain, has_crf: bool) -> Iterator[OpenQuestion]:
    """What the linear layers are given, and what stands between them."""
    place, found = chain.last_recurrent, chain.modules.found
    last, behind = found[place], found[place + 1 :]
    kind = KINDS[last.layers[0].kind]
    before = [
        each.called for each in found[:place] if each.kind == "dense" and each in chain.guessed
    ]
    if before:
        yield OpenQuestion(
            f"nothing says what stands behind {listed(before)}, before the {kind}", is_searched=True
        )
    attention = attention_at(behind, last.outputs, chain.joined)
    denses = [each for each in behind if each.kind == "dense"][len(attention) :]
    if not denses:
        yield OpenQuestion(
            f"there is no linear layer behind the {kind}",
            f"its scores are every step's output of `{last.called}`",
            is_safe=not last.path,
            is_searched=True,
        )
        return
    if not chain.is_joined:
        yield from _of_steps(chain, last, attention, denses[0], has_crf)
    names = listed([each.called for each in denses])
    if denses[0] in chain.guessed and not denses[1:]:
        yield OpenQuestion(f"nothing says what stands behind {names}", is_searched=True)
    elif any(each in chain.guessed for each in denses):
        quoted = " and ".join(f"`{each.called}`" for each in denses[:MOST_TOLD])
        fit = not any(each in chain.misfits for each in denses)
        yield OpenQuestion(
            f"there are {len(denses)} linear layers ({names}), and nothing says what stands "
            "between them",
            f"{_article(usual_activation(modules))} stands between {quoted}" if fit else None,
            is_searched=True,
        )


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _of_steps(
    chain: Chain,
    last: FoundModule,
    attention: Sequence[FoundModule],
    first: FoundModule,
    has_crf: bool,
) -> Iterator[OpenQuestion]:
    """What the first linear layer of the head is given of the steps."""
    takes = first.inputs - chain.joined
    found = chain.modules.found
    between = [
        each
        for each in found[found.index(last) : found.index(first)]
        if each.kind in ("self_attention", "convolution")
    ]
    if between:
        made = between[-1]
        is_attention = made.kind == "self_attention" and not chain.is_tagger
        yield OpenQuestion(
            f"nothing says what `{first.called}` is given of the steps of `{made.called}`",
            f"`{first.called}` is given {POOLED['mean']} of `{made.called}`"
            if is_attention
            else None,
            is_searched=True,
        )
    elif attention:
        quoted = [f"`{each.called}`" for each in attention]
        yield OpenQuestion(
            f"nothing says what weights of steps {' and '.join(quoted)} make",
            f"`{first.called}` is given a weighted sum of the steps, the weights a softmax of what "
            f"{', tanh and '.join(quoted)} make",
            is_searched=True,
        )
    elif takes != last.outputs:
        kind = KINDS[last.layers[0].kind]
        text = f"`{first.called}` takes {first.inputs} features, the {kind} gives {last.outputs}"
        fitting = ReadSteps(last.layers, last.outputs, takes).ends()
        if chain.said.is_certain and chain.said.pool in fitting:
            return
        yield OpenQuestion(text, is_searched=bool(fitting))
    else:
        steps = ReadSteps(last.layers, last.outputs)
        both = steps.is_bidirectional
        ends, said = steps.ends(chain.is_tagger), chain.said
        likeliest = next(iter(said.ordered(ends)))
        is_usual = not (both or chain.is_tagger or said.pool)
        yield OpenQuestion(
            f"nothing says what `{first.called}` is given of the "
            f"{KINDS[last.layers[0].kind]}'s steps",
            f"`{first.called}` is given {likeliest}",
            is_safe=has_crf or is_usual or said.is_certain,
            is_searched=True,
        )


def _of_norms(modules: Modules, chain: Chain) -> Iterator[OpenQuestion]:
    kinds = {"batch_norm": "batch normalization", "layer_norm": "layer normalization"}
    for kind, called in kinds.items():
        norms = [each for each in modules.found if each.kind == kind]
        norms = [each for each in norms if modules.sequence_of(each) is None]
        if not norms:
            continue
        names = listed([each.called for each in norms])
        fits = not modules.is_sorted and not any(each in chain.misfits for each in norms)
        is_said = all(each.record for each in norms)
        epsilon = "" if is_said else f", with epsilon {NORM_EPSILON:g}"
        yield OpenQuestion(
            f"nothing says where {called} ({names}) stands",
            f"{called} ({names}) stands where the file lists it{epsilon}" if fits else None,
            is_safe=fits and is_said,
            is_searched=True,
        )


def _settings_beside(file: ArrayFile, modules: Modules) -> dict[str, Any]:
    """The vocabulary and the labels that a script keeps in its checkpoint, where they fit."""
    settings: dict[str, Any] = {}
    embeddings = [each for each in modules.found if each.kind == "embedding"]
    denses = [each for each in modules.found if each.kind == "dense"]
    rows = embeddings[0].inputs if embeddings else 0
    classes = denses[-1].outputs if denses else 0
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
    if isinstance(document, Made):
        try:
            return max(from_pickle("", document).ids.values(), default=-1) + 1 == rows
        except UnusableInput:
            return False
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
