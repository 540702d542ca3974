"""Which arrays of a file are the sequences, and which the true classes."""

import warnings
from collections.abc import Mapping

from lstm_lrp_cli.errors import LeftOut, UnusableInput
from lstm_lrp_cli.inputs.series import dimensions_of
from lstm_lrp_cli.inputs.stream import natural_order
from lstm_lrp_cli.loading.files import Stored, shape_text
from lstm_lrp_cli.model.model import Input
from . import AsArrays

# The name by which an array of all sequences goes before others that fit as well.
USUAL = "x"
# What arrays of true classes are called, in small letters.
LABELS = ("y", "labels", "label", "targets", "target", "classes")
# How many arrays a message lists.
LISTED = 8

Arrays = Mapping[str, Stored]


def chosen_arrays(arrays: Arrays, read: Input, asked: AsArrays, where: str) -> list[str]:
    """The array that has all sequences, or those of which each has one, in natural order.

    Raises
    ------
    UnusableInput
        An array is not there, none can be the sequences, or several can.
    """
    if asked.array is not None:
        _check_there(asked.array, arrays, where, "--array")
        return [asked.array]
    names = [name for name in arrays if name != asked.label]
    whole = [name for name in names if _is_whole(arrays[name], read)]
    whole = [name for name in whole if not _is_called_label(name)] or whole
    if len(whole) > 1 and USUAL in whole:
        whole = [USUAL]
    if len(whole) > 1:
        raise UnusableInput(
            where,
            f"holds {_listed(arrays, whole)}, any of which may be the sequences; name one: "
            f"--array {whole[0]}",
        )
    if whole:
        _tell_left_out(names, whole[0], asked, where)
        return whole
    own = _one_each(arrays, names, asked, where)
    if len(own) != 1:  # of one alone, what is wrong is told where it is read
        _check_none_whole(arrays, own, read, where)
    return natural_order(own)


def label_array(arrays: Arrays, chosen: list[str], asked: AsArrays, where: str) -> str | None:
    """The array that has the true classes; None where they are not asked for.

    Raises
    ------
    UnusableInput
        It is not there.
    """
    if asked.label is not None:
        _check_there(asked.label, arrays, where, "--label")
        return asked.label
    if not asked.labelled:
        return None
    alike = []
    if len(chosen) == 1 and chosen[0][:1] in ("x", "X"):
        alike = [("y" if chosen[0][0] == "x" else "Y") + chosen[0][1:], f"y{chosen[0][1:]}"]
    others = {name.lower(): name for name in arrays if name not in chosen}
    for name in alike:
        if name in arrays:
            return name
    for name in LABELS:
        if name in others:
            return others[name]
    raise UnusableInput(
        where,
        f"has no true classes `y` (it holds {_listed(arrays, list(arrays))}); name the array that "
        "has them by --label, or a file: --label y.npy",
    )


def _is_whole(stored: Stored, read: Input) -> bool:
    """Whether an array may be all sequences, by its shape and type."""
    shape = stored.shape
    if stored.dtype[:3] not in ("int", "uin", "flo", "bfl"):
        return False
    if read.parts is not None and len(shape) == dimensions_of(read) + 1:
        return shape[2] == read.parts
    return len(shape) == dimensions_of(read) and (
        read.embedding is not None or shape[-1] == read.size
    )


def _is_called_label(name: str) -> bool:
    lower = name.rpartition("/")[2].lower()
    return lower in LABELS or lower.startswith("y_")


def _one_each(arrays: Arrays, names: list[str], asked: AsArrays, where: str) -> list[str]:
    """The arrays that are a sequence each: all, but for true classes."""
    called = next((name for name in names if _is_called_label(name)), None)
    if called is None or asked.label is not None or len(names) == 1:
        return names
    others = [name for name in names if name != called]
    if asked.labelled:
        return others
    if len(others) > 1 and arrays[called].shape[:1] == (len(others),):
        raise UnusableInput(
            where,
            f"holds {_listed(arrays, [called])} beside {len(others)} other arrays; if it has their "
            "true classes, add --labelled, else rename it",
        )
    return names


def _check_none_whole(arrays: Arrays, names: list[str], read: Input, where: str) -> None:
    """Refuse arrays of several sequences that the model cannot take."""
    if any(len(arrays[name].shape) >= dimensions_of(read) for name in names) or not names:
        size = read.size
        one = f"(sequences, steps, {size})" if read.steps else f"(sequences, {size})"
        one = one if read.embedding is None else "(sequences, steps) of token ids"
        raise UnusableInput(
            where,
            f"holds {_listed(arrays, list(arrays))}; expected one array of all sequences, {one}, "
            "or one array for each sequence",
        )


def _check_there(name: str, arrays: Arrays, where: str, option: str) -> None:
    if name not in arrays:
        listed = _listed(arrays, list(arrays))
        raise UnusableInput(where, f"has no array `{name}` ({option}); it holds {listed}")


def _listed(arrays: Arrays, names: list[str]) -> str:
    held = ", ".join(f"{name} {shape_text(arrays[name].shape)}" for name in names[:LISTED])
    return held + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _tell_left_out(names: list[str], taken: str, asked: AsArrays, where: str) -> None:
    """Warn of arrays that nobody asked for, but for those that are called as true classes are."""
    others = [name for name in names if name != taken and not _is_called_label(name)]
    if others:
        listed = ", ".join(others[:LISTED])
        warnings.warn(f"{where}: {taken} is read, and not {listed}", LeftOut, stacklevel=3)
