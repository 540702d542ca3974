"""Write the models that Keras 2 itself saves, and what Keras 2 computes with them.

Run by hand, in an environment with tensorflow-cpu==2.15.1:

    python tests/golden/keras2/write.py

or for some of the graphs alone, by their names.

Every model gets random weights, and random biases none of which is 0, from a seed of its own, so
that adding a case leaves the others as they are. The weights are saved in float32, which is Keras's
default. `expected.json` holds, for each model,

    sequences           what a user would give: lists of token ids, or of the values of each step
    float32, float64    Keras's own numbers for them in that precision, from the same weights:
                        `outputs` from `predict`, and `scores`, the same model without its last
                        softmax or sigmoid

Graphs, and layers that are no part of those models, are saved under graphs/, whose `expected.json`
holds what `predict` gives, all outputs side by side. Models that must be refused are saved under
refused/, without numbers.
"""

import json
import ntpath
import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import keras
import numpy as np
import tensorflow
from keras import layers
from keras.src.saving import saving_lib

HERE = Path(__file__).resolve().parent
VOCABULARY = 12
FIXED_LENGTH = 8
PRECISIONS = ("float32", "float64")

# Token 0 is a token like any other here.
IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [11], [0, 8, 0], [2, 7, 1, 8, 2, 8, 1], [10, 0]]
# Token 0 is padding here: in front, behind, in the middle, everywhere, nowhere.
MASKED_IDS = [
    [0, 0, 3, 1, 4, 1, 5],
    [9, 2, 6, 5, 0, 0, 0],
    [3, 0, 5, 0, 0, 8, 9],
    [0, 7, 0, 9, 3, 0, 0],
    [2, 3, 8, 4, 6, 2, 6],
    [0, 0, 0, 0, 0, 0, 11],
]
NOTHING_BUT_PADDING = [0, 0, 0, 0, 0, 0, 0]
SHORT_IDS = [[3, 1, 4], [5], [9, 2, 6, 5, 3, 5, 8], [1, 0, 7, 9, 3, 2, 3, 8], [0, 4, 0, 6]]
SERIES = [
    [[0.3, -1.2], [1.7, 0.4], [-0.6, 0.9], [2.1, -0.5], [0.0, 0.0]],
    [[-0.8, 0.25]],
    [[1.1, 1.4], [-1.9, 0.7], [0.45, -2.2]],
]
# The mask is -1 in both features; a step with one -1 is a step like any other.
MASKED_SERIES = [
    [[-1, -1], [-1, -1], [0.3, -1.2], [1.7, 0.4], [-0.6, 0.9]],
    [[1.1, -1], [-1, 0.7], [0.45, -2.2], [-1, -1], [-1, -1]],
    [[0.0, 0.0], [-1, -1], [2.1, -0.5], [-1, -1], [-0.8, 0.25]],
]

Sequences = list[list[Any]]
Feeding = Literal["alone", "together", "padded"]


@dataclass(frozen=True)
class Case:
    """One model, and the sequences that it is run on.

    Parameters
    ----------
    build : callable
        Gives the model, in the current `floatx`.
    sequences : list
    feeding : {"alone", "together", "padded"}
        How Keras gets them: one by one; as one batch, which they fill; or as one batch, padded by
        `pad_sequences` as Keras does by default to `FIXED_LENGTH`.
    scale : float
        Standard deviation of the weights.
    compact : bool
        Save with h5py's newer layout of HDF5, half as large, rather than with Keras's default.
    """

    build: Callable[[], keras.Model]
    sequences: Sequences
    feeding: Feeding = "alone"
    scale: float = 0.7
    compact: bool = True


def sequential(*chain: keras.layers.Layer, shape: tuple[int | None, ...] = (None,)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *chain])


def embedding(**settings: Any) -> keras.layers.Layer:
    return layers.Embedding(VOCABULARY, 3, **settings)


def bidirectional(merge_mode: str) -> Case:
    return Case(
        lambda: sequential(
            embedding(),
            layers.Bidirectional(layers.LSTM(3), merge_mode=merge_mode),
            layers.Dense(3, activation="softmax"),
        ),
        IDS,
        compact=merge_mode != "concat",
    )


def functional_chain() -> keras.Model:
    ids = keras.Input((None,), name="words")
    vectors = layers.Embedding(VOCABULARY, 4, name="vectors")(ids)
    states = layers.LSTM(5, return_sequences=True, name="reader")(vectors)
    last = layers.LSTM(3, name="second_reader")(states)
    hidden = layers.Dense(4, activation="tanh", name="hidden")(last)
    return keras.Model(ids, layers.Dense(2, activation="softmax", name="verdict")(hidden))


