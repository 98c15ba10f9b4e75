"""Text that people write: what is taken, what is refused, and which names are the same name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidError
from domain.text import (
    check_avatar_url,
    check_content,
    check_email,
    check_password,
    check_room_description,
    check_room_name,
    check_username,
    fold,
)


@pytest.mark.parametrize("username", ["ab", "Ada_L.-9", "Łukasz", "Δέσποινα", "नमस्ते", "张伟", "x" * 50])
def test_a_username_may_be_of_any_script(username: str) -> None:
    check_username(username)


@pytest.mark.parametrize(
    "unseen",
    ["\u3164", "\u1160", "\uffa0", "\u034f", "\ufe0f", "\U000e0100", "\u17b4", "\u180b", "\u200b", "\u00ad"],
    ids=lambda c: f"U+{ord(c):04X}",
)
def test_no_username_differs_from_another_by_what_nobody_sees(unseen: str) -> None:
    for username in (f"ada{unseen}", f"a{unseen}da", f"{unseen}ada", unseen * 2):
        with pytest.raises(InvalidError) as refusal:
            check_username(username)
        assert refusal.value.pointer == "/username"


def test_a_username_begins_with_a_character_of_its_own() -> None:
    check_username("a\u0301b")
    with pytest.raises(InvalidError):
        check_username("\u0301ab")


@given(st.text(min_size=2, max_size=50))
def test_names_that_fold_alike_stay_alike(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(unicodedata.normalize("NFD", name)) == fold(name)


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=2, max_size=50))
def test_an_accepted_username_is_the_same_in_small_letters(name: str) -> None:
    check_username(name)
    assert fold(name.casefold()) == fold(name)


@pytest.mark.parametrize("email", ["\u212aim@example.com", "lui\u017f@example.com", "a@example.\u212aom"])
def test_no_foreign_letter_passes_for_an_ascii_one_in_an_email(email: str) -> None:
    with pytest.raises(InvalidError):
        check_email(email)


@pytest.mark.parametrize(
    "name", ["x", "x" * 100, " padded ", "Ünï ✨", "👩\u200d👩\u200d👧", "_", "\u0967", "\u2800x", "\U0001fae9"]
)
def test_a_room_name(name: str) -> None:
    check_room_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 101,
        "   ",
        "two\nlines",
        "a\tb",
        "a\u2028b",
        "nul\x00",
        "\u200b",
        "\u3164",
        "\ufeff \u2060",
        "\u2800",
        "\u2800 \u2800",
        "\u0301\u0302",
        "\u20dd",
        "\u200d\u00ad",
        "\u3000",
        "\U0001d159",
    ],
)
def test_no_room_name(name: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        check_room_name(name)
    assert refusal.value.pointer == "/name"


def test_a_room_description() -> None:
    for description in ("", "several\nlines\tand tabs", "x" * 1_000):
        check_room_description(description)
    for description in ("x" * 1_001, "bell\x07", "\ud800"):
        with pytest.raises(InvalidError):
            check_room_description(description)


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "http://example.com/a.png?x=1#y", "HTTPS://EXAMPLE.COM/", f"https://e.de/{'x' * 487}"],
)
def test_an_avatar(url: str) -> None:
    check_avatar_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com/a.png", "javascript:alert(1)", "data:image/png;base64,AAAA", "ftp://example.com/a", "https://",
        "https://user:secret@example.com/", "https://example.com/a b", "https://example.com/\n", "//example.com/a",
        f"https://e.de/{'x' * 488}",
    ],
)  # fmt: skip
def test_no_avatar(url: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        check_avatar_url(url)
    assert refusal.value.pointer == "/avatar_url"


def test_a_password_is_bounded_by_characters_below_and_by_bytes_above() -> None:
    for password in ("12345678", "x" * 1_024, "ä" * 512, " spaces are characters "):
        check_password(password, chars_min=8)
    for password in ("1234567", "x" * 1_025, "ä" * 513, "nul\x00nul\x00", "\ud800" * 8, "bell\x07bell"):
        with pytest.raises(InvalidError) as refusal:
            check_password(password, chars_min=8)
        assert refusal.value.pointer == "/password"


@given(st.text(max_size=300), st.integers(0, 1))
def test_content_is_counted_in_characters(content: str, chars_min: int) -> None:
    clean = "".join(c for c in content if c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs"))
    if len(clean) >= chars_min:
        check_content(clean, chars_min=chars_min)
    check_content("𝄞" * 10_000)
    with pytest.raises(InvalidError):
        check_content("𝄞" * 10_001)
