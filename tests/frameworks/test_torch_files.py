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
    from lstm_lrp_cli.loading.torch_zip import TorchFile

    whole = torch.randn(6, 8).to(getattr(torch, dtype))
    tensors = {"whole": whole, "turned": whole.T, "part": whole[2:5, 1:7:2], "one": whole[3, 4]}
    torch.save(tensors, tmp_path / "m.pt")
    with TorchFile(tmp_path / "m.pt") as file:
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(file.read(name), tensor.float().numpy())
