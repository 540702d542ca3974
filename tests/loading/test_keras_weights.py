"""Keras's weights alone: what is assumed is told or asked, and an architecture beside them is read.

The files are laid out as Keras does, and what they must give is computed here, step by step.
"""

import json

import h5py
import numpy as np
import pytest

RNG = np.random.default_rng(0)
FEATURES, UNITS = 3, 4
SERIES = RNG.normal(size=(4, 6, FEATURES)).astype(np.float32)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def cell(inputs=FEATURES, units=UNITS, biases=1):
    return {
        "kernel": numbers(inputs, 4 * units),
        "recurrent_kernel": numbers(units, 4 * units),
        "bias": numbers(4 * units * biases),
    }


def dense(inputs=UNITS, outputs=2):
    return {"kernel": numbers(inputs, outputs), "bias": numbers(outputs)}


def older(path, version, **layers):
    """Weights as Keras 2 lays them out: layers in their order, weights by name."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        if version:
            file.attrs["keras_version"] = version.encode()
        for name, weights in layers.items():
            group = file.create_group(name)
            names = [f"{name}/{role}:0" for role in weights]
            group.attrs["weight_names"] = [each.encode() for each in names]
            for each, array in zip(names, weights.values(), strict=True):
                group[each] = array
    return path


def newer(path, **layers):
    """Weights as Keras 3 lays them out: layers by name, weights by number."""
    with h5py.File(path, "w") as file:
        for name, weights in layers.items():
            part = "cell/vars" if "recurrent_kernel" in weights else "vars"
            group = file.create_group(f"layers/{name}/{part}")
            for number, array in enumerate(weights.values()):
                group[str(number)] = array
    return path


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def hard_sigmoid(z):
    return np.clip(0.2 * z + 0.5, 0, 1)


def states(series, weights, gate=sigmoid, backward=False):
    """The hidden states of one sequence, in the order in which its steps are read."""
    kernel, recurrent, bias = (array.astype(np.float64) for array in weights.values())
    units = len(recurrent)
    h = c = np.zeros(units)
    found = []
    for x in series[::-1] if backward else series:
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        found.append(h)
    return np.array(found)


def linear(values, weights):
    return values @ weights["kernel"].astype(np.float64) + weights["bias"]


def scores_of(lstm, head, **settings):
    return np.array([linear(states(each, lstm, **settings)[-1], head) for each in SERIES])


@pytest.fixture
def check(run, tmp_path):
    """`lrp check` of a model's scores on the series."""

    def check(path, expected, *options):
        np.save(tmp_path / "x.npy", SERIES)
        np.save(tmp_path / "y.npy", expected)
        return run("check", path, tmp_path / "x.npy", "--expected", tmp_path / "y.npy", *options)

    return check


def drafted(result):
    """The mapping that an error asks to mend."""
    assert result.exit_code == 3, result.output
    return result.stderr[result.stderr.index("format: 1") :]


