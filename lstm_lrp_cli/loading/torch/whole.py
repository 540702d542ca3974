"""A whole pickled module: its tensors by the names of its state dict, and the modules themselves.

Nothing is imported or run. A module keeps what it is made of in three dicts, `_parameters`,
`_buffers` and `_modules`, and its settings as plain attributes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sized
from typing import Any, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.pickles.values import INERT, Foreign, Made
from .modules import HOOKS, SEQUENCES, ModuleRecord
from .pickled import VARIABLE_FUNCTIONS, Tensor, refused

# No model nests its modules deeper.
DEEPEST = 100
# So many times the size of the file its names and settings may take, and a little.
ALLOWED_EXPANSION = 20

# What runs another module, which is the model.
WRAPPERS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
}
# Modules of weights that are no numbers, or that are rounded as the model runs.
QUANTIZED = re.compile(r"torch\..*\b(quantized|qat)\b.*")
PACKED = ("_packed_params", "_all_weight_values")
# What measures scores, and makes none.
MEASURES = ("torch.nn.modules.loss.", "torchmetrics.")
# What computes weights of others before a module runs; that is done, or refused, by their names.
KNOWN_HOOKS = ("torch.nn.utils.",)
# Where torch has functions that a module's code may call.
FUNCTIONS = ("torch.nn.functional", "torch._C._nn", VARIABLE_FUNCTIONS)
# Longer tuples are no settings of a layer.
LONGEST = 16

_PLAIN = (str, int, float, type(None))


class Allowance:
    """How much what a pickle names may grow to in memory, where it names one thing many times."""

    def __init__(self, size: int, where: str) -> None:
        self.left = (ALLOWED_EXPANSION * size) + 2**20
        self.where = where

    def take_entries(self, of: Sized) -> None:
        """What each entry of a dict or a list takes."""
        self.take(32 * len(of))

    def take(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise UnusableInput(
                self.where,
                "names more than a file of its size honestly holds, so it is not read; save "
                "`model.state_dict()`",
            )


class Whole(Struct, frozen=True):
    """What a whole module holds: its tensors by name, and all modules in their order."""

    tensors: dict[str, Tensor]
    records: tuple[ModuleRecord, ...]


class _Place(Struct, frozen=True):
    """A module at a place; `is_repeated` where it is, or is inside of, one that runs again."""

    path: str
    module: Made
    depth: int
    is_repeated: bool = False


def is_module(value: Any) -> TypeGuard[Made]:
    """Whether a pickle has an nn.Module there."""
    return isinstance(value, Made) and all(
        isinstance(value.attributes.get(part), dict) for part in ("_modules", "_parameters")
    )


def is_measure(module: Made) -> bool:
    """Whether a module is a loss or a metric, and no part of a model."""
    return str(module.kind).startswith(MEASURES)


def unwrapped(module: Made) -> Made:
    """The model inside what trains it in parallel, or compiles it."""
    for _ in range(DEEPEST):
        inner = module.attributes["_modules"].get(WRAPPERS.get(str(module.kind)))
        if not is_module(inner):
            break
        module = inner
    return module


def quantized(where: str, what: str) -> UnusableInput:
    return UnusableInput(
        where, f"has {what}, whose weights are quantized; save the model that it was made from"
    )


def joined(modules: dict[str, Made]) -> Made:
    """Several modules as parts of one."""
    kind = Foreign("torch.nn.modules.container", "ModuleDict")
    return Made(kind, {"_modules": modules, "_parameters": {}, "_buffers": {}})


def read_whole(module: Made, where: str, allowance: Allowance) -> Whole:
    """Everything that a module holds.

    A module that stands under several names is listed once: in the nn.Sequential that it is a part
    of, else where it was registered first. One without weights is listed at every place, but only
    in sequences if it is in any; and what an nn.Sequential runs again is listed again.

    Raises
    ------
    UnusableInput
        A weight is of a class that only executing the pickle would give, or the modules are nested
        without end.
    """
    tensors: dict[str, Tensor] = {}
    records: list[ModuleRecord] = []
    for place in _places(module, where, allowance):
        kind, attributes = str(place.module.kind), place.module.attributes
        if QUANTIZED.fullmatch(kind):
            raise quantized(where, f"`{kind}` as `{place.path}`")
        allowance.take_entries(attributes)
        settings = {
            name: value
            for name, value in attributes.items()
            if isinstance(name, str) and name[:1] != "_" and _is_setting(value)
        }
        if _is_hooked(attributes):
            settings[HOOKS] = True
        record = ModuleRecord(place.path, kind, settings)
        if not record.torch_name:
            record = replace(record, kept=_kept(attributes), functions=_functions(attributes))
        records.append(record)
        for name, tensor in _own_tensors(attributes, allowance):
            path = _joined(place.path, name, allowance)
            if isinstance(tensor, INERT):
                raise refused(where, f"`{tensor}` as `{path}`")
            tensors[path] = tensor
    return Whole(tensors, tuple(records))


def _is_setting(value: Any) -> bool:
    """Whether an attribute is plain: a number, a text, a boolean, None, or a tuple of those."""
    if isinstance(value, tuple):
        return len(value) <= LONGEST and all(isinstance(each, _PLAIN) for each in value)
    return isinstance(value, _PLAIN)


def _kept(attributes: dict[Any, Any]) -> tuple[str, ...]:
    """The attributes that hold tensors which are in no state dict: the user's code may use them."""
    buffers = attributes.get("_buffers")
    passing = attributes.get("_non_persistent_buffers_set")
    names = passing if isinstance(passing, list) else []
    held = buffers if isinstance(buffers, dict) else {}
    left_out = [n for n in names if isinstance(n, str) and isinstance(held.get(n), Tensor)]
    plain = [
        name
        for name, value in attributes.items()
        if isinstance(name, str) and name[:1] != "_" and _has_tensor(value)
    ]
    return (*left_out, *plain)


