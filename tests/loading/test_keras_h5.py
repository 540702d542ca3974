"""Models that Keras 2 saved (tests/golden/keras2) are read, run and explained as Keras runs them.

The expected numbers are Keras's own; `write.py` beside them says how they came about.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from together import lrp_all

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.engine.forward import outputs
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explainer import Explainer, detail_of
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.loading.load import LoadedModel, load_model
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Layer, Pool
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm
from lstm_lrp_cli.model.text import Padding

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "keras2"
REFUSED = GOLDEN / "refused"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text("utf-8"))

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
TOLERANCES = {FLOAT64: 1e-10, FLOAT32: 1e-5}
# Keras keeps neither the side of padding nor that of cutting.
UNSAID = frozenset[str]()
MASKED_ZERO = Padding(masked=True, told=UNSAID)


@dataclass(frozen=True)
class Spec:
    """What must be read from a file: its layers in words, and what stands around them."""

    layers: list[str]
    output: str = "softmax"
    padding: Padding | None = None


SPECS = {
    "sequential": Spec(["embedding 12x3", "lstm 4 forward, last", "dense 4 to 3 + bias"]),
    "no_biases": Spec(["embedding 12x3", "lstm 4 forward, last", "dense 4 to 3"], "linear"),
    "bidirectional_concat": Spec(
        ["embedding 12x3", "lstm 3 forward backward, concat, last", "dense 6 to 3 + bias"]
    ),
    "bidirectional_sum": Spec(
        ["embedding 12x3", "lstm 3 forward backward, sum, last", "dense 3 to 3 + bias"]
    ),
    "bidirectional_ave": Spec(
        ["embedding 12x3", "lstm 3 forward backward, mean, last", "dense 3 to 3 + bias"]
    ),
    "bidirectional_mul": Spec(
        ["embedding 12x3", "lstm 3 forward backward, product, last", "dense 3 to 3 + bias"]
    ),
    "stacked": Spec(
        [
            "embedding 12x3",
            "lstm 5 forward, sequence",
            "lstm 3 forward, last",
            "dense 3 to 3 + bias",
        ]
    ),
    "bidirectional_stacked": Spec(
        [
            "embedding 12x3",
            "lstm 3 forward backward, sum, sequence",
            "lstm 4 forward backward, concat, last",
            "dense 8 to 3 + bias",
        ]
    ),
    "go_backwards": Spec(
        ["embedding 12x3", "lstm 4 backward, last", "dense 4 to 3 + bias"], "linear"
    ),
    "hard_sigmoid": Spec(
        ["embedding 12x3", "lstm 4 forward, last, hard_sigmoid", "dense 4 to 3 + bias"]
    ),
    "mean_pool": Spec(
        ["embedding 12x3", "lstm 4 forward, sequence", "pool mean", "dense 4 to 3 + bias"], "linear"
    ),
    "max_pool": Spec(
        ["embedding 12x3", "lstm 4 forward, sequence", "pool max", "dense 4 to 3 + bias"]
    ),
    "dense_stack": Spec(
        [
            "embedding 12x3",
            "lstm 4 forward, last",
            "dense 4 to 5 + bias",
            "relu",
            "dense 5 to 4 + bias",
            "tanh",
            "dense 4 to 3 + bias",
        ]
    ),
    "silent_layers": Spec(
        [
            "embedding 12x3",
            "lstm 4 forward, last",
            "dense 4 to 4 + bias",
            "tanh",
            "dense 4 to 3 + bias",
        ]
    ),
    "functional": Spec(
        [
            "embedding 12x4",
            "lstm 5 forward, sequence",
            "lstm 3 forward, last",
            "dense 3 to 4 + bias",
            "tanh",
            "dense 4 to 2 + bias",
        ]
    ),
    "mask_zero": Spec(
        ["embedding 12x3", "lstm 4 forward, last", "dense 4 to 3 + bias"], padding=MASKED_ZERO
    ),
    "masked_mean_pool": Spec(
        [
            "embedding 12x3",
            "lstm 3 forward backward, concat, sequence",
            "lstm 4 forward, sequence",
            "pool mean",
            "dense 4 to 3 + bias",
        ],
        padding=MASKED_ZERO,
    ),
    "masked_series": Spec(
        ["lstm 4 forward backward, concat, last", "dense 8 to 2 + bias"],
        "linear",
        padding=Padding(value=-1, masked=True, told=UNSAID),
    ),
    "series": Spec(["lstm 4 forward, last", "dense 4 to 1 + bias"], "sigmoid"),
    "fixed_length": Spec(
        ["embedding 12x3", "lstm 4 forward, last", "dense 4 to 3 + bias"],
        padding=Padding(length=8, told=UNSAID),
    ),
    "dense_by_step": Spec(
        [
            "embedding 12x3",
            "lstm 4 forward, sequence",
            "dense 4 to 5 + bias",
            "relu",
            "dense 5 to 3 + bias",
            "pool mean",
        ]
    ),
}
MASKED = [name for name, spec in SPECS.items() if spec.padding and spec.padding.masked]
SERIES = ["masked_series", "series"]

each_model = pytest.mark.parametrize("name", SPECS)
each_dtype = pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)


def in_words(layer: Layer) -> str:
    match layer:
        case Embedding():
            return "embedding {}x{}".format(*layer.weights.shape)
        case Lstm():
            directions = " ".join("backward" if c.backward else "forward" for c in layer.cells)
            merge = [layer.merge] if len(layer.cells) > 1 else []
            gates = [] if layer.gate_activation == "sigmoid" else [layer.gate_activation]
            hidden = layer.cells[0].hidden_size
            return ", ".join([f"lstm {hidden} {directions}", *merge, layer.returns, *gates])
        case Dense():
            bias = "" if layer.bias is None else " + bias"
            return f"dense {layer.weights.shape[1]} to {layer.weights.shape[0]}{bias}"
        case Pool():
            return f"pool {layer.kind}"
        case Activation():
            return layer.kind


def load(name: str, dtype: np.dtype[Any] = FLOAT64) -> LoadedModel:
    return load_model(GOLDEN / f"{name}.h5", None, dtype)


def write_input(name: str, folder: Path) -> Path:
    """The sequences of a model as a user gives them, one JSON object a line."""
    key = "values" if name in SERIES else "tokens"
    path = folder / "input.jsonl"
    lines = (json.dumps({key: sequence}) + "\n" for sequence in EXPECTED[name]["sequences"])
    path.write_text("".join(lines), "utf-8")
    return path


def explain(
    model: Model, name: str, folder: Path, bias_factor: float = 0.0
) -> list[list[Explanation]]:
    """The explanations of each sequence of a model, one for each class."""
    sequences = read_sequences(Source(str(write_input(name, folder))), model)
    methods = [lrp_all(bias_factor=bias_factor)]
    by = detail_of(model, finest=True)
    explanations = list(Explainer(model, methods, target="all", by=by)(sequences))
    number = len(EXPECTED[name]["sequences"])
    grouped = [[e for e in explanations if e.sequence.number == k] for k in range(number)]
    targets = [1] if model.binary else list(range(model.classes))
    assert [[e.target_number for e in group] for group in grouped] == [targets] * number
    return grouped


def scores_of(model: Model, name: str, folder: Path) -> np.ndarray:
    return np.stack([group[0].scores for group in explain(model, name, folder)])


def lrp(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def inspect(path: Path, *options: object) -> dict[str, Any]:
    """What `lrp inspect` tells of a model."""
    result = lrp("inspect", path, *options, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_file_has_its_specification() -> None:
    assert {path.stem for path in GOLDEN.glob("*.h5")} == set(SPECS) == set(EXPECTED)
    assert {path.stem for path in REFUSED.glob("*.h5")} == set(REFUSALS)


# What is read


@each_model
def test_architecture_output_and_padding_are_read_from_the_file(name: str) -> None:
    model = load(name).model
    assert [in_words(layer) for layer in model.layers] == SPECS[name].layers
    assert [head.activation for head in model.heads] == [SPECS[name].output]
    assert model.only_input.padding == SPECS[name].padding


@each_model
def test_every_dataset_of_the_file_is_used(name: str) -> None:
    path = GOLDEN / f"{name}.h5"
    with h5py.File(path) as file:
        weights = [
            n for layer in file["model_weights"].values() for n in layer.attrs["weight_names"]
        ]
    assert len(inspect(path)["datasets"]) == len(weights)
    assert inspect(path)["unused"] == []


@each_model
def test_biases_are_there_where_the_model_has_them(name: str) -> None:
    cells = [c for layer in load(name).model.layers if isinstance(layer, Lstm) for c in layer.cells]
    assert [bool(cell.bias.all()) for cell in cells] == [name != "no_biases"] * len(cells)


# The forward pass


@each_model
@each_dtype
def test_scores_are_those_of_keras(name: str, dtype: np.dtype[Any], tmp_path: Path) -> None:
    model = load(name, dtype).model
    scores = scores_of(model, name, tmp_path)
    keras = EXPECTED[name][dtype.name]
    tolerance = TOLERANCES[dtype]
    assert scores.dtype == dtype
    np.testing.assert_allclose(scores, keras["scores"], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        outputs(model, scores), keras["outputs"], rtol=tolerance, atol=tolerance
    )


# Relevance


@each_model
@pytest.mark.parametrize("bias_factor", [0.0, 0.5, 1.0])
def test_the_ledger_accounts_for_the_score_of_every_class(
    name: str, bias_factor: float, tmp_path: Path
) -> None:
    for group in explain(load(name).model, name, tmp_path, bias_factor):
        for place, explanation in enumerate(group):
            assert explanation.ledger.score == explanation.scores[place]
            assert explanation.ledger.relative_residual <= 1e-10


@each_model
def test_every_step_that_was_given_has_its_relevance(name: str, tmp_path: Path) -> None:
    model = load(name).model
    features = model.only_input.size
    for sequence, group in zip(
        EXPECTED[name]["sequences"], explain(model, name, tmp_path), strict=True
    ):
        for explanation in group:
            assert explanation.relevance.shape == (len(sequence), features)
            total = np.nansum(explanation.relevance)
            assert total == pytest.approx(explanation.ledger["tokens"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", MASKED)
def test_masked_steps_have_no_relevance_and_all_others_have(name: str, tmp_path: Path) -> None:
    padding = SPECS[name].padding
    assert padding is not None
    for sequence, group in zip(
        EXPECTED[name]["sequences"], explain(load(name).model, name, tmp_path), strict=True
    ):
        masked = np.array([np.all(np.equal(step, padding.value)) for step in sequence])
        is_zero_vector = np.array([not np.any(step) for step in sequence])
        for explanation in group:
            relevance = explanation.relevance
            assert (np.isnan(relevance) == masked[:, np.newaxis]).all()
            assert relevance[~masked & ~is_zero_vector].any(axis=1).all()
            assert explanation.ledger["padding"] == 0.0


def test_padding_that_is_not_masked_has_its_own_share(tmp_path: Path) -> None:
    shares = [
        (len(sequence) < 8, bool(explanation.ledger["padding"]))
        for sequence, group in zip(
            EXPECTED["fixed_length"]["sequences"],
            explain(load("fixed_length").model, "fixed_length", tmp_path),
            strict=True,
        )
        for explanation in group
    ]
    assert set(shares) == {(True, True), (False, False)}


# The command line


@pytest.mark.parametrize("name", ["sequential", "masked_series", "fixed_length", "series"])
@pytest.mark.parametrize("numbers", ["scores", "outputs"])
def test_check_passes_with_the_scores_of_keras_and_with_what_it_predicts(
    name: str, numbers: str, tmp_path: Path
) -> None:
    expected = tmp_path / "expected.npy"
    np.save(expected, EXPECTED[name]["float64"][numbers])
    result = lrp(
        "check", GOLDEN / f"{name}.h5", write_input(name, tmp_path),
        "--expected", expected, "--tolerance", 1e-10, "--target", "all", "--format", "json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert set(checks) == {"conservation", "reference", "forward"}
    assert all(check["passed"] for check in checks.values())


def test_check_fails_where_a_score_is_another(tmp_path: Path) -> None:
    scores = np.array(EXPECTED["sequential"]["float64"]["scores"])
    scores[2, 1] += 1e-4
    np.save(tmp_path / "expected.npy", scores)
    result = lrp(
        "check", GOLDEN / "sequential.h5", write_input("sequential", tmp_path),
        "--expected", tmp_path / "expected.npy", "--format", "json",
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    wrong = [check for check in json.loads(result.stdout)["checks"] if not check["passed"]]
    assert [(check["name"], check["sequence"]) for check in wrong] == [("forward", 2)]


@each_model
def test_inspect_says_that_the_architecture_comes_from_the_file(name: str) -> None:
    found = inspect(GOLDEN / f"{name}.h5")
    keys = {"format", "layers"} | ({"padding"} if SPECS[name].padding else set())
    keys |= {"task"} if SPECS[name].output == "linear" else set()  # none was compiled
    assert found["origins"] == dict.fromkeys(keys, f"model_config in {name}.h5")
    assert found["mapping"] is None


def test_inspect_shows_where_the_layers_and_the_padding_come_from() -> None:
    result = lrp("inspect", GOLDEN / "fixed_length.h5")
    assert result.exit_code == 0, result.output
    told = [line for line in result.stdout.splitlines() if "model_config in" in line]
    assert {line.strip("│| ").split()[0] for line in told} >= {"layers", "padding"}


@each_model
def test_the_written_mapping_reads_the_same_model_without_the_architecture(
    name: str, tmp_path: Path
) -> None:
    mapping = tmp_path / "written.yaml"
    result = lrp("inspect", GOLDEN / f"{name}.h5", "--write-mapping", mapping)
    assert result.exit_code == 0, result.output
    bare = tmp_path / "bare.h5"
    shutil.copy(GOLDEN / f"{name}.h5", bare)
    with h5py.File(bare, "r+") as file:
        del file.attrs["model_config"]
    scores = scores_of(load(name).model, name, tmp_path)
    for path in (GOLDEN / f"{name}.h5", bare):
        loaded = load_model(path, mapping, FLOAT64)
        assert inspect(path, "--mapping", mapping)["origins"]["layers"] == "written.yaml"
        assert loaded.model.only_input.padding == SPECS[name].padding
        np.testing.assert_array_equal(scores_of(loaded.model, name, tmp_path), scores)


# What is refused

# Each file, the layer that must be named, what it is made, and what must be said of it.
REFUSALS = {
    "gru": ("gated_reader", "GRU", "CuDNNGRU"),
    "conv1d": ("ngrams", "Conv1D", "Conv1DTranspose"),
}


@pytest.fixture(params=REFUSALS)
def unread(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of a layer that is read, as one of a kind that is not."""
    _, kind, other = REFUSALS[request.param]
    path = tmp_path / f"{request.param}.h5"
    shutil.copy(REFUSED / path.name, path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        text = text if isinstance(text, str) else text.decode("utf-8")
        changed = text.replace(f'"class_name": "{kind}"', f'"class_name": "{other}"')
        assert changed != text
        file.attrs["model_config"] = changed
    return path


@pytest.mark.parametrize("name", REFUSALS)
def test_what_was_refused_once_is_read(name: str) -> None:
    kinds = [layer["kind"] for layer in inspect(REFUSED / f"{name}.h5")["layers"]]
    assert {"gru": "gru", "conv1d": "convolution"}[name] in kinds


def test_what_cannot_be_explained_is_refused_by_the_name_of_the_layer(unread: Path) -> None:
    layer, _, problem = REFUSALS[unread.stem]
    path = unread
    with pytest.raises(UnusableInput) as refusal:
        load_model(path, None, FLOAT64)
    message = str(refusal.value)
    assert path.name in message
    assert f"`{layer}`" in message
    assert problem in message


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_a_refusal_is_exit_status_3_and_one_line(unread: Path, command: str) -> None:
    result = lrp(command, unread)
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("lrp: ")
    assert "internal error" not in result.output


# Other architectures, as changes of those above

Architecture = dict[str, Any]
Change = Callable[[Architecture], None]


def changed_copy(name: str, change: Change, folder: Path) -> Path:
    """A copy of a model with another architecture."""
    path = folder / f"{name}.h5"
    shutil.copy(GOLDEN / path.name, path)
    with h5py.File(path, "r+") as file:
        architecture = json.loads(file.attrs["model_config"])
        change(architecture)
        file.attrs["model_config"] = json.dumps(architecture)
    return path


def layers_of(architecture: Architecture) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = architecture["config"]["layers"]
    return layers


def first(architecture: Architecture, kind: str) -> dict[str, Any]:
    """The first layer of a kind."""
    return next(layer for layer in layers_of(architecture) if layer["class_name"] == kind)


def setting(kind: str, **values: Any) -> Change:
    return lambda architecture: first(architecture, kind)["config"].update(values)


def wrapped(**values: Any) -> Change:
    """Another kind or configuration of the layer that a bidirectional one wraps."""

    def change(architecture: Architecture) -> None:
        layer = first(architecture, "Bidirectional")["config"]["layer"]
        layer["class_name"] = values.pop("class_name", layer["class_name"])
        layer["config"].update(values)

    return change


def backward_layer(**values: Any) -> Change:
    """A backward layer of its own."""

    def change(architecture: Architecture) -> None:
        config = first(architecture, "Bidirectional")["config"]
        layer = config["layer"]
        own = {**layer, "config": {**layer["config"], "go_backwards": True, **values}}
        config["backward_layer"] = own

    return change


def masking_after_the_embedding(architecture: Architecture) -> None:
    masking = {"class_name": "Masking", "config": {"name": "masking", "mask_value": 0.0}}
    layers_of(architecture).insert(2, masking)


def call_in_training(architecture: Architecture) -> None:
    first(architecture, "LSTM")["inbound_nodes"][0][0][3]["training"] = True


def call_with_mask(architecture: Architecture) -> None:
    first(architecture, "LSTM")["inbound_nodes"][0][0][3]["mask"] = ["words", 0, 0]


def call_with_states(architecture: Architecture) -> None:
    node = first(architecture, "LSTM")["inbound_nodes"][0]
    node.extend([list(node[0]), list(node[0])])


@pytest.mark.parametrize(
    ("name", "change", "layer"),
    [
        pytest.param(
            "sequential",
            setting("LSTM", recurrent_activation="softsign"),
            "`lstm` (LSTM)",
            id="softsign gates",
        ),
        pytest.param(
            "sequential",
            setting("LSTM", return_state=True),
            "`dense` (Dense)",
            id="states returned",
        ),
        pytest.param(
            "sequential",
            setting("LSTM", time_major=True),
            "`lstm` (LSTM)",
            id="steps before sequences",
        ),
        pytest.param(
            "bidirectional_sum",
            setting("Bidirectional", merge_mode=None),
            "`dense` (Dense)",
            id="directions unmerged",
        ),
        pytest.param(
            "bidirectional_sum",
            wrapped(class_name="GRU"),
            "dataset `model_weights/bidirectional/",
            id="GRU in two directions",
        ),
        pytest.param(
            "bidirectional_sum",
            wrapped(go_backwards=True),
            "`bidirectional` (Bidirectional)",
            id="directions swapped",
        ),
        pytest.param(
            "bidirectional_sum",
            backward_layer(recurrent_activation="hard_sigmoid"),
            "`bidirectional` (Bidirectional)",
            id="directions of different settings",
        ),
        pytest.param(
            "dense_stack",
            setting("Activation", activation="leaky_relu"),
            "`activation` (Activation)",
            id="activation leaky_relu",
        ),
        pytest.param(
            "dense_stack",
            setting("Dense", activation="leaky_relu"),
            "`dense` (Dense)",
            id="dense leaky_relu",
        ),
        pytest.param(
            "mean_pool",
            setting("GlobalAveragePooling1D", data_format="channels_first"),
            "`global_average_pooling1d` (GlobalAveragePooling1D)",
            id="mean over features",
        ),
        pytest.param(
            "max_pool",
            setting("Softmax", axis=0),
            "`softmax` (Softmax)",
            id="softmax over sequences",
        ),
        pytest.param(
            "max_pool",
            setting("Embedding", mask_zero=True),
            "`global_max_pooling1d` (GlobalMaxPooling1D)",
            id="maximum over masked steps, which Keras does not skip",
        ),
        pytest.param(
            "sequential",
            masking_after_the_embedding,
            "`masking` (Masking)",
            id="mask of embedded values",
        ),
        pytest.param("functional", call_in_training, "`reader` (LSTM)", id="training at inference"),
        pytest.param(
            "bidirectional_concat",
            backward_layer(stateful=True),
            "`bidirectional` (Bidirectional)",
            id="one direction that is stateful",
        ),
        pytest.param("functional", call_with_mask, "`reader` (LSTM)", id="mask of its own"),
        pytest.param("functional", call_with_states, "`reader` (LSTM)", id="initial states"),
    ],
)
def test_what_lrp_would_compute_otherwise_than_keras_is_refused_by_the_name_of_the_layer(
    name: str, change: Change, layer: str, tmp_path: Path
) -> None:
    path = changed_copy(name, change, tmp_path)
    with pytest.raises(UnusableInput) as refusal:
        load_model(path, None, FLOAT64)
    assert path.name in str(refusal.value)
    assert layer in str(refusal.value)


def without_input_layer(architecture: Architecture) -> tuple[list[dict[str, Any]], list[Any]]:
    """The layers behind the input layer, and the shape of the input."""
    layers = layers_of(architecture)
    return layers[1:], layers[0]["config"]["batch_input_shape"]


def as_up_to_keras_2_2(architecture: Architecture) -> None:
    layers, shape = without_input_layer(architecture)
    layers[0]["config"]["batch_input_shape"] = shape
    architecture["config"] = layers


def as_built_by_its_first_batch(architecture: Architecture) -> None:
    layers, shape = without_input_layer(architecture)
    architecture["config"]["layers"] = layers
    architecture["config"]["build_input_shape"] = shape


@pytest.mark.parametrize("name", ["sequential", "masked_series", "fixed_length", "series"])
@pytest.mark.parametrize("older", [as_up_to_keras_2_2, as_built_by_its_first_batch])
def test_older_ways_of_writing_the_architecture_are_read(
    name: str, older: Change, tmp_path: Path
) -> None:
    model = load_model(changed_copy(name, older, tmp_path), None, FLOAT64).model
    assert model.only_input.padding == SPECS[name].padding
    np.testing.assert_array_equal(
        scores_of(model, name, tmp_path), scores_of(load(name).model, name, tmp_path)
    )


def test_a_mask_value_is_found_in_float32_input_whatever_the_precision_of_the_run(
    tmp_path: Path,
) -> None:
    path = changed_copy("masked_series", setting("Masking", mask_value=-9.9), tmp_path)
    model = load_model(path, None, FLOAT64).model
    steps = np.array([[0.5, 1.0], [-2.0, 0.25]], dtype=np.float32)
    masked = np.full((3, 2), -9.9, dtype=np.float32)
    np.save(tmp_path / "with.npy", np.concatenate([masked, steps]))
    np.save(tmp_path / "without.npy", steps)
    scores = [
        explanation.scores
        for file in ("with.npy", "without.npy")
        for explanation in Explainer(model, [lrp_all()], target=0)(
            read_sequences(Source(str(tmp_path / file)), model)
        )
    ]
    np.testing.assert_array_equal(scores[0], scores[1])


def no_layers(architecture: Architecture) -> None:
    layers_of(architecture).clear()


def input_shape(*shape: Any) -> Change:
    return setting("InputLayer", batch_input_shape=list(shape))


def stateful(*shape: Any) -> Change:
    """A stateful LSTM, and the shape of a batch."""

    def change(architecture: Architecture) -> None:
        setting("LSTM", stateful=True)(architecture)
        input_shape(*shape)(architecture)

    return change


@pytest.mark.parametrize("older", [lambda architecture: None, as_up_to_keras_2_2])
def test_a_stateful_lstm_carries_its_states_over_a_batch(older: Change, tmp_path: Path) -> None:
    def change(architecture: Architecture) -> None:
        stateful(7, None, 2)(architecture)
        older(architecture)

    loaded = load_model(changed_copy("series", change, tmp_path), None, FLOAT64)
    assert loaded.model.stateful == 7
    [assumed] = loaded.assumptions
    assert "sequence n begins in the states in which sequence n - 7 ended" in assumed
    assert load(name="series").model.stateful is None


def test_of_several_lstms_those_carry_that_are_stateful(tmp_path: Path) -> None:
    def change(architecture: Architecture) -> None:
        layer = first(architecture, "Bidirectional")["config"]["layer"]
        layer["config"]["stateful"] = True
        setting("InputLayer", batch_input_shape=[3, None])(architecture)

    model = load_model(changed_copy("bidirectional_stacked", change, tmp_path), None, FLOAT64).model
    lstms = [layer for layer in model.layers if isinstance(layer, Lstm)]
    assert [lstm.stateful for lstm in lstms] == [True, False]
    assert model.stateful == 3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("series", setting("LSTM", name=None), id="a layer without a name"),
        pytest.param("series", lambda a: a.update(config=3), id="a number of layers"),
        pytest.param("series", lambda a: a.pop("class_name"), id="a model of no kind"),
        pytest.param("series", no_layers, id="no layers"),
        pytest.param("series", input_shape(None, "long", 2), id="a word as length"),
        pytest.param("series", input_shape(None, -3, 2), id="a negative length"),
        pytest.param(
            "masked_series", setting("Masking", mask_value="none"), id="a word as mask value"
        ),
        pytest.param("series", stateful("seven", None, 2), id="a word as batch size"),
        pytest.param("series", stateful(0, None, 2), id="no sequence in a batch"),
    ],
)
def test_an_architecture_that_keras_does_not_write_is_refused_by_the_name_of_the_file(
    name: str, change: Change, tmp_path: Path
) -> None:
    path = changed_copy(name, change, tmp_path)
    result = lrp("inspect", path)
    assert result.exit_code == 3
    assert path.name in result.output
    assert "internal error" not in result.output


