"""PyTorch's own files are read without PyTorch, and nothing in them is executed."""

import argparse
import collections
import datetime
import enum
import fractions
import functools
import json
import math
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import yaml
from torch_files import cell, matrix, save, save_safetensors, weights

from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.loading.pickles.reader import read_pickle
from lstm_lrp_cli.loading.torch.drafts.drafting import in_order
from lstm_lrp_cli.loading.torch.drafts.finding import find_modules

VOCABULARY = ["<unk>", "the", "film", "is", "bad"]
SENTENCE = "the film is bad\n"


def hostile(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    return path


@pytest.fixture
def sentence(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    path = tmp_path / "sentence.txt"
    path.write_text(SENTENCE)
    return path


@pytest.fixture
def explained(run, sentence, tmp_path):
    """The rows of an explanation by way of a file, the vocabulary given by a mapping."""

    def explain(model, *options):
        mapping = tmp_path / "vocabulary.yaml"
        mapping.write_text("vocabulary: vocab.txt\n")
        result = run("explain", model, sentence, "--mapping", mapping, "--format", "tsv", *options)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return explain


@pytest.fixture
def refusal(run, sentence):
    def explain(model):
        result = run("explain", model, sentence, "--ids")
        assert result.exit_code == 3
        assert "Traceback" not in result.output
        return result.stderr

    return explain


def by_mapping(folder, state, suffixes=("",), depth=1):
    """The same model by an .npz and a mapping written out by hand."""
    directions = dict(zip(("forward", "backward"), suffixes, strict=False))
    layers = [{"embedding": {"weights": "embedding.weight"}}]
    for k in range(depth):
        lstm = {"gate_order": ["i", "f", "g", "o"], "layout": "gates_by_features"}
        lstm["returns"] = "last" if k == depth - 1 else "sequence"
        for direction, suffix in directions.items():
            lstm[direction] = {
                "input": f"lstm.weight_ih_l{k}{suffix}",
                "recurrent": f"lstm.weight_hh_l{k}{suffix}",
                "bias": [f"lstm.bias_ih_l{k}{suffix}", f"lstm.bias_hh_l{k}{suffix}"],
            }
        layers.append({"lstm": lstm})
    head = {"weights": "fc.weight", "layout": "classes_by_features", "bias": "fc.bias"}
    layers.append({"dense": head})
    mapping = folder / "by_hand.yaml"
    mapping.write_text(json.dumps({"format": 1, "vocabulary": "vocab.txt", "layers": layers}))
    np.savez(folder / "by_hand.npz", **state)
    return folder / "by_hand.npz"


SHAPES = {
    "forward": (("",), 1),
    "bidirectional": (("", "_reverse"), 1),
    "stacked": (("",), 3),
    "stacked and bidirectional": (("", "_reverse"), 2),
}


class TestInference:
    @pytest.mark.parametrize("names", ["lstm_", "model.lstm_"])
    def test_names_of_the_users_own(self, explained, tmp_path, names):
        """As of a class that keeps the weights of its LSTM as parameters of its own."""
        usual = explained(save(tmp_path / "usual.pt", weights()))
        own = {name.replace("lstm.", names): array for name, array in weights().items()}
        assert explained(save(tmp_path / "own.pt", own)) == usual

    @pytest.mark.parametrize(("suffixes", "depth"), SHAPES.values(), ids=SHAPES)
    @pytest.mark.parametrize("form", ["pt", "safetensors"])
    def test_is_what_a_mapping_by_hand_says(
        self, explained, run, sentence, tmp_path, suffixes, depth, form
    ):
        state = weights(suffixes=suffixes, depth=depth)
        model = (save if form == "pt" else save_safetensors)(tmp_path / f"model.{form}", state)
        expected = run("explain", by_mapping(tmp_path, state, suffixes, depth), sentence)
        assert expected.exit_code == 0, expected.stderr
        assert explained(model, "--assume") == expected.stdout

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda state: {"epoch": 3, "model_state_dict": state},
            lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
            lambda state: OrderedDict(model=OrderedDict(state), optimizer={"lr": 0.1}),
        ],
        ids=["model_state_dict", "module. prefix", "OrderedDict"],
    )
    def test_finds_the_state_dict_in_a_checkpoint(self, explained, tmp_path, wrap):
        state = weights()
        plain = explained(save(tmp_path / "plain.pt", state))
        assert explained(save(tmp_path / "nested.pth", state, wrap)) == plain

    def test_finds_vocabulary_and_labels_in_a_checkpoint(self, run, sentence, tmp_path):
        path = save(
            tmp_path / "model.pt",
            weights(),
            lambda state: {
                "state_dict": state,
                "vocab": {token: k for k, token in enumerate(VOCABULARY)},
                "label_encoder": {0: "bad", 1: "so-so", 2: "good"},
            },
        )
        result = run("explain", path, sentence, "--format", "jsonl", "--target", "good")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["target"] == "good"
        facts = json.loads(run("inspect", path, "--format", "json").stdout)
        assert facts["labels"] == ["bad", "so-so", "good"]
        assert facts["vocabulary"]["unknown_token"] == "<unk>"
        assert facts["origins"]["layers"] == "names and shapes in model.pt"

    def test_asks_once_where_the_head_is_open_and_its_answer_loads(
        self, refusal, run, sentence, tmp_path
    ):
        state = weights() | {
            "out.weight": np.ones((2, 3), dtype=np.float32),
            "out.bias": np.zeros(2, dtype=np.float32),
        }
        path = save(tmp_path / "model.pt", state)
        first, *paste = refusal(path).splitlines()
        assert "there are 2 linear layers (fc.weight, out.weight)" in first
        assert "save it as model.yaml" in first
        (tmp_path / "model.yaml").write_text("vocabulary: vocab.txt\n" + "\n".join(paste))
        result = run("explain", path, sentence)
        assert result.exit_code == 0, result.stderr

    @pytest.mark.parametrize("affine", [True, False])
    def test_puts_batch_normalization_into_the_mapping_that_it_asks_for(
        self, refusal, run, sentence, tmp_path, affine
    ):
        norm = {"norm.running_mean": [0.5, -1], "norm.running_var": [2, 0.25]}
        if affine:
            norm |= {"norm.weight": [3, -1], "norm.bias": [0.1, 0.2]}
        norm = {name: np.array(values, dtype=np.float32) for name, values in norm.items()}
        state = weights()
        head = {name: state.pop(name) for name in ("fc.weight", "fc.bias")}
        path = save(tmp_path / "model.pt", state | norm | head)
        first, *paste = refusal(path).splitlines()
        assert "nothing says where batch normalization (norm.) stands" in first
        (tmp_path / "model.yaml").write_text("vocabulary: vocab.txt\n" + "\n".join(paste))
        found = run("explain", path, sentence, "--format", "jsonl")
        assert found.exit_code == 0, found.stderr
        # The same by a linear layer that the normalization is folded into.
        scale = norm.get("norm.weight", 1) / np.sqrt(norm["norm.running_var"] + 1e-5)
        offset = norm.get("norm.bias", 0) - scale * norm["norm.running_mean"]
        folded = state | {
            "fc.weight": (head["fc.weight"] * scale).astype(np.float32),
            "fc.bias": (head["fc.bias"] + head["fc.weight"] @ offset).astype(np.float32),
        }
        other = run("explain", by_mapping(tmp_path, folded), sentence, "--format", "jsonl")
        scores = [json.loads(each.stdout)["scores"] for each in (found, other)]
        np.testing.assert_allclose(*scores, rtol=1e-5)

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_file_sorted_by_name_has_the_same_layers(self, run, sentence, tmp_path, bias):
        """safetensors sorts; the head comes before the LSTM then, and would fit there too."""
        state = weights(hidden=3)
        state["fc.weight"] = state["fc.weight"][:, :3]
        if not bias:
            del state["fc.bias"]
        plain = save(tmp_path / "plain.pt", state)
        by_name = save_safetensors(tmp_path / "sorted.safetensors", dict(sorted(state.items())))
        (tmp_path / "ids.txt").write_text("1 2 3 4\n")
        found = [run("predict", path, tmp_path / "ids.txt", "--ids") for path in (plain, by_name)]
        assert found[0].exit_code == found[1].exit_code == 0, found[1].stderr
        assert found[0].stdout == found[1].stdout

    def test_a_head_that_a_script_makes_first_stands_last_where_it_fits_there_alone(
        self, run, tmp_path
    ):
        state = weights()
        head = {name: state.pop(name) for name in ("fc.weight", "fc.bias")}
        del state["embedding.weight"]
        path = save(tmp_path / "model.pt", head | state | {"emb.weight": matrix(5, 3)})
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0, result.stderr
        kinds = [layer["kind"] for layer in json.loads(result.stdout)["layers"]]
        assert kinds == ["embedding", "lstm", "dense"]

    @pytest.mark.parametrize("name", ["lstm.weight_ih_l0_reverse", "lstm.weight_ih_l1"])
    def test_an_lstm_without_its_first_weights_is_none(self, refusal, tmp_path, name):
        state = {
            part.replace("_l0", name.removeprefix("lstm.weight_ih")): array
            for part, array in weights().items()
        }
        error = refusal(save(tmp_path / "model.pt", state))
        assert "the file does not say its architecture" in error

    def test_matrices_of_no_cell_are_no_lstm(self, refusal, tmp_path):
        state = weights()
        state["lstm.weight_hh_l0"] = np.ones((6, 2), dtype=np.float32)
        error = refusal(save(tmp_path / "model.pt", state))
        assert "the file does not say its architecture" in error

    def test_a_projection_that_does_not_fit(self, refusal, tmp_path):
        state = weights() | {"lstm.weight_hr_l0": np.ones((1, 2), dtype=np.float32)}
        assert "`projection` makes 1 of 2" in refusal(save(tmp_path / "model.pt", state))


