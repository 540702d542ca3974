"""Programs of torch.export are read without torch, and nothing in them is executed."""

import json
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from damage import damaged
from models import TESTS

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput

GOLDEN = TESTS / "golden" / "torch_export"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
PROGRAM, CONFIG = "models/model.json", "data/weights/model_weights_config.json"
STRANGE = (None, -1, 2**70, 1e300, "x", [], {}, [[]], [None], {"as_int": -1}, True, [2**40] * 3)
MEMORY = 200 * 2**20


@pytest.fixture(scope="module")
def members():
    """What today's file holds, by its names without the folder."""
    with zipfile.ZipFile(GOLDEN / "today.pt2") as archive:
        return {name.removeprefix("model/"): archive.read(name) for name in archive.namelist()}


@pytest.fixture
def write(tmp_path):
    def write(members, compression=zipfile.ZIP_STORED):
        path = tmp_path / "model.pt2"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in members.items():
                archive.writestr(f"model/{name}", data)
        return path

    return write


def probabilities(path):
    model = lrp.load(path)
    scores = np.stack([each.scores for each in lrp.predict(model, map(np.array, EXPECTED["ids"]))])
    powers = np.exp(scores)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("name", ["today", "legacy", "before"])
def test_each_form_has_the_scores_that_torch_gives(name):
    found = probabilities(GOLDEN / f"{name}.pt2")
    assert np.abs(found - EXPECTED["probabilities"]).max() < 1e-12


def test_datasets_have_the_names_of_the_state_dict(run):
    result = run("inspect", GOLDEN / "today.pt2")
    assert result.exit_code == 0
    for name in ("embedding.weight", "lstm.weight_hh_l0_reverse", "fc.bias"):
        assert name in result.output


def test_a_compiled_package_is_refused_by_its_name():
    with pytest.raises(UnusableInput, match="package of AOTInductor: compiled code"):
        lrp.load(GOLDEN / "aotinductor.pt2")


def test_numbers_of_the_other_byte_order_are_read(members, write):
    config = json.loads(members[CONFIG])["config"]
    turned = {f"data/weights/{each['path_name']}" for each in config.values()}
    changed = {
        name: np.frombuffer(data, "<f8").astype(">f8").tobytes() if name in turned else data
        for name, data in members.items()
    }
    changed["byteorder"] = b"big"
    assert np.abs(probabilities(write(changed)) - EXPECTED["probabilities"]).max() < 1e-12


def test_pickles_of_examples_and_objects_are_not_looked_at(members, write):
    bomb = b"cos\nsystem\n(S'touch /tmp/lrp_was_here'\ntR."
    changed = members | {"data/sample_inputs/model.pt": bomb, "data/constants/custom_obj_0": bomb}
    config = {"config": {"thing": {"path_name": "custom_obj_0", "use_pickle": True}}}
    changed["data/constants/model_constants_config.json"] = json.dumps(config).encode()
    assert probabilities(write(changed)).shape == (3, 2)
    assert not Path("/tmp/lrp_was_here").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m["sizes"].__setitem__(0, {"as_int": 10**12}), "claims .* bytes in a file of"),
        (lambda m: m["sizes"].__setitem__(0, {"as_int": 1000}), "reaches to element"),
        (lambda m: m["sizes"].append({"as_int": 1}), "3 sizes and 2 strides"),
        (lambda m: m["storage_offset"].update(as_int=-1), "no whole number"),
        (lambda m: m["strides"].__setitem__(0, {"as_int": 2**62}), "reaches to element"),
        (lambda m: m.update(dtype=9), "pickled, or of numbers that NumPy does not have"),
        (lambda m: m["sizes"].__setitem__(0, {"as_expr": {"expr_str": "s0"}}), "no whole number"),
    ],
)
def test_a_tensor_that_claims_too_much(members, write, change, problem):
    config = json.loads(members[CONFIG])
    change(config["config"]["embedding.weight"]["tensor_meta"])
    path = write(members | {CONFIG: json.dumps(config).encode()})
    with pytest.raises(UnusableInput, match=problem):
        lrp.load(path)


def test_a_pickled_tensor_is_refused(members, write):
    config = json.loads(members[CONFIG])
    config["config"]["fc.bias"]["use_pickle"] = True
    with pytest.raises(UnusableInput, match=r"tensor `fc\.bias`: is pickled"):
        lrp.load(write(members | {CONFIG: json.dumps(config).encode()}))


