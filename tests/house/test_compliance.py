"""docs/compliance.md: each rule is shown by something that is there, or is the operator's, or is said not to be here; and the commands
that documents name exist. (That the named tests and headings are there is `test_asvs.py`'s, of every document.)"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cli import COMMANDS
from tests.house.test_asvs import NAMED
from tests.house.test_style import ROOT

PAGE = (ROOT / "docs" / "compliance.md").read_text()
ROW = re.compile(r"^\| (?!rule |in the |\*|---)(.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\]\([\w/-]+\.md(?:#[\w-]+)?\)")
SOURCE = re.compile(
    r"\]\(https://(?:www\.ecfr\.gov|www\.federalregister\.gov|www\.finra\.org|eur-lex\.europa\.eu)/\S+\)"
)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^(?:\S+=\S* )?hansard ([a-z-]+)", re.MULTILINE)
QUOTED = re.compile(r"`hansard ([a-z-]+)")
NO_COMMANDS = frozenset({"event"})  # `hansard event v1`: what is hashed


def faults(page: str) -> Iterator[str]:
    """Tell what is wrong with the rows of a page, in one sentence each."""
    for rule, _, said in ROW.findall(page):
        if "*Shown*" in said and not NAMED.search(said) and not LINK.search(said):
            yield f"{rule}: shown by nothing"
        if not NAMED.search(said) and not LINK.search(said) and "*To add*" not in said and "*Not here*" not in said:
            yield f"{rule}: neither shown, nor to add, nor said not to be here"
    for title, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        if ROW.search(section) and not SOURCE.search(section):
            yield f"{title}: without a source"


def unknown_commands(page: str) -> set[str]:
    """Return the commands that a page names, and that do not exist."""
    typed = {name for block in BLOCK.findall(page) for name in TYPED.findall(block)}
    return (typed | set(QUOTED.findall(page))) - COMMANDS.keys() - NO_COMMANDS


def test_every_rule_is_shown_or_to_add_or_not_here() -> None:
    assert list(faults(PAGE)) == []
    assert len(ROW.findall(PAGE)) > 30


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        ("## A law\n| rule | what | here |\n|---|---|---|\n| 1 | all | *Shown*: it is so |\n", "1: shown by nothing"),
        ("## A law\n| 1 | all | it is so |\n", "1: neither shown, nor to add, nor said not to be here"),
        ("## A law\n| 1 | all | *Not here* |\n## Another\n", "A law: without a source"),
    ],
)
def test_what_is_wrong_with_a_row_is_found(planted: str, says: str) -> None:
    assert says in list(faults(planted))


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_every_command_that_a_document_names_is_there(page: Path) -> None:
    assert unknown_commands(page.read_text()) == set()


def test_a_command_that_is_not_there_is_found() -> None:
    page = "```sh\nX=1 hansard up\nhansard flee --now\n```\n`hansard event v1`, `hansard hide` and hansard seek\n"
    assert unknown_commands(page) == {"flee", "hide"}
