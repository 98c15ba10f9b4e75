"""axe-core, which finds what shuts people out of a page; it comes with npm."""

import json
from pathlib import Path
from typing import Any

from tests.web.browser import Window

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def faults(seen: Window) -> list[Any]:
    """Return what axe-core finds, in the words of WCAG 2.2 AA; the page's own policy keeps axe from being put in by a tag."""
    if not await seen.page.evaluate("'axe' in window"):
        await seen.page.evaluate(AXE.read_text())
    found = await seen.page.evaluate(f"axe.run({{ runOnly: {json.dumps(TAGS)} }})")
    return [
        (fault["id"], [node["html"][:200] + " " + node["failureSummary"] for node in fault["nodes"]][:4])
        for fault in found["violations"]
    ]
