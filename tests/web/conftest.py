"""One browser for all tests of a process, closed at its end. It lives in the loop of the session, and so do the tests that use it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.web.browser import ONE_BROWSER


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def one_browser() -> AsyncIterator[None]:
    """Close the browser when the session ends."""
    yield
    await ONE_BROWSER.close()
