"""What scikit-learn's own versions pickled is read without it, and comes to its very numbers."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from golden import unpack
from models import json_lines
from several import SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.loading.beside.labels import read_labels
from lstm_lrp_cli.loading.mapping import ScalingSpec
from lstm_lrp_cli.loading.pickles.files import read_pickle_file
from lstm_lrp_cli.loading.scaling import of_file
from lstm_lrp_cli.model.scaling import Scaling

GOLDEN = Path(__file__).parents[1] / "golden" / "scikit_learn"
ARCHIVES = sorted(path.name.removesuffix(".tar.bz2") for path in GOLDEN.glob("*.tar.bz2"))
LATEST = "1.9.1-py3.13"
FLOAT64 = np.dtype(np.float64)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of a version's files."""

    @cache
    def folder(version):
        target = tmp_path_factory.mktemp("golden")
        unpack(GOLDEN / f"{version}.tar.bz2", target)
        return target

    return folder


def files_of(folder, name):
    found = sorted(folder.glob(f"{name}.*"))
    assert found
    return found


def numbers(rows):
    return np.array([[float.fromhex(number) for number in row] for row in rows])


def scaling_of(path, size=3, **spec):
    steps, features = of_file(ScalingSpec(file=str(path), **spec), size, "scaling")
    return Scaling(tuple(steps), FLOAT64), features


@pytest.mark.parametrize("version", ARCHIVES)
class TestEveryVersion:
    """By pickle in each protocol, and by joblib, plain and compressed by each way."""

    def test_scalers_come_to_the_librarys_numbers(self, unpacked, version):
        folder = unpacked(version)
        expected = json.loads((folder / "expected.json").read_text())
        given = numbers(expected["given"])
        assert len(expected["scalers"]) >= 10
        for name, wanted in expected["scalers"].items():
            made, back = numbers(wanted["made"]), numbers(wanted["back"])
            for path in files_of(folder, name):
                scaling, features = scaling_of(path)
                np.testing.assert_array_equal(scaling.of(given), made, path.name)
                np.testing.assert_array_equal(scaling.undone(made), back, path.name)
                assert features == (tuple(wanted["features"]) if "features" in wanted else None)

    def test_labels_are_those_of_the_encoder(self, unpacked, version):
        folder = unpacked(version)
        expected = json.loads((folder / "expected.json").read_text())
        assert len(expected["labels"]) == 5
        for name, labels in expected["labels"].items():
            for path in files_of(folder, name):
                assert read_labels(path) == list(map(str, labels)), path.name
        words = expected["labels"]["encoder_label"]
        for name in ("classes_texts.npy", "classes_objects.npy"):
            assert read_labels(folder / name) == words

    def test_nothing_is_asked_for_but_its_classes(self, unpacked, version):
        for path in unpacked(version).glob("*.joblib*"):
            asked = {each.module.partition(".")[0] for each in read_pickle_file(path, "it").asked}
            assert asked == {"sklearn"}


def test_eight_years_are_there():
    versions = [tuple(map(int, name.split(".")[:2])) for name in ARCHIVES]
    assert len(ARCHIVES) == 16
    assert {version for version in versions if version[0] == 0} == {(0, k) for k in range(20, 25)}
    assert {version for version in versions if version[0] == 1} == {(1, k) for k in range(10)}


@pytest.fixture
def series(small):
    """A regressor of three features, whose input is scaled by what the mapping says."""

    def save(**mapping):
        small.take_numbers()
        small.mapping |= {"task": "regression"} | mapping
        return small.save()

    return save


@pytest.fixture
def golden(unpacked, small):
    """A golden file beside the model; what was given to it, and what it made of that."""

    def put(name, version=LATEST):
        folder = unpacked(version)
        [path] = folder.glob(f"{name}.joblib")
        (small.folder / path.name).write_bytes(path.read_bytes())
        expected = json.loads((folder / "expected.json").read_text())
        made = expected["scalers"].get(name, {}).get("made", [])
        return path.name, numbers(expected["given"]), numbers(made) if made else None

    return put


@pytest.fixture
def refusal(run):
    def refused(path, input=None):
        result = run("predict", path, input) if input else run("inspect", path)
        assert result.exit_code == 3, result.output
        return result.stderr

    return refused


def explained(run, small, values, *options):
    np.save(small.folder / "in.npy", values[np.newaxis])
    given = (small.folder / "in.npy", "--format", "jsonl", "--target", 0)
    result = run("explain", small.path, *given, "-q", *options)
    assert result.exit_code == 0, result.stderr
    return json_lines(result.stdout)