@pytest.mark.parametrize(
    ("version", "wanted"), [("2.15.0", "hard_sigmoid"), ("3.4.1", "hard_sigmoid_relu6")]
)
def test_the_hard_sigmoid_is_that_of_the_version_that_wrote_the_file(
    version: str, wanted: str, tmp_path: Path
) -> None:
    def of_both(architecture: Architecture) -> None:
        setting("LSTM", recurrent_activation="hard_sigmoid")(architecture)
        setting("Dense", activation="hard_sigmoid")(architecture)

    path = changed_copy("dense_stack", of_both, tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    layers = load_model(path, None, FLOAT64).model.layers
    assert [layer.gate_activation for layer in layers if isinstance(layer, Lstm)] == [wanted]
    assert Activation(wanted) in layers


def test_the_hard_sigmoid_of_a_file_without_a_version_is_assumed(tmp_path: Path) -> None:
    for name in ("hard_sigmoid", "sequential"):
        path = changed_copy(name, lambda architecture: None, tmp_path)
        with h5py.File(path, "r+") as file:
            del file.attrs["keras_version"]
        told = inspect(path)["assumptions"]
        assert told == ["its hard_sigmoid is that of Keras 1 and 2 (layers)"] * (
            name == "hard_sigmoid"
        )


@pytest.mark.parametrize(
    ("loss", "activation", "heads"),
    [
        ("mse", "linear", 3),
        ("mse", "softmax", 1),
        ({"class_name": "Huber", "config": {"delta": 1.0}}, "linear", 3),
        ("categorical_crossentropy", "linear", 1),
        (None, "linear", 1),
    ],
)
def test_a_regressor_is_told_by_its_loss_and_its_last_activation(
    loss: Any, activation: str, heads: int, tmp_path: Path
) -> None:
    path = changed_copy("sequential", setting("Dense", activation=activation), tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = json.dumps({"loss": loss})
    assert len(load_model(path, None, FLOAT64).model.heads) == heads


def test_a_mapping_wins_over_an_architecture_that_is_refused(tmp_path: Path) -> None:
    """Who says what a layer amounts to may have it explained."""
    written = tmp_path / "written.yaml"
    assert lrp("inspect", GOLDEN / "sequential.h5", "--write-mapping", written).exit_code == 0
    refused = changed_copy(
        "sequential",
        lambda architecture: first(architecture, "LSTM").update(class_name="Mine"),
        tmp_path,
    )
    with pytest.raises(UnusableInput, match="Mine"):
        load_model(refused, None, FLOAT64)
    model = load_model(refused, written, FLOAT64).model
    np.testing.assert_array_equal(
        scores_of(model, "sequential", tmp_path),
        scores_of(load("sequential").model, "sequential", tmp_path),
    )
