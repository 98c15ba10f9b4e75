"""Pixels: what an image shows, as RGB or RGBA in sRGB, and nothing that it does not show.

A profile is judged by what it does to colours, never by its name. Where a pixel is wholly transparent its colour is taken
away: whatever was painted over stays hidden for good.
"""

import io
from itertools import product

from PIL import Image, ImageCms

PROFILE_BYTES_MAX = 4 * 1024**2
# An image of 125 colours tells whether a profile is that of sRGB: two of 256 steps are not seen.
PROBE = bytes(level for colour in product((0, 64, 128, 192, 255), repeat=3) for level in colour)
SAME_MAX = 2
WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
SPACES = {"RGB": ("RGB", "RGBA"), "CMYK": ("CMYK",), "GRAY": ("L",)}
DEPTHS = {"I;16": 65_535.0, "I;16B": 65_535.0, "I;16L": 65_535.0, "I;16N": 65_535.0, "I": 65_535.0}


def shown(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the visible picture as RGB, or RGBA if some of it is transparent. The image itself may be changed."""
    image = _eight_bits(image)
    if image.mode in WITH_ALPHA or "transparency" in image.info:
        image = _as(image, "LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema() != (255, 255):
            if image.mode == "LA":
                image = _as(_in_srgb(image.convert("L"), profile), "RGB")
                image.putalpha(alpha)
            return _cleared(_in_srgb(image, profile), alpha)
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return _as(_in_srgb(image, profile), "RGB")


def _cleared(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Give one colour to all that is wholly transparent."""
    low, _ = alpha.getextrema()
    if low == 0:
        image.paste((0, 0, 0, 0), mask=alpha.point([255] + [0] * 255))
    return image


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale samples by the depth that they are stored with, so that dark pictures stay dark."""
    if not image.mode.startswith(("I", "F")):
        return image
    _, high = image.getextrema()
    assert isinstance(high, (int, float))
    depth = DEPTHS.get(image.mode, 1.0 if high <= 1 else 255.0 if high <= 255 else 65_535.0)
    if high > depth:
        depth = float(high)  # 32 bits
    return image.convert("F").point(lambda value: value * (255 / depth) + 0.5).convert("L")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the same colours without a profile. A profile that cannot be read, or is for other pixels, is ignored."""
    if not profile or len(profile) > PROFILE_BYTES_MAX:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode not in SPACES.get(source.profile.xcolor_space.strip(), ()):
            return image
        srgb = ImageCms.createProfile("sRGB")
        if "RGB" in image.mode and _changes_nothing(ImageCms.buildTransform(source, srgb, "RGB", "RGB")):
            return image
        transform = ImageCms.buildTransform(source, srgb, image.mode, "RGBA" if image.mode == "RGBA" else "RGB")
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    probe = Image.frombytes("RGB", (len(PROBE) // 3, 1), PROBE)
    changed = ImageCms.applyTransform(probe, transform)
    return changed is not None and all(
        abs(before - after) <= SAME_MAX for before, after in zip(PROBE, changed.tobytes(), strict=True)
    )
