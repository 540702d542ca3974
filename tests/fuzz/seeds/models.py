"""Files of models, of vocabularies and of scalers, and mappings."""

import io
import json
import tarfile
from pathlib import Path

import h5py
import numpy as np
import torch_files
import yaml
from models import SmallModel

from fuzz.mutation.archives import (
    directory_changed,
    member_changed,
    members_changed,
    pickle_in_archive,
)
from fuzz.mutation.arrays import safetensors_changed
from fuzz.mutation.bytes import at_the_beginning, at_the_end, word_changed
from fuzz.mutation.documents import json_changed, json_spoilt, yaml_changed, yaml_spliced
from fuzz.mutation.hdf5 import addresses_changed, hdf5_rewritten, headers_changed, structure_changed
from fuzz.mutation.pickles import one_of_several, pickle_changed
from fuzz.mutation.text import cell_changed, line_moved, other_signs, packed
from fuzz.mutation.wire import index_changed, protobuf_changed
from . import GOLDEN, Kind, Seed, inspected, read

TEXT = b"the film is not bad\nbad film\n\n"
SERIES = b"sequence,step,x,y,z\n0,0,1,2,3\n0,1,1,2,3\n1,0,4,5,6\n"
ARCHIVE = {member_changed: 6, members_changed: 2, directory_changed: 2}


def small_model(folder: Path, rows: int = 5, **changes: object) -> dict[str, bytes]:
    """The files of a small model of three classes and so many words."""
    small = SmallModel(folder)
    small.arrays["E"] = np.resize(small.arrays["E"], (rows, 3))
    small.vocabulary += "".join(f"w{k}\n" for k in range(5, rows))
    small.mapping |= changes
    small.save()
    names = ("model.npz", "model.yaml", "vocab.txt")
    return {name: (folder / name).read_bytes() for name in names}


def series_model(folder: Path, **changes: object) -> dict[str, bytes]:
    """The files of a small model that takes three numbers a step."""
    small = SmallModel(folder)
    small.take_numbers()
    small.mapping |= changes
    small.save()
    return {name: (folder / name).read_bytes() for name in ("model.npz", "model.yaml")}


def h5(folder: Path) -> list[Seed]:
    names = ["sequential", "bidirectional_concat", "graphs/weights_only", "graphs/parted"]
    names += ["graphs/weights_numbered.weights", "masked_series"]
    seeds = [inspected(f"keras2/{name}.h5") for name in names]
    seeds += [inspected(f"keras1/theano/{name}.h5") for name in ("sequential", "graph")]
    files = small_model(folder)
    for version in ("earliest", "latest"):
        tree = io.BytesIO()
        with h5py.File(tree, "w", libver=version) as file:
            for k, (name, array) in enumerate(SmallModel(folder).arrays.items()):
                packing = {"chunks": True, "compression": "gzip"} if k % 2 else {}
                file.create_dataset(name, data=array, **packing)
                file[name].attrs["said"] = "of it"
        others = {
            "model.yaml": files["model.yaml"],
            "vocab.txt": files["vocab.txt"],
            "in.txt": TEXT,
        }
        seeds.append(Seed("model.h5", tree.getvalue(), ("predict", "model.h5", "in.txt"), others))
    series = io.BytesIO()
    with h5py.File(series, "w") as file:
        file["x"] = np.ones((4, 3, 3))
        file["y"] = np.arange(4) % 3
    command = ("explain", "model.npz", "in.h5", "--labelled", "--format", "tsv")
    return [*seeds, Seed("in.h5", series.getvalue(), command, series_model(folder))]


def keras(_: Path) -> list[Seed]:
    names = ("whole", "whole_inside", "whole_on_windows")
    return [inspected(f"keras2/graphs/{name}.keras") for name in names]


def npz(folder: Path) -> list[Seed]:
    files = small_model(folder) | {"in.txt": TEXT}
    model = files.pop("model.npz")
    seeds = [
        Seed("model.npz", model, ("explain", "model.npz", "in.txt", "--format", "tsv"), files),
        Seed("model.npz", model, ("inspect", "model.npz"), files),
        Seed("model.npz", model, ("inspect", "model.npz")),
    ]
    names = ("jax/flax_lstm_cell", "jax/haiku_lstm", "tensorflow1/projected")
    return seeds + [inspected(f"{name}.npz") for name in names]


