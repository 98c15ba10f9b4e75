"""Names that look alike share a skeleton; names that only sound alike, or resemble each other, do not."""

import pytest

from domain.errors import InvalidError
from domain.lookalikes import skeletons
from domain.text import check_username


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("ada", "\u0430da"),  # Cyrillic
        ("paypal", "\u0440\u0430\u0443\u0440\u0430l"),  # Cyrillic, but for the l
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # Cyrillic as a whole
        ("Kelvin", "\u212aelvin"),  # the Kelvin sign
        ("Pop", "\u03a1op"),  # Greek capital rho
        ("admin", "\uff41\uff44\uff4d\uff49\uff4e"),  # full width
        ("modern", "rnodern"),
        ("MODERN", "rnodern"),
        ("user1", "userl"),
        ("user1", "userI"),
        ("root0", "rootO"),
        ("paypal", "paypaI"),
        ("zoe\u0301", "zo\u00e9"),
        ("\u0967\u0967", "\u0669\u0669"),  # a Devanagari one and an Arabic nine
    ],
)
def test_names_that_look_alike(name: str, other: str) -> None:
    assert skeletons(name) & skeletons(other)
    assert skeletons(other) & skeletons(name.upper())


@pytest.mark.parametrize(
    ("name", "other"),
    [("ada", "ade"), ("anna", "hannah"), ("zoe", "zo\u00e9"), ("ada", "a.da"), ("grace", "gracie"), ("maria", "mario")],
)
def test_names_that_do_not(name: str, other: str) -> None:
    assert not skeletons(name) & skeletons(other)


@pytest.mark.parametrize(
    "name",
    [
        "a.", "_1", "\u00c5ngstr\u00f6m", "Ti\u1ebfng_Vi\u1ec7t", "\u0e01\u0e34\u0e4b", "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\u05e9\u05c1\u05bc\u05b8\u05dc\u05d5\u05b9\u05dd", "e\u0301\u0302\u0323\u0327x", "\u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u0651\u064e\u0629",
    ],
)  # fmt: skip
def test_names_of_all_scripts_are_taken(name: str) -> None:
    check_username(name)


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "._-",
        "--",
        "z" + "\u0301\u0302" * 24,
        "ze\u0301\u0302\u0303\u0304\u0306",
        "a\u0301\u0301",
        "\u00e9\u0301x",
    ],
)
def test_names_of_signs_alone_or_with_heaps_of_accents_are_not(name: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        check_username(name)
    assert refusal.value.pointer == "/username"
