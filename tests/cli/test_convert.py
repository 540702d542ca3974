"""`lrp convert`: what it writes is explained exactly as the model that it came from."""

import json

import numpy as np
import pytest
from models import KERAS, PYTORCH, TESTS, WEATHER

SAMPLES = pytest.mark.parametrize(
    "sample", [PYTORCH, KERAS, WEATHER], ids=["pytorch", "keras", "weather"]
)
KERAS2 = TESTS / "golden" / "keras2"
GOLDEN = json.loads((KERAS2 / "expected.json").read_text("utf-8"))


@pytest.fixture
def explained(run):
    """Every number of an explanation, as text that reads back exactly."""

    def explain(model, sequences, *options):
        result = run(
            *("explain", model, sequences, "--format", "jsonl", "--target", "all", "-q"), *options
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    return explain


@pytest.fixture
def convert(run, tmp_path):
    def convert(model, name, *options):
        result = run("convert", model, tmp_path / name, *options)
        assert result.exit_code == 0, result.output
        return tmp_path / name

    return convert


@SAMPLES
@pytest.mark.parametrize("name", ["plain.npz", "plain.safetensors"])
def test_sample_models_are_explained_alike_bit_for_bit(convert, explained, sample, name):
    plain = convert(sample.model, name)
    assert explained(plain, sample.sequences) == explained(sample.model, sample.sequences)


@SAMPLES
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_in_the_precision_that_was_asked_for(convert, explained, sample, dtype):
    plain = convert(sample.model, "plain.npz", "--dtype", dtype)
    with np.load(plain) as arrays:
        assert {array.dtype.name for array in arrays.values()} == {dtype}
    options = (sample.sequences, "--dtype", dtype)
    assert explained(plain, *options) == explained(sample.model, *options)


@pytest.mark.parametrize("name", GOLDEN)
def test_keras_2_files_are_explained_alike_bit_for_bit(convert, explained, tmp_path, name):
    key = "tokens" if isinstance(GOLDEN[name]["sequences"][0][0], int) else "values"
    lines = [json.dumps({key: sequence}) + "\n" for sequence in GOLDEN[name]["sequences"]]
    (tmp_path / "in.jsonl").write_text("".join(lines))
    model = KERAS2 / f"{name}.h5"
    plain = convert(model, "plain.npz")
    assert explained(plain, tmp_path / "in.jsonl") == explained(model, tmp_path / "in.jsonl")
    with np.load(plain) as arrays:
        assert {array.dtype.name for array in arrays.values()} <= {"float32", "float64"}


def test_float32_is_kept_but_for_sums_that_it_does_not_hold(convert):
    """The two biases of PyTorch's LSTM become one."""
    with np.load(convert(PYTORCH.model, "plain.npz")) as arrays:
        wide = {name for name, array in arrays.items() if array.dtype == np.float64}
    assert wide == {"lstm_1.forward.bias", "lstm_1.backward.bias"}


def test_the_files_can_be_moved_together(convert, explained, tmp_path):
    before = explained(convert(KERAS.model, "plain.npz"), KERAS.sequences)
    (tmp_path / "elsewhere").mkdir()
    for name in ("plain.npz", "plain.yaml", "plain-vocab.json"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert explained(tmp_path / "elsewhere" / "plain.npz", KERAS.sequences) == before


def test_it_says_what_it_wrote(run, tmp_path):
    result = run("convert", WEATHER.model, tmp_path / "plain.npz")
    assert result.stdout == ""
    assert result.stderr == f"lrp: wrote {tmp_path}/plain.npz, {tmp_path}/plain.yaml\n"


def test_a_format_without_its_ending(convert, explained):
    plain = convert(KERAS.model, "weights.bin", "--format", "safetensors")
    assert explained(plain, KERAS.sequences) == explained(KERAS.model, KERAS.sequences)


def test_a_converted_model_converts_to_the_same_files(convert):
    first = convert(PYTORCH.model, "first.npz")
    second = convert(first, "second.npz")
    assert second.read_bytes() == first.read_bytes()


class TestNothingIsLost:
    @pytest.mark.parametrize("name", ["model.npz", "model.safetensors"])
    def test_the_model_and_its_mapping_are_not_written_over(self, run, small, name):
        path = small.save()
        before = {each.name: each.read_bytes() for each in small.folder.iterdir()}
        result = run("convert", path, small.folder / name)
        assert result.exit_code == 2
        assert "would be taken for the mapping of MODEL" in result.stderr
        assert {each.name: each.read_bytes() for each in small.folder.iterdir()} == before

    def test_nor_is_a_mapping_of_another_name(self, run, small):
        path = small.save()
        (small.folder / "model.yaml").rename(small.folder / "other.yaml")
        mapping = ("--mapping", small.folder / "other.yaml")
        result = run("convert", path, small.folder / "other.npz", *mapping)
        assert result.exit_code == 2
        assert "OUT's mapping is the same file as MODEL's mapping" in result.stderr

    def test_nor_the_vocabulary(self, run, small):
        small.mapping["vocabulary"] = "plain-vocab.json"
        small.write("plain-vocab.json", '["the", "film", "is", "not", "bad"]')
        result = run("convert", small.save(), small.folder / "plain.npz")
        assert result.exit_code == 2
        assert (
            "OUT's vocabulary is the same file as `plain-vocab.json` of the mapping"
            in result.stderr
        )

    @pytest.mark.parametrize("name", ["plain.npz", "plain.yaml"])
    def test_a_link_that_leads_to_itself_is_one_error(self, run, small, name):
        path = small.save()
        (small.folder / name).symlink_to(name)
        result = run("convert", path, small.folder / "plain.npz")
        assert result.exit_code == 3
        assert f"{name}: cannot be written: Too many levels of symbolic links" in result.stderr

    def test_other_files_are_written_over_as_with_o(self, convert, small):
        small.write("plain.npz", "something else")
        assert convert(small.save(), "plain.npz").read_bytes()[:2] == b"PK"

    def test_all_files_appear_or_none(self, run, small, monkeypatch):
        from lstm_lrp_cli.loading import convert

        def fail(ids):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(convert, "vocabulary_text", fail)
        path = small.save()
        before = sorted(small.folder.iterdir())
        result = run("convert", path, small.folder / "plain.npz")
        assert result.exit_code == 3
        assert "No space left" in result.stderr
        assert sorted(small.folder.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "status", "hint"),
    [
        ("plain.h5", 2, "is of no format; end it in .npz or .safetensors"),
        ("plain", 2, "is of no format"),
        ("none/plain.npz", 3, "cannot be written: No such file or directory"),
        ("folder.npz", 3, "is no regular file"),
    ],
)
def test_a_place_that_cannot_be_written(run, small, name, status, hint):
    (small.folder / "folder.npz").mkdir()
    result = run("convert", small.save(), small.folder / name)
    assert result.exit_code == status
    assert hint in result.stderr
