"""The sample models, a small model of one's own, and what commands print, read back."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from msgspec.structs import replace

from lstm_lrp_cli.inputs.tokens import Tokenizer
from lstm_lrp_cli.model.model import Model

TESTS = Path(__file__).parent.parent
SAMPLES = TESTS.parent / "sample_models"
GOLDEN = TESTS / "golden" / "lrp"


@dataclass(frozen=True)
class Sample:
    """A sample model with its sequences and its framework's own scores."""

    model: Path
    sequences: Path
    expected: Path


def sample(name: str, model: str, sequences: str) -> Sample:
    folder = SAMPLES / name
    return Sample(folder / model, folder / sequences, folder / "expected.npy")


PYTORCH = sample("sentiment_pytorch", "model.npz", "sentences.txt")
KERAS = sample("sentiment_keras", "model.h5", "sentences.txt")
WEATHER = sample("weather_series", "model.h5", "series.csv")


class SmallModel:
    """A model file and its mapping in a folder, to be changed at will before it is used.

    Five tokens, embedding of 3, hidden size 2, three classes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(7)
        shapes = {"E": (5, 3), "W": (8, 3), "U": (8, 2), "b": (8,), "V": (3, 2), "c": (3,)}
        self.arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        self.lstm = {
            "gate_order": ["i", "f", "g", "o"],
            "layout": "gates_by_features",
            "forward": {"input": "W", "recurrent": "U", "bias": "b"},
        }
        self.dense = {"weights": "V", "layout": "classes_by_features", "bias": "c"}
        self.mapping: dict[str, object] = {
            "format": 1,
            "vocabulary": "vocab.txt",
            "layers": [{"embedding": {"weights": "E"}}, {"lstm": self.lstm}, {"dense": self.dense}],
        }
        self.vocabulary = "the\nfilm\nis\nnot\nbad\n"

    @property
    def path(self) -> Path:
        return self.folder / "model.npz"

    def take_numbers(self) -> None:
        """Leave out the embedding and its words: it takes three numbers a step."""
        self.mapping["layers"] = self.mapping["layers"][1:]
        del self.mapping["vocabulary"]

    def save(self) -> Path:
        """Write model.npz, model.yaml and vocab.txt, and give the model's path."""
        np.savez(self.path, **self.arrays)
        (self.folder / "model.yaml").write_text(yaml.safe_dump(self.mapping, sort_keys=False))
        (self.folder / "vocab.txt").write_text(self.vocabulary, encoding="utf-8")
        return self.path

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def ids_of(model: Model, text: str) -> list[int]:
    """What a model is given of a text."""
    tokenizer = Tokenizer(model.only_input)
    (encoded,) = tokenizer.of_tokens([tokenizer.cut(text)], "in")
    return encoded.ids.tolist()


def with_input(model: Model, **changes: Any) -> Model:
    """The model, whose only input has another padding, vocabulary or tokenization."""
    return replace(model, inputs=(replace(model.only_input, **changes),))


def golden(name: str) -> dict[str, np.ndarray]:
    """All arrays of a file of golden numbers."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def table(text: str, delimiter: str = "\t") -> list[dict]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
