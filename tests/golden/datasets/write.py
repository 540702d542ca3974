"""Write the data sets of which tests read the rows, by Hugging Face's datasets.

Run by hand, in an environment with some version of it, which names the folder:

    python tests/golden/datasets/write.py

`shards` is a data set of two files whose labels are numbers of named classes; `picked` are rows of
it in another order; `splits` has two of them. `expected.json` holds the rows as the library gives
them back.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value, load_from_disk

ROWS = {
    "review": ["the film is not bad", 'not "bad",\n\tthe film', "naïve", "", "the the"],
    "label": [1, 1, 0, 0, 1],
    "doc": ["a", "b", "c", "d", "e"],
    "tokens": [["the", "film"], ["not", "bad"], ["naïve"], [], ["the", "the"]],
    "ids": [[1, 2], [3], [4, 0], [], [1, 1]],
}
FEATURES = Features(
    {
        "review": Value("string"),
        "label": ClassLabel(names=["negative", "positive"]),
        "doc": Value("string"),
        "tokens": Sequence(Value("string")),
        "ids": Sequence(Value("int64")),
    }
)


def main() -> None:
    folder = Path(__file__).resolve().parent / version("datasets")
    shutil.rmtree(folder, ignore_errors=True)
    rows = Dataset.from_dict(ROWS, features=FEATURES)
    rows.save_to_disk(str(folder / "shards"), num_shards=2)
    picked = rows.select([4, 0, 2])
    picked.save_to_disk(str(folder / "picked"))
    DatasetDict({"train": rows, "test": picked}).save_to_disk(str(folder / "splits"))
    rows.to_parquet(str(folder / "rows.parquet"))
    names = ("shards", "picked", "splits/train", "splits/test")
    found = {name: load_from_disk(str(folder / name)).to_dict() for name in names}
    (folder / "expected.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


main()