def two_branches() -> keras.Model:
    ids = keras.Input((None,), name="words")
    vectors = embedding(name="vectors")(ids)
    left = layers.LSTM(3, name="left_reader")(vectors)
    right = layers.LSTM(3, name="right_reader")(vectors)
    joined = layers.Concatenate(name="join")([left, right])
    return keras.Model(ids, layers.Dense(2, name="verdict")(joined))


CASES: dict[str, Case] = {
    "sequential": Case(
        lambda: sequential(embedding(), layers.LSTM(4), layers.Dense(3, activation="softmax")),
        IDS,
        compact=False,
    ),
    "no_biases": Case(
        lambda: sequential(
            embedding(), layers.LSTM(4, use_bias=False), layers.Dense(3, use_bias=False)
        ),
        IDS,
    ),
    "bidirectional_concat": bidirectional("concat"),
    "bidirectional_sum": bidirectional("sum"),
    "bidirectional_ave": bidirectional("ave"),
    "bidirectional_mul": bidirectional("mul"),
    "stacked": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(5, return_sequences=True),
            layers.LSTM(3),
            layers.Dense(3, activation="softmax"),
        ),
        IDS,
    ),
    "bidirectional_stacked": Case(
        lambda: sequential(
            embedding(),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
            layers.Bidirectional(layers.LSTM(4)),
            layers.Dense(3, activation="softmax"),
        ),
        IDS,
    ),
    "go_backwards": Case(
        lambda: sequential(embedding(), layers.LSTM(4, go_backwards=True), layers.Dense(3)), IDS
    ),
    "hard_sigmoid": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(4, recurrent_activation="hard_sigmoid"),
            layers.Dense(3, activation="softmax"),
        ),
        IDS,
        scale=2.0,  # so that gates saturate
    ),
    "mean_pool": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(4, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ),
        IDS,
    ),
    "max_pool": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(4, return_sequences=True),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3),
            layers.Softmax(),
        ),
        IDS,
    ),
    "dense_stack": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(4),
            layers.Dense(5, activation="relu"),
            layers.Dense(4),
            layers.Activation("tanh"),
            layers.Dense(3),
            layers.Activation("softmax"),
        ),
        IDS,
    ),
    "silent_layers": Case(
        lambda: sequential(
            embedding(),
            layers.SpatialDropout1D(0.5),
            layers.GaussianNoise(0.3),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
            layers.Dropout(0.5),
            layers.Dense(4, activation="tanh"),
            layers.GaussianDropout(0.5),
            layers.Dense(3, activation="softmax"),
            layers.Dropout(0.1),
        ),
        IDS,
    ),
    "functional": Case(functional_chain, IDS, compact=False),
    "mask_zero": Case(
        lambda: sequential(
            embedding(mask_zero=True), layers.LSTM(4), layers.Dense(3, activation="softmax")
        ),
        [*MASKED_IDS, NOTHING_BUT_PADDING],
        "together",
    ),
    "masked_mean_pool": Case(
        lambda: sequential(
            embedding(mask_zero=True),
            layers.Dropout(0.2),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.LSTM(4, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ),
        MASKED_IDS,
        "together",
    ),
    "masked_series": Case(
        lambda: sequential(
            layers.Masking(mask_value=-1.0),
            layers.Bidirectional(layers.LSTM(4)),
            layers.Dense(2),
            shape=(None, 2),
        ),
        MASKED_SERIES,
        "together",
    ),
    "series": Case(
        lambda: sequential(layers.LSTM(4), layers.Dense(1, activation="sigmoid"), shape=(None, 2)),
        SERIES,
    ),
    "fixed_length": Case(
        lambda: keras.Sequential(
            [
                embedding(input_length=FIXED_LENGTH),
                layers.LSTM(4),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        SHORT_IDS,
        "padded",
        compact=False,
    ),
    "dense_by_step": Case(
        lambda: sequential(
            embedding(),
            layers.LSTM(4, return_sequences=True),
            layers.Dense(5, activation="relu"),
            layers.Dense(3),
            layers.GlobalAveragePooling1D(),
            layers.Activation("softmax"),
        ),
        IDS,
    ),
}

REFUSED: dict[str, Callable[[], keras.Model]] = {
    "gru": lambda: sequential(
        embedding(), layers.GRU(3, name="gated_reader"), layers.Dense(2, name="verdict")
    ),
    "conv1d": lambda: sequential(
        embedding(),
        layers.Conv1D(3, 2, name="ngrams"),
        layers.LSTM(3, name="reader"),
        layers.Dense(2, name="verdict"),
    ),
}


@dataclass(frozen=True)
class Graph:
    """A model whose outputs alone are recorded.

    Parameters
    ----------
    build : callable
        Gives the model, in the current `floatx`.
    loss : str or None
        What it is compiled with before it is saved.
    weights_only : bool
        Save no architecture.
    suffix : str
        How the file's name ends, by which Keras tells the format.
    sequences : list
    runs_as : callable or None
        Gives a model that computes the same from the saved file's weights, where the machine that
        writes the files cannot run the model itself.
    padded : bool
        Whether the sequences are padded to `FIXED_LENGTH`, and are short.
    on_windows : bool
        Save it as on Windows, where Keras joins the names of groups by backslashes.
    """

    build: Callable[[], keras.Model]
    loss: str | None = None
    weights_only: bool = False
    suffix: str = ".h5"
    sequences: Sequences = field(default_factory=lambda: IDS)
    runs_as: Callable[[], keras.Model] | None = None
    padded: bool = False
    on_windows: bool = False


def several_outputs() -> keras.Model:
    ids = keras.Input((None,), name="words")
    state = layers.Bidirectional(layers.LSTM(3, name="reader"))(embedding(name="vectors")(ids))
    topic = layers.Dense(3, activation="softmax", name="topic")(state)
    mood = layers.Dense(1, activation="sigmoid", name="mood")(state)
    return keras.Model(ids, [topic, mood])


def joins() -> keras.Model:
    ids = keras.Input((None,), name="words")
    vectors = embedding(name="vectors")(ids)
    one = layers.LSTM(3, return_sequences=True, name="one")(vectors)
    two = layers.LSTM(3, return_sequences=True, name="two")(one)
    both = layers.Average(name="both")([layers.Add(name="added")([one, two]), vectors])
    every = layers.Concatenate(name="every")([both, layers.Multiply(name="times")([one, two])])
    most = layers.GlobalMaxPooling1D(name="most")(every)
    middle = layers.GlobalAveragePooling1D(name="middle")(every)
    joined = layers.Concatenate(name="joined")([most, middle])
    return keras.Model(ids, layers.Dense(2, name="verdict")(joined))


def parted() -> keras.Model:
    ids = keras.Input((None,), name="words")
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode=None, name="both")
    forward, backward = both(embedding(name="vectors")(ids))
    gated = layers.Multiply(name="gated")([backward, layers.Dense(3, name="gate")(forward)])
    joined = layers.Concatenate(name="joined")([forward, gated])
    return keras.Model(ids, layers.Dense(2, name="verdict")(layers.LSTM(4, name="last")(joined)))


def inside() -> keras.Model:
    reader = sequential(
        layers.LSTM(4, return_sequences=True), layers.BatchNormalization(), layers.LSTM(3),
        shape=(None, 3),
    )  # fmt: skip
    return sequential(embedding(), reader, layers.Dense(2))


def masked_joins() -> keras.Model:
    ids = keras.Input((None,), name="words")
    vectors = embedding(name="vectors", mask_zero=True)(ids)
    one = layers.LSTM(3, return_sequences=True, name="one")(vectors)
    two = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum")(one)
    every = layers.Concatenate(name="every")([layers.Add(name="added")([one, two]), vectors])
    middle = layers.GlobalAveragePooling1D(name="middle")(every)
    joined = layers.Concatenate(name="joined")([middle, layers.LSTM(3, name="last")(every)])
    return keras.Model(ids, layers.Dense(2, name="verdict")(joined))


def hard() -> keras.Model:
    settings: dict[str, Any] = {"recurrent_activation": "hard_sigmoid"}
    return sequential(
        embedding(),
        layers.Dropout(0.2),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1, **settings)),
        layers.LSTM(4, return_sequences=True, **settings),
        layers.TimeDistributed(layers.Dropout(0.1)),
        layers.TimeDistributed(layers.Dense(4, activation="tanh")),
        layers.LSTM(4, **settings),
        layers.BatchNormalization(),
        layers.Dense(3, activation="softmax"),
    )


