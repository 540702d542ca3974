"""What was found once, as it was found: each file of corpus/, packed, with its command."""

import gzip
from pathlib import Path

from fuzz.seeds import Seed
from fuzz.seeds.inputs import LABELS, TSV
from fuzz.seeds.models import series_model, small_model
from . import several

FOLDER = Path(__file__).parents[1] / "corpus"
IDS = b"0 1 2\n"


def _seed(name: str, folder: Path) -> Seed:
    data = gzip.decompress((FOLDER / f"{name}.gz").read_bytes())
    if name.startswith("yaml"):
        files = small_model(folder)
        return Seed(name, data, ("inspect", "model.npz", "--mapping", name), files)
    if name == "jsonl_cr_token.jsonl":
        words = small_model(folder, **LABELS, tokens={"unknown": "bad"})
        return Seed(name, data, ("explain", "model.npz", name, "--format", "csv"), words)
    if name.startswith("input"):
        command = ("explain", "model.npz", name, "--text", "text", "--label", "label", *TSV)
        return Seed(name, data, command, small_model(folder, **LABELS))
    if name.startswith(("csv", "npy")):
        return Seed(name, data, ("explain", "model.npz", name, *TSV), series_model(folder))
    if name.startswith(("pq", "results")):
        return Seed(name, data, ("summarize", name))
    if name == "pt_escape_labels.pt":
        command = ("explain", name, "in.txt", "--ids", "--target", "zzz")
        return Seed(name, data, command, {"in.txt": IDS})
    beside = {"fifo": None} if "fifo" in name else {}
    return Seed(name, data, ("inspect", name), beside)


NAMES = sorted(path.name.removesuffix(".gz") for path in FOLDER.glob("*.gz"))
several("corpus", {each: lambda folder, n=each: _seed(n, folder) for each in NAMES})
