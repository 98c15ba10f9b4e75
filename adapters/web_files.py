"""The files of the page: read once, compressed once, under an address that has their hash in it.

All of them hang together, so one hash stands for all: `/assets/<hash>/main.js` imports `./chat.js` of the same hash. Such
an address is good for ever; the page at `/` names the present one.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import brotli

INDEX = "index.html"
BASE = "/assets/"
MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
DIGEST_CHARS = 16
BROTLI_QUALITY = 9  # 11 takes ten times as long at each start, for 4 % less
IDENTITY = "identity"


@dataclass(frozen=True)
class WebFile:
    """A file by content encoding; `IDENTITY` is always there."""

    media_type: str
    forms: Mapping[str, bytes]

    @classmethod
    def of(cls, name: str, content: bytes) -> Self:
        forms = {
            "br": brotli.compress(content, quality=BROTLI_QUALITY),
            "gzip": gzip.compress(content, mtime=0),
            IDENTITY: content,
        }
        return cls(MEDIA_TYPES[Path(name).suffix], forms)


class WebFiles:
    """The page's files. `digest` is the hash of all of them."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        """`contents` by name; one of them is `INDEX`."""
        hashed = sha256()
        for name, content in sorted(contents.items()):
            hashed.update(f"{name}\0{len(content)}\0".encode() + content)
        self.digest = hashed.hexdigest()[:DIGEST_CHARS]
        index = contents[INDEX].replace(f'"{BASE}'.encode(), f'"{BASE}{self.digest}/'.encode())
        self.index = WebFile.of(INDEX, index)
        self.files = {name: WebFile.of(name, content) for name, content in contents.items() if name != INDEX}

    @classmethod
    def read(cls, folders: Mapping[str, Path]) -> Self:
        """Read them from the folders of each prefix of their names."""
        return cls(
            {
                f"{prefix}{path.name}": path.read_bytes()
                for prefix, folder in folders.items()
                for path in folder.iterdir()
                if path.suffix in MEDIA_TYPES
            }
        )
