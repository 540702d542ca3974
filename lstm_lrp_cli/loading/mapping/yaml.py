"""YAML as mappings are written: YAML 1.2's values, no key twice, no aliases, and no other tags.

What a file may be is bounded before it is built: PyYAML is slow, and calls itself at each level.
Imported where a mapping is read or written; PyYAML takes a while to import, and a file that
describes itself needs no mapping.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from lstm_lrp_cli.errors import HALVES, UnusableInput, printable, short
from lstm_lrp_cli.loading.files.formats import read_text_file

ALLOWED_BYTES = 2**20
# How many values may stand in it, keys and lists among them, and how deep inside of each other.
MOST_VALUES = 100_000
MOST_LEVELS = 50

# Python's integers are of any length, and their texts are not.
_MOST_DIGITS = 400
# The hashes of longer ones may all be the same.
_MOST_DIGITS_OF_KEYS = 15
_TAG = "tag:yaml.org,2002:"
_TEXT, _INTEGER = f"{_TAG}str", f"{_TAG}int"
_KEPT_RESOLVERS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's truth values and numbers, no key twice, no aliases that unfold without end."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class declares it so)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_RESOLVERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._level = 0
        # Halves of characters come of escapes, or of an argument of the command line.
        self._may_have_halves = "\\" in text or HALVES.search(text) is not None

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None if self._is_plain(event) else self._problem(event)
        if problem is not None:
            raise yaml.MarkedYAMLError(
                problem=problem,
                problem_mark=event.start_mark,  # type: ignore[arg-type]
            )
        self._count += 1
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        return node

    def _is_plain(self, event: yaml.Event) -> bool:
        """Whether a value has nothing about it that may be wrong; nearly all have not."""
        return (
            getattr(event, "tag", event) is None  # of an alias, there is none
            and not self._may_have_halves
            and self._count < MOST_VALUES
            and self._level < MOST_LEVELS
        )

    def _problem(self, event: yaml.Event) -> str | None:
        """What is wrong with a value, before it is built."""
        if isinstance(event, yaml.AliasEvent):
            return "aliases are not allowed here; write the value out"
        if self._count == MOST_VALUES:
            return (
                f"has more than {MOST_VALUES:,} values; expected a short mapping: put long lists "
                "into files of their own, such as vocabulary: words.txt"
            )
        if self._level == MOST_LEVELS:
            return f"is nested more than {MOST_LEVELS} levels deep; expected a mapping's few levels"
        if isinstance(event, yaml.ScalarEvent) and HALVES.search(event.value):
            return "half a character (a surrogate); expected the character itself"
        tag = getattr(event, "tag", None)
        if tag in (None, "!") or tag == self._own_tag(event):
            return None
        return f"the tag `{short(tag)}` is not allowed here; leave it out, or put text in quotes"

    def _own_tag(self, event: yaml.Event) -> str:
        """The tag of which a value is by what it looks like; any scalar may be called a text."""
        if isinstance(event, yaml.SequenceStartEvent):
            return f"{_TAG}seq"
        if isinstance(event, yaml.MappingStartEvent):
            return f"{_TAG}map"
        if not isinstance(event, yaml.ScalarEvent) or event.tag == _TEXT:
            return _TEXT
        return self.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            short_number = key.tag == _INTEGER and len(key.value) <= _MOST_DIGITS_OF_KEYS
            if key.tag not in (_TEXT, f"{_TAG}merge") and not short_number:
                kind = key.tag.removeprefix(_TAG)
                found = f"`{short(key.value)}` ({kind})" if isinstance(key.value, str) else kind
                problem = f"found the key {found}; expected a name (if it is one, put it in quotes)"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            name = int(key.value) if short_number else key.value
            if name in seen:
                problem = f"key `{short(key.value)}` stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > _MOST_DIGITS:
            problem = f"`{short(node.value)}` has {len(node.value):,} digits; expected a number"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_yaml_int(node)


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
        _class.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor(_INTEGER, _Loader.construct_yaml_int)


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
        problem = " ".join(str(error).split())
        raise UnusableInput(where, f"is not valid YAML: {problem}") from error


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
