"""NumPy and HDF5 arrays as sequences."""

from collections.abc import Iterator
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.sequence import Sequence, check_named, together
from lstm_lrp_cli.inputs.series import dimensions_of, sequence_of_array, sequences_of_array
from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.files.numpy import open_npy
from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.model.model import Model
from . import AsArrays
from .choosing import USUAL, chosen_arrays, label_array
from .labels import golds_of, with_golds


def read_array(path: Path, where: str, model: Model) -> Iterator[Sequence]:
    """Read a .npy array: (N, T, features), or one series (T, features).

    For a model with an embedding, (N, T) or (T,) token ids.
    """
    yield from sequences_of_array(open_npy(path, where), model, where)


def read_arrays(path: Path, where: str, model: Model, asked: AsArrays) -> Iterator[Sequence]:
    """Read an .npz or HDF5 file: one array (N, T, features), or one array a sequence.

    For a model with several inputs, one array for each, of all sequences, by its name. True
    classes may stand beside them.
    """
    try:
        file = open_arrays(path)
    except UnusableInput as error:  # a spooled input is not to be called by its temporary name
        raise UnusableInput(where, error.problem) from error
    with file:
        _refuse_table(file, where)
        if model.several_inputs:
            names = list(model.input_names)
            label = label_array(file.datasets, names, asked, where)
            check_named([name for name in file.datasets if name != label], model, where, "array")
            found = _of_inputs(file, names, where, model)
        else:
            names = chosen_arrays(file.datasets, model.only_input, asked, where)
            label = label_array(file.datasets, names, asked, where)
            found = _of_arrays(file, names, where, model)
        if label is not None:
            classes = golds_of(file.read(label), model, f"{where}: {label}")
            found = with_golds(found, classes, f"{where}: {label}", f"{', '.join(names[:3])} has")
        yield from found


def _of_inputs(file: ArrayFile, names: list[str], where: str, model: Model) -> Iterator[Sequence]:
    return together(
        [
            sequences_of_array(file.read(name), model.reading(k), f"{where}: {name}")
            for k, name in enumerate(names)
        ],
        model,
        [f"{where}: {name}" for name in names],
    )


def _of_arrays(file: ArrayFile, names: list[str], where: str, model: Model) -> Iterator[Sequence]:
    """The sequences of one array, or one of each."""
    for number, name in enumerate(names):
        shape = file.datasets[name].shape
        if name == USUAL or len(shape) >= dimensions_of(model.only_input):
            yield from sequences_of_array(file.read(name), model, f"{where}: {name}")
        else:
            yield sequence_of_array(number, name, file.read(name), model, f"{where}: {name}")


def _refuse_table(file: ArrayFile, where: str) -> None:
    from lstm_lrp_cli.loading.files.hdf5 import refuse_table

    try:
        refuse_table(file, "write its numbers as .npy or .csv")
    except UnusableInput as error:
        raise UnusableInput(where, error.problem) from error
