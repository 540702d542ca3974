"""Modules as people write them in scripts, each with what torch.export is given of it.

Each is told apart from `torch_modules` by how its forward is written, not by what it computes.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# An export takes time for every step.
FEATURES, WORDS, SIZE, STEPS = 4, 20, 5, 3


class Written(nn.Module):
    """Parts that the functions below put together; what a forward does not take is no weight."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self._forward(self, *inputs)


def lstm(width: int = FEATURES, **settings: Any) -> nn.LSTM:
    return nn.LSTM(width, SIZE, **{"batch_first": True, **settings})


def zeros_passed(net: Any, x: torch.Tensor) -> torch.Tensor:
    """States made in forward, and given to the LSTM."""
    layers = net.lstm.num_layers
    h0 = torch.zeros(layers, x.size(0), SIZE, dtype=x.dtype).to(x.device)
    c0 = torch.zeros(layers, x.size(0), SIZE, dtype=x.dtype).to(x.device)
    out, _ = net.lstm(x, (h0.detach(), c0.detach()))
    return net.fc(out[:, -1, :])


def learned_states(net: Any, x: torch.Tensor) -> torch.Tensor:
    h0 = net.first.weight.unsqueeze(1).repeat(1, x.size(0), 1)
    out, _ = net.lstm(x, (h0, torch.zeros_like(h0)))
    return net.fc(out.mean(dim=1))


