"""Pictures made anew, without a child: which forms, of which kind, and that the smaller one is kept."""

import io
from itertools import combinations

import pytest
from PIL import Image

from tests.files import pictures
from workers.files import encoding, images
from workers.files.encoding import Made

ALL = ("thumbnail", "resize", "compress")
NAMES = {"thumbnail": "thumbnail", "resize": "preview", "compress": "original"}
NOISE = Image.merge("RGB", [Image.effect_noise((300, 200), 90) for _ in range(3)])
CLEAR = Image.new("RGBA", (40, 30), (9, 120, 200, 128))


def made_of(content: bytes, mime_type: str, operations: tuple[str, ...] = ALL) -> dict[str, Made]:
    made, pages = images.process(io.BytesIO(content), mime_type, operations)
    assert pages is None
    return {each.name: each for each in made}


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Every encoding that was made: its form, and its bytes."""
    found: list[tuple[str, bytes]] = []
    saved = encoding.saved

    def noted(image: Image.Image, form: str, **options: object) -> bytes:
        content = saved(image, form, **options)
        found.append((encoding.MIME_TYPES[form], content))
        return content

    monkeypatch.setattr(encoding, "saved", noted)
    return found


SOURCES = {
    "gradient.jpg": (pictures.jpeg(1400, 900), "image/jpeg"),
    "noise.jpg": (pictures.saved(NOISE, "JPEG", quality=95), "image/jpeg"),
    "dot.jpg": (pictures.saved(Image.new("RGB", (1, 1)), "JPEG"), "image/jpeg"),
    "noise.png": (pictures.saved(NOISE, "PNG"), "image/png"),
    "lines.png": (pictures.png(256, 256, "1"), "image/png"),
    "clear.png": (pictures.saved(CLEAR, "PNG"), "image/png"),
    "moving.gif": (pictures.animation(12, 64), "image/gif"),
    "still.gif": (pictures.saved(NOISE, "GIF"), "image/gif"),
    "photo.webp": (pictures.saved(NOISE, "WEBP"), "image/webp"),
}


def test_a_form_is_webp_exactly_where_that_is_smaller(tried: list[tuple[str, bytes]]) -> None:
    kinds = set()
    for name, (content, mime_type) in SOURCES.items():
        for operation in ALL:
            tried.clear()
            [made] = made_of(content, mime_type, (operation,)).values()
            pair = dict(tried)
            [other] = pair.keys() - {"image/webp"}
            assert len(tried) == 2 and made.content == pair[made.mime_type]
            assert (made.mime_type == "image/webp") == (len(pair["image/webp"]) < len(pair[other])), (name, made.name)
            assert Image.MIME[str(Image.open(io.BytesIO(made.content)).format)] == made.mime_type
            kinds.add(made.mime_type)
    assert {"image/webp", "image/jpeg"} <= kinds, "each is the smaller one of something"


def test_a_large_still_keeps_its_kind_and_its_small_forms_are_tried_as_webp(tried: list[tuple[str, bytes]]) -> None:
    made = made_of(pictures.jpeg(2500, 1700), "image/jpeg")
    assert made["original"].width * made["original"].height > encoding.WEBP_PIXELS_MAX
    assert [kind for kind, _ in tried] == ["image/jpeg", "image/jpeg", "image/webp", "image/jpeg", "image/webp"]
    assert made["original"].mime_type == "image/jpeg"
    assert made_of(pictures.png(2500, 1700), "image/png", ("compress",))["original"].mime_type == "image/png"


@pytest.mark.parametrize("count", range(4))
def test_what_is_made_is_what_was_asked_for(count: int) -> None:
    for operations in combinations(ALL, count):
        for content, mime_type in (SOURCES["gradient.jpg"], SOURCES["moving.gif"]):
            made = made_of(content, mime_type, operations)
            assert made.keys() == {NAMES[operation] for operation in operations}
            assert all(len(set(each.content)) > 1 for each in made.values())


def test_a_lossless_source_stays_so_in_its_original() -> None:
    for source in (NOISE, CLEAR):
        for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
            made = made_of(pictures.saved(source, form, **options), f"image/{form.lower()}")["original"]
            assert Image.open(io.BytesIO(made.content)).convert("RGBA").tobytes() == source.convert("RGBA").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(orientation: int) -> None:
    """A picture with a red top left, stored as each orientation says, is shown with it there."""
    shown = Image.new("RGB", (64, 32), "blue")
    shown.paste((255, 0, 0), (0, 0, 32, 16))
    undone = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = shown.transpose(undone[orientation]) if orientation in undone else shown
    exif = stored.getexif()
    exif[0x0112] = orientation
    for form in ("JPEG", "PNG", "WEBP"):
        options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
        made = made_of(pictures.saved(stored, form, exif=exif, **options), f"image/{form.lower()}")["original"]
        image = Image.open(io.BytesIO(made.content)).convert("RGB")
        assert image.size == (64, 32), form
        corners = [image.getpixel(place) for place in ((8, 6), (56, 6), (8, 26), (56, 26))]
        assert [corner[0] > 128 for corner in corners] == [True, False, False, False], form  # type: ignore[index]
