"""The same model in PyTorch: its forward pass, and its gradients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sentences import Ids
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Dense, Lstm
from lstm_lrp_cli.model.model import Model

Batching = Literal["packed", "equal-length"]
BATCHINGS: tuple[Batching, ...] = ("packed", "equal-length")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences that are run at once.

    Parameters
    ----------
    numbers : list of int
        Which sequences.
    ids : Tensor, shape (rows,), or (steps, batch) of sequences of one length
        Of series, (rows, features) or (steps, batch, features) numbers.
    sizes : Tensor or None
        Where they are packed, how many of them run at each step.
    """

    numbers: list[int]
    ids: Tensor
    sizes: Tensor | None


def batches(kind: Batching, sequences: Sequence[Ids | Floats], size: int) -> list[Batch]:
    """Batches of at most so many sequences, made before the clock starts.

    Packed ones hold sequences of like length, from the longest to the shortest.
    """
    lengths = [len(sequence) for sequence in sequences]
    order = sorted(range(len(sequences)), key=lambda number: -lengths[number])
    found = []
    for group in [order] if kind == "packed" else _of_one_length(order, lengths):
        for start in range(0, len(group), size):
            numbers = group[start : start + size]
            tensors = [torch.from_numpy(sequences[number]) for number in numbers]
            if kind == "packed":
                packed = pack_sequence(tensors)
                found.append(Batch(numbers, packed.data, packed.batch_sizes))
            else:
                found.append(Batch(numbers, torch.stack(tensors, dim=1).contiguous(), None))
    return found


def _of_one_length(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    groups: dict[int, list[int]] = {}
    for number in order:
        groups.setdefault(lengths[number], []).append(number)
    yield from groups.values()


class Peer:
    """An embedding, if there is one, one LSTM and a linear layer, as nn.Modules at inference."""

    def __init__(self, model: Model) -> None:
        lstm, dense = (node.layer for node in model.nodes)
        assert isinstance(lstm, Lstm)
        assert isinstance(dense, Dense)
        assert dense.bias is not None
        both = len(lstm.cells) == 2
        inputs, hidden = lstm.cells[0].input_size, lstm.cells[0].hidden_size
        self.embedding = (
            nn.Identity()
            if model.embedding is None
            else nn.Embedding.from_pretrained(torch.from_numpy(model.embedding.weights))
        )
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=both)
        self.lstm.to(torch.float64 if model.dtype == np.float64 else torch.float32)
        state = {}
        for cell, suffix in zip(lstm.cells, ("", "_reverse"), strict=False):
            # PyTorch stacks its gates as the engine does, and adds two biases.
            state[f"weight_ih_l0{suffix}"] = cell.input.reshape(4 * hidden, -1)
            state[f"weight_hh_l0{suffix}"] = cell.recurrent.reshape(4 * hidden, -1)
            state[f"bias_ih_l0{suffix}"] = cell.bias.reshape(-1)
            state[f"bias_hh_l0{suffix}"] = np.zeros_like(cell.bias.reshape(-1))
        self.lstm.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
        self.weights, self.bias = torch.from_numpy(dense.weights), torch.from_numpy(dense.bias)
        self.lstm.eval().requires_grad_(False)

    def forward(self, batches: Sequence[Batch]) -> Iterator[Tensor]:
        """The scores of each batch, shape (batch, classes)."""
        for batch in batches:
            with torch.inference_mode():
                scores = self._scores(batch, self.embedding(batch.ids))
            yield scores

    def gradient_times_input(self, batches: Sequence[Batch]) -> Iterator[Tensor]:
        """Of every token, the gradient of the predicted class's score times the token's vector."""
        for gradient, embedded in self._gradients(batches):
            yield (gradient * embedded).sum(dim=-1)

    def gradient_times_values(self, batches: Sequence[Batch]) -> Iterator[Tensor]:
        """The same of every number of a token's vector, or of a series."""
        for gradient, embedded in self._gradients(batches):
            yield gradient * embedded

    def squared_gradient(self, batches: Sequence[Batch]) -> Iterator[Tensor]:
        """Of every token, the squared length of that gradient."""
        for gradient, _ in self._gradients(batches):
            yield gradient.square().sum(dim=-1)

    def _gradients(self, batches: Sequence[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """The gradient by the tokens' vectors, and these, of each batch.

        The weights need no gradient, so none is computed.
        """
        for batch in batches:
            embedded = self.embedding(batch.ids).requires_grad_()
            predicted = self._scores(batch, embedded).max(dim=1).values.sum()
            (gradient,) = torch.autograd.grad(predicted, embedded)
            yield gradient, embedded.detach()

    def _scores(self, batch: Batch, embedded: Tensor) -> Tensor:
        given = embedded if batch.sizes is None else PackedSequence(embedded, batch.sizes)
        _, (hidden, _) = self.lstm(given)
        return nn.functional.linear(torch.cat(tuple(hidden), dim=1), self.weights, self.bias)
