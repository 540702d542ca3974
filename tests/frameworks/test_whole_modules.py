"""Of a whole pickled module, its parts are known with their settings; what its code does is not."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def kit():
    """Shorthand for modules, and a module that connects its parts by a function."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self, function=None, parts=None):
            super().__init__()
            self.function = function
            for name, part in (parts or {}).items():
                setattr(self, name, part)

        def forward(self, x):
            return self.function(self, x)

        def __getstate__(self):  # as of a module whose code is its class's
            return {name: each for name, each in vars(self).items() if name != "function"}

    Net.__qualname__, Net.__module__ = "Net", __name__
    globals()["Net"] = Net
    return SimpleNamespace(
        torch=torch,
        nn=nn,
        Net=Net,
        seq=nn.Sequential,
        lstm=lambda *sizes, **about: nn.LSTM(*sizes, batch_first=True, **about),
    )


def last(m, x):
    return m.lstm(x)[0][:, -1]


def head(m, x):
    return m.head(last(m, x))


def attended(m, x):
    steps = m.lstm(x)[0]
    return m.fc((m.softmax(m.attention(steps)) * steps).sum(1))


# A function and the parts that it connects, of what a sequence says.
CERTAIN = {
    "a sequence that begins with an activation": lambda k: (
        head,
        {"lstm": k.lstm(4, 5), "head": k.seq(k.nn.ReLU(), k.nn.Linear(5, 3))},
    ),
    "a normalization behind an activation": lambda k: (
        head,
        {
            "lstm": k.lstm(4, 5),
            "head": k.seq(
                *(k.nn.Linear(5, 6), k.nn.ReLU(), k.nn.BatchNorm1d(6, eps=0.1)),
                *(k.nn.Tanh(), k.nn.Linear(6, 3)),
            ),
        },
    ),
    "a normalization in front": lambda k: (
        head,
        {
            "lstm": k.lstm(4, 5),
            "head": k.seq(
                *(k.nn.BatchNorm1d(5), k.nn.Dropout(), k.nn.Linear(5, 6)),
                *(k.nn.LeakyReLU(0.2), k.nn.Linear(6, 3)),
            ),
        },
    ),
    "linear layers in front, in sequences in a sequence": lambda k: (
        lambda m, x: m.fc(last(m, m.pre(x))),
        {
            "pre": k.seq(
                k.seq(k.nn.Linear(4, 6), k.nn.LeakyReLU(0.2)), k.seq(k.nn.Linear(6, 7), k.nn.ELU())
            ),
            "lstm": k.lstm(7, 5),
            "fc": k.nn.Linear(5, 3),
            "loss_fn": k.nn.functional.mse_loss,
        },
    ),
    "pooling over all steps": lambda k: (
        lambda m, x: m.head(m.lstm(x)[0].transpose(1, 2)),
        {
            "lstm": k.lstm(4, 5, bidirectional=True),
            "head": k.seq(k.nn.AdaptiveMaxPool1d(1), k.nn.Flatten(), k.nn.Linear(10, 3)),
        },
    ),
    "sequences in a sequence": lambda k: (
        head,
        {
            "lstm": k.lstm(4, 5),
            "head": k.seq(
                k.seq(k.nn.Linear(5, 6), k.nn.ELU()), k.seq(k.nn.Dropout(), k.nn.Linear(6, 3))
            ),
        },
    ),
    "slopes that are trained": lambda k: (
        head,
        {
            "lstm": k.lstm(4, 5),
            "head": k.seq(k.nn.Linear(5, 6), k.nn.PReLU(6), k.nn.Linear(6, 3), k.nn.LogSoftmax(-1)),
        },
    ),
    "an activation that stands twice": lambda k: (
        head,
        (
            lambda relu: {
                "lstm": k.lstm(4, 5),
                "relu": relu,
                "head": k.seq(k.nn.Linear(5, 6), relu, k.nn.Linear(6, 6), relu, k.nn.Linear(6, 3)),
            }
        )(k.nn.ReLU()),
    ),
    "layers that run again": lambda k: (
        head,
        (
            lambda again, block: {
                "lstm": k.lstm(4, 5),
                "head": k.seq(again, k.nn.ReLU(), again, block, block, k.nn.Linear(5, 3)),
            }
        )(k.nn.Linear(5, 5), k.seq(k.nn.Linear(5, 5), k.nn.Tanh())),
    ),
    "convolutions, gates of relu": lambda k: (
        lambda m, x: m.fc(m.rnn(m.cnn(x.transpose(1, 2)).transpose(1, 2))[0][:, -1]),
        {
            "cnn": k.seq(
                *(k.nn.Conv1d(4, 6, 3, padding=2, dilation=2, groups=2), k.nn.GELU()),
                *(k.nn.AvgPool1d(3, 2, 1), k.nn.Conv1d(6, 4, 2, stride=2, bias=False)),
                k.nn.SiLU(),
            ),
            "rnn": k.nn.RNN(4, 5, nonlinearity="relu", batch_first=True),
            "fc": k.nn.Linear(5, 3),
        },
    ),
}
# The same, with what is told, of what a class registers.
TOLD = {
    "normalization": (
        lambda k: (
            lambda m, x: m.fc(m.norm(last(m, x))),
            {"lstm": k.lstm(4, 5), "norm": k.nn.LayerNorm(5, eps=0.1), "fc": k.nn.Linear(5, 3)},
        ),
        "layer normalization (norm.) stands where the file lists it",
    ),
    "an activation between": (
        lambda k: (
            lambda m, x: m.fc2(m.act(m.fc1(last(m, x)))),
            {
                "lstm": k.lstm(4, 5),
                "fc1": k.nn.Linear(5, 6),
                "act": k.nn.Tanh(),
                "fc2": k.nn.Linear(6, 3),
            },
        ),
        "`act` (Tanh) stands behind `fc1.weight`, where it is registered",
    ),
    "a convolution": (
        lambda k: (
            lambda m, x: m.fc(last(m, m.pool(m.act(m.conv(x.transpose(1, 2)))).transpose(1, 2))),
            {
                "conv": k.nn.Conv1d(4, 6, 3),
                "act": k.nn.ReLU(),
                "pool": k.nn.MaxPool1d(2),
                "lstm": k.lstm(6, 5),
                "fc": k.nn.Linear(5, 3),
            },
        ),
        "`lstm.` is behind `conv.weight`, in the order in which they are registered",
    ),
    "a tensor of no known use": (
        lambda k: (
            lambda m, x: m.fc(last(m, x)),
            {"lstm": k.lstm(4, 5), "fc": k.nn.Linear(5, 3), "hidden": (k.torch.ones(1, 2, 5),) * 2},
        ),
        "`hidden`, a tensor beside the weights, changes no score",
    ),
    "a sigmoid at the end": (
        lambda k: (
            lambda m, x: m.out(m.fc(last(m, x))),
            {"lstm": k.lstm(4, 5), "fc": k.nn.Linear(5, 1), "out": k.nn.Sigmoid()},
        ),
        "`out` (Sigmoid) stands behind `fc.weight`, where it is registered",
    ),
}
# What is asked, and what --assume takes.
ASKED = {
    "a function": (
        lambda k: (
            lambda m, x: m.fc2(m.act(m.fc1(last(m, x)))),
            {
                "lstm": k.lstm(4, 5),
                "fc1": k.nn.Linear(5, 6),
                "fc2": k.nn.Linear(6, 3),
                "act": k.torch.tanh,
            },
        ),
        "a tanh stands between `fc1.weight` and `fc2.weight`",
    ),
    "pooling": (
        lambda k: (
            lambda m, x: m.fc(m.pool(m.lstm(x)[0].transpose(1, 2)).flatten(1)),
            {"lstm": k.lstm(4, 5), "pool": k.nn.AdaptiveAvgPool1d(1), "fc": k.nn.Linear(5, 3)},
        ),
        "`fc.weight` is given the mean of all steps' outputs",
    ),
    "an activation behind the steps": (
        lambda k: (
            lambda m, x: m.fc(m.act(last(m, x))),
            {"lstm": k.lstm(4, 5), "act": k.nn.ReLU(), "fc": k.nn.Linear(5, 3)},
        ),
        "`act` (ReLU) stands behind `lstm.`, where it is registered",
    ),
    "an activation registered last": (
        lambda k: (
            lambda m, x: m.fc2(m.act(m.fc1(last(m, x)))),
            {
                "lstm": k.lstm(4, 5),
                "fc1": k.nn.Linear(5, 6),
                "fc2": k.nn.Linear(6, 3),
                "act": k.nn.SiLU(),
            },
        ),
        "a silu stands between `fc1.weight` and `fc2.weight`",
    ),
    "a softmax for attention": (
        lambda k: (
            attended,
            {
                "lstm": k.lstm(4, 5),
                "attention": k.nn.Linear(5, 1),
                "softmax": k.nn.Softmax(1),
                "fc": k.nn.Linear(5, 3),
            },
        ),
        "the weights a softmax of what `attention.weight` make",
    ),
}
# What nothing answers: there is no likeliest.
OPEN = {
    "an activation of no use": (
        lambda k: {"lstm": k.lstm(4, 5), "fc": k.nn.Linear(5, 3), "act": k.nn.ReLU()},
        "nothing says where `act` (ReLU) stands",
    ),
    "a function of no use": (
        lambda k: {"lstm": k.lstm(4, 5), "fc": k.nn.Linear(5, 3), "act": k.nn.functional.relu},
        "nothing says where `act` (relu) stands",
    ),
    "a class of one's own": (
        lambda k: {"lstm": k.lstm(4, 5), "own": k.Net(), "fc": k.nn.Linear(5, 3)},
        "nothing says what `own` does, of the class",
    ),
    "vectors that are shortened": (
        lambda k: {
            "emb": k.nn.Embedding(9, 4, max_norm=0.1),
            "lstm": k.lstm(4, 5),
            "fc": k.nn.Linear(5, 3),
        },
        "`emb` shortens its vectors (max_norm)",
    ),
    "hooks": (
        lambda k: {"lstm": k.lstm(4, 5), "fc": hooked(k.nn.Linear(5, 3))},
        "nothing says what the hooks of `fc` do",
    ),
    "another normalization": (
        lambda k: {"lstm": k.lstm(4, 6), "gn": k.nn.GroupNorm(2, 6), "fc": k.nn.Linear(6, 3)},
        "nothing says what gn.weight, gn.bias are for",
    ),
    "an LSTM of one's own": (
        lambda k: {"lstm": k.lstm(4, 5), "fc": own_linear(k)},
        "nothing says what fc.weight, fc.bias are for",
    ),
}


