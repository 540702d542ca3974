"""Models whose own description claims, nests, repeats or names what no honest one does."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fuzz.mutation.archives import archive_of
from fuzz.mutation.wire import parsed, varint, written
from fuzz.seeds import Seed, read
from . import several

BIG = 10**12
DEEP = 100_000


def _config() -> dict[str, Any]:
    with h5py.File(io.BytesIO(read("keras2/sequential.h5"))) as file:
        return json.loads(file.attrs["model_config"])


def _layer(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in document["config"]["layers"] if each["class_name"] == kind)


def _with(kind: str, **changes: object) -> str:
    document = _config()
    _layer(document, kind)["config"] |= changes
    return json.dumps(document)


def _of_layers(layers: list[dict[str, Any]]) -> str:
    document = _config()
    document["config"]["layers"] = layers
    return json.dumps(document)


def _wrapped(kind: str, key: str, levels: int) -> str:
    """A layer in a layer in a layer."""
    inner = json.dumps(_layer(_config(), "LSTM"))
    begin = f'{{"class_name": "{kind}", "config": {{"name": "w", "{key}": '
    return _of_layers([]).replace(
        '"layers": []', '"layers": [' + begin * levels + inner + "}}" * levels + "]"
    )


def _models_inside(levels: int) -> str:
    begin = '{"class_name": "Sequential", "config": {"name": "m", "layers": ['
    return begin * levels + json.dumps(_layer(_config(), "LSTM")) + "]}}" * levels


def _graph(levels: int) -> str:
    """Layers each of which takes the one before twice: 2 ** levels paths."""
    layers: list[dict[str, Any]] = [
        {
            "class_name": "InputLayer",
            "name": "l0",
            "inbound_nodes": [],
            "config": {"name": "l0", "batch_input_shape": [None, None, 3]},
        }
    ]
    for k in range(1, levels):
        nodes = [[[f"l{k - 1}", 0, 0, {}], [f"l{k - 1}", 0, 0, {}]]]
        layers.append(
            {
                "class_name": "Add",
                "name": f"l{k}",
                "inbound_nodes": nodes,
                "config": {"name": f"l{k}"},
            }
        )
    config = {
        "name": "m",
        "layers": layers,
        "input_layers": [["l0", 0, 0]],
        "output_layers": [[f"l{levels - 1}", 0, 0]],
    }
    return json.dumps({"class_name": "Functional", "config": config})


def _circle() -> str:
    document = json.loads(_graph(3))
    document["config"]["layers"][1]["inbound_nodes"] = [[["l2", 0, 0, {}]]]
    return json.dumps(document)


CONFIGS = {
    "units": lambda: _with("LSTM", units=BIG),
    "units_longer": lambda: _with("LSTM", units=10**30),
    "units_negative": lambda: _with("LSTM", units=-4),
    "units_float": lambda: _with("LSTM", units=4.5),
    "units_list": lambda: _with("LSTM", units=[4]),
    "units_digits": lambda: _with("LSTM").replace('"units": 4', '"units": ' + "9" * 500_000),
    "rows": lambda: _with("Embedding", input_dim=BIG),
    "rows_nan": lambda: _with("Embedding", input_dim=float("nan")),
    "shape": lambda: _with("InputLayer", batch_input_shape=[None, BIG, BIG]),
    "shape_deep": lambda: _with("InputLayer", batch_input_shape=[None] * 50_000),
    "activation": lambda: _with("LSTM", activation={"class_name": "\x1b[2J", "config": {}}),
    "activation_deep": lambda: _with("LSTM").replace(
        '"tanh"', '{"a":' * DEEP + "1" + "}" * DEEP, 1
    ),
    "name_escapes": lambda: _with("LSTM", name="\x1b[2J\u202e\x9b"),
    "name_long": lambda: _with("LSTM", name="x" * 900_000),
    "name_none": lambda: _with("LSTM", name=None),
    "dtype": lambda: _with("LSTM", dtype={"class_name": "DTypePolicy", "config": {"name": "\x1b"}}),
    "nested": lambda: "[" * DEEP,
    "nested_closed": lambda: "[" * DEEP + "]" * DEEP,
    "nested_maps": lambda: '{"config":' * DEEP + "1" + "}" * DEEP,
    "bidirectional": lambda: _wrapped("Bidirectional", "layer", 3_000),
    "time_distributed": lambda: _wrapped("TimeDistributed", "layer", 300),
    "models_inside": lambda: _models_inside(400),
    "models_inside_deep": lambda: _models_inside(20_000),
    "many_layers": lambda: _of_layers(
        [{"class_name": "Dropout", "config": {"name": f"d{k}"}} for k in range(100_000)]
    ),
    "one_name": lambda: _of_layers([_layer(_config(), "LSTM")] * 5_000),
    "graph": lambda: _graph(60),
    "graph_long": lambda: _graph(5_000),
    "circle": _circle,
    "constant": lambda: "NaN",
    "none": lambda: "null",
    "text": lambda: '"LSTM"',
    "surrogate": lambda: _with("LSTM", name="\ud800"),
    "kind": lambda: _with("LSTM").replace('"LSTM"', '"\\u001b[2J\\u202e"'),
    "kind_list": lambda: _with("LSTM").replace('"LSTM"', "[]"),
}


def _h5(text: str) -> Seed:
    file = io.BytesIO(read("keras2/sequential.h5"))
    with h5py.File(file, "r+", libver="latest") as tree:
        del tree.attrs["model_config"]
        data = text.encode("utf-8", "surrogatepass")
        if len(data) < 60_000:
            tree.attrs["model_config"] = np.bytes_(data)
        else:  # in dense storage, which such a length needs
            tree.attrs.create("model_config", text, dtype=h5py.string_dtype())
    return Seed("model.h5", file.getvalue(), ("inspect", "model.h5"))


def _keras(text: str, name: str = "config.json") -> Seed:
    with zipfile.ZipFile(io.BytesIO(read("keras2/graphs/whole_inside.keras"))) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members[name] = text.encode("utf-8", "surrogatepass")
    data = archive_of(list(members.items()), zipfile.ZIP_DEFLATED)
    return Seed("model.keras", data, ("inspect", "model.keras"))


def _beside(text: str) -> Seed:
    """The architecture in a file of its own."""
    weights = read("keras2/graphs/weights_only.h5")
    data = text.encode("utf-8", "surrogatepass")
    return Seed("model.json", data, ("inspect", "model.h5"), {"model.h5": weights})


several(
    "h5_config",
    {name: lambda _, m=make: _h5(m()) for name, make in CONFIGS.items() if name != "surrogate"},
)
several("keras_config", {name: lambda _, m=make: _keras(m()) for name, make in CONFIGS.items()})
several("json_beside", {name: lambda _, m=make: _beside(m()) for name, make in CONFIGS.items()})


def _tree(fill: Any, libver: str = "latest") -> Seed:
    """A file of arrays without a description, as h5py writes it."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as tree:
        fill(tree)
    return Seed("model.h5", file.getvalue(), ("inspect", "model.h5"))


