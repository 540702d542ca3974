"""Twelve modules in every form that PyTorch has for them: each says all, or asks."""

import argparse
import functools

import numpy as np
import pytest

FORMS = (
    "state dict",
    "state dict before 1.6",
    "whole module",
    "whole module before 1.6",
    "checkpoint of Lightning",
)
OLD = {"_use_new_zipfile_serialization": False}

LSTM = """\
- lstm:
    gate_order: [i, f, g, o]
    layout: gates_by_features
    returns: {returns}
    forward:
      input: {module}.weight_ih_l0
      recurrent: {module}.weight_hh_l0
      bias: [{module}.bias_ih_l0, {module}.bias_hh_l0]
"""
BACKWARD = """\
    backward:
      input: {module}.weight_ih_l0_reverse
      recurrent: {module}.weight_hh_l0_reverse
      bias: [{module}.bias_ih_l0_reverse, {module}.bias_hh_l0_reverse]
"""
DENSE = (
    "- dense: {{weights: {module}.weight, bias: {module}.bias, layout: classes_by_features, "
    "activation: {activation}}}\n"
)


def lstm(module, returns="sequence", *, both=False):
    return (LSTM + BACKWARD * both).format(module=module, returns=returns)


def dense(module, activation="linear"):
    return DENSE.format(module=module, activation=activation)


def embedding(module="@embedding"):
    return f"- embedding: {{weights: {module}.weight}}\n"


CONVOLVED = """\
- convolution:
    {weights: @cnn.0.weight, bias: @cnn.0.bias, layout: outputs_inputs_width, padding: [1, 1]}
- batch_norm:
    mean: @cnn.1.running_mean
    variance: @cnn.1.running_var
    scale: @cnn.1.weight
    offset: @cnn.1.bias
    epsilon: 0.00001
- activation: relu
- windows: {kind: max, size: 2}
"""
MEAN, MAX = "- pool: mean\n", "- pool: max\n"
# The layers that answer what neither a state dict nor a whole module says, and --assume does not
# guess; @ is what stands before all names.
LAYERS = {
    "mean": embedding() + lstm("@lstm") + MEAN + dense("@head.0", "tanh") + dense("@head.3"),
    "max": embedding() + lstm("@lstm", both=True) + MAX + dense("@fc"),
    "convolved": CONVOLVED + lstm("@lstm", "last") + dense("@fc"),
    "encoder-decoder": lstm("@encoder", "last")
    + "- repeat: {steps: 8}\n"
    + lstm("@decoder")
    + dense("@output"),
}
# Of state dicts, and of whole modules: what load as they are, and what by --assume.
SAID = {"uni", "gru"}
SAID_BY_WHOLE = SAID | {"stacked", "convolved", "layer-norm"}
ASSUMED = {"bidirectional", "stacked", "attention", "tagger", "layer-norm", "two-lstms"}


class Schedule:
    """A class of the user's own among the settings."""

    def __init__(self):
        self.rates = {"first": 1e-3}


def save(torch, path, module, form):
    state = module.state_dict()
    match form:
        case "state dict":
            torch.save(state, path)
        case "state dict before 1.6":
            torch.save(state, path, **OLD)
        case "whole module":
            torch.save(module, path)
        case "whole module before 1.6":
            torch.save(module, path, **OLD)
        case "checkpoint of Lightning":
            torch.save(checkpoint(torch, module), path)


def checkpoint(torch, module):
    """What Lightning 2 writes of a LightningModule whose attribute `model` a module is."""
    optimizer = torch.optim.Adam(module.parameters())
    return {
        "epoch": 3,
        "global_step": 12,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {f"model.{name}": tensor for name, tensor in module.state_dict().items()},
        "loops": {
            "fit_loop": {
                "state_dict": {},
                "epoch_loop.state_dict": {"_batches_that_stepped": 12},
                "epoch_progress": {"total": {"ready": 4, "completed": 3}},
            }
        },
        "callbacks": {
            "ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.25)}
        },
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {
            "arguments": argparse.Namespace(rate=1e-3, sizes=[1, 2]),
            "activation": functools.partial(torch.nn.functional.leaky_relu, negative_slope=0.2),
            "loss": torch.nn.CrossEntropyLoss(torch.ones(2)),
            "inner": torch.nn.LSTM(2, 2),
            "schedule": Schedule(),
            "kind": torch.optim.Adam,
        },
    }


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Each module with its inputs and its scores on disk."""
    torch = pytest.importorskip("torch")
    import torch_modules

    folder = tmp_path_factory.mktemp("modules")
    found = {}
    for name in torch_modules.MODULES:
        module, inputs = torch_modules.made(name), torch_modules.inputs_of(name)
        np.save(folder / f"{name}_x.npy", inputs.numpy())
        np.save(folder / f"{name}_y.npy", torch_modules.scores_of(module, inputs))
        found[name] = module, folder / f"{name}_x.npy", folder / f"{name}_y.npy"
    return torch, found


NAMES = (
    *("uni", "bidirectional", "stacked", "mean", "max", "attention", "convolved"),
    *("encoder-decoder", "gru", "tagger", "layer-norm", "two-lstms"),
)


@pytest.mark.filterwarnings("ignore")  # of torch, about its own past
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_form_says_all_or_asks_and_is_answered(run, framework, modules, tmp_path, name, form):
    framework("torch")
    torch, found = modules
    assert set(found) == set(NAMES)
    module, x, y = found[name]
    save(torch, tmp_path / "m.pt", module, form)

    def check(*answer):
        return run(
            *("check", tmp_path / "m.pt", x, "--expected", y),
            *("--tolerance", "1e-10", "--dtype", "float64", *answer),
        )

    said = SAID_BY_WHOLE if form.startswith("whole") else SAID
    result = check()
    if name in said:
        assert result.exit_code == 0, result.output
        return
    # What pools all steps of one direction leaves no trace: that is told, and the scores differ.
    is_told = name == "mean" and form.startswith("whole")
    assert result.exit_code == (1 if is_told else 3), result.output
    told = "is given the last hidden state" if is_told else "names and shapes leave the model open"
    assert told in result.stderr
    assert (check("--assume").exit_code == 0) == (name in ASSUMED)
    if name not in ASSUMED:
        prefix = "model." if form == "checkpoint of Lightning" else ""
        layers = LAYERS[name].replace("@", prefix)
        (tmp_path / "m.yaml").write_text(f"layers:\n{layers}")
        result = check()
        assert result.exit_code == 0, result.output