class Doubled:
    def __call__(self, module, given, made):
        return 2 * made


def hooked(module):
    module.register_forward_hook(Doubled())
    return module


def own_linear(k):
    linear = k.nn.Linear(5, 3)
    kind = type("Scaled", (k.nn.Linear,), {"__module__": __name__})
    globals()["Scaled"] = kind
    linear.__class__ = kind
    return linear


@pytest.fixture
def checked(run, kit, tmp_path):
    """Save a module whole, and compare its scores with those of its own code."""

    def check(made, *options):
        torch = kit.torch
        torch.manual_seed(0)
        net = kit.Net(*made)
        net = net.double().eval()
        for name, value in net.named_buffers():
            if "running" in name:
                value.uniform_(0.5, 2)
        torch.save(net, tmp_path / "m.pt")
        x = torch.randn(4, 8, 4, dtype=torch.float64)
        np.save(tmp_path / "x.npy", x.numpy())
        expected = []
        if net.function is not None:
            with torch.no_grad():
                np.save(tmp_path / "y.npy", net(x).numpy())
            expected = ["--expected", tmp_path / "y.npy"]
        return run(
            *("check", tmp_path / "m.pt", tmp_path / "x.npy", *expected),
            *("--tolerance", "1e-10", "--dtype", "float64", *options),
        )

    check.folder = tmp_path
    return check