@pytest.mark.parametrize("write", [save, save_safetensors], ids=["pt", "safetensors"])
class TestOtherCells:
    @pytest.mark.parametrize("suffix", ["_l0", ""], ids=["layer", "cell"])
    @pytest.mark.parametrize(("gates", "kind"), [(4, "lstm"), (3, "gru"), (1, "rnn")])
    def test_are_layers_of_their_kind(self, run, tmp_path, write, gates, kind, suffix):
        state = {"emb.weight": matrix(5, 3)} | cell("rnn.", 3, 2, gates, suffix)
        state |= {"fc.weight": matrix(2, 2), "fc.bias": matrix(2)}
        path = write(tmp_path / "model.pt", state)
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert [layer["kind"] for layer in document["layers"]] == ["embedding", kind, "dense"]
        told = "`rnn.`, a plain RNN, has tanh for its activation (layers)"
        assert (told in document["assumptions"]) == (kind == "rnn")

    def test_attention_by_dot_products_is_drafted(self, run, tmp_path, write):
        state = cell("lstm.", 3, 2) | {"attn.in_proj_weight": matrix(6, 2)}
        state |= {"attn.in_proj_bias": matrix(6), "fc.weight": matrix(2, 2)}
        state |= {"attn.out_proj.weight": matrix(2, 2), "attn.out_proj.bias": matrix(2)}
        path = write(tmp_path / "model.pt", state)
        result = run("inspect", path)
        assert result.exit_code == 3
        first, draft = result.stderr.split("\n", 1)
        assert "nothing says how many heads `attn.` has" in first
        assert "linear layers (" not in first  # its own are none of the head's
        path.with_suffix(".yaml").write_text(draft)
        result = run("inspect", path, "--format", "json")
        kinds = [layer["kind"] for layer in json.loads(result.stdout)["layers"]]
        assert kinds == [
            "lstm",
            "dense",
            "units",
            "units",
            "units",
            "attend",
            "dense",
            "pool",
            "dense",
        ]

    def test_attention_whose_parts_do_not_fit_is_told(self, refusal, tmp_path, write):
        state = weights() | {"attn.in_proj_weight": matrix(6, 3), "attn.in_proj_bias": matrix(6)}
        error = refusal(write(tmp_path / "model.pt", state))
        assert "nothing says what attn.in_proj_" in error

    def test_are_not_left_out_beside_an_lstm(self, refusal, tmp_path, write):
        state = weights() | cell("decoder.", 2, 3, gates=3)
        error = refusal(write(tmp_path / "model.pt", state))
        assert "nothing says what `decoder.` is given of what `lstm.` reads" in error

    def test_a_projected_lstm_whose_rows_are_three_times_its_columns_is_an_lstm(
        self, run, tmp_path, write
    ):
        state = weights(hidden=3)
        state |= {"lstm.weight_hh_l0": matrix(12, 4), "lstm.weight_hr_l0": matrix(4, 3)}
        state |= {"fc.weight": matrix(2, 4), "fc.bias": matrix(2)}
        (tmp_path / "ids.txt").write_text("1 2 3\n")
        path = write(tmp_path / "model.pt", state)
        result = run("predict", path, tmp_path / "ids.txt", "--ids", "--format", "jsonl")
        assert result.exit_code == 0, result.stderr


