"""YAML as mappings are written: YAML 1.2's values, no key twice, no aliases.

Imported where a mapping is read or written; PyYAML takes a while to import, and a file that
describes itself needs no mapping.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lstm_lrp_cli.errors import UnusableInput, printable
from lstm_lrp_cli.loading.files.formats import read_text_file

ALLOWED_BYTES = 2**20

_KEPT_RESOLVERS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's truth values and numbers, no key twice, no aliases that unfold without end."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class declares it so)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_RESOLVERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed here; write the value out",
                problem_mark=event.start_mark,  # type: ignore[arg-type]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[Any] = set()
        for position, key in enumerate(keys):
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key `{key}` stands twice",
                    problem_mark=node.value[position][0].start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what `_Loader` would not read as text."""


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first)
        )


def read_yaml(path: Path) -> Any:
    """What a file of YAML says, in Python's own types; None where it says nothing.

    Raises
    ------
    UnusableInput
        It is no YAML; the line is named.
    """
    return parse_yaml(read_text_file(path, ALLOWED_BYTES, "a short YAML mapping"), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """What a text of YAML says, as `read_yaml` has it."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f": line {mark.line + 1}" if mark else ""
        problem = error.problem or error.context
        raise UnusableInput(f"{where}{line}", f"is not valid YAML: {problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnusableInput(where, f"is not valid YAML: {error}") from error


def comment(text: str) -> str:
    """A comment of one line, whatever names from files the text has."""
    return f"# {printable(text)}"


def yaml_text(document: dict[str, Any]) -> str:
    """A mapping or a part of it as YAML that `read_mapping` reads, short values on one line."""
    return "".join(_dumped({key: value}) for key, value in document.items())


def _dumped(document: dict[str, Any]) -> str:
    """One key and its value; what does not print, or ends lines for some, is in escapes."""
    [value] = document.values()
    for verbatim in (True, False):
        text: str = yaml.dump(
            document,
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=verbatim,
            default_flow_style=None if isinstance(value, list | dict) else False,
            width=100,
        )
        if text.replace("\n", "").isprintable():
            break
    return text
