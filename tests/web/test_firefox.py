"""The chat in Firefox: two people, one of whom goes away and comes back; a picture and an edit. The rest is Chromium's."""

import asyncio
from pathlib import Path

import pytest

from tests.deployments import PASSWORD
from tests.files.pictures import png
from tests.web.cable import cable
from tests.web.firefox import ARROW_UP, ENTER, FIREFOX, Window, firefox
from tests.web.houses import house

pytestmark = [pytest.mark.skipif(FIREFOX is None, reason="there is no Firefox"), pytest.mark.web]

MESSAGE = "hansard-timeline .message"
WRITE = "textarea.write"
ORDER = (
    "() => [...document.querySelectorAll('hansard-timeline .text')].map((each) => each.textContent.trim()).join('|')"
)
# How wide a picture is, once its bytes are there.
WIDTH = """async () => {
    const picture = document.querySelector("hansard-timeline .picture img");
    await picture.decode();
    return String(picture.naturalWidth);
}"""


async def enter(window: Window, base: str, name: str) -> None:
    await window.open(base)
    await window.click("button", "New here?")
    for field, text in (("email", f"{name}@example.com"), ("username", name), ("password", PASSWORD)):
        await window.fill(f"input[name={field}]", text)
    await window.click("button", "Create account")
    await window.see("hansard-shell")


async def test_two_people_chat_in_firefox(database_url: str, redis_url: str, tmp_path: Path) -> None:
    picture = tmp_path / "engine.png"
    picture.write_bytes(png(640, 480))
    async with house(database_url, redis_url) as hansard, cable(hansard.port) as line, firefox() as browser:
        ada, ben = await browser.window(), await browser.window()
        await asyncio.gather(enter(ada, hansard.base, "ada"), enter(ben, line.base, "ben"))
        await ada.click("button", "New room")
        await ada.fill("dialog input[name=name]", "Engines")
        await ada.click("dialog button", "Create")
        await ada.see("h1", "Engines")
        await ben.click("button", "Browse rooms")
        await ben.click("dialog li button", "Engines")
        await ben.click("button", "Join room")
        await ada.see(".system", "ben joined")

        await ada.fill(WRITE, f"Good *evening*, ben{ENTER}")
        await ben.see(f"{MESSAGE} em", "evening")
        await ben.fill(WRITE, "hi")
        await ada.see(".typing", "ben is typing")
        await ben.type(f" ada{ENTER}")
        await ada.see(MESSAGE, "hi ada")

        line.pull()
        await ben.see(".connection", "Reconnecting – nothing will be lost")
        await ada.fill(WRITE, f"Said while ben was away{ENTER}")
        await ben.fill(WRITE, f"Written offline{ENTER}")
        await ben.see(f"{MESSAGE}.sending", "Written offline")
        line.plug_in()
        await ben.see(MESSAGE, "Said while ben was away")
        await ada.see(MESSAGE, "Written offline")
        await ben.see_no(f"{MESSAGE}.sending")
        assert await ada.run(ORDER) == await ben.run(ORDER)

        await ada.give("hansard-composer input[type=file]", picture)
        await ada.see(".uploads li.done")
        await ada.fill(WRITE, f"a caption{ENTER}")
        await ben.see(f"{MESSAGE} .picture img[src]")
        assert await ben.run(WIDTH) == "640"

        await ada.fill(WRITE, ARROW_UP)
        await ada.type(f", mended{ENTER}")
        await ben.see(f"{MESSAGE}:has(.edited)", "a caption, mended")
        await ben.click(f"{MESSAGE} .edited")
        await ben.see("dialog .versions li:nth-child(2)", "a caption, mended")
        for window in (ada, ben):
            await window.whole()
