"""Whatever is wrong with a file, it is either explained or refused in one line."""

import gzip
import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from damage import damaged
from models import TESTS

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.torch.file import TorchFile

DAMAGES_EACH = 60


def hdf5(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as tree:
        for name, array in arrays.items():
            tree[name] = array
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def files(small) -> dict[str, bytes]:
    """A whole model with its mapping, vocabulary and input, to be spoilt file by file."""
    small.save()
    return {
        "model.npz": small.path.read_bytes(),
        "model.yaml": (small.folder / "model.yaml").read_bytes(),
        "vocab.txt": small.vocabulary.encode(),
        "input.txt": b"the film is not bad\nbad film\n\n",
    }


@pytest.mark.parametrize(
    "spoilt",
    [
        *("model.npz", "model.h5", "keras.h5", "model.yaml", "vocab.txt"),
        *("input.txt", "input.jsonl", "input.txt.gz", "input.csv", "input.npy", "input.npz"),
    ],
)
def test_damage_is_never_a_bug(run, small, files, tmp_path: Path, spoilt):
    series = {"layers": small.mapping["layers"][1:]}
    match spoilt:
        case "model.h5":
            del files["model.npz"]
            files[spoilt] = hdf5(small.arrays)
        case "keras.h5":
            del files["model.npz"]
            files[spoilt] = (TESTS / "golden" / "keras2" / "sequential.h5").read_bytes()
        case "input.jsonl":
            files[spoilt] = b'{"tokens":["the","bad"],"id":1}\n{"text":"film is"}\n'
        case "input.txt.gz":
            files[spoilt] = gzip.compress(files["input.txt"])
        case "input.csv":
            files |= {"model.yaml": yaml.safe_dump(series).encode()}
            files[spoilt] = b"sequence,step,x,y,z\n0,0,1,2,3\n0,1,1,2,3\n1,0,4,5,6\n"
        case "input.npy" | "input.npz":
            files |= {"model.yaml": yaml.safe_dump(series).encode()}
            array = npy(np.ones((2, 3, 3)))
            archive = io.BytesIO()
            np.savez(archive, x=np.ones((2, 3, 3)))
            files[spoilt] = array if spoilt == "input.npy" else archive.getvalue()
    model = tmp_path / next(name for name in files if name.endswith((".npz", ".h5")))
    source = tmp_path / (spoilt if spoilt.startswith("input") else "input.txt")
    rng = random.Random(spoilt)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = ("check", model) if spoilt == "keras.h5" else ("explain", model, source)
    assert run(*command).exit_code == 0
    for _ in range(DAMAGES_EACH):
        (tmp_path / spoilt).write_bytes(damaged(files[spoilt], rng))
        result = run(*command)
        assert result.exit_code in (0, 1, 3), result.output
        assert "internal error" not in result.output
        if result.exit_code == 3:
            errors = [line for line in result.stderr.splitlines() if "warning" not in line]
            assert len(errors) <= 2  # `lrp check` says first that it makes its own input
            assert errors[-1].startswith("lrp: ")


def test_a_chain_of_dicts_takes_no_more_memory_than_its_file(tmp_path: Path):
    """The name of what stands in d dicts is as long, so 10,000 names took 100 million letters."""
    levels = 10_000
    nest = b"}X\x01\0\0\0vK\x01sX\x01\0\0\0k" * levels
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("model/data.pkl", b"\x80\x02" + nest + b"N" + b"s" * levels + b".")
    tracemalloc.start()
    try:
        with pytest.raises(UnusableInput, match="holds no tensors"):
            TorchFile(tmp_path / "model.pt")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