class TestDraft:
    """Where a state dict leaves a model open, the mapping to mend has every layer, in order."""

    def drafted(self, run, path):
        result = run("inspect", path)
        assert result.exit_code == 3, result.stdout
        first, *paste = result.stderr.splitlines()
        return first, "\n".join(paste) + "\n"

    def test_an_embedding_is_none_of_the_linear_layers(self, run, tmp_path):
        state = {"emb.weight": matrix(10, 4)} | cell("lstm.", 7, 6)
        state |= {"fc.weight": matrix(1, 6), "fc.bias": matrix(1)}
        error, draft = self.drafted(run, save(tmp_path / "model.pt", state))
        assert "linear" not in error
        assert (
            "`emb.weight`, an embedding, gives 4 of the 7 features that `lstm.weight_ih_l0` takes; "
            "3 may be of another input"
        ) in error
        assert draft.count("- dense:") == 1

    def test_a_linear_layer_without_a_bias_behind_the_lstm_is_no_embedding(self, run, tmp_path):
        """Its columns are the LSTM's inputs too, where it has as many units as features."""
        path = save(tmp_path / "model.pt", cell("lstm.", 2, 2) | {"fc.weight": matrix(3, 2)})
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0, result.stderr
        layers = json.loads(result.stdout)["layers"]
        assert [layer["kind"] for layer in layers] == ["lstm", "dense"]

    def test_a_square_matrix_before_the_lstm_may_be_either(self, run, tmp_path):
        state = {"a.weight": matrix(3, 3)} | cell("lstm.", 3, 2) | {"fc.weight": matrix(3, 2)}
        error, draft = self.drafted(run, save(tmp_path / "model.pt", state))
        assert "`a.weight` is an embedding or a linear layer" in error
        assert "# a guess: an embedding, by its shape\n" in draft

    def test_lstms_in_a_row_are_all_there_and_the_draft_loads(self, run, tmp_path):
        state = cell("lstm1.", 3, 6) | cell("lstm2.", 6, 6, seed=6)
        state |= {"fc.weight": matrix(2, 6), "fc.bias": matrix(2)}
        path = save(tmp_path / "model.pt", state)
        error, draft = self.drafted(run, path)
        assert error.endswith(
            "leave the model open: there are 2 LSTMs (lstm1., lstm2.). Where its code is at hand, "
            'torch.export.save(torch.export.export(model.eval(), (inputs,)), "model.pt2") saves '
            "all; else take the likeliest by --assume (`lstm2.` reads every step of `lstm1.`), or "
            "choose here and save it as model.yaml:"
        )
        (tmp_path / "model.yaml").write_text(draft)
        np.save(tmp_path / "x.npy", matrix(4, 7, 3))
        found = run("predict", path, tmp_path / "x.npy", "--format", "jsonl")
        # The same as one nn.LSTM of two layers, which needs no mapping.
        deep = {
            f"lstm.{name[6:].replace('_l0', f'_l{int(name[4]) - 1}')}": array
            for name, array in state.items()
            if name.startswith("lstm")
        } | {name: state[name] for name in ("fc.weight", "fc.bias")}
        same = run(
            "predict", save(tmp_path / "deep.pt", deep), tmp_path / "x.npy", "--format=jsonl"
        )
        assert found.exit_code == same.exit_code == 0, found.stderr + same.stderr
        assert found.stdout == same.stdout

    def test_what_the_draft_lists_is_everything_in_the_files_order(self, run, tmp_path):
        state = {"fc_in.weight": matrix(3, 9), "fc_in.bias": matrix(3)} | cell("encoder.", 3, 2)
        state |= {"mid.weight": matrix(3, 2), "mid.bias": matrix(3)} | cell("decoder.", 3, 4)
        state |= {"head.weight": matrix(2, 4), "encoder.v": matrix(2)}
        error, draft = self.drafted(run, save(tmp_path / "model.pt", state))
        places = [draft.index(name) for name in ("fc_in", "encoder.", "mid", "decoder.", "head")]
        assert places == sorted(places)
        assert draft.count("# a guess: ") == 5
        assert "- dense: {weights: head.weight," in draft
        # What begins like the LSTM's own names is no part of it.
        assert "nothing says what encoder.v are for" in error

    def test_no_end_of_modules_is_drafted(self, refusal, run, tmp_path):
        state = {f"fc{k}.weight": matrix(1, 1) for k in range(1001)} | cell("lstm.", 1, 1)
        error = refusal(save(tmp_path / "model.pt", state))
        assert "holds weights of 1,002 modules, and no more than 1,000 are drafted" in error
        assert "torch.export.save(" in error

    def test_nor_of_recurrent_layers(self, refusal, tmp_path):
        layers = {f"lstm.weight_ih_l{k}": matrix(4, 1) for k in range(1001)}
        layers |= {f"lstm.weight_hh_l{k}": matrix(4, 1) for k in range(1001)}
        error = refusal(save(tmp_path / "model.pt", layers))
        assert "holds weights of 1,001 modules, and no more than 1,000 are drafted" in error

    def test_a_name_cannot_write_yaml(self, run, tmp_path):
        state = weights() | {"x\nlabels: [a, b]\n#emb.weight": matrix(5, 3)}
        _, draft = self.drafted(run, save(tmp_path / "model.pt", state))
        assert not any(line.startswith("labels") for line in draft.splitlines())


def series_of(run, path, x, *options):
    """The scores of a series by a model, one list a sequence, and what was said beside them."""
    np.save(path.parent / "x.npy", x)
    result = run("predict", path, path.parent / "x.npy", "--format", "jsonl", *options)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["scores"] for line in result.stdout.splitlines()], result.stderr


def bidirectional(head="fc"):
    state = cell("lstm.", 3, 2) | cell("lstm.", 3, 2, suffix="_l0_reverse", seed=8)
    return state | {f"{head}.weight": matrix(3, 4), f"{head}.bias": matrix(3)}


