"""From the modules of a state dict to the draft of a model: what is a chain, and what is none.

A chain is the likeliest. Decoders, recurrent layers side by side, and a second input that joins
the head show in names and shapes.
"""

import itertools
import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import listed
from lstm_lrp_cli.loading.layers.steps import FlattenSpec, RepeatSpec
from lstm_lrp_cli.loading.mapping import INPUT_NAME, InputSpec
from lstm_lrp_cli.loading.mapping.choices import POOLED, Choices, ReadSteps, returning
from lstm_lrp_cli.loading.mapping.draft import DraftedLayer
from lstm_lrp_cli.loading.torch.modules import FoundModule, Modules
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import Returns
from .chain import BRANCH, Chain

# What the output layer of a tagger is called, as hidden2tag; no stage and no vintage.
TAGS = re.compile(r"(?<![a-z])tag(?!e)|to_?tag")
# What a mapping calls a decoder's input, and a second input of one vector a sequence.
DECODED, FEATURES = "decoded", "features"
# Of layers whose number of steps is the sequences' own.
UNKNOWN_STEPS = "steps"
# How many steps a draft repeats a vector for; how many there are, only its user knows.
SOME_STEPS = 10
# Of so many beginnings of an order sizes are looked at.
MOST_ORDERS = 5000
# No more steps than these are laid side by side, of no more layers, and no more ways are shown.
MOST_FLAT, MOST_WAYS, MOST_READERS = 64, 4, 4


def is_decoder(module: FoundModule) -> bool:
    return "decod" in module.path.lower()


def in_order(modules: Modules) -> Modules:
    """The modules as they are taken to run.

    It is the file's order, with linear layers last that fit before no recurrent layer of those
    behind them, and decoders behind encoders. In a file that is sorted by name, as safetensors
    are, all linear layers stand last, unless sizes show another order.
    """
    found = modules.found
    places = [k for k, each in enumerate(found) if each.kind == "recurrent"]
    if not places:
        return modules
    behind = _behind_recurrent(modules, places)
    late: list[FoundModule] = []
    kept: list[FoundModule] = []
    for place, each in enumerate(found):
        is_norm_of_late = late[-1:] and each.is_norm and found[place - 1] is late[-1]
        if place <= places[-1] and (place in behind or is_norm_of_late):
            late.append(each)
        else:
            kept.append(each)
    last = kept.index(found[places[-1]]) + 1
    order = [*kept[:last], *late, *kept[last:]]
    embeddings = [each for each in order if each.kind == "embedding"]
    first = [*embeddings[:1], *(each for each in order if each not in embeddings[:1])]
    if any(is_decoder(each) for each in first) and modules.is_sorted:
        first.sort(key=lambda each: is_decoder(each) - ("encod" in each.path.lower()))
    return replace(modules, found=_by_sizes(first) if modules.is_sorted else first)


def _by_sizes(found: list[FoundModule]) -> list[FoundModule]:
    """The first order in which each module takes as many units as the one before it gives.

    That is the order as it is, where they fit; as it is, too, where none fits. Attention that makes
    one number of each step leaves the steps as they are, and what reads the last recurrent layer
    may take several of its states, or one of its directions.
    """
    pending: list[tuple[list[FoundModule], int, int]] = [([], 0, 0)]
    for _ in range(MOST_ORDERS):
        if not pending:
            break
        order, units, steps = pending.pop()
        rest = [each for each in found if each not in order]
        if not rest:
            return order
        nexts = []
        for each in rest[:1] if not order and rest[0].kind == "embedding" else rest:
            gives = each.outputs or units
            if each.kind == "recurrent":
                fits, width = units in (0, each.inputs), each.outputs
            else:
                is_read = bool(order) and order[-1].kind == "recurrent" and each.kind == "dense"
                fits = units in (0, each.inputs) or (is_read and _may_read(units, each.inputs))
                fits, width = fits or not each.inputs, steps
            if fits:
                nexts.append(([*order, each], gives, width))
                is_behind = steps and all(one.kind != "recurrent" for one in rest)
                if each.kind == "dense" and each.outputs == 1 and is_behind:
                    nexts.append(([*order, each], steps, steps))
        pending += reversed(nexts)
    return found


