"""Which Chromium the page is tested in: the machine's own (Debian's package, or `CHROMIUM=` a path)."""

import os
import shutil

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PAGE_WAS = f"The page was seen in {CHROMIUM}." if CHROMIUM else "The page was not tested: there is no Chromium here."
# The marks of whatever is tested in it: its one browser belongs to the session's loop.
IN_CHROMIUM = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.web,
    pytest.mark.asyncio(loop_scope="session"),
]
