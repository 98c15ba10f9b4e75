"""Documents: how many pages a PDF has, and what its first one looks like. Runs in a sandboxed child only.

PDFium draws it, as browsers do; this build has no JavaScript, and what a document would run is not run here.
"""

import io
from collections.abc import Sequence
from typing import BinaryIO

import pypdfium2

from domain.bounds import PREVIEW_PIXELS, THUMBNAIL_PIXELS
from workers.files.encoding import ImageRefusedError, Made, encoded, fitted

PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
QUALITY = 84


def process(file: BinaryIO, mime_type: str, operations: Sequence[str]) -> tuple[list[Made], int | None]:
    """Return pictures of the first page, the smallest first, and the number of pages. Raise `DomainError`.

    One that asks for a password is a document like any other to whoever knows it: it has no picture and no count.
    """
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == PASSWORD_ERROR or "password" in str(error).lower():
            return [], None
        raise ImageRefusedError("unreadable") from None
    try:
        pages = len(document)
        if pages < 1:
            raise ImageRefusedError("unreadable")
        made = _pictures(document) if "preview" in operations else []
        return made, pages if "count_pages" in operations else None
    except (pypdfium2.PdfiumError, ValueError, OSError):
        raise ImageRefusedError("unreadable") from None
    finally:
        document.close()


def _pictures(document: pypdfium2.PdfDocument) -> list[Made]:
    document.init_forms()  # before a page is loaded: what was filled in is drawn by them
    page = document[0]
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        raise ImageRefusedError("unreadable")
    # However large a page says it is, the picture is bounded. One that would be a line has none.
    scale = PREVIEW_PIXELS / max(width, height)
    if min(width, height) * scale < 1:
        return []
    picture = page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB")
    preview = fitted(picture, PREVIEW_PIXELS)
    return [
        encoded("thumbnail", fitted(preview, THUMBNAIL_PIXELS), QUALITY),
        encoded("preview", preview, QUALITY),
    ]


def warm_up() -> None:
    """Load the library, and draw a page while files may still be opened."""
    made = pypdfium2.PdfDocument.new()
    made.new_page(72, 72)
    out = io.BytesIO()
    made.save(out)
    made.close()
    process(io.BytesIO(out.getvalue()), "application/pdf", ("count_pages", "preview"))
