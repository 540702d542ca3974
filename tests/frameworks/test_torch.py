"""What PyTorch computes live, `lrp check` reproduces, in the precision that PyTorch ran in."""

import numpy as np
import pytest
import yaml

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 20, 5, 4, 3
LENGTHS = [1, 2, 7, 12]


def directions(bidirectional):
    return {"forward": "", "backward": "_reverse"} if bidirectional else {"forward": ""}


def mapping(depth, bidirectional, bias, pool, head_bias):
    """The mapping by which the names of a torch state dict make the model."""
    layers = [{"embedding": {"weights": "embedding.weight"}}]
    for k in range(depth):
        last = k == depth - 1
        lstm = {
            "gate_order": ["i", "f", "g", "o"],
            "layout": "gates_by_features",
            "returns": "last" if last and pool is None else "sequence",
        }
        for direction, suffix in directions(bidirectional).items():
            lstm[direction] = {
                "input": f"lstm.weight_ih_l{k}{suffix}",
                "recurrent": f"lstm.weight_hh_l{k}{suffix}",
                "bias": [f"lstm.bias_ih_l{k}{suffix}", f"lstm.bias_hh_l{k}{suffix}"]
                if bias
                else None,
            }
        layers.append({"lstm": lstm})
    if pool:
        layers.append({"pool": pool})
    head = {"weights": "head.weight", "layout": "classes_by_features"}
    layers.append({"dense": {**head, "bias": "head.bias" if head_bias else None}})
    return {"format": 1, "layers": layers}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("pool", [None, "mean", "max"])
@pytest.mark.parametrize("bias", [True, False], ids=["biased", "unbiased"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scores_agree(run, framework, tmp_path, depth, bidirectional, bias, pool, dtype, tolerance):
    torch = framework("torch")
    torch.manual_seed(depth)
    nn = torch.nn
    net = nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCABULARY, EMBEDDING),
            "lstm": nn.LSTM(
                EMBEDDING, HIDDEN, depth, bias=bias, bidirectional=bidirectional, batch_first=True
            ),
            "head": nn.Linear(HIDDEN * (1 + bidirectional), CLASSES, bias=not bias),
        }
    ).to(getattr(torch, dtype))
    sequences = [torch.randint(VOCABULARY, (length,)) for length in LENGTHS]
    scores = []
    with torch.no_grad():
        for ids in sequences:
            outputs, (states, _) = net["lstm"](net["embedding"](ids[None]))
            match pool:
                case "mean":
                    features = outputs.mean(1)
                case "max":
                    features = outputs.amax(1)
                case None:
                    features = torch.cat(list(states[-(1 + bidirectional) :]), dim=1)
            scores.append(net["head"](features)[0].numpy())
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    np.savez(tmp_path / "model.npz", **arrays)
    document = mapping(depth, bidirectional, bias, pool, not bias)
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(document))
    np.save(tmp_path / "scores.npy", scores)
    lines = "".join(" ".join(map(str, ids.tolist())) + "\n" for ids in sequences)
    (tmp_path / "ids.txt").write_text(lines)
    result = run(
        *("check", tmp_path / "model.npz", tmp_path / "ids.txt", "--ids", "--target", "all"),
        *("--expected", tmp_path / "scores.npy", "--tolerance", tolerance, "--dtype", dtype),
    )
    assert result.exit_code == 0, result.output
