"""State dicts, and files as torch.save and safetensors write them, made without torch."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np


class FloatStorage:
    """Pickled by this name, as torch does."""


FloatStorage.__module__ = "torch"


def weights(seed=3, hidden=2, suffixes=("",), depth=1):
    """The arrays of a state dict: embedding, nn.LSTM, linear."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    state = {"embedding.weight": draw(5, 3)}
    for k in range(depth):
        inputs = 3 if k == 0 else hidden * len(suffixes)
        for suffix in suffixes:
            state[f"lstm.weight_ih_l{k}{suffix}"] = draw(4 * hidden, inputs)
            state[f"lstm.weight_hh_l{k}{suffix}"] = draw(4 * hidden, hidden)
            state[f"lstm.bias_ih_l{k}{suffix}"] = draw(4 * hidden)
            state[f"lstm.bias_hh_l{k}{suffix}"] = draw(4 * hidden)
    state["fc.weight"] = draw(3, hidden * len(suffixes))
    state["fc.bias"] = draw(3)
    return state


class Rebuild:
    """Pickles as torch's call of _rebuild_tensor_v2 does; `view` is a part of the storage."""

    def __init__(self, key, array, view=None):
        self.key, self.array, self.view = key, array, view


class Instance:
    """Pickles as an object of a class by its name, with its attributes."""

    def __init__(self, kind, **attributes):
        self.kind, self.attributes = kind, attributes


class Called:
    """Pickles as the call of a function by its name, and a state that is set on what it gives."""

    def __init__(self, kind, *arguments, state):
        self.kind, self.arguments, self.state = kind, arguments, state


def module(kind, parameters=None, modules=None, buffers=None, **settings):
    """What torch keeps of an nn.Module."""
    parts = {"_parameters": parameters, "_buffers": buffers, "_modules": modules}
    held = {name: OrderedDict(part or {}) for name, part in parts.items()}
    return Instance(kind, training=False, **held, **settings)


class Pickler(pickle._Pickler):
    """Writes what torch.save writes, by the names alone: torch is not needed."""

    dispatch = pickle._Pickler.dispatch.copy()
    is_old = False  # as before 1.6: classes have their sources beside them

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.keys = set()

    def save_tensor(self, tensor):
        self.keys.add(tensor.key)
        self.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")
        array = np.asarray(tensor.array, order="C")
        self.write(b"(")
        self.save("storage")
        self.write(b"ctorch\nFloatStorage\n")
        for value in (tensor.key, "cpu", array.size, *([tensor.view] if self.is_old else [])):
            self.save(value)
        self.write(b"tQ")
        strides = tuple(stride // array.itemsize for stride in array.strides)
        for value in (0, array.shape, strides, False, OrderedDict()):
            self.save(value)
        self.write(b"tR")

    dispatch[Rebuild] = save_tensor

    def save_instance(self, instance):
        before, _, name = instance.kind.rpartition(".")
        named = f"c{before}\n{name}\n".encode()
        if self.is_old:
            self.write(b"(")
            self.save("module")
            self.write(named)
            self.save("model.py")
            self.save("class Model: import os; os.system('false')")
            self.write(b"tQ")
        else:
            self.write(named)
        self.write(b")\x81")
        self.memoize(instance)
        self.save(instance.attributes)
        self.write(b"b")

    dispatch[Instance] = save_instance

    def save_called(self, called):
        before, _, name = called.kind.rpartition(".")
        self.write(f"c{before}\n{name}\n".encode())
        self.save(called.arguments)
        self.write(b"R")
        self.save(called.state)
        self.write(b"b")

    dispatch[Called] = save_called


def rebuilt(state):
    """What stands for arrays in a pickle, each with a storage of its own."""
    return {name: Rebuild(str(k), array) for k, (name, array) in enumerate(state.items())}


def save(path, state, wrap=lambda state: state, protocol=2):
    """Write arrays as torch.save writes a checkpoint."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Pickler(file, protocol).dump(wrap(rebuilt(state)))
        archive.writestr("archive/byteorder", "little")
        for k, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{k}", array.tobytes())
    return path


def old_parts(state, wrap=lambda state: state, protocol=2):
    """The parts of a file as torch.save wrote it before 1.6: five pickles, and the storages."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    content = io.BytesIO()
    pickler = Pickler(content, protocol)
    pickler.is_old = True
    pickler.dump(wrap(rebuilt(state)))
    heads = [pickle.dumps(each, protocol) for each in (0x1950A86A20F9469CFC6C, 1001, info)]
    arrays = {str(k): array for k, array in enumerate(state.values()) if str(k) in pickler.keys}
    keys = pickle.dumps(list(arrays), protocol)
    numbers = [struct.pack("<q", each.size) + each.tobytes() for each in arrays.values()]
    return [*heads, content.getvalue(), keys, *numbers]


def save_old(path, state, wrap=lambda state: state, protocol=2):
    """Write arrays as torch.save did before 1.6."""
    path.write_bytes(b"".join(old_parts(state, wrap, protocol)))
    return path


def save_safetensors(path, state, metadata=None):
    header, offset = {}, 0
    for name, array in state.items():
        end = offset + array.nbytes
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [offset, end]}
        offset = end
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    data = b"".join(array.tobytes() for array in state.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def cell(prefix, inputs, hidden, gates=4, suffix="_l0", seed=5):
    """The arrays of one nn.LSTM (four gates), nn.GRU (three) or nn.RNN (one)."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    return {
        f"{prefix}weight_ih{suffix}": draw(gates * hidden, inputs),
        f"{prefix}weight_hh{suffix}": draw(gates * hidden, hidden),
        f"{prefix}bias_ih{suffix}": draw(gates * hidden),
        f"{prefix}bias_hh{suffix}": draw(gates * hidden),
    }


def matrix(*shape, seed=7):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
