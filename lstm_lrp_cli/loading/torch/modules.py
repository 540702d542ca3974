"""The modules that the names and shapes of a state dict show: LSTMs, embeddings, linear layers."""

import re
from collections.abc import Mapping as Names
from functools import cached_property
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, shape_text

FIRST_WEIGHT = re.compile(r".*?weight_ih_l0$")
# What nn.LSTM, nn.GRU and nn.RNN call theirs, of each layer and direction, and the same of a cell.
RECURRENT_WEIGHT = re.compile(r"(.*?)weight_ih(?:_l\d+(?:_reverse)?)?$")
# How many matrices are stacked in cells that are no LSTM's.
OTHER_CELLS = {3: "a GRU (3d, d)", 1: "a plain RNN (d, d)"}
# What the output layer of a tagger is called, as hidden2tag; no stage and no vintage.
TAGS = re.compile(r"(?<![a-z])tag(?!e)|to_?tag")
# What the CRF of torchcrf and AllenNLP keeps: the scores of tags that follow each other, those of
# the first and the last, and which are allowed.
TRANSITIONS = "transitions"
BESIDE_TRANSITIONS = ("start_transitions", "end_transitions")
CONSTRAINTS = "_constraint_mask"
# What nn.BatchNorm1d trains, and what it gathers.
AFFINE = ("weight", "bias")
MOMENTS = ("running_mean", "running_var")


class ModuleRecord(Struct, frozen=True):
    """A module as a whole pickle keeps it; nothing of it is run.

    Parameters
    ----------
    path : str
        Where it stands, such as `head.0`; "" is the model itself. Its weights are named by it.
    kind : str
        Its class, such as `torch.nn.modules.linear.Linear`.
    settings : dict
        Its attributes that are plain values: numbers, texts, booleans, None and tuples of those.
    """

    path: str
    kind: str
    settings: dict[str, Any]


