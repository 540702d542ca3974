"""PyTorch's .pt and .pth of every age, as arrays by name; nothing that they hold is run."""

import math
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, bfloat16, check_size
from lstm_lrp_cli.loading.files.numpy import unpacking
from .computed import Computed, computed
from .content import find_content
from .modules import ModuleRecord
from .pickled import Tensor


class Container(Protocol):
    """How a file keeps its pickle and the numbers of its storages.

    Attributes
    ----------
    content : any
        What the pickle holds.
    where : str
        What errors call the pickle.
    byte_order : "<" or ">"
        That of its numbers, as NumPy has it.
    """

    content: Any
    where: str
    byte_order: Literal["<", ">"]

    def numbers(self, key: str) -> bytes: ...

    def close(self) -> None: ...


def opened(path: Path) -> Container:
    """Open what torch.save wrote, in its format of today or before 1.6, to be closed by its user.

    Raises
    ------
    UnusableInput
    """
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    with unpacking(str(path), "PyTorch"):
        if is_zip:
            from .zip import TorchZip

            return TorchZip(path, str(path), path.stat().st_size)
        from .legacy import LegacyTorch

        return LegacyTorch(path)


class TorchFile(ArrayFile):
    """A PyTorch file. Tensors are read when they are asked for.

    A state dict inside a checkpoint gives its tensors under their own names, without the prefix
    `module.` of DataParallel; what else the checkpoint holds is named by its path. A whole module
    gives those that its state dict would have.

    Attributes
    ----------
    modules : tuple of ModuleRecord
        The modules of a whole pickle, each before its parts; nothing of a state dict.
    """

    format = "PyTorch"
    modules: tuple[ModuleRecord, ...]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._closed_if_refused():
            self._handle = self._container = opened(path)
            found = find_content(self._container.content, self._container.where, self.size)
            self._tensors = computed(found.tensors)
            if not self._tensors:
                raise UnusableInput(
                    str(path),
                    "holds no tensors; expected what torch.save(model.state_dict()) writes",
                )
        self.documents, self.modules = found.documents, found.modules
        self.datasets = {n: Stored(t.shape, _dtype(t)) for n, t in self._tensors.items()}

    def read(self, name: str) -> NDArray[Any]:
        where, tensor = self.where(name), self._tensors[name]
        if isinstance(tensor, Computed):
            given, weight = (self._read(where, each) for each in (tensor.given, tensor.weight))
            return tensor.of(given, weight)
        return self._read(where, tensor)

    def _read(self, where: str, tensor: Tensor) -> NDArray[Any]:
        storage = tensor.storage
        stored = "uint16" if storage.dtype == "bfloat16" else storage.dtype
        dtype = np.dtype(stored).newbyteorder(self._container.byte_order)
        check_size(where, tensor.shape, dtype.itemsize, self.size)
        with unpacking(where):
            data = self._container.numbers(storage.key)
        spans = zip(tensor.shape, tensor.strides, strict=True)
        first = storage.begin + tensor.offset
        last = first + sum((size - 1) * stride for size, stride in spans)
        if math.prod(tensor.shape) == 0:
            return np.zeros(tensor.shape, dtype=stored)
        held = min(len(data) // dtype.itemsize, storage.begin + storage.size)
        if last >= held:
            raise UnusableInput(
                where, f"reaches to element {last} of a storage of {held}; save the file again"
            )
        numbers = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
        strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
        view = np.lib.stride_tricks.as_strided(
            numbers[first:], tensor.shape, strides, writeable=False
        )
        return bfloat16(view) if storage.dtype == "bfloat16" else view.astype(stored)


def _dtype(tensor: Tensor | Computed) -> str:
    return (tensor.weight if isinstance(tensor, Computed) else tensor).storage.dtype
