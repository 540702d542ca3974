"""Bad input gets one clear error, exit status 3, and no traceback."""

import copy
import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

SENTENCE = "the film is not bad\n"


@pytest.fixture
def refused(run, small):
    """Explain with the small model as it stands, and return the one-line error."""

    def explain(*arguments, model=None, input=None):
        path = small.save() if model is None else model
        sentences = input if input is not None else small.write("sentences.txt", SENTENCE)
        output = small.folder / "out.tsv"
        result = run("explain", path, sentences, "-o", output, *arguments)
        assert result.exit_code == 3, result.stderr
        assert "Traceback" not in result.output
        assert not output.exists()
        assert not list(small.folder.glob("*.partial")) + list(small.folder.glob(".*.partial"))
        error = result.stderr.strip()
        assert error.startswith("lrp: ")
        assert len(error.splitlines()) == 1
        return error

    return explain


def refused_in_time(model):
    """The error of a process of its own, for files that could keep it busy for ever."""
    command = [sys.executable, "-m", "lstm_lrp_cli", "inspect", str(model)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 3, ended.stderr
    return ended.stderr


class TestModelFile:
    def test_that_is_not_there(self, refused, small):
        assert "there is no such model file" in refused(model=small.folder / "none.h5")

    def test_that_is_a_directory(self, refused, small):
        assert "is a directory" in refused(model=small.folder)

    def test_that_is_empty(self, refused, small):
        assert "is empty; expected an HDF5 file" in refused(model=small.write("m.h5", ""))

    def test_of_another_kind(self, refused, small):
        found = refused(model=small.write("m.h5", b"%PDF-1.7\n\0"))
        assert "begins with b'%PDF-1.7'; expected an HDF5 file" in found

    @pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
    def test_hdf5_cut_short(self, refused, small, kept):
        whole = small.folder / "whole.h5"
        with h5py.File(whole, "w") as file:
            for name, array in small.arrays.items():
                file[name] = array
        data = whole.read_bytes()
        cut = small.write("model.h5", data[: int(len(data) * kept)])
        small.save()
        assert re.search(r"model\.h5: .*(cut short|damaged)", refused(model=cut))

    @pytest.mark.parametrize("length", [4, 8])
    def test_hdf5_whose_heap_of_texts_has_no_end(self, small, length):
        path = small.folder / "model.h5"
        properties = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        properties.set_sizes(8, length)
        made = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, properties)
        with h5py.File(made) as file:
            file.attrs["model_config"] = ["the", "film"]
        data = bytearray(path.read_bytes())
        at = data.index(b"GCOL") + 16
        while data[at : at + 2] != b"\0\0":  # objects; the free space is object 0
            size = int.from_bytes(data[at + 8 : at + 8 + length], "little")
            at += 16 + -(-size // 8) * 8
        # What fills the length up to 8 bytes is no part of it.
        data[at + 8 : at + 16] = bytes(length) + b"\xff" * (8 - length)
        path.write_bytes(data)
        assert "model_config: cannot be read (the heap of texts at byte" in refused_in_time(path)

    @pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
    def test_npz_cut_short(self, refused, small, kept):
        data = small.save().read_bytes()
        cut = small.write("cut.npz", data[: int(len(data) * kept)])
        assert "is not a whole NPZ file" in refused(model=cut)

    def test_npz_holding_pickled_objects(self, refused, small):
        small.arrays["W"] = np.array([{"weights": 1}], dtype=object)
        error = refused()
        assert "model.npz: W: holds object elements" in error
        assert "pickled objects are never executed" in error

    def test_without_a_mapping_lists_what_it_holds(self, refused, small):
        model = small.save()
        (small.folder / "model.yaml").unlink()
        error = refused(model=model)
        assert "does not say its architecture" in error
        assert "E (5, 3)" in error
        assert "model.yaml" in error

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_weights_that_are_not_finite(self, refused, small, value):
        small.arrays["U"][3, 1] = value
        assert re.search(rf"`U`.*1 value .*not finite.*{value} at \[3, 1\]", refused())

    def test_weights_too_large_for_float32(self, refused, small):
        small.arrays["V"][0, 0] = 1e300
        assert "not finite in float32" in refused("--dtype", "float32")

    def test_weights_that_are_text(self, refused, small):
        small.arrays["b"] = np.array(["zero"] * 8)
        assert "dataset `b`: holds <U4 elements; expected floats" in refused()


class TestMapping:
    def test_naming_a_missing_dataset(self, refused, small):
        small.lstm["forward"]["input"] = "Wx"
        error = refused()
        assert "no dataset `Wx`" in error
        assert "layers[1].lstm.forward.input" in error
        assert "E, U, V, W, b, c" in error

    @pytest.mark.parametrize(
        ("name", "key"), [("W", "forward.input"), ("U", "forward.recurrent"), ("V", "weights")]
    )
    def test_of_transposed_weights(self, refused, small, name, key):
        small.arrays[name] = small.arrays[name].T.copy()
        error = refused()
        assert f"dataset `{name}`" in error
        assert key in error
        assert "layout" in error

    @pytest.mark.parametrize(
        ("order", "hint"),
        [
            (["i", "f", "f", "o"], "found [i, f, f, o]"),
            (["i", "f", "g"], "expected each of i, f, g, o once"),
            (["i", "f", "c", "o"], "Keras's c, is `g`"),
        ],
    )
    def test_with_a_wrong_gate_order(self, refused, small, order, hint):
        small.lstm["gate_order"] = order
        error = refused()
        assert "layers[1].lstm.gate_order" in error
        assert hint in error

    def test_without_a_gate_order(self, refused, small):
        del small.lstm["gate_order"]
        assert "`gate_order` is missing" in refused()

    def test_with_an_unknown_key(self, refused, small):
        small.lstm["gate_ordre"] = ["i", "f", "g", "o"]
        assert "layers[1].lstm: unknown key `gate_ordre`; did you mean `gate_order`?" in refused()

    def test_with_an_unknown_value(self, refused, small):
        small.dense["activation"] = "rellu"
        assert "layers[2].dense.activation: found `rellu`; did you mean `relu`?" in refused()

    def test_that_is_not_there(self, refused, small):
        assert "none.yaml: there is no such file; expected a short YAML" in refused(
            "--mapping", small.folder / "none.yaml"
        )

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("layers: [\n", "line 2: is not valid YAML"),
            ("format: 1\nformat: 1\n", "line 2: is not valid YAML: key `format` stands twice"),
            ("labels: &a [x]\npadding: *a\n", "line 2: .*aliases are not allowed"),
            ("labels: !!python/object/apply:os.system [x]\n", "line 1: is not valid YAML"),
            ("padding: 50\n", "padding: .*, got `int`; its keys are side, length"),
            ("[1, 2]\n", "expected `object`"),
            ("format: 2\n", "format: found `2`"),
            (b"format: 1\nlabels: [\xff]\n", "line 2: byte 0xff is not UTF-8"),
        ],
    )
    def test_that_is_no_mapping(self, refused, small, text, hint):
        assert re.search(hint, refused("--mapping", small.write("bad.yaml", text)))

    def test_with_a_layer_of_two_kinds(self, refused, small):
        small.mapping["layers"][1]["pool"] = "mean"
        assert "layers[1]: found lstm and pool" in refused()

    def test_with_an_output_at_every_step_and_no_word_of_which(self, run, small):
        small.lstm["returns"] = "sequence"
        result = run("explain", small.save(), small.write("in.txt", "not bad\n"))
        assert result.exit_code == 2
        assert "scores at every step; say which" in result.stderr

    def test_with_an_lstm_that_is_fed_no_sequence(self, refused, small):
        small.mapping["layers"].insert(2, {"lstm": copy.deepcopy(small.lstm)})
        assert "layers[2].lstm: the layer before gives no sequence" in refused()

    def test_with_an_embedding_in_the_middle(self, refused, small):
        small.mapping["layers"].insert(2, {"embedding": {"weights": "E"}})
        assert "layers[2].embedding: an embedding comes first" in refused()

    def test_whose_sizes_do_not_meet(self, refused, small):
        small.arrays["E"] = np.ones((5, 4))
        assert "3 features under layout gates_by_features; expected 4" in refused()

    def test_with_a_bias_of_another_length(self, refused, small):
        small.arrays["b"] = np.ones(7)
        assert "`b`: (layers[1].lstm.forward.bias) has 7 values; expected 8" in refused()

    @pytest.mark.parametrize("labels", [["good", "bad"], ["a", "b", "b"]])
    def test_with_labels_that_do_not_fit(self, refused, small, labels):
        small.mapping["labels"] = labels
        assert "labels: " in refused()

    @pytest.mark.parametrize(
        ("padding", "hint"),
        [
            ({"side": "post"}, "padding.length is missing"),
            ({"length": -1}, "padding.length: found -1"),
            ({"length": 10**12}, "padding.length: found 1000000000000; expected 0 to 1,000,000"),
            ({"length": 9, "value": 5}, "padding.value: found 5.0; expected a token id from 0"),
            ({"length": 9, "value": 1e300}, "padding.value: found 1e+300; expected a number"),
            ({"length": 9, "value": 0.5}, "padding.value: found 0.5; expected a token id from 0"),
        ],
    )
    def test_with_padding_that_cannot_be(self, refused, small, padding, hint):
        small.mapping["padding"] = padding
        assert hint in refused()

    @pytest.mark.parametrize("remove", ["[a-", "a{99999999999999}", "(" * 3000])
    def test_whose_remove_is_no_regular_expression(self, refused, small, remove):
        small.mapping["tokens"] = {"remove": remove}
        assert "tokens.remove: `" in refused()

    @pytest.mark.parametrize("value", [".inf", ".nan"])
    def test_whose_forget_bias_is_not_finite(self, refused, small, value):
        small.lstm["forget_bias"] = float(value.removeprefix("."))
        assert "layers[1].lstm.forget_bias: found" in refused()

    @pytest.mark.parametrize(("layer", "key"), [("lstm", "recurrent"), ("dense", "weights")])
    def test_that_names_no_dataset(self, refused, small, layer, key):
        spec = small.lstm["forward"] if layer == "lstm" else small.dense
        spec[key] = []
        assert f"{key}: names no dataset" in refused()

    def test_with_very_many_keys_is_read_in_no_time(self, refused, small):
        many = "".join(f"key{number}: 1\n" for number in range(40_000))
        assert "unknown key `key0`" in refused("--mapping", small.write("many.yaml", many))


