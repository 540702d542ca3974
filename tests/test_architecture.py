"""The house: which way imports run, who may use which library, and how large a room may be.

Read from the source by `ast` alone; nothing is imported. Limits are floors that were reached: they
may be tightened, and a list of exceptions may only get shorter.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lstm_lrp_cli"
NAME = PACKAGE.name

# From the top down; those of one floor do not know each other.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("api",),
    ("compare", "evaluate", "summarize", "check", "running"),
    ("outputs",),
    ("terminal",),
    ("results", "explaining"),
    ("inputs",),
    ("loading",),
    ("engine", "statistics"),
    ("model",),
)
ERRORS = "errors"  # for all but the model
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# The engine computes with NumPy, and the model is what it computes with. Their values may be
# Structs: a frozen dataclass is defined in thirty times the time, and made in ten times.
NUMPY_ALONE = ("engine", "model")
ONE_HOME = {
    "click": ("cli",),
    "rich": ("terminal", "outputs", "compare", "evaluate", "summarize", "check", "cli"),
    "h5py": ("check",),
    "jinja2": ("outputs",),
    "tokenizers": ("inputs",),
    "sentencepiece": ("inputs",),
    "pyarrow": ("outputs", "results", "inputs"),
}
MOST_MODULES = 12
MOST_LINES = 400
LONGER: dict[str, int] = {}
CIRCLES: set[frozenset[str]] = set()
MOST_PARAMETERS = 7
MORE_PARAMETERS: dict[str, int] = {}
MOST_FILES = 352
LEAST_MEDIAN = 160
MOST_IMPORTS = 0.107  # of the lines of code


@dataclass(frozen=True)
class Module:
    """One file, and what it imports.

    Parameters
    ----------
    name : str
        With its folders, in the package.
    """

    name: str
    path: Path
    lines: int
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def package(self) -> str:
        """Where its relative imports begin."""
        return self.name if self.path.stem == "__init__" else self.name.rpartition(".")[0]

    def imports(self) -> Iterator[tuple[str, str, bool]]:
        """From where, which name, and whether the module is loaded with it."""
        at_top = set(map(id, self.tree.body))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, "", id(node) in at_top
            elif isinstance(node, ast.ImportFrom):
                begin = node.module or ""
                if node.level:
                    parts = self.package.split(".") if self.package else []
                    kept = parts[: len(parts) - node.level + 1]
                    begin = ".".join(filter(None, [NAME, *kept, begin]))
                for alias in node.names:
                    yield begin, alias.name, id(node) in at_top

    def uses(self, *, at_top: bool = False) -> set[str]:
        """The modules of the package that it imports."""
        found = set()
        for begin, name, top in self.imports():
            if begin.partition(".")[0] != NAME or (at_top and not top):
                continue
            inside = begin.removeprefix(NAME).removeprefix(".")
            full = ".".join(filter(None, [inside, name]))
            found.add(full if full in modules() else inside)
        return found - {self.name}


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, len(text.splitlines()), ast.parse(text))
    return found


def test_every_room_has_a_floor():
    rooms = {module.room for module in modules().values()} - {"", ERRORS}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("room", [room for rooms in FLOORS for room in rooms])
def test_imports_run_down(room):
    up = [
        f"{module.name} -> {used}"
        for module in modules().values()
        if module.room == room
        for used in sorted(module.uses())
        if (below := used.partition(".")[0]) not in (room, ERRORS, "")
        and FLOOR.get(below, -1) <= FLOOR[room]
    ]
    assert not up


def test_the_model_knows_nothing_of_errors():
    assert not [
        each for each in modules().values() if each.room == "model" and ERRORS in each.uses()
    ]


def test_there_is_no_circle():
    """Counting what is imported in functions, and for types alone."""
    # The package itself hands on the names of the API when they are used, and is no use of it.
    names = set(modules()) - {""}
    uses = {name: module.uses() & names for name, module in modules().items()}
    circles = {frozenset(circle) for circle in circles_of(uses)}
    assert circles <= CIRCLES
    assert circles >= CIRCLES, "an exception that is not needed any more"


def circles_of(uses: dict[str, set[str]]) -> Iterator[set[str]]:
    """The modules that reach each other, by what each reaches."""
    reached = {}
    for name in uses:
        found: set[str] = set()
        waiting = list(uses[name])
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting.extend(uses[each])
        reached[name] = found
    for name, found in reached.items():
        if name in found:
            yield {name, *(each for each in found if name in reached[each])}


@pytest.mark.parametrize("room", NUMPY_ALONE)
def test_it_is_numpy_alone(room):
    allowed = {"numpy", "msgspec", NAME, *sys.stdlib_module_names}
    others = {
        f"{module.name}: {begin}"
        for module in modules().values()
        if module.room == room
        for begin, _, _ in module.imports()
        if begin.partition(".")[0] not in allowed
    }
    assert not others


@pytest.mark.parametrize("library", ONE_HOME)
def test_a_library_has_its_rooms(library):
    elsewhere = {
        module.name
        for module in modules().values()
        if module.room not in ONE_HOME[library]
        for begin, _, _ in module.imports()
        if begin.partition(".")[0] == library
    }
    assert not elsewhere


def test_a_folder_holds_few_modules():
    folders = Counter(module.path.parent for module in modules().values())
    assert {str(each): count for each, count in folders.items() if count > MOST_MODULES} == {}


def test_a_module_is_short():
    long = {name: each.lines for name, each in modules().items() if each.lines > MOST_LINES}
    assert {name: lines for name, lines in long.items() if lines > LONGER.get(name, 0)} == {}
    assert set(LONGER) <= set(long), "an exception that is not needed any more"


def test_a_function_takes_few_parameters():
    """But for commands, which click gives an option each."""
    many = {}
    for module in modules().values():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any("command" in ast.unparse(each) for each in node.decorator_list):
                continue
            taken = node.args
            names = [each.arg for each in [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            count += (taken.vararg is not None) + (taken.kwarg is not None)
            if count > MOST_PARAMETERS:
                many[f"{module.name}.{node.name}"] = count
    assert many == MORE_PARAMETERS


def test_a_class_has_a_name_of_its_own():
    homes = defaultdict(list)
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module.name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_files_are_few_and_full():
    sizes = sorted(module.lines for module in modules().values())
    assert len(sizes) <= MOST_FILES
    assert sizes[len(sizes) // 2] >= LEAST_MEDIAN


def test_little_of_the_code_is_imports():
    code = imports = 0
    for module in modules().values():
        text = module.path.read_text(encoding="utf-8").splitlines()
        skipped = {number for number, line in enumerate(text, 1) if not line.strip()}
        skipped |= {number for number, line in enumerate(text, 1) if line.strip().startswith("#")}
        for node in ast.walk(module.tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                first = body[0]
                if isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                    skipped |= set(range(first.lineno, (first.end_lineno or 0) + 1))
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports += (node.end_lineno or 0) - node.lineno + 1
        code += len(text) - len(skipped)
    assert imports / code <= MOST_IMPORTS, f"{imports} of {code} lines"
