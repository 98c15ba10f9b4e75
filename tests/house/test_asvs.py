"""The ASVS table (docs/asvs.md) is whole and true: every requirement once, every test and heading that it names is there."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests.house.test_style import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "asvs.md").read_text()
WANTED = {
    name: int(level)
    for name, level in (
        line.split(",")
        for line in (Path(__file__).parent / "asvs-5.0.0.csv").read_text().splitlines()
        if not line.startswith("#")
    )
}
ROW = re.compile(r"^\| (V[\d.]+) \| (\d) \| (.+?) \| (.+) \|$", re.MULTILINE)
TOTAL = re.compile(r"^\| level (\d) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[^`]*)`")
NAMED = re.compile(r"(tests/[\w/]+\.py)::(\w+(?:::\w+)?)")
LINK = re.compile(r"\]\(([^)#]*\.md)#([^)]+)\)")
SHOWN, NOT_HERE, OPEN = "shown", "does not apply", "open"


def state_of(said: str) -> str:
    return NOT_HERE if said.startswith("Does not apply: ") else OPEN if said.startswith("*Open*: ") else SHOWN


def faults(page: str) -> Iterator[str]:
    """Tell, in one sentence each, all that is wrong with a table."""
    rows = ROW.findall(page)
    names = [name for name, *_ in rows]
    yield from (f"{name} is missing" for name in WANTED if name not in names)
    yield from (f"{name} stands {count} times" for name, count in Counter(names).items() if count > 1)
    counted: Counter[tuple[int, str]] = Counter()
    for name, level, _, said in rows:
        state = state_of(said)
        counted[int(level), state] += 1
        if WANTED.get(name) != int(level):
            yield f"{name} is no requirement of level {level}"
        if state == OPEN and level == "1":
            yield f"{name} is of level 1, and open"
        if state == SHOWN and not TEST.search(said) and not LINK.search(said):
            yield f"{name} is shown by nothing"
        if state != SHOWN and not said.endswith("."):
            yield f"{name} gives no sentence as its reason"
    yield from (f"{named} is no test" for named in TEST.findall(page) if not NAMED.fullmatch(named))
    yield from missing(page)
    told = {
        (int(level), state): int(n)
        for level, *ns in TOTAL.findall(page)
        for state, n in zip((SHOWN, NOT_HERE, OPEN, "all"), ns, strict=True)
    }
    for level in (1, 2):
        for state in (SHOWN, NOT_HERE, OPEN):
            if told.get((level, state)) != counted[level, state]:
                yield f"of level {level}, {counted[level, state]} are {state}"
        if told.get((level, "all")) != sum(of == level for of in WANTED.values()):
            yield f"level {level} has another number of requirements"


def missing(page: str) -> Iterator[str]:
    """Tell the tests and headings that a page of docs/ names, and that are not there."""
    for file, test in NAMED.findall(page):
        if test not in names_in(ROOT / file):
            yield f"there is no {file}::{test}"
    for file, heading in LINK.findall(page):
        if heading not in headings_of((DOCS / file).resolve()):
            yield f"there is no {file}#{heading}"


@lru_cache(maxsize=256)
def names_in(file: Path) -> frozenset[str]:
    """Return the tests of a file, those of a class as `Class::test`."""
    if not file.exists():
        return frozenset()
    body = ast.parse(file.read_text()).body
    classes = [(node.name, node.body) for node in body if isinstance(node, ast.ClassDef)]
    found = set(_functions(body)) | {f"{name}::{test}" for name, inside in classes for test in _functions(inside)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def _functions(body: list[ast.stmt]) -> list[str]:
    return [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@lru_cache(maxsize=32)
def headings_of(file: Path) -> frozenset[str]:
    """Return the headings of a page as a browser's address names them."""
    if not file.exists():
        return frozenset()
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


def test_every_requirement_is_shown_or_does_not_apply_or_is_open_above_level_1() -> None:
    assert list(faults(PAGE)) == []
    assert (len(WANTED), list(WANTED.values()).count(1)) == (253, 70)


def test_every_test_and_heading_that_a_document_names_is_there() -> None:
    assert [each for page in sorted(DOCS.glob("*.md")) for each in missing(page.read_text())] == []


@pytest.mark.parametrize(
    ("pattern", "planted", "says"),
    [
        (r"^\| V1\.2\.4 .*\n", "", "V1.2.4 is missing"),
        (r"^(\| V9\.1\.1 .*\n)", r"\1\1", "V9.1.1 stands 2 times"),
        (r"^\| V6\.2\.1 \| 1 \|", "| V6.2.1 | 2 |", "V6.2.1 is no requirement of level 2"),
        (r"^\| V6\.2\.1 \|", "| V6.2.99 |", "V6.2.99 is no requirement of level 1"),
        (r"^(\| V8\.2\.1 \| 1 \| [^|]+\|).*$", r"\1 *Open*: later. |", "V8.2.1 is of level 1, and open"),
        (r"^(\| V8\.2\.1 \| 1 \| [^|]+\|).*$", r"\1 it is so |", "V8.2.1 is shown by nothing"),
        (r"^(\| V1\.2\.6 \| 2 \| [^|]+\|).*$", r"\1 Does not apply: no |", "V1.2.6 gives no sentence as its reason"),
        (r"::test_fifty_uses_at_once_give_exactly_one_success`", "::test_fifty`", "there is no tests/gateway/test_sessions.py::test_fifty"),
        (r"`tests/gateway/test_tls\.py::", "`tests/gateway/test_ssl.py::", "there is no tests/gateway/test_ssl.py::"),
        (r"`tests/gateway/test_tls\.py::\w+`", "`tests/gateway/test_tls.py`", "tests/gateway/test_tls.py is no test"),
        (r"\(security\.md#sessions\)", "(security.md#sittings)", "there is no security.md#sittings"),
        (r"^\| level 1 \| (\d+)", r"| level 1 | 1\1", "of level 1, "),
        (r"^(\| level 2 \| .*\|) (\d+) \|$", r"\1 9\2 |", "level 2 has another number of requirements"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_table_is_found(pattern: str, planted: str, says: str) -> None:
    spoilt, count = re.subn(pattern, planted, PAGE, flags=re.MULTILINE)
    assert count
    assert [fault for fault in faults(spoilt) if says in fault]
