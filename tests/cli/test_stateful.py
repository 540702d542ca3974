"""Stateful models: every command begins a sequence where an earlier one ended, and says so."""

import copy
import io
import json
import zipfile

import h5py
import numpy as np
import plain_forward
import plain_lrp
import pytest
import yaml
from models import json_lines, table
from plain_stateful import as_each_begins

from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.loading.load import load_model

SENTENCES = [
    *("the film is bad", "not bad", "", "the film", "is the film not bad", "bad"),
    *("film film film", "the", "not the film is", "is", "bad bad not the film is not"),
]


@pytest.fixture
def stateful(small):
    """A small model whose states go on to the sequence two later, and its sentences."""
    small.mapping["stateful"] = 2
    small.save()
    small.sentences = small.write("in.txt", "\n".join(SENTENCES) + "\n")
    return small


def by_hand(path, source):
    """The sequences, and the stateless model that each is run by."""
    model = load_model(path, None, np.dtype(np.float64)).model
    sequences = [each.inputs for each in read_sequences(Source(str(source)), model)]
    return list(zip(as_each_begins(model, sequences), sequences, strict=True))


def scores_by_hand(path, source):
    return [
        plain_forward.scores_of(model, plain_forward.embedded(model, sequence))
        for model, sequence in by_hand(path, source)
    ]


def predicted(run, path, source, *options):
    """The scores of all sequences, or of all their steps."""
    result = run("predict", path, source, "--format", "jsonl", *options)
    assert result.exit_code == 0, result.output
    return [line["scores"] for line in json_lines(result.stdout)]


class TestWhatIsComputed:
    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_scores_whatever_the_blocks(self, run, stateful, monkeypatch, command):
        """Blocks and windows are of one sequence or of all: what is carried goes on."""
        expected = scores_by_hand(stateful.path, stateful.sentences)
        for steps in (1, 7, 2**15):
            for name in ("BLOCK_STEPS", "LEAST_BLOCK_STEPS"):
                monkeypatch.setattr(f"lstm_lrp_cli.running.blocks.{name}", steps)
            result = run(command, stateful.path, stateful.sentences, "--format", "jsonl")
            assert result.exit_code == 0, result.output
            found = [line["scores"] for line in json_lines(result.stdout)]
            np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_relevance_and_what_the_states_have_of_it(self, run, stateful):
        options = ("--format", "jsonl", "--target", "1")
        result = run("explain", stateful.path, stateful.sentences, *options)
        carried = 0
        cases = by_hand(stateful.path, stateful.sentences)
        for line, (model, sequence) in zip(json_lines(result.stdout), cases, strict=True):
            plain = plain_lrp.explain(model, sequence, 1, eps=1e-3, bias_factor=0.0)
            np.testing.assert_allclose(line["relevance"], plain.relevance.sum(axis=1), atol=1e-10)
            ledger = line["ledger"]
            assert ledger["initial_state"] == pytest.approx(plain.initial_state, abs=1e-10)
            assert abs(ledger["residual"]) < 1e-10
            carried += abs(ledger["initial_state"]) > 1e-3
        assert carried == len(SENTENCES) - 3  # but two that come first, and one without tokens

    def test_a_table_and_a_pipe_have_the_same(self, run, stateful):
        text = stateful.sentences.read_bytes()
        rows = table(run("predict", stateful.path, "-", input=text).stdout)
        expected = scores_by_hand(stateful.path, stateful.sentences)
        found = [[float(row[f"score:{k}"]) for k in range(3)] for row in rows]
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_an_lstm_that_says_so_begins_anew(self, run, stateful):
        stateful.lstm["returns"] = "sequence"
        second = copy.deepcopy(stateful.lstm) | {"returns": "last", "stateful": False}
        second["forward"] = {"input": "W2", "recurrent": "U2"}
        rng = np.random.default_rng(3)
        stateful.arrays |= {name: rng.standard_normal((8, 2)) for name in ("W2", "U2")}
        stateful.mapping["layers"].insert(2, {"lstm": second})
        stateful.save()
        model = load_model(stateful.path, None, np.dtype(np.float64)).model
        assert [node.layer.stateful for node in model.nodes[:2]] == [True, False]
        expected = scores_by_hand(stateful.path, stateful.sentences)
        found = predicted(run, stateful.path, stateful.sentences)
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_steps_have_scores_of_what_went_before(self, run, stateful):
        stateful.lstm["returns"] = "sequence"
        stateful.save()
        found = [scores for scores in predicted(run, stateful.path, stateful.sentences) if scores]
        expected = np.concatenate(scores_by_hand(stateful.path, stateful.sentences))
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_check_passes_with_those_scores_and_with_no_others(self, run, stateful):
        expected = stateful.folder / "scores.npy"
        np.save(expected, scores_by_hand(stateful.path, stateful.sentences))
        arguments = ("check", stateful.path, stateful.sentences, "--expected", expected)
        assert run(*arguments).exit_code == 0
        for other in (None, 1, 3):
            stateful.mapping["stateful"] = other
            stateful.save()
            assert run(*arguments).exit_code == 1

    def test_one_process_runs_all_in_their_order(self, run, stateful):
        arguments = ("explain", stateful.path, stateful.sentences, "-q")
        alone = run(*arguments, "--jobs", "1")
        several = run(*arguments[:-1], "--jobs", "4")
        assert several.stdout == alone.stdout
        assert (
            "lrp: warning: --jobs 4: a stateful model's sequences begin where others end, so one "
            "process ran all of them, in order" in several.stderr
        )
        assert "--jobs" not in run(*arguments[:-1]).stderr


