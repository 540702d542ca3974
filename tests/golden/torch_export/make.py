"""Writes the .pt2 files of this folder, by torch 2.13, and the scores that torch gives of each.

    python make.py

    today.pt2         torch.export.save as it is
    legacy.pt2        the same with its weights as one file of torch.save, which torch's loader
                      calls legacy
    before.pt2        as torch 2.7 and before wrote it, which torch's loader reads too
    aotinductor.pt2   the names of a compiled package, without its code

torch.export.load gives the same scores of the first three; this is checked here. Traces of the
stack are left out: they name files of the machine.
"""

import io
import json
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch._export.serde.serialize import serialize

HERE = Path(__file__).parent
IDS = np.random.default_rng(0).integers(0, 12, (3, 5))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 3)
        self.lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(ids))
        return torch.softmax(self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)), dim=1)


def without_traces(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def saved(program: torch.export.ExportedProgram) -> dict[str, bytes]:
    """The members of the zip, by their names without the folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        torch.export.save(program, path)
        with zipfile.ZipFile(path) as archive:
            return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def write(name: str, members: dict[str, bytes], folder: str = "model/") -> Path:
    path = HERE / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(folder + member), data)
    return path


def torch_saved(value: object) -> bytes:
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


def main() -> None:
    torch.manual_seed(3)
    module = Network().double().eval()
    ids = torch.from_numpy(IDS)
    program = without_traces(torch.export.export(module, (ids,)))
    members = saved(program)
    files = [write("today.pt2", members)]

    legacy = {
        name: data
        for name, data in members.items()
        if not name.startswith(("data/weights/", "data/constants/"))
    }
    legacy["data/weights/model.pt"] = torch_saved(program.state_dict)
    legacy["data/constants/model.pt"] = torch_saved({})
    files.append(write("legacy.pt2", legacy))

    artifact = serialize(program)
    version = json.loads(artifact.exported_program)["schema_version"]
    before = {
        "version": f"{version['major']}.{version['minor']}".encode(),
        "serialized_exported_program.json": artifact.exported_program,
        "serialized_state_dict.pt": torch_saved(program.state_dict),
        "serialized_constants.pt": torch_saved({}),
        "serialized_example_inputs.pt": torch_saved(((ids,), {})),
    }
    files.append(write("before.pt2", before, folder=""))

    with torch.no_grad():
        scores = module(ids).numpy()
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.export.load(path).module()(ids).detach().numpy()
        assert np.abs(loaded - scores).max() == 0, path
    expected = {"ids": IDS.tolist(), "probabilities": scores.tolist()}
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")

    compiled = {"archive_format": b"pt2", "data/aotinductor/model/model.so": b"\x7fELF"}
    write("aotinductor.pt2", compiled)


if __name__ == "__main__":
    main()
