"""A whole result as one JSON document."""

import re
from typing import Any

import msgspec

# JSON may have them as they are; a terminal may take them for orders.
CONTROLS = re.compile("[\x7f-\x9f]")


def json_document(content: dict[str, Any]) -> str:
    """Indented JSON, ending in a line break."""
    text = msgspec.json.format(msgspec.json.encode(content), indent=2).decode("utf-8")
    return CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", text) + "\n"