class TestScaledByAFile:
    @pytest.mark.parametrize(
        "name",
        ["scaler_standard", "scaler_min_max_range", "scaler_pipeline", "scaler_max_abs_clip"],
    )
    def test_it_is_what_scaling_by_hand_comes_to(self, run, small, series, golden, name):
        file, given, made = golden(name)
        series()
        [wanted] = explained(run, small, made)
        small.mapping["scaling"] = file
        small.save()
        [found] = explained(run, small, given)
        assert found["scores"] == wanted["scores"]
        assert found["relevance"] == wanted["relevance"]
        assert found["values"] == given.tolist()

    @pytest.mark.parametrize("name", ["scaler_named", "scaler_pipeline", "scaler_min_max_clip"])
    def test_it_is_written_out_and_converted(self, run, small, series, golden, name):
        file, given, _ = golden(name)
        series(scaling={"file": file})
        [wanted] = explained(run, small, given)
        (small.folder / "elsewhere").mkdir()
        whole = small.folder / "elsewhere" / "whole.yaml"
        assert run("inspect", small.path, "--write-mapping", whole).exit_code == 0
        assert f"file: ../{file}" in whole.read_text()
        [found] = explained(run, small, given, "--mapping", whole)
        assert found == wanted
        plain = small.folder / "elsewhere" / "plain.npz"
        assert run("convert", small.path, plain).exit_code == 0
        small.path.unlink()
        (small.folder / file).unlink()
        given = (small.folder / "in.npy", "--format", "jsonl", "--target", 0, "-q")
        [found] = json_lines(run("explain", plain, *given).stdout)
        assert found == wanted

    def test_columns_are_picked_by_name_or_number(self, run, small, series, golden, unpacked):
        file, given, made = golden("scaler_named")
        for features in (["rain", "wind", "temperature"], [2, 1, 0]):
            scaling, names = scaling_of(small.folder / file, features=features)
            np.testing.assert_array_equal(scaling.of(given[:, ::-1]), made[:, ::-1])
            assert names == ("rain", "wind", "temperature")
        scaling, names = scaling_of(small.folder / file, 1, features=["wind"])
        np.testing.assert_array_equal(scaling.of(given[:, 1:2]), made[:, 1:2])
        assert names == ("wind",)

    def test_columns_are_those_that_the_mapping_names(self, run, small, series, golden):
        file, given, made = golden("scaler_named")
        names = ["rain", "temperature", "wind"]
        series(features=names)
        [wanted] = explained(run, small, made[:, [2, 0, 1]])
        small.mapping["scaling"] = file
        small.save()
        [found] = explained(run, small, given[:, [2, 0, 1]])
        assert found["scores"] == wanted["scores"]
        assert found["features"] == names

    def test_names_of_columns_are_the_scalers_where_nobody_else_says_them(
        self, run, small, series, golden
    ):
        file, given, _ = golden("scaler_named")
        series(scaling=file)
        [found] = explained(run, small, given)
        assert found["features"] == ["temperature", "wind", "rain"]
        told = json.loads(run("inspect", small.path, "--format", "json").stdout)
        assert told["features"] == ["temperature", "wind", "rain"]
        assert told["origins"]["features"] == "scaling from model.yaml"

    def test_a_scaler_of_one_column_is_that_of_all(self, small, golden):
        """As of forecasts of several steps."""
        file, given, made = golden("scaler_named")
        scaling, names = scaling_of(small.folder / file, 5, features=["wind"])
        np.testing.assert_array_equal(
            scaling.of(np.repeat(given[:, 1:2], 5, axis=1)), np.repeat(made[:, 1:2], 5, axis=1)
        )
        assert names is None

    @pytest.mark.parametrize(
        ("scaling", "message"),
        [
            (
                {"file": "scaler_named.joblib", "features": ["wind", "sun", "rain"]},
                "scaler_named.joblib: has temperature, wind, rain; scaling.features asks for `sun`",
            ),
            (
                {"file": "scaler_named.joblib", "features": [0, 1, 3]},
                "scaler_named.joblib: scales 3 columns, 0 to 2; scaling.features asks for 3",
            ),
            (
                {"file": "scaler_named.joblib", "features": ["wind", "rain"]},
                "scaler_named.joblib: scales 2 columns, and scaling is of 3; expected as many",
            ),
            (
                {"file": "scaler_standard.joblib", "features": ["wind", "rain", "sun"]},
                "does not name its columns; scaling.features asks for `wind`",
            ),
            (
                {"file": "scaler_named.joblib", "divide": 2.0},
                "scaling.file: says all that is done; expected nothing but features beside it",
            ),
            ({"features": [0], "divide": 2.0}, "scaling.features: picks columns of a file"),
            ("nowhere.pkl", "nowhere.pkl: there is no such file; expected scikit-learn's Standard"),
            ("model.yaml", "is text that begins with `format: 1`; expected scikit-learn's"),
            ("model.npz", "model.npz: is a zip archive; expected scikit-learn's StandardScaler"),
            ("encoder_label.joblib", "is a pickled sklearn.preprocessing.LabelEncoder; expected"),
            ({"divide": 2.0, "clip": [1, 0]}, "scaling.clip: found [1.0, 0.0]; expected the least"),
        ],
    )
    def test_what_does_not_fit_is_one_error(self, refusal, small, series, golden, scaling, message):
        for name in ("scaler_named", "scaler_standard", "encoder_label"):
            golden(name)
        path = series(scaling=scaling)
        np.save(small.folder / "in.npy", np.zeros((1, 4, 3)))
        error = refusal(path, input=small.folder / "in.npy")
        assert message in error
        assert len(error.splitlines()) == 1


