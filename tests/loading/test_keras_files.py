"""Keras's `.keras` and weights alone, without Keras: what is inferred, and hostile files."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
import yaml

LAYERS = [
    {"class_name": "InputLayer", "config": {"name": "ids", "batch_shape": [None, None]}},
    {"class_name": "Embedding", "config": {"name": "words"}},
    {
        "class_name": "LSTM",
        "config": {
            "name": "reader",
            "use_bias": True,
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            "return_sequences": False,
        },
    },
    {"class_name": "Dense", "config": {"name": "out", "use_bias": True, "activation": "linear"}},
]
SHAPES = {
    "layers/embedding/vars/0": (5, 3),
    "layers/lstm/cell/vars/0": (3, 8),
    "layers/lstm/cell/vars/1": (2, 8),
    "layers/lstm/cell/vars/2": (8,),
    "layers/dense/vars/0": (2, 3),
    "layers/dense/vars/1": (3,),
}


def weights(shapes=SHAPES, change=lambda file: None):
    """A file of weights as Keras 3 lays it out."""
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, shape in shapes.items():
            file[name] = rng.normal(size=shape).astype(np.float32)
        change(file)
    return content.getvalue()


def config(layers=LAYERS):
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": layers}})


def keras_file(path, compression=zipfile.ZIP_STORED, **members):
    """A `.keras` file, some of its members replaced; None leaves one out."""
    contents = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}),
        "config.json": config(),
        "model.weights.h5": weights(),
    } | members
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.fixture
def refused(run, tmp_path):
    def refused(path):
        before = sorted(each.name for each in tmp_path.rglob("*"))
        result = run("check", path)
        assert result.exit_code == 3, result.output
        lines = [line for line in result.stderr.splitlines() if "no INPUT" not in line]
        assert lines[0].startswith(f"lrp: {path}")
        assert sorted(each.name for each in tmp_path.rglob("*")) == before
        return "\n".join(lines)

    return refused


@pytest.fixture
def shown(run):
    def shown(path):
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return shown


def test_layers_are_found_by_number_where_the_file_does_not_name_them(shown, tmp_path):
    document = shown(keras_file(tmp_path / "m.keras"))
    assert [layer["kind"] for layer in document["layers"]] == ["embedding", "lstm", "dense"]
    assert document["unused"] == []


def test_layers_are_found_by_the_name_that_the_file_records(shown, tmp_path):
    def named(file):
        file.create_group("layers/lstm/vars").attrs["name"] = "reader"

    path = keras_file(tmp_path / "m.keras", **{"model.weights.h5": weights(change=named)})
    assert len(shown(path)["layers"]) == 3


def test_a_layer_without_its_weights(refused, tmp_path):
    shapes = {name: shape for name, shape in SHAPES.items() if "lstm" not in name}
    path = keras_file(tmp_path / "m.keras", **{"model.weights.h5": weights(shapes)})
    assert "layer `reader` (LSTM): the file holds no `kernel` for it" in refused(path)


class TestHostileFiles:
    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\\\b"])
    def test_a_member_that_leads_out_of_the_file(self, refused, tmp_path, name):
        path = keras_file(tmp_path / "m.keras", **{name: "x"})
        assert f"holds a member `{name}`, which leads out of the file" in refused(path)

    def test_weights_that_unfold_without_end(self, refused, tmp_path):
        bomb = b"\x89HDF\r\n\x1a\n" + bytes(300 * 2**20)
        path = keras_file(tmp_path / "m.keras", zipfile.ZIP_DEFLATED, **{"model.weights.h5": bomb})
        assert path.stat().st_size < 2**20
        assert "save them uncompressed" in refused(path)

    def test_an_architecture_that_unfolds_without_end(self, refused, tmp_path):
        path = keras_file(
            tmp_path / "m.keras", zipfile.ZIP_DEFLATED, **{"config.json": b" " * 300 * 2**20}
        )
        assert "no such architecture is honest" in refused(path)

    def test_an_architecture_of_no_honest_size(self, refused, tmp_path):
        """Neither a bomb nor deep: what takes so much memory is reading it."""
        text = f'{{"class_name": "Sequential", "config": [{"{}," * 2**21}{{}}]}}'
        path = keras_file(tmp_path / "m.keras", **{"config.json": text})
        assert "no such architecture is honest" in refused(path)

    def test_more_layers_than_anyone_has(self, refused, tmp_path):
        """Each is looked at once, so that their number costs no more than its reading."""
        layers = [
            {"class_name": "Dropout", "config": {"name": str(number)}} for number in range(50_000)
        ]
        path = keras_file(tmp_path / "m.keras", **{"config.json": config([LAYERS[0], *layers])})
        assert "there is no lstm among them" in refused(path)

    def test_an_architecture_without_a_floor(self, refused, tmp_path):
        path = keras_file(tmp_path / "m.keras", **{"config.json": "[" * 100_000})
        assert "config.json: is not the JSON that Keras writes" in refused(path)

    def test_weights_in_another_file(self, refused, tmp_path):
        def link(file):
            del file["layers/dense/vars/1"]
            file["layers/dense/vars/1"] = h5py.ExternalLink("/etc/passwd", "/x")

        path = keras_file(tmp_path / "m.keras", **{"model.weights.h5": weights(change=link)})
        assert "external links are not followed" in refused(path)

    def test_a_dataset_of_no_honest_size(self, refused, tmp_path):
        def claim(file):
            del file["layers/embedding/vars/0"]
            file.create_dataset(
                "layers/embedding/vars/0", (2**30, 2**30), "f4", chunks=(1024, 1024)
            )

        path = keras_file(tmp_path / "m.keras", **{"model.weights.h5": weights(change=claim)})
        assert "save them uncompressed" in refused(path)

    def test_code_in_the_architecture_is_not_run(self, refused, tmp_path):
        code = {"class_name": "Lambda", "config": {"name": "run", "function": "os.system('x')"}}
        path = keras_file(tmp_path / "m.keras", **{"config.json": config([*LAYERS, code])})
        assert "layer `run` (Lambda): is not a layer that lrp can explain" in refused(path)

    @pytest.mark.parametrize(
        ("member", "content"),
        [
            ("metadata.json", "{}"),
            ("metadata.json", None),
            ("metadata.json", "no JSON"),
            ("config.json", "3"),
            ("config.json", "{}"),
            ("config.json", '{"class_name": "Sequential", "config": {"layers": []}}'),
            ("config.json", '{"class_name": "Sequential", "config": {"layers": [3]}}'),
            ("config.json", '{"class_name": "Functional", "config": {"layers": []}}'),
            ("model.weights.h5", "no HDF5"),
        ],
    )
    def test_a_member_that_is_damaged(self, refused, tmp_path, member, content):
        refused(keras_file(tmp_path / "m.keras", **{member: content}))

    def test_a_layer_that_feeds_itself(self, refused, tmp_path):
        def node(source):
            history = {"keras_history": [source, 0, 0]}
            return [{"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": {}}]

        layers = [LAYERS[0], *({**layer, "inbound_nodes": node("out")} for layer in LAYERS[1:])]
        document = {
            "class_name": "Functional",
            "config": {"layers": layers, "output_layers": [["out", 0, 0]]},
        }
        path = keras_file(tmp_path / "m.keras", **{"config.json": json.dumps(document)})
        assert "feeds itself" in refused(path)

    @pytest.mark.parametrize("part", range(0, 100, 7))
    def test_cut_short(self, run, tmp_path, part):
        whole = keras_file(tmp_path / "whole.keras").read_bytes()
        path = tmp_path / "m.keras"
        path.write_bytes(whole[: len(whole) * part // 100])
        result = run("check", path)
        assert result.exit_code == 3
        assert "internal error" not in result.output


class TestWeightsAlone:
    def save(self, folder, shapes=SHAPES, name="m.weights.h5"):
        path = folder / name
        path.write_bytes(weights(shapes))
        return path

    def test_a_chain_is_inferred_and_says_what_is_assumed(self, shown, tmp_path):
        document = shown(self.save(tmp_path))
        assert [layer["kind"] for layer in document["layers"]] == ["embedding", "lstm", "dense"]
        assert document["assumptions"][0].startswith("`lstm`: reads forwards, tanh cells, sigmoid")

    def test_the_mapping_beside_it_wins(self, run, tmp_path):
        path = self.save(tmp_path)
        (tmp_path / "m.weights.yaml").write_text("labels: [a, b, c]\n")
        found = json.loads(run("inspect", path, "--format", "json").stdout)
        assert found["labels"] == ["a", "b", "c"]

    def test_several_dense_layers_are_asked_for(self, refused, run, tmp_path):
        more = {"layers/dense_1/vars/0": (3, 2), "layers/dense_1/vars/1": (2,)}
        path = self.save(tmp_path, SHAPES | more)
        first, *paste = refused(path).splitlines()
        assert "nothing says which activation `dense` has" in first
        (tmp_path / "m.weights.yaml").write_text("\n".join(paste))
        assert run("check", path).exit_code == 0

    def test_lstms_whose_sizes_tell_no_order_are_asked_for(self, refused, tmp_path):
        same = {
            f"layers/{part}/cell/vars/{k}": shape
            for part, units in [
                ("lstm", 2),
                ("bidirectional/forward_layer", 1),
                ("bidirectional/backward_layer", 1),
            ]
            for k, shape in enumerate([(2, 4 * units), (units, 4 * units), (4 * units,)])
        }
        shapes = {"layers/embedding/vars/0": (5, 2), "layers/dense/vars/0": (2, 3)} | same
        assert "sizes do not tell the order" in refused(self.save(tmp_path, shapes))

    def test_lstms_of_one_class_follow_each_other_by_their_numbers(self, shown, tmp_path):
        same = {
            f"layers/lstm{number}/cell/vars/{k}": shape
            for number in ("", "_1", "_2", "_10")
            for k, shape in enumerate([(2, 8), (2, 8), (8,)])
        }
        shapes = {"layers/embedding/vars/0": (5, 2), "layers/dense/vars/0": (2, 3)} | same
        layers = shown(self.save(tmp_path, shapes))["layers"]
        lstms = [layer["datasets"][0] for layer in layers if layer["kind"] == "lstm"]
        assert [name.split("/")[1] for name in lstms] == ["lstm", "lstm_1", "lstm_2", "lstm_10"]

    def test_attributes_of_a_class_of_ones_own_are_told_by_their_parts(self, shown, tmp_path):
        names = {"layers/embedding": "word_emb", "layers/lstm": "reader", "layers/dense": "head"}
        shapes = {}
        for name, shape in SHAPES.items():
            layer, part = name.split("/", 2)[:2], name.split("/", 2)[2]
            shapes[f"{names['/'.join(layer)]}/{part}"] = shape
        document = shown(self.save(tmp_path, shapes))
        assert [layer["kind"] for layer in document["layers"]] == ["embedding", "lstm", "dense"]

    @pytest.mark.parametrize(
        "layer", ["activation", "leaky_re_lu", "flatten", "concatenate", "softmax", "repeat_vector"]
    )
    def test_a_layer_without_weights_that_does_something_is_asked_for(
        self, refused, tmp_path, layer
    ):
        path = tmp_path / "m.weights.h5"
        path.write_bytes(weights(change=lambda file: file.create_group(f"layers/{layer}/vars")))
        assert f"nothing says what `{layer}` is" in refused(path)

    @pytest.mark.parametrize("layer", ["dropout", "spatial_dropout1d", "input_layer", "identity"])
    def test_a_layer_that_does_nothing_is_not(self, shown, tmp_path, layer):
        path = tmp_path / "m.weights.h5"
        path.write_bytes(weights(change=lambda file: file.create_group(f"layers/{layer}/vars")))
        assert len(shown(path)["layers"]) == 3

    @pytest.mark.parametrize("pool", ["average", "max"])
    def test_a_pooling_is_taken_to_stand_behind_the_last_lstm(self, shown, tmp_path, pool):
        path = tmp_path / "m.weights.h5"
        group = f"layers/global_{pool}_pooling1d/vars"
        path.write_bytes(weights(change=lambda file: file.create_group(group)))
        document = shown(path)
        kinds = [layer["kind"] for layer in document["layers"]]
        assert kinds == ["embedding", "lstm", "pool", "dense"]
        told, *_ = document["assumptions"]
        assert f"`global_{pool}_pooling1d`: stands behind the last recurrent layer" in told

    def test_a_masking_layer_is_taken_to_mask_zeros(self, shown, tmp_path):
        series = {name: shape for name, shape in SHAPES.items() if "lstm" in name}
        path = tmp_path / "m.weights.h5"
        path.write_bytes(weights(series, lambda file: file.create_group("layers/masking/vars")))
        document = shown(path)
        assert document["padding"]["masked"] is True
        assert any("masks steps of nothing but 0" in each for each in document["assumptions"])

    def test_the_state_of_a_random_generator_is_no_weight(self, shown, tmp_path):
        seed = {
            "layers/lstm/cell/seed_generator/vars/0": (2,),
            "layers/dropout/seed_generator/vars/0": (2,),
        }
        path = self.save(tmp_path, SHAPES | {"layers/lstm/cell/seed_generator/vars/0": (2,)})
        assert shown(path)["unused"] == ["layers/lstm/cell/seed_generator/vars/0"]
        whole = keras_file(tmp_path / "m.keras", **{"model.weights.h5": weights(SHAPES | seed)})
        assert shown(whole)["unused"] == sorted(seed, reverse=False)

    def test_a_layer_of_another_kind_is_named(self, refused, tmp_path):
        path = self.save(tmp_path, SHAPES | {"layers/conv1d/vars/0": (3, 3, 3)})
        assert "nothing says what `conv1d` is" in refused(path)


def named(kind, name, **settings):
    return {"class_name": kind, "config": {"name": name, **settings}}


VECTORIZATION = {
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "output_sequence_length": 6,
    "vocabulary": ["good", "film", "bad"],
}


def test_words_that_are_missing_from_their_file(run, tmp_path):
    text = named("InputLayer", "text", batch_shape=[None], dtype="string")
    layer = named("TextVectorization", "words", **(VECTORIZATION | {"vocabulary": None}))
    where = "assets/layers/text_vectorization/vocabulary.txt"
    layers = config([text, layer, *LAYERS[1:]])
    path = keras_file(tmp_path / "m.keras", **{"config.json": layers, where: b""})
    result = run("inspect", path)
    assert result.exit_code == 3
    assert f"{where}: is empty; expected a token a line" in result.stderr


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("TextVectorization", {"output_sequence_length": "6"}, "has output_sequence_length 6; exp"),
        ("TextVectorization", {"output_sequence_length": 0}, "has output_sequence_length 0; exp"),
        ("Rescaling", {"scale": [[1.0, 2.0], [1.0, 2.0]]}, "has scale [[1.0, 2.0], [1.0, 2.0]]; "),
        ("Rescaling", {"offset": "much"}, "has offset much; expected numbers"),
        ("Rescaling", {"scale": [1.0, 2.0], "offset": [1.0]}, "has 2 scales and 1 offsets; expec"),
        ("Normalization", {"mean": [1.0, None], "variance": 1.0}, "has mean [1.0, None]; expected"),
        ("Normalization", {"mean": 1.0, "variance": None}, "has variance None; expected numbers"),
    ],
)
def test_odd_settings_of_what_belongs_to_an_input(run, tmp_path, kind, settings, problem):
    text = kind == "TextVectorization"
    given = named("InputLayer", "given", batch_shape=[None] if text else [None, 6, 4])
    usual = VECTORIZATION if text else {"scale": 1.0, "offset": 0.0}
    layers = config([given, named(kind, "odd", **(usual | settings)), *LAYERS[1 if text else 2 :]])
    path = keras_file(tmp_path / "m.keras", **{"config.json": layers})
    result = run("predict", path, path)
    assert result.exit_code == 3
    assert f"layer `odd` ({kind}): {problem}" in result.stderr
    assert result.stderr.count("\n") == 1


class TestRefusedLayers:
    """What is said of a layer that is not explained is true, and a mapping that is named works."""

    @pytest.mark.parametrize(
        ("settings", "problem"),
        [
            ({"ngrams": 2}, "has ngrams 2; expected none"),
            ({"output_mode": "tf_idf"}, "has output_mode tf_idf; expected int"),
            ({"standardize": {"class_name": "mine"}}, "has standardize one of your own; expected"),
            ({"split": "ideographs"}, "has split ideographs; expected whitespace or character"),
            ({"vocabulary": None}, "does not say its words, and the file holds none"),
            ({"vocabulary": "/etc/passwd"}, "does not say its words, and the file holds none"),
        ],
    )
    def test_text_that_no_mapping_can_cut(self, run, tmp_path, settings, problem):
        text = named("InputLayer", "text", batch_shape=[None], dtype="string")
        layer = named("TextVectorization", "words", **(VECTORIZATION | settings))
        layers = config([text, layer, *LAYERS[1:]])
        path = keras_file(tmp_path / "m.keras", **{"config.json": layers})
        result = run("predict", path, path)
        assert result.exit_code == 3
        first, *lines = result.stderr.splitlines()
        assert f"layer `words` (TextVectorization): {problem}" in first
        code = "\n".join(lines)
        compile(code, "mend", "exec")
        assert f"model = keras.models.load_model({str(path)!r})" in code
        assert 'keras.Sequential([keras.Input((6,), dtype="int64"), *model.layers[1:]])' in code
        assert lines[-1] == "# then: lrp explain 'm_ids.keras' ids.npy"

    @pytest.mark.parametrize(
        ("kind", "hint"),
        [
            ("CuDNNGRU", "load its weights into a GRU with reset_after=True, and save that"),
            ("ConvLSTM1D", "nor has a mapping any like it"),
            ("Conv1DTranspose", "nor has a mapping any like it"),
            ("Lambda", "describe all layers by hand in m.yaml (softmax: steps, merge: gate"),
            ("Mine", "if it does no more than a mapping can say, describe all layers by hand in m"),
        ],
    )
    @pytest.mark.parametrize("inside", [None, "TimeDistributed", "Bidirectional"])
    def test_say_whether_a_mapping_can_help(self, run, tmp_path, kind, hint, inside):
        layer = named(kind, "odd")
        if inside:
            layer = named(inside, "odd", layer=named(kind, "inner"), merge_mode="concat")
        path = keras_file(
            tmp_path / "m.keras", **{"config.json": config([*LAYERS[:2], layer, *LAYERS[2:]])}
        )
        result = run("inspect", path)
        assert result.exit_code == 3
        assert f"layer `odd` ({inside or kind}): " in result.stderr
        assert hint in result.stderr
        assert len(result.stderr) < 500 + len(str(path))
        # What a mapping would name is listed.
        assert "layers/lstm/cell/vars/1" in result.stdout
        listed = json.loads(run("inspect", path, "--format", "json").stdout)
        assert set(listed["datasets"]) == set(SHAPES)

    def test_a_mapping_by_hand_is_taken_instead(self, run, tmp_path):
        layers = [*LAYERS[:2], named("Mine", "odd"), *LAYERS[2:]]
        path = keras_file(tmp_path / "m.keras", **{"config.json": config(layers)})
        plain = keras_file(tmp_path / "plain.keras")
        assert run("inspect", plain, "--write-mapping", tmp_path / "m.yaml").exit_code == 0
        (tmp_path / "ids.txt").write_text("1 2 3\n")
        results = [run("explain", each, tmp_path / "ids.txt", "--ids") for each in (path, plain)]
        assert results[0].exit_code == 0, results[0].stderr
        assert results[0].stdout == results[1].stdout

    @pytest.mark.parametrize(
        ("group", "gates", "bias", "kind"),
        [("gru", 3, (2, 6), "gru"), ("gru", 3, (6,), "gru"), ("simple_rnn", 1, (2,), "rnn")],
    )
    def test_weights_alone_of_another_cell(self, run, tmp_path, group, gates, bias, kind):
        shapes = {name: shape for name, shape in SHAPES.items() if "lstm" not in name}
        shapes |= {
            f"layers/{group}/cell/vars/0": (3, 2 * gates),
            f"layers/{group}/cell/vars/1": (2, 2 * gates),
            f"layers/{group}/cell/vars/2": bias,
        }
        path = tmp_path / "m.weights.h5"
        path.write_bytes(weights(shapes))
        result = run("inspect", path, "--write-mapping", tmp_path / "found.yaml")
        assert result.exit_code == 0
        assert f"`{group}`: reads forwards, tanh cells" in result.stdout
        [layer] = [
            each[kind]
            for each in yaml.safe_load((tmp_path / "found.yaml").read_text())["layers"]
            if kind in each
        ]
        assert kind == "rnn" or layer["reset"] == ("after" if len(bias) == 2 else "before")

    def test_what_no_cell_has_is_taken_for_none(self, run, tmp_path):
        shapes = {name: shape for name, shape in SHAPES.items() if "lstm" not in name}
        shapes |= {f"layers/gru/cell/vars/{k}": (2, size) for k, size in enumerate((6, 6, 5))}
        path = tmp_path / "m.weights.h5"
        path.write_bytes(weights(shapes))
        result = run("predict", path, "-", input="1 2\n")
        assert result.exit_code == 3
        assert "does not say its architecture" in result.stderr

    def test_what_is_not_understood_is_not_said_to_be_no_architecture(self, run, tmp_path):
        layers = [named("InputLayer", "ids", batch_shape=3), *LAYERS[1:]]
        path = keras_file(tmp_path / "m.keras", **{"config.json": config(layers)})
        result = run("inspect", path)
        assert result.exit_code == 3
        assert "is not understood as an architecture of Keras (" in result.stderr
        assert "if it is one, describe its layers by hand in m.yaml" in result.stderr
