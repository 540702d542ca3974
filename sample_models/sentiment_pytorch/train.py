"""Train a bidirectional LSTM on movie reviews in PyTorch and export it to plain NumPy arrays.

Run from anywhere: python sample_models/sentiment_pytorch/train.py
"""

import copy
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import reviews as data
from plain_lstm import hidden_states
from writing import write_lines, write_metrics, write_samples

HERE = Path(__file__).resolve().parent
SEED = 7
LABELS = ("negative", "neutral", "positive")
EMBEDDING_SIZE = 60
HIDDEN_SIZE = 60
MINIMUM_COUNT = 4
HIDDEN_WORDS = 0.1
DROPOUT = 0.5
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
MAX_EPOCHS = 40
PATIENCE = 5

LAYERS = """\
layers:
  - embedding: {weights: E}
  - lstm:
      gate_order: [i, g, f, o]
      layout: gates_by_features
      forward:  {input: Wxh_Left,  recurrent: Whh_Left,  bias: [bxh_Left, bhh_Left]}
      backward: {input: Wxh_Right, recurrent: Whh_Right, bias: [bxh_Right, bhh_Right]}
      merge: concat
      returns: last
  - dense:
      weights: [Why_Left, Why_Right]
      layout: classes_by_features
      bias: null
      activation: linear
"""

# Which of PyTorch's directions goes by which name in the exported file.
DIRECTIONS = {"Left": "", "Right": "_reverse"}


class SentimentModel(nn.Module):
    """Embedding, bidirectional LSTM, and a linear layer on both last hidden states."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING_SIZE)
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE, bidirectional=True)
        self.output = nn.Linear(2 * HIDDEN_SIZE, len(LABELS), bias=False)

    def forward(self, sequences: Sequence[Tensor]) -> Tensor:
        """Logits (N, C) of sequences of ids, which may differ in length."""
        packed = pack_sequence(list(sequences), enforce_sorted=False)
        embedded = packed._replace(data=self.dropout(self.embedding(packed.data)))
        _, (hidden, _) = self.lstm(embedded)
        return self.output(self.dropout(torch.cat([hidden[0], hidden[1]], dim=1)))


def batches(
    sequences: Sequence[np.ndarray], targets: Tensor, unknown: int, generator: np.random.Generator
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """Shuffled training batches, with some words hidden anew in every epoch."""
    order = generator.permutation(len(sequences))
    for start in range(0, len(order), BATCH_SIZE):
        chosen = order[start : start + BATCH_SIZE]
        hidden = [
            data.hide_words(sequences[index], unknown, HIDDEN_WORDS, generator) for index in chosen
        ]
        yield [torch.from_numpy(ids) for ids in hidden], targets[torch.from_numpy(chosen)]


def evaluate(model: SentimentModel, ids: Sequence[np.ndarray]) -> Tensor:
    """Logits in inference mode, many sequences at a time."""
    model.eval()
    with torch.inference_mode():
        return torch.cat(
            [
                model([torch.from_numpy(one) for one in ids[start : start + 256]])
                for start in range(0, len(ids), 256)
            ]
        )


def train(
    model: SentimentModel, splits: data.Splits, vocabulary: dict[str, int]
) -> tuple[dict[str, Tensor], int]:
    """Train until the validation loss no longer falls; the best weights and their epoch."""
    generator = np.random.default_rng(SEED)
    train_ids, train_targets = encode_all(splits.train, vocabulary)
    validation_ids, validation_targets = encode_all(splits.validation, vocabulary)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    best_loss, best_epoch, best_weights = float("inf"), 0, model.state_dict()
    for epoch in range(1, MAX_EPOCHS + 1):
        model.train()
        for sequences, targets in batches(
            train_ids, train_targets, vocabulary[data.UNKNOWN], generator
        ):
            optimizer.zero_grad()
            loss_of(model(sequences), targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        logits = evaluate(model, validation_ids)
        loss = float(loss_of(logits, validation_targets))
        print(
            f"epoch {epoch}: validation loss {loss:.4f}, accuracy "
            f"{accuracy(logits, validation_targets):.4f}"
        )
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best_weights = copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    return best_weights, best_epoch


def encode_all(
    reviews: Sequence[data.Review], vocabulary: dict[str, int]
) -> tuple[list[np.ndarray], Tensor]:
    """Ids and target classes of reviews."""
    targets = torch.tensor([LABELS.index(review.sentiment) for review in reviews])
    return [data.encode(review, vocabulary) for review in reviews], targets


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """The share of reviews whose largest logit is that of their label."""
    return float((logits.argmax(dim=1) == targets).double().mean())


def reload(weights: dict[str, Tensor], words: int) -> SentimentModel:
    """Send the weights through a file, and return a new model that read them from there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(weights, path)
        model = SentimentModel(words)
        model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def restack(rows: Tensor) -> np.ndarray:
    """Bring rows from PyTorch's gate order i, f, g, o into i, g, f, o."""
    i, f, g, o = rows.numpy().reshape(4, HIDDEN_SIZE, *rows.shape[1:])
    return np.concatenate([i, g, f, o])