class TestVocabulary:
    @pytest.mark.parametrize(
        ("vocabulary", "hint"),
        [
            ("the\nfilm\nis\nnot\n", "ids up to 3, the embedding has 5 rows"),
            ("the\nfilm\nis\nnot\nbad\ngood\n", "ids up to 5, the embedding has 5 rows"),
            ("the\nfilm\nis\nthe\nbad\n", "token `the` stands for id 0 and for id 3"),
        ],
    )
    def test_that_does_not_fit_the_embedding(self, refused, small, vocabulary, hint):
        small.vocabulary = vocabulary
        assert hint in refused()

    @pytest.mark.parametrize(
        ("document", "hint"),
        [
            ('{"the": 0, "film": 1, "is": 2, "not": 3, "bad": 3}', "id 3 is both `not` and `bad`"),
            ('{"the": "0"}', "token `the` has id '0'"),
            ('{"the": 0,', "is not valid JSON"),
            ('{"the": 0, "the": 1, "film": 2}', "key `the` stands twice"),
            ('["\\ud800", "b", "c", "d", "e"]', "half a surrogate pair"),
            ("3", "expected a JSON object"),
        ],
    )
    def test_in_json_that_is_wrong(self, refused, small, document, hint):
        small.mapping["vocabulary"] = "vocab.json"
        small.write("vocab.json", document)
        assert hint in refused()

    def test_that_is_not_there(self, refused, small):
        small.mapping["vocabulary"] = "words.txt"
        error = refused()
        assert "words.txt: there is no such file; expected a vocabulary" in error
        assert "no dataset `words.txt`" in error

    def test_without_the_unknown_token_it_should_have(self, refused, small):
        small.mapping["tokens"] = {"unknown": "<unk>"}
        assert "has no token `<unk>`, which tokens.unknown names" in refused()