def _may_read(width: int, takes: int) -> bool:
    """Whether so many units may be made of steps of a width: of several ways, or one direction."""
    return width > 0 and takes > 0 and (takes % width == 0 or 2 * takes == width)


def _behind_recurrent(modules: Modules, places: Sequence[int]) -> set[int]:
    """The linear layers that stand before the last recurrent one and none reads: where they are.

    One is read by a recurrent layer, or by the next linear one that is.
    """
    found = modules.found
    given = {each.outputs for each in found if each.kind in ("embedding", "convolution", "dense")}
    given |= {found[k].outputs for k in places[:-1]}
    is_embedded = any(each.kind == "embedding" for each in found)
    behind: set[int] = set()
    following = 0
    for place in reversed(range(places[-1])):
        each = found[place]
        if each.kind == "recurrent":
            following = 0
        if each.kind != "dense":
            continue
        is_fed = each.inputs in given or not is_embedded
        is_read = following == each.outputs or any(
            found[k].inputs == each.outputs for k in places if k > place
        )
        if modules.is_sorted or not (is_fed and is_read):
            behind.add(place)
        else:
            following = each.inputs
    return behind


def drafted(modules: Modules, has_crf: bool = False) -> Chain:
    """The likeliest layers of modules that are in order, and what is open of how they connect."""
    found = modules.found
    denses = [each for each in found if each.kind == "dense"]
    called = denses[-1].weights[0].lower() if denses else ""
    recurrent = [each for each in found if each.kind == "recurrent"]
    decoders = [k for k, each in enumerate(found) if each.kind == "recurrent" and is_decoder(each)]
    chain = Chain(modules, has_crf or TAGS.search(called) is not None)
    if decoders and any(each.kind == "recurrent" for each in found[: decoders[0]]):
        chain.is_tagger = True  # what is decoded are steps
        _decode(chain, decoders[0])
    elif len(recurrent) > 1 and not is_in_a_row(found):
        _side_by_side(chain, recurrent)
    else:
        branch = _branch(found)
        if branch:
            _add_branch(chain, branch)
        chain.walk(0, len(chain.modules.found))
    return chain


def is_in_a_row(found: Sequence[FoundModule]) -> bool:
    """Whether each recurrent module takes what the one before it, or a layer between, gives."""
    weighted = [each for each in found if each.kind != "silent" and each.outputs]
    places = [k for k, each in enumerate(weighted) if each.kind == "recurrent"]
    return all(weighted[k].inputs == weighted[k - 1].outputs for k in places[1:])


def _decode(chain: Chain, decoder: int) -> None:
    """An encoder, and a decoder that is given what it makes of all steps."""
    found = chain.modules.found
    last = max(k for k in range(decoder) if found[k].kind == "recurrent")
    encoder, this = found[last], found[decoder]
    chain.walk(0, last)
    chain.take(encoder)
    behind = chain.following(last)
    steps = ReadSteps(encoder.layers, encoder.outputs)
    handed = _handed(encoder, this, DECODED) if behind == decoder else None
    if found[behind].inputs == encoder.outputs:
        repeated = LayerSpec(repeat=RepeatSpec(SOME_STEPS))
        top = "the decoder reads its last hidden state, at each of N steps"
        bottom = "the decoder reads every step's output"
        choices: Choices = {
            top: (*steps.returned("last")[-1:], repeated),
            bottom: steps.returned("sequence")[-1:],
        }
        chain.layers += map(_alone, steps.lower)
        chain.draft(
            choices,
            "what of its steps the decoder is given; write how many steps your sequences have",
            family=UNKNOWN_STEPS,
        )
    elif handed is not None:
        chain.layers += map(_alone, handed)
        chain.inputs = [InputSpec(INPUT_NAME), InputSpec(DECODED)]
        chain.units = this.outputs
        behind = chain.following(decoder)
    else:
        chain.layers += map(_alone, encoder.layers)
    chain.ask(
        f"nothing says what `{this.called}` is given of what `{encoder.called}` reads",
        is_searched=handed is None,
    )
    chain.walk(behind, len(found))


def _alone(layer: LayerSpec) -> DraftedLayer:
    return DraftedLayer((layer,))


