"""HDF5 as a tree of named arrays, read by this package alone.

The HDF5 library itself is not used: a damaged file can make it crash the process, or run for ever.
What stands in a module of this folder follows the published format: `source` has the bytes,
`headers` what describes an object, `trees` and `heaps` how others are found, `links` what a group
holds, `datatypes`, `chunks`, `filters` and `data` make arrays of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import (
    ALLOWED_BYTES,
    ALLOWED_EXPANSION,
    ArrayFile,
    Stored,
    check_numeric,
    check_size,
)
from .data import Arrays, Dataset
from .headers import Header, Headers
from .links import Attribute, Link, attributes_of, links_of
from .source import Broken, FileBytes, NotRead

# Groups in groups: no honest file has as many levels.
MOST_LEVELS = 200
# What h5py takes for a path.
SELF = ("", ".")


class Hdf5File(ArrayFile):
    """An HDF5 file. Only hard links are followed, so nothing outside the file is ever read."""

    format = "HDF5"

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        """Open a file, or its content where another file holds it."""
        super().__init__(path)
        self.documents = _Attributes(self)
        self._groups: list[str] = []
        # Where what is listed by another name stands: Keras on Windows joins names by backslashes.
        self._stored: dict[str, str] = {}
        self._links: dict[int, dict[str, Link]] = {}
        self._attributes: dict[int, dict[str, Attribute]] = {}
        try:
            self._handle = self._bytes = FileBytes(path, content)
        except OSError as error:
            raise UnusableInput(str(path), f"cannot be read: {error.strerror}") from error
        with self._closed_if_refused(), _understood(str(path), "is a damaged HDF5 file"):
            self._headers = Headers(self._bytes)
            self._arrays = Arrays(self._headers)
            self.datasets = self._list()

    def read(self, name: str) -> NDArray[Any]:
        where = self.where(name)
        self._bytes.begin()
        with _understood(where, "cannot be read"):
            found = self._find(self.stored_name(name))
            if found is None or not found.header.is_dataset:
                raise Broken("it is no dataset")
            dataset = self._arrays.describe(found.header, name)
            if dataset.shape is None:
                raise UnusableInput(where, "is empty; expected numbers")
            if self._arrays.is_elsewhere(dataset):
                raise UnusableInput(
                    where, "keeps its data in other files, which are not followed; copy the data in"
                )
            self._check(where, dataset, dataset.shape)
            return self._arrays.read(dataset)

    def _check(self, where: str, dataset: Dataset, shape: tuple[int, ...]) -> None:
        datatype = dataset.datatype
        if not datatype.is_text:
            made = datatype.made
            if made is None:
                raise UnusableInput(
                    where,
                    f"holds {datatype.name} elements; expected numbers (save the array again as "
                    "float32 or float64)",
                )
            check_numeric(where, made)
        itemsize = max(datatype.size, 16 if datatype.is_text else 1)
        check_size(where, shape, itemsize, self.size)

    def attribute(self, group: str, name: str) -> Any:
        """An attribute of a group, or None where either is not there; bytes are decoded."""
        where = self.where(f"{group}@{name}")
        with _understood(where, "cannot be read"):
            attribute = self._attributes_of(group).get(name)
            return None if attribute is None else self._arrays.attribute(attribute, where)

    def names(self, group: str, attribute: str) -> list[str] | None:
        """The names that an attribute lists, as Keras has those of layers; None as above.

        Raises
        ------
        UnusableInput
            It holds something else.
        """
        listed = self.attribute(group, attribute)
        if listed is None:
            return None
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            where = self.where(f"{group}@{attribute}")
            raise UnusableInput(where, "is no list of names; save the model again")
        return listed

    def attribute_names(self, group: str) -> list[str]:
        """The names of a group's or dataset's attributes; none where it is not there."""
        with _understood(self.where(group), "its attributes cannot be read"):
            return list(self._attributes_of(group))

    def _attributes_of(self, name: str) -> dict[str, Attribute]:
        self._bytes.begin()
        found = self._find(self.stored_name(name))
        if found is None:
            return {}
        attributes = self._attributes.get(found.address)
        if attributes is None:
            attributes = attributes_of(self._headers, found.header)
            self._attributes[found.address] = attributes
        return attributes

    @property
    def groups(self) -> list[str]:
        """All groups but the one at the top."""
        return list(self._groups)

    def stored_name(self, name: str) -> str:
        """What the file itself calls a dataset or group."""
        return self._stored.get(name, name)

    def has_group(self, name: str) -> bool:
        """Whether a group of that name stands at the top of the file."""
        with _understood(str(self.path), "is a damaged HDF5 file"):
            found = self._find(name)
            return found is not None and found.header.is_group

    def children(self, group: str) -> list[str]:
        """The groups inside a group, or at the top of the file where that is empty, by name."""
        prefix = f"{group}/" if group else ""
        return sorted(
            name
            for name in self._groups
            if name.startswith(prefix) and "/" not in name[len(prefix) :]
        )

    def holds(self, group: str) -> bool:
        """Whether there is any dataset in a group, or in the groups inside it."""
        return any(name.startswith(f"{group}/") for name in self.datasets)

    def _find(self, name: str) -> "_Found | None":
        """What stands at a path of hard links; None where that leads nowhere."""
        address = self._headers.root
        for part in name.split("/"):
            if part in SELF:
                continue
            header = self._headers.at(address)
            link = self._links_of(address, header).get(part) if header.is_group else None
            if link is None or link.target is None:
                return None
            address = link.target
        return _Found(address, self._headers.at(address))

    def _links_of(self, address: int, header: Header) -> dict[str, Link]:
        links = self._links.get(address)
        if links is None:
            links = {link.name: link for link in links_of(self._headers, header)}
            self._links[address] = links
        return links

    def _list(self) -> dict[str, Stored]:
        datasets: dict[str, Stored] = {}
        headers = self._headers
        seen = {headers.root}
        pending = [("", headers.root, 0)]
        letters = ALLOWED_BYTES + ALLOWED_EXPANSION * self.size
        while pending:
            prefix, address, level = pending.pop()
            for key, link in self._links_of(address, headers.at(address)).items():
                name = prefix + key
                letters -= len(name)
                if level >= MOST_LEVELS or letters < 0:
                    raise Broken(f"it has groups in groups, {level} levels deep")
                if link.file is not None:
                    raise UnusableInput(
                        self.where(name),
                        f"is a link to another file ({link.file}); external links are not "
                        "followed: copy the data in",
                    )
                if link.target is None:
                    continue
                header = headers.at(link.target)
                if header.is_dataset:
                    datasets[name] = self._describe(header, name)
                elif header.is_group and link.target not in seen:  # hard links may form circles
                    seen.add(link.target)
                    self._groups.append(name)
                    pending.append((f"{name}/", link.target, level + 1))
        return self._by_slashes(datasets)

    def _describe(self, header: Header, name: str) -> Stored:
        dataset = self._arrays.describe(header, name)
        if dataset.shape is None:
            return Stored((0,), "empty")
        return Stored(dataset.shape, dataset.datatype.name)

    def _by_slashes(self, datasets: dict[str, Stored]) -> dict[str, Stored]:
        """The same with slashes for the backslashes of names, unless two would have one name."""
        names = [*datasets, *self._groups]
        renamed = {name: name.replace("\\", "/") for name in names}
        if len(set(renamed.values())) < len(names) or all(map(str.__eq__, names, renamed.values())):
            return datasets
        self._stored = {new: old for old, new in renamed.items()}
        groups = {renamed[name] for name in self._groups}
        for name in list(groups):  # those that a joined name leads through are groups too
            parts = name.split("/")
            groups.update("/".join(parts[:k]) for k in range(1, len(parts)))
        self._groups = sorted(groups)
        return {renamed[name]: stored for name, stored in datasets.items()}


def refuse_table(file: ArrayFile, mend: str) -> None:
    """Refuse a file in which pandas keeps tables: their columns are no arrays of one name each.

    Raises
    ------
    UnusableInput
    """
    for group in dict.fromkeys(name.split("/")[0] for name in file.datasets):
        if f"{group}@pandas_type" in file.documents:
            raise UnusableInput(
                str(file.path), f"is a table that pandas wrote (to_hdf, `{group}`); {mend}"
            )


class _Attributes(Mapping[str, Any]):
    """A file's attributes by name: those of the file itself, or as `group@attribute`."""

    def __init__(self, file: Hdf5File) -> None:
        self._of = file

    def __getitem__(self, name: str) -> Any:
        group, _, attribute = name.rpartition("@")
        if attribute not in self._of.attribute_names(group or "/"):
            raise KeyError(name)
        return self._of.attribute(group or "/", attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._of.attribute_names("/"))

    def __len__(self) -> int:
        return len(self._of.attribute_names("/"))


class _Found(NamedTuple):
    address: int
    header: Header


@contextmanager
def _understood(where: str, what: str) -> Iterator[None]:
    """Reads a part of a file, and refuses it where it is damaged or of a kind that is not read."""
    try:
        yield
    except Broken as error:
        raise UnusableInput(where, f"{what} ({error}); copy or save it again") from error
    except NotRead as error:
        raise UnusableInput(where, str(error)) from error
    except UnicodeDecodeError as error:
        raise UnusableInput(where, f"{what} (it is not UTF-8); save it again") from error
    except OSError as error:
        raise UnusableInput(where, f"cannot be read: {error.strerror}") from error
