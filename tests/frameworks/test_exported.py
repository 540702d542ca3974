"""`.pt2` of torch.export.save: what torch computes of a module, lrp computes of the file alone.

The file is exported with one batch of one length, and compared at another of another: of a graph
with a recurrent layer PyTorch writes out the number of steps, whatever it is told.
"""

import io

import numpy as np
import pytest

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_modules import MODULES, OF_WORDS, inputs_of, made  # noqa: E402
from torch_scripts import SCRIPTS, STEPS, Written, given, lstm, written  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

# What a head's scores stand before.
ENDS = {
    "linear": lambda scores: scores,
    "sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
    "softmax": lambda scores: np.exp(scores) / np.exp(scores).sum(-1, keepdims=True),
}


# One sequence has no axis of sequences.
ALONE = -2


def exported(module, inputs, path, **settings):
    torch.export.save(torch.export.export(module, tuple(inputs), **settings), path)
    return path


def computed(model, inputs, batch_axis=0):
    """What lrp computes of each sequence of a batch, behind softmax and sigmoid."""
    arrays = [np.moveaxis(each.numpy(), max(batch_axis, 0), 0) for each in inputs]
    sequences = [arrays[0]] if batch_axis == ALONE else list(arrays[0])
    if len(arrays) > 1:
        names = [each.name for each in model.inputs]
        sequences = [dict(zip(names, row, strict=True)) for row in zip(*arrays, strict=True)]
    scores = np.stack([each.scores for each in lrp.predict(model, sequences)])
    return ENDS[model.heads[0].activation](scores)


def expected(module, inputs):
    """The same of torch: all outputs but states side by side, one row a sequence."""
    with torch.no_grad():
        outputs = module(*inputs)
    if isinstance(outputs, dict):
        outputs = torch.cat(list(outputs.values()), -1)
    return (outputs[0] if isinstance(outputs, tuple) else outputs).numpy()


def assert_equal(model, module, inputs, batch_axis=0):
    found, wanted = computed(model, inputs, batch_axis), expected(module, inputs)
    assert np.abs(found.reshape(wanted.shape) - wanted).max() < 1e-10


def example(name):
    """What one of the twelve is exported with."""
    return inputs_of(name, 2)[:, :STEPS]


# Every form of the twelve.
DYNAMIC = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
FORMS = {"static": None, "dynamic": (DYNAMIC,), "named": ({0: torch.export.Dim("batch")},)}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_needs_no_mapping(name, tmp_path):
    module = made(name)
    form = FORMS[list(FORMS)[list(MODULES).index(name) % len(FORMS)]]
    path = exported(module, [example(name)], tmp_path / "model.pt2", dynamic_shapes=form)
    model = lrp.load(path)
    assert_equal(model, module, [inputs_of(name, 5)[:, :STEPS]])
    assert model.takes_tokens == (name in OF_WORDS)
    assert model.by_step == (name in ("tagger", "encoder-decoder"))
    assert model.heads[0].activation == ("sigmoid" if name == "two-lstms" else "linear")
    if name != "encoder-decoder":
        assert_equal(model, module, [inputs_of(name, 4)])


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_forward_is_followed_however_it_is_written(name, tmp_path):
    module = written(name)
    model = lrp.load(exported(module, given(name, 2), tmp_path / "model.pt2"))
    axis = {"time first": 1, "one sequence": ALONE}.get(name, 0)
    assert all(each.padding is None for each in model.inputs)
    for count, steps in ((4, STEPS), (3, 7)):
        inputs = given(name, count, steps)
        if name in (
            "functional",
            "logarithms",
        ):  # lrp's probabilities, where the module gives their logarithms
            found = np.log(computed(model, inputs))
            wanted = expected(module, inputs)
            assert np.abs(found.reshape(wanted.shape) - wanted).max() < 1e-10
        else:
            assert_equal(model, module, inputs, axis)


@pytest.mark.parametrize(("count", "form"), [(1, None), (2, ({0: torch.export.Dim("n")},))])
def test_attention_of_any_number_of_sequences(count, form, tmp_path):
    """Its heads and sequences are laid out in one axis, whose size is written out in part."""
    name = "transformed"
    settings = {} if form is None else {"dynamic_shapes": (form,)}
    path = exported(written(name), given(name, count), tmp_path / "model.pt2", **settings)
    model = lrp.load(path)
    assert model.inputs[0].padding is None
    assert_equal(model, written(name), given(name, 4, 7))


