"""A model of three inputs, a text, a series and a vector, and sequences for it in every form."""

import json
from pathlib import Path

import numpy as np
import yaml

INPUTS = ("review", "wind", "person")
FEATURES, NUMBERS = 2, 3
WORDS = ("the", "film", "is", "not", "bad", "<unk>")
TEXTS = ("the film is bad", "not bad", "quite a film", "", "is the film not bad the film", "bad")
LABELS = (0, 1, 1, 0, 1, 0)
STEPS = (3, 1, 4, 2, 3, 5)


class SeveralInputs:
    """The model's file with its mapping, and its inputs, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)

        def lstm(letter: str, reads: int) -> dict[str, object]:
            weights = {"W": (8, reads), "U": (8, 2), "b": (8,)}
            names = {key: f"{key}_{letter}" for key in weights}
            self.arrays |= {names[key]: rng.normal(size=shape) for key, shape in weights.items()}
            forward = {"input": names["W"], "recurrent": names["U"], "bias": names["b"]}
            order = {"gate_order": ["i", "f", "g", "o"], "layout": "gates_by_features"}
            return {**order, "forward": forward}

        def dense(letter: str, outputs: int, reads: int) -> dict[str, object]:
            self.arrays[letter] = rng.normal(size=(outputs, reads))
            self.arrays[f"{letter}_b"] = rng.normal(size=outputs)
            return {"weights": letter, "bias": f"{letter}_b", "layout": "classes_by_features"}

        self.arrays = {"E": rng.normal(size=(len(WORDS), 4))}
        self.review = {
            "name": "review",
            "vocabulary": "vocab.txt",
            "tokens": {"split": "whitespace", "lowercase": True, "unknown": "<unk>"},
        }
        self.wind: dict[str, object] = {"name": "wind"}
        self.mapping = {
            "format": 1,
            "labels": ["poor", "good"],
            "inputs": [self.review, self.wind, {"name": "person", "steps": False}],
            "layers": [
                {"from": "review", "name": "words", "embedding": {"weights": "E"}},
                {"from": "words", "name": "read", "lstm": lstm("r", 4)},
                {"from": "wind", "name": "felt", "lstm": lstm("w", FEATURES)},
                {"from": "person", "name": "who", "dense": dense("P", 2, NUMBERS)},
                {"from": ["read", "felt", "who"], "name": "all", "merge": "concat"},
                {"from": "all", "dense": dense("V", 2, 6)},
            ],
        }
        self.series = [rng.normal(size=(steps, FEATURES)).round(3) for steps in STEPS]
        self.people = rng.normal(size=(len(TEXTS), NUMBERS)).round(3)

    def save(self) -> Path:
        """Write the model, and give its path."""
        np.savez(self.folder / "model.npz", **self.arrays)
        (self.folder / "model.yaml").write_text(yaml.safe_dump(self.mapping, sort_keys=False))
        (self.folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
        return self.folder / "model.npz"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    @property
    def objects(self) -> list[dict[str, object]]:
        """What JSON lines hold."""
        given = zip(TEXTS, self.series, self.people, LABELS, strict=True)
        return [
            {
                "id": f"r{number}",
                "review": text,
                "wind": series.tolist(),
                "person": person.tolist(),
                "label": label,
            }
            for number, (text, series, person, label) in enumerate(given)
        ]

    def lines(self, times: int = 1) -> Path:
        """JSON lines, so many times over."""
        text = "".join(f"{json.dumps(each)}\n" for each in self.objects)
        return self.write("in.jsonl", text * times)

    def files(self) -> list[str]:
        """A file for each input."""
        self.write("review.txt", "".join(f"{text}\n" for text in TEXTS))
        np.savez(
            self.folder / "wind.npz", **{str(k): series for k, series in enumerate(self.series)}
        )
        np.save(self.folder / "person.npy", self.people)
        kinds = zip(INPUTS, (".txt", ".npz", ".npy"), strict=True)
        return [f"{name}={self.folder / f'{name}{ending}'}" for name, ending in kinds]