def chosen(draft, number):
    """A draft with one of its choices taken, as its comment says: # off, and on the first."""
    lines, current = [], None
    for line in draft.splitlines():
        if line.startswith("# One of these"):
            current = 0
        elif current is not None and line.startswith("# ") and line[2].isdigit():
            current = int(line[2])
        elif line.startswith(("- dense", "# a guess")):
            current = None
        elif current and line.startswith("#") and current == number:
            line = line[1:]
        elif current == 1 and number != 1:
            line = f"#{line}"
        lines.append(line)
    return "\n".join(lines) + "\n"


class TestWhatTheHeadIsGiven:
    """Of a bidirectional LSTM a head may be given several things: it is asked, never assumed."""

    X = matrix(2, 5, 3)

    def lstm(self, run, tmp_path, returns, *behind):
        """The same weights under a mapping written out by hand."""
        lstm = {"gate_order": ["i", "f", "g", "o"], "layout": "gates_by_features"}
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            lstm[direction] = {
                "input": f"lstm.weight_ih_l0{suffix}",
                "recurrent": f"lstm.weight_hh_l0{suffix}",
                "bias": [f"lstm.bias_ih_l0{suffix}", f"lstm.bias_hh_l0{suffix}"],
            }
        head = {"weights": "fc.weight", "layout": "classes_by_features", "bias": "fc.bias"}
        layers = [{"lstm": {**lstm, "returns": returns}}, *behind, {"dense": head}]
        np.savez(tmp_path / "by_hand.npz", **bidirectional())
        (tmp_path / "by_hand.yaml").write_text(json.dumps({"format": 1, "layers": layers}))
        return series_of(run, tmp_path / "by_hand.npz", self.X)[0]

    def test_every_command_asks_and_says_how_to_find_out(self, run, tmp_path):
        path = save(tmp_path / "model.pt", bidirectional())
        np.save(tmp_path / "x.npy", self.X)
        for command in ("explain", "predict", "check", "evaluate"):
            result = run(command, path, tmp_path / "x.npy")
            assert result.exit_code == 3, command
            first = result.stderr.splitlines()[0]
            assert "nothing says what `fc.weight` is given of the LSTM's steps" in first
            assert "--assume" in first
            assert "`lrp match`" in first
            assert "model.yaml" in first
        assert run("inspect", path).exit_code == 3
        assert run("convert", path, tmp_path / "out.npz").exit_code == 3
        assert run("compare", path, path, "--input", tmp_path / "x.npy").exit_code == 3

    @pytest.mark.parametrize(
        ("number", "returns", "behind"),
        [
            (1, "last", []),
            (2, "sequence", [{"pool": "last"}]),
            (3, "sequence", []),
            (4, "sequence", [{"pool": "mean"}]),
            (5, "sequence", [{"pool": "max"}]),
            (6, "sequence", [{"pool": "sum"}]),
        ],
    )
    def test_each_choice_is_a_mapping_that_loads_and_is_silent(
        self, run, tmp_path, number, returns, behind
    ):
        path = save(tmp_path / "model.pt", bidirectional())
        draft = run("inspect", path).stderr.split("\n", 1)[1]
        assert f"# {number}. " in draft
        assert f"# {number + 1}. " in draft or number == 6
        path.with_suffix(".yaml").write_text(chosen(draft, number))
        scores, told = series_of(run, path, self.X)
        assert scores == self.lstm(run, tmp_path, returns, *behind)
        assert "warning" not in told

    def test_assume_takes_the_last_hidden_states_and_says_so_everywhere(self, run, tmp_path):
        path = save(tmp_path / "model.pt", bidirectional())
        scores, told = series_of(run, path, self.X, "--assume")
        assert scores == self.lstm(run, tmp_path, "last")
        assumed = "`fc.weight` is given the last hidden states of both directions (layers)"
        classes = "its 3 scores are of classes, of which the highest is predicted (task or labels)"
        warning = f"lrp: warning: model.pt does not say, and it is assumed: {assumed}"
        assert warning in told
        report = tmp_path / "r.json"
        x = tmp_path / "x.npy"
        for command in ("explain", "predict"):
            result = run(command, path, x, "--assume", "--report", report, "-o", tmp_path / "o.tsv")
            assert result.exit_code == 0, result.stderr
            assert warning in result.stderr
            assert json.loads(report.read_text())["assumptions"] == [assumed, classes]
        of_input = {"check": [x], "evaluate": [x, "--min-length", "1"], "inspect": []}
        for command, inputs in of_input.items():
            result = run(command, path, *inputs, "--assume", "--format", "json")
            assert result.exit_code == 0, result.stderr
            assert warning in result.stderr
            assert json.loads(result.stdout)["assumptions"] == [assumed, classes]

    def test_what_is_written_out_says_what_was_assumed_and_is_silent(self, run, tmp_path):
        path = save(tmp_path / "model.pt", bidirectional())
        expected, _ = series_of(run, path, self.X, "--assume")
        mapping = tmp_path / "written.yaml"
        assert run("inspect", path, "--assume", "--write-mapping", mapping).exit_code == 0
        assert "# Assumed, and now said: `fc.weight` is given the last" in mapping.read_text()
        scores, told = series_of(run, path, self.X, "--mapping", mapping)
        assert scores == expected
        assert "warning" not in told
        assert run("convert", path, tmp_path / "plain.npz", "--assume").exit_code == 0
        scores, told = series_of(run, tmp_path / "plain.npz", self.X)
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
        assert "warning" not in told

    def test_one_direction_is_told_and_not_asked(self, run, tmp_path):
        state = cell("lstm.", 3, 2) | {"fc.weight": matrix(3, 2), "fc.bias": matrix(3)}
        _, told = series_of(run, save(tmp_path / "model.pt", state), self.X)
        assert (
            "lrp: warning: model.pt does not say, and it is assumed: `fc.weight` is given the last "
            "hidden state (layers)"
        ) in told

    @pytest.mark.parametrize("head", ["hidden2tag", "tagger", "out_tags"])
    def test_a_tagger_by_its_name_is_given_every_step(self, run, tmp_path, head):
        state = cell("lstm.", 3, 2) | {f"{head}.weight": matrix(3, 2), f"{head}.bias": matrix(3)}
        path = save(tmp_path / "model.pt", state)
        assert run("inspect", path).exit_code == 3
        scores, told = series_of(run, path, self.X, "--assume")
        assert np.shape(scores) == (2 * 5, 3)
        assert f"`{head}.weight` is given every step's output, for scores at every step" in told

    @pytest.mark.parametrize("head", ["stage2", "percentage", "vintage"])
    def test_these_are_no_taggers(self, run, tmp_path, head):
        state = cell("lstm.", 3, 2) | {f"{head}.weight": matrix(3, 2), f"{head}.bias": matrix(3)}
        assert run("inspect", save(tmp_path / "model.pt", state)).exit_code == 0

    def test_the_mapping_with_layers_keeps_the_checkpoints_vocabulary(self, run, sentence):
        state = weights(suffixes=("", "_reverse"))
        words = {token: k for k, token in enumerate(VOCABULARY)}
        path = save(
            sentence.parent / "model.pt", state, lambda state: {"state_dict": state, "vocab": words}
        )
        draft = run("inspect", path).stderr.split("\n", 1)[1]
        assert "vocabulary: vocab\n" in draft
        layers_alone = draft.replace("vocabulary: vocab\n", "")
        for text in (draft, layers_alone):
            path.with_suffix(".yaml").write_text(text)
            assert run("predict", path, sentence).exit_code == 0


