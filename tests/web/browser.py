"""A Chromium of the machine's, driven by Playwright. Where there is none, the page is not tested, and a run says so."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    Request,
    Response,
    Route,
    async_playwright,
    expect,
)

from tests.web.chromium import CHROMIUM

# Its own sandbox needs rights that containers do not give; what it shows here is ours.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
SECONDS = 20.0
WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) =>
        window.violations.push(`${violatedDirective} ${blockedURI} ${sample}`));
"""


class Window:
    """A browser window of somebody's own: cookies, storage, and what went wrong in it."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        # A refused request is the server's answer, which the page tells its person.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    async def enter(self, base: str, name: str, password: str, *, is_new: bool = True) -> None:
        """Open the page, and register or log in as a person would."""
        await self.page.goto(base)
        if is_new:
            await self.page.get_by_role("button", name="New here?").click()
            await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_label("E-mail").fill(f"{name}@example.com")
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Create account" if is_new else "Log in", exact=True).click()
        await expect(self.page.locator("hansard-shell")).to_be_visible()

    async def open_room(self, name: str) -> str:
        """Open a room; returns its id."""
        await self.page.get_by_role("button", name="New room").click()
        await self.page.get_by_label("Name of the room").fill(name)
        await self.page.get_by_role("button", name="Create").click()
        await expect(self.page.get_by_role("heading", name=name)).to_be_visible()
        return str(await self.page.evaluate("location.hash.slice(1)"))

    async def write(self, text: str) -> None:
        """Write a message in the room on screen, and send it."""
        box = self.page.locator("textarea.write")
        await box.fill(text)
        await box.press("Enter")

    @asynccontextmanager
    async def answered(self, method: str, path: str, **query: str) -> AsyncIterator[None]:
        """Wait for a good answer to what is asked for within: what was asked for before, and is answered now, is not meant."""
        begun: list[Request] = []

        def note(asked: Request) -> None:
            begun.append(asked)

        def is_meant(answer: Response) -> bool:
            asked, address = answer.request, urlsplit(answer.url)
            is_same = asked.method == method and address.path == f"/api/v1{path}"
            return is_same and asked in begun and query.items() <= dict(parse_qsl(address.query)).items()

        self.page.on("request", note)
        try:
            async with self.page.expect_response(is_meant) as answer:
                yield
            assert (await answer.value).ok
        finally:
            self.page.remove_listener("request", note)

    async def turn_pages(self, *paths: str, items: int = 1) -> None:
        """Have these lists come by pages of so few items: the page asks for more than a test can fill."""

        async def fewer(route: Route) -> None:
            await route.continue_(url=re.sub(r"\blimit=\d+", f"limit={items}", route.request.url))

        for path in paths:
            await self.page.route(f"**/api/v1{path}?*", fewer)

    async def whole(self) -> None:
        """Assert that nothing went wrong: no error, and nothing that the policy had to stop."""
        assert await self.page.evaluate("window.violations") == []
        assert self.errors == [], self.errors


class OneBrowser:
    """The browser of a run: starting one takes longer than most of what is asked of it. A loop owns it, that of the session."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    async def get(self) -> Browser:
        """Return it, started if it does not run."""
        if self._playwright is None:
            self._playwright = await async_playwright().start()
        if self._browser is None or not self._browser.is_connected():
            self._browser = await self._playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        return self._browser

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


ONE_BROWSER = OneBrowser()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, without a window. Those that are opened in it are closed at the end, and forget everything."""
    browser = await ONE_BROWSER.get()
    try:
        yield browser
    finally:
        for context in browser.contexts:
            await context.close()


async def window(browser: Browser, **options: Any) -> Window:
    """Open a window that shares nothing with the others."""
    context = await browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(SECONDS * 1000)
    await context.add_init_script(WATCH)
    return Window(context, await context.new_page())


expect.set_options(timeout=SECONDS * 1000)
