"""What a user says of a model: a file of YAML, keys of the command line, or a dict of Python's."""

import os
import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import KINDS, LayerSpec
from . import Described, InputSpec, Mapping, Scalings, scalings

# What errors and origins call keys that the command line sets.
SET = "--set"
# What a mapping that is no file is called in Python.
MAPPING = "the mapping given"


def read_mapping(path: Path) -> Mapping:
    """Read a YAML mapping. The scalers that it names are those beside it.

    Raises
    ------
    UnusableInput
        The file is no YAML, or a key or value is not of the schema; the key's path is named.
    """
    from .yaml import read_yaml

    document = read_yaml(path)
    return _placed(_mapping_of({} if document is None else document, str(path)), path.parent)


def set_keys(texts: Sequence[str]) -> Described | None:
    """What KEY=VALUE of the command line say, the values as YAML; None where there are none.

    A key may be inside of another, as `padding.length`, or `inputs.NAME.scaling` of the input of
    that name. Paths are relative to the current folder.

    Raises
    ------
    UnusableInput
        One is no KEY=VALUE, stands twice, or is not of the schema.
    """
    from .yaml import parse_yaml

    document: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        *parents, key = path.strip().split(".")
        if not equals or not all([*parents, key]):
            raise UnusableInput(f"{SET} {text}", "expected KEY=VALUE, such as padding.length=50")
        inside = document
        for parent in parents:
            inside = inside.setdefault(parent, {})
            if not isinstance(inside, dict):
                break
        if not isinstance(inside, dict) or key in inside:
            raise UnusableInput(
                f"{SET} {text}", f"`{path}` is set by another as well; expected one"
            )
        inside[key] = parse_yaml(value, f"{SET} {text}")
    if isinstance(document.get("inputs"), dict):
        document["inputs"] = [_input(*each) for each in document["inputs"].items()]
    return _said(document, SET) if document else None


def keys_to_set() -> list[str]:
    """The keys that may be set alone, as a shell completes them."""
    hints = get_type_hints(Mapping)
    found: list[str] = []
    for key in Mapping.__struct_fields__:
        found.append(f"{key}=")
        if key not in ("inputs", "layers"):
            inner = (name for spec in specs_in(hints[key]) for name in spec.__struct_fields__)
            found += (f"{key}.{name}=" for name in inner)
    return found


def _input(name: str, keys: Any) -> Any:
    return {"name": name} | keys if isinstance(keys, dict) else keys


def said_in_python(document: AnyMapping[str, Any]) -> Described:
    """What a dict says, as the YAML of a mapping would; paths are relative to the current folder.

    Raises
    ------
    UnusableInput
        A key or value is not of the schema; the key's path is named.
    """
    try:
        plain = msgspec.to_builtins(dict(document), enc_hook=_plain)
    except (TypeError, RecursionError) as error:
        raise UnusableInput(MAPPING, f"holds what YAML has not: {error}") from error
    return _said(plain, MAPPING)


def _plain(value: Any) -> Any:
    """A path, or numbers and texts of NumPy, pandas or PyTorch, as a mapping has them."""
    if isinstance(value, PathLike):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    kept = (
        "; save it, as joblib.dump does, and give the file's name" if hasattr(value, "fit") else ""
    )
    found = type(value).__name__
    raise TypeError(f"found {found}; expected texts, numbers, lists and dicts{kept}")


def _said(document: dict[str, Any], origin: str) -> Described:
    return Described.by(_from_here(_mapping_of(document, origin)), origin)


def _mapping_of(document: Any, where: str) -> Mapping:
    try:
        mapping = msgspec.convert(document, Mapping)
    except msgspec.ValidationError as error:
        raise UnusableInput(where, _explain(str(error))) from error
    _check_kinds(mapping.layers or [], "layers", where)
    names = [each.name for each in mapping.inputs or []]
    if mapping.inputs is not UNSET and mapping.inputs is not None and not names:
        raise UnusableInput(where, "inputs: found none; expected one or more, or null")
    for index, name in enumerate(names):
        if name == "" or (name is None and len(names) > 1):
            problem = f"inputs[{index}].name: is missing; expected a name for each of several"
            raise UnusableInput(where, problem)
    if len(set(names)) < len(names):
        problem = "inputs: two of them have one name; expected one of its own for each"
        raise UnusableInput(where, problem)
    return mapping


