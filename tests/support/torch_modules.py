"""Twelve modules as people write them, which are kept in every form that PyTorch has.

They stand in a module of their own, so that a pickle names their classes as scripts' pickles do.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Uni(nn.Module):
    """Words, one LSTM, its last hidden state, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(ids))
        return self.fc(hidden[-1])


class Bidirectional(nn.Module):
    """Words, both directions, their last hidden states joined."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(10, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(ids))
        return self.fc(self.dropout(torch.cat((hidden[-2], hidden[-1]), dim=1)))


class Stacked(nn.Module):
    """A series, two layers, the last step, two linear layers with a relu between."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, num_layers=2, batch_first=True, dropout=0.2)
        self.fc1 = nn.Linear(5, 7)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(7, 1)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(series)
        return self.fc2(self.relu(self.fc1(out[:, -1, :])))


class MeanPooled(nn.Module):
    """The mean of all steps, and a head in an nn.Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.5), nn.Linear(7, 2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.embedding(ids))
        return self.head(out.mean(dim=1))


class MaxPooled(nn.Module):
    """The maximum over all steps of both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(10, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.embedding(ids))
        return self.fc(torch.max(out, dim=1)[0])


class Attention(nn.Module):
    """A softmax over the steps weighs them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(10, 1)
        self.fc = nn.Linear(10, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.embedding(ids))
        weights = torch.softmax(self.attention(out), dim=1)
        return self.fc(torch.sum(weights * out, dim=1))


class Convolved(nn.Module):
    """Convolutions, batch normalization and pooling in front of an LSTM, over a series."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv1d(4, 6, kernel_size=3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2)
        )
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.cnn(series.permute(0, 2, 1)).permute(0, 2, 1))
        return self.fc(out[:, -1])


class EncoderDecoder(nn.Module):
    """An autoencoder: the last hidden state is decoded at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(4, 5, batch_first=True)
        self.decoder = nn.LSTM(5, 6, batch_first=True)
        self.output = nn.Linear(6, 4)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.encoder(series)
        repeated = hidden[-1].unsqueeze(1).repeat(1, series.size(1), 1)
        out, _ = self.decoder(repeated)
        return self.output(out)


class Gru(nn.Module):
    """A GRU over a series."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        out, _ = self.gru(series)
        return self.fc(out[:, -1])


class Tagger(nn.Module):
    """Scores of tags at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.hidden2tag = nn.Linear(10, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(self.word_embeddings(ids))
        return self.hidden2tag(out)


class Normed(nn.Module):
    """Layer normalization behind the LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.norm = nn.LayerNorm(5)
        self.fc = nn.Linear(5, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(series)
        return self.fc(self.norm(out[:, -1]))


class Backbone(nn.Module):
    """Two LSTMs of their own, and a sigmoid that is a part of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm1 = nn.LSTM(4, 6, batch_first=True)
        self.lstm2 = nn.LSTM(6, 5, batch_first=True)
        self.linear = nn.Linear(5, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm1(series)
        out, _ = self.lstm2(out)
        return self.sigmoid(self.linear(out[:, -1]))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "uni": Uni,
    "bidirectional": Bidirectional,
    "stacked": Stacked,
    "mean": MeanPooled,
    "max": MaxPooled,
    "attention": Attention,
    "convolved": Convolved,
    "encoder-decoder": EncoderDecoder,
    "gru": Gru,
    "tagger": Tagger,
    "layer-norm": Normed,
    "two-lstms": Backbone,
}
# Modules that take the ids of words; the others take numbers.
OF_WORDS = frozenset({"uni", "bidirectional", "mean", "max", "attention", "tagger"})
FEATURES, WORDS, STEPS = 4, 20, 8


def made(name: str, seed: int = 0) -> nn.Module:
    """One of `MODULES` in float64, its weights random and its averages no ones and zeros."""
    torch.manual_seed(seed)
    module = MODULES[name]().double().eval()
    for key, value in module.named_buffers():
        if key.endswith("running_mean"):
            value.normal_()
        elif key.endswith("running_var"):
            value.uniform_(0.5, 2)
    return module


def inputs_of(name: str, count: int = 5, seed: int = 1) -> torch.Tensor:
    """Inputs of so many sequences, of STEPS steps each."""
    generator = torch.Generator().manual_seed(seed)
    if name in OF_WORDS:
        return torch.randint(0, WORDS, (count, STEPS), generator=generator)
    return torch.randn(count, STEPS, FEATURES, generator=generator, dtype=torch.float64)


def scores_of(module: Any, inputs: torch.Tensor) -> Any:
    """What torch gives for them, as an array."""
    with torch.no_grad():
        return module(inputs).numpy()
