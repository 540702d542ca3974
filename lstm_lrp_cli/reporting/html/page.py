"""What a page is made of: templates, and the style and scripts that stand in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from lstm_lrp_cli.reporting.summary import shown

# What must not stand in a page as it is: it might end the element around it, or a line of script.
ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

_files = resources.files(__package__) / "page"
_encode = msgspec.json.Encoder().encode


class OwnFiles(jinja2.BaseLoader):
    """Finds templates among the package's own files."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, None]:
        return read(template), None, None


def read(name: str) -> str:
    """A file of the page."""
    return (_files / name).read_text("utf-8")


def rendered(template: str, **values: Any) -> str:
    """A template with values in it, of which all text is escaped."""
    environment = jinja2.Environment(
        loader=OwnFiles(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["setting"] = shown
    return environment.get_template(template).render(**values)


def element(name: str, files: Sequence[str], attributes: str = "") -> tuple[Markup, str]:
    """Files as the text of one element, and the hash by which a policy allows it.

    Parameters
    ----------
    name : {"style", "script"}
    """
    text = "\n" + "\n".join(map(read, files))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"<{name}{attributes}>{text}</{name}>"), f"'sha256-{digest}'"


def json_text(content: Any) -> str:
    """JSON that may stand in a script element, whatever text is in it."""
    text: str = _encode(content).decode("utf-8")
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


def json_block(objects: Sequence[Any], attributes: str) -> str:
    """A list as JSON in an element of its own, one object a line."""
    lines = ",\n".join(map(json_text, objects))
    return f'<script type="application/json" {attributes}>[\n{lines}\n]</script>\n'
