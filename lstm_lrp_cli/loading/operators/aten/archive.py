"""The zip that torch.export.save writes: a program as JSON, and tensors.

Neither torch nor pickle is used, and nothing is executed. Three forms are read, those that the
loader of PyTorch 2.13 reads (torch/export/__init__.py and torch/export/pt2_archive/_package.py):

    models/NAME.json, data/weights/NAME_weights_config.json and storages, as PyTorch writes today
    models/NAME.json, data/weights/NAME.pt, which it calls legacy
    serialized_exported_program.json, serialized_state_dict.pt, of PyTorch 2.7 and before
"""

import io
import math
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import bfloat16, check_shape, check_size, damaged, shape_text
from lstm_lrp_cli.loading.files.numpy import unpacking
from lstm_lrp_cli.loading.operators.arrays import Array
from lstm_lrp_cli.loading.torch.pickled import Tensor
from lstm_lrp_cli.loading.torch.zip import TorchZip
from .schema import DTYPES, VERSION, JsonSize, Payloads, Program, Versioned

# A node takes some hundred bytes of it; what is read of JSON may take twenty times its length.
LONGEST_JSON = 8 * 2**20
# Before 2.8.
OLD_PROGRAM = "serialized_exported_program.json"
# How the names of tensors begin, as against those of other objects.
STORAGES = ("weight_", "tensor_")
MOST_AXES = 32

Form = TypeVar("Form")


