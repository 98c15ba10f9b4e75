"""Pictures as other programs write them: what is shown stays as it was, and what is not shown goes."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms, ImageDraw

from adapters.media.content_types import kind_of
from tests.files import pictures
from tests.files.test_images import NOISE, made_of
from workers.files import documents, encoding, images
from workers.files.encoding import ImageRefusedError, Made


def opened(made: Made) -> Image.Image:
    return Image.open(io.BytesIO(made.content))


# What is hidden


def under(words: str) -> Image.Image:
    """A picture whose right half is wholly transparent, with words painted under that."""
    image = Image.new("RGBA", (400, 100), (200, 30, 30, 255))
    ImageDraw.Draw(image).text((220, 20), words, fill=(255, 255, 255, 255), font_size=24)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (200, 0, 400, 100))
    image.putalpha(alpha)
    return image


def palette_under(words: str) -> bytes:
    """A PNG with a palette, all of whose words are wholly transparent."""
    image = Image.new("P", (300, 60), 0)
    image.putpalette([255, 0, 0, 1, 2, 3, 0, 255, 0])
    image.paste(1, (100, 0, 300, 60))
    ImageDraw.Draw(image).text((110, 20), words, fill=2)
    return pictures.saved(image, "PNG", transparency=b"\xff\x00\x00")


def moving_under(words: str) -> bytes:
    frames = [under(words), under(words).transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    frames[1].paste((0, 0, 200, 255), (10, 10, 60, 60))
    return pictures.saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)


HIDING: dict[str, tuple[Callable[[str], bytes], str]] = {
    "rgba.png": (lambda words: pictures.saved(under(words), "PNG"), "image/png"),
    "grey.png": (lambda words: pictures.saved(under(words).convert("LA"), "PNG"), "image/png"),
    "exact.webp": (lambda words: pictures.saved(under(words), "WEBP", lossless=True, exact=True), "image/webp"),
    "rgba.tiff": (lambda words: pictures.saved(under(words), "TIFF"), "image/tiff"),
    "large.png": (  # a PNG in the end, not a WebP
        lambda words: pictures.saved(under(words).resize((4400, 1100), Image.Resampling.NEAREST), "PNG"),
        "image/png",
    ),
    "palette.png": (palette_under, "image/png"),
    "moving.png": (moving_under, "image/png"),
}


@pytest.mark.parametrize("name", HIDING)
def test_nothing_leaves_that_is_under_what_is_wholly_transparent(name: str) -> None:
    """Two pictures that differ in nothing but what is not shown become the same bytes."""
    draw, mime_type = HIDING[name]
    secret, empty = draw("SECRET WORDS"), draw("")
    assert secret != empty
    for form, made in made_of(secret, mime_type).items():
        assert made.content == made_of(empty, mime_type)[form].content, form


PLACED = Image.new("RGB", (60, 40), (90, 20, 160))


def exif() -> Image.Exif:
    made = PLACED.getexif()
    made[0x010F] = "SecretCameraMaker"
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 11.0), 3: "E", 4: (13.0, 24.0, 22.0)})
    return made


@pytest.mark.parametrize("form", ["AVIF", "TIFF", "JPEG2000"])
def test_place_and_camera_stay_away_whatever_the_format(form: str) -> None:
    content = pictures.saved(PLACED, form, **({} if form == "JPEG2000" else {"exif": exif()}))
    if form == "JPEG2000":
        content += b"SecretCameraMaker"
    assert b"SecretCameraMaker" in content
    mime_type = kind_of(content)
    assert mime_type == {"AVIF": "image/avif", "TIFF": "image/tiff", "JPEG2000": "image/jp2"}[form]
    made = made_of(content, mime_type)
    assert made.keys() == {"thumbnail", "preview", "original"}
    for each in made.values():
        assert each.mime_type in ("image/jpeg", "image/png", "image/webp")
        assert b"Secret" not in each.content and not opened(each).getexif()


def test_a_cameras_own_file_is_not_taken_for_its_preview() -> None:
    raw = pictures.saved(PLACED, "TIFF", tiffinfo={254: 1, 50_706: b"\x01\x04\x00\x00"})
    with pytest.raises(ImageRefusedError) as refused:
        made_of(raw, "image/tiff")
    assert refused.value.reason == "unsupported"


def test_what_pictures_are_is_told_by_their_bytes() -> None:
    def box(major: bytes, *others: bytes) -> bytes:
        return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + bytes(100)

    assert kind_of(box(b"heic", b"mif1", b"heic")) == kind_of(box(b"mif1", b"heic")) == "image/heic"
    assert kind_of(box(b"mif1", b"avif", b"miaf")) == kind_of(box(b"avif", b"mif1")) == "image/avif"
    assert kind_of(box(b"isom", b"mp41")).startswith("video/")
    assert kind_of(b"\xff\x0a" + bytes(50)) == "image/jxl"


@pytest.mark.parametrize(
    "text", [b"0123456789", b"BMW is a car", b"RIFF on it", b"ID3 is a tag", b"P1 is a place", "BM: grüße".encode()]
)
def test_text_is_text_whatever_two_letters_it_begins_with(text: bytes) -> None:
    assert kind_of(text) == "text/plain"
    assert kind_of(b"BM" + bytes(60)) == "image/x-ms-bmp" and kind_of(b"RIFF\0\0\0\0WAVEfmt ") == "audio/wave"
    assert kind_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "image/svg+xml"


# Several pictures in one


def two_pictures() -> bytes:
    first, second = Image.new("RGB", (80, 60), "red"), Image.new("RGB", (80, 60), "blue")
    turned = first.getexif()
    turned[0x0112] = 6
    return pictures.saved(first, "MPO", save_all=True, append_images=[second], exif=turned)


def test_a_jpeg_that_holds_a_second_picture_is_the_first_one() -> None:
    content = two_pictures()
    assert kind_of(content) == "image/jpeg" and getattr(Image.open(io.BytesIO(content)), "n_frames", 1) == 2
    for made in made_of(content, "image/jpeg").values():
        image = opened(made)
        assert getattr(image, "n_frames", 1) == 1 and (made.width, made.height) == (60, 80), "upright, and still"
        red, _, blue = image.convert("RGB").getpixel((30, 40))  # type: ignore[misc]
        assert red > 200 > 50 > blue


@pytest.mark.parametrize(
    "text",
    [
        pictures.chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"x" * 2_000_000)),
        pictures.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000)),
        pictures.chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"x" * 2_000_000),
        pictures.chunk(b"tEXt", b"parameters\0" + b"x" * 70_000_000),
        pictures.chunk(b"zTXt", b"odd\0\7" + zlib.compress(b"x")),
    ],
    ids=["zTXt", "xmp", "iTXt", "tEXt", "folded otherwise"],
)
def test_what_a_png_says_beside_its_picture_keeps_nobody_from_it(text: bytes) -> None:
    plain = pictures.png(40, 30)
    at = plain.index(b"IDAT") - 4
    made = made_of(plain[:at] + text + plain[at:], "image/png")["original"]
    assert opened(made).convert("RGB").tobytes() == Image.open(io.BytesIO(plain)).convert("RGB").tobytes()
    assert b"xxxx" not in made.content


def test_the_picture_of_an_apng_for_those_who_cannot_show_it_moving_is_no_frame() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("white", "red", "blue")]
    content = pictures.saved(
        frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=100
    )
    original = opened(made_of(content, "image/png")["original"])
    assert getattr(original, "n_frames", 1) == 2
    assert original.convert("RGB").getpixel((20, 15))[1] < 60, "red, not white"  # type: ignore[index]


def gif(loop: int | None) -> bytes:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    extension = {} if loop is None else {"loop": loop}
    return pictures.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, **extension)


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (1, 2), (4, 5)])
def test_an_animation_is_played_as_often_as_its_source_says(loop: int | None, plays: int) -> None:
    """A GIF says how often it is repeated; WebP and PNG say how often it is played."""
    for form in ("GIF", "WEBP"):
        with Image.open(io.BytesIO(gif(loop))) as source:
            assert images._plays(source) == plays
            frames = [Image.new("RGBA", (30, 20), colour) for colour in ("red", "blue")]
            made = opened(encoding.moving("original", frames, [100, 100], images._plays(source), (form,)))
        if form == "WEBP":
            assert made.info["loop"] == plays
        else:
            assert made.info.get("loop") == loop


# Colours


def profile_of(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], name: str) -> bytes:
    """A matrix profile with these primaries (chromaticities, under D65) and a gamma of 2.2, by hand."""

    def column(xy: tuple[float, float]) -> list[float]:
        return [xy[0] / xy[1], 1.0, (1 - xy[0] - xy[1]) / xy[1]]

    def solved(matrix: list[list[float]], right: list[float]) -> list[float]:
        def det(m: list[list[float]]) -> float:
            return (
                m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
                + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
            )  # fmt: skip

        return [
            det([[right[i] if j == k else matrix[i][j] for j in range(3)] for i in range(3)]) / det(matrix)
            for k in range(3)
        ]

    columns = [column(each) for each in (red, green, blue)]
    scale = solved([[columns[j][i] for j in range(3)] for i in range(3)], column((0.3127, 0.3290)))
    adapt = [[1.0479, 0.0229, -0.0502], [0.0296, 0.9904, -0.0171], [-0.0092, 0.0151, 0.7519]]  # Bradford, D65 to D50
    colorants = [[sum(adapt[i][k] * columns[j][k] * scale[j] for k in range(3)) for i in range(3)] for j in range(3)]
    return profile(name, b"RGB ", {
        **{tag: xyz(*value) for tag, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)},
        **{tag: gamma(2.2) for tag in (b"rTRC", b"gTRC", b"bTRC")},
    })  # fmt: skip


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65_536) for value in (x, y, z)))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + bytes(2)


def profile(
    name: str, space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", between: bytes = b"XYZ "
) -> bytes:
    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": described + bytes(-len(described) % 4), b"wtpt": xyz(0.9642, 1.0, 0.8249), **tags}
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4sI4s4s4s12s4s4s", at + len(body), bytes(4), 0x02400000, kind, space, between, bytes(12), b"acsp", bytes(4)
    )
    head += bytes(128 - len(head) - 60) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


P3 = profile_of((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), "Display P3 (not sRGB)")
SRGB = profile_of((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), "some profile")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name(form: str) -> None:
    image = Image.new("RGB", (16, 16), (200, 60, 60))
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    for icc, expected in ((P3, (219, 37, 49)), (SRGB, (200, 60, 60))):
        made = made_of(pictures.saved(image, form, icc_profile=icc, **options), f"image/{form.lower()}")["original"]
        assert "icc_profile" not in opened(made).info
        colour = opened(made).convert("RGB").getpixel((8, 8))
        assert all(abs(a - b) <= 4 for a, b in zip(colour, expected, strict=True)), (colour, expected)  # type: ignore[arg-type]


def test_a_profile_leaves_transparency_as_it_was() -> None:
    content = pictures.saved(Image.new("RGBA", (16, 16), (200, 60, 60, 77)), "PNG", icc_profile=P3)
    assert opened(made_of(content, "image/png")["original"]).convert("RGBA").getpixel((8, 8)) == (219, 37, 49, 77)


def test_the_profile_of_an_animation_is_kept_to() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((200, 60, 60), (60, 60, 200))]
    content = pictures.saved(frames[0], "PNG", save_all=True, append_images=frames[1:], icc_profile=P3)
    colour = opened(made_of(content, "image/png")["original"]).convert("RGB").getpixel((8, 8))
    assert colour[0] > 210 and colour[1] < 54  # type: ignore[index]


def test_a_grey_profile_is_kept_to() -> None:
    dark = profile("grey, linear", b"GRAY", {b"kTRC": gamma(1.0)})
    content = pictures.saved(Image.new("L", (16, 16), 55), "PNG", icc_profile=dark)
    colour = opened(made_of(content, "image/png")["original"]).convert("RGB").getpixel((8, 8))
    assert all(abs(part - 128) <= 5 for part in colour)  # type: ignore[union-attr]


def cmyk_profile() -> bytes:
    """A printer's profile of two points a colour: Lab of each corner, cyan that of (0, 175, 239)."""
    corners = bytearray()
    cyan = (66, -22, -44)
    for index in range(16):
        inks = [index >> 3 & 1, index >> 2 & 1, index >> 1 & 1, index & 1]
        lab = cyan if inks == [1, 0, 0, 0] else (100 - 25 * sum(inks), 0, 0)
        corners += bytes((round(lab[0] * 2.55), lab[1] + 128, lab[2] + 128))
    one = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    table += one * 4 + bytes(corners) + one * 3
    return profile("some press", b"CMYK", {b"A2B0": table + bytes(-len(table) % 4)}, b"prtr", b"Lab ")