def linear(name, outputs, inputs):
    return {f"{name}.weight": matrix(outputs, inputs), f"{name}.bias": matrix(outputs)}


# Names in the order of the alphabet, as safetensors has them, and the order that sizes show.
SORTED = {
    "head": (
        cell("lstm.", 3, 2) | linear("fc", 1, 5) | linear("fc_1", 5, 2),
        ["lstm", "fc_1", "fc"],
    ),
    "projection": (
        {"emb.weight": matrix(9, 4)} | cell("lstm.", 3, 2) | linear("p", 3, 4) | linear("q", 2, 2),
        ["emb", "p", "lstm", "q"],
    ),
    "two kinds": (
        cell("gru.", 5, 4, gates=3) | cell("lstm.", 3, 5) | linear("fc", 2, 4),
        ["lstm", "gru", "fc"],
    ),
    "decoder": (
        cell("decoder.", 2, 2) | cell("encoder.", 3, 2) | linear("fc", 1, 2),
        ["encoder", "decoder", "fc"],
    ),
    "attention": (
        cell("lstm.", 3, 4) | linear("a", 3, 4) | linear("b", 1, 3) | linear("out", 2, 4),
        ["lstm", "a", "b", "out"],
    ),
    "both directions, of which one goes on": (
        linear("a", 4, 3)
        | linear("b", 1, 2)
        | cell("lstm.", 4, 2)
        | cell("lstm.", 4, 2, suffix="_l0_reverse"),
        ["a", "lstm", "b"],
    ),
    "none that fits": (
        cell("lstm.", 3, 2) | linear("fc", 1, 7) | linear("fc_1", 5, 3),
        ["lstm", "fc", "fc_1"],
    ),
}


@pytest.mark.parametrize(("state", "order"), SORTED.values(), ids=SORTED)
def test_sizes_show_the_order_of_a_file_that_is_sorted(tmp_path, state, order):
    path = save_safetensors(tmp_path / "model.safetensors", dict(sorted(state.items())))
    with open_arrays(path) as file:
        found = in_order(find_modules(file.datasets)).found
    assert [each.path for each in found] == order


class TestScoresOfSteps:
    MAPPING = """
format: 1
layers:
- windows: {{kind: max, size: {size}}}
- lstm:
    gate_order: [i, f, g, o]
    layout: gates_by_features
    forward:
      input: lstm.weight_ih_l0
      recurrent: lstm.weight_hh_l0
      bias: [lstm.bias_ih_l0, lstm.bias_hh_l0]
    returns: sequence
- dense: {{weights: fc.weight, layout: classes_by_features, bias: fc.bias}}
"""

    @pytest.mark.parametrize("command", ["check", "match"])
    def test_of_a_model_that_makes_no_steps_nothing_is_proven(self, run, tmp_path, command):
        state = cell("lstm.", 3, 2) | {"fc.weight": matrix(3, 2), "fc.bias": matrix(3)}
        path = save(tmp_path / "model.pt", state)
        (tmp_path / "model.yaml").write_text(self.MAPPING.format(size=9))
        np.save(tmp_path / "x.npy", matrix(2, 4, 3))
        np.save(tmp_path / "scores.npy", matrix(2, 4, 3))
        given = ("--expected", tmp_path / "scores.npy")
        result = run(command, path, tmp_path / "x.npy", *given)
        assert result.exit_code == (3 if command == "check" else 1)
        assert ("makes none of its 4 steps" in result.stderr) == (command == "check")

    def test_match_shows_the_draft_whose_layers_never_fit(self, run, tmp_path):
        heads = {f"head_{name}.weight": matrix(size, 2) for name, size in (("a", 3), ("b", 4))}
        path = save(tmp_path / "model.pt", cell("lstm.", 3, 2) | heads)
        np.save(tmp_path / "x.npy", matrix(2, 4, 3))
        np.save(tmp_path / "scores.npy", matrix(2, 7))
        given = ("--expected", tmp_path / "scores.npy")
        result = run("match", path, tmp_path / "x.npy", *given)
        assert result.exit_code == 3
        message, draft = result.stderr.split("\n", 1)
        assert "there are 2 linear layers (head_a.weight, head_b.weight)" in message
        assert message.endswith("Mend this, save it as model.yaml, and search again:")
        assert yaml.safe_load(draft)["layers"][-1]["dense"]["weights"] == "head_b.weight"


