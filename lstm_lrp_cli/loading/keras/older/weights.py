"""Where Keras 1 keeps the weights of a layer, and what their names say.

`lstm_1_W_i` is the kernel of the input gate of `lstm_1`, `dense_1_b` a bias; TensorFlow adds `:0`.
Recurrent layers have an array of each gate, unless they were made with `consume_less="gpu"`.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras.architecture import Place
from lstm_lrp_cli.loading.keras.document import MODELS, Config, layers_of, name_of
from lstm_lrp_cli.loading.keras.kinds.recurrent import CANDIDATES
from lstm_lrp_cli.loading.keras.roles import OLDER_NAME
from lstm_lrp_cli.loading.layers.datasets import Weight


class OlderWeights(Struct, frozen=True):
    """Finds the datasets of a layer.

    Parameters
    ----------
    file : Hdf5File
    root : str
        The group of all layers, with a slash behind it; "" for the top of the file.
    owners : dict of str to tuple of str
        By a layer's name, those by which its weights are called.
    """

    file: Hdf5File
    root: str
    owners: dict[str, tuple[str, ...]]

    def __call__(self, places: tuple[Place, ...]) -> list[str]:
        name = places[-1].name
        own = self._listed(name)
        if own is not None:
            return own
        # Those of a model inside the model may all stand in its group, and be told by their names.
        owners = self.owners[name]
        groups = self.file.names(self.root or "/", "layer_names") or []
        weights = [each for group in groups for each in self._listed(group) or []]
        return [each for each in weights if _owner(each) in owners]

    def _listed(self, group: str) -> list[str] | None:
        listed = self.file.names(f"{self.root}{group}", "weight_names")
        return None if listed is None else [f"{self.root}{group}/{name}" for name in listed]


def _owner(name: str) -> str:
    """The layer that a weight is called by."""
    found = OLDER_NAME.fullmatch(name.rsplit("/", 1)[-1])
    return found["layer"] if found else ""


def owners_of(document: Config) -> dict[str, tuple[str, ...]]:
    """By what name each layer's weights are called: that of the layer inside a wrapper.

    Parameters
    ----------
    document : dict
        In the words of Keras 1 or of later versions.
    """
    return dict(_owners(document))


def _owners(entry: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in layers_of(entry):
        inner = each["config"].get("layer") if isinstance(each["config"], dict) else None
        if each["class_name"] in MODELS:
            yield from _owners(each)
        elif not isinstance(inner, dict):
            yield name_of(each), (name_of(each),)
        elif inner["class_name"] in MODELS:
            yield from _owners(inner)
        else:
            name = name_of(inner)
            yield name_of(each), (name, f"forward_{name}", f"backward_{name}")


def is_of_theano(file: Hdf5File) -> bool:
    """Whether Keras 1 ran on Theano, which adds nothing to the names of weights."""
    return not any(re.search(r":\d+$", name) for name in file.datasets)


def is_called_as_older(weights: Sequence[str]) -> bool:
    """Whether weights are called as Keras 1 calls them: after their layer, and with no slash."""
    names = [name.split("/", 1)[-1] for name in weights]
    return bool(names) and all("/" not in each and OLDER_NAME.fullmatch(each) for each in names)


def older_kind(weights: Sequence[str], class_name: str) -> str | None:
    """The class of a layer of which there are only weights, as far as their names tell it.

    Parameters
    ----------
    class_name : str
        What Keras made of its class for the layer's own name, if the user left it that.
    """
    roles = "".join(_found(name)["role"] for name in weights)
    if roles.startswith("WUb"):
        return "Bidirectional" if len({_owner(name) for name in weights}) == 2 else "LSTM"
    if roles == "W" and class_name == "embedding":
        return "Embedding"
    if roles in ("W", "Wb"):
        return "Dense"
    return None  # of a normalization the version would tell what its `running_std` is


def joined_gates(
    weights: Sequence[str], shapes: Sequence[tuple[int, ...]]
) -> tuple[list[Weight], list[tuple[int, ...]]]:
    """The weights of recurrent layers with those of gates as one, and their shapes if joined."""
    together: dict[tuple[str, str], dict[str, str]] = {}
    sizes: dict[tuple[str, str], tuple[int, ...]] = {}
    kind = "GRU" if any(_found(name)["gate"] == "z" for name in weights) else "LSTM"
    for name, shape in zip(weights, shapes, strict=True):
        found = _found(name)
        key, gate = (found["layer"], found["role"]), found["gate"] or ""
        together.setdefault(key, {})[CANDIDATES.get((kind, gate), gate)] = name
        before = sizes.get(key)
        sizes[key] = shape if before is None else (*shape[:-1], before[-1] + shape[-1])
    return [gates.get("", gates) for gates in together.values()], list(sizes.values())


def _found(name: str) -> re.Match[str]:
    found = OLDER_NAME.fullmatch(name.rsplit("/", 1)[-1])
    assert found is not None
    return found
