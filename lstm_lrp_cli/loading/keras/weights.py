"""Where Keras keeps the weights of a layer in HDF5: by name up to Keras 2, by place in Keras 3."""

import re

from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from .architecture import Place, WeightsOf, role_of
from .document import MODELS, Config, kind_of, layers_of, name_of
from .kinds import KINDS
from .older.weights import is_called_as_older, older_kind
from .roles import WEIGHTS, WRAPPERS

# Where Keras 3's layout keeps a model's layers; the second is how Keras 2.12 calls it.
ROOTS = ("layers", "_layer_checkpoint_dependencies")
# What stands beside them in the file of a class of the user's own.
NO_LAYERS = frozenset({"optimizer", "metrics", "vars"})
# What holds weights.
HOLDING = (*WEIGHTS, *WRAPPERS, *MODELS)
# Behind a layer's group: the parts of Bidirectional and TimeDistributed, an LSTM's cell, the dense
# layers of attention.
VARIABLE = re.compile(
    r"(?:layer/)?(?:(?:forward|backward)_layer/)?"
    r"(?:cell/|(?:query|key|value|output)_dense/)?vars/\d+"
)

ATTENTION_DENSE = re.compile(r"/(query|key|value|output)_dense/")
DENSE_OF_ATTENTION = ("query", "key", "value", "output")


def snake_case(kind: str) -> str:
    """The name that Keras 3 makes of a class: bidirectional, batch_normalization, lstm, ..."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()


# The layers that Keras names by their class, unless the user does.
CLASSES = {snake_case(kind): kind for kind in KINDS if not kind.startswith("ops.")}
CLASSES["input"] = "InputLayer"
# What the names of a layer's weights tell of its class.
CELL = ("kernel", "recurrent_kernel", "bias")
KINDS_BY_ROLES = {
    ("embeddings",): "Embedding",
    **dict.fromkeys([CELL, CELL[:2]], "LSTM"),
    **dict.fromkeys([CELL * 2, CELL[:2] * 2], "Bidirectional"),
    **dict.fromkeys([("kernel", "bias"), ("kernel",)], "Dense"),
    ("gamma", "beta", "moving_mean", "moving_variance"): "BatchNormalization",
}


def layer_names(file: Hdf5File) -> list[str] | None:
    """The layers in their order, as Keras lists them up to Keras 2; None in Keras 3's layout."""
    return file.names("/", "layer_names")


def holds_layers(file: Hdf5File) -> bool:
    """Whether a file is laid out as Keras does, in any of its ways."""
    return layer_names(file) is not None or any(map(file.children, ROOTS))


class LayerGroup(Struct, frozen=True):
    """A layer in a file of weights alone.

    Parameters
    ----------
    path : str
        Its group.
    kind : str or None
        Its class, as the group or its weights are called; None where neither tells it.
    weights : list of str
        Its datasets in Keras's order.
    """

    path: str
    kind: str | None
    weights: list[str]

    @property
    def name(self) -> str:
        return self.path.removeprefix(f"{ROOTS[0]}/").removeprefix(f"{ROOTS[1]}/")


def layer_groups(file: Hdf5File) -> list[LayerGroup]:
    """The layers of a file that says no architecture, in its order."""
    listed = layer_names(file)
    if listed is not None:
        return [_named_group(file, name, is_first=k == 0) for k, name in enumerate(listed)]
    groups = [group for root in ROOTS for group in file.children(root)]
    if groups:
        return [
            LayerGroup(group, CLASSES.get(class_of(group)), _variables(file, group))
            for group in groups
        ]
    own = [group for group in file.children("") if group not in NO_LAYERS]
    return [_own_group(file, group) for group in own]


def _named_group(file: Hdf5File, group: str, *, is_first: bool) -> LayerGroup:
    """A layer of Keras 2's layout, whose weights have names."""
    listed = file.names(group, "weight_names")
    if listed is None:
        raise UnusableInput(
            file.where(group),
            "has no attribute `weight_names`, in which Keras lists a layer's weights, and "
            "`layer_names` lists it as a layer; save the model again",
        )
    names = [f"{group}/{name}" for name in listed]
    kind = None  # as of layers of a model inside the model
    if not names:  # the first without weights is the input, whatever the user calls it
        kind = CLASSES.get(class_of(group), "InputLayer" if is_first else None)
    elif is_called_as_older(names):
        kind = older_kind(names, class_of(group))
    elif all(f"/{group}" in name for name in names):
        kind = KINDS_BY_ROLES.get(tuple(map(role_of, names)))
        if kind == "Dense" and class_of(group) == "time_distributed":
            kind = "TimeDistributed"
    return LayerGroup(group, kind, names)