def of_cells(kind: Callable[..., keras.layers.Layer]) -> Callable[[], keras.Model]:
    return lambda: sequential(
        embedding(),
        layers.Bidirectional(kind(3, return_sequences=True, name="both"), name="pair"),
        kind(4, name="one"),
        layers.Dense(2, name="verdict"),
    )


def reader_of(activation: str) -> Callable[[], keras.Model]:
    return lambda: sequential(
        embedding(), layers.LSTM(3, activation=activation), layers.Dense(2, name="verdict")
    )


GRAPHS: dict[str, Graph] = {
    "two_branches": Graph(two_branches),
    "joins": Graph(joins),
    "several_outputs": Graph(several_outputs),
    "lstm_relu": Graph(reader_of("relu")),
    "lstm_softsign": Graph(reader_of("softsign")),
    "lstm_elu": Graph(reader_of("elu")),
    "output_at_every_step": Graph(
        lambda: sequential(embedding(), layers.LSTM(3, return_sequences=True, name="tagger"))
    ),
    "time_distributed": Graph(
        lambda: sequential(
            embedding(),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2, activation="softmax")),
        )
    ),
    "backward_steps": Graph(
        lambda: sequential(
            embedding(),
            layers.LSTM(3, return_sequences=True, go_backwards=True),
            layers.LSTM(4),
            layers.Dense(2),
        )
    ),
    "normalized": Graph(
        lambda: sequential(
            embedding(),
            layers.LSTM(3, return_sequences=True),
            layers.BatchNormalization(),
            layers.LSTM(4),
            layers.BatchNormalization(scale=False, center=False, epsilon=0.01),
            layers.Dense(2),
        )
    ),
    "flattened": Graph(
        lambda: keras.Sequential(
            [
                embedding(input_length=FIXED_LENGTH),
                layers.LSTM(3, return_sequences=True),
                layers.Flatten(),
                layers.Dense(2),
            ]
        ),
        padded=True,
    ),
    "regressor": Graph(
        lambda: sequential(embedding(), layers.LSTM(3), layers.Dense(2)), loss="mse"
    ),
    "weights_only": Graph(
        lambda: sequential(
            embedding(),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.Dropout(0.5),
            layers.LSTM(4),
            layers.Dense(2),
        ),
        weights_only=True,
    ),
    "parted": Graph(parted),
    "inside": Graph(inside),
    "masked_joins": Graph(masked_joins, sequences=MASKED_IDS),
    "masked_tagger": Graph(
        lambda: sequential(
            embedding(mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2, activation="softmax")),
        ),
        sequences=MASKED_IDS,
    ),
    "weights_pooled": Graph(
        lambda: sequential(
            embedding(),
            layers.LSTM(4, return_sequences=True),
            layers.Dropout(0.5),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ),
        weights_only=True,
    ),
    "whole": Graph(hard, suffix=".keras"),
    "whole_inside": Graph(inside, suffix=".keras"),
    "whole_on_windows": Graph(hard, suffix=".keras", on_windows=True),
    "weights_numbered": Graph(
        lambda: sequential(
            embedding(), layers.LSTM(4, return_sequences=True), layers.LSTM(4), layers.Dense(2)
        ),
        weights_only=True,
        suffix=".weights.h5",
    ),
    "cudnn": Graph(
        of_cells(tensorflow.compat.v1.keras.layers.CuDNNLSTM), runs_as=of_cells(layers.LSTM)
    ),
}