def _circles(tree: Any) -> None:
    group = tree.create_group("a/b/c/d")
    for name in "xyz":
        group[name] = tree["a"]
        tree[f"a/b/{name}"] = tree["a/b"]


def _tower(tree: Any) -> None:
    group = tree
    for _ in range(3_000):
        group = group.create_group("g")
    group["w"] = 1.0


def _twice_each(tree: Any) -> None:
    """Groups that are linked twice by the one above: 2 ** 40 names."""
    group = tree.create_group("g0")
    group["w"] = np.ones(3)
    for k in range(1, 40):
        above = tree.create_group(f"g{k}")
        above["x"], above["y"] = group, group
        group = above


def _virtual(tree: Any) -> None:
    layout = h5py.VirtualLayout((10**9, 1000), "f8", maxshape=(None, 1000))
    layout[:5] = h5py.VirtualSource("/dev/zero", "x", shape=(5, 1000))
    tree.create_virtual_dataset("w", layout, fillvalue=0)


TREES = {
    "circles": _circles,
    "tower": _tower,
    "twice_each": _twice_each,
    "virtual": _virtual,
    "never_written": lambda tree: tree.create_dataset("w", (BIG, 1000), "f8", chunks=(1000, 1000)),
    "never_written_whole": lambda tree: tree.create_dataset("w", (10**9,), "f8", fillvalue=1.0),
    "chunk": lambda tree: tree.create_dataset(
        "w", (2**28,), "f8", chunks=(2**28,), compression="gzip"
    ),
    "bomb": lambda tree: tree.create_dataset(
        "w", data=np.zeros(2 * 10**7), chunks=(10**6,), compression="gzip"
    ),
    "texts": lambda tree: tree.create_dataset(
        "w", data=["x" * 1000] * 1000, dtype=h5py.string_dtype()
    ),
    "vlen": lambda tree: tree.create_dataset("w", (10**8,), h5py.vlen_dtype("f8"), chunks=(10**5,)),
    "fixed": lambda tree: tree.create_dataset("w", (10**6,), "S60000", chunks=(100,)),
    "compound": lambda tree: tree.create_dataset("w", (3,), [(f"f{k}", "f8") for k in range(900)]),
    "array_type": lambda tree: tree.create_dataset(
        "w", (3,), np.dtype(("f8", (3000, 1000))), chunks=(1,)
    ),
    "dimensions": lambda tree: tree.create_dataset("w", (1,) * 32, "f8"),
    "empty": lambda tree: tree.create_dataset("w", data=h5py.Empty("f8")),
    "external": lambda tree: tree.create_dataset(
        "w", (300,), "f8", external=[("/dev/zero", 0, 2400)]
    ),
    "outside": lambda tree: tree.__setitem__("w", h5py.ExternalLink("/dev/zero", "/")),
    "soft": lambda tree: tree.__setitem__("w", h5py.SoftLink("/w")),
    "escapes": lambda tree: tree.__setitem__("\x1b[2J\u202e", 1.0),
    "many": lambda tree: [tree.create_dataset(f"w{k}", data=1.0) for k in range(5_000)],
    "attributes": lambda tree: [tree.attrs.__setitem__(f"w{k}", k) for k in range(3_000)],
    "references": lambda tree: tree.create_dataset("w", data=[tree.ref] * 9, dtype=h5py.ref_dtype),
}
for _version in ("earliest", "latest"):
    several(
        f"h5_{_version}",
        {name: lambda _, f=fill, v=_version: _tree(f, v) for name, fill in TREES.items()},
    )


