"""`lrp explain`: what a user gets."""

import json
import re
from itertools import groupby

import h5py
import numpy as np
import pytest
from models import GOLDEN, KERAS, PYTORCH, WEATHER, golden, json_lines, table

SHARES = ["tokens", "initial_state", "biases", "stabilizers", "padding"]
LEDGER = ["score", *SHARES, "residual", "stabilizers_size"]


@pytest.fixture
def sentences(small):
    return small.write("sentences.txt", "the film is not bad\nbad film\n")


class TestGoldenNumbers:
    """Numbers of an independent implementation, through the command line."""

    MAPPING = """
    format: 1
    layers:
      - embedding: {weights: E}
      - lstm:
          gate_order: [i, g, f, o]
          layout: gates_by_features
          forward:  {input: Wxh_Left,  recurrent: Whh_Left,  bias: [bxh_Left, bhh_Left]}
          backward: {input: Wxh_Right, recurrent: Whh_Right, bias: [bxh_Right, bhh_Right]}
          merge: concat
          returns: last
      - dense: {weights: [Why_Left, Why_Right], layout: classes_by_features, bias: null}
    """

    @pytest.mark.parametrize("bias_factor", [0, 1])
    @pytest.mark.parametrize("eps", [0.001, 0.01])
    @pytest.mark.parametrize("name", ["small", "medium", "saturated"])
    def test_are_matched(self, run, tmp_path, name, eps, bias_factor):
        numbers = golden(name)
        count = sum(key.endswith("/ids") for key in numbers)
        ids = [numbers[f"seq{j}/ids"] for j in range(count)]
        (tmp_path / "ids.txt").write_text("".join(" ".join(map(str, i)) + "\n" for i in ids))
        (tmp_path / "golden.yaml").write_text(self.MAPPING)
        result = run(
            *("explain", GOLDEN / f"{name}.npz", tmp_path / "ids.txt", "--ids"),
            *("--mapping", tmp_path / "golden.yaml", "--format", "jsonl", "--target", "all"),
            *("--by", "dimension", "--eps", eps, "--bias-factor", bias_factor),
        )
        assert result.exit_code == 0, result.stderr
        explained = json_lines(result.stdout)
        assert len(explained) == count * len(numbers["seq0/scores"])
        for found in explained:
            sequence = f"seq{found['sequence']}"
            case = f"{sequence}/class{found['target']}/eps{eps}/bias_factor{bias_factor}"
            wanted = {
                "scores": numbers[f"{sequence}/scores"],
                "relevance": numbers[f"{case}/Rx"] + numbers[f"{case}/Rx_rev"],
            }
            for key, expected in wanted.items():
                np.testing.assert_allclose(found[key], expected, rtol=1e-10, atol=1e-12)
            rest = found["ledger"]["initial_state"]
            np.testing.assert_allclose(rest, numbers[f"{case}/R_rest"], rtol=1e-10, atol=1e-12)