def _placed(mapping: Mapping, folder: Path) -> Mapping:
    """A mapping whose scalers are named from the current folder, and not from the mapping's."""

    def placed(said: Scalings) -> Scalings:
        if said is UNSET or said is None:
            return said
        return [
            each if each.file is None else replace(each, file=str(folder / each.file))
            for each in scalings(said)
        ]

    inputs = mapping.inputs
    if inputs:
        inputs = [replace(each, scaling=placed(each.scaling)) for each in inputs]
    return replace(
        mapping,
        scaling=placed(mapping.scaling),
        output_scaling=placed(mapping.output_scaling),
        inputs=inputs,
    )


def _from_here(mapping: Mapping) -> Mapping:
    """A mapping whose words and labels are those of files here, if there are files of the names.

    Else they may be named in the weight file.
    """

    def here(name: Any) -> Any:
        return os.path.abspath(name) if isinstance(name, str) and os.path.exists(name) else name

    def words(spec: InputSpec) -> InputSpec:
        return replace(spec, vocabulary=here(spec.vocabulary))

    return replace(
        mapping,
        vocabulary=here(mapping.vocabulary),
        labels=here(mapping.labels),
        inputs=list(map(words, mapping.inputs)) if mapping.inputs else mapping.inputs,
    )


def _check_kinds(layers: Sequence[LayerSpec], key: str, where: str) -> None:
    """Refuse a layer of no kind or of several, here and in the layers of a layer."""
    for index, layer in enumerate(layers):
        if len(layer.kinds) != 1:
            found = " and ".join(layer.kinds) or "nothing"
            raise UnusableInput(
                where,
                f"{key}[{index}]: found {found}; expected one of "
                f"{', '.join(KINDS)} with its settings",
            )
        if layer.each is not None:
            _check_kinds(layer.each.layers, f"{key}[{index}].each.layers", where)


def spec_at(keys: Sequence[str]) -> type[Struct]:
    """The keys that a mapping may have below a path of keys."""
    spec: type[Struct] = Mapping
    for key in filter(None, keys):
        [spec] = specs_in(get_type_hints(spec)[key])
    return spec


def specs_in(hint: Any) -> list[type[Struct]]:
    """The keys that stand in a type such as `list[LayerSpec] | UnsetType`."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [hint]
    found = (spec for part in get_args(hint) for spec in specs_in(part))
    return list(dict.fromkeys(found))


def _explain(message: str) -> str:
    """Turn msgspec's message into one that leads with the key's path and proposes the mend."""
    problem, _, at = message.partition(" - at `$")
    path = at.rstrip("`").removeprefix(".")
    *parents, key = re.sub(r"\[[^]]*\]", "", path).split(".")
    unknown = re.match(r"Object contains unknown field `(.*)`", problem)
    if unknown:
        known = spec_at([*parents, key]).__struct_encode_fields__
        problem = f"unknown key `{unknown[1]}`; {_nearest(unknown[1], known)}"
    elif problem.startswith("Invalid enum value"):
        found = problem.removeprefix("Invalid enum value ").strip("'")
        choices = [str(choice) for choice in _choices(get_type_hints(spec_at(parents))[key])]
        problem = f"found `{found}`; {_nearest(found, choices)}"
    else:
        problem = problem[0].lower() + problem[1:]
        if path and problem.startswith("expected `object"):
            known = spec_at([*parents, key]).__struct_encode_fields__
            problem += f"; its keys are {', '.join(known)}"
    return f"{path}: {problem}" if path else problem


def _nearest(found: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(found, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(known)}"


def _choices(annotation: Any) -> list[Any]:
    """The values that a type such as `bool | Literal["a", "b"] | None` names."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]