class TestInput:
    @pytest.mark.parametrize(
        ("name", "content", "arguments", "hint"),
        [
            ("empty.txt", "", [], "empty.txt: is empty; expected at least one sequence"),
            ("in.txt", "the film\nthe dog\n", [], "in.txt: line 2: token `dog` is not among"),
            ("in.txt", b"the\nfilm \xe9\n", [], r"line 2: byte 6 \(0xe9\) is not UTF-8"),
            ("in.txt", "1 2\n3 5\n", ["--ids"], "line 2: token id 5 is out of range.* 0 to 4"),
            ("in.txt", "1 2\n3 -1\n", ["--ids"], "line 2: token id -1 is out of range"),
            ("in.txt", "1 two\n", ["--ids"], "line 1: found `two`; with --ids"),
            ("in.txt", "the film\n", ["--labelled"], "line 1: found no tab"),
            ("in.txt", "7\tthe\n", ["--labelled"], "line 1: label `7`; expected .* 0 to 2"),
            ("in.jsonl", '{"text": "the"}\n{"text"\n', [], "line 2: is not JSON"),
            ("in.jsonl", '{"words": "the"}\n', [], "line 1: has neither `tokens` nor `text`"),
            ("in.jsonl", '{"tokens": [9]}\n', [], "line 1: token id 9 is out of range"),
            ("in.jsonl", '{"tokens": 3}\n', [], "line 1: Expected"),
            ("in.jsonl", '{"tokens": [9223372036854775808]}\n', [], "is out of range"),
            ("in.txt", "1 9223372036854775808\n", ["--ids"], "is out of range"),
            ("in.csv", "sequence,step,x\n0,0,1\n", [], "numeric series, and the model takes tok"),
            (
                "in.txt.gz",
                b"\x1f\x8b\x08\x00broken",
                [],
                "cannot be read to its end: .*; is it whole?",
            ),
            (
                "in.txt.gz",
                b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 70_000,
                [],
                "cannot be read to its end: a name in a header does not end",
            ),
            ("in.csv", "film,a;b\r1,2;3\n1,2;3\n", ["--text", "film"], "give --delimiter"),
        ],
    )
    def test_that_cannot_be_used(self, refused, small, name, content, arguments, hint):
        assert re.search(hint, refused(*arguments, input=small.write(name, content)))

    def test_that_is_not_there(self, refused, small):
        assert "there is no such input file" in refused(input=small.folder / "none.txt")
        assert "no such input file; a sentence is given by --text" in refused(input="A fine film")

    def test_that_is_a_sentence(self, refused):
        problem = "not bad: there is no such input file; a sentence is given by --text"
        assert problem in refused(input="not bad")

    def test_that_is_a_directory(self, refused, small):
        assert "is a directory; expected a file" in refused(input=small.folder)

    def test_of_words_without_a_vocabulary(self, refused, small):
        del small.mapping["vocabulary"]
        assert "names no `vocabulary`; add one, for instance by --set vocabulary=FILE" in refused()

    def test_that_ends_badly_is_explained_up_to_there(self, run, small):
        """On standard output, nothing that was read before the error is lost."""
        sentences = small.write("in.txt", "the film\nis bad\nthe dog\n")
        result = run("explain", small.save(), sentences)
        assert result.exit_code == 3
        assert [line.split("\t")[:3] for line in result.stdout.splitlines()[1:]] == [
            ["0", "0", "the"],
            ["0", "1", "film"],
            ["1", "0", "is"],
            ["1", "1", "bad"],
        ]

    def test_whose_scores_overflow(self, refused, small):
        small.arrays["V"][:] = 1e308
        small.arrays["U"][:] = small.arrays["W"][:] = 50.0
        small.arrays["E"][:] = 1.0
        assert "sequence 0: its scores overflow; are the weights right" in refused()


