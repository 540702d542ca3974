"""The files of golden/lrp: their models, sequences and numbers (see golden/lrp/README.md)."""

import tarfile
from pathlib import Path

import numpy as np
from made_models import make_model
from models import GOLDEN

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

FILES = ("small", "medium", "saturated")
FROM_THE_FILES_GATE_ORDER = [0, 2, 1, 3]  # i, g, f, o to i, f, g, o


class Golden:
    """One file: its model, its sequences, and its numbers by name."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as file:
            self.numbers = {key: file[key] for key in file.files}
        of_sequences = sum(key.endswith("/ids") for key in self.numbers)
        self.sequences = [self.numbers[f"seq{k}/ids"] for k in range(of_sequences)]
        self.model = self._model()

    def of_relevance(
        self, sequence: int, target: int, eps: float, factor: int, name: str
    ) -> Floats:
        return self.numbers[f"seq{sequence}/class{target}/eps{eps}/bias_factor{factor}/{name}"]

    def _model(self) -> Model:
        output = np.hstack([self.numbers["Why_Left"], self.numbers["Why_Right"]])
        return make_model(
            Embedding(self.numbers["E"]),
            Lstm((self._cell("Left"), self._cell("Right"))),
            Dense(output, None),
            classes=len(output),
        )

    def _cell(self, direction: str) -> LstmCell:
        def by_gate(weights: Floats) -> Floats:
            return weights.reshape(4, len(weights) // 4, *weights.shape[1:])[
                FROM_THE_FILES_GATE_ORDER
            ]

        return LstmCell(
            by_gate(self.numbers[f"Wxh_{direction}"]),
            by_gate(self.numbers[f"Whh_{direction}"]),
            by_gate(self.numbers[f"bxh_{direction}"] + self.numbers[f"bhh_{direction}"]),
            backward=direction == "Right",
        )


def assert_golden(found: Floats | float, expected: Floats) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of golden files, which need no filter: Python before 3.11.4 has none."""
    with tarfile.open(archive) as file:
        file.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