def _has_tensor(value: Any) -> bool:
    several = value if isinstance(value, list | tuple) and len(value) <= LONGEST else (value,)
    return any(isinstance(each, Tensor) for each in several)


def _functions(attributes: dict[Any, Any]) -> dict[str, str]:
    """The attributes that are functions of torch, such as `F.relu`, and their names."""
    return {
        name: value.name
        for name, value in attributes.items()
        if isinstance(name, str) and isinstance(value, Foreign) and value.module in FUNCTIONS
    }


def _is_hooked(attributes: dict[Any, Any]) -> bool:
    """Whether a module calls functions as it runs that are not those which compute its weights."""
    hooks = [attributes.get(name) for name in ("_forward_hooks", "_forward_pre_hooks")]
    return any(
        not str(hook).startswith(KNOWN_HOOKS)
        for held in hooks
        if isinstance(held, dict)
        for hook in held.values()
        if isinstance(hook, INERT)
    )


def _own_tensors(attributes: dict[Any, Any], allowance: Allowance) -> Iterator[tuple[str, Any]]:
    """The tensors of one module that its state dict has, without those of its parts."""
    buffers = attributes.get("_buffers")
    passing = attributes.get("_non_persistent_buffers_set")  # since PyTorch 1.6
    passing = passing if isinstance(passing, list) else []
    allowance.take_entries(passing)
    left_out = {name for name in passing if isinstance(name, str)}
    for held in (attributes["_parameters"], buffers if isinstance(buffers, dict) else {}):
        allowance.take_entries(held)
        for name, tensor in held.items():
            is_saved = held is attributes["_parameters"] or name not in left_out
            if is_saved and isinstance(tensor, Tensor | Foreign | Made):
                yield str(name), tensor


def _joined(path: str, name: str, allowance: Allowance) -> str:
    allowance.take(len(path) + len(name))
    return f"{path}.{name}" if path else name


def _children(module: Made, allowance: Allowance) -> list[tuple[str, Made]]:
    parts = module.attributes["_modules"]
    allowance.take_entries(parts)
    return [
        (str(name), part)
        for name, part in parts.items()
        if is_module(part) and not is_measure(part)
    ]


def _places(root: Made, where: str, allowance: Allowance) -> Iterator[_Place]:
    """All modules at their places, each before its parts."""
    homes, chained = _homes(root, allowance)
    begun: set[int] = set()
    pending = [_Place("", root, 0)]
    while pending:
        place = pending.pop()
        if place.depth > DEEPEST:
            raise UnusableInput(
                where, f"nests its modules deeper than {DEEPEST}; save `model.state_dict()`"
            )
        if id(place.module) in begun and _has_any(place.module) and not place.is_repeated:
            continue
        begun.add(id(place.module))
        yield place
        is_sequence = str(place.module.kind) in SEQUENCES
        parts = [
            (name, part)
            for name, part in _children(place.module, allowance)
            if homes.get(id(part), id(place.module)) == id(place.module)
            and (is_sequence or id(part) not in chained)
        ]
        times = Counter(id(part) for _, part in parts) if is_sequence else Counter()
        at_home = [
            _Place(
                _joined(place.path, name, allowance),
                part,
                place.depth + 1,
                place.is_repeated or times[id(part)] > 1,
            )
            for name, part in parts
        ]
        pending += reversed(at_home)


def _homes(root: Made, allowance: Allowance) -> tuple[dict[int, int], set[int]]:
    """Where modules without parts are listed that stand in a sequence.

    Returns
    -------
    dict
        Of each with weights, the sequence.
    set
        Those without.
    """
    homes: dict[int, int] = {}
    chained: set[int] = set()
    seen, pending = {id(root)}, [root]
    for module in pending:  # which grows
        is_sequence = str(module.kind) in SEQUENCES
        for _, part in _children(module, allowance):
            if is_sequence and not _has_any(part):
                chained.add(id(part))
            elif is_sequence and not part.attributes["_modules"]:
                homes.setdefault(id(part), id(module))
            if id(part) not in seen:
                seen.add(id(part))
                pending.append(part)
    return homes, chained


def _has_any(module: Made) -> bool:
    """Whether a module has weights or parts, so that it is the same thing wherever it stands."""
    buffers = module.attributes.get("_buffers")
    return bool(module.attributes["_modules"] or module.attributes["_parameters"] or buffers)
