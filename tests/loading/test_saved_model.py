"""SavedModels and checkpoints that Keras 2 wrote, and such as nobody wrote in good faith.

`tests/golden/savedmodel/write.py` says how they were made, with TensorFlow 2.4 and 2.15.
"""

import json
import shutil
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from protobuf import field, varint

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.loading.tensorflow.wire import _masked, table_entries

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "savedmodel"
VERSIONS = ("tensorflow2.15", "tensorflow2.4")
EXPECTED = {each: json.loads((GOLDEN / each / "expected.json").read_text()) for each in VERSIONS}
FLOAT64 = np.dtype(np.float64)
SMALL = GOLDEN / "tensorflow2.15" / "small"
EVERY = [
    (version, name) for version, found in EXPECTED.items() for name in found if name != "exported"
]


def check(run, path, numbers, folder, *options):
    """Compare a model's outputs with those that Keras gave."""
    lines = [
        {"tokens": given[0]}
        if len(given) == 1
        else dict(zip(("words", "series"), given, strict=True))
        for given in zip(*numbers["inputs"], strict=True)
    ]
    (folder / "given.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    result = run("predict", path, folder / "given.jsonl", "--format", "jsonl", *options)
    assert result.exit_code == 0, result.output
    found = list(map(json.loads, result.stdout.splitlines()))
    for each, *expected in zip(found, *numbers["outputs"], strict=True):
        scores = each["scores"]
        likely = each.get("probabilities") or [None] * len(scores)
        ours = [s if p is None else p for s, p in zip(scores, likely, strict=True)]
        np.testing.assert_allclose(ours, np.concatenate(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("version", "name"), [*EVERY, ("tensorflow2.15", "traced")])
def test_outputs_are_those_of_keras(run, tmp_path, version, name):
    numbers = EXPECTED[version]["small" if name == "traced" else name]
    check(run, GOLDEN / version / name, numbers, tmp_path)


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_every_variable_of_a_layer_is_used(run, version, name):
    found = json.loads(run("inspect", GOLDEN / version / name, "--format", "json").stdout)
    assert found["unused"] == [each for each in found["datasets"] if each.startswith("optimizer")]


def test_what_it_was_trained_for_is_known():
    """The losses stand beside the layers."""
    model = load_model(SMALL, None, FLOAT64).model
    assert model.regression


@pytest.mark.parametrize("given", ["small", "small/", "small/saved_model.pb"])
@pytest.mark.parametrize("command", ["explain", "predict", "inspect", "check", "convert"])
def test_every_command_takes_the_folder(run, tmp_path, monkeypatch, command, given):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SMALL, tmp_path / "small")
    Path("ids.txt").write_text("1 2 3\n")
    more = {"inspect": [], "convert": ["out.npz"]}.get(command, ["ids.txt", "--ids"])
    if command == "explain":
        more += ["--target", "all"]
    result = run(command, given, *more)
    assert result.exit_code == 0, result.output


def test_a_mapping_beside_the_folder_wins(run, tmp_path):
    shutil.copytree(SMALL, tmp_path / "small")
    (tmp_path / "small.yaml").write_text("format: 1\nlabels: [calm, storm]\n")
    found = json.loads(run("inspect", tmp_path / "small", "--format", "json").stdout)
    assert found["labels"] == ["calm", "storm"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_layer_that_cannot_be_explained_is_named(version):
    with pytest.raises(UnusableInput, match=r"layer `twice` \(Lambda\): is not a layer that lrp"):
        load_model(GOLDEN / version / "refused", None, FLOAT64)


def test_tf2onnx_makes_a_file_that_is_read_of_what_keras_says_nothing_in(run, framework, tmp_path):
    """The refusal's own command made it of what `model.export` wrote."""
    framework("onnx")
    numbers = EXPECTED["tensorflow2.15"]["exported"]
    np.save(tmp_path / "x.npy", numbers["inputs"][0])
    np.save(tmp_path / "y.npy", numbers["outputs"][0])
    path = GOLDEN / "tensorflow2.15" / "exported.onnx"
    expected = ("--expected", tmp_path / "y.npy", "--tolerance", 1e-5)
    result = run("check", path, tmp_path / "x.npy", *expected)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("text", ["", "{"])
def test_objects_of_keras_that_are_not_the_model_are_passed_over(copy, text):
    """A module that has a Keras model among its parts, which says itself in another file."""
    (copy / "keras_metadata.pb").unlink()
    child = field(1, field(1, 1) + field(2, b"part"))
    user = field(4, field(1, b"_tf_keras_layer") + field(3, text.encode()))
    objects = field(7, field(1, child) + field(1, user))
    (copy / "saved_model.pb").write_bytes(field(1, 1) + field(2, objects))
    if text:
        assert "saved_model.pb: is not the JSON that Keras writes" in refusal(copy)
        return
    message = refusal(copy)
    assert "in which Keras does not say its layers. Save the model that it was" in message
    assert f"python -m tf2onnx.convert --saved-model {copy} --output model.onnx" in message


# Checkpoints


@pytest.mark.parametrize(
    "given", ["", "checkpoint", "weights", "weights.index", "weights.data-00000-of-00001"]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_checkpoint_is_read_by_a_mapping(run, tmp_path, version, given):
    mapping = {
        "format": 1,
        "task": "regression",
        "layers": [
            {"embedding": {"weights": "layer_with_weights-0/embeddings"}},
            {
                "lstm": {
                    "gate_order": ["i", "f", "g", "o"],
                    "layout": "features_by_gates",
                    "forward": {
                        "input": "layer_with_weights-1/cell/kernel",
                        "recurrent": "layer_with_weights-1/cell/recurrent_kernel",
                        "bias": "layer_with_weights-1/cell/bias",
                    },
                }
            },
            {
                "dense": {
                    "weights": "layer_with_weights-2/kernel",
                    "layout": "features_by_classes",
                    "bias": "layer_with_weights-2/bias",
                }
            },
        ],
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(mapping))
    path = GOLDEN / version / "checkpoint" / given
    check(run, path, EXPECTED[version]["small"], tmp_path, "--mapping", tmp_path / "m.yaml")


def test_a_checkpoint_alone_asks_for_its_layers(run):
    result = run("inspect", GOLDEN / "tensorflow2.4" / "checkpoint" / "weights")
    assert "layer_with_weights-1/cell/kernel" in result.stdout
    assert "the file does not say its architecture; describe it in weights.yaml" in result.stderr


# What is damaged, and what nobody wrote in good faith


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(SMALL, tmp_path / "small"))


def refusal(path):
    with pytest.raises(UnusableInput) as found:
        load_model(path, None, FLOAT64)
    return str(found.value)


def variables(folder, end="index"):
    return folder / "variables" / f"variables.{end}"


DATA = "data-00000-of-00001"


def test_a_missing_file_is_named(copy):
    variables(copy, DATA).unlink()
    assert f"variables.{DATA}: there is no such file, which belongs to the model" in refusal(copy)
    variables(copy).unlink()
    assert "is a TensorFlow SavedModel without variables" in refusal(copy)


def test_numbers_that_are_cut_off_are_told(copy):
    path = variables(copy, DATA)
    path.write_bytes(path.read_bytes()[:100])
    assert "variables.data-00000-of-00001 has 100; copy the checkpoint again" in refusal(copy)


def listed_or_refused(folder):
    """What it holds; None where it is refused, and nothing else is raised."""
    try:
        with open_arrays(folder) as file:
            return dict(file.datasets)
    except UnusableInput:
        return None


def test_every_byte_of_the_index_is_checked(copy):
    """Changed at any place it is refused, or still says the same."""
    path = variables(copy)
    whole = path.read_bytes()
    with open_arrays(copy) as file:
        same = dict(file.datasets)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        assert listed_or_refused(copy) in (same, None)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UnusableInput):
            open_arrays(copy)


@pytest.mark.parametrize("name", ["keras_metadata.pb", "variables/variables.data-00000-of-00001"])
def test_what_is_changed_elsewhere_is_refused_or_read(copy, name):
    """Nothing but a refusal comes of it, wherever a byte is another."""
    path = copy / name
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        with suppress(UnusableInput):
            load_model(copy, None, FLOAT64)


@pytest.mark.parametrize("end", ["index", DATA])
def test_a_link_out_of_the_folder_is_not_followed(copy, tmp_path, end):
    path = variables(copy, end)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "is a link that leads out of its folder, so it is not read" in refusal(copy)
    inside = copy / "inside"
    (tmp_path / "elsewhere").rename(inside)
    path.unlink()
    path.symlink_to(inside)
    load_model(copy, None, FLOAT64)


def test_a_checkpoint_that_names_another_folder_stays_in_its_own(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for each in (GOLDEN / "tensorflow2.4" / "checkpoint").glob("weights.*"):
        shutil.copy(each, tmp_path / each.name)
    (folder / "checkpoint").write_text('model_checkpoint_path: "../weights"\n')
    (folder / "other.index").write_bytes(b"")
    assert "weights.index: there is no such file" in refusal(folder)


# Indexes that are made


def block(entries):
    """A block in which each entry says the whole of its key."""
    found = b""
    for shared, key, value in entries:
        found += varint(shared) + varint(len(key)) + varint(len(value)) + key + value
    found += (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    return found


def table(entries, times=1):
    """A table of one block, which its index may name several times."""
    data = block(entries)

    def closed(content):
        return content + b"\0" + _masked(content + b"\0").to_bytes(4, "little")

    handle = varint(0) + varint(len(data))
    index = block([(0, b"z%d" % k, handle) for k in range(times)])
    body = closed(data) + closed(index)
    footer = varint(0) + varint(len(data)) + varint(len(closed(data))) + varint(len(index))
    return body + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


HEADER = (0, b"", field(1, 1) + field(3, field(1, 1)))


def entry(shape=(2,), dtype=1, shard=0, offset=0, size=8, more=b""):
    dimensions = b"".join(field(2, field(1, each)) for each in shape)
    found = field(1, dtype) + field(2, dimensions) + field(3, shard) + field(4, offset)
    return found + field(5, size) + more


def test_a_made_index_is_read(copy):
    variables(copy).write_bytes(table([HEADER, (0, b"a", entry())]))
    with open_arrays(copy) as file:
        assert str(file.datasets["a"]) == "float32 (2)"
        assert len(file.read("a")) == 2


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([HEADER, (0, b"a", entry(size=9))], "`a` of 8 bytes is said to take 9"),
        ([HEADER, (0, b"a", entry((2**40,), size=2**42))], "is said to stand from byte 0 to"),
        ([HEADER, (0, b"a", entry((2**62, 2**62), size=8))], "bytes is said to take 8"),
        ([HEADER, (0, b"a", entry((2**64 - 1,), size=8))], "an open shape"),
        ([HEADER, (0, b"a", entry(offset=2**63))], "is said to stand from byte 9,223"),
        ([HEADER, (0, b"a", entry(shard=7))], "is in file 7 of 1"),
        ([HEADER, (0, b"a", entry(dtype=23, size=8))], "`a` of 16 bytes"),
        ([HEADER, (0, b"a", entry(dtype=99))], "is of type 99"),
        ([HEADER, (0, b"a", entry(more=field(7, b"")))], "`a` is kept in slices"),
        ([HEADER, (0, b"b", entry()), (0, b"a", entry())], "do not stand in their order"),
        ([HEADER, (0, b"a", entry()), (0, b"a", entry())], "do not stand in their order"),
        ([HEADER, (9, b"a", entry())], "is longer than its block"),
        ([HEADER, (0, b"a" * 5000, entry())], "is longer than its block"),
        ([HEADER, (0, b"\xff", entry())], "not the whole index"),
        ([HEADER, (0, b"a", b"\x0b")], "found a field of kind 3"),
        ([HEADER, (0, b"a", b"\x0a\x7f")], "a field claims 127 bytes"),
        ([HEADER, (0, b"a", b"\x08" + b"\xff" * 12)], "a number is cut short, or too long"),
        ([(0, b"", field(1, 2**40))], "does not begin with the number of its files"),
        ([(0, b"", field(1, 1) + field(2, 1))], "its numbers are big-endian"),
        ([(0, b"a", entry())], "does not begin with the number of its files"),
        ([], "does not begin with the number of its files"),
    ],
)
def test_an_index_that_claims_what_is_not_there_is_refused(copy, entries, problem):
    variables(copy).write_bytes(table(entries))
    tracemalloc.start()
    try:
        assert problem in refusal(copy)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_block_that_is_named_again_and_again_is_refused():
    """Or a small file would unfold to many times its size."""
    with pytest.raises(ValueError, match="do not stand in their order"):
        list(table_entries(table([HEADER, (0, b"a", b"x" * 1000)], times=100)))


def test_an_index_of_a_size_that_none_has_is_not_read(copy):
    with variables(copy).open("r+b") as file:
        file.truncate(2**40)
    assert "no such index is honest" in refusal(copy)


def test_metadata_that_is_nested_deeply_is_refused(copy):
    text = b'{"name": "m", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    node = field(3, b"root") + field(4, b"_tf_keras_sequential") + field(5, text)
    (copy / "keras_metadata.pb").write_bytes(field(1, node))
    assert "keras_metadata.pb" in refusal(copy)