class TestEvaluate:
    def test_what_is_left_out_passes_its_states_on(self, run, stateful):
        options = ("--min-length", "3", "--target", "0", "--methods", "lrp-all", "--draws", "0")
        result = run("evaluate", stateful.path, stateful.sentences, *options, "--format", "json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        long = [k for k, each in enumerate(SENTENCES) if len(each.split()) >= 3]
        assert found["sequences"] == len(long) < len(SENTENCES)
        expected = np.array(scores_by_hand(stateful.path, stateful.sentences))[long, 0].mean()
        deletion, _ = found["curves"]
        assert deletion["score"]["lrp-all"]["mean"][0] == pytest.approx(expected)


class TestCompare:
    def test_each_side_carries_its_own(self, run, stateful, tmp_path):
        anew = tmp_path / "anew.yaml"
        anew.write_text(yaml.safe_dump({**stateful.mapping, "stateful": None}))
        arguments = ("compare", stateful.path, stateful.path, "--input", stateful.sentences)
        same = run(*arguments, "--tolerance", "1e-12")
        assert same.exit_code == 0, same.output
        result = run(*arguments, "--mapping-b", anew, "--format", "json")
        one, other = (
            np.array(predicted(run, stateful.path, stateful.sentences, *given))
            for given in ((), ("--mapping", anew))
        )
        largest = np.abs(one - other).max()
        assert largest > 0.01
        assert json.loads(result.stdout)["scores"]["largest"] == pytest.approx(largest)


class TestMatch:
    def test_the_mapping_that_is_found_carries_on(self, run, stateful):
        expected = stateful.folder / "scores.npy"
        np.save(expected, scores_by_hand(stateful.path, stateful.sentences))
        stateful.lstm["gate_order"] = ["o", "g", "i", "f"]
        stateful.save()
        written = stateful.folder / "found.yaml"
        arguments = ("match", stateful.path, stateful.sentences, "--expected", expected)
        result = run(*arguments, "--write-mapping", written)
        assert result.exit_code == 0, result.output
        assert yaml.safe_load(written.read_text())["stateful"] == 2
        check = ("check", stateful.path, stateful.sentences, "--expected", expected)
        assert run(*check, "--mapping", written).exit_code == 0
        stateful.mapping["stateful"] = None
        stateful.save()
        assert run(*arguments).exit_code == 1


class TestMapping:
    @pytest.mark.parametrize("value", [True, 0, -3])
    def test_what_is_no_number_of_sequences(self, run, stateful, value):
        stateful.mapping["stateful"] = value
        stateful.save()
        result = run("predict", stateful.path, stateful.sentences)
        assert result.exit_code == 3
        assert f"stateful: found {str(value).lower()}; expected in the mapping" in result.stderr

    @pytest.mark.parametrize("value", [None, False])
    def test_each_sequence_begins_anew(self, stateful, value):
        stateful.mapping["stateful"] = value
        stateful.save()
        assert load_model(stateful.path, None, np.dtype(np.float64)).model.stateful is None

    @pytest.mark.parametrize(
        ("batch", "own", "problem"),
        [
            (2, False, "stateful: every lstm says `stateful: false`"),
            (None, True, "layers[1].lstm.stateful: found true, and the mapping does not say"),
        ],
    )
    def test_what_contradicts_itself(self, run, stateful, batch, own, problem):
        stateful.mapping["stateful"] = batch
        stateful.lstm["stateful"] = own
        stateful.save()
        result = run("predict", stateful.path, stateful.sentences)
        assert result.exit_code == 3
        assert problem in result.stderr

    def test_inspect_says_and_writes_it(self, run, stateful):
        shown = run("inspect", stateful.path).stdout
        assert "a sequence begins where the one 2 before it ended" in shown
        assert (
            "stateful"
            in json.loads(run("inspect", stateful.path, "--format", "json").stdout)["layers"][1][
                "what"
            ]
        )
        assert json.loads(run("inspect", stateful.path, "--format", "json").stdout)["stateful"] == 2
        written = stateful.folder / "written.yaml"
        run("inspect", stateful.path, "--write-mapping", written)
        assert yaml.safe_load(written.read_text())["stateful"] == 2

    @pytest.mark.parametrize("ending", ["npz", "safetensors"])
    def test_what_is_converted_carries_on(self, run, stateful, ending):
        stateful.lstm["returns"] = "sequence"
        stateful.mapping["layers"].insert(
            2, {"lstm": {**copy.deepcopy(stateful.lstm), "stateful": False}}
        )
        stateful.arrays["E"] = stateful.arrays["E"][:, :2]
        stateful.arrays["W"] = stateful.arrays["W"][:, :2]
        stateful.mapping["layers"].insert(3, {"pool": "mean"})
        stateful.save()
        out = stateful.folder / f"plain.{ending}"
        assert run("convert", stateful.path, out).exit_code == 0
        before, after = (predicted(run, path, stateful.sentences) for path in (stateful.path, out))
        assert after == before
        assert load_model(out, None, np.dtype(np.float64)).model.stateful == 2


def keras_file(path, batch=2, **lstm):
    """A `.keras` file of a stateful LSTM over two features, and a Dense head."""
    settings = {
        "use_bias": True,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "return_sequences": False,
        "stateful": True,
        "name": "reader",
    }
    layers = [
        ("InputLayer", {"name": "x", "batch_shape": [batch, 4, 2]}),
        ("LSTM", settings | lstm),
        ("Dense", {"name": "out", "use_bias": True, "activation": "softmax"}),
    ]
    config = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": kind, "config": each} for kind, each in layers]},
    }
    rng = np.random.default_rng(1)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, shape in {
            "lstm/cell/vars/0": (2, 12),
            "lstm/cell/vars/1": (3, 12),
            "lstm/cell/vars/2": (12,),
            "dense/vars/0": (3, 2),
            "dense/vars/1": (2,),
        }.items():
            file[f"layers/{name}"] = rng.normal(size=shape).astype(np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


@pytest.fixture
def keras(tmp_path):
    return keras_file(tmp_path / "model.keras")


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(5).normal(size=(6, 4, 2)))
    return path


