"""What modules a state dict shows, as values: each with its weights as layers of a mapping."""

import re
from typing import Any, Literal

from msgspec import Struct

from lstm_lrp_cli.loading.layers import LayerSpec

# What nn.LSTM, nn.GRU and nn.RNN call theirs, of each layer and direction, and the same of a cell.
RECURRENT_WEIGHT = re.compile(r"(.*?)weight_ih(?:_l\d+(?:_reverse)?)?$")
# A setting of a record: whether functions of the user's own are called as the module runs.
HOOKS = "hooks"
# What runs its modules one after the other: nn.Sequential, and what fastai makes of it.
SEQUENCES = frozenset(
    {
        "torch.nn.modules.container.Sequential",
        "fastai.layers.ConvLayer",
        "fastai.layers.LinBnDrop",
        "fastai.text.models.core.SequentialRNN",
    }
)
ModuleKind = Literal[
    "embedding",
    "recurrent",
    "dense",
    "convolution",
    "batch_norm",
    "layer_norm",
    "self_attention",
    "prelu",
    "silent",
]


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
    kept : tuple of str
        Tensors that a class of the user's own keeps beside its weights, by their attributes.
    functions : dict of str to str
        What such a class has of torch's functions, by their attributes.
    """

    path: str
    kind: str
    settings: dict[str, Any]
    kept: tuple[str, ...] = ()
    functions: dict[str, str] = {}

    @property
    def torch_name(self) -> str:
        """What torch.nn calls its class; "" where it is another's."""
        room, _, name = self.kind.rpartition(".")
        return name if room == "torch.nn" or room.startswith("torch.nn.modules.") else ""


class FoundModule(Struct, frozen=True):
    """A module of a state dict, as layers of a mapping.

    Parameters
    ----------
    path : str
        Its place among the modules, such as `head.0`.
    kind : str
        `silent` has no weights.
    layers : tuple of LayerSpec
        What it is, with the likeliest settings; of a stack of recurrent layers, each returns every
        step.
    inputs, outputs : int
        How many units it takes and gives, of a step or a vector; 0 is as many as it is given.
    weights : tuple of str
        Its datasets; the first names it in messages.
    record : ModuleRecord or None
        What a whole pickle says of it.
    """

    path: str
    kind: ModuleKind
    layers: tuple[LayerSpec, ...] = ()
    inputs: int = 0
    outputs: int = 0
    weights: tuple[str, ...] = ()
    record: ModuleRecord | None = None

    @property
    def called(self) -> str:
        """What messages call it."""
        if self.kind in ("dense", "embedding", "convolution"):
            return self.weights[0]
        return f"{self.path}." if self.path or not self.weights else self.weights[0]

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def place(self) -> int | None:
        """Where it stands in an nn.Sequential, by its name."""
        name = self.path.rpartition(".")[2]
        return int(name) if name.isdecimal() and len(name) < 9 else None

    @property
    def is_norm(self) -> bool:
        return self.kind in ("batch_norm", "layer_norm")

    @property
    def is_named_embedding(self) -> bool:
        return "emb" in self.weights[0].lower()


class Modules(Struct, frozen=True):
    """What the names and shapes of a state dict show.

    Parameters
    ----------
    found : list of FoundModule
        In the file's order; of a whole pickle, those without weights among them.
    unknown : list of str
        What may be weights, and belongs to no module that is known.
    shapes : dict
        Of all that may be weights.
    records : dict of str to ModuleRecord
        What a whole pickle says, by path.
    """

    found: list[FoundModule]
    unknown: list[str]
    shapes: dict[str, tuple[int, ...]]
    records: dict[str, ModuleRecord]

    @property
    def is_sorted(self) -> bool:
        """Whether the file's order is that of the alphabet, which tells nothing of the model."""
        return not self.records and list(self.shapes) == sorted(self.shapes)

    def is_sequence(self, path: str) -> bool:
        """Whether a whole pickle says that the modules in there run one after the other."""
        record = self.records.get(path)
        return record is not None and record.kind in SEQUENCES

    def sequence_of(self, module: FoundModule) -> str | None:
        """The outermost of the sequences that a module is a part of; None where it is of none."""
        path, found = module.path, None
        while path and self.is_sequence(path.rpartition(".")[0]):
            path = found = path.rpartition(".")[0]
        return found