def _own_group(file: Hdf5File, group: str) -> LayerGroup:
    """An attribute of a user's own class: what it seems to be, by its parts or its name."""
    variables = _variables(file, group)
    if not variables:
        kind = CLASSES.get(class_of(group))
    elif any("/forward_layer/" in name for name in variables):
        kind = "Bidirectional"
    elif any("/cell/" in name for name in variables):
        kind = "LSTM"
    else:
        kind = "Embedding" if "emb" in group else "Dense"
    return LayerGroup(group, kind, variables)


def group_weights(file: Hdf5File, group: str, places: tuple[Place, ...]) -> list[str]:
    """A layer's datasets; those of a model inside the model all stand in that model's group."""
    if not file.holds(group):
        return []
    names = file.names(group, "weight_names") or []
    if len(places) > 1:
        whole = "/".join(place.name for place in places)  # as Keras 3 names them
        names = [n for n in names if f"/{whole}/" in f"/{n}"] or [
            n for n in names if f"/{places[-1].name}/" in f"/{n}"
        ]
    return [f"{group}/{name}" for name in names]


def weights_beside(file: Hdf5File, document: Config) -> WeightsOf:
    """How the layers of an architecture find their weights in a file that has them alone."""
    listed = layer_names(file)
    if listed is None:
        return PlacedWeights(file)
    holding = [name for name in listed if file.names(name, "weight_names")]
    entries = layers_of(document)
    names = [name_of(entry) for entry in entries]
    groups = dict(zip(names, names, strict=True))
    if not set(holding) <= set(names):  # Keras itself goes by their order
        needing = [name_of(entry) for entry in entries if kind_of(entry) in HOLDING]
        groups = dict(zip(needing, holding, strict=False))

    def weights_of(places: tuple[Place, ...]) -> list[str]:
        group = groups.get(places[0].name)
        return [] if group is None else group_weights(file, group, places)

    return weights_of


def is_weight(file: Hdf5File, name: str) -> bool:
    """Whether a dataset is a layer's: not the optimizer's, nor the state of a random generator."""
    if layer_names(file) is None:
        return name.startswith(ROOTS) and "seed_generator" not in name
    return not name.startswith("top_level_model_weights/")


class PlacedWeights(Struct):
    """Finds the datasets of a layer by its place, in Keras 3's layout."""

    file: Hdf5File
    known: dict[str, dict[str, str]] = field(default_factory=dict)

    def __call__(self, places: tuple[Place, ...]) -> list[str]:
        group = ""
        for depth, place in enumerate(places):
            found = self._group(f"{group}/" if group else "", place)
            if found is None:
                return []
            is_around = place.kind in WRAPPERS and depth < len(places) - 1  # another model
            group = f"{found}/layer" if is_around else found
        return _variables(self.file, group)

    def _group(self, prefix: str, place: Place) -> str | None:
        """The group of a layer: by its name where the file records it, else by kind and number.

        Keras 2.12 to 3.5 does not record it. The numbers may have gaps.
        """
        if prefix not in self.known:
            self.known[prefix] = {}
            for root in ROOTS:
                for group in self.file.children(f"{prefix}{root}"):
                    name = self.file.attribute(f"{group}/vars", "name")
                    self.known[prefix].setdefault(str(name or group), group)
        groups = self.known[prefix]
        if place.name in groups:
            return groups[place.name]
        kind = snake_case(place.kind)
        numbered = [g for g in groups.values() if class_of(g) == kind]
        numbered.sort(key=lambda group: (len(group), group))
        return numbered[place.number] if place.number < len(numbered) else None


def class_of(group: str) -> str:
    """The class in a name that Keras made of it: `layers/lstm_1` is an lstm."""
    return re.sub(r"_\d+$", "", group.rsplit("/", 1)[-1])


def _variables(file: Hdf5File, group: str) -> list[str]:
    """The datasets of a layer in Keras's order: by part, the forward one first, and by number.

    Keras 3 calls the last dense layer of attention `output_dense`.
    """
    names = [
        name
        for name in file.datasets
        if name.startswith(f"{group}/") and VARIABLE.fullmatch(name, len(group) + 1)
    ]

    def place(name: str) -> tuple[bool, int, str, int]:
        part, _, number = name.rpartition("/")
        dense = ATTENTION_DENSE.search(name, len(group))
        among = 0 if dense is None else DENSE_OF_ATTENTION.index(dense[1])
        return "backward_layer" in part, among, part, int(number)

    return sorted(names, key=place)
