"""A corpus in shards, of each of which becomes a part, by whoever does the work.

A shard is a file, or the lines that begin in a range of its bytes, or some row groups of it. Its
part is written whole or not at all, with a receipt beside it, so that a run goes on where another
one stopped, and several may work on one corpus.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from lstm_lrp_cli.inputs.spans import Span
from lstm_lrp_cli.results.manifest import ABOUT, Entry

# What lies in the output beside parts, receipts and the manifest: what was asked, the model, how
# many lines ranges have, what workers of a cluster show that they can write, and the report.
JOB = f"{ABOUT}/job.json"
MODEL = f"{ABOUT}/model"
LINES = f"{ABOUT}/lines"
PROBES = f"{ABOUT}/probes"
REPORT = f"{ABOUT}/report.json"


class Shard(Struct, frozen=True, gc=False):
    """What one part is made of.

    Parameters
    ----------
    path : str
        The file or URL.
    input : str
        What the file is called in the corpus: its path below the folder that was given.
    name : str
        The same, and of a range where it begins; the part is named after it.
    size : int
        Bytes, about.
    mark : str
        What changes when the file does.
    span : Span or None
        None is the whole file.
    """

    path: str
    input: str
    name: str
    size: int
    mark: str
    span: Span | None = None


class Receipt(Struct, frozen=True):
    """What is left of a shard that is done, beside its part.

    Parameters
    ----------
    key : str
        Of the job: of all that the part's content depends on but the input.
    mark : str
        The shard's.
    entry : Entry
        The part's line in the manifest.
    figures : dict
        What the report counts of it, as JSON has it.
    marked : bool
        Whether texts were marked that a spreadsheet would run as formulas.
    seconds : float
    worker : str
        Who did it.
    """

    key: str
    mark: str
    entry: Entry
    figures: dict[str, Any]
    marked: bool = False
    seconds: float = 0.0
    worker: str = ""


class Failure(Struct, frozen=True):
    """What a user has to mend before a shard can be done: it is no use to try it again.

    Parameters
    ----------
    where, problem, paste : str
        As of `UnusableInput`.
    """

    where: str
    problem: str
    paste: str = ""