def export(weights: dict[str, Tensor], path: Path) -> None:
    """Write the weights as plain float32 arrays."""
    arrays = {"E": weights["embedding.weight"].numpy()}
    for name, suffix in DIRECTIONS.items():
        arrays[f"Wxh_{name}"] = restack(weights[f"lstm.weight_ih_l0{suffix}"])
        arrays[f"Whh_{name}"] = restack(weights[f"lstm.weight_hh_l0{suffix}"])
        arrays[f"bxh_{name}"] = restack(weights[f"lstm.bias_ih_l0{suffix}"])
        arrays[f"bhh_{name}"] = restack(weights[f"lstm.bias_hh_l0{suffix}"])
    left, right = np.split(weights["output.weight"].numpy(), 2, axis=1)
    arrays |= {"Why_Left": np.ascontiguousarray(left), "Why_Right": np.ascontiguousarray(right)}
    np.savez(path, **arrays)


def plain_scores(path: Path, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The scores (N, C) that the exported file gives in float64, computed without PyTorch."""
    with np.load(path) as file:
        array = {name: file[name].astype(np.float64) for name in file.files}

    def last_state(inputs: np.ndarray, name: str) -> np.ndarray:
        bias = array[f"bxh_{name}"] + array[f"bhh_{name}"]
        return hidden_states(inputs, array[f"Wxh_{name}"], array[f"Whh_{name}"], bias, "igfo")[-1]

    return np.array(
        [
            array["Why_Left"] @ last_state(array["E"][ids], "Left")
            + array["Why_Right"] @ last_state(array["E"][ids[::-1]], "Right")
            for ids in sequences
        ]
    )


def main() -> None:
    """Train, export, verify, and write everything that belongs to the model."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    # Sums come out the same whatever the number of cores.
    torch.set_num_threads(1)

    splits = data.split_reviews(data.read_reviews())
    vocabulary = data.build_vocabulary(splits.train, MINIMUM_COUNT, special=[data.UNKNOWN])
    weights, epochs = train(SentimentModel(len(vocabulary)), splits, vocabulary)

    export(weights, HERE / "model.npz")
    write_lines(HERE / "vocab.txt", vocabulary)
    mapping = data.mapping_text(LABELS) + LAYERS
    (HERE / "model.yaml").write_text(mapping, encoding="utf-8", newline="\n")
    samples = splits.test[: data.SAMPLE_SENTENCES]
    write_samples(HERE, [(review.sentiment, review.text) for review in samples])

    model = reload(weights, len(vocabulary))
    sample_ids, _ = encode_all(samples, vocabulary)
    expected = torch.cat([evaluate(model, [ids]) for ids in sample_ids]).numpy()
    np.save(HERE / "expected.npy", expected)
    difference = np.abs(plain_scores(HERE / "model.npz", sample_ids) - expected).max()
    assert difference < 1e-5, f"the exported weights give other scores, by {difference}"

    test_ids, test_targets = encode_all(splits.test, vocabulary)
    test_logits = evaluate(model, test_ids)
    write_metrics(
        HERE,
        {
            "test_accuracy": accuracy(test_logits, test_targets),
            "majority_baseline": data.majority_baseline(splits),
            "test_accuracy_by_label": {
                label: accuracy(test_logits[test_targets == k], test_targets[test_targets == k])
                for k, label in enumerate(LABELS)
            },
            "best_epoch": epochs,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "vocabulary": len(vocabulary),
            "seed": SEED,
            "framework": "torch",
            "version": torch.__version__.split("+")[0],
            "largest_difference_to_numpy": float(difference),
        },
    )


if __name__ == "__main__":
    main()