class TestTable:
    def test_has_a_row_for_every_token(self, run, small, sentences):
        result = run("explain", small.save(), sentences)
        assert result.exit_code == 0
        rows = table(result.stdout)
        assert list(rows[0]) == ["sequence", "position", "token", "target", "score", "relevance"]
        assert [(r["sequence"], r["position"], r["token"]) for r in rows] == [
            *(("0", str(k), token) for k, token in enumerate(["the", "film", "is", "not", "bad"])),
            *(("1", str(k), token) for k, token in enumerate(["bad", "film"])),
        ]

    def test_csv_has_the_same_rows(self, run, small, sentences):
        tsv = run("explain", small.save(), sentences)
        csv_ = run("explain", small.path, sentences, "--format", "csv")
        assert table(tsv.stdout) == table(csv_.stdout, delimiter=",")

    @pytest.mark.parametrize("form", ["tsv", "csv"])
    def test_reads_back_whole_whatever_the_tokens(self, run, small, form):
        tokens = ["the", "film", 'say "hi"', "a\tb\nc", '"']
        small.mapping["vocabulary"] = "vocab.json"
        small.write("vocab.json", json.dumps(tokens))
        lines = small.write("in.jsonl", json.dumps({"tokens": tokens}) + "\n")
        result = run("explain", small.save(), lines, "--format", form)
        rows = table(result.stdout, {"tsv": "\t", "csv": ","}[form])
        assert [row["token"] for row in rows] == tokens

    def test_target_is_a_label_where_there_are_labels(self, run, small, sentences):
        assert {r["target"] for r in table(run("explain", small.save(), sentences).stdout)} <= {
            *"012"
        }
        small.mapping["labels"] = ["poor", "fair", "good"]
        rows = table(run("explain", small.save(), sentences, "--target", "2").stdout)
        assert {row["target"] for row in rows} == {"good"}

    def test_by_dimension_adds_up_to_the_token(self, run, small, sentences):
        rows = table(run("explain", small.save(), sentences, "--by", "dimension").stdout)
        assert len(rows) == 7 * 3
        whole = table(run("explain", small.path, sentences).stdout)
        for k, row in enumerate(whole):
            parts = [float(part["relevance"]) for part in rows[3 * k : 3 * k + 3]]
            assert sum(parts) == pytest.approx(float(row["relevance"]), rel=1e-12)


class TestJsonLines:
    def test_have_the_documented_keys(self, run, small, sentences):
        first = json_lines(run("explain", small.save(), sentences, "--format", "jsonl").stdout)[0]
        assert list(first) == [
            *("sequence", "id", "tokens", "scores", "predicted", "target", "relevance", "ledger")
        ]
        assert list(first["ledger"]) == LEDGER
        assert first["predicted"] == first["target"] == int(np.argmax(first["scores"]))
        assert len(first["relevance"]) == len(first["tokens"]) == 5

    def test_ledger_accounts_for_the_score(self, run, small, sentences):
        for found in json_lines(
            run("explain", small.save(), sentences, "-q", "--format", "jsonl").stdout
        ):
            ledger = found["ledger"]
            assert ledger["score"] == found["scores"][found["target"]]
            assert ledger["tokens"] == pytest.approx(sum(found["relevance"]), rel=1e-12)
            shares = [ledger[key] for key in SHARES]
            assert ledger["score"] - sum(shares) == pytest.approx(0, abs=1e-13)

    @pytest.mark.parametrize("unknown", ["not", 4, None], ids=["token", "id", "skipped"])
    def test_tell_unknown_tokens_where_there_are_any(self, run, small, unknown):
        """A word of the vocabulary is known, be it the one that stands for unknown ones."""
        small.mapping["tokens"] = {"unknown": unknown} if unknown is not None else {"skip": True}
        lines = small.write("in.txt", "the plot not bad twist\nthe film\n\nplot\n")
        path = small.folder / "report.json"
        options = ("--format", "jsonl", "--report", path)
        found = json_lines(run("explain", small.save(), lines, *options).stdout)
        assert [line.get("unknown") for line in found] == [[1, 4], None, None, [0]]
        assert list(found[0])[2:4] == ["tokens", "unknown"]
        assert json.loads(path.read_text())["unknown_tokens"] == 3

    def test_ids_stand_as_numbers_or_as_text(self, run, small):
        forms = '{"tokens": [1, 4]}\n{"text": "1 4"}\n{"tokens": ["1", "4"]}\n'
        lines = small.write("in.jsonl", forms)
        result = run("explain", small.save(), lines, "--ids", "--format", "jsonl")
        found = [line["tokens"] for line in json_lines(result.stdout)]
        assert found == [["film", "bad"]] * 3