def _handed(
    encoder: FoundModule, decoder: FoundModule, source: str
) -> tuple[LayerSpec, LayerSpec] | None:
    """A module that begins in the states in which another ends, and reads an input of its own."""
    one, other = encoder.layers[-1], decoder.layers[0]
    is_single = len(encoder.layers) == len(decoder.layers) == 1
    if not is_single or one.kind != other.kind or encoder.outputs != decoder.outputs:
        return None
    gives = {"cell_state": True} if one.lstm is not None else {}
    first = replace(returning(one, "last", **gives), name="states")
    return first, replace(returning(other, "sequence"), source=[source, "states"])


def _side_by_side(chain: Chain, recurrent: Sequence[FoundModule]) -> None:
    """Recurrent modules of which none reads what another gives."""
    found = chain.modules.found
    start, stop = found.index(recurrent[0]), found.index(recurrent[-1])
    names = listed([each.called for each in recurrent])
    between = [each for each in found[start:stop] if each.kind not in ("recurrent", "silent")]
    chain.walk(0, start)
    sources = _sources(chain, recurrent)
    chain.ask(
        f"there are {len(recurrent)} recurrent modules ({names}), of which not each reads what the "
        "one before it gives",
        is_searched=not between,
    )
    if between or any(each.kind == "embedding" for each in found[start:]):
        chain.walk(start, len(found))
        return
    behind = [each for each in found[stop:] if each.kind == "dense"]
    widths = [each.outputs for each in recurrent]
    choices = _joined(recurrent, sources, behind[0].inputs if behind else sum(widths))
    if not choices:
        chain.walk(start, len(found))
        return
    guess = "what is made of their steps, and how that is joined"
    chain.draft(choices, guess, shown=MOST_WAYS - 1)
    chain.is_joined = True
    chain.units = behind[0].inputs if behind else None
    chain.walk(chain.following(stop), len(found))


def _sources(chain: Chain, recurrent: Sequence[FoundModule]) -> list[str]:
    """What each of the modules reads: one input, or one each where they take other sizes."""
    if len({each.inputs for each in recurrent}) == 1 and chain.units in (None, recurrent[0].inputs):
        return [INPUT_NAME] * len(recurrent)
    names = [f"input{k}" for k in range(1, len(recurrent) + 1)]
    chain.inputs = [InputSpec(name) for name in names]
    return names


def _joined(recurrent: Sequence[FoundModule], sources: Sequence[str], takes: int) -> Choices:
    """Ways to make so many units of several modules' steps."""
    widths = [each.outputs for each in recurrent]
    choices: Choices = {}
    pools: list[PoolName] = ["mean", "max"]
    if any(ReadSteps(each.layers, each.outputs).is_bidirectional for each in recurrent):
        pools.append("last")  # else it is the last hidden state
    merges = {"side by side": "concat"} if takes == sum(widths) else {}
    if set(widths) == {takes}:
        merges = {"added": "sum", "averaged": "mean", "multiplied": "product"}
    for how, merge in merges.items():
        choices[f"their last hidden states, {how}"] = _merged(recurrent, sources, merge, None)
        choices[f"their outputs at every step, {how}"] = _merged(recurrent, sources, merge, ())
        for pool in pools:
            layers = [LayerSpec(pool=pool)] * len(recurrent)
            choices[f"{POOLED[pool]}, {how}"] = _merged(recurrent, sources, merge, layers)
    if widths[-1] == takes:
        choices |= _last_alone(recurrent, sources)
    is_flat = not merges and len(widths) <= MOST_READERS
    for counts in itertools.islice(_flat(widths, takes), MOST_WAYS) if is_flat else ():
        layers = [LayerSpec(flatten=FlattenSpec(count)) for count in counts]
        what = f"all steps side by side, of {', '.join(map(str, counts))} steps"
        choices[what] = _merged(recurrent, sources, "concat", layers)
    return choices


def _last_alone(recurrent: Sequence[FoundModule], sources: Sequence[str]) -> Choices:
    """The last of two modules, which begins in the states of the first; or the last alone."""
    one, other = recurrent[0], recurrent[-1]
    found: Choices = {}
    handed = _handed(one, other, sources[-1]) if len(recurrent) == 2 else None
    ends: dict[str, Returns] = {"last hidden state": "last", "every step": "sequence"}
    for what, returns in ends.items():
        if handed is not None:
            first, second = replace(handed[0], source=sources[0]), returning(handed[1], returns)
            found[f"the second begins in the first's states, its {what}"] = (first, second)
    for what, returns in ends.items():
        *lower, top = (replace(other.layers[0], source=sources[-1]), *other.layers[1:])
        found[f"the last one alone, its {what}"] = (*lower, returning(top, returns))
    return found


