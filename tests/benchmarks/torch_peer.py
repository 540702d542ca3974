"""The same model in PyTorch: its forward pass, and its gradients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from workload import Ids

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Convolution, Dense
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm

BATCHINGS = ("packed", "equal-length")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences that are run at once: their numbers, and their ids, or the values of series.

    Packed, these have shape (rows, ..), and `sizes` is how many sequences run at each step; of one
    length, they have shape (steps, batch, ..).
    """

    numbers: list[int]
    ids: Tensor
    sizes: Tensor | None


def batches(kind: str, sequences: Sequence[Ids | Floats], size: int) -> list[Batch]:
    """Batches of at most so many sequences, made before the clock starts.

    Packed ones hold sequences of like length, from the longest to the shortest.
    """
    lengths = [len(sequence) for sequence in sequences]
    order = sorted(range(len(sequences)), key=lambda number: -lengths[number])
    groups: dict[int, list[int]] = {}
    for number in order:
        groups.setdefault(0 if kind == "packed" else lengths[number], []).append(number)
    found = []
    for group in groups.values():
        for start in range(0, len(group), size):
            numbers = group[start : start + size]
            tensors = [torch.from_numpy(sequences[number]) for number in numbers]
            if kind == "packed":
                packed = pack_sequence(tensors)
                found.append(Batch(numbers, packed.data, packed.batch_sizes))
            else:
                found.append(Batch(numbers, torch.stack(tensors, dim=1).contiguous(), None))
    return found


class Peer:
    """An embedding, if there is one, one LSTM and a linear layer, as nn.Modules at inference."""

    def __init__(self, model: Model) -> None:
        lstm, dense = (node.layer for node in model.nodes)
        assert isinstance(lstm, Lstm)
        assert isinstance(dense, Dense)
        assert dense.bias is not None
        inputs, hidden = lstm.cells[0].input_size, lstm.cells[0].hidden_size
        self.embedding = (
            nn.Identity()
            if model.only_input.embedding is None
            else nn.Embedding.from_pretrained(torch.from_numpy(model.only_input.embedding.weights))
        )
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=len(lstm.cells) == 2)
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

    def _gradients(self, batches: Sequence[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """The gradient by the tokens' vectors, and these, of each batch; none by the weights."""
        for batch in batches:
            embedded = self.embedding(batch.ids).requires_grad_()
            predicted = self._scores(batch, embedded).max(dim=1).values.sum()
            (gradient,) = torch.autograd.grad(predicted, embedded)
            yield gradient, embedded.detach()

    def _scores(self, batch: Batch, embedded: Tensor) -> Tensor:
        given = embedded if batch.sizes is None else PackedSequence(embedded, batch.sizes)
        _, (hidden, _) = self.lstm(given)
        return nn.functional.linear(torch.cat(tuple(hidden), dim=1), self.weights, self.bias)


def convolving(model: Model, values: Floats) -> Callable[[], Tensor]:
    """The forward pass of a convolution, a mean over steps and a dense layer."""
    convolution, _, dense = (node.layer for node in model.nodes)
    assert isinstance(convolution, Convolution)
    assert isinstance(dense, Dense)
    weights, bias, last = map(
        torch.from_numpy, (convolution.weights, convolution.bias, dense.weights)
    )
    steps = torch.from_numpy(np.ascontiguousarray(values.swapaxes(1, 2)))

    @torch.no_grad()
    def run() -> Tensor:
        found = nn.functional.conv1d(
            steps, weights, bias, padding="same", groups=convolution.groups
        )
        return found.mean(-1) @ last.T

    return run
