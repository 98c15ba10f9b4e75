"""Pictures: decoded, turned upright, and made anew without anything but pixels. Runs in a sandboxed child only.

One decoding serves all variants, each made of the next larger one. What is left of a file is what it shows
(`workers/files/pixels.py`): no profile, place or comment, nothing that was appended. Only GIF, PNG and WebP move; of the others,
which may hold a preview, the other eye's picture or further pages, the first picture is taken. An animation that is too
long for us is shown as its first frame, and a JPEG that is too large at a half, a quarter or an eighth of its size.
"""

import io
from collections.abc import Sequence
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    ImageOps,
    Jpeg2KImagePlugin,
    MpoImagePlugin,
    TiffImagePlugin,
)

from domain.bounds import PICTURE_PIXELS_MAX, PREVIEW_PIXELS, THUMBNAIL_PIXELS
from workers.files.encoding import FORMATS, MIME_TYPES, QUALITY, ImageRefusedError, Made, encoded, fitted, moving, saved
from workers.files.pixels import shown
from workers.files.png_text import pass_over

PICTURE_FRAMES_MAX = 1_000
ANIMATION_PIXELS_MAX = 100_000_000

LOADED = (AvifImagePlugin, Jpeg2KImagePlugin, MpoImagePlugin, TiffImagePlugin)  # Pillow would import them too late
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a child may start none
MOVING, LOSSLESS = ("GIF", "PNG", "WEBP"), ("image/png", "image/tiff")
TAIL_ROWS_MAX = 33  # what a JPEG without its end lacks at most: two rows of blocks, and one to compare
END_OF_IMAGE = b"\xff\xd9"
NEW_SUBFILE_TYPE, DNG_VERSION, REDUCED = 254, 50_706, 1
VARIANTS = {"compress": "original", "resize": "preview", "thumbnail": "thumbnail"}
pass_over()
Image.MAX_IMAGE_PIXELS = 4 * PICTURE_PIXELS_MAX  # what a JPEG may have; each picture is held to its bound below


class _TooLongError(Exception):
    """An animation has more frames, or pixels in all of them, than are decoded here."""


def process(file: BinaryIO, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], None]:
    """Return the variants that the operations make, the smallest first. Raise `DomainError`."""
    try:
        lossless = mime_type in LOSSLESS or (mime_type == "image/webp" and _is_lossless_webp(file))
        try:
            made = _made(file, mime_type, operations, lossless=lossless)
        except OSError:
            if mime_type != "image/jpeg":
                raise
            made = _made(_with_its_end(file), mime_type, operations, lossless=lossless)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefusedError("too_large") from None
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, EOFError, OverflowError):
        raise ImageRefusedError("unreadable") from None
    return sorted(made, key=lambda each: each.width * each.height), None


def _made(file: BinaryIO, mime_type: str, operations: Sequence[str], *, lossless: bool) -> list[Made]:
    file.seek(0)
    with Image.open(file, formats=(FORMATS[mime_type],)) as image:
        if mime_type == "image/jpeg":
            _draft(image)
        _check_size(image)
        if mime_type == "image/tiff":
            _refuse_raw(image)
        if image.format in MOVING and getattr(image, "is_animated", False):
            try:
                return _animation(image, operations)
            except _TooLongError:
                image.seek(0)
        return _still(image, operations, lossless=lossless)


def _still(image: Image.Image, operations: Sequence[str], *, lossless: bool) -> list[Made]:
    profile = image.info.get("icc_profile")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # without a copy: 50 million pixels are 200 MB
    current = shown(image, profile)
    if current is image:
        current = image.copy()  # Pillow asks for the working directory when it saves what was opened
    made: list[Made] = []
    if "compress" in operations:
        made.append(encoded("original", current, QUALITY, lossless=lossless))
    for operation, pixels in (("resize", PREVIEW_PIXELS), ("thumbnail", THUMBNAIL_PIXELS)):
        smaller = fitted(current, pixels)
        if operation in operations:
            variant = encoded(VARIANTS[operation], smaller, QUALITY - 4)
            if smaller is current and made and len(made[-1].content) <= len(variant.content):
                variant = made[-1]._replace(name=variant.name)  # it is as small, and better
            made.append(variant)
        current = smaller
    return made


