"""Mentions: which names a text holds, and which stand in code."""

import pytest

from domain.bounds import MENTIONS_MAX
from domain.mention import names_in, spellings_of


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("@ada", ["ada"]),
        ("hello @ada, and @ben!", ["ada", "ben"]),
        ("(@ada)", ["ada"]),
        ("@ada @ada", ["ada"]),
        ("**@ada**", ["ada"]),
        ("@ada.", ["ada."]),
        ("@josé.garcía-1_x", ["josé.garcía-1_x"]),
        ("ada@example.com", []),
        ("https://example.com/@ada", []),
        ("@", []),
        ("@@ada", []),
        ("@a", []),
        ("`@ada` @ben", ["ben"]),
        ("``a ` @ada`` @ben", ["ben"]),
        ("`@ada @ben", ["ada", "ben"]),
        ("```\n@ada\n``` @ben", ["ben"]),
        ("@ben\n```\n@ada", ["ben"]),
        ("a ``` @ada", ["ada"]),
        ("`` ` `` @ada `", ["ada"]),
    ],
)
def test_names_stand_after_a_sign_and_outside_of_code(content: str, names: list[str]) -> None:
    assert names_in(content) == names


def test_there_are_never_too_many() -> None:
    assert len(names_in(" ".join(f"@p{n}" for n in range(2_000)))) == MENTIONS_MAX
    assert names_in("`" * 10_000 + "@ada") == []


def test_a_dot_may_belong_to_the_sentence() -> None:
    assert spellings_of("ada") == ("ada",)
    assert spellings_of("Ada.") == ("ada.", "ada")