class TestLayersInARow:
    """Between linear layers a function stands that no state dict names."""

    X = matrix(2, 5, 3)

    def stacked(self, *between):
        state = cell("lstm.", 3, 4) | {"fc1.weight": matrix(4, 4), "fc1.bias": matrix(4, seed=1)}
        state |= dict(between)
        return state | {"fc2.weight": matrix(2, 4, seed=2), "fc2.bias": matrix(2)}

    def test_relu_is_the_likeliest_and_is_asked_for(self, run, tmp_path):
        path = save(tmp_path / "model.pt", self.stacked())
        error, *draft = run("inspect", path).stderr.splitlines()
        assert "there are 2 linear layers (fc1.weight, fc2.weight), and nothing says" in error
        assert "--assume (a relu stands between `fc1.weight` and `fc2.weight`)" in error
        assert "`lrp match`" in error
        scores, told = series_of(run, path, self.X, "--assume")
        assert told.count("it is assumed") == 3  # with that its scores are of classes
        path.with_suffix(".yaml").write_text("\n".join(draft))
        assert series_of(run, path, self.X)[0] == scores
        linear = "\n".join(draft).replace("activation: relu", "activation: linear")
        path.with_suffix(".yaml").write_text(linear)
        assert series_of(run, path, self.X)[0] != scores

    def test_relu_stands_behind_the_batch_normalization(self, run, tmp_path):
        norm = {
            "bn.weight": matrix(4, seed=3),
            "bn.bias": matrix(4, seed=4),
            "bn.running_mean": matrix(4, seed=5),
            "bn.running_var": matrix(4, seed=6) ** 2 + 1,
        }
        path = save(tmp_path / "model.pt", self.stacked(*norm.items()))
        result = run("inspect", path, "--assume", "--format", "json")
        assert result.exit_code == 0, result.stderr
        kinds = [layer["kind"] for layer in json.loads(result.stdout)["layers"]]
        assert kinds == ["lstm", "dense", "batch_norm", "activation", "dense"]
        assert "stands where the file lists it, with epsilon 1e-05" in result.stderr

    def test_attention_is_a_layer_that_makes_one_number_of_each_step(self, run, tmp_path):
        state = cell("lstm.", 3, 4) | {"attn.weight": matrix(1, 4), "attn.bias": matrix(1)}
        path = save(tmp_path / "model.pt", state | {"fc.weight": matrix(2, 4)})
        error = run("inspect", path).stderr.splitlines()[0]
        assert "nothing says what weights of steps `attn.weight` make" in error
        assert "`lrp match`" in error
        result = run("inspect", path, "--assume", "--format", "json")
        kinds = [layer["kind"] for layer in json.loads(result.stdout)["layers"]]
        assert kinds == ["lstm", "attention", "dense"]

    @pytest.mark.parametrize(
        "state",
        [
            cell("encoder.", 3, 4) | cell("decoder.", 4, 3),
            cell("encoder.", 3, 4) | cell("decoder.", 4, 3) | {"out.weight": matrix(2, 3)},
            cell("lstm1.", 3, 4) | cell("lstm2.", 3, 4) | {"fc.weight": matrix(2, 4)},
            {"fc0.weight": matrix(3, 3), "fc0.bias": matrix(3)}
            | cell("lstm.", 3, 4)
            | {"fc.weight": matrix(2, 4)},
            cell("lstm.", 3, 4) | {"fc.weight": matrix(2, 8)},
            {"conv.weight": matrix(3, 2, 5)} | cell("lstm.", 3, 4) | {"fc.weight": matrix(2, 4)},
            cell("lstm.", 3, 4) | {"fc.weight": matrix(2, 4), "crf.transitions": matrix(2, 2, 1)},
        ],
        ids=["no head", "decoder", "side by side", "before", "width", "convolution", "unknown"],
    )
    def test_where_nothing_is_likelier_assume_asks_too(self, run, tmp_path, state):
        path = save(tmp_path / "model.pt", state)
        for options in ([], ["--assume"]):
            result = run("inspect", path, *options)
            assert result.exit_code == 3
            assert "No answer is likelier than all others (--assume takes none)" in result.stderr


class TestUnusedWeights:
    """Weights that no layer of a mapping uses are named, for their lack makes another model."""

    X = matrix(2, 5, 3)

    @pytest.fixture
    def halved(self, run, tmp_path):
        """A state dict of encoder and decoder, under its draft without the decoder."""
        path = save(tmp_path / "model.pt", cell("encoder.", 3, 4) | cell("decoder.", 4, 3))
        draft = run("inspect", path).stderr.split("\n", 1)[1]
        encoder, _ = draft.split("# a guess: what of its steps goes on\n")
        path.with_suffix(".yaml").write_text(encoder.replace("- repeat: {steps: 10}\n", ""))
        return path, draft

    NAMES = "decoder.weight_ih_l0, decoder.weight_hh_l0, decoder.bias_ih_l0, decoder.bias_hh_l0"

    def test_explain_of_a_draft_that_lacks_the_decoder_names_it(self, run, halved):
        path, draft = halved
        np.save(path.parent / "x.npy", self.X)
        report = path.parent / "r.json"
        out = path.parent / "o.jsonl"
        command = ("explain", path, path.parent / "x.npy", "-o", out, "--report", report)
        result = run(*command)
        assert result.exit_code == 0, result.stderr
        assert f"weights that no layer uses are no part of the model: {self.NAMES}" in result.stderr
        assert self.NAMES in json.loads(report.read_text())["assumptions"][0]
        path.with_suffix(".yaml").write_text(draft)
        complete = run(*command, "--step", "last")
        assert complete.exit_code == 0, complete.stderr
        assert "warning" not in complete.stderr

    @pytest.mark.parametrize("unused", ["[decoder.*]", '["decoder.*_l0"]', "[nothing, '*']"])
    def test_a_mapping_that_says_it_is_silent(self, run, halved, unused):
        path, _ = halved
        mapping = path.with_suffix(".yaml")
        mapping.write_text(mapping.read_text() + f"unused: {unused}\n")
        assert "warning" not in series_of(run, path, self.X)[1]

    def test_a_pattern_of_others_leaves_the_warning(self, run, halved):
        path, _ = halved
        mapping = path.with_suffix(".yaml")
        mapping.write_text(mapping.read_text() + "unused: [decoder.bias*, encoder.*]\n")
        told = series_of(run, path, self.X)[1]
        assert "model: decoder.weight_ih_l0, decoder.weight_hh_l0 (unused)" in told

    def test_a_mapping_that_is_written_out_lists_them(self, run, halved):
        path, _ = halved
        written = path.parent / "written.yaml"
        run("inspect", path, "--write-mapping", written)
        assert "unused: [decoder.weight_ih_l0, decoder.weight_hh_l0, " in written.read_text()
        assert "warning" not in series_of(run, path, self.X, "--mapping", written)[1]

    def test_what_training_keeps_is_no_weight(self, run, tmp_path):
        state = cell("lstm.", 3, 4) | {"fc.weight": matrix(2, 4), "fc.bias": matrix(2)}
        others = {
            "optimizer/state/0/exp_avg": matrix(16, 3),
            "best/lstm.weight_ih_l0": matrix(16, 3),
            "criterion.weight": matrix(2),
            "train_loss": matrix(9),
            "lstm/weight/Adam_1": matrix(16, 3),
            "x/step": np.float32(3),
        }
        path = tmp_path / "model.npz"
        np.savez(path, **state, **others, ids=np.arange(4), words=np.array(["a", "b"]))
        draft = run("inspect", save(tmp_path / "other.pt", state), "--write-mapping", "-")
        path.with_suffix(".yaml").write_text(draft.stdout[draft.stdout.index("# How") :])
        assert "warning" not in series_of(run, path, self.X)[1]
        np.savez(path, **state, **others, aux=matrix(2, 4))
        assert "no part of the model: aux (unused)" in series_of(run, path, self.X)[1]