class TestTargets:
    def test_all_explains_every_class(self, run, small, sentences):
        rows = run("explain", small.save(), sentences, "--target", "all", "--format", "jsonl")
        found = json_lines(rows.stdout)
        assert [(f["sequence"], f["target"]) for f in found] == [
            (s, t) for s in (0, 1) for t in (0, 1, 2)
        ]

    def test_gold_explains_the_true_class(self, run, small):
        labelled = small.write("in.txt", "2\tthe film\n0\tbad film\n")
        small.mapping["labels"] = ["poor", "fair", "good"]
        arguments = ("explain", small.save(), labelled, "--labelled", "--target", "gold")
        result = run(*arguments, "--format", "jsonl")
        assert [f["target"] for f in json_lines(result.stdout)] == ["good", "poor"]

    def test_labels_are_numbers_only_as_yaml_1_2_has_them(self, run, small, sentences):
        small.save()
        mapping = small.path.with_suffix(".yaml")
        mapping.write_text(mapping.read_text() + "labels: [10:30, 010, no]\n")
        result = run("explain", small.path, sentences, "--target", "all", "--format", "jsonl")
        assert [f["target"] for f in json_lines(result.stdout)][:3] == ["10:30", "010", "no"]

    def test_a_label_wins_over_a_number(self, run, small, sentences):
        small.mapping["labels"] = [1, 2, 0]
        rows = table(run("explain", small.save(), sentences, "--target", "1").stdout)
        scores = json_lines(run("explain", small.path, sentences, "--format", "jsonl").stdout)
        assert float(rows[0]["score"]) == scores[0]["scores"][0]

    @pytest.mark.parametrize("target", ["3", "-1", "good"])
    def test_that_do_not_exist_are_wrong_usage(self, run, small, sentences, target):
        result = run("explain", small.save(), sentences, "--target", target)
        assert result.exit_code == 2
        assert "there is no class" in result.stderr
        assert ("without names" in result.stderr) == (target == "good")

    def test_gold_needs_labels(self, run, small, sentences):
        result = run("explain", small.save(), sentences, "--target", "gold")
        assert result.exit_code == 2
        assert "--labelled" in result.stderr


