"""What a whole pickle's modules without weights settle, and what they leave open.

What an nn.Sequential holds runs in its order. What else a class registers, its own code may use
anywhere: where that stands is told or asked, and nothing that does something is left out silently.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from lstm_lrp_cli.loading.mapping.choices import POOLED, Choices
from lstm_lrp_cli.loading.mapping.draft import OpenQuestion
from lstm_lrp_cli.loading.torch.modules import HOOKS, FoundModule, Modules
from .finding import LOSS
from .gaps import FUNCTIONS, WHOLE_POOLS, layer_of, leading, usual_activation

# Classes of fastai whose code is known: what reads words, one LSTM after the other, and what joins
# three ways of pooling their steps.
IN_ORDER = frozenset(
    {"fastai.text.models.awdlstm.AWD_LSTM", "fastai.text.models.awd_lstm.AWD_LSTM"}
)
JOINED = frozenset(
    {
        "fastai.text.models.core.PoolingLinearClassifier",
        "fastai.text.learner.PoolingLinearClassifier",
    }
)
JOINED_POOLS = " and ".join(POOLED[pool] for pool in ("last", "max", "mean"))


class StepsSaid(Struct, frozen=True):
    """What is made of the steps of the last recurrent module, as far as modules say it.

    Parameters
    ----------
    pool : str
        How a choice calls it; "" where nothing says it.
    is_certain : bool
        Whether it stands in a sequence with the layer behind it.
    silent : tuple of FoundModule
        The module that says it.
    """

    pool: str = ""
    is_certain: bool = False
    silent: tuple[FoundModule, ...] = ()

    def ordered(self, choices: Choices) -> Choices:
        """The choices, the one that is said first, and alone where it is certain."""
        if self.pool not in choices:
            return choices
        said = {self.pool: choices[self.pool]}
        return said if self.is_certain else said | choices


def steps_said(modules: Modules, after: int) -> StepsSaid:
    """What pooling over all steps says of what the layer at a place is given."""
    found = modules.found
    if after < len(found) and _is_inside(modules, found[after], JOINED):
        return StepsSaid(JOINED_POOLS, is_certain=True)
    pools = [each for each in found if each.record and each.record.torch_name in WHOLE_POOLS]
    known = [each for each in pools if each.record and layer_of(each.record, False) is not None]
    if len(known) != 1 or not 0 < after < len(found):
        return StepsSaid()
    [each] = known
    assert each.record is not None
    pool = POOLED[WHOLE_POOLS[each.record.torch_name]]
    is_certain = each in leading(modules, after)
    # In a sequence with others it pools what those make.
    if modules.sequence_of(each) is not None and not is_certain:
        return StepsSaid()
    return StepsSaid(pool, is_certain, (each,))


def are_in_order(modules: Modules, recurrent: Sequence[FoundModule]) -> bool:
    """Whether a class whose code is known runs them one after the other."""
    return all(_is_inside(modules, each, IN_ORDER) for each in recurrent)


def _is_inside(modules: Modules, module: FoundModule, kinds: frozenset[str]) -> bool:
    """Whether a module is a part of one of some classes."""
    path = module.path
    while path:
        path = path.rpartition(".")[0]
        record = modules.records.get(path)
        if record is not None and record.kind in kinds:
            return True
    return False


def behind_steps(modules: Modules, place: int, after: int) -> list[FoundModule]:
    """The activation that is registered behind the last recurrent module, before the one layer."""
    found = modules.found
    denses = [each for each in found[place:] if each.kind == "dense"]
    if len(denses) != 1 or after >= len(found) or found[after] is not denses[0]:
        return []
    active = [
        each
        for each in found[place + 1 : after]
        if each.kind == "silent" and modules.sequence_of(each) is None and _acts(each)
    ]
    return active if len(active) == 1 else []


def questions_of_records(
    modules: Modules,
    settled: Sequence[FoundModule],
    guessed: Sequence[FoundModule],
    *,
    has_attention: bool,
) -> Iterator[OpenQuestion]:
    """What is told or asked of modules without weights, and of settings that change weights.

    Parameters
    ----------
    modules : Modules
    settled : sequence of FoundModule
        Those without weights that the draft has.
    guessed : sequence of FoundModule
        Those behind which the draft has the activation that is usual.
    has_attention : bool
        Whether a softmax weighs the steps.
    """
    silent = [each for each in modules.found if each.kind == "silent" and each.record]
    usual = usual_activation(modules) if guessed else ""
    for each in silent:
        record = each.record
        assert record is not None
        layers, name = layer_of(record, True), record.torch_name
        if layers is None:
            if any(name.startswith(f"{each.path}.") for name in modules.unknown):
                continue  # of its weights it is asked
            yield OpenQuestion(f"nothing says what `{each.path}` does, of the class {record.kind}")
        elif each in settled:
            if layers and name not in WHOLE_POOLS and modules.sequence_of(each) is None:
                yield _registered(modules, each)
        elif layers and not (
            (layers[0].kind == "activation" and layers[0].settings == usual)
            or (has_attention and name == "Softmax")
        ):
            yield OpenQuestion(f"nothing says where `{each.path}` ({name}) stands")
    yield from _of_attributes(modules, usual)
    yield from _of_order(modules)
    yield from _of_settings(modules)


def _of_attributes(modules: Modules, usual: str) -> Iterator[OpenQuestion]:
    """Tensors and functions that classes of the user's own have beside weights and modules."""
    for path, record in modules.records.items():
        within = f"{path}." if path else ""
        for name in record.kept:
            yield OpenQuestion(
                f"nothing says what `{within}{name}` is for",
                f"`{within}{name}`, a tensor beside the weights, changes no score",
                is_safe=True,
            )
        for name, function in record.functions.items():
            is_loss = LOSS.fullmatch(name.lower()) or function.endswith(("loss", "entropy"))
            if not is_loss and FUNCTIONS.get(function, "") != (usual or None):
                yield OpenQuestion(f"nothing says where `{within}{name}` ({function}) stands")