def _safetensors(header: str, size: int | None = None, numbers: bytes = bytes(64)) -> Seed:
    text = header.encode()
    data = struct.pack("<Q", len(text) if size is None else size) + text + numbers
    return Seed("m.safetensors", data, ("inspect", "m.safetensors", "--assume"))


def _tensor(shape: str, dtype: str = "F32", end: int = 64) -> str:
    said = f'{{"dtype": "{dtype}", "shape": {shape}, "data_offsets": [0, {end}]}}'
    return f'{{"lstm.weight_ih_l0": {said}}}'


several(
    "safetensors",
    {
        "length": lambda _: _safetensors(_tensor("[16]"), 2**63),
        "length_90": lambda _: _safetensors(_tensor("[16]"), 90_000_000),
        "nested": lambda _: _safetensors("[" * DEEP),
        "nested_maps": lambda _: _safetensors('{"a":' * DEEP),
        "dimensions": lambda _: _safetensors(_tensor("[" + "1," * 5_000 + "16]")),
        "zero": lambda _: _safetensors(_tensor(f"[0, {2**62}]", end=0)),
        "zeros": lambda _: _safetensors(_tensor(f"[0, {2**63}, {2**63}]", end=0)),
        "overflow": lambda _: _safetensors(_tensor(f"[{2**33}, {2**33}]")),
        "negative": lambda _: _safetensors(_tensor("[-4, -4]")),
        "digits": lambda _: _safetensors(_tensor("[" + "9" * 500_000 + "]")),
        "float": lambda _: _safetensors(_tensor("[16.0]")),
        "bool": lambda _: _safetensors(_tensor("[true, 16]")),
        "dtype": lambda _: _safetensors(_tensor("[16]", "\\u001b[2J")),
        "dtype_list": lambda _: _safetensors(_tensor("[16]").replace('"F32"', "[[]]")),
        "offsets": lambda _: _safetensors(_tensor("[16]", end=2**62)),
        "offset_digits": lambda _: _safetensors(
            _tensor("[16]").replace("[0, 64]", "[0, " + "9" * 500_000 + "]")
        ),
        "metadata": lambda _: _safetensors(_tensor("[16]")[:-1] + ', "__metadata__": [1]}'),
        "metadata_nested": lambda _: _safetensors(
            _tensor("[16]")[:-1] + ', "__metadata__": {"a": {"b": 1}}}'
        ),
        "many": lambda _: _safetensors(
            "{"
            + ", ".join(
                f'"w{k}": {{"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}}'
                for k in range(50_000)
            )
            + "}"
        ),
        "layers": lambda _: _safetensors(
            "{"
            + ", ".join(
                f'"lstm.weight_ih_l{k}": {{"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}}'
                for k in range(20_000)
            )
            + "}"
        ),
        "layer": lambda _: _safetensors(_tensor("[16]").replace("_l0", "_l" + "9" * 5_000)),
        "escapes": lambda _: _safetensors(
            _tensor("[16]").replace("lstm", "\\u001b[2J\\u202e\\ud800")
        ),
        "name": lambda _: _safetensors(_tensor("[16]").replace("lstm", "a." * 200_000)),
    },
)


