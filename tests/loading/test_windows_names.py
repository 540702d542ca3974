"""Keras files that were written on Windows, whose groups are called `layers\\lstm\\cell`."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import Dense
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm

SAMPLE = Path(__file__).parents[1] / "golden" / "keras2" / "graphs" / "whole.keras"


def by_backslashes(source: Path, target: Path) -> None:
    """Write a `.keras` file anew as Windows does: `layers/lstm/cell` is one name of a group."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as written:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".h5"):
                content = _renamed(content)
            written.writestr(name, content)


def _renamed(content: bytes) -> bytes:
    found = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as old, h5py.File(found, "w") as new:

        def copy(name: str, item: object) -> None:
            if isinstance(item, h5py.Group) and name.endswith("/vars"):
                group = new.require_group(name.removesuffix("/vars").replace("/", "\\"))
                group.require_group("vars").attrs.update(item.attrs)
                for number, dataset in item.items():
                    group.create_dataset(f"vars/{number}", data=dataset[...])

        old.visititems(copy)
    return found.getvalue()


def weights(model: Model) -> list[np.ndarray]:
    """All weights of the layers of a model."""
    found = []
    for node in model.nodes:
        match node.layer:
            case Dense(matrix, _):
                found.append(matrix)
            case Lstm(cells):
                found += [each for cell in cells for each in (cell.input, cell.recurrent)]
    assert found
    return found


def test_load_as_others_do(tmp_path):
    by_backslashes(SAMPLE, tmp_path / "model.keras")
    same, other = (
        load_model(path, None, np.dtype("float64")).model
        for path in (SAMPLE, tmp_path / "model.keras")
    )
    assert len(same.nodes) == len(other.nodes)
    for one, two in zip(weights(same), weights(other), strict=True):
        assert np.array_equal(one, two)
