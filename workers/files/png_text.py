"""The text inside PNGs, which nobody is shown: read where it is small, passed over where it is not.

Pillow refuses a whole picture for a text of more than a megabyte, which programs that make pictures do write (prompts,
layers, XMP). What is small is still read: XMP may say how a picture lies.
"""

from collections.abc import Callable

from PIL import ImageFile, PngImagePlugin

TEXT_BYTES_MAX = 64 * 1024
KINDS = ("tEXt", "zTXt", "iTXt")
Reader = Callable[[PngImagePlugin.PngStream, int, int], bytes]


def pass_over() -> None:
    """Have Pillow pass over what is large, from now on in this process."""
    for kind in KINDS:
        setattr(PngImagePlugin.PngStream, f"chunk_{kind}", _bounded(getattr(PngImagePlugin.PngStream, f"chunk_{kind}")))


def _bounded(read: Reader) -> Reader:
    def chunk(stream: PngImagePlugin.PngStream, place: int, length: int) -> bytes:
        if length <= TEXT_BYTES_MAX:
            try:
                return read(stream, place, length)
            except (ValueError, SyntaxError):  # it unfolds to more than Pillow takes, or is folded in no known way
                assert stream.fp is not None
                stream.fp.seek(place)
        return ImageFile._safe_read(stream.fp, length)  # type: ignore[arg-type]

    return chunk
