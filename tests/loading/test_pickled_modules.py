"""PyTorch's files before 1.6 and whole pickled modules are read, and nothing of them is run."""

import os
import pickle
import random
import re
import struct
import time
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from torch_files import (
    Called,
    Instance,
    Rebuild,
    matrix,
    module,
    old_parts,
    save,
    save_old,
    weights,
)

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.torch.file import TorchFile

EMBEDDING, LSTM, LINEAR = (
    f"torch.nn.modules.{name}" for name in ("sparse.Embedding", "rnn.LSTM", "linear.Linear")
)
SEQUENTIAL = "torch.nn.modules.container.Sequential"
WRITERS = {"zip": save, "before 1.6": save_old}


def parts_of(state, prefix):
    """The tensors of one module."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def net(state, **others):
    """The module of `weights`, as a script's class keeps it."""
    lstm = {"input_size": 3, "hidden_size": 2, "num_layers": 1, "batch_first": True}
    return module(
        "script.Net",
        modules={
            "embedding": module(
                EMBEDDING, parts_of(state, "embedding."), num_embeddings=5, embedding_dim=3
            ),
            "lstm": module(LSTM, parts_of(state, "lstm."), **lstm, bidirectional=False),
            "fc": module(LINEAR, parts_of(state, "fc."), in_features=2, out_features=3),
        },
        **others,
    )


@pytest.fixture
def ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("1 2 3 4\n0 2\n")
    return path


@pytest.fixture
def explained(run, ids):
    def explain(model):
        result = run("explain", model, ids, "--ids", "--format", "tsv")
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return explain


@pytest.fixture
def refusal(run, ids):
    def explain(model):
        result = run("explain", model, ids, "--ids")
        assert result.exit_code == 3, result.output
        assert "Traceback" not in result.output
        assert len(result.stderr.splitlines()) == 1
        return result.stderr

    return explain


