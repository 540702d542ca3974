"""Weights that PyTorch computes of others before it runs: of a direction and a length, and such.

What they are computed of stands in the file under names of its own; read as they are, those would
be no weights of any layer.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile
from .pickled import Tensor

# What torch.nn.utils names the two that a weight is made of: g v / ||v|| of weight_norm, old and
# new (Salimans and Kingma 2016), and the pruned weights of torch.nn.utils.prune.
_WEIGHT = r"(?:weight|bias)\w*"
_PAIRS: tuple[tuple[re.Pattern[str], str, str, Literal["norm", "mask"]], ...] = (
    (re.compile(rf"(?P<name>(?:.*\.)?{_WEIGHT})_g"), "{name}_v", "{name}", "norm"),
    (
        re.compile(rf"(?P<name>(?:.*\.)?)parametrizations\.(?P<role>{_WEIGHT})\.original0"),
        "{name}parametrizations.{role}.original1",
        "{name}{role}",
        "norm",
    ),
    (re.compile(rf"(?P<name>(?:.*\.)?{_WEIGHT})_mask"), "{name}_orig", "{name}", "mask"),
)
# The weights that dropout is applied to while it is trained, of AWD-LSTM by Salesforce and by
# fastai: without dropout the recurrent weights are they.
_RAW = re.compile(r"(?P<at>(?:.*\.)?)(?P<role>weight_(?:ih|hh)_l\d+(?:_reverse)?)_raw")
# An embedding's second name inside fastai's dropout.
_TWICE = re.compile(r"(?P<at>(?:.*\.)?)encoder_dp\.emb\.weight")
# What is left where a weight is computed in a way that is not known.
_LEFT = re.compile(rf"(.*\.)?(parametrizations\..*|{_WEIGHT}_orig|{_WEIGHT}_raw)")


class Computed(Struct, frozen=True):
    """A weight made of two tensors: by their norm, (length, direction), or as (mask, weight)."""

    by: Literal["norm", "mask"]
    given: Tensor
    weight: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    def of(self, given: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
        """The weight, of what the two are."""
        if self.by == "mask":
            masked: NDArray[Any] = given.astype(weight.dtype) * weight
            return masked
        # The norm is over all axes but the one along which there are lengths.
        axes = tuple(k for k in range(weight.ndim) if given.ndim == 0 or given.shape[k] == 1)
        exact = weight.astype(np.float64)
        norms = np.sqrt((exact**2).sum(axis=axes, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):  # a weight that is no number is told
            scaled: NDArray[Any] = (exact / norms * given).astype(weight.dtype)
        return scaled


def computed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor | Computed]:
    """Tensors by name, with those that are computed of two of them in their place."""
    made: dict[str, tuple[str, Computed]] = {}
    parts: set[str] = set()
    for name, given in tensors.items():
        for pattern, other, result, by in _PAIRS:
            match = pattern.fullmatch(name)
            if match is None:
                continue
            second, into = (form.format(**match.groupdict()) for form in (other, result))
            weight = tensors.get(second)
            if weight and into not in tensors and _fits(by, given.shape, weight.shape):
                made[name] = into, Computed(by, given, weight)
                parts |= {name, second}
    found: dict[str, Tensor | Computed] = {}
    for name, tensor in _without_dropout(tensors):
        if name in made:
            into, each = made[name]
            found[into] = each
        elif name not in parts:
            found[name] = tensor
    return found


def refuse_computed(file: ArrayFile) -> None:
    """Refuse a file that keeps what weights are computed of, and not how.

    Raises
    ------
    UnusableInput
    """
    taken_off = (
        "in PyTorch take it off (torch.nn.utils.parametrize.remove_parametrizations, "
        "remove_spectral_norm), and save the state dict again"
    )
    if file.format != "PyTorch":
        taken_off = f"save the state dict as .pt, of which more is known; else {taken_off}"
    for name in file.datasets:
        if _LEFT.fullmatch(name):
            raise UnusableInput(
                file.where(name),
                "is what PyTorch computes a weight of, in a way that is not known here; "
                f"{taken_off}",
            )


def _fits(by: str, given: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    if by == "mask":
        return given == weight
    along = [size for size in given if size != 1]
    each = zip(given, weight, strict=False)
    return not given or (
        len(given) == len(weight) and len(along) < 2 and all(g in (1, size) for g, size in each)
    )


def _without_dropout(tensors: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
    """The tensors with the weights of AWD-LSTM by the names that its nn.LSTM has for them."""
    names: dict[str, str] = {}
    stale: set[str] = set()
    for name, tensor in tensors.items():
        twice = _TWICE.fullmatch(name)
        if twice and tensors.get(f"{twice['at']}encoder.weight") == tensor:
            stale.add(name)
        match = _RAW.fullmatch(name)
        if match:
            at, role = match["at"], match["role"]
            inner = f"{at}module."  # the LSTM inside what applies dropout
            other = "weight_ih" if role.startswith("weight_hh") else "weight_hh"
            is_inside = f"{inner}{other}{role[9:]}" in tensors
            names[name] = f"{inner if is_inside else at}{role}"
    stale |= set(names.values())
    for name, tensor in tensors.items():
        if name not in stale:
            yield names.get(name, name), tensor