def _animation(image: Image.Image, operations: Sequence[str]) -> list[Made]:
    """Return a moving preview and original, and a still thumbnail. Raise `_TooLong`."""
    first = 1 if getattr(image, "default_image", False) else 0  # an APNG's picture for who cannot show it moving
    count = _count_frames(image)
    plays, profile = _plays(image), image.info.get("icc_profile")
    frames, durations = [], []
    for number in range(first, count):
        image.seek(number)
        frames.append(shown(image.convert("RGBA"), profile).convert("RGBA"))
        durations.append(int(image.info.get("duration", 100)) or 100)  # known once it is decoded
    made = []
    if "thumbnail" in operations:
        made.append(encoded("thumbnail", fitted(shown(frames[0], None), THUMBNAIL_PIXELS), QUALITY))
    forms = ("GIF", "WEBP") if image.format == "GIF" else ("WEBP",)
    whole = moving("original", frames, durations, plays, forms) if "compress" in operations else None
    if "resize" in operations:
        small = [fitted(frame, PREVIEW_PIXELS) for frame in frames]
        if whole is not None and small[0] is frames[0]:
            made.append(whole._replace(name="preview"))
        else:
            made.append(moving("preview", small, durations, plays, forms))
    return [*made, whole] if whole is not None else made


def _count_frames(image: Image.Image) -> int:
    """Count frames one by one, and no further than is allowed."""
    count = 1
    while True:
        try:
            image.seek(count)
        except EOFError:
            image.seek(0)
            return count
        _check_size(image)  # a frame may enlarge what holds it
        count += 1
        if count > PICTURE_FRAMES_MAX or count * image.width * image.height > ANIMATION_PIXELS_MAX:
            raise _TooLongError


def _plays(image: Image.Image) -> int:
    """Return how often it is shown; 0 is endlessly. A GIF says how often it is repeated, or nothing if it is shown
    once."""
    if "loop" not in image.info:
        return 1 if image.format == "GIF" else 0
    loop = int(image.info["loop"] or 0)
    return loop + 1 if image.format == "GIF" and loop else loop


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > PICTURE_PIXELS_MAX:
        raise ImageRefusedError("too_large")


def _draft(image: Image.Image) -> None:
    """Have a JPEG decoded at the largest size that is allowed, which its block transform gives at no cost."""
    for divisor in (1, 2, 4, 8):
        size = (-(-image.width // divisor), -(-image.height // divisor))
        if size[0] * size[1] <= PICTURE_PIXELS_MAX:
            if divisor > 1:
                image.draft(None, size)
            return


def _refuse_raw(image: Image.Image) -> None:
    """Raise `DomainError` for cameras' own files: TIFFs whose first picture is a small preview, not what was sent."""
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or int(tags.get(NEW_SUBFILE_TYPE, 0)) & REDUCED:
        raise ImageRefusedError("unsupported")


def _with_its_end(file: BinaryIO) -> BinaryIO:
    """Return a JPEG with the end marker that it lacks. Raise `OSError` if more of it is missing.

    Decoded without the marker, missing rows are black; with it, the decoder makes them up.
    """
    file.seek(0)
    content = file.read()
    whole = io.BytesIO(content + END_OF_IMAGE)
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as cut, Image.open(whole, formats=("JPEG",)) as made_up:
        _check_size(cut)
        if not cut.info.get("progressive") and cut.height > TAIL_ROWS_MAX:
            rows = (0, cut.height - TAIL_ROWS_MAX, cut.width, cut.height - TAIL_ROWS_MAX + 1)
            ImageFile.LOAD_TRUNCATED_IMAGES = True
            cut.load_read = cut.fp.read  # type: ignore[attr-defined,union-attr]  # or it would add the end itself
            try:
                same = cut.crop(rows).tobytes() == made_up.crop(rows).tobytes()
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            if not same:
                raise OSError("more than its end is missing")
    return io.BytesIO(content + END_OF_IMAGE)


def _is_lossless_webp(file: BinaryIO) -> bool:
    """Return whether a WebP holds a VP8L chunk, which is what lossless ones are made of; a profile may stand before it."""
    file.seek(12)  # after RIFF, the size, and WEBP
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 "):
            return head[:4] == b"VP8L"
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, io.SEEK_CUR)
    return False


def warm_up() -> None:
    """Load every codec that will be needed, while files may still be opened."""
    for mime_type, form in FORMATS.items():
        for mode in ("RGB", "RGBA"):
            if (form, mode) != ("JPEG", "RGBA"):
                picture = Image.new(mode, (8, 8), "red")
                process(io.BytesIO(saved(picture, form)), mime_type, tuple(VARIANTS))
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for form in MOVING:
        moved = saved(frames[0], form, save_all=True, append_images=frames[1:])
        process(io.BytesIO(moved), MIME_TYPES[form], tuple(VARIANTS))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    shown(Image.new("RGB", (2, 2)), profile)
