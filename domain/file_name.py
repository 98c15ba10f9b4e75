"""Names of files: the name that people see, and the path of the bytes in a store."""

import re
import unicodedata

from domain.bounds import FILE_NAME_CHARS_MAX
from domain.text import INVISIBLE, LINE_BREAKING

# Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX 9): "gpj.exe" written backwards.
TURNING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def file_name(given: str) -> str:
    """Return the name under which an upload is shown: the last part of a path, one line, at most 255 characters.

    Characters that join letters or choose how they look stay. Control characters are removed, and so is what would reverse
    the direction of writing. A name that is too long keeps its ending. Nothing is ever stored under this name.
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
    """Return the path of a blob in a store, which is made of its hash alone. It is "" if there is no blob."""
    return f"blobs/{blob[:2]}/{blob}" if blob else ""
