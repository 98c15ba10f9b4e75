"""The pages that people read: links lead somewhere, quoted code is the code, licences and decisions are in order."""

import re
import tomllib
from pathlib import Path

from handbook.staging import pages_of, stage
from tests.house.test_asvs import headings_of
from tests.house.test_style import ROOT

PAGES = sorted(pages_of(ROOT))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
PICTURE = re.compile(r"^!\[[^\]]*\]\(([^)]+)\)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def dead_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead to no file or no heading."""
    dead = []
    for file, heading in LINK.findall(CODE.sub("", page.read_text())):
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (heading and heading not in headings_of(target)):
            dead.append(f"{file}#{heading}")
    return dead


def test_every_link_leads_somewhere() -> None:
    assert {page.relative_to(ROOT): dead for page in PAGES if (dead := dead_links(page))} == {}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](page.md#here) [b](gone.md) [c](#there) [d](https://example.org) `[e](code.md)`\n")
    assert dead_links(page) == ["gone.md#", "#there"]


def test_the_site_has_every_picture_that_its_pages_show(tmp_path: Path) -> None:
    stage(ROOT, tmp_path, lambda _: "<svg/>")
    shown = [page.parent / name for page in tmp_path.rglob("*.md") for name in PICTURE.findall(page.read_text())]
    assert len(shown) > 7
    assert [picture for picture in shown if not picture.exists()] == []


def test_code_that_the_style_guide_quotes_is_the_code() -> None:
    quoted = QUOTED.findall((ROOT / "STYLE.md").read_text())
    assert len(quoted) >= 3
    for file, code in quoted:
        lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
        assert "\n".join(map(str.strip, code.splitlines())) in "\n".join(lines), f"{file} has changed; quote it anew"


def test_every_package_names_the_licence_that_lies_beside_it() -> None:
    for folder, licence, opening in (
        (ROOT, "AGPL-3.0-or-later", "GNU AFFERO GENERAL PUBLIC LICENSE"),
        (ROOT / "clients" / "python", "Apache-2.0", "Apache License"),
        (ROOT / "clients" / "verify", "Apache-2.0", "Apache License"),
    ):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert (project["license"], project["license-files"]) == (licence, ["LICENSE"])
        assert (folder / "LICENSE").read_text().lstrip().startswith(opening)


def test_decisions_are_numbered_dated_and_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    numbers = [int(page.name[:4]) for page in DECISIONS]  # with gaps: whoever works beside others is given some ahead
    assert numbers == sorted(set(numbers)) and numbers[0] == 1
    for page in DECISIONS:
        text = page.read_text()
        number, title = page.name[:4], text.splitlines()[0]
        assert title.startswith(f"# {int(number)}. "), page.name
        assert re.search(r"^- Status: (accepted|superseded by \[\d{4}\]\(.+\))$", text, re.MULTILINE), page.name
        assert re.search(r"^- Date: 20\d\d-\d\d-\d\d$", text, re.MULTILINE), page.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:3] == ["Context", "Decision", "Consequences"], page.name
        assert f"]({page.name})" in index, f"{page.name} is not in the index"
