"""The documentation says what is so: commands run, links lead somewhere, mappings are valid."""

import importlib.util
import re
import runpy
import sys
from pathlib import Path

import page as benchmarks_page
import pytest
from shell import run_block, run_python

from lstm_lrp_cli.loading.layers import KINDS
from lstm_lrp_cli.loading.mapping.given import read_mapping

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "lstm_lrp_cli"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *DOCS.glob("**/*.md")]
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest"
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def script(name):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


def marked_blocks(page, marker, language=r"\w*"):
    """The fenced blocks directly below <!-- marker -->, with any indentation taken off."""
    text = (ROOT / page).read_text("utf-8")
    pattern = rf"^<!-- {marker} -->\n```{language}\n(.*?)^```$"
    return re.findall(pattern, text, re.DOTALL | re.MULTILINE)


def without_code(text):
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "code", text)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = without_code(page.read_text("utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert not broken


def test_every_page_is_listed_in_the_index():
    index = (DOCS / "README.md").read_text("utf-8")
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md")]
    assert [page for page in pages if f"({page})" not in index] == ["README.md"]


def test_the_command_line_page_is_what_help_says():
    page = (DOCS / "cli.md").read_text("utf-8")
    assert page == script("make_cli").page(), "run python docs/make_cli.py"


def test_the_schemas_page_is_what_the_code_says():
    make_schemas = script("make_schemas")
    page = (DOCS / "schemas.md").read_text("utf-8")
    assert page == make_schemas.page(), "run python docs/make_schemas.py"


def test_the_benchmarks_page_has_the_tables_of_what_was_measured():
    shown = (DOCS / "benchmarks.md").read_text("utf-8")
    assert shown == benchmarks_page.page(), "run python tests/benchmarks/page.py"


def test_pictures_show_what_the_terminal_shows():
    """Their text; colours may differ in the last digit from machine to machine."""
    make_images = script("make_images")
    for picture in make_images.PICTURES:
        drawn = (DOCS / "images" / f"{picture.name}.svg").read_text("utf-8")
        texts = [
            re.findall(r"<text[^>]*>([^<]*)</text>", svg)
            for svg in (drawn, make_images.draw(picture))
        ]
        assert texts[0] == texts[1], "run python docs/make_images.py"


MAPPINGS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("README.md", "docs/mapping.md")
    for number, block in enumerate(marked_blocks(page, "complete mapping"))
]


@pytest.mark.parametrize("block", MAPPINGS)
def test_mapping_is_valid(block, tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text(block, encoding="utf-8")
    read_mapping(path)


def test_every_kind_of_layer_has_its_section():
    page = (DOCS / "mapping.md").read_text("utf-8")
    table = page.split("| kind | what it makes |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)(?:: \w+)?`", table)
    assert sorted(named) == sorted(KINDS)


def test_there_are_mappings():
    assert len(MAPPINGS) >= 9


CHECKED_PAGES = (
    *("quick-start", "matching", "checking", "converting", "predicting", "summarizing"),
    "comparing",
)
CHECKED = ("README.md", *(f"docs/{name}.md" for name in CHECKED_PAGES))
COMMANDS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in CHECKED
    for number, block in enumerate(marked_blocks(page, "checked", "sh"))
]


@pytest.mark.parametrize("block", COMMANDS)
def test_commands_run(block, tmp_path):
    """In a folder that looks like the root, so that what they write is no litter there."""
    (tmp_path / "sample_models").symlink_to(ROOT / "sample_models")
    statuses = run_block(block, tmp_path)
    assert statuses
    assert set(statuses) == {"0"}


def test_there_are_commands():
    assert len(COMMANDS) >= 8


PROGRAMS = [
    pytest.param(page, block, id=f"{page}-{number}")
    for page in CHECKED
    for number, block in enumerate(marked_blocks(page, "checked", "python"))
]


@pytest.mark.parametrize(("page", "block"), PROGRAMS)
def test_python_prints_what_the_page_shows(page, block, tmp_path):
    (tmp_path / "sample_models").symlink_to(ROOT / "sample_models")
    shown = run_python(block, tmp_path)
    assert shown
    assert f"```text\n{shown}```" in (ROOT / page).read_text("utf-8")


def test_the_readme_shows_the_library():
    assert any(param.values[0] == "README.md" for param in PROGRAMS)


def test_the_readme_has_the_command_that_sets_up_and_runs():
    (block,) = marked_blocks("README.md", "run")
    assert "pip install ." in block
    assert ".venv/bin/lrp explain sample_models/" in block


def test_the_readme_has_the_command_that_sets_up_and_tests():
    (block,) = marked_blocks("README.md", "test")
    assert block.strip() == TEST_COMMAND


def test_the_architecture_has_the_floors_that_a_test_holds():
    text = (DOCS / "architecture.md").read_text("utf-8")
    section = text.split("## Which way imports run")[1].split("\n## ")[0]
    lines = re.findall(r"^\d+\. (`.+`)$", section, re.MULTILINE)
    told = [tuple(re.findall(r"`(\w+)`", line)) for line in lines]
    floors = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))["FLOORS"]
    assert told == [rooms for rooms in floors if rooms != ("__main__",)]


def test_the_architecture_names_no_module_that_is_not_there():
    text = (DOCS / "architecture.md").read_text("utf-8")
    rooms = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    named = set(re.findall(rf"`((?:{rooms})/[\w/]*)(?:\.py)?`", text))
    assert len(named) > 30
    missing = {
        name
        for name in named
        if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()
    }
    assert missing == set()
