"""What is asked of every shard, and what a process needs to do it."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from lstm_lrp_cli import __version__
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.read import Source
from lstm_lrp_cli.loading.convert import WRITERS, Converted, convert, narrowed, vocabulary_text
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.written import commented
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.running.blocks import BlockRendering, ToExplain
from lstm_lrp_cli.running.predictions import ToPredict
from lstm_lrp_cli.terminal.words import settings_object
from . import JOB, MODEL
from .store import Store

STEM = "model"
# Settings of which no more is known than whether they are the same.
DIGESTS = ("model", "what methods are given")


class Job(NamedTuple):
    """What is asked, without the model.

    Parameters
    ----------
    make : callable
        From a model to how its blocks are computed, written and counted. It can be sent.
    source : Source
        How sequences are written; its path is that of each shard.
    dtype : str
    settings : mapping
        All that parts depend on but the input, as JSON has it.
    compress : str
        The ending of what parts are compressed with: ".gz"; "" of none.
    """

    make: Callable[[Model], BlockRendering[Any, Any]]
    source: Source
    dtype: str
    settings: Mapping[str, Any]
    compress: str = ""

    @property
    def key(self) -> str:
        return digest_of(self.settings)


class Ready(NamedTuple):
    """What a process has at hand for every shard."""

    job: Job
    rendering: BlockRendering[Any, Any]
    store: Store


def asked_of(
    model: Model, asking: ToExplain | ToPredict, source: Source, written: tuple[str, int, str]
) -> dict[str, Any]:
    """All that parts depend on but the input, as JSON has it.

    Parameters
    ----------
    written : tuple
        The precision; how large shards are; what parts are compressed with.
    """
    found: dict[str, Any] = {
        "command": asking.command,
        "lrp": __version__,
        "model": _digest(_converted(model)),
        **dict(zip(("dtype", "shard size", "compress"), written, strict=True)),
    }
    for name in asking.__struct_fields__:
        value = getattr(asking, name)
        if name == "run":
            continue
        if name == "methods":
            found["methods"] = [settings_object(method) for method in value]
            found["what methods are given"] = digest_of(value)
        else:
            found[name] = value
    how = {name: getattr(source, name) for name in source.__struct_fields__ if name != "path"}
    return json.loads(msgspec.json.encode(found | {"input": how}, enc_hook=repr))  # type: ignore[no-any-return]


def settle(store: Store, job: Job, model: Model) -> None:
    """Say in the output what is asked, and put the model there; or go on with what is the same.

    Raises
    ------
    UnusableInput
        The folder has parts of another job.
    """
    refuse_other(store, job)
    for name, data in _files_of(_converted(model)):
        [there] = store.sizes([f"{MODEL}/{name}"])
        if there != len(data):
            with store.placed(f"{MODEL}/{name}") as file:
                file.write(data)
    [there] = store.sizes([JOB])
    if there is None:
        with store.placed(JOB) as file:
            file.write(json.dumps({"key": job.key, "settings": job.settings}, indent=1).encode())
        refuse_other(store, job)  # which may have come at the same moment


def refuse_other(store: Store, job: Job) -> None:
    """Refuse to go on with what was asked otherwise, and say what differs."""
    [data] = store.read([JOB])
    if data is None:
        return
    try:
        found = json.loads(data)
        key, settings = found["key"], dict(found["settings"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableInput(
            f"{store.root}/{JOB}", "is not what lrp writes there; name another folder"
        ) from error
    if key != job.key:
        told = "; ".join(_differences(settings, job.settings)) or "in what was asked"
        raise UnusableInput(
            store.root, f"has parts of another run, which differs: {told}; name another folder"
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if old != new and name in DIGESTS:
            yield name
        elif old != new:
            shown = (_short(old), _short(new))
            yield f"{name} was {shown[0]} and is {shown[1]}" if shown[0] != shown[1] else name


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def ready(store: Store, job: Job) -> Ready:
    """What a process needs, of the model that lies in the output.

    Raises
    ------
    UnusableInput
        It is not there, or is another one.
    """
    with tempfile.TemporaryDirectory(prefix="lrp-") as folder:
        names = store.names(MODEL)
        for name, data in zip(names, store.read(f"{MODEL}/{each}" for each in names), strict=True):
            (Path(folder) / Path(name).name).write_bytes(data or b"")
        path = Path(folder) / f"{STEM}.npz"
        if not path.exists():
            raise UnusableInput(f"{store.root}/{MODEL}", "is not there; do all machines see it?")
        model = load_model(path, None, np.dtype(job.dtype)).model
    if _digest(_converted(model)) != job.settings["model"]:
        raise UnusableInput(f"{store.root}/{MODEL}", "is another model than the one that was read")
    return Ready(job, job.make(model), store)


def _converted(model: Model) -> Converted:
    found = convert(model, STEM)
    return msgspec.structs.replace(found, arrays=narrowed(found.arrays))


def _digest(converted: Converted) -> str:
    """What two readings of a model have in common; words are many, and told by one text."""
    words = {name: vocabulary_text(ids) for name, ids in converted.vocabularies.items()}
    return digest_of((converted.arrays, converted.document, words, converted.tokenizers))


def _files_of(converted: Converted) -> Iterator[tuple[str, bytes]]:
    """The files that a model is written as; the first one is read last."""
    for name, ids in converted.vocabularies.items():
        yield name, vocabulary_text(ids).encode()
    yield from converted.tokenizers.items()
    title = "The model as lrp read it."
    yield f"{STEM}.yaml", commented(title, converted.document, {}).encode()
    arrays = io.BytesIO()
    WRITERS["npz"](arrays, converted.arrays)
    yield f"{STEM}.npz", arrays.getvalue()


def digest_of(value: Any) -> str:
    """What two equal values have in common, in whatever process: arrays, records, JSON."""
    found = hashlib.sha256()
    for piece in _pieces(value):
        found.update(piece)
    return found.hexdigest()[:16]


def _pieces(value: Any) -> Iterator[bytes | memoryview]:
    if isinstance(value, np.ndarray):
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).data.cast("B") if value.size else b""
    elif isinstance(value, Struct) or (is_dataclass(value) and not isinstance(value, type)):
        yield type(value).__name__.encode()
        named = (
            value.__struct_fields__
            if isinstance(value, Struct)
            else [f.name for f in fields(value)]
        )
        for name in named:
            yield f".{name}=".encode()
            yield from _pieces(getattr(value, name))
    elif isinstance(value, Mapping):
        yield b"{"
        for key in sorted(value, key=repr):
            yield f"{key!r}:".encode()
            yield from _pieces(value[key])
        yield b"}"
    elif isinstance(value, list | tuple):
        yield b"["
        for each in value:
            yield from _pieces(each)
            yield b","
        yield b"]"
    elif callable(value):
        yield value.__qualname__.encode()
    else:
        yield repr(value).encode()