class TestReport:
    def test_goes_to_standard_error(self, run):
        result = run("explain", PYTORCH.model, PYTORCH.sequences)
        assert "100 sequences, 1,898 tokens (250 unknown)" in result.stderr
        assert "conserved       yes" in result.stderr

    def test_as_json(self, run, tmp_path):
        path = tmp_path / "report.json"
        labelled = KERAS.sequences.with_name("labelled.txt")
        result = run("explain", KERAS.model, labelled, "--labelled", "--report", path)
        assert result.stderr == ""
        report = json.loads(path.read_text())
        assert report["sequences"] == report["labelled"] == 100
        assert report["right"] > 70
        assert sum(report["predicted"].values()) == 100
        assert list(report["ledger"]) == LEDGER
        assert report["worst_residual"]["conserved"] is True
        assert 0 <= report["worst_residual"]["relative"] < 1e-10

    def test_as_text_in_a_file(self, run, tmp_path):
        path = tmp_path / "report.txt"
        run("explain", KERAS.model, KERAS.sequences, "--report", path)
        assert "stabilizers" in path.read_text()

    def test_totals_are_the_sums_of_all_ledgers(self, run, small, sentences):
        path = small.folder / "report.json"
        result = run("explain", small.save(), sentences, "--format", "jsonl", "--report", path)
        ledgers = [line["ledger"] for line in json_lines(result.stdout)]
        totals = json.loads(path.read_text())["ledger"]
        for key in ("score", *SHARES, "stabilizers_size"):
            assert totals[key] == pytest.approx(sum(ledger[key] for ledger in ledgers))

    def test_counts_unknown_tokens(self, run, small):
        small.vocabulary = "<unk>\nfilm\nis\nnot\nbad\n"
        sentences = small.write("in.txt", "the film is good\nbad\n")
        assert "5 tokens (2 unknown)" in run("explain", small.save(), sentences).stderr

    def test_says_when_relevance_is_not_conserved(self, run, small, sentences, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.engine.records.Ledger.residual", 0.5)
        result = run("explain", small.save(), sentences)
        assert "conserved       NO" in result.stderr
        assert "warning: relevance is not conserved" in result.stderr


class TestEmptyLines:
    def test_are_kept_so_that_line_numbers_stay_true(self, run, small):
        sentences = small.write("in.txt", "the film\n\nbad\n")
        result = run("explain", small.save(), sentences, "--format", "jsonl")
        found = json_lines(result.stdout)
        assert [f["tokens"] for f in found] == [["the", "film"], [], ["bad"]]
        assert found[1]["relevance"] == []
        np.testing.assert_allclose(found[1]["scores"], small.arrays["c"])
        assert "warning: 1 empty sequence (counted from 0: 1)" in result.stderr

    def test_have_no_rows(self, run, small):
        sentences = small.write("in.txt", "\nbad\n")
        assert [r["sequence"] for r in table(run("explain", small.save(), sentences).stdout)] == [
            "1"
        ]


class TestTokens:
    """The mapping's `tokens` say how text is cut."""

    @pytest.mark.parametrize(
        ("tokens", "text", "cut"),
        [
            ({}, "the  film\tbad", ["the", "film", "bad"]),
            ({"lowercase": True}, "The FILM", ["the", "film"]),
            ({"remove": "[^a-z ]"}, "the film, bad!", ["the", "film", "bad"]),
            ({"lowercase": True, "remove": "[^a-z ]"}, "The film?", ["the", "film"]),
        ],
    )
    def test_cut(self, run, small, tokens, text, cut):
        small.mapping["tokens"] = tokens
        result = run("explain", small.save(), small.write("in.txt", f"{text}\n"))
        assert [row["token"] for row in table(result.stdout)] == cut

    def test_may_be_characters(self, run, small):
        small.vocabulary = "a\nb\n \nc\nd\n"
        small.mapping["tokens"] = {"split": "characters"}
        result = run("explain", small.save(), small.write("in.txt", "ab d\n"))
        assert [row["token"] for row in table(result.stdout)] == ["a", "b", " ", "d"]

    @pytest.mark.parametrize("unknown", ["bad", 4])
    def test_unknown_is_a_token_or_an_id(self, run, small, unknown):
        small.mapping["tokens"] = {"unknown": unknown}
        small.save()
        known = run("explain", small.path, small.write("a.txt", "the bad film\n"), "-q")
        other = run("explain", small.path, small.write("b.txt", "the dog film\n"), "-q")
        for a, b in zip(table(known.stdout), table(other.stdout), strict=True):
            assert a["relevance"] == b["relevance"]
        assert [row["token"] for row in table(other.stdout)] == ["the", "dog", "film"]


class TestSeries:
    def test_have_a_row_for_every_feature_of_every_step(self, run):
        rows = table(run("explain", WEATHER.model, WEATHER.sequences).stdout)
        assert list(rows[0]) == [
            *("sequence", "position", "feature", "value", "target", "score", "relevance")
        ]
        source = table(WEATHER.sequences.read_text(), ",")
        assert len(rows) == 4 * len(source)
        assert [float(row["value"]) for row in rows[:4]] == [
            float(source[0][row["feature"]]) for row in rows[:4]
        ]
        assert {row["target"] for row in rows} == {"rain"}

    def test_by_step_sums_over_features(self, run):
        steps = table(run("explain", WEATHER.model, WEATHER.sequences, "--by", "step").stdout)
        assert list(steps[0]) == ["sequence", "position", "target", "score", "relevance"]
        features = table(run("explain", WEATHER.model, WEATHER.sequences).stdout)
        for k, row in enumerate(steps):
            parts = [float(part["relevance"]) for part in features[4 * k : 4 * k + 4]]
            assert float(row["relevance"]) == pytest.approx(sum(parts), rel=1e-12, abs=1e-15)

    def test_json_lines_name_the_features(self, run):
        arguments = ("explain", WEATHER.model, WEATHER.sequences, "--format", "jsonl")
        first = json_lines(run(*arguments).stdout)[0]
        assert first["features"] == ["precipitation", "temp_max", "temp_min", "wind"]
        assert np.shape(first["relevance"]) == np.shape(first["values"])
        by_step = json_lines(run(*arguments, "--by", "step").stdout)[0]
        np.testing.assert_allclose(by_step["relevance"], np.sum(first["relevance"], axis=1))

    @pytest.mark.parametrize("by", ["token", "dimension"])
    def test_have_no_tokens(self, run, by):
        result = run("explain", WEATHER.model, WEATHER.sequences, "--by", by)
        assert result.exit_code == 2
        assert "feature or step" in result.stderr

    @pytest.fixture
    def arrays(self, small):
        small.mapping = {"layers": [{"lstm": small.lstm}, {"dense": small.dense}]}
        small.save()
        return np.random.default_rng(1).standard_normal((3, 4, 3))

    def test_in_every_file_format_are_the_same(self, run, small, arrays):
        folder = small.folder
        np.save(folder / "x.npy", arrays)
        np.savez(folder / "x.npz", x=arrays)
        np.savez(folder / "each.npz", s10=arrays[2], s2=arrays[1], s1=arrays[0])
        with h5py.File(folder / "x.h5", "w") as file:
            file["x"] = arrays
        with h5py.File(folder / "each.hdf5", "w") as file:
            file["deep/a"], file["deep/b"], file["deep/c"] = arrays
        rows = [
            f"{s},{t},{','.join(map(repr, arrays[s, t].tolist()))}\n"
            for s in range(3)
            for t in range(4)
        ]
        small.write("x.csv", "sequence,step,feature_0,feature_1,feature_2\n" + "".join(rows))
        small.write("x.jsonl", "".join(json.dumps({"values": x}) + "\n" for x in arrays.tolist()))
        files = ["x.npy", "x.npz", "each.npz", "x.h5", "each.hdf5", "x.csv", "x.jsonl"]
        outputs = [run("explain", small.path, folder / name) for name in files]
        assert [output.exit_code for output in outputs] == [0] * 7
        assert len({output.stdout for output in outputs}) == 1
        piped = [run("explain", small.path, "-", input=(folder / n).read_bytes()) for n in files]
        assert {output.stdout for output in piped} == {outputs[0].stdout}

    def test_have_labels_where_they_are_named(self, run):
        result = run("explain", WEATHER.model, WEATHER.sequences, "--labelled", "--target", "gold")
        assert result.exit_code == 3
        assert "has no labels of its own; name a column: --label COLUMN" in result.stderr

    def test_in_csv_keep_their_names(self, run, small, arrays):
        rows = "".join(f"{name},0,1,2,3\n" for name in ("7", "007", "a b"))
        series = small.write("x.csv", "sequence,step,x,y,z\n" + rows)
        found = json_lines(run("explain", small.path, series, "--format", "jsonl").stdout)
        assert [line["id"] for line in found] == [7, "007", "a b"]

    def test_of_one_array_are_one_sequence(self, run, small, arrays):
        np.save(small.folder / "one.npy", arrays[0])
        rows = table(run("explain", small.path, small.folder / "one.npy").stdout)
        assert {row["sequence"] for row in rows} == {"0"}
        assert len(rows) == 12


class TestPadding:
    """Where a model was trained on padded input, it is run on padded input."""

    @pytest.fixture
    def padded(self, small):
        small.mapping["padding"] = {"side": "pre", "length": 6, "value": 0}
        return small

    @pytest.mark.parametrize("side", ["pre", "post"])
    def test_gives_the_scores_of_padded_sequences(self, run, small, side):
        filling = ["0"] * 3
        ids = ["1", "4", "2"]
        whole = filling + ids if side == "pre" else ids + filling
        explicit = small.write("padded.txt", " ".join(whole) + "\n")
        short = small.write("short.txt", " ".join(ids) + "\n")
        arguments = ("--ids", "--format", "jsonl", "-q")
        plain = json_lines(run("explain", small.save(), explicit, *arguments).stdout)[0]
        small.mapping["padding"] = {"side": side, "length": 6, "value": 0}
        found = json_lines(run("explain", small.save(), short, *arguments).stdout)[0]
        assert found["scores"] == plain["scores"]
        kept = slice(3, None) if side == "pre" else slice(None, 3)
        np.testing.assert_allclose(found["relevance"], plain["relevance"][kept], rtol=1e-12)
        ledger = found["ledger"]
        assert ledger["padding"] == pytest.approx(
            sum(plain["relevance"]) - sum(plain["relevance"][kept])
        )
        assert ledger["padding"] != 0
        assert abs(ledger["residual"]) < 1e-12

    def test_longer_sequences_are_run_whole_with_a_warning(self, run, padded):
        sentences = padded.write("in.txt", "the film is not bad\n" + "bad " * 9 + "\n")
        result = run("explain", padded.save(), sentences, "--format", "jsonl")
        assert len(json_lines(result.stdout)[1]["relevance"]) == 9
        assert "warning: 1 of the sequences exceed the 6 steps" in result.stderr
        assert "padded          1 sequence, pre, to 6 steps" in result.stderr


def test_missing_mapping_keys_are_left_to_the_file(run, tmp_path):
    """A mapping with nothing but labels changes nothing but the labels."""
    mapping = tmp_path / "labels.yaml"
    mapping.write_text("labels: [bad, good]\n")
    ids = tmp_path / "ids.txt"
    ids.write_text("4 5 6\n")
    arguments = ("--ids", "--target", "1", "-q", "--mapping", mapping)
    result = run("explain", KERAS.model, ids, *arguments)
    assert {row["target"] for row in table(result.stdout)} == {"good"}


@pytest.mark.parametrize("option", [("--eps", "-1"), ("--eps", "nan"), ("--bias-factor", "1.5")])
def test_constants_outside_their_range_are_wrong_usage(run, small, sentences, option):
    assert run("explain", small.save(), sentences, *option).exit_code == 2


class TestTop:
    @pytest.mark.parametrize("form", ["tsv", "csv"])
    @pytest.mark.parametrize(
        ("sample", "by"),
        [(KERAS, "token"), (KERAS, "dimension"), (WEATHER, "feature"), (WEATHER, "step")],
    )
    def test_keeps_the_strongest_rows_of_each_sequence(self, run, sample, by, form):
        arguments = ("explain", sample.model, sample.sequences, "--by", by, "--format", form)
        header, *whole = run(*arguments).stdout.splitlines()
        expected = []
        for _, rows in groupby(whole, key=lambda row: re.split("[\t,]", row)[0]):
            expected += sorted(rows, key=lambda row: -abs(float(re.split("[\t,]", row)[-1])))[:3]
        assert run(*arguments, "--top", 3).stdout.splitlines() == [header, *expected]

    def test_leaves_scores_and_report_as_they_are(self, run):
        arguments = ("explain", KERAS.model, KERAS.sequences)
        assert run(*arguments, "--top", 1).stderr == run(*arguments).stderr

    def test_json_lines_have_a_place_for_every_relevance(self, run):
        result = run("explain", KERAS.model, KERAS.sequences, "--format", "jsonl", "--top", 3)
        assert result.exit_code == 2
        assert "--top: jsonl has a place for every relevance" in result.stderr

    def test_is_at_least_one(self, run):
        assert run("explain", KERAS.model, KERAS.sequences, "--top", 0).exit_code == 2