class TestFilesBefore16:
    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda state: state,
            lambda state: {"epoch": 3, "model_state_dict": OrderedDict(state)},
            lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        ],
        ids=["state dict", "checkpoint", "DataParallel"],
    )
    def test_say_what_those_since_do(self, explained, tmp_path, wrap, protocol):
        since = explained(save(tmp_path / "since.pt", weights()))
        assert explained(save_old(tmp_path / "old.pt", weights(), wrap, protocol)) == since

    def test_storages_may_be_parts_of_others(self, tmp_path):
        """As old PyTorch saved the weights of one LSTM, which lie side by side."""
        state = weights()
        places = np.cumsum([0, *(array.size for array in state.values())]).tolist()
        whole = {"0": np.concatenate([array.ravel() for array in state.values()])}

        def wrap(_):
            each = zip(state.items(), places, strict=False)
            return {n: Rebuild("0", a, (f"v{at}", at, a.size)) for (n, a), at in each}

        with TorchFile(save_old(tmp_path / "old.pt", whole, wrap)) as file:
            for name, array in state.items():
                np.testing.assert_array_equal(file.read(name), array)

    def test_a_tensor_beyond_its_part_of_the_numbers_is_refused(self, refusal, tmp_path):
        path = save_old(
            tmp_path / "old.pt",
            {"0": matrix(99)},
            lambda _: {"lstm.weight_ih_l0": Rebuild("0", matrix(8, 3), ("v", 2, 23))},
        )
        problem = "reaches to element 25 of a storage of 25"
        with TorchFile(path) as file, pytest.raises(UnusableInput, match=problem):
            file.read("lstm.weight_ih_l0")

    def test_text_may_be_of_python_2(self, explained, tmp_path):
        since = explained(save(tmp_path / "since.pt", weights()))
        parts = old_parts(weights())
        long = re.compile(rb"X(.\0\0\0)([\w.]+)", re.DOTALL)
        renamed = long.sub(lambda m: b"U" + m[1][:1] + m[2], parts[3])
        assert len(renamed) < len(parts[3])
        (tmp_path / "old.pt").write_bytes(b"".join([*parts[:3], renamed, *parts[4:]]))
        assert explained(tmp_path / "old.pt") == since

    @pytest.mark.parametrize("kept", range(1, 12))
    def test_what_is_cut_short_is_refused(self, refusal, tmp_path, kept):
        path = tmp_path / "old.pt"
        path.write_bytes(b"".join(old_parts(weights())[:kept]))
        error = refusal(path)
        assert "damaged pickle" in error if kept < 5 else "ends before its storage" in error

    @pytest.mark.parametrize(
        ("count", "message"),
        [
            (2**40, "claims 4,398,046,511,104 bytes"),
            (2**62, "claims 18,446,744,073,709,551,616 bytes"),
            (-1, "claims -4 bytes"),
        ],
    )
    def test_a_storage_that_claims_more_is_refused(self, refusal, tmp_path, count, message):
        parts = old_parts(weights())
        parts[-1] = struct.pack("<q", count) + parts[-1][8:]
        (tmp_path / "old.pt").write_bytes(b"".join(parts))
        assert message in refusal(tmp_path / "old.pt")

    @pytest.mark.parametrize(
        ("at", "value", "message"),
        [
            (1, 1002, "begins with version 1002; expected PyTorch's format of 1001"),
            (4, ["0"], "does not list its storage `1`"),
            (4, ["7"], "lists a storage that no tensor is of"),
            (4, [["0"]], "lists a storage that no tensor is of"),
            (4, 5, "does not list its storage `0`"),
        ],
    )
    def test_other_contents_are_refused(self, refusal, tmp_path, at, value, message):
        parts = old_parts(weights())
        parts[at] = pickle.dumps(value, 2)
        (tmp_path / "old.pt").write_bytes(b"".join(parts))
        assert message in refusal(tmp_path / "old.pt")

    def test_numbers_of_another_kind_are_stepped_over(self, explained, tmp_path):
        """A checkpoint may hold such as a state of random numbers beside the model."""
        since = explained(save(tmp_path / "since.pt", weights()))
        state = {"a": matrix(4), **weights()}
        parts = old_parts(state, lambda state: {"a": state.pop("a"), "model": state})
        parts[3] = parts[3].replace(b"FloatStorage", b"ComplexFloatStorage", 1)
        parts[5] = struct.pack("<q", 4) + bytes(4 * 8)
        (tmp_path / "old.pt").write_bytes(b"".join(parts))
        # The class is named once more for every tensor: only the first is another.
        assert explained(tmp_path / "old.pt") == since

    def test_numbers_of_an_unknown_size_are_refused(self, refusal, tmp_path):
        parts = old_parts(weights())
        parts[3] = parts[3].replace(b"FloatStorage", b"OtherStorage")
        (tmp_path / "old.pt").write_bytes(b"".join(parts))
        assert "has numbers in a `torch.OtherStorage`" in refusal(tmp_path / "old.pt")

    def test_damage_is_refused_or_changes_numbers(self, tmp_path):
        rng, whole, refused = random.Random(0), b"".join(old_parts(weights(), net)), 0
        path = tmp_path / "old.pt"
        for _ in range(300):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(40, len(data))] = rng.randrange(256)
            path.write_bytes(data)
            try:
                with TorchFile(path) as file:
                    for name in file.datasets:
                        file.read(name)
            except UnusableInput:
                refused += 1
        assert 100 < refused < 300  # numbers may be any


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
class TestWholeModules:
    @pytest.mark.parametrize(
        "wrap",
        [
            net,
            lambda state: {"epoch": 3, "model": net(state), "optimizer": {"lr": 0.1}},
            lambda state: [net(state), module("torch.nn.modules.loss.CrossEntropyLoss")],
            lambda state: {"best": state["fc.bias"], "classifier": net(state)},
            lambda state: module(
                "torch.nn.parallel.data_parallel.DataParallel", modules={"module": net(state)}
            ),
            lambda state: Instance("fastai.learner.Learner", lr=0.1, model=net(state)),
            lambda state: net(state, words=Instance("script.Words"), act=Instance("math.tanh")),
        ],
        ids=["module", "model", "list", "by any name", "DataParallel", "Learner", "attributes"],
    )
    def test_say_what_their_state_dict_does(self, explained, tmp_path, write, wrap):
        plain = explained(save(tmp_path / "plain.pt", weights()))
        assert explained(write(tmp_path / "whole.pt", weights(), wrap)) == plain

    def test_are_listed_with_their_settings(self, tmp_path, write):
        with TorchFile(write(tmp_path / "whole.pt", weights(), net)) as file:
            found = {each.path: each for each in file.modules}
            assert list(found) == ["", "embedding", "lstm", "fc"]
            assert found["lstm"].kind == LSTM
            assert found["lstm"].settings["batch_first"] is True
            assert list(file.datasets) == list(weights())

    def test_buffers_are_as_in_a_state_dict(self, tmp_path, write):
        def wrap(state):
            held = {name: state[name] for name in ("kept", "passing")}
            return module(
                "script.Net",
                {"weight": state["weight"], "bias": None},
                buffers=held,
                _non_persistent_buffers_set={"passing"},
            )

        state = {name: matrix(3) for name in ("weight", "kept", "passing")}
        with TorchFile(write(tmp_path / "whole.pt", state, wrap)) as file:
            assert list(file.datasets) == ["weight", "kept"]

    def test_parameters_of_old_are_tensors(self, tmp_path, write):
        """Before 1.0 a parameter was made by its class, with a state of its own."""

        def wrap(state):
            kind = "torch.nn.parameter.Parameter"
            made = Called(kind, state["weight"], True, state=(True, False, OrderedDict()))
            return module(LINEAR, {"weight": made})

        path = write(tmp_path / "whole.pt", {"weight": matrix(3)}, wrap)
        with TorchFile(path) as file:
            np.testing.assert_array_equal(file.read("weight"), matrix(3))

    def test_a_module_under_several_names_is_one(self, tmp_path, write):
        def wrap(state):
            first, second = (module(LINEAR, {"weight": state[name]}) for name in "ab")
            relu = module("torch.nn.modules.activation.ReLU")
            chain = module(
                SEQUENTIAL, modules=dict(zip("0123", (first, relu, second, relu), strict=True))
            )
            return module("script.Net", modules={"fc1": first, "seq": chain, "fc3": second})

        with TorchFile(write(tmp_path / "whole.pt", {n: matrix(2, 2) for n in "ab"}, wrap)) as file:
            assert list(file.datasets) == ["seq.0.weight", "seq.2.weight"]
            found = [each.path for each in file.modules]
            assert found == ["", "seq", "seq.0", "seq.1", "seq.2", "seq.3"]

    def test_a_module_that_holds_itself_is_read(self, explained, tmp_path, write):
        def wrap(state):
            whole = net(state)
            whole.attributes["_modules"]["me"] = whole
            return whole

        plain = explained(save(tmp_path / "plain.pt", weights()))
        assert explained(write(tmp_path / "whole.pt", weights(), wrap)) == plain

    def test_a_module_with_what_is_no_tensor_is_refused(self, refusal, tmp_path, write):
        def wrap(state):
            return net(state | {"fc.weight": Instance("torch._utils._rebuild_qtensor")})

        error = refusal(write(tmp_path / "whole.pt", weights(), wrap))
        assert "`torch._utils._rebuild_qtensor` as `fc.weight`, which is not executed" in error

    def test_quantized_modules_are_refused_by_name(self, refusal, tmp_path, write):
        kind = "torch.ao.nn.quantized.dynamic.modules.linear.Linear"

        def wrap(state):
            whole = net(state)
            whole.attributes["_modules"]["fc"] = module(kind)
            return whole

        error = refusal(write(tmp_path / "whole.pt", weights(), wrap))
        assert f"has `{kind}` as `fc`, whose weights are quantized; save the model" in error

    def test_a_darts_model_says_where_its_weights_are(self, refusal, tmp_path, write):
        kind = "darts.models.forecasting.rnn_model.RNNModel"
        error = refusal(write(tmp_path / "whole.pt", weights(), lambda _: Instance(kind, n=3)))
        assert "without its weights, which darts keeps in a file beside it" in error

    @pytest.mark.parametrize("place", ["attribute", "parameter", "module", "whole", "state"])
    def test_nothing_is_run(self, run, ids, tmp_path, write, place):
        class Attack:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path}/executed",)

        def wrap(state):
            whole, attack = net(state, callback=Attack()), Attack()
            held = whole.attributes
            match place:
                case "parameter":
                    held["_modules"]["fc"].attributes["_parameters"]["weight"] = attack
                case "module":
                    held["_modules"]["relu"] = attack
                case "whole":
                    return attack
                case "state":
                    whole.attributes = attack
            return whole

        write(tmp_path / "whole.pt", weights(), wrap)
        result = run("explain", tmp_path / "whole.pt", ids, "--ids")
        assert result.exit_code == (0 if place in ("attribute", "module") else 3)
        assert "Traceback" not in result.output
        assert not (tmp_path / "executed").exists()