def test_a_scaler_is_no_model(run, unpacked):
    result = run("inspect", unpacked(LATEST) / "scaler_min_max.pickle")
    assert result.exit_code == 3
    assert "is a bare pickle of `sklearn.preprocessing._data.MinMaxScaler`, and no" in result.stderr
    assert "name this by --set scaling=FILE or" in result.stderr


class TestKeysThatAreSet:
    def test_a_path_is_seen_from_where_one_is(self, run, small, series, golden, monkeypatch):
        file, given, made = golden("scaler_standard")
        series()
        [wanted] = explained(run, small, made)
        (small.folder / "here").mkdir()
        (small.folder / file).rename(small.folder / "here" / file)
        monkeypatch.chdir(small.folder / "here")
        [found] = explained(run, small, given, "--set", f"scaling={file}")
        assert found["scores"] == wanted["scores"]
        model = lrp.load(small.path, {"scaling": file, "unused": ["E"]})
        [own] = lrp.explain(model, given[np.newaxis], target=0)
        assert own.scores.tolist() == wanted["scores"]

    def test_they_win_over_the_mapping_key_by_key(self, run, small):
        small.mapping["padding"] = {"side": "post", "length": 7, "value": 1}
        path = small.save()
        result = run(
            *("inspect", path, "--format", "json"),
            *("--set", "padding.length=9", "--set", "labels=[no, yes, on]"),
        )
        found = json.loads(result.stdout)
        padding = found["padding"]
        assert (padding["side"], padding["length"], padding["value"]) == ("post", 9, 1)
        assert found["labels"] == ["no", "yes", "on"]
        assert found["origins"]["padding"] == "model.yaml, with length from --set"
        assert found["origins"]["labels"] == "--set"

    def test_python_says_the_same(self, small, series, golden):
        file, given, made = golden("scaler_standard")
        series()
        scaler = {"minus": np.ones(3), "divide": np.float32(2)}
        model = lrp.load(small.path, {"scaling": scaler, "unused": ("E",)})
        np.testing.assert_array_equal(model.only_input.scaled(given), (given - 1) / 2)
        model = lrp.load(small.path, {"scaling": small.folder / file, "unused": ["E"]})
        np.testing.assert_array_equal(model.only_input.scaled(given), made)
        with pytest.raises(lrp.UnusableInput, match=r"the mapping given: holds what YAML has not"):
            lrp.load(small.path, {"scaling": object()})
        fitted = type("StandardScaler", (), {"fit": None})()
        with pytest.raises(lrp.UnusableInput, match=r"found StandardScaler; .* save it, as joblib"):
            lrp.load(small.path, {"scaling": fitted})
        with pytest.raises(lrp.UnusableInput, match=r"the mapping given: unknown key `scalling`"):
            lrp.load(small.path, {"scalling": "it"})

    def test_of_one_of_several_inputs(self, run, tmp_path):
        path = SeveralInputs(tmp_path).save()
        result = run(
            *("inspect", path, "--format", "json", "--set", "inputs.wind.scaling.divide=4"),
            *("--set", "inputs.wind.features=[x, y]"),
        )
        found = {each["name"]: each for each in json.loads(result.stdout)["inputs"]}
        assert list(found) == ["review", "wind", "person"]
        assert found["wind"]["scaling"][0]["divide"] == [4.0, 4.0]
        assert found["wind"]["features"] == ["x", "y"]
        assert found["person"]["scaling"] is None

    def test_null_takes_a_key_away(self, run, small):
        small.mapping["labels"] = ["bad", "good", "so so"]
        result = run("inspect", small.save(), "--format", "json", "--set", "labels=null")
        assert json.loads(result.stdout)["labels"] is None

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("padding", "--set padding: expected KEY=VALUE, such as padding.length=50"),
            ("tokens.lowercase=no", "lowercase: found `no`; expected one of true, false, ascii"),
            ("padding.lenght=5", "--set: padding: unknown key `lenght`; did you mean `length`?"),
            ("padding.length=many", "--set: padding.length: expected `int`, got `str`"),
            ("labels=[a", "--set labels=[a: line 1: is not valid YAML"),
            ("layers.0=1", "--set: layers: expected `array`, got `object`"),
        ],
    )
    def test_what_is_no_key_is_one_error(self, run, small, text, message):
        result = run("inspect", small.save(), "--set", text)
        assert result.exit_code == 3
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize("second", ["labels=[c, d]", "labels.a=1"])
    def test_a_key_is_set_once(self, run, small, second):
        result = run("inspect", small.save(), "--set", "labels=[a, b]", "--set", second)
        assert result.exit_code == 3
        assert "is set by another as well; expected one" in result.stderr

    @pytest.mark.parametrize("command", ["check", "predict", "evaluate", "explain", "convert"])
    def test_every_command_that_loads_a_model_takes_them(self, run, small, command):
        path = small.save()
        text = small.folder / "in.txt"
        text.write_text("aa bb\n")
        given = small.folder / "out.npz" if command == "convert" else text
        result = run(command, path, given, "--set", "labels=[a, b, c, d, e, f, g]")
        assert "labels: found 7" in result.stderr, result.stderr
        assert f"{path.with_suffix('.yaml')} with --set: labels" in result.stderr