def random_weights(model: keras.Model, name: str, scale: float) -> list[np.ndarray]:
    """Weights in float32, none of them 0, from a seed that the model's name gives."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    weights = [rng.normal(scale=scale, size=w.shape).astype(np.float32) for w in model.weights]
    assert all(np.all(w) for w in weights)
    return weights


def batches(case: Case, precision: str) -> list[np.ndarray]:
    """The sequences as Keras gets them."""
    of_ids = not isinstance(case.sequences[0][0], list)
    dtype = "int32" if of_ids else precision
    match case.feeding:
        case "alone":
            return [np.array([sequence], dtype=dtype) for sequence in case.sequences]
        case "together":
            return [np.array(case.sequences, dtype=dtype)]
        case "padded":
            return [keras.utils.pad_sequences(case.sequences, FIXED_LENGTH, dtype=dtype)]


def without_output(model: keras.Model) -> keras.Model:
    """The model that gives what goes into the last softmax or sigmoid."""
    last = [one for one in model.layers if not isinstance(one, layers.Dropout)][-1]
    if isinstance(last, layers.Activation | layers.Softmax):
        return keras.Model(model.inputs, last.input)
    last.activation = keras.activations.linear
    return keras.Model(model.inputs, last(last.input))


def numbers(
    name: str, case: Case, precision: str, weights: list[np.ndarray]
) -> dict[str, list[list[float]]]:
    """Keras's outputs and scores in one precision."""
    keras.backend.clear_session()
    keras.backend.set_floatx(precision)
    model = case.build()
    model.set_weights(weights)
    given = batches(case, precision)
    outputs = np.concatenate([model.predict(batch, verbose=0) for batch in given])
    behind = without_output(model)
    scores = np.concatenate([behind.predict(batch, verbose=0) for batch in given])
    assert outputs.dtype == scores.dtype == precision, name
    assert len(scores) == len(case.sequences), name
    return {"scores": scores.tolist(), "outputs": outputs.tolist()}


