"""Train a PyTorch LSTM on sentences, and keep it as people do: a checkpoint, and a pickled dict.

Run from anywhere: python sample_models/stories/checkpoint/train.py
"""

import csv
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import reviews as data
from writing import write_metrics

HERE = Path(__file__).resolve().parent
SEED = 4
LABELS = ("negative", "positive")
PADDING = "<pad>"
WORDS = 800
EMBEDDING_SIZE = 8
HIDDEN_SIZE = 10
HIDDEN_WORDS = 0.1
DROPOUT = 0.3
BATCH_SIZE = 32
LEARNING_RATE = 2e-3
EPOCHS = 30
SAMPLE_SENTENCES = 40


class SentimentLSTM(nn.Module):
    """An embedding, an LSTM, and two scores of its last hidden state."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING_SIZE, padding_idx=0)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE)
        self.dropout = nn.Dropout(DROPOUT)
        self.fc = nn.Linear(HIDDEN_SIZE, len(LABELS))

    def forward(self, sequences: Sequence[Tensor]) -> Tensor:
        """Scores (N, 2) of ids, which may differ in length; packed, so that none is padded."""
        packed = pack_sequence(list(sequences), enforce_sorted=False)
        embedded = packed._replace(data=self.dropout(self.embedding(packed.data)))
        _, (hidden, _) = self.lstm(embedded)
        return self.fc(self.dropout(hidden[-1]))


def targets(reviews: Sequence[data.Review]) -> Tensor:
    """Class numbers, (N,)."""
    return torch.tensor([LABELS.index(review.sentiment) for review in reviews])


def train_epoch(
    model: SentimentLSTM,
    optimizer: torch.optim.Optimizer,
    reviews: Sequence[data.Review],
    vocabulary: dict[str, int],
    generator: np.random.Generator,
) -> float:
    """One pass over all sentences, in new order; gives the mean loss."""
    model.train()
    total = 0.0
    order = generator.permutation(len(reviews))
    for start in range(0, len(order), BATCH_SIZE):
        batch = [reviews[index] for index in order[start : start + BATCH_SIZE]]
        ids = [data.encode(review, vocabulary) for review in batch]
        hidden = [data.hide_words(one, 1, HIDDEN_WORDS, generator) for one in ids]
        optimizer.zero_grad()
        scores = model([torch.from_numpy(one) for one in hidden])
        loss = nn.functional.cross_entropy(scores, targets(batch))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(batch)
    return total / len(reviews)


def scores_of(
    model: SentimentLSTM, reviews: Sequence[data.Review], vocabulary: dict[str, int]
) -> Tensor:
    """Scores (N, 2) in inference mode."""
    model.eval()
    with torch.inference_mode():
        return model([torch.from_numpy(data.encode(one, vocabulary)) for one in reviews])


def write_table(path: Path, reviews: Sequence[data.Review]) -> None:
    """A table of sentences; labels are class numbers."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "sentence", "label"])
        writer.writerows(
            [f"test-{number}", review.text, LABELS.index(review.sentiment)]
            for number, review in enumerate(reviews)
        )


def main() -> None:
    """Train, save, and write everything that belongs to the model."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    generator = np.random.default_rng(SEED)

    splits = data.split_reviews(data.read_reviews()).keep(LABELS)
    every = data.build_vocabulary(splits.train, 4, special=[PADDING, data.UNKNOWN])
    vocabulary = {word: number for word, number in every.items() if number < WORDS}
    model = SentimentLSTM(len(vocabulary))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=LEARNING_RATE)
    for epoch in range(1, EPOCHS + 1):
        loss = train_epoch(model, optimizer, splits.train, vocabulary, generator)
        scores = scores_of(model, splits.validation, vocabulary)
        right = (scores.argmax(dim=1) == targets(splits.validation)).double().mean().item()
        print(f"epoch {epoch}: loss {loss:.4f}, validation accuracy {right:.4f}")

    torch.save(
        {
            "epoch": EPOCHS,
            "model_state_dict": model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "loss": loss,
        },
        HERE / "checkpoint.pt",
    )
    with (HERE / "vocab.pkl").open("wb") as file:
        pickle.dump(vocabulary, file)
    samples = splits.test[:SAMPLE_SENTENCES]
    write_table(HERE / "sentences.csv", samples)

    saved = SentimentLSTM(len(vocabulary))
    saved.load_state_dict(torch.load(HERE / "checkpoint.pt")["model_state_dict"])
    np.save(HERE / "expected.npy", scores_of(saved, samples, vocabulary).numpy())
    predicted = scores_of(saved, splits.test, vocabulary).argmax(dim=1)
    write_metrics(
        HERE,
        {
            "test_accuracy": (predicted == targets(splits.test)).double().mean().item(),
            "majority_baseline": data.majority_baseline(splits),
            "epochs": EPOCHS,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "vocabulary": len(vocabulary),
            "seed": SEED,
            "framework": "torch",
            "version": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