def torch_state(folder: Path) -> list[Seed]:
    path = folder / "model.pt"
    states = {
        "bidirectional": torch_files.weights(suffixes=("", "_reverse")),
        "plain": torch_files.weights(depth=2),
    }
    seeds = []
    for name, state in states.items():
        data = torch_files.save(path, state).read_bytes()
        seeds.append(Seed("model.pt", data, ("inspect", "model.pt", "--assume")))
        wrapped = torch_files.save(path, state, _checkpoint).read_bytes()
        said = (
            ("inspect", "model.pt", "--assume")
            if name == "bidirectional"
            else ("inspect", "model.pt")
        )
        seeds.append(Seed("model.pt", wrapped, said))
        command = ("check", "model.pt", "--assume")
        seeds.append(Seed("model.pt", wrapped, command))
    names = ("lightning.ckpt", "lightning_whole.pt", "fastai_exported.pkl")
    return seeds + [inspected(f"torch/{name}") for name in names]


def _checkpoint(state: dict[str, object]) -> dict[str, object]:
    words = {"the": 0, "film": 1, "is": 2, "not": 3, "bad": 4}
    said = {"epoch": 3, "labels": ["good", "bad", "neither"], "word2idx": words, "lr": 1e-3}
    return {"model": state, "args": {"bidirectional": False, "hidden": 2}, **said}


def torch_legacy(folder: Path) -> list[Seed]:
    path = folder / "model.pt"
    state = torch_files.weights()
    data = torch_files.save_old(path, state, _checkpoint).read_bytes()
    plain = torch_files.save_old(path, state).read_bytes()
    commands = (("inspect", "model.pt", "--assume"), ("inspect", "model.pt"))
    return [Seed("model.pt", each, command) for each in (data, plain) for command in commands]


def torch_export(_: Path) -> list[Seed]:
    return [inspected(f"torch_export/{name}.pt2") for name in ("today", "before", "legacy")]


def safetensors(folder: Path) -> list[Seed]:
    path = folder / "model.safetensors"
    seeds = []
    for state in (torch_files.weights(), torch_files.weights(suffixes=("", "_reverse"), depth=2)):
        for metadata in (None, {"labels": '["a", "b", "c"]', "format": "pt"}):
            data = torch_files.save_safetensors(path, state, metadata).read_bytes()
            seeds.append(Seed(path.name, data, ("inspect", path.name, "--assume")))
    return seeds


def onnx(_: Path) -> list[Seed]:
    names = ["forward", "bidirectional", "gru", "attention", "self_attention", "two_inputs"]
    names += ["joins", "convolution", "layer_norm", "states_handed_over", "time_distributed"]
    return [inspected(f"onnx/{name}.onnx") for name in names]


def saved_model(_: Path) -> list[Seed]:
    seeds = []
    for version in ("2.15", "2.4"):
        for name in ("small", "chain", "traced"):
            top = GOLDEN / f"savedmodel/tensorflow{version}/{name}"
            files = {
                str(path.relative_to(top.parent)): path.read_bytes()
                for path in sorted(top.rglob("*"))
                if path.is_file()
            }
            for spoilt, data in files.items():
                if data and "fingerprint" not in spoilt and ".data-" not in spoilt:
                    others = {each: content for each, content in files.items() if each != spoilt}
                    seeds.append(Seed(spoilt, data, ("inspect", name), others))
    return seeds


def saved_model_changed(data, rng):
    """By what it is: the table of a checkpoint, or a protobuf."""
    return (index_changed if data.endswith(b"\xdb") else protobuf_changed)(data, rng)


def tflite(_: Path) -> list[Seed]:
    return [inspected(f"tflite/{name}.tflite") for name in ("chain", "heads", "words")]


def mappings(folder: Path) -> list[Seed]:
    """Of what many keys are, beside a model of plain arrays."""
    settings = {
        "tokens": {"lowercase": True, "unknown": "bad", "remove": "[.,]", "separate": "[!?]"},
        "labels": ["good", "bad", "neither"],
        "padding": {"side": "pre", "length": 6, "value": 0},
        "task": "classification",
    }
    seeds = []
    for changes in ({}, settings):
        files = small_model(folder, **changes) | {"in.txt": TEXT}
        mapping = files.pop("model.yaml")
        for command in (("inspect", "model.npz"), ("predict", "model.npz", "in.txt")):
            seeds.append(Seed("model.yaml", mapping, command, files))
    scaling = {"minus": [1, 2, 3], "divide": [1.0, 2.0, 3.0]}
    described = {"features": ["x", "y", "z"], "scaling": scaling, "task": "regression"}
    described["output_scaling"] = {"minus": 1.0, "divide": 2.5}
    files = series_model(folder, **described) | {"in.csv": SERIES}
    mapping = files.pop("model.yaml")
    seeds.append(Seed("model.yaml", mapping, ("predict", "model.npz", "in.csv"), files))
    state = torch_files.save(folder / "model.pt", torch_files.weights()).read_bytes()
    given = yaml.safe_dump(
        {"format": 1, "vocabulary": ["a", "b", "c", "d", "e"], "labels": list("xyz")}
    )
    command = ("inspect", "model.pt", "--assume")
    seeds.append(Seed("model.yaml", given.encode(), command, {"model.pt": state}))
    keras = read("keras2/sequential.h5")
    given = b"tokens: {lowercase: true}\npadding: {side: pre, length: 5}\nlabels: [a, b, c]\n"
    seeds.append(Seed("model.yaml", given, ("inspect", "model.h5"), {"model.h5": keras}))
    return seeds