def save(model: keras.Model, path: Path, compact: bool) -> None:
    path.unlink(missing_ok=True)
    if compact:
        with h5py.File(path, "w", libver="latest") as file:
            model.save(file, include_optimizer=False, save_format="h5")
    else:
        model.save(str(path), include_optimizer=False)
    print(f"{path.relative_to(HERE)}: {path.stat().st_size:,} bytes")


def fresh(build: Callable[[], keras.Model], name: str, scale: float) -> keras.Model:
    """A model in Keras's default precision, with random weights."""
    keras.backend.clear_session()
    keras.backend.set_floatx("float32")
    model = build()
    model.set_weights(random_weights(model, name, scale))
    return model


def positive(weights: list[np.ndarray]) -> list[np.ndarray]:
    """The same with vectors above 0, for variances are among them."""
    return [np.abs(each) if each.ndim == 1 else each for each in weights]


@contextmanager
def as_on_windows() -> Iterator[None]:
    """Has Keras join names as it does on Windows, all but those of the machine's own files."""
    gfile = saving_lib.tf.io.gfile
    usual = gfile.join

    def join(path: str, *names: str) -> str:
        return usual(path, *names) if path.startswith("/") else ntpath.join(path, *names)

    gfile.join = join
    try:
        yield
    finally:
        gfile.join = usual


def write_graphs(names: Collection[str]) -> None:
    """Write each graph's file, and Keras's own outputs in both precisions."""
    folder = HERE / "graphs"
    folder.mkdir(exist_ok=True)
    path = folder / "expected.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    lines = []
    for name, graph in GRAPHS.items():
        if name not in names:
            lines.append(f"{json.dumps(name)}: {json.dumps(kept[name])}")
            continue
        path = folder / f"{name}{graph.suffix}"
        model = fresh(graph.build, name, scale=0.7)
        model.set_weights(positive(model.get_weights()))
        if graph.loss:
            model.compile("sgd", graph.loss)
        if graph.weights_only:
            model.save_weights(str(path))
        elif graph.suffix == ".h5":
            model.save(str(path), include_optimizer=bool(graph.loss))
        else:
            with as_on_windows() if graph.on_windows else nullcontext():
                model.save(str(path))
        sequences = SHORT_IDS if graph.padded else graph.sequences
        found: dict[str, Any] = {"sequences": sequences}
        for precision in PRECISIONS:
            keras.backend.clear_session()
            keras.backend.set_floatx(precision)
            copy = (graph.runs_as or graph.build)()
            with as_on_windows() if graph.on_windows else nullcontext():
                copy.load_weights(str(path))
            found[precision] = []
            for ids in sequences:
                given = keras.utils.pad_sequences([ids], FIXED_LENGTH) if graph.padded else [ids]
                outputs = copy.predict(np.array(given), verbose=0)
                outputs = outputs if isinstance(outputs, list) else [outputs]
                found[precision].append(np.concatenate([o[0] for o in outputs], -1).tolist())
        lines.append(f"{json.dumps(name)}: {json.dumps(found)}")
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def main() -> None:
    write_graphs(sys.argv[1:] or GRAPHS)
    if len(sys.argv) > 1:
        return
    expected: dict[str, dict[str, Any]] = {}
    for name, case in CASES.items():
        model = fresh(case.build, name, case.scale)
        save(model, HERE / f"{name}.h5", case.compact)
        weights = model.get_weights()
        expected[name] = {"sequences": case.sequences} | {
            precision: numbers(name, case, precision, weights) for precision in PRECISIONS
        }
    (HERE / "refused").mkdir(exist_ok=True)
    for name, build in REFUSED.items():
        save(fresh(build, name, scale=0.7), HERE / "refused" / f"{name}.h5", compact=True)
    lines = (f"{json.dumps(name)}: {json.dumps(found)}" for name, found in expected.items())
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
