"""Pictures made of pixels: scaled down, and encoded in what is usual for them and smallest. Runs in a sandboxed child only."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from domain.processing import Reason

FORMATS = {
    "image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP", "image/avif": "AVIF",
    "image/tiff": "TIFF", "image/jp2": "JPEG2000",
}  # fmt: skip
MIME_TYPES = {name: mime_type for mime_type, name in FORMATS.items()}
# Encoding a photograph of 12 megapixels as WebP takes 0.63 s, everything else that is done to it 0.3 s, JPEG 0.04 s; it
# would be 30 % smaller, and pictures a second a third.
WEBP_PIXELS_MAX = 4_000_000
SIDES_MAX = {"WEBP": 16_383, "JPEG": 65_500}
QUALITY, WEBP_QUALITY = 84, 80
LOOPS_MAX = 65_535


class Made(NamedTuple):
    name: str
    width: int
    height: int
    mime_type: str
    content: bytes


class ImageRefusedError(Exception):
    """This file cannot be processed, and will never be."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def fitted(image: Image.Image, pixels: int) -> Image.Image:
    """Return the image with its longer side no longer than this; never larger than it was."""
    longest = max(image.size)
    if longest <= pixels:
        return image
    width, height = (max(1, round(side * pixels / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def encoded(name: str, image: Image.Image, quality: int, *, lossless: bool = False) -> Made:
    """Encode it in the usual format, and as WebP too if that is affordable; return the smaller result."""
    image.info = {}  # Pillow would carry a comment over
    wanted: list[tuple[str, dict[str, object]]] = []
    if lossless or image.mode == "RGBA" or max(image.size) > SIDES_MAX["JPEG"]:
        wanted.append(("PNG", {}))
    else:
        wanted.append(("JPEG", {"quality": quality}))
    if image.width * image.height <= WEBP_PIXELS_MAX and max(image.size) <= SIDES_MAX["WEBP"]:
        wanted.append(
            (
                "WEBP",
                {"lossless": True, "quality": 50, "method": 2} if lossless else {"quality": WEBP_QUALITY, "method": 2},
            )
        )
    form, content = _smallest(image, wanted)
    return Made(name, image.width, image.height, MIME_TYPES[form], content)


def moving(
    name: str, frames: Sequence[Image.Image], durations: Sequence[int], plays: int, forms: Sequence[str]
) -> Made:
    """Encode an animation in each of these forms; return the smallest."""
    for frame in frames:
        frame.info = {}
    if max(frames[0].size) > SIDES_MAX["WEBP"]:
        forms = ("GIF",)
    kept = {"save_all": True, "append_images": list(frames[1:]), "duration": list(durations)}
    plays = min(plays, LOOPS_MAX)
    repeats = {} if plays == 1 else {"loop": max(plays - 1, 0)}
    options: dict[str, dict[str, object]] = {
        "WEBP": {**kept, "loop": plays, "quality": 75, "method": 1},
        "GIF": {**kept, **repeats, "disposal": 2, "optimize": False},
    }
    form, content = _smallest(frames[0], [(form, options[form]) for form in forms])
    return Made(name, frames[0].width, frames[0].height, MIME_TYPES[form], content)


def _smallest(image: Image.Image, wanted: Sequence[tuple[str, dict[str, object]]]) -> tuple[str, bytes]:
    """Encode it in each way that works; return the smallest result."""
    made: list[tuple[str, bytes]] = []
    for number, (form, options) in enumerate(wanted, 1):
        try:
            made.append((form, saved(image, form, **options)))
        except (OSError, ValueError):
            if number == len(wanted) and not made:
                raise
    return min(made, key=lambda each: len(each[1]))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
