"""Train a two-layer LSTM that tells from some weeks of weather whether it rains on the next day.

Run from anywhere: python sample_models/weather_series/train.py
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plain_lstm import hidden_states
from writing import write_lines, write_metrics

HERE = Path(__file__).resolve().parent
DATA_FILE = HERE.parent / "data" / "seattle-weather.csv"
SEED = 3
FEATURES = ("precipitation", "temp_max", "temp_min", "wind")
HIDDEN_SIZE = 16
SHORTEST, LONGEST = 20, 30
DROPOUT = 0.3
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-4
MAX_EPOCHS = 80
PATIENCE = 15
SAMPLE_WINDOWS = 40

TRAIN_YEARS = (2012, 2013, 2014)
# How long to train is found out on the last training year, before training on all of them.
VALIDATION_YEAR = 2014
TEST_YEAR = 2015

MAPPING = """\
format: 1
labels: [rain]
layers:
  - lstm:
      gate_order: [i, f, g, o]
      layout: gates_by_features
      forward:
        input: lstm/0/weight_ih
        recurrent: lstm/0/weight_hh
        bias: [lstm/0/bias_ih, lstm/0/bias_hh]
      returns: sequence
  - lstm:
      gate_order: [i, f, g, o]
      layout: gates_by_features
      forward:
        input: lstm/1/weight_ih
        recurrent: lstm/1/weight_hh
        bias: [lstm/1/bias_ih, lstm/1/bias_hh]
      returns: last
  - dense:
      weights: output/weight
      layout: classes_by_features
      bias: output/bias
      activation: linear