def save_pickle(path, payload):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + payload + b".")
    return path


def text(name):
    return b"X" + struct.pack("<I", len(name)) + name


def chained(levels, *, twice=False):
    """Modules that hold one another, each the next under one name or two."""
    end = b"cm\nM\n)\x81}(" + text(b"_parameters") + b"}" + text(b"_modules") + b"}ub"
    payload = end
    for _ in range(levels):
        names = b"q\x00" + text(b"a") + b"h\x00" + (text(b"b") + b"h\x00") * twice
        held = text(b"_modules") + b"}(" + names + b"u"
        payload += (
            b"q\x000cm\nM\n)\x81}("
            + text(b"_parameters")
            + b"}"
            + held.replace(b"q\x00", b"", 1)
            + b"ub"
        )
    return payload


class TestHostileModules:
    def test_deep_nesting_is_refused(self, tmp_path):
        path = save_pickle(tmp_path / "m.pt", chained(5000))
        with pytest.raises(UnusableInput, match="nests its modules deeper than 100"):
            TorchFile(path)

    def test_modules_that_share_all_others_are_read_once(self, tmp_path):
        """Each has the next under two names: 2 ** 90 places."""
        path = save_pickle(tmp_path / "m.pt", chained(90, twice=True))
        began = time.process_time()
        with pytest.raises(UnusableInput, match="holds no tensors"):
            TorchFile(path)
        assert time.process_time() - began < 5

    def test_sequences_that_run_all_others_again_are_refused(self, tmp_path):
        payload = chained(90, twice=True).replace(
            b"cm\nM\n", b"ctorch.nn.modules.container\nSequential\n"
        )
        began = time.process_time()
        with pytest.raises(UnusableInput, match="names more than a file of its size"):
            TorchFile(save_pickle(tmp_path / "m.pt", payload))
        assert time.process_time() - began < 5

    @pytest.mark.parametrize("named", ["modules", "parameters", "settings", "documents"])
    def test_one_thing_named_again_and_again_takes_no_memory(self, tmp_path, named):
        """A file of half a megabyte whose names would take gigabytes, or hours."""
        count = 8_000
        empty = b"cm\nM\n)\x81}(" + text(b"_parameters") + b"h\x01" + text(b"_modules") + b"}ub"
        long = text(b"n" * 200_000) + b"q\x000"
        tensor = (
            b"ctorch._utils\n_rebuild_tensor_v2\n((" + text(b"storage") + b"ctorch\nFloatStorage\n"
            + text(b"0") + text(b"cpu") + b"K\x01tQK\x00))\x89}tRq\x020"
        )  # fmt: skip
        match named:
            case "modules":  # all with the same long name, each in another module
                payload = long + b"}q\x010"
                inner = b"".join(
                    text(str(k).encode())
                    + b"cm\nM\n)\x81}(" + text(b"_parameters") + b"h\x01" + text(b"_modules")
                    + b"}h\x00" + empty + b"sub"
                    for k in range(count // 10)
                )  # fmt: skip
            case "parameters":  # one dict of many tensors for all modules
                held = b"".join(text(str(k).encode()) + b"h\x02" for k in range(count))
                payload = tensor + b"}q\x01(" + held + b"u0"
                inner = b"".join(text(str(k).encode()) + empty for k in range(count // 4))
            case "settings":  # one dict of many attributes for all modules
                held = b"".join(text(str(k).encode()) + b"K\x01" for k in range(count))
                parts = text(b"_parameters") + b"}" + text(b"_modules") + b"}"
                payload = b"}q\x01(" + parts + held + b"u0"
                each = b"cm\nM\n)\x81h\x01b"
                inner = b"".join(text(str(k).encode()) + each for k in range(count))
            case "documents":
                payload = long
                each = b"}h\x00}h\x00]ss"
                inner = b"".join(text(str(k).encode()) + each for k in range(count // 10))
        payload += b"}(" + inner + b"u"
        if named != "documents":
            payload = (
                payload + b"q\x030cm\nM\n)\x81}(" + text(b"_parameters") + b"}" + text(b"_modules")
                + b"h\x03ub"
            )  # fmt: skip
        path = save_pickle(tmp_path / "m.pt", payload)
        assert path.stat().st_size < 2_000_000
        tracemalloc.start()
        began = time.process_time()
        try:
            with pytest.raises(UnusableInput, match="names more than a file of its size"):
                TorchFile(path)
            assert tracemalloc.get_traced_memory()[1] < 150_000_000
        finally:
            tracemalloc.stop()
        assert time.process_time() - began < 20

    def test_attributes_set_again_and_again_take_no_memory(self, tmp_path):
        many = b"}q\x00(" + b"".join(text(str(k).encode()) + b"N" for k in range(1000)) + b"u0"
        payload = many + b"cm\nM\n)\x81" + b"h\x00b" * 50_000
        with pytest.raises(UnusableInput, match="copies more values than it holds"):
            TorchFile(save_pickle(tmp_path / "m.pt", payload))


class TestComputedWeights:
    """What PyTorch computes of other tensors whenever it runs is computed as it does."""

    @pytest.mark.parametrize(
        ("length", "direction"),
        [
            ("fc.weight_g", "fc.weight_v"),
            ("fc.parametrizations.weight.original0", "fc.parametrizations.weight.original1"),
        ],
    )
    @pytest.mark.parametrize("shape", [(3, 1), (1, 2), ()], ids=["rows", "columns", "whole"])
    def test_weight_normalization(self, explained, tmp_path, length, direction, shape):
        state = weights()
        v, g = state["fc.weight"].astype(float), matrix(*shape, seed=1)
        axes = {(3, 1): 1, (1, 2): 0, (): (0, 1)}[shape]
        norms = np.sqrt((v**2).sum(axis=axes, keepdims=True))
        plain = explained(
            save(tmp_path / "plain.pt", state | {"fc.weight": (v / norms * g).astype(np.float32)})
        )
        v = state.pop("fc.weight")
        path = save(tmp_path / "m.pt", state | {length: np.float32(g), direction: v})
        assert explained(path) == plain

    def test_pruned_weights(self, explained, tmp_path):
        state = weights()
        mask = (matrix(3, 2, seed=2) > 0).astype(np.float32)
        plain = explained(
            save(tmp_path / "plain.pt", state | {"fc.weight": mask * state["fc.weight"]})
        )
        others = {"fc.weight_orig": state.pop("fc.weight"), "fc.weight_mask": mask}
        assert explained(save(tmp_path / "m.pt", state | others)) == plain

    @pytest.mark.parametrize("stale", [True, False])
    @pytest.mark.parametrize("raw", ["lstm.weight_hh_l0_raw", "lstm.module.weight_hh_l0_raw"])
    def test_weights_with_dropout_are_those_without_it(self, run, ids, tmp_path, raw, stale):
        """Of AWD-LSTM by fastai and by Salesforce: what was dropped last may be kept beside."""
        state = {k.replace("lstm.", "lstm.module."): v for k, v in weights().items()}
        plain = run("explain", save(tmp_path / "plain.pt", state), ids, "--ids")
        assert plain.exit_code == 0
        state[raw] = state["lstm.module.weight_hh_l0"]
        if stale:
            state["lstm.module.weight_hh_l0"] = state[raw] * 2
        else:
            del state["lstm.module.weight_hh_l0"]
        found = run("explain", save(tmp_path / "m.pt", state), ids, "--ids")
        assert found.stdout == plain.stdout

    @pytest.mark.parametrize(
        "others",
        [
            {"fc.weight_orig": matrix(3, 2), "fc.weight_u": matrix(3), "fc.weight_v": matrix(2)},
            {"fc.parametrizations.weight.original": matrix(3, 2)},
            {"fc.parametrizations.weight.original0": matrix(2), "fc.other": matrix(2)},
        ],
        ids=["spectral", "parametrized", "half"],
    )
    def test_others_are_refused_by_name(self, refusal, tmp_path, others):
        state = weights()
        del state["fc.weight"]
        error = refusal(save(tmp_path / "m.pt", state | others))
        assert f"{next(iter(others))}: is what PyTorch computes a weight of" in error