def squeezed(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, (hidden, _) = net.lstm(x)
    return net.fc(hidden.squeeze(0))


def time_first(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, (hidden, _) = net.lstm(net.embedding(x))
    return net.fc(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1))


def viewed(net: Any, x: torch.Tensor) -> torch.Tensor:
    """The directions apart by a view, as the documentation of nn.LSTM has it."""
    _, (hidden, _) = net.lstm(x)
    hidden = hidden.view(net.lstm.num_layers, 2, x.size(0), SIZE)[-1]
    return net.fc(torch.cat([hidden[0], hidden[1]], 1))


def functional(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    out = F.relu(net.fc1(out[:, -1, :]), inplace=True)
    return F.log_softmax(net.fc(F.dropout(out, 0.5, training=net.training)), dim=1)


def sequential(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, (hidden, _) = net.lstm(x)
    return net.head(hidden[-1])


def bmm_attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    """A query of the last state, dot products with all steps, and their weighted sum."""
    out, (hidden, _) = net.lstm(x)
    scores = torch.bmm(out, hidden[-1].unsqueeze(2)).squeeze(2)
    weights = F.softmax(scores, 1)
    return net.fc(torch.bmm(out.transpose(1, 2), weights.unsqueeze(2)).squeeze(2))


def tanh_attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    scores = torch.matmul(torch.tanh(out), net.query.weight[0])
    weights = F.softmax(scores, dim=1).unsqueeze(-1)
    return net.fc(F.relu(torch.sum(out * weights, 1)))


def additive_attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    weights = torch.softmax(net.v(torch.tanh(net.w(out))), dim=1)
    context = torch.bmm(weights.transpose(1, 2), out)
    return net.fc(context.squeeze(1))


def residual(net: Any, x: torch.Tensor) -> torch.Tensor:
    x = net.project(x)
    first, _ = net.lstm(x)
    second, _ = net.second(first)
    return net.fc((first + second)[:, -1])


def embedding_dropout(net: Any, x: torch.Tensor) -> torch.Tensor:
    embedded = net.dropout(net.embedding(x))
    _, (hidden, _) = net.lstm(embedded)
    hidden = net.dropout(torch.cat((hidden[-2], hidden[-1]), dim=1))
    return torch.sigmoid(net.fc(hidden))


def pooled_twice(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    mean, largest = torch.mean(out, 1), torch.max(out, 1).values
    return net.fc(torch.cat((mean, largest, out[:, -1]), 1))


def adaptive(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    out = out.permute(0, 2, 1)
    mean = F.adaptive_avg_pool1d(out, 1).view(x.size(0), -1)
    return net.fc(mean + F.adaptive_max_pool1d(out, 1).squeeze(2))


def normalized(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    return net.fc(F.gelu(net.norm(net.fc1(out[:, -1]))))


def summed_directions(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    return net.fc((out[:, :, :SIZE] + out[:, :, SIZE:])[:, -1])


def rows_of_steps(net: Any, x: torch.Tensor) -> torch.Tensor:
    """A tagger that lays all steps of all sequences one below the other."""
    out, _ = net.lstm(x)
    rows = net.fc(out.contiguous().view(-1, out.shape[2]))
    return F.softmax(rows.view(x.shape[0], -1, rows.shape[1]), dim=-1)


def two_heads(net: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    out, _ = net.lstm(x)
    return {"kind": net.fc(out[:, -1]), "amount": net.amount(out.mean(1))}


def with_states(net: Any, x: torch.Tensor) -> Any:
    out, states = net.lstm(x)
    return net.fc(out[:, -1]), states


def scaled(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm((x - 0.5) / 2)
    return net.fc(out[:, -1]) * 3 + 1


def in_place(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    scores = net.fc(torch.relu_(out[:, -1].clone()))
    scores.mul_(2).add_(1)
    return scores


def leaky(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(F.leaky_relu(net.project(x), 0.2))
    return net.fc(net.prelu(F.silu(out[:, -1])))


def one_number(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, (hidden, _) = net.lstm(x)
    return torch.sigmoid(net.fc(hidden[-1])).squeeze(1)


def plain_rnn(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, hidden = net.rnn(x)
    return net.fc(hidden[-1])


def gru_states(net: Any, x: torch.Tensor) -> torch.Tensor:
    _, hidden = net.gru(x, torch.zeros(2, x.shape[0], SIZE, dtype=x.dtype))
    return net.fc(torch.cat([hidden[0], hidden[1]], -1))


def flipped(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(torch.flip(x, [1]))
    return net.fc(out[:, -1])


def chunked(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    forward, backward = out.chunk(2, dim=-1)
    return net.fc(torch.stack((forward[:, -1], backward[:, 0])).mean(0))


def grouped(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(net.norm(x.transpose(1, 2)).transpose(1, 2))
    return net.fc(out[:, -1])


def handed_over(net: Any, x: torch.Tensor) -> torch.Tensor:
    """A tagger whose second LSTM begins in the states of the first."""
    _, states = net.lstm(x)
    out, _ = net.second(x, states)
    return net.fc(out)


def convolved(net: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.max_pool1d(F.relu(net.bn(net.conv(x.transpose(1, 2)))), 2)
    out, _ = net.lstm(x.permute(0, 2, 1))
    return net.fc(out[:, -1])


def two_inputs(net: Any, words: torch.Tensor, series: torch.Tensor) -> torch.Tensor:
    _, (hidden, _) = net.lstm(net.embedding(words))
    _, (other, _) = net.second(series)
    return net.fc(torch.cat((hidden[-1], other[-1]), 1))


def self_attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    attended, _ = net.attention(out, out, out)
    return net.fc(attended.mean(1))


def laid_out(net: Any, words: torch.Tensor) -> Any:
    """All steps one below the other, a score of each, and the last of each sequence."""
    out, states = net.lstm(net.embedding(words))
    out = net.dropout(out.contiguous().view(-1, SIZE))
    scores = torch.sigmoid(net.fc(out)).view(words.size(0), -1)
    return scores[:, -1], states


def luong_attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, (hidden, _) = net.lstm(x)
    weights = torch.softmax(torch.bmm(out, hidden.permute(1, 2, 0)).squeeze(-1), -1)
    context = torch.einsum("bth,bt->bh", out, weights)
    return net.fc(torch.cat((context, hidden[-1]), -1))


def transformed(net: Any, x: torch.Tensor) -> torch.Tensor:
    out, _ = net.lstm(x)
    return net.fc(net.layer(out)[:, -1])


def one_sequence(net: Any, x: torch.Tensor) -> torch.Tensor:
    """Of a single sequence, as tutorials of time series have it."""
    out, _ = net.lstm(x.view(len(x), 1, -1))
    return net.fc(out.view(len(x), -1))[-1]


def mean_by_number(net: Any, x: torch.Tensor) -> torch.Tensor:
    """The mean, a maximum and the last step by the number of steps, which torch writes out."""
    out, _ = net.lstm(x)
    largest = F.max_pool1d(out.transpose(1, 2), out.size(1)).squeeze(2)
    return net.fc(out.sum(1) / x.size(1) + largest + out[:, x.size(1) - 1])


def gated(net: Any, x: torch.Tensor) -> torch.Tensor:
    """Some features, windows of which the last may not be full, gates, and one unit of one step."""
    turned = F.pad(x[:, :, :2], (0, 0, 1, 0)).transpose(1, 2)
    out, _ = net.lstm(F.max_pool1d(turned, 2, ceil_mode=True).transpose(1, 2))
    gate = torch.sigmoid(net.gate(out))
    out = gate * out + (1 - gate) * out**2
    return F.glu(net.fc(out), -1)[:, -1, 1]


def weights_beside(net: Any, x: torch.Tensor) -> Any:
    """Attention of one head, and its weights for those who want to see them."""
    out, _ = net.lstm(x)
    weights = torch.softmax(net.v(out).squeeze(-1), -1)
    return net.fc(torch.bmm(weights.unsqueeze(1), out).squeeze(1)), weights


def logarithms(net: Any, x: torch.Tensor) -> torch.Tensor:
    """A tagger whose logarithms of probabilities are laid out once more."""
    out, _ = net.lstm(x)
    rows = F.log_softmax(net.fc(out.reshape(-1, SIZE)), 1)
    return rows.view(x.size(0), x.size(1), -1)


def _linear(width: int = SIZE, classes: int = 3) -> nn.Linear:
    return nn.Linear(width, classes)


WORDS_FIRST = {"embedding": lambda: nn.Embedding(WORDS, FEATURES)}
# For each: its forward, and the parts that are made anew.
SCRIPTS: dict[str, tuple[Callable[..., Any], dict[str, Callable[[], nn.Module]]]] = {
    "zeros passed": (zeros_passed, {"lstm": lambda: lstm(num_layers=2), "fc": _linear}),
    "learned states": (
        learned_states,
        {"lstm": lstm, "first": lambda: nn.Embedding(1, SIZE), "fc": _linear},
    ),
    "squeezed": (squeezed, {"lstm": lstm, "fc": _linear}),
    "time first": (
        time_first,
        {
            **WORDS_FIRST,
            "lstm": lambda: lstm(bidirectional=True, batch_first=False),
            "fc": lambda: _linear(2 * SIZE),
        },
    ),
    "viewed": (
        viewed,
        {"lstm": lambda: lstm(num_layers=2, bidirectional=True), "fc": lambda: _linear(2 * SIZE)},
    ),
    "functional": (
        functional,
        {
            "lstm": lambda: lstm(bias=False),
            "fc1": lambda: _linear(classes=7),
            "fc": lambda: _linear(7),
        },
    ),
    "sequential": (
        sequential,
        {
            "lstm": lstm,
            "head": lambda: nn.Sequential(
                nn.Linear(SIZE, 7), nn.ReLU(), nn.Dropout(0.2), nn.Linear(7, 2), nn.Softmax(dim=1)
            ),
        },
    ),
    "bmm attention": (bmm_attention, {"lstm": lstm, "fc": _linear}),
    "tanh attention": (
        tanh_attention,
        {"lstm": lstm, "query": lambda: nn.Embedding(1, SIZE), "fc": _linear},
    ),
    "additive attention": (
        additive_attention,
        {
            "lstm": lstm,
            "w": lambda: _linear(classes=4),
            "v": lambda: nn.Linear(4, 1, bias=False),
            "fc": _linear,
        },
    ),
    "residual": (
        residual,
        {
            "project": lambda: _linear(FEATURES, SIZE),
            "lstm": lambda: lstm(SIZE),
            "second": lambda: lstm(SIZE),
            "fc": _linear,
        },
    ),
    "embedding dropout": (
        embedding_dropout,
        {
            **WORDS_FIRST,
            "dropout": lambda: nn.Dropout(0.4),
            "lstm": lambda: lstm(num_layers=2, bidirectional=True, dropout=0.3),
            "fc": lambda: _linear(2 * SIZE, 1),
        },
    ),
    "pooled twice": (pooled_twice, {"lstm": lstm, "fc": lambda: _linear(3 * SIZE)}),
    "adaptive": (adaptive, {"lstm": lstm, "fc": _linear}),
    "normalized": (
        normalized,
        {
            "lstm": lstm,
            "fc1": lambda: _linear(classes=SIZE),
            "norm": lambda: nn.BatchNorm1d(SIZE),
            "fc": _linear,
        },
    ),
    "summed directions": (
        summed_directions,
        {"lstm": lambda: lstm(bidirectional=True), "fc": _linear},
    ),
    "rows of steps": (rows_of_steps, {"lstm": lstm, "fc": _linear}),
    "two heads": (two_heads, {"lstm": lstm, "fc": _linear, "amount": lambda: _linear(classes=1)}),
    "with states": (with_states, {"lstm": lstm, "fc": _linear}),
    "scaled": (scaled, {"lstm": lstm, "fc": _linear}),
    "in place": (in_place, {"lstm": lstm, "fc": _linear}),
    "leaky": (
        leaky,
        {
            "project": lambda: _linear(FEATURES, SIZE),
            "lstm": lambda: lstm(SIZE),
            "prelu": lambda: nn.PReLU(SIZE),
            "fc": _linear,
        },
    ),
    "one number": (one_number, {"lstm": lstm, "fc": lambda: _linear(classes=1)}),
    "plain rnn": (
        plain_rnn,
        {
            "rnn": lambda: nn.RNN(FEATURES, SIZE, nonlinearity="relu", batch_first=True),
            "fc": _linear,
        },
    ),
    "gru states": (
        gru_states,
        {
            "gru": lambda: nn.GRU(FEATURES, SIZE, batch_first=True, bidirectional=True),
            "fc": lambda: _linear(2 * SIZE),
        },
    ),
    "projected": (squeezed, {"lstm": lambda: lstm(proj_size=3), "fc": lambda: _linear(3)}),
    "flipped": (flipped, {"lstm": lstm, "fc": _linear}),
    "chunked": (chunked, {"lstm": lambda: lstm(bidirectional=True), "fc": _linear}),
    "grouped": (grouped, {"norm": lambda: nn.GroupNorm(2, FEATURES), "lstm": lstm, "fc": _linear}),
    "handed over": (handed_over, {"lstm": lstm, "second": lstm, "fc": _linear}),
    "convolved": (
        convolved,
        {
            "conv": lambda: nn.Conv1d(FEATURES, 6, 3, padding="same"),
            "bn": lambda: nn.BatchNorm1d(6, affine=False),
            "lstm": lambda: lstm(6),
            "fc": _linear,
        },
    ),
    "two inputs": (
        two_inputs,
        {**WORDS_FIRST, "lstm": lstm, "second": lstm, "fc": lambda: _linear(2 * SIZE)},
    ),
    "laid out": (
        laid_out,
        {
            **WORDS_FIRST,
            "lstm": lambda: lstm(num_layers=2),
            "dropout": lambda: nn.Dropout(0.3),
            "fc": lambda: _linear(classes=1),
        },
    ),
    "luong attention": (luong_attention, {"lstm": lstm, "fc": lambda: _linear(2 * SIZE)}),
    "transformed": (
        transformed,
        {
            "lstm": lambda: nn.LSTM(FEATURES, 6, batch_first=True),
            "layer": lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
            "fc": lambda: _linear(6),
        },
    ),
    "one sequence": (one_sequence, {"lstm": lambda: nn.LSTM(FEATURES, SIZE), "fc": _linear}),
    "by number": (mean_by_number, {"lstm": lstm, "fc": _linear}),
    "gated": (
        gated,
        {
            "lstm": lambda: lstm(2),
            "gate": lambda: _linear(SIZE, SIZE),
            "fc": lambda: _linear(SIZE, 4),
        },
    ),
    "weights beside": (
        weights_beside,
        {"lstm": lstm, "v": lambda: _linear(classes=1), "fc": _linear},
    ),
    "logarithms": (logarithms, {"lstm": lstm, "fc": _linear}),
    "self-attention": (
        self_attention,
        {
            "lstm": lambda: nn.LSTM(FEATURES, 6, batch_first=True),
            "attention": lambda: nn.MultiheadAttention(6, 2, batch_first=True),
            "fc": lambda: _linear(6),
        },
    ),
}


def written(name: str, seed: int = 0) -> nn.Module:
    """One of SCRIPTS in float64, its weights random and its averages no ones and zeros."""
    torch.manual_seed(seed)
    forward, parts = SCRIPTS[name]
    module = Written(forward, **{key: make() for key, make in parts.items()}).double().eval()
    for key, value in module.named_buffers():
        if key.endswith("running_mean"):
            value.normal_()
        elif key.endswith("running_var"):
            value.uniform_(0.5, 2)
    return module


def given(name: str, count: int, steps: int = STEPS, seed: int = 1) -> tuple[torch.Tensor, ...]:
    """Inputs of so many sequences, in the order of axes that the module wants."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(0, WORDS, (count, steps), generator=generator)
    series = torch.randn(count, steps, FEATURES, generator=generator, dtype=torch.float64)
    if name == "two inputs":
        return words, series
    if name == "one sequence":
        return (series[0],)
    _, parts = SCRIPTS[name]
    chosen = words if "embedding" in parts else series
    return (chosen.transpose(0, 1) if name == "time first" else chosen,)
