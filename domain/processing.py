"""Processing: what is made of which kind of file, and the reasons why a file fails."""

from typing import Literal

Processing = Literal["image", "document"]
Reason = Literal[
    "infected", "unscannable", "unreadable", "unsupported", "too_large", "too_slow", "encrypted", "gave_up"
]  # fmt: skip
# Why there is nothing to be shown of a file: it failed, or it was older than it may get.
Ending = Reason | Literal["expired"]

PROCESSED: dict[str, Processing] = {
    "image/jpeg": "image",
    "image/png": "image",
    "image/gif": "image",
    "image/webp": "image",
    "image/avif": "image",
    "image/tiff": "image",
    "image/jp2": "image",
    "application/pdf": "document",
}
# Photographs that cannot be re-encoded here. They may say where they were taken, so they are not given out either.
UNSUPPORTED = frozenset(
    {"image/heic", "image/heif", "image/jxl", "image/x-canon-cr2", "image/x-canon-cr3"}
)  # fmt: skip
# What a person reads of a file that failed.
SENTENCES: dict[Reason, str] = {
    "infected": "The virus scanner found something harmful in this file; it was locked away.",
    "unscannable": "The virus scanner cannot read this file, so it cannot be shown.",
    "unreadable": "This file is damaged, or it is not what it seems to be.",
    "unsupported": "Pictures of this kind cannot be freed of place and camera here; send it as JPEG, PNG, WebP or AVIF.",
    "too_large": "This picture has more pixels than can be processed here.",
    "too_slow": "Processing this file takes more time or memory than it may.",
    "encrypted": "This document is protected by a password; upload it without one.",
    "gave_up": "This file could not be processed after several tries; an operator can have it tried again.",
}
EXPIRED = "This file was older than files may get here."