def test_weights_of_attention_beside_the_scores_are_left_out_and_told(tmp_path):
    name = "weights beside"
    model = lrp.load(exported(written(name), given(name, 2), tmp_path / "model.pt2"))
    assert any("weights of attention" in each and "left out" in each for each in model.assumptions)


@pytest.mark.parametrize("name", ["convolved", "normalized"])
def test_core_operators_are_followed_where_layers_are_kept(name, tmp_path):
    """What is left of aten after .run_decompositions() but for recurrent layers."""
    module, table = written(name), torch.export.default_decompositions()
    for each in [each for each in table if "lstm" in str(each)]:
        table.pop(each)
    program = torch.export.export(module, given(name, 2)).run_decompositions(table)
    assert "aten.addmm" in str(program.graph)
    torch.export.save(program, tmp_path / "model.pt2")
    assert_equal(lrp.load(tmp_path / "model.pt2"), module, given(name, 4, 7))


def test_a_number_of_steps_that_the_graph_depends_on_is_told(tmp_path):
    name = "encoder-decoder"
    model = lrp.load(exported(made(name), [example(name)], tmp_path / "model.pt2"))
    assert model.inputs[0].padding.length == STEPS
    assert any(f"depends on the {STEPS} steps" in each for each in model.assumptions)


def test_states_beside_the_scores_are_left_out_and_told(tmp_path):
    name = "with states"
    model = lrp.load(exported(written(name), given(name, 2), tmp_path / "model.pt2"))
    assert len(model.heads) == 1
    assert any("are left out (outputs)" in each for each in model.assumptions)


def test_what_an_example_wrote_out_is_told(tmp_path):
    model = lrp.load(exported(written("by number"), given("by number", 2), tmp_path / "model.pt2"))
    told = " ".join(model.assumptions)
    assert "a sum over steps that is divided by 3, as many as its example has, is a mean" in told
    assert "a pooling of 3 steps, as many as its example has, is one of all steps" in told
    assert "step 2 of 3, the last of its example, is the last" in told


def test_heads_are_called_as_the_dict_that_forward_gives(tmp_path):
    name = "two heads"
    model = lrp.load(exported(written(name), given(name, 2), tmp_path / "model.pt2"))
    assert [*dict.fromkeys(head.name for head in model.heads)] == ["kind", "amount"]


def test_a_file_of_one_sequence_is_of_any_number(tmp_path):
    module = made("bidirectional")
    model = lrp.load(exported(module, [example("bidirectional")[:1]], tmp_path / "model.pt2"))
    assert_equal(model, module, [inputs_of("bidirectional", 5)])


def test_single_precision_is_read_as_it_is(tmp_path):
    module, inputs = made("stacked").float(), example("stacked")
    path = exported(module, [inputs.float()], tmp_path / "model.pt2")
    assert_equal(lrp.load(path), module.double(), [inputs])


# What is refused, and what the error says to do.


def packed(net, x, lengths):
    rows = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return rows.data


def at_lengths(net, x, lengths):
    out, _ = net.lstm(x)
    return out[torch.arange(x.shape[0]), lengths - 1]


def masked(net, x):
    out, _ = net.lstm(x)
    scores = out.sum(-1).masked_fill(x[:, :, 0] == 0, -1e9)
    return torch.softmax(scores, 1).unsqueeze(1).bmm(out).squeeze(1)


def of_cells(net, x):
    hidden = cell = torch.zeros(x.shape[0], 5, dtype=x.dtype)
    for step in range(x.shape[1]):
        hidden, cell = net.cell(x[:, step], (hidden, cell))
    return hidden


def random_states(net, x):
    states = torch.randn(1, x.shape[0], 5, dtype=x.dtype)
    return net.lstm(x, (states, states))[0][:, -1]


def in_place(net, x):
    out, _ = net.lstm(x)
    out = out[:, -1]
    torch.relu_(out[:, :2])
    return out


def masked_in_place(net, x):
    out, _ = net.lstm(x)
    out[:, :2].masked_fill_(x[:, :2, :1] > 0, 0)
    return out[:, -1] + out.mean(1)


def set_in_place(net, x):
    out, _ = net.lstm(x)
    out[:, 0] = 0
    return out.mean(1)


def largest_steps(net, x):
    return torch.topk(net.lstm(x)[0], 2, 1)[0].mean(1)


