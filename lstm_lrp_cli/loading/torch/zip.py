"""PyTorch's .pt and .pth, as torch.save writes them since 1.6: a zip of one pickle and storages.

Neither torch nor pickle is used: the pickle is read by `pickles`, which executes nothing.
"""

import zipfile
from pathlib import Path
from typing import IO, Any, Literal

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.numpy import unpacking
from .pickled import TorchPickles


class TorchZip:
    """What torch.save wrote since 1.6, a `Container`.

    Parameters
    ----------
    file : Path or file
    called : str
        What errors call it.
    size : int
        Of the whole, in bytes.

    Attributes
    ----------
    unpacked : int
        How many bytes all its members claim.
    """

    def __init__(self, file: Path | IO[bytes], called: str, size: int) -> None:
        self.called, self.size = called, size
        self._zip = zipfile.ZipFile(file)
        try:
            names = self._zip.namelist()
            self.unpacked = sum(member.file_size for member in self._zip.infolist())
            pickled = min((n for n in names if n.split("/")[-1] == "data.pkl"), key=len)
            self._root = pickled.removesuffix("data.pkl")
            is_big = f"{self._root}byteorder" in names and self._bytes("byteorder") == b"big"
            self.byte_order: Literal["<", ">"] = ">" if is_big else "<"
            self.where = self._where(pickled)
            self.content: Any = TorchPickles(self._bytes("data.pkl"), self.where).read()
        except BaseException:
            self._zip.close()
            raise

    def numbers(self, key: str) -> bytes:
        """All bytes of a storage."""
        return self._bytes(f"data/{key}")

    def close(self) -> None:
        self._zip.close()

    def _where(self, member: str) -> str:
        return f"{self.called}: {member}"

    def _bytes(self, name: str) -> bytes:
        member = self._zip.getinfo(self._root + name)
        if member.file_size > self.size:
            raise UnusableInput(
                self._where(member.filename),
                f"claims {member.file_size:,} bytes in a file of {self.size:,}; PyTorch does not "
                "compress its files, so it is not read",
            )
        with unpacking(self._where(member.filename)):
            return self._zip.read(member)