@pytest.mark.parametrize("heads", [2, -2, 0, 2**70, "two"])
def test_an_attention_is_asked_for_with_heads_that_fit(checked, kit, heads):
    attention = kit.nn.MultiheadAttention(6, 2)
    attention.num_heads = heads
    parts = {"lstm": kit.lstm(4, 6), "attention": attention, "fc": kit.nn.Linear(6, 1)}
    result = checked((None, parts))
    assert result.exit_code == 3
    assert "what `fc.weight` is given of the steps of `attention.`" in result.stderr
    assert ("how many heads" in result.stderr) == (heads != 2)


def test_torch_itself_is_not_asked_to_run_it(run, checked, kit):
    checked(CERTAIN["a normalization in front"](kit))
    result = run("check", checked.folder / "m.pt", checked.folder / "x.npy", "--against", "torch")
    assert result.exit_code == 3
    assert "torch loads it only by running what it holds" in result.stderr


@pytest.mark.parametrize("made", CERTAIN.values(), ids=CERTAIN)
def test_what_a_sequence_holds_is_certain(checked, kit, made):
    result = checked(made(kit))
    assert result.exit_code == 0, result.output
    assert "where it is registered" not in result.stderr


@pytest.mark.parametrize(("made", "told"), TOLD.values(), ids=TOLD)
def test_what_a_class_registers_is_told(checked, kit, made, told):
    result = checked(made(kit))
    assert result.exit_code == 0, result.output
    assert f"it is assumed: {told} (layers)" in result.stderr


@pytest.mark.parametrize(("made", "likeliest"), ASKED.values(), ids=ASKED)
def test_what_may_stand_elsewhere_is_asked(checked, kit, made, likeliest):
    result = checked(made(kit))
    assert result.exit_code == 3, result.output
    assert likeliest in result.stderr
    result = checked(made(kit), "--assume")
    assert result.exit_code == 0, result.output
    assert likeliest in result.stderr


@pytest.mark.parametrize(("parts", "asked"), OPEN.values(), ids=OPEN)
def test_nothing_that_does_something_is_left_out(checked, kit, parts, asked):
    result = checked((None, parts(kit)), "--assume")
    assert result.exit_code == 3, result.output
    assert asked in result.stderr
    assert "No answer is likelier" in result.stderr
