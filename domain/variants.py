"""Variants: what processing makes of a file, and how that is checked.

A child process that decodes strangers' files may have been taken over by one of them. So what it says is checked against
what it was to make, twice: when its answer arrives (`adapters/media/child_process.py`), and when it is decided on
(`domain/file.py`).
"""

from collections.abc import Iterable, Mapping, Sequence

from domain.bounds import (
    CHILD_ANSWER_BYTES_MAX,
    DOCUMENT_PAGES_MAX,
    PICTURE_PIXELS_MAX,
    PREVIEW_PIXELS,
    THUMBNAIL_PIXELS,
)
from domain.file_snapshot import FileVariant

# What each operation makes (`domain/tasks.py`).
MAKES: Mapping[str, tuple[str, ...]] = {
    "thumbnail": ("thumbnail",),
    "resize": ("preview",),
    "compress": ("original",),
    "preview": ("thumbnail", "preview"),
    "count_pages": (),
}
LONGEST_PIXELS = {"thumbnail": THUMBNAIL_PIXELS, "preview": PREVIEW_PIXELS, "original": PICTURE_PIXELS_MAX}
# How the bytes of each type begin, so that at least nothing else is served under a type.
BEGINS: Mapping[str, tuple[bytes, ...]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def made_by(operations: Iterable[str]) -> frozenset[str]:
    """Return the names of the variants that these operations make."""
    return frozenset(name for operation in operations for name in MAKES[operation])


def fault_of(variants: Sequence[FileVariant], pages: int | None) -> str | None:
    """Return what is wrong with the variants of a file, or None if nothing is."""
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        return "a variant is there twice"
    if pages is not None and not 1 <= pages <= DOCUMENT_PAGES_MAX:
        return "no number of pages"
    return next((fault for variant in variants if (fault := _fault(variant))), None)


def _fault(variant: FileVariant) -> str | None:
    if variant.name not in LONGEST_PIXELS:
        return "a variant of no known name"
    if variant.mime_type not in BEGINS:
        return "a variant that is no picture"
    if not 1 <= variant.size_bytes <= CHILD_ANSWER_BYTES_MAX:
        return "a variant of no possible size"
    width, height = variant.width, variant.height
    if not (min(width, height) >= 1 and max(width, height) <= LONGEST_PIXELS[variant.name]):
        return "sides that were not asked for"
    return "more pixels than there may be" if width * height > PICTURE_PIXELS_MAX else None
