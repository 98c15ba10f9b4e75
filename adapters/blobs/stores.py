"""Blobs: which store a URL names. `file:///…` or empty: a folder; `s3://bucket/prefix`: S3 or what speaks its language."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from adapters.blobs.folder import FolderBlobs
from domain.ports.blobs import Blobs


async def open_blobs(url: str, *, home: Path, endpoint: str = "", sse: str = "", signed: bool = False) -> Blobs:
    """Open a store. `home` holds the folder if no URL is given, and files on their way to S3."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from adapters.blobs.s3 import S3Blobs  # a quarter of the start of every command, where there is no S3

        staging = home / "incoming"
        prefix = parts.path.strip("/")
        return await S3Blobs.open(
            bucket=parts.netloc, prefix=prefix, endpoint=endpoint, sse=sse, signed=signed, staging=staging
        )
    return FolderBlobs(Path(unquote(parts.path)) if url else home / "files")
