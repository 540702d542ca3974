"""Write weights as Flax and Haiku keep them, and what their cells compute with them.

Run by hand, in an environment with jax, flax and dm-haiku (the versions are in versions.json):

    python tests/golden/jax/write.py

Each file holds the parameters by their path, an embedding and an output layer, and under `scores`
the framework's own result, in float64, for the token ids under `ids/0`, `ids/1`, ...
"""

import json
from importlib.metadata import version
from pathlib import Path

import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).resolve().parent
IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [7], [0, 8, 0]]
VOCABULARY, FEATURES, HIDDEN, CLASSES = 10, 3, 4, 2


def flat(tree: object, prefix: str = "") -> dict[str, np.ndarray]:
    if not isinstance(tree, dict):
        return {prefix: np.asarray(tree)}
    return {
        name: array
        for key, each in tree.items()
        for name, array in flat(each, f"{prefix}/{key}" if prefix else key).items()
    }


def random_like(tree: object, rng: np.random.Generator) -> object:
    return jax.tree_util.tree_map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * 0.7), tree)


def flax_cell(kind: type[nn.RNNCellBase]):
    cell = nn.RNN(kind(HIDDEN, param_dtype=jnp.float64))
    parameters = cell.init(jax.random.PRNGKey(0), jnp.zeros((1, 2, FEATURES)))["params"]
    return parameters, lambda params, steps: cell.apply({"params": params}, steps[None])[0, -1]


def haiku_cell():
    def network(steps):
        core = hk.LSTM(HIDDEN)
        outputs, _ = hk.dynamic_unroll(core, steps, core.initial_state(None))
        return outputs[-1]

    cell = hk.without_apply_rng(hk.transform(network))
    parameters = cell.init(jax.random.PRNGKey(0), jnp.zeros((2, FEATURES)))
    return parameters, cell.apply


CELLS = {
    "flax_lstm_cell": lambda: flax_cell(nn.LSTMCell),
    "flax_optimized_lstm_cell": lambda: flax_cell(nn.OptimizedLSTMCell),
    "haiku_lstm": haiku_cell,
}


def main() -> None:
    for number, (name, build) in enumerate(CELLS.items()):
        rng = np.random.default_rng(number)
        parameters, apply = build()
        parameters = random_like(parameters, rng)
        table = rng.normal(size=(VOCABULARY, FEATURES))
        weights, bias = rng.normal(size=(HIDDEN, CLASSES)), rng.normal(size=CLASSES)
        scores = [
            np.asarray(apply(parameters, jnp.asarray(table[ids]))) @ weights + bias for ids in IDS
        ]
        arrays = flat(parameters)
        np.savez_compressed(
            HERE / f"{name}.npz",
            embedding=table,
            out_w=weights,
            out_b=bias,
            scores=np.array(scores),
            **arrays,
            **{f"ids/{k}": np.array(ids) for k, ids in enumerate(IDS)},
        )
        print(name, {key: value.shape for key, value in arrays.items()})
    versions = {package: version(package) for package in ("jax", "flax", "dm-haiku")}
    (HERE / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
