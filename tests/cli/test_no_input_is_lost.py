"""No command writes over a file that a model is read from, also where nobody named it."""

import json
import shutil

import h5py
import pytest
from models import KERAS, TESTS

SAVED_MODEL = TESTS / "golden" / "savedmodel" / "tensorflow2.15" / "small"
CHECKPOINT = TESTS / "golden" / "savedmodel" / "tensorflow2.15" / "checkpoint"


@pytest.fixture
def kept(tmp_path, run, monkeypatch):
    """Run a command that is refused for what it would write; nothing changes."""
    monkeypatch.chdir(tmp_path)

    def contents():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def refused(*arguments, name):
        before = contents()
        result = run(*arguments)
        assert result.exit_code == 2, result.stderr
        assert "is the same file as" in result.stderr
        assert name in result.stderr
        assert contents() == before

    return refused


@pytest.fixture
def model(small):
    """A model whose mapping names files of all kinds, by their paths from the mapping."""
    for folder in ("beside", "tokenizer"):
        (small.folder / folder).mkdir()
    small.mapping |= {"vocabulary": "beside/words.txt", "labels": "beside/labels.txt"}
    small.write("beside/words.txt", small.vocabulary)
    small.write("beside/labels.txt", "poor\nfair\ngood\n")
    small.write("beside/tokenizer_config.json", "{}")
    small.write("in.txt", "the film is not bad\n")
    small.write("scores.csv", "0,0,1\n")
    small.save()
    return small


WRITING = [
    ("explain", "model.npz", "in.txt", "-q", "--format", "tsv", "-o"),
    ("explain", "model.npz", "in.txt", "-q", "--report"),
    ("predict", "model.npz", "in.txt", "-q", "--format", "tsv", "-o"),
    ("check", "model.npz", "-o"),
    ("evaluate", "model.npz", "in.txt", "-o"),
    ("compare", "model.npz", "--input", "in.txt", "--methods", "lrp-all,lrp-half", "-o"),
    ("inspect", "model.npz", "-o"),
    ("inspect", "model.npz", "--write-mapping"),
    ("match", "model.npz", "in.txt", "--expected", "scores.csv", "-o"),
    (
        "match",
        "model.npz",
        "in.txt",
        "--expected",
        "scores.csv",
        "--tolerance",
        "9",
        "--write-mapping",
    ),
    ("convert", "model.npz", "--format", "npz"),
]


@pytest.mark.parametrize("command", WRITING, ids=lambda command: f"{command[0]} {command[-1]}")
@pytest.mark.parametrize("name", ["words.txt", "labels.txt", "tokenizer_config.json"])
def test_nor_one_that_the_mapping_names(model, kept, command, name):
    kept(*command, f"beside/{name}", name=name)
    link = model.folder / "link.tsv"
    link.hardlink_to(model.folder / "beside" / name)
    if command[0] in ("explain", "inspect"):
        kept(*command, "link.tsv", name=name)


# What `convert` writes has a mapping of a name of its own.
OVER_MAPPINGS = [command for command in WRITING if command[0] != "convert"]


@pytest.mark.parametrize(
    "command", OVER_MAPPINGS, ids=lambda command: f"{command[0]} {command[-1]}"
)
def test_nor_the_mapping_that_nobody_names(model, kept, command):
    kept(*command, "model.yaml", name="model.yaml")


SAYING = {"inspect": ("model.npz",), "match": ("model.npz", "in.txt", "--expected", "scores.csv")}


@pytest.mark.parametrize("command", SAYING)
def test_a_mapping_that_says_the_same_stays_as_it_is(model, run, monkeypatch, command):
    """What wrote it runs again; by another name of it too, and with a comment of the user's."""
    monkeypatch.chdir(model.folder)
    scores = run("predict", "model.npz", "in.txt", "--format", "jsonl").stdout
    model.write("scores.csv", ",".join(map(str, json.loads(scores)["scores"])))
    path = model.folder / "model.yaml"
    path.rename(model.folder / "draft.yaml")
    writing = (command, *SAYING[command], "--write-mapping")
    assert run(*writing, "model.yaml", "--mapping", "draft.yaml").exit_code == 0
    path.write_text(f"# mine\n{path.read_text()}")
    before = path.stat()
    (model.folder / "link.yaml").symlink_to(path)
    for name in ("model.yaml", "link.yaml"):
        result = run(*writing, name)
        assert result.exit_code == 0, result.stderr
        assert path.stat() == before


def test_one_that_says_otherwise_is_refused_with_what_can_be_done(model, kept):
    command = ("inspect", "model.npz", "--set", "labels=[a, b, c]", "--write-mapping", "model.yaml")
    kept(*command, name="says otherwise; give another name")


def test_another_file_of_those_folders_is_written_again_and_again(model, run, monkeypatch):
    monkeypatch.chdir(model.folder)
    for _ in range(2):
        assert run("explain", "model.npz", "in.txt", "-o", "beside/out.tsv").exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
@pytest.mark.parametrize("option", ["-o", "--write-mapping"])
def test_nor_a_part_of_a_saved_model(tmp_path, kept, run, name, option):
    shutil.copytree(SAVED_MODEL, tmp_path / "saved")
    kept("inspect", "saved", option, f"saved/{name}", name=name)
    for _ in range(2):
        assert run("inspect", "saved", "-o", "saved/said.txt").exit_code == 0


@pytest.mark.parametrize("name", ["weights.index", "weights.data-00000-of-00001", "checkpoint"])
def test_nor_a_part_of_a_checkpoint(tmp_path, kept, name):
    shutil.copytree(CHECKPOINT, tmp_path / "checkpoint")
    kept("inspect", "checkpoint", "-o", f"checkpoint/{name}", name=name)


def test_nor_the_architecture_beside_weights(tmp_path, kept, run):
    """While a report of the same ending, which is looked at too, is none."""
    with h5py.File(KERAS.model) as source, h5py.File(tmp_path / "w.weights.h5", "w") as file:
        architecture = source.attrs["model_config"]
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", file)
        for name, value in source["model_weights"].attrs.items():
            file.attrs[name] = value
    (tmp_path / "w.json").write_text(json.dumps(json.loads(architecture)))
    (tmp_path / "in.txt").write_text("1 2 3\n")
    command = ("explain", "w.weights.h5", "in.txt", "--ids", "-q", "--format", "tsv")
    kept(*command, "-o", "w.json", name="w.json")
    for _ in range(2):
        result = run(*command, "--report", "report.json")
        assert result.exit_code == 0, result.stderr


def test_nor_a_part_of_a_folder_that_is_an_input(model, kept):
    folder = model.folder / "data"
    folder.mkdir()
    for name in ("data-00000-of-00001.arrow", "state.json", "dataset_info.json"):
        (folder / name).write_text("{}")
        command = ("explain", "model.npz", "data", "-q", "--format", "tsv")
        kept(*command, "-o", f"data/{name}", name=name)