class TestSeries:
    """Numeric series for a model without an embedding."""

    @pytest.fixture
    def small(self, small):
        small.mapping = {"layers": [{"lstm": small.lstm}, {"dense": small.dense}]}
        return small

    @pytest.mark.parametrize(
        ("content", "hint"),
        [
            ("4,5,6\n1,2,3\n", "line 1: found numbers, `4,5,6`; expected a first line with the na"),
            ("sequence,step,x,y\n0,0,1,2\n", r"has 2 features \(x, y\); the model takes 3"),
            (
                "sequence,step,x,y,z\n0,0,1,2\n",
                "line 2: has 4 fields, parted by a comma; expected 5",
            ),
            (
                "sequence,step,x,y,z\n0,0,1,2,three\n",
                "line 2: sequence 0, step 0: `z` is `three`; expected a number",
            ),
            (
                "sequence,step,x,y,z\n0,0,1,2,nan\n",
                r"line 2: sequence 0, step 0: `z` is missing \(nan\); expected a finite number",
            ),
            (
                "sequence,step,x,y,z\n0,1,1,2,3\n0,0,1,2,3\n",
                "line 3: sequence 0: `step` is 0 after 1; sort the rows by",
            ),
            (
                "sequence,step,x,y,z\n0,0,1,2,3\n1,0,1,2,3\n0,1,1,2,3\n",
                "line 4: sequence 0 goes on after another",
            ),
            ("sequence,step,x,y,z\n", "is empty"),
            ("", "is empty"),
            ("sequence,step,x,y,z\n0,nan,1,2,3\n", "line 2: sequence 0: `step` is missing"),
            ("sequence,step,x,x,z\n0,0,1,2,3\n", "has 2 columns `x`; rename all of them but one"),
            (
                "sequence,step,x,y,z\n0,0,1,2," + "3" * 200_000,
                "line 2: sequence 0, step 0: `z` is `3{40}`; expected a finite",
            ),
        ],
    )
    def test_csv_that_cannot_be_used(self, refused, small, content, hint):
        assert re.search(hint, refused(input=small.write("in.csv", content)))

    @pytest.mark.parametrize(
        ("array", "hint"),
        [
            (np.ones((2, 5, 4)), r"shape \(2, 5, 4\); expected \(sequences, steps, 3\)"),
            (np.ones((2, 5, 3, 1)), r"has shape \(2, 5, 3, 1\); expected \(sequences, steps, 3\)"),
            (np.array([["a"]]), "holds <U1 elements; expected numbers"),
            (np.full((1, 2, 3), np.inf), "feature `feature_0` is inf at step 0"),
        ],
    )
    def test_array_that_cannot_be_used(self, refused, small, array, hint):
        np.save(small.folder / "in.npy", array)
        assert re.search(hint, refused(input=small.folder / "in.npy"))

    def test_array_of_pickled_objects(self, refused, small):
        np.save(small.folder / "in.npy", np.array([{}], dtype=object), allow_pickle=True)
        assert "pickled objects are never executed" in refused(input=small.folder / "in.npy")

    @pytest.mark.parametrize("header", [b"{'shape': (2,", b"{(", b"\xff\xfe", b"'"])
    def test_array_with_a_damaged_header(self, refused, small, header):
        np.save(small.folder / "in.npy", np.ones((1, 2, 3)))
        data = (small.folder / "in.npy").read_bytes()
        damaged = small.write("in.npy", data[:10] + header.ljust(118) + data[128:])
        assert "in.npy: is not a whole .npy file" in refused(input=damaged)

    def test_arrays_on_standard_input_are_called_so(self, run, small):
        result = run("explain", small.save(), "-", input=b"PK\x03\x04 and no more")
        assert result.exit_code == 3
        assert result.stderr.startswith("lrp: standard input: is not a whole NPZ file")

    @pytest.mark.parametrize("names", [["p", "q"], ["p", "q", "r", "s"]])
    def test_json_lines_that_name_other_features_than_they_have(self, refused, small, names):
        line = json.dumps({"values": [[1, 2, 3]], "features": names})
        error = refused(input=small.write("in.jsonl", line + "\n"))
        assert f"line 1: names {len(names)} features; its steps have 3 values" in error

    def test_an_archive_that_is_called_an_array(self, refused, small):
        np.savez(small.folder / "in.npz", x=np.ones((1, 2, 3)))
        (small.folder / "in.npz").rename(small.folder / "in.npy")
        assert "is a .npz file by what is in it; call it so" in refused(
            input=small.folder / "in.npy"
        )

    def test_text(self, refused):
        assert "is text, and the model takes 3 numbers a step" in refused()


