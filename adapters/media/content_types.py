"""The media type of bytes, judged by the bytes alone: never by a name, never by what a client says.

puremagic knows some hundreds of signatures. What it does not know is text if it decodes as text, else plain bytes.
"""

import codecs
import re

import puremagic

HEAD_BYTES = 64 * 1024
MADE_UP = "text/ascii"  # puremagic's own, for "0123456789"
UNKNOWN, TEXT, ZIP = "application/octet-stream", "text/plain", "application/zip"
# What browsers would run if it came as text.
MARKUP = re.compile(
    rb"\s*<(?:!doctype|!--|\?xml|html|head|body|script|svg|iframe|img|style|title|a |b>|h1|p>|br)", re.I
)
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


# Pictures are told by us: what is done with them hangs on it.
PICTURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (b"II*\x00\x10\x00\x00\x00CR", "image/x-canon-cr2"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
)
# Brands of ISO 14496-12 files (the box `ftyp`) that hold pictures.
BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic",
    b"heis": "image/heic", b"hevc": "image/heic", b"hevx": "image/heic", b"mif1": "image/heic", b"msf1": "image/heic",
    b"crx ": "image/x-canon-cr3",
}  # fmt: skip


def kind_of(head: bytes) -> str:
    """Return the media type of a file that begins with these bytes (its first `HEAD_BYTES`, or all of it)."""
    if (picture := _picture(head)) is not None:
        return picture
    if head.startswith(b"PK\x03\x04"):
        return ZIP  # documents of office programs are archives too; which one, only their content would tell
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        found = []
    named = [match.mime_type for match in found if match.mime_type and "/" in match.mime_type]
    if named and named[0] != TEXT and not (_is_of_bytes(named[0]) and _reads_as_text(head)):
        return str(named[0])
    if MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        return "text/html"
    return TEXT if _reads_as_text(head) else UNKNOWN


def _picture(head: bytes) -> str | None:
    for start, mime_type in PICTURES:
        if head.startswith(start):
            return mime_type
    if head[4:8] != b"ftyp":
        return None
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, 256), 4))]
    known = [BRANDS[brand] for brand in brands if brand in BRANDS]
    if brands[0] not in BRANDS:
        return None
    # `mif1` says only that it is a picture; the others say of which kind.
    return "image/avif" if "image/avif" in known else known[0]


def _is_of_bytes(mime_type: str) -> bool:
    """Return whether what is of this kind is no text: some of their signatures are two letters (`BM`, `P1`)."""
    family, _, kind = mime_type.partition("/")
    return mime_type == MADE_UP or (family in ("image", "audio", "video") and "xml" not in kind and "eps" not in kind)


def _reads_as_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not CONTROLS.search(text)
