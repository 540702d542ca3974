"""Where a PyTorch file has its model: a state dict, a checkpoint that holds one, a whole module."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.pickles.values import INERT, Made
from .modules import RECURRENT_WEIGHT, ModuleRecord
from .pickled import Tensor, refused
from .whole import (
    PACKED,
    Allowance,
    is_measure,
    is_module,
    joined,
    quantized,
    read_whole,
    unwrapped,
)

# Under these keys training scripts keep a state dict or a module in their checkpoints, and what
# trains one, such as fastai's Learner, keeps its module.
MODELS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "weights"),
    *("network", "module", "module_"),
)
# What DataParallel and torch.compile put before all names.
PREFIXES = ("module.", "_orig_mod.")
# No checkpoint nests its settings deeper; the names of what stands in d dicts take d^2 characters.
DEEPEST = 100


class Content(Struct, frozen=True):
    """What a PyTorch file holds.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Those of the model under their own names; those beside it by their path.
    documents : dict
        Plain values beside the model, and objects that may be a vocabulary, by their path.
    modules : tuple of ModuleRecord
        The modules of a whole pickle, each before its parts; nothing of a state dict.
    """

    tensors: dict[str, Tensor]
    documents: dict[str, Any]
    modules: tuple[ModuleRecord, ...] = ()


def find_content(pickled: Any, where: str, size: int) -> Content:
    """What a pickle holds: the model, and what stands beside it.

    Parameters
    ----------
    pickled : any
        What its pickle holds.
    size : int
        Of the file, in bytes.

    Raises
    ------
    UnusableInput
        It holds no model, or one that only executing the pickle would give.
    """
    model = _find_model(pickled)
    allowance = Allowance(size, where)
    tensors: dict[str, Tensor] = {}
    documents: dict[str, Any] = {}
    modules: tuple[ModuleRecord, ...] = ()
    if isinstance(model, Made):
        whole = read_whole(unwrapped(model), where, allowance)
        tensors, modules = whole.tensors, whole.records
    elif model is not None:
        _check_state(model, where)
        for name, value in _unprefixed(model, Tensor):
            (tensors if isinstance(value, Tensor) else documents)[name] = value
    else:
        _refuse(pickled, where)
    for path, value in _beside(pickled, model, allowance):
        if isinstance(value, Tensor):
            # Such as a best score: no weight of the state dict.
            tensors[f"/{path}" if model is not None and "/" not in path else path] = value
        elif path and (not isinstance(value, INERT) or _is_filled(value)):
            documents[path] = value
    return Content(tensors, documents, modules)


def _is_filled(value: Any) -> bool:
    """Whether an object that is no module has something in it, as a vocabulary has."""
    if not isinstance(value, Made) or is_module(value):
        return False
    return bool(value.attributes or value.items or value.values or value.state is not None)


def state_tensors(content: Any, tensor: type) -> dict[str, Any]:
    """The tensors of the state dict that a file holds, under their own names.

    Parameters
    ----------
    tensor : type
        What the content has for a tensor.
    """
    state = _find_state(content, tensor)
    named = () if state is None else _unprefixed(state, tensor)
    return {name: value for name, value in named if isinstance(value, tensor)}


def _find_state(content: Any, tensor: type) -> dict[Any, Any] | None:
    """The dict that holds the model's tensors: one under a usual key, the whole, or what it has.

    Under another key, or in a list, it is the only one that has the weights of a recurrent layer.
    """
    if not isinstance(content, dict):
        return _of_one(content, tensor) if isinstance(content, list | tuple) else None
    candidates = [*(content[key] for key in MODELS if key in content), content]
    usual = next((each for each in candidates if _holds(each, tensor)), None)
    if any(isinstance(content.get(key), INERT) for key in MODELS):
        return usual
    one = _of_one(list(content.values()), tensor)
    return one if usual is None or (usual is content and one is not None) else usual


def _of_one(values: Sequence[Any], tensor: type) -> dict[Any, Any] | None:
    """The only dict of some that has the weights of a recurrent layer; None where several have."""
    found = {
        id(value): value
        for value in values
        if _holds(value, tensor)
        and any(isinstance(name, str) and RECURRENT_WEIGHT.fullmatch(name) for name in value)
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _find_model(content: Any) -> dict[Any, Any] | Made | None:
    """The dict that holds the model's tensors, or the module that is the model."""
    if is_module(content):
        return content
    held: dict[Any, Any] = {}
    if isinstance(content, dict | Made):
        held = content if isinstance(content, dict) else content.attributes
        for value in (held[key] for key in MODELS if key in held):
            if is_module(value) or (held is content and _holds(value, Tensor)):
                found: dict[Any, Any] | Made = value
                return found
    if isinstance(content, Made):
        return None
    values = enumerate(content) if isinstance(content, list | tuple) else held.items()
    return _of_several(values) or _find_state(content, Tensor)


def _of_several(values: Iterable[tuple[Any, Any]]) -> Made | None:
    """The one module that there is beside other things, or all of them as one."""
    modules = {
        str(name): value for name, value in values if is_module(value) and not is_measure(value)
    }
    if len(modules) == 1:
        return next(iter(modules.values()))
    return joined(modules) if modules else None


def _holds(value: Any, tensor: type) -> bool:
    return isinstance(value, dict) and any(isinstance(each, tensor) for each in value.values())


def _unprefixed(state: dict[Any, Any], tensor: type) -> Iterator[tuple[str, Any]]:
    names = [str(key) for key, value in state.items() if isinstance(value, tensor)]
    prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in names)), "")
    for key, value in state.items():
        yield str(key).removeprefix(prefix), value


def _beside(content: Any, model: Any, allowance: Allowance) -> Iterator[tuple[str, Any]]:
    """What else there is, by its path; each dict once, for one may hold itself."""
    pending = [("", 0, content)]
    seen = {id(model)}
    while pending:
        path, depth, value = pending.pop()
        if id(value) in seen or depth > DEEPEST:
            continue
        if isinstance(value, dict) and any(
            isinstance(each, dict | list | tuple | Tensor) or each is model
            for each in value.values()
        ):
            seen.add(id(value))
            prefix = f"{path}/" if path else ""
            for key, each in value.items():
                name = f"{prefix}{key}"
                allowance.take(len(name))
                pending.append((name, depth + 1, each))
        else:
            yield path, value


def _check_state(state: dict[Any, Any], where: str) -> None:
    """Refuse what the pickle has among the model's tensors and only executing it would give."""
    for key, value in state.items():
        if isinstance(key, str) and any(each in key for each in PACKED):
            raise quantized(where, f"`{key}`")
        if isinstance(value, INERT) or isinstance(key, INERT):
            raise refused(where, f"`{value}` as `{key}`")


def _refuse(content: Any, where: str) -> None:
    """Refuse what stands in the model's place and only executing the pickle would give."""
    if isinstance(content, INERT):
        if str(content).startswith("darts."):
            raise UnusableInput(
                where,
                f"is a `{content}` without its weights, which darts keeps in a file beside it that "
                "is called the same with .ckpt added; give that one",
            )
        raise refused(where, f"`{content}`")
    if isinstance(content, dict):
        for key in MODELS:
            if isinstance(content.get(key), INERT):
                raise refused(where, f"`{content[key]}` as `{key}`")
