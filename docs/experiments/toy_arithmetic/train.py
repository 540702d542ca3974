"""Train LSTMs of one unit that add or subtract the two marked numbers of a sequence.

Run from anywhere: python docs/experiments/toy_arithmetic/train.py
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from task import FEATURES, TASKS, draw, marked
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

SAMPLES = Path(__file__).resolve().parents[3] / "sample_models"
sys.path.insert(0, str(SAMPLES))

from plain_lstm import hidden_states
from writing import write_lines, write_metrics

TARGET = SAMPLES / "toy_arithmetic"
DATA_SEED = 0
HIDDEN_SIZE = 1
TRAIN, VALIDATION, TEST = 2000, 1000, 500
GOOD_ENOUGH = 1e-4
MODELS = 10
# One unit does not find the solution from every start. A start is given up when its loss has
# hardly fallen in a round.
ROUNDS = 40
STEPS_A_ROUND = 25
LEAST_PROGRESS = 1e-3

MAPPING = """\
format: 1
task: regression
labels: [{task}]
layers:
  - lstm:
      gate_order: [i, f, g, o]
      layout: gates_by_features
      forward: {{input: weight_ih, recurrent: weight_hh, bias: [bias_ih, bias_hh]}}
      returns: last
  - dense: {{weights: output, layout: classes_by_features, bias: null, activation: linear}}
"""

# PyTorch's name of a parameter -> its name in the exported file.
EXPORTED = {
    f"lstm.{kind}_{source}_l0": f"{kind}_{source}"
    for kind in ("weight", "bias")
    for source in ("ih", "hh")
} | {"output.weight": "output"}


@dataclass(frozen=True)
class Problem:
    """Sequences of numbers, ready for PyTorch, and the right answers (N,)."""

    sequences: PackedSequence
    answers: Tensor


class Calculator(nn.Module):
    """An LSTM, and a linear layer without bias on its last hidden state."""

    def __init__(self) -> None:
        super().__init__()
        # In float64, so that what is shipped gives the same scores everywhere.
        self.lstm = nn.LSTM(len(FEATURES), HIDDEN_SIZE, dtype=torch.float64)
        self.output = nn.Linear(HIDDEN_SIZE, 1, bias=False, dtype=torch.float64)

    def forward(self, sequences: PackedSequence) -> Tensor:
        """Answers (N,) to sequences, which may differ in length."""
        _, (hidden, _) = self.lstm(sequences)
        return self.output(hidden[-1])[:, 0]


def pack(sequences: list[np.ndarray]) -> PackedSequence:
    """Sequences of different lengths as one batch."""
    return pack_sequence([torch.from_numpy(one) for one in sequences], enforce_sorted=False)


def problem(sequences: list[np.ndarray], task: str) -> Problem:
    """Sequences and what the task makes of them."""
    return Problem(pack(sequences), torch.from_numpy(marked(sequences, task).answers))


def squared_error(model: Calculator, given: Problem) -> Tensor:
    """The mean squared error of a model's answers."""
    return nn.functional.mse_loss(model(given.sequences), given.answers)


def evaluate(model: Calculator, given: Problem) -> float:
    """The mean squared error in inference mode."""
    with torch.inference_mode():
        return float(squared_error(model, given))


def train(seed: int, training: Problem, validation: Problem) -> Calculator | None:
    """Train a model from one start; None where it does not become good enough."""
    torch.manual_seed(seed)
    model = Calculator()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=STEPS_A_ROUND, history_size=50, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = squared_error(model, training)
        loss.backward()
        return loss

    error = float("inf")
    for _ in range(ROUNDS):
        optimizer.step(closure)
        before, error = error, evaluate(model, validation)
        if error < GOOD_ENOUGH:
            return model
        if not error < before * (1 - LEAST_PROGRESS):
            return None
    return None


def good_models(training: Problem, validation: Problem) -> Iterator[tuple[int, Calculator]]:
    """Models from one seed after the other that are good enough, each with its seed."""
    seed = 0
    while True:
        seed += 1
        model = train(seed, training, validation)
        print(f"seed {seed}: {'given up' if model is None else evaluate(model, validation)}")
        if model is not None:
            yield seed, model


def export(model: Calculator, path: Path) -> None:
    """Write the weights as plain float64 arrays."""
    weights = model.state_dict()
    np.savez(path, **{name: weights[parameter].numpy() for parameter, name in EXPORTED.items()})


def reload(path: Path) -> Calculator:
    """A new PyTorch model with the exported weights."""
    model = Calculator()
    with np.load(path) as file:
        model.load_state_dict(
            {parameter: torch.from_numpy(file[name]) for parameter, name in EXPORTED.items()}
        )
    return model


def plain_scores(path: Path, sequences: list[np.ndarray]) -> np.ndarray:
    """The scores (N, 1) that the exported file gives, computed without PyTorch."""
    with np.load(path) as file:
        array = {name: file[name] for name in file.files}
    bias = array["bias_ih"] + array["bias_hh"]
    return np.array(
        [
            array["output"]
            @ hidden_states(sequence, array["weight_ih"], array["weight_hh"], bias, "ifgo")[-1]
            for sequence in sequences
        ]
    )


def write_model(model: Calculator, task: str, folder: Path, test: list[np.ndarray]) -> float:
    """Write a model, its mapping and its scores; how far plain NumPy is from these."""
    folder.mkdir(parents=True, exist_ok=True)
    export(model, folder / "model.npz")
    (folder / "model.yaml").write_text(MAPPING.format(task=task), encoding="utf-8", newline="\n")
    with torch.inference_mode():
        expected = reload(folder / "model.npz")(pack(test)).numpy()[:, np.newaxis]
    np.save(folder / "expected.npy", expected)
    difference = float(np.abs(plain_scores(folder / "model.npz", test) - expected).max())
    assert difference < 1e-12, f"the exported weights give other scores, by {difference}"
    return difference


def write_series(path: Path, sequences: list[np.ndarray]) -> None:
    """Write sequences with as many digits as it takes to read the same numbers back."""
    rows = (
        f"{sequence},{step},{float(number)!r},{int(mark)}"
        for sequence, steps in enumerate(sequences)
        for step, (number, mark) in enumerate(steps)
    )
    write_lines(path, [",".join(["sequence", "step", *FEATURES]), *rows])


def main() -> None:
    """Train, export, verify, and write everything that belongs to the models."""
    torch.use_deterministic_algorithms(True)
    # Sums come out the same whatever the number of cores.
    torch.set_num_threads(1)

    generator = np.random.default_rng(DATA_SEED)
    training, validation, test = (draw(count, generator) for count in (TRAIN, VALIDATION, TEST))
    measured = []
    for task in TASKS:
        found = good_models(problem(training, task), problem(validation, task))
        for number in range(1, MODELS + 1):
            seed, model = next(found)
            name = f"{task}_{number:02}"
            difference = write_model(model, task, TARGET / name, test)
            measured.append(
                {
                    "model": name,
                    "seed": seed,
                    "validation_mse": evaluate(model, problem(validation, task)),
                    "test_mse": evaluate(model, problem(test, task)),
                    "largest_difference_to_numpy": difference,
                }
            )
    write_series(TARGET / "series.csv", test)
    write_metrics(
        TARGET,
        {
            "models": measured,
            "train": TRAIN,
            "validation": VALIDATION,
            "test": TEST,
            "data_seed": DATA_SEED,
            "framework": "torch",
            "version": torch.__version__.split("+")[0],
        },
    )


if __name__ == "__main__":
    main()
