"""Names of files: what people see, and where the bytes stand."""

import re
import unicodedata

from domain.bounds import FILE_NAME_CHARS_MAX
from domain.text import INVISIBLE, LINE_BREAKING

# Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX 9): "gpj.exe" written backwards.
TURNING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def file_name(given: str) -> str:
    """Return the name under which an upload is shown: the last part of a path, one line, at most 255 characters.

    Characters that join letters or choose how they look are kept; control characters go, and so does what would reverse
    the direction of writing. Nothing is ever stored under this name. A name that is cut keeps its ending.
    """
    last = unicodedata.normalize("NFC", given.encode("utf-8", "replace").decode()).replace("\\", "/").rpartition("/")[2]
    name = TURNING.sub("", LINE_BREAKING.sub("", last)).strip().rstrip(" .")
    if not INVISIBLE.sub("", name).strip(" ."):
        return "file"
    stem, dot, ending = name.rpartition(".")
    if len(name) <= FILE_NAME_CHARS_MAX or not dot or len(ending) > 20:
        return name[:FILE_NAME_CHARS_MAX]
    return f"{stem[: FILE_NAME_CHARS_MAX - len(ending) - 1]}.{ending}"


def storage_path(blob: str) -> str:
    """Return the path of a blob in a store, named by its hash and never by what people call it; "" for no blob."""
    return f"blobs/{blob[:2]}/{blob}" if blob else ""
