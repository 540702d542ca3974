"""PyTorch's .pt and .pth, as torch.save writes them since 1.6: a zip of one pickle and storages.

Neither torch nor pickle is used: the pickle is read by `pickled`, which executes nothing.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, bfloat16, check_size
from lstm_lrp_cli.loading.files.numpy import unpacking
from .pickled import Foreign, Tensor, read_pickle, refused

# Under these keys training scripts keep a state dict in their checkpoints.
STATE_DICTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")
# No checkpoint nests its settings deeper; the names of what stands in d dicts take d^2 characters.
DEEPEST = 100


class TorchFile(ArrayFile):
    """A PyTorch file. Tensors are read when they are asked for.

    A state dict inside a checkpoint gives its tensors under their own names, without the prefix
    `module.` of DataParallel; what else the checkpoint holds is named by its path.
    """

    format = "PyTorch"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._closed_if_refused():
            with unpacking(str(path), "PyTorch"):
                self._handle = self._zip = zipfile.ZipFile(path)
                names = self._zip.namelist()
                pickled = min((n for n in names if n.split("/")[-1] == "data.pkl"), key=len)
                self._root = pickled.removesuffix("data.pkl")
                self._big_endian = (
                    f"{self._root}byteorder" in names and self._bytes("byteorder") == b"big"
                )
                content = read_pickle(self._bytes("data.pkl"), self.where(pickled))
                _check_state(content, self.where(pickled))
            found = list(named(content, Tensor))
            self._tensors = {name: each for name, each in found if isinstance(each, Tensor)}
            if not self._tensors:
                raise UnusableInput(
                    str(path),
                    "holds no tensors; expected what torch.save(model.state_dict()) writes",
                )
        self.documents = {
            name: each for name, each in found if not isinstance(each, Tensor | Foreign)
        }
        self.datasets = {n: Stored(t.shape, t.storage.dtype) for n, t in self._tensors.items()}

    def read(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        storage = tensor.storage
        where = self.where(name)
        stored = "uint16" if storage.dtype == "bfloat16" else storage.dtype
        dtype = np.dtype(stored).newbyteorder(">" if self._big_endian else "<")
        check_size(where, tensor.shape, dtype.itemsize, self.size)
        with unpacking(where):
            data = self._bytes(f"data/{storage.key}")
        spans = zip(tensor.shape, tensor.strides, strict=True)
        last = tensor.offset + sum((size - 1) * stride for size, stride in spans)
        if 0 not in tensor.shape and (last + 1) * dtype.itemsize > len(data):
            raise UnusableInput(
                where,
                f"reaches to element {last} of a storage of {len(data) // dtype.itemsize}; "
                "save the file again",
            )
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, dtype=stored)
        numbers = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
        strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
        view = np.lib.stride_tricks.as_strided(
            numbers[tensor.offset :], tensor.shape, strides, writeable=False
        )
        return bfloat16(view) if storage.dtype == "bfloat16" else view.astype(stored)

    def _bytes(self, name: str) -> bytes:
        member = self._zip.getinfo(self._root + name)
        if member.file_size > self.size:
            raise UnusableInput(
                self.where(member.filename),
                f"claims {member.file_size:,} bytes in a file of {self.size:,}; PyTorch does not "
                "compress its files, so it is not read",
            )
        return self._zip.read(member)


def named(content: Any, tensor: type) -> Iterator[tuple[str, Any]]:
    """Tensors and other values by name; those of the state dict without the way to it.

    Parameters
    ----------
    tensor : type
        What the content has for a tensor.
    """
    state = _state_dict(content, tensor)
    if state is not None:
        tensors = [str(key) for key, value in state.items() if isinstance(value, tensor)]
        wrapped = all(name.startswith("module.") for name in tensors)
        for key, value in state.items():
            yield str(key).removeprefix("module.") if wrapped else str(key), value
    # Everything else by its path, each dict once: a pickle may hold a dict that holds itself.
    pending = [("", 0, content)]
    seen = {id(state)}
    while pending:
        path, depth, value = pending.pop()
        if id(value) in seen or depth > DEEPEST:
            continue
        if isinstance(value, dict) and any(
            isinstance(each, dict | list | tuple | tensor) for each in value.values()
        ):
            seen.add(id(value))
            prefix = f"{path}/" if path else ""
            pending += [(f"{prefix}{key}", depth + 1, each) for key, each in value.items()]
        elif isinstance(value, tensor) and state is not None and "/" not in path:
            yield f"/{path}", value  # such as a best score: no weight of the state dict
        else:
            yield path, value


def _check_state(content: Any, where: str) -> None:
    """Refuse what the pickle has in the model's place and only executing it would give."""
    state = _state_dict(content, Tensor)
    if state is not None:
        for key, value in state.items():
            if isinstance(value, Foreign) or isinstance(key, Foreign):
                raise refused(where, f"`{value}` as `{key}`")
    elif isinstance(content, Foreign):
        raise refused(where, f"`{content}`")
    elif isinstance(content, dict):
        usual = [(key, content[key]) for key in STATE_DICTS if key in content]
        for key, value in usual:
            if isinstance(value, Foreign):
                raise refused(where, f"`{value}` as `{key}`")


def _state_dict(content: Any, tensor: type) -> dict[Any, Any] | None:
    """The dict that holds the model's tensors: one under a usual key, or the whole."""
    candidates = [content]
    if isinstance(content, dict):
        candidates = [*(content[key] for key in STATE_DICTS if key in content), content]
    for candidate in candidates:
        if isinstance(candidate, dict) and any(
            isinstance(value, tensor) for value in candidate.values()
        ):
            return candidate
    return None
