"""File snapshot: what a message says of the file that it shows. Both aggregates, message and file, use it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from domain.integers import Int4, Int8, require_bounds

FileStatus = Literal["pending", "processing", "completed", "failed"]
Scan = Literal["clamav", "basic"]


class FileVariant(Struct, frozen=True):
    """A picture that was made of a file, as clients see it."""

    name: str
    width: Int4
    height: Int4
    mime_type: str
    size_bytes: Int8

    def __post_init__(self) -> None:
        require_bounds(self)


class FileSnapshot(Struct, frozen=True):
    """A file as it was when a message showed it, so that whoever gets the message need not ask for the file.

    `processed_at` is None while the file has not ended; its end will be published in the room.
    """

    original_name: str
    mime_type: str
    size_bytes: Int8
    status: FileStatus
    scan: Scan | None
    received_at: datetime
    processed_at: datetime | None = None
    forms: tuple[FileVariant, ...] = ()
    pages: Int4 | None = None

    def __post_init__(self) -> None:
        require_bounds(self)