REFUSED = {
    "at lengths": (at_lengths, "takes a step that each sequence's length tells; take the last"),
    "masked": (masked, "leaves out steps by a mask; export the model without"),
    "of cells": (of_cells, "is one step of a recurrent layer, in a loop"),
    "random": (random_states, "is chance: no score is the same twice"),
    "in place": (in_place, "changes a tensor in place that other operators take too"),
    "masked in place": (masked_in_place, "changes a tensor in place that other operators take"),
    "set in place": (set_in_place, "changes a tensor in place that other operators take"),
    "topk": (largest_steps, "picks values by their size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_says_what_to_do(name, tmp_path):
    forward, problem = REFUSED[name]
    module = Written(forward, lstm=lstm(), cell=nn.LSTMCell(4, 5)).double().eval()
    inputs = given("squeezed", 2)
    if name == "at lengths":
        inputs = (*inputs, torch.tensor([3, 1]))
    with pytest.raises(UnusableInput, match=problem):
        lrp.load(exported(module, inputs, tmp_path / "model.pt2"))


def test_layers_that_were_taken_apart_are_refused(tmp_path):
    module, inputs = made("uni"), example("uni")
    program = torch.export.export(module, (inputs,)).run_decompositions()
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(UnusableInput, match=r"without \.run_decompositions\(\)"):
        lrp.load(tmp_path / "model.pt2")


def test_training_is_refused(tmp_path):
    module, inputs = made("bidirectional").train(), example("bidirectional")
    with pytest.raises(UnusableInput, match=r"export the model after model\.eval\(\)"):
        lrp.load(exported(module, [inputs], tmp_path / "model.pt2"))


# torch as a witness.


@pytest.mark.parametrize("name", ["attention", "convolved", "tagger", "two-lstms"])
def test_torch_runs_the_graph_itself(run, name, tmp_path):
    path = exported(made(name), [example(name)], tmp_path / "model.pt2")
    key = "tokens" if name in OF_WORDS else "values"
    lines = "".join(f'{{"{key}": {each.tolist()}}}\n' for each in inputs_of(name, 4))
    (tmp_path / "input.jsonl").write_text(lines)
    result = run("check", path, tmp_path / "input.jsonl", "--against", "torch")
    assert result.exit_code == 0, result.output


def test_torch_disagrees_with_a_mapping_that_is_wrong(run, tmp_path):
    path = exported(made("uni"), [example("uni")], tmp_path / "model.pt2")
    wrong = tmp_path / "wrong.yaml"
    assert run("inspect", path, "--write-mapping", wrong).exit_code == 0
    mapping = wrong.read_text()
    assert "[i, f, g, o]" in mapping
    wrong.write_text(mapping.replace("[i, f, g, o]", "[i, f, o, g]"))
    lines = "".join(f'{{"tokens": {each.tolist()}}}\n' for each in inputs_of("uni", 4))
    (tmp_path / "input.jsonl").write_text(lines)
    result = run(
        *("check", path, tmp_path / "input.jsonl", "--against", "torch"), *("--mapping", wrong)
    )
    assert result.exit_code == 1, result.output


def test_torch_runs_no_code_of_the_file(run, tmp_path):
    """torch.export.load would unpickle the example's inputs."""
    import zipfile

    path = exported(made("uni"), [example("uni")], tmp_path / "model.pt2")
    changed = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("sample_inputs/model.pt"):
                marker = tmp_path / "was_here"
                data = f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()
            other.writestr(name, data)
    path.write_bytes(changed.getvalue())
    (tmp_path / "input.jsonl").write_text('{"tokens": [1, 2, 3]}\n')
    result = run("check", path, tmp_path / "input.jsonl", "--against", "torch")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "was_here").exists()


def test_torch_runs_no_operator_that_opens_files(run, tmp_path):
    """In a node on which no score depends."""
    import json
    import zipfile

    path = exported(made("uni"), [example("uni")], tmp_path / "model.pt2")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [name] = [name for name in members if name.endswith("models/model.json")]
    program = json.loads(members[name])
    graph = program["graph_module"]["graph"]
    node = dict(graph["nodes"][0], target="torch.ops.aten.from_file.default")
    text = {"name": "filename", "arg": {"as_string": "/etc/hostname"}, "kind": 1}
    node |= {"inputs": [text], "outputs": [{"as_tensor": {"name": "unused"}}]}
    graph["nodes"].insert(0, node)
    graph["tensor_values"]["unused"] = next(iter(graph["tensor_values"].values()))
    members[name] = json.dumps(program).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    (tmp_path / "input.jsonl").write_text('{"tokens": [1, 2, 3]}\n')
    result = run("check", path, tmp_path / "input.jsonl", "--against", "torch")
    assert result.exit_code == 3, result.output
    assert "`torch.ops.aten.from_file.default`, which is not among" in result.stderr
