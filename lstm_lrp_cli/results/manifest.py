"""stub"""

import msgspec
from msgspec import Struct

MANIFEST = "_lrp/manifest.jsonl"


class Entry(Struct, frozen=True):
    part: str
    input: str
    start: int
    stop: int | None
    first: int
    sequences: int
    steps: int
    bytes: int


def manifest_line(entry):
    return msgspec.json.encode(entry) + b"\n"
