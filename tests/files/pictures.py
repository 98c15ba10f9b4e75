"""Files to send: pictures, documents, and what only looks like them. All made here."""

import io
import struct
import zlib

import pypdfium2
from PIL import Image, PngImagePlugin

from adapters.media.scanner import EICAR


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    bands = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L").rotate(90)]
    return Image.merge("RGB", bands).resize((width, height))


def jpeg(width: int = 640, height: int = 480, **options: object) -> bytes:
    return saved(gradient(width, height), "JPEG", **options)


def png(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return saved(gradient(width, height).convert(mode), "PNG")


def with_place(width: int = 640, height: int = 480, orientation: int = 6) -> bytes:
    """A JPEG that says where it was taken, by what, how it lies, and more in a comment."""
    image = gradient(width, height)
    exif = image.getexif()
    exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "SecretCameraMaker", "SecretModel"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 11.0), 3: "E", 4: (13.0, 24.0, 22.0), 29: "2026:01:01"})
    return saved(image, "JPEG", exif=exif, comment=b"SecretComment") + b"SecretTail" * 10


def animation(frames: int = 6, size: int = 32, form: str = "GIF") -> bytes:
    made = [Image.new("RGB", (size, size), (40 * i % 256, 255 - 30 * i % 256, 128)) for i in range(frames)]
    return saved(made[0], form, save_all=True, append_images=made[1:], duration=80, loop=0)


def pdf(pages: int = 3, width: float = 595, height: float = 842) -> bytes:
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(width, height)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int, rows: int) -> bytes:
    """A small PNG that says it is that large: a bomb where `rows` is large too."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compressobj(9)
    body = b"".join(packed.compress(bytes(width // 8 + 1)) for _ in range(rows)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_with_text(key: str, text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, text, zip=True)
    return saved(gradient(32, 32), "PNG", pnginfo=info)


def encrypted_pdf() -> bytes:
    """A PDF whose trailer says that a password is needed (the standard handler, keys of nothing)."""
    return _pdf_objects(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
         b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>",
         b"<</Filter/Standard/V 1/R 2/O(" + b"o" * 32 + b")/U(" + b"u" * 32 + b")/P -4>>"],
        b"/Encrypt 4 0 R/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]",
    )  # fmt: skip


def scripted_pdf() -> bytes:
    return _pdf_objects(
        [b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\);)>>>>",
         b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"],
    )  # fmt: skip


def endless_pdf() -> bytes:
    """Pages that are their own parents."""
    return _pdf_objects(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 999999999/Parent 2 0 R>>"]
    )


def page_of(size: str) -> bytes:
    return _pdf_objects(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
         b"<</Type/Page/Parent 2 0 R/MediaBox[" + size.encode() + b"]>>"]
    )  # fmt: skip


def _pdf_objects(objects: list[bytes], trailer: bytes = b"") -> bytes:
    out, places = bytearray(b"%PDF-1.5\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def harmful() -> bytes:
    return EICAR