def test_inks_are_shown_as_their_profile_says() -> None:
    content = pictures.saved(
        Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95, icc_profile=cmyk_profile()
    )
    colour = opened(made_of(content, "image/jpeg")["original"]).convert("RGB").getpixel((8, 8))
    assert all(abs(a - b) <= 12 for a, b in zip(colour, (0, 175, 239), strict=True)), colour  # type: ignore[arg-type]


def test_what_is_dark_in_sixteen_bits_stays_dark() -> None:
    rows = b"".join(b"\0" + struct.pack(">H", 200) * 16 for _ in range(16))
    header = pictures.chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + pictures.chunk(b"IDAT", zlib.compress(rows)) + pictures.chunk(b"IEND", b"")
    assert opened(made_of(png, "image/png")["original"]).convert("L").getextrema()[1] <= 2  # type: ignore[operator]


# Sound files


def test_a_picture_longer_than_webp_takes_is_made_all_the_same() -> None:
    made = made_of(pictures.png(16_384, 8), "image/png")
    assert (made["original"].width, made["original"].mime_type) == (16_384, "image/png")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "quality": 95}])
def test_a_jpeg_without_its_end_is_sound_and_half_a_one_is_not(options: dict[str, object]) -> None:
    whole = pictures.jpeg(640, 480, **options)
    assert whole.endswith(b"\xff\xd9")
    for cut in (whole[:-2], whole[:-1]):
        made = made_of(cut, "image/jpeg")["original"]
        expected = opened(made_of(whole, "image/jpeg")["original"]).convert("RGB")
        assert opened(made).convert("RGB").crop((0, 0, 640, 440)).tobytes() == expected.crop((0, 0, 640, 440)).tobytes()
    if "progressive" not in options:
        with pytest.raises(ImageRefusedError):
            made_of(whole[: len(whole) // 2], "image/jpeg")


def test_a_photograph_of_48_megapixels_is_taken_and_a_larger_one_is_halved() -> None:
    made = made_of(pictures.saved(Image.new("RGB", (8064, 6048), "navy"), "JPEG"), "image/jpeg", ("compress",))
    assert (made["original"].width, made["original"].height) == (8064, 6048)
    made = made_of(pictures.saved(Image.new("L", (12_000, 9_000), 90), "JPEG"), "image/jpeg", ("compress",))
    assert (made["original"].width, made["original"].height) == (6_000, 4_500)


def test_an_animation_that_is_too_long_is_shown_as_its_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pictures.animation(301, 4)
    assert getattr(opened(made_of(content, "image/gif")["original"]), "n_frames", 1) == 301
    monkeypatch.setattr(images, "PICTURE_FRAMES_MAX", 300)
    made = made_of(content, "image/gif")
    assert made.keys() == {"thumbnail", "preview", "original"}
    assert all(getattr(opened(each), "n_frames", 1) == 1 for each in made.values())


def test_a_lossless_webp_with_a_profile_stays_lossless() -> None:
    content = pictures.saved(NOISE, "WEBP", lossless=True, icc_profile=SRGB + bytes(600))
    assert b"VP8L" not in content[:64]
    assert opened(made_of(content, "image/webp")["original"]).convert("RGB").tobytes() == NOISE.tobytes()


def test_the_preview_of_a_screenshot_is_its_original_where_that_is_smaller() -> None:
    screen = Image.new("RGB", (1200, 700), "white")
    for row in range(0, 700, 20):
        ImageDraw.Draw(screen).text((10, row), "the quick brown fox jumps over the lazy dog " * 4, fill="black")
    made = made_of(pictures.saved(screen, "PNG"), "image/png")
    assert made["preview"].content == made["original"].content
    assert opened(made["preview"]).convert("RGB").tobytes() == screen.tobytes()


# Documents


def form() -> bytes:
    """A PDF with a field that was filled in, drawn by nothing but its appearance."""
    look = b"1 0 0 rg 0 0 180 180 re f"
    return pictures._pdf_objects([
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Annots[4 0 R]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada)/Rect[10 10 190 190]/F 4/P 3 0 R/AP<</N 5 0 R>>>>",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 180 180]/Length %d>>stream\n%s\nendstream" % (len(look), look),
    ])  # fmt: skip


def test_a_form_is_drawn_as_it_was_filled_in() -> None:
    made, pages = documents.process(io.BytesIO(form()), "application/pdf", ("count_pages", "preview"))
    assert pages == 1
    red, green, blue = opened(made[-1]).convert("RGB").getpixel((640, 640))  # type: ignore[misc]
    assert red > 150 and (green, blue) != (255, 255), "not an empty page"


@pytest.mark.parametrize("content", [pictures.page_of("0 0 3 14000"), pictures.encrypted_pdf()])
def test_a_document_that_cannot_be_drawn_has_no_picture_and_is_no_failure(content: bytes) -> None:
    made, _ = documents.process(io.BytesIO(content), "application/pdf", ("count_pages", "preview"))
    assert [each for each in made if not each.content] == [] and len(made) in (0, 2)


def test_profiles_made_here_are_profiles() -> None:
    for icc in (P3, SRGB, cmyk_profile()):
        assert ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip() in ("RGB", "CMYK")