class Modules(Struct, frozen=True, dict=True):
    """The modules whose weights a state dict holds.

    An embedding and a linear layer go by the name of their weight, an nn.LSTM and a batch
    normalization by the prefix of their names.

    Parameters
    ----------
    datasets : mapping of str to Stored
        What the file holds, in its order.
    lstms : list of str
    """

    datasets: Names[str, Stored]
    lstms: list[str]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.datasets[name].shape

    def bias_of(self, weight: str) -> str | None:
        bias = weight.removesuffix("weight") + "bias"
        return bias if bias in self.datasets else None

    def inputs(self, lstm: str) -> int:
        """How many features an nn.LSTM takes."""
        return self.shape(f"{lstm}weight_ih_l0")[1]

    def is_bidirectional(self, lstm: str) -> bool:
        return f"{lstm}weight_ih_l0_reverse" in self.datasets

    def width(self, lstm: str) -> int:
        """How many features an nn.LSTM gives."""
        return (1 + self.is_bidirectional(lstm)) * self.shape(f"{lstm}weight_hh_l0")[1]

    @cached_property
    def is_sorted(self) -> bool:
        """Whether the file's order is that of the alphabet, which tells nothing of the model."""
        floats = [
            n for n in self.datasets if not self.datasets[n].dtype.startswith(("int", "uint"))
        ]
        return floats == sorted(floats)

    @cached_property
    def _others(self) -> list[str]:
        """What may be a weight and is no part of an LSTM."""
        parts_of_lstms = re.compile(
            rf"({'|'.join(map(re.escape, self.lstms))})"
            r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?"
        )
        return [
            name
            for name, stored in self.datasets.items()
            if not parts_of_lstms.fullmatch(name)
            and not stored.dtype.startswith(("int", "uint", "bool"))
            and "/" not in name  # beside the state dict: an optimizer's
        ]

    @cached_property
    def _matrices(self) -> list[str]:
        return [n for n in self._others if len(self.shape(n)) == 2 and n.endswith("weight")]

    @cached_property
    def embeddings(self) -> list[str]:
        return [name for name in self._matrices if self._is_embedding(name)]

    def _is_embedding(self, name: str) -> bool:
        """Whether a matrix is an embedding: one by its name, or one that an LSTM behind it reads.

        In a file that is sorted by name nothing stands behind; it is one that no LSTM feeds.
        """
        if self.bias_of(name):
            return False
        if is_named_embedding(name):
            return True
        order, columns = list(self.datasets), self.shape(name)[1]
        reading = [lstm for lstm in self.lstms if self.inputs(lstm) == columns]
        if self.is_sorted:
            return bool(reading) and all(self.width(lstm) != columns for lstm in self.lstms)
        return any(order.index(name) < order.index(f"{lstm}weight_ih_l0") for lstm in reading)

    @cached_property
    def _unordered(self) -> list[str]:
        """The linear layers as the file lists them."""
        return [name for name in self._matrices if name not in self.embeddings]

    @cached_property
    def denses(self) -> list[str]:
        """The linear layers in their order."""
        return sorted(self._unordered, key=self.order.index)

    @cached_property
    def norms(self) -> list[str]:
        """The batch normalizations."""
        mean, variance = MOMENTS
        prefixes = (name.removesuffix(mean) for name in self._others if name.endswith(mean))
        return [prefix for prefix in prefixes if f"{prefix}{variance}" in self.datasets]

    @cached_property
    def unknown(self) -> list[str]:
        """What no module is found for."""
        parts = {f"{prefix}{part}" for prefix in self.norms for part in (*MOMENTS, *AFFINE)}
        used = {*self._matrices, *map(self.bias_of, self._unordered), *parts}
        return [name for name in self._others if name not in used and name not in self.crf]

    @cached_property
    def crf(self) -> list[str]:
        """What a CRF keeps of the tags whose emissions the last linear layer makes.

        Transitions of another number of tags are none: those would have states that it does not
        tell of.
        """
        tags = self.shape(self.behind[-1])[0] if self.behind else 0
        sizes: dict[str, tuple[int, ...]] = {TRANSITIONS: (tags, tags)}
        sizes |= dict.fromkeys(BESIDE_TRANSITIONS, (tags,))
        sizes[CONSTRAINTS] = (tags + 2, tags + 2)
        for name in self._others:
            if re.search(rf"(^|\.){TRANSITIONS}$", name) and self.shape(name) == (tags, tags):
                prefix = name.removesuffix(TRANSITIONS)
                return [
                    f"{prefix}{role}"
                    for role, size in sizes.items()
                    if f"{prefix}{role}" in self.datasets and self.shape(f"{prefix}{role}") == size
                ]
        return []

    @cached_property
    def order(self) -> list[str]:
        """How the modules are taken to stand, by names of weights.

        It is the file's order, with linear layers last that fit before no LSTM of those behind
        them. In a file that is sorted by name, as safetensors are, they all stand last.
        """
        order = list(self.datasets)
        # What a linear layer may be given before an LSTM; without an embedding it may be any input.
        given = {
            *(self.shape(name)[1] for name in self.embeddings),
            *(self.shape(name)[0] for name in self._unordered),
            *map(self.width, self.lstms[:-1]),
        }

        def feeds_one(name: str) -> bool:
            outputs, inputs = self.shape(name)
            place = order.index(name)
            behind = (each for each in self.lstms if order.index(f"{each}weight_ih_l0") > place)
            is_fed = inputs in given or not self.embeddings
            return is_fed and any(self.inputs(each) == outputs for each in behind)

        last = max(order.index(f"{lstm}weight_ih_l0") for lstm in self.lstms)
        late = [
            name
            for name in self._unordered
            if order.index(name) < last and (self.is_sorted or not feeds_one(name))
        ]
        kept = [name for name in order[: last + 1] if name not in late]
        return [*kept, *late, *order[last + 1 :]]

    def _is_before(self, name: str) -> bool:
        """Whether it stands before the last LSTM."""
        return self.order.index(name) < self.order.index(f"{self.lstms[-1]}weight_ih_l0")

    @cached_property
    def before(self) -> list[str]:
        """The linear layers before the last LSTM."""
        return [name for name in self.denses if self._is_before(name)]

    @cached_property
    def behind(self) -> list[str]:
        """The linear layers behind the last LSTM."""
        return [name for name in self.denses if not self._is_before(name)]

    @cached_property
    def attention(self) -> list[str]:
        """The linear layers that make one number of each step, where another takes the steps too.

        One, or a hidden one before it (Bahdanau et al. 2015).
        """
        width = self.width(self.lstms[-1])
        shapes = list(map(self.shape, self.behind))
        for count in (1, 2):
            given = [width, *(shape[0] for shape in shapes)][:count]
            are_fed = [shape[1] for shape in shapes[:count]] == given
            takes_steps = [width] == [shape[1] for shape in shapes[count : count + 1]]
            if are_fed and shapes[count - 1][0] == 1 and takes_steps:
                return self.behind[:count]
        return []

    @property
    def is_tagger(self) -> bool:
        """Whether the output layer is called one that tags every step, or a CRF decodes it."""
        is_called_so = bool(self.behind) and TAGS.search(self.behind[-1].lower()) is not None
        return is_called_so or bool(self.crf)

    @property
    def norms_fit(self) -> bool:
        """Whether every batch normalization has the units of what the file lists before it."""
        units = 0
        for name in self.order:
            lstm, norm = name.removesuffix("weight_ih_l0"), name.removesuffix(MOMENTS[0])
            if name in (*self.embeddings, *self.denses):
                units = self.shape(name)[int(name in self.embeddings)]
            elif lstm != name and lstm in self.lstms:
                units = self.width(lstm)
            elif norm in self.norms and self.shape(name) != (units,):
                return False
        return True


def is_named_embedding(name: str) -> bool:
    return "emb" in name.lower()


def find_modules(file: ArrayFile) -> Modules | None:
    """The modules of a state dict; None where it has no LSTM by its names.

    Raises
    ------
    UnusableInput
        There is a recurrent cell that is no LSTM's, or attention by dot products.
    """
    datasets = file.datasets
    lstms: list[str] = []
    for name in datasets:
        gates = _gates(datasets, name) if RECURRENT_WEIGHT.match(name) else None
        if gates == 4 and FIRST_WEIGHT.match(name):
            lstms.append(name.removesuffix("weight_ih_l0"))
        elif gates in OTHER_CELLS:
            raise _no_lstm(file, name, gates)
    if not lstms:
        return None
    for name in datasets:
        if re.search(r"(^|\.)in_proj_weight$", name):
            raise UnusableInput(
                f"{file.path}: {name}",
                "is of nn.MultiheadAttention; lrp does not explain attention by dot products, and "
                "no mapping can describe it",
            )
    return Modules(datasets, lstms)


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
