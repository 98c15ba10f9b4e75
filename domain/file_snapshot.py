"""What messages tell of the file that they show. Neither the message's aggregate nor the file's; both speak of it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from domain.integers import Int4, Int8, require_bounds

FileStatus = Literal["pending", "processing", "completed", "failed"]
Scan = Literal["clamav", "basic"]


class FileVariant(Struct, frozen=True):
    """A form of a file that was made here, as people are told of it."""

    name: str
    width: Int4
    height: Int4
    mime_type: str
    size_bytes: Int8

    def __post_init__(self) -> None:
        require_bounds(self)


class FileSnapshot(Struct, frozen=True):
    """A file as it stood when a message showed it, so that whoever hears of the message need not ask for it.

    `processed_at` None: it has not ended, and the room will hear how it does.
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