def _merged(
    recurrent: Sequence[FoundModule],
    sources: Sequence[str],
    merge: str,
    behind: Sequence[LayerSpec] | None,
) -> tuple[LayerSpec, ...]:
    """The modules, each from its source and with a layer of its own behind it, as one.

    Of each goes on its last hidden state where nothing is to stand behind them (None), every step
    where no layers are given.
    """
    found: list[LayerSpec] = []
    for k, (module, source) in enumerate(zip(recurrent, sources, strict=True)):
        first, *others = (
            *(returning(each, "sequence") for each in module.layers[:-1]),
            returning(module.layers[-1], "last" if behind is None else "sequence"),
        )
        own = [replace(first, source=source), *others, *(behind or ())[k : k + 1]]
        found += [*own[:-1], replace(own[-1], name=f"read{k + 1}")]
    join: dict[str, object] = {"merge": merge}
    names = [f"read{k + 1}" for k in range(len(recurrent))]
    return (*found, replace(LayerSpec(source=names), **join))


def _flat(widths: Sequence[int], takes: int) -> Iterator[tuple[int, ...]]:
    """Numbers of steps of so many units that make a vector of a size, the fewest steps first."""
    first, *others = widths
    found: list[tuple[int, ...]] = []
    for count in range(1, min(takes // first, MOST_FLAT) + 1):
        rest = takes - count * first
        if others and rest > 0:
            found += [(count, *more) for more in _flat(others, rest)]
        elif not others and rest == 0:
            found.append((count,))
    yield from sorted(found, key=sum)


def _branch(found: Sequence[FoundModule]) -> list[FoundModule]:
    """The linear layers of a second input whose units join those of the steps in the head.

    They stand behind the recurrent modules and take what nothing gives; what they make, and what
    is made of the steps, is as much as the next layer takes.
    """
    places = [k for k, each in enumerate(found) if each.kind == "recurrent"]
    if not places:
        return []
    width = found[places[-1]].outputs
    behind = [each for each in found[places[-1] + 1 :] if each.kind != "silent"]
    for start, first in enumerate(behind):
        if (
            first.kind != "dense"
            or first.inputs == width
            or (start > 0 and _feeds(behind[start - 1], first))
        ):
            continue
        for stop in range(start + 1, len(behind)):
            last, after = behind[stop - 1], behind[stop]
            if after.kind == "dense" and after.inputs == width + last.outputs:
                return behind[start:stop]
    return []


def _feeds(one: FoundModule, other: FoundModule) -> bool:
    return one.outputs == other.inputs


def _add_branch(chain: Chain, branch: Sequence[FoundModule]) -> None:
    """A second input of one vector a sequence, and its layers, which end by the name BRANCH."""
    found = chain.modules.found
    first, last = found.index(branch[0]), found.index(branch[-1])
    own = Chain(replace(chain.modules, found=found[first : last + 1]), is_part=True)
    own.walk(0, len(own.modules.found))
    chain.branch = list(_reading(own.layers, FEATURES))
    chain.guessed += own.guessed
    chain.settled += own.settled
    chain.questions += own.questions
    chain.ask(
        f"`{branch[0].called}` takes {branch[0].inputs} features, which may be a second input, of "
        "one vector a sequence",
        is_searched=True,
    )
    chain.inputs = [InputSpec(INPUT_NAME), InputSpec(FEATURES, steps=False)]
    chain.joined = branch[-1].outputs
    rest = [each for each in found if each not in found[first : last + 1]]
    chain.modules = replace(chain.modules, found=rest)


def _reading(layers: Sequence[DraftedLayer], source: str) -> Iterator[DraftedLayer]:
    """Drafted layers that read an input by its name, and end by the name BRANCH."""
    for k, each in enumerate(layers):
        ways = list(each.choices.values())
        if k == 0:
            ways = [(replace(first, source=source), *rest) for first, *rest in ways]
        if k == len(layers) - 1:
            ways = [(*rest, replace(last, name=BRANCH)) for *rest, last in ways]
        others = dict(zip(each.others, ways[1:], strict=True))
        yield replace(each, layers=ways[0], others=others)