def vocabularies(folder: Path) -> list[Seed]:
    files = small_model(folder) | {"in.txt": TEXT}
    words = files.pop("vocab.txt")
    command = ("predict", "model.npz", "in.txt")
    seeds = [Seed("vocab.txt", words, command, files)]
    as_json = b'{"the": 0, "film": 1, "is": 2, "not": 3, "bad": 4}'
    words = json.loads(as_json)
    pieces = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "bad"},
    }
    for name, data in (("vocab.json", as_json), ("tokenizer.json", json.dumps(pieces).encode())):
        mapping = files["model.yaml"].replace(b"vocab.txt", name.encode())
        seeds.append(Seed(name, data, command, files | {"model.yaml": mapping}))
    top = GOLDEN / "vocabularies"
    names = [
        *top.glob("own-*"),
        *top.glob("torchtext*"),
        *top.glob("keras-3*"),
        *top.glob("keras-python2*"),
    ]
    names += [*top.glob("gensim-4*"), *top.glob("gensim-3.4*")]
    expected = json.loads((top / "expected.json").read_text("utf-8"))
    for path in sorted(names):
        said = expected.get(path.name, {"size": 5, "tokens": {}})
        changes = {"vocabulary": path.name, "tokens": said["tokens"] or {"unknown": 0}}
        files = small_model(folder, said["size"], **changes) | {"in.txt": TEXT}
        del files["vocab.txt"]
        seeds.append(Seed(path.name, path.read_bytes(), command, files))
    return seeds


def vocabulary_changed(data, rng):
    """By what it is."""
    if data[:1] == b"\x80":
        return (one_of_several if rng.random() < 0.5 else pickle_changed)(data, rng)
    if data[:1] == b"{":
        return (json_changed if rng.random() < 0.9 else json_spoilt)(data, rng)
    if data[:2] == b"PK":
        return rng.choice((pickle_in_archive, member_changed, directory_changed))(data, rng)
    return rng.choice((cell_changed, line_moved, other_signs, packed))(data, rng)


def scalers(folder: Path) -> list[Seed]:
    seeds = []
    for version in ("1.9.1-py3.13", "0.20.4-py2.7"):
        with tarfile.open(GOLDEN / "scikit_learn" / f"{version}.tar.bz2") as archive:
            members = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
            found = {name: file.read() for name, file in sorted(members.items()) if file}
        for name, data in found.items():
            name = Path(name).name
            if name.startswith("scaler_named"):
                continue  # of other features than these
            if name.startswith("scaler"):
                files = series_model(folder, scaling=name) | {"in.csv": SERIES}
                seeds.append(Seed(name, data, ("predict", "model.npz", "in.csv"), files))
            elif name.startswith(("encoder", "classes")):
                files = small_model(folder, labels=name) | {"in.txt": TEXT}
                seeds.append(Seed(name, data, ("predict", "model.npz", "in.txt"), files))
    return seeds


MODELS = {
    "h5": Kind(
        h5, {structure_changed: 3, addresses_changed: 2, headers_changed: 2, hdf5_rewritten: 4}
    ),
    "keras": Kind(keras, ARCHIVE),
    "npz": Kind(npz, ARCHIVE),
    "pt": Kind(
        torch_state,
        {pickle_in_archive: 6, member_changed: 2, members_changed: 1, directory_changed: 1},
    ),
    "pt-legacy": Kind(torch_legacy, {one_of_several: 8, at_the_beginning: 1}),
    "pt2": Kind(torch_export, ARCHIVE),
    "safetensors": Kind(safetensors, {safetensors_changed: 6, at_the_beginning: 1}),
    "onnx": Kind(onnx, {protobuf_changed: 6}, "onnx"),
    "savedmodel": Kind(saved_model, {saved_model_changed: 6}),
    "tflite": Kind(tflite, {word_changed: 6, at_the_end: 1, at_the_beginning: 1}),
    "yaml": Kind(mappings, {yaml_changed: 6, yaml_spliced: 4}),
    "vocabulary": Kind(vocabularies, {vocabulary_changed: 6}),
    "scaler": Kind(scalers, {pickle_changed: 6, packed: 1}),
}