"""

# PyTorch's name of a parameter -> its path in the exported file.
EXPORTED = {
    f"lstm.{kind}_{source}_l{layer}": f"lstm/{layer}/{kind}_{source}"
    for layer in (0, 1)
    for kind in ("weight", "bias")
    for source in ("ih", "hh")
} | {"output.weight": "output/weight", "output.bias": "output/bias"}


@dataclass(frozen=True)
class Weather:
    """Daily measurements: years (D,), z-scored values (D, e), and whether it rained (D,)."""

    years: np.ndarray
    values: np.ndarray
    rain: np.ndarray
    scaling: dict[str, dict[str, float]]

    def targets(self, years: Sequence[int]) -> np.ndarray:
        """Days of these years whose longest window lies in the same years."""
        days = np.flatnonzero(np.isin(self.years, years))
        return days[LONGEST:]

    def window(self, target: int, length: int) -> np.ndarray:
        """The `length` days before the target day."""
        return self.values[target - length : target]


class RainModel(nn.Module):
    """Two stacked LSTMs and one output unit, the logit of rain."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(FEATURES), HIDDEN_SIZE, num_layers=2, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(HIDDEN_SIZE, 1)

    def forward(self, windows: Sequence[np.ndarray]) -> Tensor:
        """Logits (N, 1) of windows, which may differ in length."""
        packed = pack_sequence([torch.from_numpy(w) for w in windows], enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        return self.output(self.dropout(hidden[-1]))


def read_weather() -> Weather:
    """Read the measurements, scaled by mean and deviation of the training years."""
    with DATA_FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    years = np.array([int(row["date"][:4]) for row in rows])
    raw = np.array([[float(row[name]) for name in FEATURES] for row in rows])
    training = raw[np.isin(years, TRAIN_YEARS)]
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    return Weather(
        years=years,
        values=((raw - mean) / deviation).astype(np.float32),
        rain=raw[:, FEATURES.index("precipitation")] > 0,
        scaling={
            name: {"mean": float(mean[k]), "deviation": float(deviation[k])}
            for k, name in enumerate(FEATURES)
        },
    )


def windows_of(
    weather: Weather, targets: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """A window of random length before every target day."""
    lengths = generator.integers(SHORTEST, LONGEST, size=len(targets), endpoint=True)
    return [weather.window(*pair) for pair in zip(targets, lengths, strict=True)]


def batches(
    weather: Weather, targets: np.ndarray, generator: np.random.Generator
) -> Iterator[tuple[list[np.ndarray], Tensor]]:
    """Shuffled training batches, with windows of other lengths in every epoch."""
    order = generator.permutation(targets)
    for start in range(0, len(order), BATCH_SIZE):
        chosen = order[start : start + BATCH_SIZE]
        yield windows_of(weather, chosen, generator), rain_on(weather, chosen)


def rain_on(weather: Weather, targets: np.ndarray) -> Tensor:
    """What the model should say for the target days, (N, 1)."""
    return torch.from_numpy(weather.rain[targets].astype(np.float32)[:, np.newaxis])


def evaluate(model: RainModel, windows: Sequence[np.ndarray]) -> Tensor:
    """Logits in inference mode."""
    model.eval()
    with torch.inference_mode():
        return model(windows)


def train_epochs(weather: Weather, targets: np.ndarray) -> Iterator[RainModel]:
    """Train a new model on the target days, epoch after epoch, without end."""
    torch.manual_seed(SEED)
    generator = np.random.default_rng(SEED)
    model = RainModel()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    loss_of = nn.BCEWithLogitsLoss()
    while True:
        model.train()
        for windows, truth in batches(weather, targets, generator):
            optimizer.zero_grad()
            loss_of(model(windows), truth).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        yield model


def find_epochs(weather: Weather) -> int:
    """The number of epochs with the lowest loss on the validation year."""
    training = weather.targets([year for year in TRAIN_YEARS if year != VALIDATION_YEAR])
    validation = weather.targets([VALIDATION_YEAR])
    windows = windows_of(weather, validation, np.random.default_rng(SEED))
    truth = rain_on(weather, validation)
    best_loss, best_epoch = float("inf"), 0
    for epoch, model in enumerate(train_epochs(weather, training), start=1):
        logits = evaluate(model, windows)
        loss = float(nn.functional.binary_cross_entropy_with_logits(logits, truth))
        print(f"epoch {epoch}: validation loss {loss:.4f}, accuracy {accuracy(logits, truth):.4f}")
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
        if epoch == MAX_EPOCHS or epoch - best_epoch >= PATIENCE:
            break
    return best_epoch


def train(weather: Weather, epochs: int) -> RainModel:
    """Train on all training years."""
    models = train_epochs(weather, weather.targets(TRAIN_YEARS))
    for _ in range(epochs):
        model = next(models)
    return model


def accuracy(logits: Tensor, truth: Tensor) -> float:
    """The share of days that were told right."""
    return float(((logits > 0) == (truth > 0.5)).double().mean())


def export(model: RainModel, path: Path) -> None:
    """Write the weights as plain float32 datasets."""
    weights = model.state_dict()
    with h5py.File(path, "w") as file:
        for name, dataset in EXPORTED.items():
            file[dataset] = weights[name].numpy()


def reload(path: Path) -> RainModel:
    """A new PyTorch model with the exported weights."""
    model = RainModel()
    with h5py.File(path) as file:
        model.load_state_dict(
            {name: torch.from_numpy(file[dataset][()]) for name, dataset in EXPORTED.items()}
        )
    return model.eval()


def plain_scores(path: Path, windows: Sequence[np.ndarray]) -> np.ndarray:
    """The scores (N, 1) that the exported file gives in float64, computed without PyTorch."""
    with h5py.File(path) as file:
        array = {name: file[name][()].astype(np.float64) for name in EXPORTED.values()}

    def states(inputs: np.ndarray, layer: str) -> np.ndarray:
        bias = array[f"{layer}/bias_ih"] + array[f"{layer}/bias_hh"]
        return hidden_states(
            inputs, array[f"{layer}/weight_ih"], array[f"{layer}/weight_hh"], bias, "ifgo"
        )

    return np.array(
        [
            array["output/weight"] @ states(states(window, "lstm/0"), "lstm/1")[-1]
            + array["output/bias"]
            for window in windows
        ]
    )


def write_series(path: Path, windows: Sequence[np.ndarray]) -> None:
    """Write windows with as many digits as it takes to read the same numbers back."""
    rows = (
        ",".join([str(sequence), str(step), *(repr(float(value)) for value in values)])
        for sequence, window in enumerate(windows)
        for step, values in enumerate(window)
    )
    write_lines(path, [",".join(["sequence", "step", *FEATURES]), *rows])


def read_series(path: Path) -> list[np.ndarray]:
    """Read windows back."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    starts = np.flatnonzero(table[:, 1] == 0)[1:]
    return np.split(table[:, 2:].astype(np.float32), starts)


def main() -> None:
    """Train, export, verify, and write everything that belongs to the model."""
    torch.use_deterministic_algorithms(True)
    # Sums come out the same whatever the number of cores.
    torch.set_num_threads(1)

    weather = read_weather()
    epochs = find_epochs(weather)
    export(train(weather, epochs), HERE / "model.h5")
    (HERE / "model.yaml").write_text(MAPPING, encoding="utf-8", newline="\n")
    write_lines(HERE / "scaling.json", [json.dumps(weather.scaling, indent=2)])

    test = weather.targets([TEST_YEAR])
    windows = windows_of(weather, test, np.random.default_rng(SEED))
    chosen = np.linspace(0, len(test) - 1, SAMPLE_WINDOWS).round().astype(int)
    write_series(HERE / "series.csv", [windows[k] for k in chosen])

    model = reload(HERE / "model.h5")
    samples = read_series(HERE / "series.csv")
    expected = torch.cat([evaluate(model, [window]) for window in samples]).numpy()
    np.save(HERE / "expected.npy", expected)
    difference = np.abs(plain_scores(HERE / "model.h5", samples) - expected).max()
    assert difference < 1e-5, f"the exported weights give other scores, by {difference}"

    rained = weather.rain[test]
    often_rains = weather.rain[weather.targets(TRAIN_YEARS)].mean() > 0.5
    write_metrics(
        HERE,
        {
            "test_accuracy": accuracy(evaluate(model, windows), rain_on(weather, test)),
            "majority_baseline": float((rained == often_rains).mean()),
            "same_as_day_before_baseline": float((rained == weather.rain[test - 1]).mean()),
            "epochs": epochs,
            "train": len(weather.targets(TRAIN_YEARS)),
            "validation": len(weather.targets([VALIDATION_YEAR])),
            "test": len(test),
            "seed": SEED,
            "framework": "torch",
            "version": torch.__version__.split("+")[0],
            "largest_difference_to_numpy": float(difference),
        },
    )


if __name__ == "__main__":
    main()
