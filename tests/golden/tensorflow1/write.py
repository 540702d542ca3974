"""Write weights as TensorFlow 1's cells keep them, and what the cells compute with them.

Run by hand, in an environment with tensorflow-cpu==2.15.1, which still has TensorFlow 1's cells:

    python tests/golden/tensorflow1/write.py

Each file holds the variables by the last part of TensorFlow's own names (kernel, bias,
projection/kernel), an embedding and an output layer, and under `scores` TensorFlow's own result,
in float64, for the token ids under `ids/0`, `ids/1`, ...
"""

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

HERE = Path(__file__).resolve().parent
IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [7], [0, 8, 0]]
VOCABULARY, FEATURES, HIDDEN, CLASSES = 10, 3, 4, 2

CELLS = {
    "basic_lstm_cell": lambda: tf.nn.rnn_cell.BasicLSTMCell(HIDDEN),
    "lstm_cell": lambda: tf.nn.rnn_cell.LSTMCell(HIDDEN, forget_bias=0.5),
    "projected": lambda: tf.nn.rnn_cell.LSTMCell(HIDDEN, num_proj=3),
}


def main() -> None:
    for number, (name, build) in enumerate(CELLS.items()):
        rng = np.random.default_rng(number)
        tf.reset_default_graph()
        table = rng.normal(size=(VOCABULARY, FEATURES))
        inputs = tf.placeholder(tf.float64, (1, None, FEATURES))
        outputs, _ = tf.nn.dynamic_rnn(build(), inputs, dtype=tf.float64)
        variables = tf.global_variables()
        values = [rng.normal(scale=0.7, size=v.shape.as_list()) for v in variables]
        units = outputs.shape[-1]
        weights, bias = rng.normal(size=(units, CLASSES)), rng.normal(size=CLASSES)
        scores = []
        with tf.Session() as session:
            for variable, value in zip(variables, values, strict=True):
                variable.load(value, session)
            for ids in IDS:
                found = session.run(outputs, {inputs: table[ids][np.newaxis]})
                scores.append(found[0, -1] @ weights + bias)
        prefix = os.path.commonpath([v.op.name for v in variables]) + "/"
        arrays = {
            v.op.name.removeprefix(prefix): value
            for v, value in zip(variables, values, strict=True)
        }
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


if __name__ == "__main__":
    main()
