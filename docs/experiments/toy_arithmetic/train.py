"""Train LSTMs of one unit that add or subtract the two numbers of a sequence that count.

Run from anywhere: python docs/experiments/toy_arithmetic/train.py
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from task import FEATURES, TASKS, Task, draw, parts
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "sample_models"))

from plain_lstm import hidden_states
from writing import write_lines, write_metrics

SAMPLES = Path(__file__).resolve().parents[3] / "sample_models"
DATA_SEED = 0
HIDDEN_SIZE = 1
TRAIN, VALIDATION, TEST = 2000, 1000, 500
GOOD_ENOUGH = 1e-4
MODELS = 10
# One unit does not find the solution from every start. A start is given up when its error
# has hardly fallen in a round.
ROUNDS = 40
STEPS_A_ROUND = 25
LEAST_PROGRESS = 1e-3

MAPPING = """\
format: 1
task: regression
labels: [{label}]
layers:
  - lstm:
      gate_order: [i, f, g, o]
      layout: gates_by_features
      forward: {{input: weight_ih, recurrent: weight_hh, bias: [bias_ih, bias_hh]}}
      returns: last
  - dense: {{weights: output, layout: classes_by_features, bias: null, activation: linear}}
"""

LABELS = {"addition": "sum", "subtraction": "difference"}

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


def problem(task: Task, sequences: list[np.ndarray]) -> Problem:
    """Sequences and what the task makes of them."""
    answers = [parts(task, sequence).sum() for sequence in sequences]
    return Problem(pack(sequences), torch.tensor(answers, dtype=torch.float64))


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
    for seed in count(1):
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


def write_model(model: Calculator, task: Task, folder: Path, test: list[np.ndarray]) -> float:
    """Write a model, its mapping and its scores; how far plain NumPy is from these."""
    folder.mkdir(parents=True, exist_ok=True)
    export(model, folder / "model.npz")
    mapping = MAPPING.format(label=LABELS[task.name])
    (folder / "model.yaml").write_text(mapping, encoding="utf-8", newline="\n")
    reloaded = reload(folder / "model.npz")
    with torch.inference_mode():
        expected = torch.stack([reloaded(pack([sequence])) for sequence in test]).numpy()
    np.save(folder / "expected.npy", expected)
    difference = float(np.abs(plain_scores(folder / "model.npz", test) - expected).max())
    assert difference < 1e-12, f"the exported weights give other scores, by {difference}"
    return difference


def write_series(path: Path, sequences: list[np.ndarray]) -> None:
    """Write sequences with as many digits as it takes to read the same numbers back."""
    rows = (
        ",".join([str(sequence), str(step), *(repr(float(value)) for value in values)])
        for sequence, steps in enumerate(sequences)
        for step, values in enumerate(steps)
    )
    write_lines(path, [",".join(["sequence", "step", *FEATURES]), *rows])


def make(task: Task, folder: Path) -> None:
    """Train, export, verify, and write everything that belongs to the models of a task."""
    generator = np.random.default_rng(DATA_SEED)
    train_set, validation_set, test_set = (
        draw(task, size, generator) for size in (TRAIN, VALIDATION, TEST)
    )
    validation = problem(task, validation_set)
    models = good_models(problem(task, train_set), validation)
    measured = []
    for number, (seed, model) in enumerate(islice(models, MODELS), start=1):
        name = f"model_{number:02}"
        measured.append(
            {
                "model": name,
                "seed": seed,
                "validation_mse": evaluate(model, validation),
                "test_mse": evaluate(model, problem(task, test_set)),
                "largest_difference_to_numpy": write_model(model, task, folder / name, test_set),
            }
        )
    write_series(folder / "series.csv", test_set)
    write_metrics(
        folder,
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


def main() -> None:
    """Make the models of all tasks."""
    torch.use_deterministic_algorithms(True)
    # Sums come out the same whatever the number of cores.
    torch.set_num_threads(1)
    for task in TASKS:
        make(task, SAMPLES / f"toy_{task.name}")


if __name__ == "__main__":
    main()