class Archive:
    """An open file of torch.export.

    Attributes
    ----------
    program : Program
    torch_version : str
        What wrote it.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._zip = zipfile.ZipFile(path)
        try:
            self._names = frozenset(self._zip.namelist())
            self._read_program()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._zip.close()

    def tensors(self) -> dict[str, Array]:
        """The state dict, and the constants beside it."""
        if self._called is None:
            kinds = ("serialized_state_dict", "serialized_constants")
            return self._torch_file(kinds[0]) | self._torch_file(kinds[1])
        found: dict[str, Array] = {}
        for kind in ("weights", "constants"):
            folder = f"{self._root}data/{kind}/"
            config = f"{folder}{self._called}_{kind}_config.json"
            if config in self._names:
                found |= self._payloads(folder, config)
            else:
                found |= self._torch_file(folder + self._called)
        return found

    def _read_program(self) -> None:
        place = self._place()
        self._called = None
        self._root = ""
        if place != OLD_PROGRAM:
            self._called = place.rsplit("/", 1)[-1].removesuffix(".json")
            self._root = place.removesuffix(f"models/{self._called}.json")
        data = self._bytes(place, LONGEST_JSON)
        version = self._decoded(place, data, Versioned)
        self.torch_version = version.torch_version
        if version.schema_version.major != VERSION:
            found = version.schema_version
            raise UnusableInput(
                self._where(place),
                f"is of version {found.major}.{found.minor} of PyTorch's schema (torch "
                f"{version.torch_version or 'unknown'}); lrp reads version {VERSION}: export the "
                "model again by the PyTorch of today",
            )
        self.program = self._decoded(place, data, Program)

    def _place(self) -> str:
        """Where the program is; of several that which torch.export.save writes."""
        programs = sorted(
            name
            for name in self._names
            if name == OLD_PROGRAM
            or (name.split("/")[-2:-1] == ["models"] and name.endswith(".json"))
        )
        saved = [name for name in programs if name.split("/")[-1] == "model.json"] or programs
        if len(saved) != 1:
            listed = ", ".join(saved[:4]) or "none"
            raise UnusableInput(
                str(self._path),
                f"holds {len(saved)} programs ({listed}); expected one, as torch.export.save has",
            )
        return saved[0]

    def _decoded(self, name: str, data: bytes, form: type[Form]) -> Form:
        with damaged(
            self._where(name),
            lambda error: f"is not what torch.export writes ({error}); export the model again",
            *(msgspec.MsgspecError, UnicodeDecodeError, RecursionError),
        ):
            return msgspec.json.decode(data, type=form)

    def _where(self, name: str) -> str:
        return f"{self._path}: {name}"

    def _bytes(self, name: str, limit: int | None = None) -> bytes:
        member = self._zip.getinfo(name)
        if member.file_size > self._size:
            raise UnusableInput(
                self._where(name),
                f"claims {member.file_size:,} bytes in a file of {self._size:,}; PyTorch does not "
                "compress its files, so it is not read",
            )
        if limit is not None and member.file_size > limit:
            raise UnusableInput(
                self._where(name),
                f"has {member.file_size:,} bytes; lrp reads graphs of at most {limit:,}: export "
                "the model without .run_decompositions()",
            )
        with unpacking(self._where(name)):
            return self._zip.read(member)

    def _payloads(self, folder: str, config: str) -> dict[str, Array]:
        """The tensors that a config lists, each a view of a storage."""
        order = f"{self._root}byteorder"
        views = _Views(self._size, is_big=order in self._names and self._bytes(order) == b"big")
        storages: dict[str, bytes] = {}
        listed = self._decoded(config, self._bytes(config, LONGEST_JSON), Payloads).config
        arrays = {}
        for name, payload in listed.items():
            meta, stored = payload.tensor_meta, payload.path_name
            if not stored.startswith(STORAGES) or meta is None:
                continue  # an object of some class; a node that takes it is refused
            where = self._where(f"tensor `{name}`")
            if payload.use_pickle or meta.dtype not in DTYPES:
                raise UnusableInput(
                    where,
                    "is pickled, or of numbers that NumPy does not have; expected a plain tensor "
                    "of floats: export the model before it is quantized",
                )
            offset, *sizes = (_number(n) for n in (meta.storage_offset, *meta.sizes, *meta.strides))
            rank = len(meta.sizes)
            if f"{folder}{stored}" not in self._names:
                raise UnusableInput(where, f"is in `{stored}`, which the file does not have")
            if stored not in storages:
                storages[stored] = self._bytes(folder + stored)
            arrays[name] = views.of(
                where,
                storages[stored],
                DTYPES[meta.dtype],
                (offset, tuple(sizes[:rank]), tuple(sizes[rank:])),
            )
        return arrays

    def _torch_file(self, name: str) -> dict[str, Array]:
        """The tensors of a dict that torch.save wrote into the file; none where it did not."""
        endings = (".pt", ".json")  # the latter is no JSON either
        found = next((name + each for each in endings if name + each in self._names), None)
        if found is None:
            return {}
        where = self._where(found)
        data = self._bytes(found)
        with unpacking(where), closing(TorchZip(io.BytesIO(data), where, len(data))) as inner:
            if inner.unpacked > len(data):
                raise UnusableInput(
                    where, "is compressed, as no file of PyTorch's is, so it is not read"
                )
            if not isinstance(inner.content, dict):
                raise UnusableInput(where, "is no dict of tensors; export the model again")
            views = _Views(self._size, is_big=inner.byte_order == ">")
            arrays, storages = {}, {}
            for key, tensor in inner.content.items():
                if not isinstance(tensor, Tensor):
                    continue
                stored = tensor.storage.key
                if stored not in storages:
                    storages[stored] = inner.numbers(stored)
                arrays[str(key)] = views.of(
                    f"{where}: tensor `{key}`",
                    storages[stored],
                    tensor.storage.dtype,
                    (tensor.offset, tensor.shape, tensor.strides),
                )
            return arrays


class _Views:
    """Makes arrays of storages, and counts what they claim together."""

    def __init__(self, file_bytes: int, *, is_big: bool) -> None:
        self._file_bytes, self._is_big = file_bytes, is_big
        self._claimed = 0

    def of(
        self,
        where: str,
        data: bytes,
        dtype: str,
        view: tuple[int, tuple[int, ...], tuple[int, ...]],
    ) -> Array:
        """A tensor by its offset, shape and strides in a storage, all in elements."""
        offset, shape, strides = view
        bits = np.dtype("uint16" if dtype == "bfloat16" else dtype).newbyteorder(
            ">" if self._is_big else "<"
        )
        if len(shape) != len(strides) or len(shape) > MOST_AXES:
            raise UnusableInput(
                where, f"has {len(shape)} sizes and {len(strides)} strides; expected as many"
            )
        check_shape(where, shape, bits.itemsize)
        elements = math.prod(shape)
        self._claimed += bits.itemsize * elements
        check_size(where, (self._claimed,), 1, self._file_bytes)
        if not elements:
            return np.zeros(shape, dtype=bits.newbyteorder("="))
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if (last + 1) * bits.itemsize > len(data):
            raise UnusableInput(
                where,
                f"claims the shape {shape_text(shape)} and reaches to element {last:,} of a "
                f"storage of {len(data) // bits.itemsize:,}; export or copy the file again",
            )
        numbers = np.frombuffer(data, bits, len(data) // bits.itemsize)[offset:]
        steps = tuple(stride * bits.itemsize for stride in strides)
        array = np.lib.stride_tricks.as_strided(numbers, shape, steps, writeable=False)
        if dtype == "bfloat16":
            return bfloat16(array)
        return array.astype(bits.newbyteorder("="), copy=False)


def _number(size: JsonSize) -> int:
    if size.as_int is None or size.as_int < 0:
        raise ValueError("a weight's size, stride or offset is no whole number")
    return size.as_int