def _registered(modules: Modules, each: FoundModule) -> OpenQuestion:
    """What is told of a module that is taken to stand where it is registered.

    An activation behind the last recurrent module as often stands behind the head: it is asked.
    """
    assert each.record is not None
    called = f"`{each.path}` ({each.record.torch_name})"
    place = modules.found.index(each)
    before = [one for one in modules.found[:place] if one.kind != "silent"]
    later = [one.kind for one in modules.found[place:]]
    is_open = bool(before) and before[-1].kind == "recurrent" and "recurrent" not in later
    behind = f"behind `{before[-1].called}`" if before else "first"
    return OpenQuestion(
        f"nothing says where {called} stands",
        f"{called} stands {behind}, where it is registered",
        is_safe=not is_open,
        is_searched=is_open,
    )


def _of_order(modules: Modules) -> Iterator[OpenQuestion]:
    """That layers before the last recurrent module are used, and in the order of the file."""
    found = modules.found
    kinds = [each.kind for each in found]
    last = len(kinds) - 1 - kinds[::-1].index("recurrent")
    before = [each for each in found[:last] if each.kind in ("dense", "convolution")]
    sequences = {modules.sequence_of(each) for each in (*before, found[last])}
    if before and (None in sequences or len(sequences) > 1):
        names = ", ".join(f"`{each.called}`" for each in before)
        yield OpenQuestion(
            f"nothing says in which order there are {names}",
            f"`{found[last].called}` is behind {names}, in the order in which they are registered",
            is_safe=True,
        )


def _of_settings(modules: Modules) -> Iterator[OpenQuestion]:
    """Settings of modules that change what their weights mean."""
    for record in modules.records.values():
        if record.torch_name == "Embedding" and record.settings.get("max_norm") is not None:
            yield OpenQuestion(
                f"`{record.path}` shortens its vectors (max_norm), which a mapping cannot describe"
            )
        if record.settings.get(HOOKS):
            yield OpenQuestion(f"nothing says what the hooks of `{record.path}` do")


def _acts(each: FoundModule) -> bool:
    """Whether a module is an activation."""
    layers = None if each.record is None else layer_of(each.record, False)
    return [layer.kind for layer in layers or ()] in (["activation"], ["leaky_relu"])