class TestGates:
    """Which sigmoid an LSTM has where nothing was said, by the Keras that wrote the file."""

    @pytest.mark.parametrize(
        ("version", "gate"),
        [
            ("2.0.8", hard_sigmoid),
            ("2.2.4", hard_sigmoid),
            ("2.2.5", hard_sigmoid),
            ("2.1.6-tf", hard_sigmoid),
            ("2.3.0", sigmoid),
            ("2.3.1", sigmoid),
            ("2.3.0-tf", sigmoid),
            ("2.15.0", sigmoid),
            ("", sigmoid),
        ],
    )
    def test_the_default_of_the_version(self, check, tmp_path, version, gate):
        lstm, head = cell(), dense()
        path = older(tmp_path / "model.h5", version, lstm_1=lstm, dense_1=head)
        right = check(path, scores_of(lstm, head, gate=gate))
        assert right.exit_code == 0, right.output
        assert f"`lstm_1`: reads forwards, tanh cells, {gate.__name__} gates" in right.stderr
        other = sigmoid if gate is hard_sigmoid else hard_sigmoid
        assert check(path, scores_of(lstm, head, gate=other)).exit_code == 1

    def test_of_both_directions(self, check, tmp_path):
        ahead, back, head = cell(), cell(), dense(2 * UNITS)
        both = {f"forward_lstm/{role}": array for role, array in ahead.items()}
        both |= {f"backward_lstm/{role}": array for role, array in back.items()}
        path = older(tmp_path / "model.h5", "2.2.4", bidirectional_1=both, dense_1=head)
        expected = [
            linear(
                np.concatenate(
                    [
                        states(each, ahead, hard_sigmoid)[-1],
                        states(each, back, hard_sigmoid, backward=True)[-1],
                    ]
                ),
                head,
            )
            for each in SERIES
        ]
        result = check(path, np.array(expected))
        assert result.exit_code == 0, result.output

    def test_a_version_of_tensorflow_1_and_2_alike_is_asked(self, check, tmp_path):
        lstm, head = cell(), dense()
        path = older(tmp_path / "model.h5", "2.2.4-tf", lstm=lstm, dense=head)
        soft, hard = (scores_of(lstm, head, gate=gate) for gate in (sigmoid, hard_sigmoid))
        asked = check(path, soft)
        assert "gates are hard_sigmoid where TensorFlow 1 wrote it, sigmoid where" in asked.stderr
        assert "lrp match" in asked.stderr
        assumed = check(path, soft, "--assume")
        assert assumed.exit_code == 0, assumed.output
        assert "sigmoid gates" in assumed.stderr
        text = drafted(asked)
        for gate, expected in (("sigmoid", soft), ("hard_sigmoid", hard)):
            layout = "layout: features_by_gates"
            chosen = text.replace(layout, f"{layout}\n    recurrent_activation: {gate}")
            (tmp_path / "model.yaml").write_text(chosen)
            assert check(path, expected).exit_code == 0

    def test_cudnn_has_no_other(self, run, tmp_path):
        path = older(tmp_path / "model.h5", "2.2.4", lstm=cell(biases=2), dense=dense())
        shown = json.loads(run("inspect", path, "--format", "json").stdout)
        assert "sigmoid gates" in shown["layers"][0]["what"]
        assert "hard_sigmoid" not in shown["layers"][0]["what"]
        assert "`lstm`: reads forwards, gives its last hidden state" in shown["assumptions"][0]

    def test_a_version_of_several_lines_adds_nothing_to_the_draft(self, run, tmp_path):
        """It is told of in a comment, behind which a line feed would go on as YAML."""
        version = "2.2\n- pool: max\n# "
        layers = {"lstm": cell(), "dense": dense(UNITS, 5), "dense_1": dense(5)}
        asked = run("inspect", older(tmp_path / "model.h5", version, **layers))
        text = drafted(asked)
        assert "pool" not in [line.strip("- :") for line in text.splitlines()]
        (tmp_path / "model.yaml").write_text(text)
        shown = json.loads(run("inspect", tmp_path / "model.h5", "--format", "json").stdout)
        assert [layer["kind"] for layer in shown["layers"]] == ["lstm", "dense", "dense"]