def test_a_tensor_that_is_missing_is_named(members, write):
    config = json.loads(members[CONFIG])
    del config["config"]["fc.bias"]
    with pytest.raises(UnusableInput, match=r"tensor `fc\.bias`: is a part of the graph"):
        lrp.load(write(members | {CONFIG: json.dumps(config).encode()}))


def test_another_version_is_refused_by_its_number(members, write):
    program = json.loads(members[PROGRAM])
    program["schema_version"] = {"major": 5, "minor": 1}
    program["graph_module"] = 7
    with pytest.raises(UnusableInput, match=r"version 5\.1 of PyTorch's schema \(torch 2\.13"):
        lrp.load(write(members | {PROGRAM: json.dumps(program).encode()}))


def test_several_programs_are_refused(members, write):
    program = members[PROGRAM]
    changed = {name: data for name, data in members.items() if name != PROGRAM}
    changed |= {"models/one.json": program, "models/two.json": program}
    with pytest.raises(UnusableInput, match=r"holds 2 programs \(model/models/one\.json"):
        lrp.load(write(changed))


def measured(path):
    """The error of a file, which must take little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UnusableInput) as caught:
            lrp.load(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 10**6,
        b'{"graph_module":' * 10**5,
        b"{" + b'"a":[' * 10**5,
        b'{"schema_version": {"major": 8}, "graph_module": ' + b'{"graph": ' * 10**5,
    ],
)
def test_nesting_without_end(members, write, text):
    assert "is not what torch.export writes" in measured(write(members | {PROGRAM: text}))


def test_a_graph_of_too_many_bytes(members, write):
    assert "lrp reads graphs of at most" in measured(write(members | {PROGRAM: b" " * 9 * 2**20}))


def test_a_graph_of_too_many_nodes(members, write):
    program = json.loads(members[PROGRAM])
    node = {"target": "torch.ops.aten.relu.default", "inputs": [], "outputs": []}
    program["graph_module"]["graph"]["nodes"] += [node] * 10_001
    data = json.dumps(program).encode()
    assert "nodes; lrp follows at most 10,000" in measured(write(members | {PROGRAM: data}))


def test_many_small_values_take_bounded_memory(members, write):
    program = json.loads(members[PROGRAM])
    program["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_tensors": "HERE"}
    text = json.dumps(program).replace('"HERE"', "[" + "[]," * (2 * 10**6) + "[]]")
    assert "torch.export" in measured(write(members | {PROGRAM: text.encode()}))


def test_a_zip_that_unfolds(members, write):
    bomb = members | {PROGRAM: b"[" * 10**8}
    assert "does not compress its files" in measured(write(bomb, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("name", ["today", "legacy", "before"])
def test_damage_is_never_a_bug(tmp_path, name):
    data = (GOLDEN / f"{name}.pt2").read_bytes()
    rng = random.Random(name)
    path = tmp_path / "model.pt2"
    for _ in range(150):
        path.write_bytes(damaged(data, rng))
        refused_or_read(path)


def refused_or_read(path):
    """Whether it is read; else it must be refused."""
    try:
        lrp.load(path)
    except UnusableInput:
        return False
    return True


def test_whatever_the_json_says_is_no_bug(members, write):
    rng = random.Random(4)
    read = 0
    for _ in range(400):
        member = rng.choice([PROGRAM, PROGRAM, CONFIG])
        document = json.loads(members[member])
        for _ in range(rng.choice([1, 1, 2, 5])):
            change_somewhere(document, rng)
        read += refused_or_read(write(members | {member: json.dumps(document).encode()}))
    assert 0 < read < 400  # what is changed need not matter


def change_somewhere(document, rng):
    """Put another value in some place, or take one out."""
    places = []
    pending = [document]
    while pending:
        value = pending.pop()
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], dict | list):
                pending.append(value[key])
    if not places:
        return
    value, key = rng.choice(places)
    other, other_key = rng.choice(places)
    match rng.randrange(3):
        case 0:
            value[key] = rng.choice(STRANGE)
        case 1:
            del value[key]
        case 2:
            value[key] = json.loads(json.dumps(other[other_key]))
