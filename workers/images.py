"""Pictures: decoded, turned upright, and made anew without anything but pixels. Runs in a sandboxed child only.

One decoding serves all variants, each made of the next larger one. What colours a profile meant is kept by converting to
sRGB; profile, places, comments and whatever was appended are not. Animations stay animations in preview and original.
"""

import io
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageCms, ImageOps, ImageSequence

from domain.file import Reason
from domain.limits import (
    ANIMATION_PIXELS_MAX,
    PICTURE_FRAMES_MAX,
    PICTURE_PIXELS_MAX,
    PREVIEW_PIXELS,
    THUMBNAIL_PIXELS,
)

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
MIME_TYPES = {name: mime_type for mime_type, name in FORMATS.items()}
# Encoding a photograph of 12 megapixels as WebP takes 0.63 s, everything else that is done to it 0.3 s, JPEG 0.04 s; it
# would be 30 % smaller, and pictures a second a third.
WEBP_PIXELS_MAX = 4_000_000
QUALITY, WEBP_QUALITY = 84, 80
VARIANTS = {"compress": "original", "resize": "preview", "thumbnail": "thumbnail"}
Image.MAX_IMAGE_PIXELS = PICTURE_PIXELS_MAX


class Made(NamedTuple):
    name: str
    width: int
    height: int
    mime_type: str
    content: bytes


class Refused(Exception):
    """This file cannot be processed, and will never be."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def process(file: BinaryIO, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], None]:
    """Return the variants that the operations make, the smallest first. Raises `Refused`."""
    try:
        lossless = mime_type == "image/png" or (mime_type == "image/webp" and _is_lossless_webp(file))
        file.seek(0)
        with Image.open(file, formats=(FORMATS[mime_type],)) as image:
            if image.width * image.height > PICTURE_PIXELS_MAX:
                raise Refused("too_large")
            if getattr(image, "is_animated", False):
                made = _animation(image, operations)
            else:
                made = _still(image, operations, lossless=lossless)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("too_large") from None
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, EOFError, OverflowError):
        raise Refused("unreadable") from None
    return sorted(made, key=lambda each: each.width * each.height), None


def _still(image: Image.Image, operations: Sequence[str], *, lossless: bool) -> list[Made]:
    profile = image.info.get("icc_profile")
    image.load()
    current = _plain(ImageOps.exif_transpose(image))
    current = _in_srgb(current, profile)
    made = []
    if "compress" in operations:
        made.append(encoded("original", current, QUALITY, lossless=lossless))
    for operation, pixels in (("resize", PREVIEW_PIXELS), ("thumbnail", THUMBNAIL_PIXELS)):
        current = fitted(current, pixels)
        if operation in operations:
            made.append(encoded(VARIANTS[operation], current, QUALITY - 4))
    return made


def _animation(image: Image.Image, operations: Sequence[str]) -> list[Made]:
    """Return a moving preview and original, and a still thumbnail."""
    count = _count_frames(image)
    if count * image.width * image.height > ANIMATION_PIXELS_MAX:
        raise Refused("too_large")
    loop = int(image.info.get("loop", 1) or 0)
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(frame.convert("RGBA"))
        durations.append(int(frame.info.get("duration", 100)) or 100)  # known once it is decoded
    made = []
    if "thumbnail" in operations:
        made.append(encoded("thumbnail", fitted(_plain(frames[0]), THUMBNAIL_PIXELS), QUALITY))
    forms = ("GIF", "WEBP") if image.format == "GIF" else ("WEBP",)
    whole = _moving("original", frames, durations, loop, forms) if "compress" in operations else None
    if "resize" in operations:
        small = [fitted(frame, PREVIEW_PIXELS) for frame in frames]
        if whole is not None and small[0] is frames[0]:
            made.append(whole._replace(name="preview"))
        else:
            made.append(_moving("preview", small, durations, loop, forms))
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
        count += 1
        if count > PICTURE_FRAMES_MAX or count * image.width * image.height > ANIMATION_PIXELS_MAX:
            raise Refused("too_large")


def _plain(image: Image.Image) -> Image.Image:
    """Return it as RGB, or as RGBA where something of it is transparent."""
    if image.mode.startswith(("I", "F")):
        low, high = image.getextrema()
        assert isinstance(low, (int, float)) and isinstance(high, (int, float))
        scale = 255 / 65535 if high > 255 else 1.0
        image = image.convert("F").point(lambda value: value * scale).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            return image
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the same colours without a profile; one that cannot be read is passed over."""
    if not profile or b"sRGB" in profile[:4096] or len(profile) > 4 * 1024**2:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return image
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        converted = ImageCms.profileToProfile(image.convert("RGB"), source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if converted is None:
        return image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def fitted(image: Image.Image, pixels: int) -> Image.Image:
    """Return it no longer than this on its longer side; never larger than it was."""
    longest = max(image.size)
    if longest <= pixels:
        return image
    width, height = (max(1, round(side * pixels / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def encoded(name: str, image: Image.Image, quality: int, *, lossless: bool = False) -> Made:
    """Encode it in what is usual for it, and as WebP too where that is affordable; return the smaller."""
    image.info = {}  # Pillow would carry a comment over
    candidates: list[tuple[str, bytes]] = []
    if lossless or image.mode == "RGBA":
        candidates.append(("PNG", _saved(image, "PNG")))
    else:
        candidates.append(("JPEG", _saved(image, "JPEG", quality=quality)))
    if image.width * image.height <= WEBP_PIXELS_MAX:
        options = {"lossless": True, "quality": 50, "method": 2} if lossless else {"quality": WEBP_QUALITY, "method": 2}
        candidates.append(("WEBP", _saved(image, "WEBP", **options)))
    form, content = min(candidates, key=lambda each: len(each[1]))
    return Made(name, image.width, image.height, MIME_TYPES[form], content)


def _moving(
    name: str, frames: Sequence[Image.Image], durations: Sequence[int], loop: int, forms: Sequence[str]
) -> Made:
    """Encode an animation in each of these forms; return the smallest."""
    for frame in frames:
        frame.info = {}
    kept = {"save_all": True, "append_images": list(frames[1:]), "duration": list(durations), "loop": loop}
    options = {"WEBP": {"quality": 75, "method": 1}, "GIF": {"disposal": 2, "optimize": False}}
    candidates = [(form, _saved(frames[0], form, **kept, **options[form])) for form in forms]
    form, content = min(candidates, key=lambda each: len(each[1]))
    return Made(name, frames[0].width, frames[0].height, MIME_TYPES[form], content)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _is_lossless_webp(file: BinaryIO) -> bool:
    """Whether a WebP holds a VP8L chunk, which is what lossless ones are made of."""
    file.seek(0)
    return b"VP8L" in file.read(64)


def warm_up() -> None:
    """Load every codec that will be needed, while files may still be opened."""
    for form, mime_type in (("JPEG", "image/jpeg"), ("PNG", "image/png"), ("GIF", "image/gif"), ("WEBP", "image/webp")):
        for mode in ("RGB", "RGBA"):
            if (form, mode) != ("JPEG", "RGBA"):
                picture = Image.new(mode, (8, 8), "red")
                process(io.BytesIO(_saved(picture, form)), mime_type, tuple(VARIANTS))
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    process(io.BytesIO(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:])), "image/gif", tuple(VARIANTS))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    _in_srgb(Image.new("RGB", (2, 2)), profile)