class Colour(enum.Enum):
    RED = 1

    def __reduce_ex__(self, protocol):
        """As all versions of Python have it but the first ones of 3.11."""
        return type(self), (self.value,)


class Settings(dict):
    """As Lightning's AttributeDict: a dict of a class of its own."""


class Slots:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 0.5


# What scripts and Lightning keep beside the state dict, as `hyper_parameters` or otherwise.
SETTINGS = {
    "namespace": argparse.Namespace(lr=1e-3, hidden=[1, 2]),
    "number of NumPy's": np.float64(1e-3),
    "array of NumPy's": {"mean": np.arange(4.0)},
    "dtype of NumPy's": np.dtype("float32"),
    "path": pathlib.Path("data"),
    "date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "class": {"optimizer": pathlib.Path},
    "function": {"activation": math.tanh},
    "OrderedDict": OrderedDict(a=1),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "defaultdict of a dict": collections.defaultdict(dict, a={"b": Colour.RED}),
    "counter": collections.Counter("abca"),
    "deque": collections.deque([1, 2], maxlen=4),
    "enum": Colour.RED,
    "a dict of another class": Settings(a=1),
    "an object with slots": Slots(),
    "partial": functools.partial(int, base=2),
    "fraction": fractions.Fraction(1, 3),
    "bytes": (b"abc", bytearray(b"abc")),
    "keys that are tuples": {(1, 2): 3, Colour.RED: 4},
    "range": range(3),
    "complex": 1 + 2j,
}


class TestCheckpoint:
    """A state dict is read whatever stands beside it, and what that is goes nowhere."""

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
    def test_is_read_whatever_its_settings_are(self, explained, tmp_path, settings, protocol):
        plain = explained(save(tmp_path / "plain.pt", weights()))
        path = save(
            tmp_path / "model.ckpt",
            weights(),
            lambda state: {
                "epoch": 4,
                "pytorch-lightning_version": "2.0.9",
                "hyper_parameters": settings,
                "state_dict": OrderedDict(state),
                "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"kept": settings}},
                "loops": {"fit_loop": {"state_dict": {}, "progress": [settings]}},
            },
            protocol=protocol,
        )
        assert explained(path) == plain

    @pytest.mark.parametrize("key", ["opt", "opt_state_dict", "optimizer", "optim_states"])
    def test_what_an_optimizer_keeps_is_no_weight(self, run, tmp_path, key):
        def wrap(state):
            return {key: {"state": {14: {"exp_avg": state.pop("average")}}}, "state_dict": state}

        path = save(tmp_path / "model.pt", weights() | {"average": matrix(8, 3)}, wrap)
        result = run("check", path)
        assert result.exit_code == 0, result.output
        assert "no layer uses" not in result.stderr

    def test_is_read_beside_a_tensor(self, explained, tmp_path):
        """A best score is a tensor too: what holds it is not the state dict."""
        plain = explained(save(tmp_path / "plain.pt", weights()))
        path = save(
            tmp_path / "model.ckpt",
            weights() | {"best": np.float32(0.5)},
            lambda state: {"best": state.pop("best"), "state_dict": state},
        )
        assert explained(path) == plain

    def test_gives_a_vocabulary_of_whatever_class_to_the_model(self, run, sentence, tmp_path):
        words = argparse.Namespace(vocab={token: k for k, token in enumerate(VOCABULARY)})
        path = save(
            tmp_path / "model.pt", weights(), lambda state: {"vocab": words, "state_dict": state}
        )
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["vocabulary"]["tokens"] == len(VOCABULARY)

    @pytest.mark.parametrize("held", [{"epochs": 3}, {"vocab": {"a": 0, "b": 1}}, {}])
    def test_gives_nothing_of_a_class_that_does_not_fit(self, run, tmp_path, held):
        words = argparse.Namespace(**held)
        path = save(
            tmp_path / "model.pt", weights(), lambda state: {"vocab": words, "state_dict": state}
        )
        result = run("inspect", path, "--format", "json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["vocabulary"] is None
        (tmp_path / "model.yaml").write_text("vocabulary: vocab\n")
        result = run("inspect", path)
        assert result.exit_code == 3
        problem = "the embedding has" if "vocab" in held else "has no vocabulary"
        assert (problem if held else "there is no such file") in result.stderr

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda state: {"net_state": state, "best": {"acc": next(iter(state.values()))}},
            lambda state: (state, {"epoch": 3}),
            lambda state: [{"lr": 0.1}, state],
        ],
        ids=["another key", "tuple", "list"],
    )
    def test_the_only_dict_with_a_recurrent_layer_is_the_model(self, explained, tmp_path, wrap):
        usual = explained(save(tmp_path / "usual.pt", weights()))
        assert explained(save(tmp_path / "model.pt", weights(), wrap)) == usual

    def test_of_two_models_none_is_taken(self, run, tmp_path):
        path = save(tmp_path / "m.pt", weights(), lambda state: {"one": state, "two": dict(state)})
        result = run("inspect", path)
        assert "the file does not say its architecture" in result.stderr
        assert "one/lstm.weight_ih_l0" in result.stdout

    def test_reads_a_vocabulary_that_is_a_counter(self, run, tmp_path):
        counted = collections.Counter({token: k for k, token in enumerate(VOCABULARY)})
        path = save(
            tmp_path / "model.pt", weights(), lambda state: {"vocab": counted, "state_dict": state}
        )
        found = json.loads(run("inspect", path, "--format", "json").stdout)
        assert found["vocabulary"]["tokens"] == 5

    @pytest.mark.parametrize(
        ("wrap", "message"),
        [
            (lambda state: Slots(), "test_state_dict.Slots`, which is not executed"),
            (lambda state: {"model": Slots(), "t": state}, "Slots` as `model`, which is not"),
            (lambda state: {"state_dict": state | {"a.b": Slots()}}, "Slots` as `a.b`, which is"),
            (lambda state: state | {"a.b": Colour.RED}, "Colour` as `a.b`, which is not executed"),
        ],
        ids=["whole model", "whole model in a checkpoint", "in the state dict", "at the top"],
    )
    def test_names_what_stands_in_the_models_place(self, refusal, tmp_path, wrap, message):
        error = refusal(save(tmp_path / "model.pt", weights(), wrap))
        assert len(error.splitlines()) == 1
        assert message in error
        assert "save `model.state_dict()`" in error


