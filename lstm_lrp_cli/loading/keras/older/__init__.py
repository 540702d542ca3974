"""What Keras 1 wrote, as later versions of Keras would have written the same."""

from pathlib import Path

from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras.architecture import Architecture, read_architecture
from lstm_lrp_cli.loading.keras.document import Config
from .translation import as_computed_on, translated
from .weights import OlderWeights, is_of_theano, owners_of


def read_older(
    file: Hdf5File, document: Config, version: str, path: Path, root: str = ""
) -> tuple[Architecture, str]:
    """Read an architecture that Keras 1 wrote.

    Parameters
    ----------
    file : Hdf5File
        Its weights.
    document : dict
    version : str
        What it or its file says; "" where neither does.
    path : Path
        Where it stands, for errors.
    root : str
        The group of the weights, with a slash behind it; "" for the top of the file.

    Returns
    -------
    Architecture
    str
        The version, 1 where nothing said more.

    Raises
    ------
    UnusableInput
    """
    backend = "theano" if is_of_theano(file) else "tensorflow"
    document = as_computed_on(backend, translated(document, version))
    version = version or "1"
    weights = OlderWeights(file, root, owners_of(document))
    return read_architecture(path, document, version, weights), version
