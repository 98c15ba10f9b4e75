"""The pages of the site, laid out as they lie in the repository, so that a link that works there works here.

What is not Markdown is not copied, but for the licence and what pages show: a page that speaks of code names it in code instead of
linking.
"""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

# The site opens with the README; pages of the folder docs/ follow by themselves.
ROOT_PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
)
FOLDERS = ("docs", "clients")
LICENCE = "LICENSE"  # which pages link to, and which is none
SHOWN = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)]+)\)")
FENCE = "```"
MERMAID = "```mermaid"


def pages_of(root: Path) -> Iterable[Path]:
    """Yield every page of the site."""
    yield from (root / name for name in ROOT_PAGES)
    for folder in FOLDERS:
        yield from sorted(page for page in (root / folder).rglob("*.md") if ".venv" not in page.parts)


def stage(root: Path, target: Path, draw: Callable[[str], str]) -> None:
    """Copy all pages from `root` to an empty `target`; `draw` makes an SVG of a Mermaid diagram."""
    shutil.rmtree(target, ignore_errors=True)
    for page in pages_of(root):
        copy = target / page.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text()
        for picture in SHOWN.findall(text):
            (copy.parent / picture).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page.parent / picture, copy.parent / picture)
        copy.write_text(drawn(text, copy, draw))
    shutil.copy(root / LICENCE, target / LICENCE)


def drawn(text: str, page: Path, draw: Callable[[str], str]) -> str:
    """Return a page with its Mermaid diagrams as pictures, which are written beside it: no browser has to load a script."""
    lines: list[str] = []
    diagram: list[str] | None = None
    for line in text.splitlines():
        if diagram is None and line == MERMAID:
            diagram = []
        elif diagram is None:
            lines.append(line)
        elif line == FENCE:
            picture = page.with_name(f"{page.stem}-{len(list(page.parent.glob(f'{page.stem}-*.svg')))}.svg")
            picture.write_text(draw("\n".join(diagram)))
            lines.append(f"![Diagram]({picture.name})")
            diagram = None
        else:
            diagram.append(line)
    assert diagram is None, f"{page}: a diagram does not end"
    return "\n".join(lines) + "\n"