def _onnx(change: Any) -> Seed:
    fields = parsed(read("onnx/forward.onnx"))
    assert fields is not None
    change(next(value for number, _, value in fields if number == 7), fields)
    return Seed("model.onnx", written(fields), ("inspect", "model.onnx"))


def _doubling(graph: Any, _: Any) -> None:
    """Sums of one and the same: 2 ** 60 paths."""
    output = next(value for number, _, value in graph if number == 12)
    for k in range(60):
        node = [
            (1, 2, f"d{k}".encode()),
            (1, 2, f"d{k}".encode()),
            (2, 2, f"d{k + 1}".encode()),
            (4, 2, b"Add"),
        ]
        graph.append((1, 2, node))
    output[:] = [(1, 2, b"d60"), *[each for each in output if each[0] != 1]]


def _chain(count: int) -> Any:
    def change(graph: Any, _: Any) -> None:
        name = next(value for number, _, value in graph if number == 12)[0][2]
        for k in range(count):
            node = [(1, 2, name), (2, 2, f"c{k}".encode()), (4, 2, b"Relu")]
            graph.append((1, 2, node))
            name = f"c{k}".encode()
        next(value for number, _, value in graph if number == 12)[0] = (1, 2, name)

    return change


def _tensors(kind: Any) -> Any:
    def change(graph: Any, _: Any) -> None:
        for number, _, value in graph:
            if number == 5:
                kind(value)

    return change


def _outside(tensor: Any) -> None:
    tensor[:] = [each for each in tensor if each[0] not in (4, 9)]
    place = [(1, 2, b"location"), (2, 2, b"/dev/zero")]
    tensor += [(13, 2, place), (13, 2, [(1, 2, b"length"), (2, 2, b"9" * 5_000)]), (14, 0, 1)]