class TestHostileFiles:
    @pytest.mark.parametrize("protocol", range(6))
    def test_a_pickle_that_calls_os_system_is_refused_and_not_executed(
        self, refusal, tmp_path, protocol
    ):
        class Attack:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/executed",)

        error = refusal(hostile(tmp_path / "model.pt", pickle.dumps(Attack(), protocol)))
        assert len(error.splitlines()) == 1
        assert "is not executed" in error
        assert "system" in error
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (b"\x80\x02cbuiltins\neval\nX\x01\0\0\x001\x85R.", "`builtins.eval`"),
            (b"\x80\x02(cos\nsystem\nX\x02\0\0\0lso.", "`os.system`"),
            (b"(S'ls'\nios\nsystem\n.", "`os.system`"),
            (b"\x80\x02\x82\x01.", "the instruction b'\\x82'"),
            (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", "`os.system`"),
            (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85\x81}b.", "`os.system`"),
            (b"\x80\x02ctorch\nload\n.", "`torch.load`"),
            (b"\x80\x02X\xff\xff\xff\x7fa.", "2147483647 bytes are claimed"),
            (b"\x80\x02}r\xff\xff\xff\xff.", "holds no tensors"),
            # A dict that holds itself twice, and a list that is copied without end.
            (b"\x80\x02}q\x00(K\x01h\x00K\x02h\x00u.", "its values hold each other"),
            (
                b"\x80\x02](" + b"N" * 500 + b"eq\x00" + b"cbuiltins\nset\nh\x00\x85R" * 50 + b".",
                "copies more values than it holds",
            ),
            # A function that is given many values again and again, and bytes that become a list.
            (
                b"\x80\x02(" + b"N" * 500 + b"tq\x00"
                b"0" + b"ccollections\ndefaultdict\nh\x00R" * 50 + b".",
                "copies more values than it holds",
            ),
            (
                b"\x80\x02B\xf4\x01\0\0"
                + b"1" * 500
                + b"q\x00"
                + b"cbuiltins\nset\nh\x00\x85R" * 50
                + b".",
                "copies more values than it holds",
            ),
            # A name that would be written without end.
            (b"\x80\x02)" + b"q\x00h\x00\x86" * 200 + b"X\1\0\0\0a\x93.", "a name is no text"),
            (b"\x80\x02X\7\0\0\0storageQ.", "a persistent id is no storage"),
            (b"\x80\x02h\x07.", "damaged pickle"),
            (b"\x80\x02t.", "damaged pickle"),
            (b"\x80\x02", "damaged pickle"),
            (b"", "damaged pickle"),
            (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "damaged pickle"),
            (b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\0\0\0aK\x01sb.", "holds no tensors"),
        ],
    )
    def test_other_pickles(self, refusal, tmp_path, payload, message):
        error = refusal(hostile(tmp_path / "model.pt", payload))
        assert len(error.splitlines()) == 1
        assert message in error

    def test_a_nest_of_shared_tuples_is_no_key(self, refusal, tmp_path):
        """Each level is hashed twice at the level above: 2 ** 200 times in all."""
        nest = b")" + b"q\x00h\x00\x86" * 200
        for payload in (
            b"}" + nest + b"Ns.",
            b"ccollections\nOrderedDict\n](" + nest + b"N\x86e\x85R.",
        ):
            error = refusal(hostile(tmp_path / "model.pt", b"\x80\x02" + payload))
            assert "holds no tensors" in error

    def test_whole_numbers_of_one_hash_are_no_keys(self):
        """A dict of n such keys takes n ** 2 looks."""
        key = b"\x8a\x0b" + ((2**61 - 1) * 2**20).to_bytes(11, "little")
        [found] = read_pickle(b"\x80\x02}" + key + b"Ns.", "model.pt")
        assert not isinstance(found, int)

    def test_a_bare_pickle_is_refused(self, refusal, tmp_path):
        (tmp_path / "model.pt").write_bytes(pickle.dumps({"a": 1}))
        assert "is a bare pickle, which is never executed" in refusal(tmp_path / "model.pt")

    def test_a_tensor_beyond_its_storage_is_refused(self, refusal, tmp_path):
        path = save(tmp_path / "model.pt", weights())
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["archive/data/0"] = b"\0" * 8
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        assert "reaches to element 14 of a storage of 2" in refusal(path)

    def test_a_zip_bomb_takes_no_memory(self, tmp_path):
        path = tmp_path / "model.pt"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("archive/data.pkl", "w", force_zip64=True) as file,
        ):
            for _ in range(512):
                file.write(b"\0" * 2**20)
        code = (
            "import resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
            "from lstm_lrp_cli.cli import main\n"
            f"sys.argv = ['lrp', 'inspect', {str(path)!r}]\n"
            "main()"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == 3, ended.stderr
        assert "claims 536,870,912 bytes" in ended.stderr

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 4]}}, "tensor `a`"),
            ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, "whole numbers"),
            ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, "has 4 bytes of"),
            ({"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 4]}}, "dtype F4; expected"),
            ({"a": 1}, "not of the format"),
            ([1], "is not"),
        ],
    )
    def test_safetensors_with_a_wrong_header(self, refusal, tmp_path, header, message):
        text = json.dumps(header).encode()
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
        if not text.startswith(b"{"):
            message = "expected an HDF5 file"
        assert message in refusal(path)

    @pytest.mark.parametrize(
        ("shape", "message"),
        [([3, *[1] * 64], "has 65 axes; expected 64"), ([0, 2**70], "save them uncompressed")],
    )
    def test_shapes_that_numpy_does_not_have(self, refusal, tmp_path, shape, message):
        path = save_safetensors(tmp_path / "model.safetensors", weights())
        data = path.read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        begin, _ = header["fc.bias"]["data_offsets"]
        header["fc.bias"] |= {"shape": shape, "data_offsets": [begin, begin + 4 * math.prod(shape)]}
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        error = refusal(path)
        assert "fc.bias" in error
        assert message in error

    def test_safetensors_with_an_endless_header(self, refusal, tmp_path):
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
        assert "its header claims 1,152,921,504,606,846,976 bytes" in refusal(path)
