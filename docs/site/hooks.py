"""What mkdocs is told beside mkdocs.yml: pages outside docs/, links to them, and lists.

The pages are written for people who read them in a repository. Here links that lead out of docs/
are sent to where the site has that page, or become plain text where it has none.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Pages of the repository that stand outside docs/, and where the site has them.
PROJECT = {
    "README.md": "project/README.md",
    "CONTRIBUTING.md": "project/CONTRIBUTING.md",
    "CHANGELOG.md": "project/CHANGELOG.md",
    "SECURITY.md": "project/SECURITY.md",
    "LICENSE": "project/LICENSE.md",
    "sample_models/README.md": "project/sample_models/README.md",
    "sample_models/data/README.md": "project/sample_models/data/README.md",
    "sample_models/stories/README.md": "project/sample_models/stories/README.md",
}
SOURCES = {page: source for source, page in PROJECT.items()}

# What belongs to the site itself, beside this file.
ASSETS = ("site.css", "site.svg")

LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^ *(```|~~~)")
ITEM = re.compile(r"^( *)([-*]|\d+\.)( +)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside docs/."""
    for source, page in PROJECT.items():
        text = (ROOT / source).read_text("utf-8")
        if source == "LICENSE":
            text = f"# License\n\n```text\n{text}```\n"
        files.append(File.generated(config, page, content=text))
    for name in ASSETS:
        files.append(File.generated(config, name, abs_src_path=str(HERE / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """What a page says, for mkdocs."""
    parts = re.split(r"(^ *```.*?^ *```$)", widened(markdown), flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [relinked(part, page.file.src_uri) for part in parts[::2]]
    return "".join(parts)


def relinked(text: str, page: str) -> str:
    """Text whose links lead to the site's pages."""
    source = SOURCES.get(page, f"docs/{page}")

    def replace(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        if re.match(r"\w+:", target):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        on_site = PROJECT.get(path) or (
            path.removeprefix("docs/") if path.startswith("docs/") else None
        )
        if on_site:
            there = posixpath.relpath(on_site, posixpath.dirname(page) or ".")
            return f"[{words}]({there}{anchor})"
        if (ROOT / path).exists():
            return words if words == path else f"{words} (`{path}`)"
        return link[0]

    return LINK.sub(replace, text)


def widened(markdown: str) -> str:
    """Text in which what belongs to a list's item is indented by four blanks.

    That is what Python's Markdown asks for; elsewhere it is as many as the item's mark takes.
    """
    lines = []
    # Of each item that is open: where its text begins, here and in the result.
    open_items: list[tuple[int, int]] = []
    inside = False
    for line in markdown.split("\n"):
        blanks = len(line) - len(line.lstrip())
        if line.strip() and not inside:
            while open_items and blanks < open_items[-1][0]:
                open_items.pop()
        here, there = open_items[-1] if open_items else (0, 0)
        item = None if inside else ITEM.match(line)
        if FENCE.match(line):
            inside = not inside
        lines.append(" " * there + line[min(here, blanks) :] if line.strip() else line)
        if item:
            open_items.append((len(item[0]), there + 4))
    return "\n".join(lines)