def _dims(*sizes: int) -> Any:
    def change(tensor: Any) -> None:
        tensor[:] = [each for each in tensor if each[0] != 1] + [(1, 0, size) for size in sizes]

    return change


def _nest(number: int, levels: int) -> bytes:
    found = b"\x08\x01"
    for _ in range(levels):
        found = varint(number << 3 | 2) + varint(len(found)) + found
    return found


several(
    "onnx",
    {
        "doubling": lambda _: _onnx(_doubling),
        "chain": lambda _: _onnx(_chain(20_000)),
        "outside": lambda _: _onnx(_tensors(_outside)),
        "dims": lambda _: _onnx(_tensors(_dims(2**32, 2**32))),
        "dims_zero": lambda _: _onnx(_tensors(_dims(0, 2**62))),
        "dims_many": lambda _: _onnx(_tensors(_dims(*[1] * 5_000))),
        "dims_negative": lambda _: _onnx(_tensors(_dims(2**64 - 1, 2**64 - 1))),
        "subgraphs": lambda _: _onnx(lambda graph, _: graph.append((1, 2, _nest(5, 3_000)))),
        "metadata": lambda _: _onnx(
            lambda _, fields: fields.append((14, 2, [(1, 2, b"\x1b[2J"), (2, 2, b"\xff")]))
        ),
        "functions": lambda _: _onnx(
            lambda graph, fields: fields.extend([(25, 2, list(graph))] * 30)
        ),
        "names": lambda _: _onnx(
            lambda graph, _: graph.append(
                (1, 2, [(4, 2, b"\x1b[2J\xe2\x80\xae"), (2, 2, b"\xff\xfe")])
            )
        ),
        "values": lambda _: _onnx(
            lambda graph, _: graph.extend([(5, 2, [(8, 2, b"w%d" % k)]) for k in range(100_000)])
        ),
    },
)


def _tflite(number: int) -> Seed:
    """Words of the beginning, where its tables stand, are one number."""
    data = bytearray(read("tflite/words.tflite"))
    data[24 + 4 * (number % 50) :][:4] = struct.pack(
        "<I", (0, 4, 2**31 - 1, 2**32 - 1, 8)[number // 50]
    )
    place = 24 + 4 * (number % 50)
    data[place : place + 4] = struct.pack("<I", (0, 4, 2**31 - 1, 2**32 - 1, 8)[number // 50])
    return Seed("model.tflite", bytes(data), ("inspect", "model.tflite"))


several("tflite", {f"word_{number}": lambda _, n=number: _tflite(n) for number in range(0, 250, 7)})


def _saved_model(data: bytes) -> Seed:
    others = {
        f"m/variables/variables.{each}": read(
            f"savedmodel/tensorflow2.15/small/variables/variables.{each}"
        )
        for each in ("index", "data-00000-of-00001")
    }
    return Seed(
        "m/keras_metadata.pb",
        data,
        ("inspect", "m"),
        others | {"m/saved_model.pb": read("savedmodel/tensorflow2.15/small/saved_model.pb")},
    )


several(
    "savedmodel",
    {
        "nested": lambda _: _saved_model(_nest(1, 30_000)),
        "nodes": lambda _: _saved_model(b"\x0a\x02\x10\x01" * 200_000),
        "config": lambda _: _saved_model(
            written(
                [
                    (
                        1,
                        2,
                        [
                            (2, 0, 0),
                            (3, 2, b"root"),
                            (4, 2, b"_tf_keras_model"),
                            (5, 2, b"[" * DEEP),
                        ],
                    )
                ]
            )
        ),
    },
)


def _wide_json(_: Path) -> Seed:
    return _beside("{" + ", ".join(f'"k{k}": 0' for k in range(300_000)) + "}")


several("json_beside", {"wide": _wide_json})
