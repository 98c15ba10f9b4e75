"""What a child says it made of a file is believed only where it can be: each lie by itself."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.bounds import CHILD_ANSWER_BYTES_MAX, DOCUMENT_PAGES_MAX
from domain.file_snapshot import FileVariant
from domain.variants import fault_of, made_by

THUMBNAIL = FileVariant("thumbnail", 256, 192, "image/webp", 4_000)
ORIGINAL = FileVariant("original", 10_000, 5_000, "image/jpeg", CHILD_ANSWER_BYTES_MAX)


def test_what_each_operation_makes_is_expected_and_nothing_else() -> None:
    assert made_by(()) == frozenset()
    assert made_by(("count_pages",)) == frozenset()
    assert made_by(("thumbnail", "resize", "compress")) == {"thumbnail", "preview", "original"}


@pytest.mark.parametrize("pages", [None, 1, DOCUMENT_PAGES_MAX])
def test_what_was_asked_for_is_believed_up_to_its_bounds(pages: int | None) -> None:
    assert fault_of((THUMBNAIL, ORIGINAL), pages) is None
    assert fault_of((), pages) is None


@pytest.mark.parametrize(
    ("lie", "fault"),
    [
        ({"name": "../../etc/passwd"}, "a variant of no known name"),
        ({"mime_type": "text/html"}, "a variant that is no picture"),
        ({"size_bytes": 0}, "a variant of no possible size"),
        ({"size_bytes": CHILD_ANSWER_BYTES_MAX + 1}, "a variant of no possible size"),
        ({"width": 0}, "sides that were not asked for"),
        ({"height": 257}, "sides that were not asked for"),
        ({"name": "original", "width": 10_000, "height": 5_001}, "more pixels than there may be"),
    ],
)
def test_a_variant_that_cannot_be_is_told(lie: dict[str, Any], fault: str) -> None:
    assert fault_of((replace(THUMBNAIL, **lie),), None) == fault


def test_a_name_that_stands_twice_is_told() -> None:
    assert fault_of((THUMBNAIL, THUMBNAIL), None) == "a variant is there twice"


@pytest.mark.parametrize("pages", [0, -1, DOCUMENT_PAGES_MAX + 1])
def test_a_number_of_pages_that_cannot_be_is_told(pages: int) -> None:
    assert fault_of((), pages) == "no number of pages"