class TestLabels:
    @pytest.mark.parametrize("name", ["encoder_label", "encoder_one_hot", "encoder_binarizer"])
    def test_of_an_encoder(self, run, small, golden, name):
        golden(name)
        small.mapping |= {"labels": f"{name}.joblib"}
        result = run("inspect", small.save(), "--format", "json")
        assert json.loads(result.stdout)["labels"] == ["neutral", "négatif", "positive"]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("l.txt", "neutral\r\nnégatif\r\npositive\r\n"),
            ("l.json", '["neutral", "négatif", "positive"]'),
            ("l.json", '{"positive": 2, "neutral": 0, "négatif": 1}'),
            ("l.json", '{"2": "positive", "1": "négatif", "0": "neutral"}'),
        ],
    )
    def test_of_texts(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content.encode("utf-8"))
        assert read_labels(tmp_path / name) == ["neutral", "négatif", "positive"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("l.json", "{", "l.json: is not valid JSON"),
            ("l.pkl", "a\nb\n", "l.pkl: is text that begins with `a`; expected labels: scikit"),
            ("l.txt", "a\nn\udce9\n", "l.txt: line 2: byte 0xe9 is not UTF-8 text"),
            ("l.txt", "PAR1\udcff", "l.txt: is a Parquet table; expected labels: scikit-learn's"),
            ("l.json", "3", "l.json: holds int; expected a list of labels or {label: class}"),
            (
                "l.json",
                '{"a": 0, "b": 0}',
                "has 0 as the class of 'b'; expected 0, 1, 2, ..., each",
            ),
            ("l.json", '{"a": 0, "b": 2}', "has no label of class 1; expected one for each"),
            ("l.json", '["a", [1]]', "has list as label 1; expected a text or a number"),
            ("l.json", '{"a": "b"}', "has 'b' as the class of 'a'"),
        ],
    )
    def test_what_is_none_is_one_error(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(lrp.UnusableInput) as caught:
            read_labels(tmp_path / name)
        assert message in str(caught.value)

    def test_as_many_as_the_file_has_are_expected_of_the_model(self, refusal, small, golden):
        golden("encoder_label_numbers")
        small.mapping |= {"labels": "encoder_label_numbers.joblib"}
        small.arrays |= {"V": np.ones((4, 2)), "c": np.ones(4)}
        error = refusal(small.save())
        assert "encoder_label_numbers.joblib: labels: found 3; expected 4, one for each" in error
