"""Files that torch.save and safetensors write load without a mapping, to torch's own scores."""

import numpy as np
import pytest

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 20, 5, 4, 3
LENGTHS = [1, 2, 7, 12]

# PyTorch says once that projections take another path of its own.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")


def save_plain(torch, path, state):
    torch.save(state, path)


def save_nested(torch, path, state):
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 1, "model_state_dict": wrapped, "loss": 0.5}, path)


def save_safetensors(torch, path, state):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


WRITERS = {"m.pt": save_plain, "m.pth": save_nested, "m.safetensors": save_safetensors}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("bias", [True, False], ids=["biased", "unbiased"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize(("depth", "projected"), [(1, 0), (2, 0), (1, 3), (2, 3)])
def test_scores_agree(
    run, framework, tmp_path, depth, projected, bidirectional, bias, name, dtype, tolerance
):
    torch = framework("torch")
    framework("safetensors")
    torch.manual_seed(depth)
    nn = torch.nn
    net = nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCABULARY, EMBEDDING),
            "lstm": nn.LSTM(
                EMBEDDING,
                HIDDEN,
                depth,
                bias=bias,
                bidirectional=bidirectional,
                batch_first=True,
                proj_size=projected,
            ),
            "head": nn.Linear((projected or HIDDEN) * (1 + bidirectional), CLASSES, bias=bias),
        }
    ).to(getattr(torch, dtype))
    sequences = [torch.randint(VOCABULARY, (length,)) for length in LENGTHS]
    scores = []
    with torch.no_grad():
        for ids in sequences:
            _, (states, _) = net["lstm"](net["embedding"](ids[None]))
            features = torch.cat(list(states[-(1 + bidirectional) :]), dim=1)
            scores.append(net["head"](features)[0].numpy())
    WRITERS[name](torch, tmp_path / name, net.state_dict())
    np.save(tmp_path / "scores.npy", scores)
    lines = "".join(" ".join(map(str, ids.tolist())) + "\n" for ids in sequences)
    (tmp_path / "ids.txt").write_text(lines)
    result = run(
        *("check", tmp_path / name, tmp_path / "ids.txt", "--ids", "--target", "all", "--assume"),
        *("--expected", tmp_path / "scores.npy", "--tolerance", tolerance, "--dtype", dtype),
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_and_views(run, framework, tmp_path, dtype):
    torch = framework("torch")
    from lstm_lrp_cli.loading.torch.file import TorchFile

    whole = torch.randn(6, 8).to(getattr(torch, dtype))
    tensors = {"whole": whole, "turned": whole.T, "part": whole[2:5, 1:7:2], "one": whole[3, 4]}
    torch.save(tensors, tmp_path / "m.pt")
    with TorchFile(tmp_path / "m.pt") as file:
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(file.read(name), tensor.float().numpy())


def hyper_parameters(torch):
    """What Lightning's `save_hyperparameters` and scripts leave in a checkpoint, of all kinds."""
    import argparse
    import collections
    import datetime
    import pathlib

    return {
        "plain": {"lr": 1e-3},
        "namespace": argparse.Namespace(lr=1e-3),
        "loss": {"loss_fn": torch.nn.MSELoss(), "weighted": torch.nn.NLLLoss(torch.ones(2))},
        "npfloat": {"lr": np.float64(1e-3)},
        "nparray": {"mean": np.arange(4.0)},
        "path": {"p": pathlib.Path("data")},
        "date": {"t": datetime.datetime(2020, 1, 1)},
        "class": {"opt": torch.optim.Adam},
        "OrderedDict": collections.OrderedDict(a=1),
        "dtype": {"d": torch.float32, "dev": torch.device("cpu"), "size": torch.Size([2])},
        "set": {"s": {1, 2}},
        "defaultdict": collections.defaultdict(list, a=[1]),
        "tensors": {"w": torch.ones(2), "i": torch.arange(3), "c": torch.ones(2) * 1j},
        "sparse": {"s": torch.eye(3).to_sparse(), "q": torch.ones(2).to(torch.float8_e5m2)},
        "module": {"net": torch.nn.LSTM(2, 2)},
        "generator": {"rng": torch.get_rng_state()},
    }


@pytest.mark.filterwarnings("ignore")  # of torch, about sparse tensors
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_lightning_checkpoint_is_read_whatever_its_hyper_parameters_are(
    run, framework, tmp_path, protocol
):
    torch = framework("torch")
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(4, 6, batch_first=True)})
    net["head"] = torch.nn.Linear(6, 2)
    optimizer = torch.optim.Adam(net.parameters())
    x = torch.randn(5, 9, 4)
    net["head"](net["rnn"](x)[0]).sum().backward()
    optimizer.step()
    with torch.no_grad():
        scores = net["head"](net["rnn"](x)[0])[:, -1].numpy()
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "scores.npy", scores)
    for name, settings in hyper_parameters(torch).items():
        path = tmp_path / f"{name}.ckpt"
        checkpoint = {
            "epoch": 4,
            "pytorch-lightning_version": "2.0.9",
            "state_dict": net.state_dict(),
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.3)}},
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": settings,
        }
        torch.save(checkpoint, path, pickle_protocol=protocol)
        result = run("check", path, tmp_path / "x.npy", "--expected", tmp_path / "scores.npy")
        assert result.exit_code == 0, name + result.output


def test_a_whole_module_lists_its_tensors(run, framework, tmp_path):
    torch = framework("torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    for name, content in {"whole": net, "inside": {"model": net, "epoch": 3}}.items():
        torch.save(content, tmp_path / f"{name}.pt")
        result = run("inspect", tmp_path / f"{name}.pt")
        assert result.exit_code == 0
        assert "0.weight" in result.stdout
        result = run("check", tmp_path / f"{name}.pt")
        assert result.exit_code == 3
        assert "the file does not say its architecture" in result.stderr