class TestTold:
    COMMANDS = (
        ("explain", "-o", "/dev/null"),
        ("predict",),
        ("evaluate", "--target", "1", "--min-length", "1"),
        ("check",),
    )

    @pytest.fixture
    def masked(self, tmp_path):
        np.save(tmp_path / "x.npy", SERIES)
        return newer(tmp_path / "model.weights.h5", masking={}, lstm=cell(), dense=dense())

    @pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
    def test_every_command_that_computes(self, run, masked, tmp_path, command):
        name, *options = command
        result = run(name, masked, tmp_path / "x.npy", *options)
        assert result.exit_code == 0, result.output
        told = "lrp: warning: model.weights.h5 does not say, and it is assumed: "
        assert (
            f"{told}`lstm`: reads forwards, tanh cells, sigmoid gates, gives its last hidden state"
            in result.stderr
        )
        assert f"{told}its Masking layer masks steps of nothing but 0" in result.stderr

    def test_the_report_has_them(self, run, masked, tmp_path):
        report = tmp_path / "report.json"
        run("explain", masked, tmp_path / "x.npy", "--report", report, "-o", tmp_path / "out.tsv")
        document = json.loads(report.read_text())
        assert [text.rsplit(" (", 1)[1] for text in document["assumptions"]] == [
            *("layers)", "padding.value)", "task or labels)")
        ]
        assert sum("does not say" in each for each in document["warnings"]) == 3

    def test_inspect_shows_them(self, run, masked):
        shown = run("inspect", masked)
        flat = " ".join(shown.stdout.replace("│", " ").split())
        assert "assumed: `lstm`: reads forwards" in flat
        assert "(padding.value)" in flat

    def test_a_mapping_that_says_it_silences_them(self, run, masked, tmp_path):
        run("inspect", masked, "--write-mapping", tmp_path / "model.weights.yaml")
        result = run("explain", masked, tmp_path / "x.npy", "-o", tmp_path / "out.tsv")
        assert result.exit_code == 0, result.output
        assert "warning" not in result.stderr

    def test_layers_alone_leave_the_masks_value_open(self, run, masked, tmp_path):
        """It masks 0 on, which changes numbers, so that stays told."""
        asked = run("inspect", masked, "--write-mapping", tmp_path / "whole.yaml")
        assert asked.exit_code == 0, asked.output
        text = (tmp_path / "whole.yaml").read_text()
        layers = text[text.index("layers:") :]
        (tmp_path / "model.weights.yaml").write_text(f"format: 1\n{layers}")
        result = run("check", masked, tmp_path / "x.npy")
        warnings = [line for line in result.stderr.splitlines() if "warning" in line]
        assert len(warnings) == 1
        assert "(padding.value)" in warnings[0]

    def test_an_embedding_may_mask(self, run, tmp_path):
        path = older(
            *(tmp_path / "model.h5", "2.3.1"),
            embedding={"embeddings": numbers(9, FEATURES)}, lstm=cell(), dense=dense(),
        )  # fmt: skip
        (tmp_path / "ids.txt").write_text("1 2 0 3\n")
        told = "sequences were not padded, and its embedding masks nothing (mask_zero=False) (pad"
        assert told in run("predict", path, tmp_path / "ids.txt", "--ids").stderr
        for said in ("padding: null", "padding: {masked: true, value: 0}", "padding: {length: 5}"):
            (tmp_path / "model.yaml").write_text(f"format: 1\n{said}\n")
            result = run("predict", path, tmp_path / "ids.txt", "--ids")
            assert result.exit_code == 0, result.output
            assert "masks nothing" not in result.stderr


class TestAsked:
    def test_activations_between_dense_layers(self, check, tmp_path):
        lstm, hidden, head = cell(), dense(UNITS, 5), dense(5)
        path = newer(tmp_path / "model.weights.h5", lstm=lstm, dense=hidden, dense_1=head)
        before = scores_of(lstm, hidden)
        asked = check(path, linear(np.maximum(before, 0), head))
        assert "nothing says which activation `dense` has" in asked.stderr
        assert check(path, linear(np.maximum(before, 0), head), "--assume").exit_code == 0
        mended = drafted(asked).replace("activation: relu", "activation: tanh")
        (tmp_path / "model.weights.yaml").write_text(mended)
        result = check(path, linear(np.tanh(before), head))
        assert result.exit_code == 0, result.output
        assert "warning" not in result.stderr

    def test_how_directions_are_joined(self, check, tmp_path):
        """The next layer takes as many units as one direction gives."""
        ahead, back, head = cell(), cell(), dense()
        both = {f"forward_lstm/{role}": array for role, array in ahead.items()}
        both |= {f"backward_lstm/{role}": array for role, array in back.items()}
        path = older(tmp_path / "model.h5", "2.4.0", bidirectional=both, dense=head)
        ends = [(states(each, ahead)[-1], states(each, back, backward=True)[-1]) for each in SERIES]
        summed = np.array([linear(one + other, head) for one, other in ends])
        asked = check(path, summed)
        assert "whether `bidirectional` joins its directions by sum, mean or prod" in asked.stderr
        assumed = check(path, summed, "--assume")
        assert assumed.exit_code == 0, assumed.output
        assert "directions summed" in assumed.stderr
        (tmp_path / "model.yaml").write_text(drafted(asked).replace("merge: sum", "merge: product"))
        product = np.array([linear(one * other, head) for one, other in ends])
        assert check(path, product).exit_code == 0

    def test_a_dense_layer_of_every_step_gives_scores_at_every_step(self, check, tmp_path):
        """Keras 2 names its weights as a dense layer's, and shows the wrapper by the name."""
        lstm, head = cell(), dense()
        path = older(tmp_path / "model.h5", "2.4.0", lstm=lstm, time_distributed=head)
        expected = np.array([linear(states(each, lstm), head) for each in SERIES])
        result = check(path, expected)
        assert result.exit_code == 0, result.output