class TestHostileHdf5:
    @pytest.fixture
    def hdf5(self, small):
        path = small.folder / "model.h5"
        small.save()
        with h5py.File(path, "w") as file:
            for name, array in small.arrays.items():
                file[name] = array
        return path

    def test_link_to_another_file(self, refused, hdf5):
        with h5py.File(hdf5, "a") as file:
            del file["W"]
            file["W"] = h5py.ExternalLink("/etc/passwd", "/W")
        assert "external links are not followed" in refused(model=hdf5)

    def test_data_kept_in_another_file(self, refused, hdf5, small):
        raw = small.write("raw.bin", small.arrays["W"].tobytes())
        with h5py.File(hdf5, "a") as file:
            del file["W"]
            file.create_dataset("W", (8, 3), "f8", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        assert "keeps its data in other files" in refused(model=hdf5)

    def test_dataset_that_claims_more_than_any_machine_has(self, refused, hdf5):
        with h5py.File(hdf5, "a") as file:
            del file["W"]
            file.create_dataset("W", (2**40, 2**17), "f8", chunks=(1024, 128))
        assert "W: claims 1,152,921,504,606,847,224 bytes with the others" in refused(model=hdf5)

    def test_texts_that_claim_more_than_the_file_has(self, refused, hdf5, small):
        with h5py.File(hdf5, "a") as file:
            file.create_dataset("words", (2_000_000,), "S5000", chunks=(1000,))
        small.mapping["vocabulary"] = "words"
        small.save()
        assert "words: claims 10,000,000,000 bytes" in refused(model=hdf5)

    def test_dataset_of_nothing(self, refused, hdf5):
        with h5py.File(hdf5, "a") as file:
            del file["W"]
            file["W"] = h5py.Empty("f8")
        assert "W: is empty; expected numbers" in refused(model=hdf5)

    def test_group_that_contains_itself(self, run, hdf5, small):
        with h5py.File(hdf5, "a") as file:
            file.create_group("loop")["again"] = file["/"]
        sentences = small.write("sentences.txt", SENTENCE)
        assert run("explain", hdf5, sentences).exit_code == 0


def test_npz_that_unfolds_without_end_is_not_read(refused, small):
    small.arrays["E"] = np.zeros((2**22, 4))
    small.save()
    np.savez_compressed(small.path, **small.arrays)
    assert "claims 134,217,728 bytes" in refused(model=small.path)


def test_an_output_that_cannot_be_written_is_an_error(run, small):
    sentences = small.write("sentences.txt", SENTENCE)
    result = run("explain", small.save(), sentences, "-o", small.folder / "none" / "out.tsv")
    assert result.exit_code == 3
    assert "cannot be written" in result.stderr


def test_lrp_debug_shows_the_traceback(run, small, monkeypatch):
    monkeypatch.setenv("LRP_DEBUG", "1")
    result = run("explain", small.folder / "none.h5", "-")
    assert result.exception is not None
    assert "no such model file" in str(result.exception)
