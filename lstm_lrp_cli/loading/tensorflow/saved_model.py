"""Keras's own description of a model in a SavedModel, as Keras 2 writes it.

Since TensorFlow 2.5 it stands in `keras_metadata.pb`, before that among the objects of the graph:
for every layer a JSON document, and by which path the layer is reached from the model, which is
what the names of its variables begin with.

Sources: Keras 2.15, protobuf/saved_metadata.proto; TensorFlow, core/protobuf/
saved_object_graph.proto.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.files.formats import in_shell
from lstm_lrp_cli.loading.keras.architecture import Place, read_architecture
from lstm_lrp_cli.loading.keras.describe import describe_architecture
from lstm_lrp_cli.loading.keras.document import DAMAGED, read_document
from lstm_lrp_cli.loading.mapping import Described
from .checkpoint import SavedModelFile
from .objects import LONGEST_PATH
from .wire import messages, text_of, whole

METADATA, GRAPH = "keras_metadata.pb", "saved_model.pb"
# A layer takes about two thousand bytes there, and as many in each model around it.
LARGEST_METADATA = 64 * 2**20
LARGEST_GRAPH = 2 * 2**30
ROOT = "root"
# How the objects of Keras are called, of all that there are in a graph.
OF_KERAS = "_tf_keras_"
# The layer inside a wrapper, on the way to the layers of a model in it.
INSIDE = re.compile(r"(\.layer)?\.[^.]+")


def describe(file: SavedModelFile) -> Described:
    """Read the architecture as a mapping.

    Raises
    ------
    UnusableInput
        There is none, or it has a layer that the tool does not know, named.
    """
    where = file.where(METADATA)
    with damaged(where, _not_understood(file), *DAMAGED):
        documents = dict(_documents(file))
    if ROOT not in documents:
        raise UnusableInput(
            str(file.path),
            "is a TensorFlow SavedModel in which Keras does not say its layers. Save the model "
            'that it was exported from, model.save("model.keras"), or make an ONNX file of it, '
            "which lrp reads unless it masks steps (pip install tf2onnx):",
            f"python -m tf2onnx.convert --saved-model {in_shell(file.path)} --output model.onnx",
        )
    with damaged(where, _not_understood(file), *DAMAGED):
        root = documents[ROOT]
        document = root.get("model_config") or root
        version = str(root.get("keras_version") or "2")
        losses = (root.get("training_config") or {}).get("loss")
        weights = _PathWeights(file, {path: each["name"] for path, each in documents.items()})
        architecture = read_architecture(file.path, document, version, weights)
        return describe_architecture(
            architecture, losses, f"{METADATA} in {file.path.name}", version
        )


def _not_understood(file: SavedModelFile) -> Callable[[Exception], str]:
    return lambda error: (
        f"is not understood as an architecture of Keras ({error!r}); describe its layers by hand "
        f"in {file.path.with_suffix('.yaml').name}"
    )


class _PathWeights(Struct, frozen=True):
    """Finds the variables of a layer by the path on which it is reached.

    Parameters
    ----------
    file : SavedModelFile
    names : dict of str to str
        The name of the layer at each path.
    """

    file: SavedModelFile
    names: dict[str, str]

    def __call__(self, places: tuple[Place, ...]) -> list[str]:
        path = ROOT
        for place in places:
            paths = [
                each
                for each, name in self.names.items()
                if name == place.name
                and each.startswith(f"{path}.")
                and INSIDE.fullmatch(each, len(path))
            ]
            if not paths:
                return []
            path = paths[0]
        found = self.file.variables_of(path.removeprefix(f"{ROOT}.").replace(".", "/"))
        return [found[each] for each in sorted(found, key=_backwards_last)]


def _backwards_last(path: str) -> tuple[bool, str]:
    return "backward_layer/" in path, path


def _documents(file: SavedModelFile) -> Iterator[tuple[str, Any]]:
    """What Keras says of each layer, by its path."""
    for name, limit, read in (
        (METADATA, LARGEST_METADATA, _in_metadata),
        (GRAPH, LARGEST_GRAPH, _in_graph),
    ):
        content = file.content(name, limit)
        if content is None:
            continue
        where = file.where(name)
        with damaged(
            where, lambda error: f"is damaged ({error}); save the model again", ValueError
        ):
            found = list(read(content))
        for path, text in found:
            yield path, _without_tuples(read_document(where, text))
        if found:
            return


def _in_metadata(content: bytes) -> Iterator[tuple[str, str]]:
    for node in messages(content, 1):
        if text_of(node, 4).startswith(OF_KERAS):
            yield text_of(node, 3), text_of(node, 5)


def _in_graph(content: bytes) -> Iterator[tuple[str, str]]:
    """The same of the objects of a graph, each by the first path on which it is reached."""
    for graph in messages(content, 2):
        nodes = [node for objects in messages(graph, 7) for node in messages(objects, 1)]
        paths = {0: ROOT} if nodes else {}
        waiting = deque(paths)
        while waiting:
            number = waiting.popleft()
            for child in messages(nodes[number], 1):
                other = whole(child, 1)
                path = f"{paths[number]}.{text_of(child, 2)}"
                if other not in paths and other < len(nodes) and len(path) <= LONGEST_PATH:
                    paths[other] = path
                    waiting.append(other)
        for number, path in paths.items():
            for user in messages(nodes[number], 4):
                text = text_of(user, 3)  # empty where another file has it
                if text and text_of(user, 1).startswith(OF_KERAS):
                    yield path, text
        return


def _without_tuples(value: Any) -> Any:
    """A document with lists for what Keras writes as tuples."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return [_without_tuples(each) for each in value["items"]]
        return {key: _without_tuples(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_tuples(each) for each in value]
    return value
