"""From a mapping and a weight file to the layers of a model."""

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.datasets import Datasets
from lstm_lrp_cli.loading.dense_weights import build_dense
from lstm_lrp_cli.loading.lstm_weights import build_lstm
from lstm_lrp_cli.loading.mapping import EmbeddingSpec, LayerSpec
from lstm_lrp_cli.model.layers import Activation, Embedding, Layer, Lstm, Pool


def build_layers(specs: list[LayerSpec], datasets: Datasets) -> tuple[Layer, ...]:
    """Build the layers that a mapping lists.

    Raises
    ------
    UnusableInput
        A dataset is missing, of the wrong shape or not finite, or a layer cannot follow another.
    """
    layers: list[Layer] = []
    size: int | None = None
    by_step = True
    for index, spec in enumerate(specs):
        key = f"layers[{index}].{spec.kind}"

        def misplaced(problem: str, key: str = key) -> UnusableInput:
            return UnusableInput(datasets.mapping_name, f"{key}: {problem}")

        if spec.embedding is not None:
            if index:
                raise misplaced("an embedding comes first; nothing can feed it")
            embedding = _embedding(spec.embedding, datasets, key)
            layers.append(embedding)
            size = embedding.weights.shape[1]
        elif spec.lstm is not None:
            if not by_step:
                raise misplaced("the layer before gives no sequence; set its `returns: sequence`")
            lstm = build_lstm(spec.lstm, datasets, key, size)
            layers.append(lstm)
            size, by_step = lstm.output_size, lstm.returns == "sequence"
        elif spec.pool is not None:
            if not by_step:
                raise misplaced("the layer before gives no sequence; set its `returns: sequence`")
            layers.append(Pool(spec.pool))
            by_step = False
        elif spec.dense is not None:
            dense = build_dense(spec.dense, datasets, key, size)
            layers.append(dense)
            size = dense.weights.shape[0]
            if spec.dense.activation != "linear":
                layers.append(Activation(spec.dense.activation))
        elif spec.activation is not None:
            layers.append(Activation(spec.activation))
    if not any(isinstance(layer, Lstm) for layer in layers):
        raise UnusableInput(datasets.mapping_name, "layers: there is no lstm among them")
    if by_step:
        raise UnusableInput(
            datasets.mapping_name,
            "layers: the model gives an output at every step; set the last lstm's "
            "`returns: last`, or add a layer `pool: mean`, `max` or `sum`",
        )
    return tuple(layers)


def _embedding(spec: EmbeddingSpec, datasets: Datasets, key: str) -> Embedding:
    return Embedding(datasets.read(spec.weights, f"{key}.weights", 2))