def architecture(*layers, version=None, **more):
    document = {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}
    return document | ({"keras_version": version} if version else {"module": "keras"}) | more


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name} | config}


LSTM = {"units": UNITS, "use_bias": True, "activation": "tanh", "recurrent_activation": "sigmoid"}
BACK = layer("LSTM", "reader", **LSTM, return_sequences=False, go_backwards=True)
HIDDEN = layer("Dense", "hidden", units=5, use_bias=True, activation="softsign")
HEAD = layer("Dense", "out", units=2, use_bias=True, activation="softmax")


class TestArchitectureBeside:
    """`model.to_json()` says what names and shapes cannot."""

    @pytest.fixture
    def weights(self):
        return {"reader": cell(), "hidden": dense(UNITS, 5), "out": dense(5)}

    @pytest.fixture
    def expected(self, weights):
        inner = scores_of(weights["reader"], weights["hidden"], backward=True)
        return linear(inner / (1 + np.abs(inner)), weights["out"])

    @pytest.mark.parametrize("name", ["model.json", "best.json", "best_architecture.json"])
    @pytest.mark.parametrize("is_text", [False, True], ids=["document", "document as a text"])
    def test_of_keras_2(self, check, run, tmp_path, weights, expected, name, is_text):
        path = older(tmp_path / "best.h5", "2.4.0", **weights)
        document = architecture(BACK, HIDDEN, HEAD, version="2.4.0")
        text = json.dumps(document)
        (tmp_path / name).write_text(json.dumps(text) if is_text else text)
        result = check(path, expected)
        assert result.exit_code == 0, result.output
        assert "warning" not in result.stderr
        shown = json.loads(run("inspect", path, "--format", "json").stdout)
        assert shown["origins"]["layers"] == f"{name} beside best.h5"
        assert shown["assumptions"] == []

    def test_of_keras_3(self, check, tmp_path, weights, expected):
        reader, hidden, out = weights.values()
        path = newer(tmp_path / "model.weights.h5", lstm=reader, dense=hidden, dense_1=out)
        (tmp_path / "model.json").write_text(json.dumps(architecture(BACK, HIDDEN, HEAD)))
        result = check(path, expected)
        assert result.exit_code == 0, result.output

    def test_layers_of_other_names_are_told_by_their_order(
        self, check, tmp_path, weights, expected
    ):
        """As Keras itself does: another session numbers them on."""
        reader, hidden, out = weights.values()
        path = older(
            *(tmp_path / "model.h5", "2.2.4"),
            input_3={}, lstm_3=reader, dropout_3={}, dense_5=hidden, dense_6=out,
        )  # fmt: skip
        document = architecture(BACK, layer("Dropout", "d"), HIDDEN, HEAD, version="2.2.4")
        (tmp_path / "model.json").write_text(json.dumps(document))
        result = check(path, expected)
        assert result.exit_code == 0, result.output

    def test_a_loss_in_it_tells_a_regressor(self, run, tmp_path, weights):
        path = newer(tmp_path / "model.weights.h5", lstm=weights["reader"], dense=dense())
        head = layer("Dense", "out", units=2, use_bias=True, activation="linear")
        document = architecture(BACK, head, compile_config={"loss": "mse"})
        (tmp_path / "model.json").write_text(json.dumps(document))
        shown = run("inspect", path, "--write-mapping", tmp_path / "written.yaml")
        assert shown.exit_code == 0, shown.output
        assert "task: regression" in (tmp_path / "written.yaml").read_text()

    @pytest.mark.parametrize(
        ("wrong", "problem"),
        [
            (
                [BACK, layer("Dense", "hidden", units=7, use_bias=True, activation="relu"), HEAD],
                "layer `hidden` (Dense) has weights (any, 7) and (7), found (4, 5) and (5)",
            ),
            ([BACK, HIDDEN], "none of its layers has `out/out/"),
            (
                [BACK, HIDDEN, HEAD, layer("Embedding", "e", input_dim=3, output_dim=2)],
                "layer `e` (Embedding) has weights (3, 2), found none",
            ),
        ],
        ids=["another size", "a layer too few", "a layer too many"],
    )
    def test_that_of_another_model_is_refused(self, run, tmp_path, weights, wrong, problem):
        path = older(tmp_path / "model.h5", "2.4.0", **weights)
        beside = tmp_path / "model.json"
        beside.write_text(json.dumps(architecture(*wrong, version="2.4.0")))
        result = run("inspect", path)
        assert result.exit_code == 3
        assert f"lrp: {beside}: is not the architecture of model.h5: {problem}" in result.stderr

    def test_of_several_that_of_its_own_name_counts(self, check, tmp_path, weights, expected):
        path = older(tmp_path / "best_weights.h5", "2.4.0", **weights)
        ahead = BACK | {"config": BACK["config"] | {"go_backwards": False}}
        documents = {"best.json": BACK, "other.json": ahead}
        for name, reader in documents.items():
            document = architecture(reader, HIDDEN, HEAD, version="2.4.0")
            (tmp_path / name).write_text(json.dumps(document))
        assert check(path, expected).exit_code == 0
        (tmp_path / "best.json").rename(tmp_path / "another.json")
        asked = check(path, expected)
        assert asked.exit_code == 3
        assert "several architectures beside it fit them: another.json, other.json" in asked.stderr

    def test_of_several_the_one_that_fits_counts(self, check, tmp_path, weights, expected):
        path = older(tmp_path / "best.h5", "2.4.0", **weights)
        for name, layers in {"a.json": [BACK, HEAD], "b.json": [BACK, HIDDEN, HEAD]}.items():
            (tmp_path / name).write_text(json.dumps(architecture(*layers, version="2.4.0")))
        assert check(path, expected).exit_code == 0

    def test_what_is_no_architecture_takes_no_name(self, check, tmp_path, weights, expected):
        path = older(tmp_path / "model.h5", "2.4.0", **weights)
        (tmp_path / "model.json").write_text('{"class_name": "Tokenizer", "config": {}}')
        document = architecture(BACK, HIDDEN, HEAD, version="2.4.0")
        (tmp_path / "other.json").write_text(json.dumps(document))
        assert check(path, expected).exit_code == 0

    @pytest.mark.parametrize(
        "text",
        [
            '{"the": 1, "film": 2}',
            '{"class_name": "Tokenizer", "config": {}}',
            "[" * 100_000 + '"class_name"',
            '{"class_name": "Sequential"' + " " * 5_000_000 + "}",
        ],
        ids=["vocabulary", "tokenizer", "deep, of another name", "too large"],
    )
    def test_other_json_is_none(self, check, tmp_path, text):
        lstm, head = cell(), dense()
        path = older(tmp_path / "best.h5", "2.4.0", lstm=lstm, dense=head)
        (tmp_path / "vocabulary.json").write_text(text)
        result = check(path, scores_of(lstm, head))
        if text.startswith("["):
            assert result.exit_code == 3
            assert "vocabulary.json: is not the JSON that Keras writes" in result.stderr
        else:
            assert result.exit_code == 0, result.output

    @pytest.mark.parametrize(
        "config",
        [{"units": "x" * 100_000}, {"units": 10**400}, {"units": None}, {"units": [4]}],
        ids=["text", "endless", "null", "list"],
    )
    def test_sizes_that_no_keras_writes(self, run, tmp_path, weights, config):
        path = older(tmp_path / "model.h5", "2.4.0", **weights)
        wrong = HIDDEN | {"config": HIDDEN["config"] | config}
        beside = tmp_path / "model.json"
        beside.write_text(json.dumps(architecture(BACK, wrong, HEAD, version="2.4.0")))
        result = run("inspect", path)
        assert result.exit_code == 3
        assert result.stderr.startswith(f"lrp: {beside}: is not ")
        assert len(result.stderr) < 2000

    def test_a_mapping_with_layers_wins(self, check, run, tmp_path, weights, expected):
        path = older(tmp_path / "model.h5", "2.4.0", **weights)
        (tmp_path / "model.json").write_text(
            json.dumps(architecture(BACK, HIDDEN, HEAD, version="2.4.0"))
        )
        run("inspect", path, "--write-mapping", tmp_path / "model.yaml")
        (tmp_path / "model.json").write_text(json.dumps(architecture(BACK, version="2.4.0")))
        result = check(path, expected)
        assert result.exit_code == 0, result.output
