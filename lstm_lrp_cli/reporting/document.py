"""A whole result as one JSON document."""

from typing import Any

import msgspec


def json_document(content: dict[str, Any]) -> str:
    """Indented JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode("utf-8") + "\n"