COMMANDS = ["explain", "predict", "check", "evaluate", "compare", "match", "inspect", "convert"]
TOLD = (
    "lrp: warning: model.keras does not say, and it is assumed: the input comes as its stateful "
    "LSTMs had it, in batches of 2: sequence n begins in the states in which sequence n - 2 ended, "
    "from the first on; settled by `stateful: 2`, or `stateful: null` where each sequence begins "
    "anew (stateful)"
)


class TestKeras:
    @pytest.fixture
    def told(self, run, keras, series, tmp_path):
        """What a command tells on standard error."""

        def told(command, mapping=None):
            given = ["--mapping", mapping] if mapping else []
            scores = tmp_path / "scores.npy"
            np.save(scores, predicted(run, keras, series, *given))
            arguments = {
                "evaluate": (keras, series, "--min-length", 1, "--draws", 0),
                "compare": (keras, "--input", series, "--methods", "lrp-all,occlusion"),
                "match": (keras, series, "--expected", scores),
                "inspect": (keras, "--format", "json"),  # else it stands among the tables
                "convert": (keras, tmp_path / "plain.npz"),
            }.get(command, (keras, series))
            result = run(command, *arguments, *given)
            assert result.exit_code == 0, result.output
            return result.stderr

        return told

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_tells_of_it_until_the_mapping_settles_it(self, told, tmp_path, command):
        assert TOLD in told(command).splitlines()
        settled = tmp_path / "settled.yaml"
        # A search takes seconds, and finds what is settled as every command does.
        for value in ("2", "null") if command != "match" else ("2",):
            settled.write_text(f"stateful: {value}\n")
            assert "stateful" not in told(command, settled)

    def test_the_report_has_it(self, run, keras, series, tmp_path):
        report = tmp_path / "report.json"
        run("explain", keras, series, "--report", report)
        [assumed] = json.loads(report.read_text())["assumptions"]
        assert TOLD.endswith(assumed)

    def test_the_states_go_on_as_the_file_says(self, run, keras, series):
        expected = scores_by_hand(keras, series)
        np.testing.assert_allclose(predicted(run, keras, series), expected, rtol=1e-10)

    def test_a_written_mapping_settles_it_either_way(self, run, keras, series, tmp_path):
        for value in (2, None):
            given = tmp_path / "given.yaml"
            given.write_text(yaml.safe_dump({"stateful": value}))
            written = tmp_path / "written.yaml"
            run("inspect", keras, "--mapping", given, "--write-mapping", written)
            found = yaml.safe_load(written.read_text())
            assert found["stateful"] == value
            one, other = (
                run("predict", keras, series, "--mapping", path) for path in (given, written)
            )
            assert one.stdout == other.stdout
            assert "assumed" not in other.stderr

    def test_a_file_that_does_not_say_the_batch_is_asked_about(self, run, series, tmp_path):
        path = keras_file(tmp_path / "open.keras", batch=None)
        result = run("explain", path, series)
        assert result.exit_code == 3
        assert (
            f"lrp: {path}: stateful: found true; expected in the mapping `stateful: N`, N the "
            "sequences that a batch had, or `stateful: null` where each sequence begins anew"
            in result.stderr
        )
        (tmp_path / "open.yaml").write_text("stateful: 3\n")
        assert run("explain", path, series).exit_code == 0
