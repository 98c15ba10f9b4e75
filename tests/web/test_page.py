"""The page in a real browser: people chat, go away and come back; hostile text stays text; nobody is shut out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import FilePayload, Locator, Route, WebSocketRoute, expect

from tests.deployments import PASSWORD, Gateway, gateway
from tests.files.pictures import png
from tests.web.axe import AXE, faults
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import PAGE, house

pytestmark = IN_CHROMIUM

ENTRIES_MAX = 252  # with the marks of two days: midnight may pass meanwhile
SHIFT_MAX = 0.1  # "good", by web.dev/cls
HACKED = "void (window.hacked = () => { window.wasHacked = true; })"
# What has run in other chats: as messages, as names of rooms and files, as topics. `hacked` is what each would do.
CORPUS = [
    "<script>hacked()</script>",
    "<img src=x onerror=hacked()>",
    "<svg onload=hacked()><animate onbegin=hacked() attributeName=x dur=1s>",
    "[click](javascript:hacked())",
    "[click](JaVaScRiPt&#58;hacked())",
    "[click](data:text/html,<script>hacked()</script>)",
    '![x](x" onerror="hacked())',
    "<iframe srcdoc='<script>parent.hacked()</script>'></iframe>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=hacked()&gt;'>",
    "<a href='https://a.example' style='position:fixed;inset:0' onmouseover=hacked()>x</a>",
    "`<img src=x onerror=hacked()>`",
    "```html\n</code></pre><script>hacked()</script>\n```",
    'https://a.example/"onmouseover="hacked()',
    "<template><script>hacked()</script></template>",
    "<form action=javascript:hacked()><button autofocus onfocus=hacked()>x</button></form>",
    "{{constructor.constructor('hacked()')()}}",
    "\u202egnp.exe",
]


@asynccontextmanager
async def people(hansard: Gateway, *names: str) -> AsyncIterator[list[Window]]:
    """Windows of people who have come in; nothing may go wrong in them."""
    async with chromium() as browser:
        windows = [await window(browser) for _ in names]
        for each, name in zip(windows, names, strict=True):
            await each.enter(hansard.base, name, PASSWORD)
        yield windows
        for each in windows:
            await each.whole()


def message(seen: Window, text: str) -> Locator:
    return seen.page.locator("hansard-timeline .message", has_text=text)


async def act(seen: Window, text: str, what: str) -> None:
    """Do something with a message, by its button."""
    await message(seen, text).hover()
    await message(seen, text).get_by_role("button", name=what, exact=True).click()


async def test_two_people_chat_and_one_goes_away_and_comes_back(database_url: str, redis_url: str) -> None:
    async with (
        house(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, page=PAGE) as second,
        people(hansard, "ada", "ben") as [ada, ben],
    ):
        lines, is_away = await _cuttable(ben)
        await ben.enter(second.base, "ben", PASSWORD, is_new=False)
        await ben.page.reload()  # goes on by the cookie
        await expect(ben.page.locator("hansard-shell")).to_be_visible()
        assert await ben.page.evaluate("document.cookie") == ""
        kept = await ben.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
        assert "eyJ" not in kept and set(json.loads(kept)) == {"hansard-was-here"}
        await ada.open_room("Engines")
        await ben.page.get_by_role("button", name="Browse rooms").click()
        await ben.page.get_by_role("dialog").get_by_role("button", name="Engines").click()
        await ben.page.get_by_role("button", name="Join room").click()
        await expect(ada.page.get_by_text("ben joined")).to_be_visible()

        await ada.write("Good *evening*, ben")
        await expect(message(ben, "Good evening, ben").locator("em")).to_have_text("evening")
        await ben.page.locator("textarea.write").press_sequentially("hi")
        await expect(ada.page.get_by_text("ben is typing")).to_be_visible()
        await act(ben, "Good evening", "Add reaction")
        await ben.page.get_by_role("button", name="🎉").click()
        await expect(message(ada, "Good evening").get_by_role("button", name="🎉 1")).to_be_visible()
        await act(ben, "Good evening", "Reply")
        await ben.write("A reply to it")
        await expect(message(ada, "A reply to it").locator(".quote")).to_contain_text("Good *evening*, ben")

        await ada.page.locator("textarea.write").press_sequentially("look, @be")
        await expect(ada.page.get_by_role("option", name="ben")).to_be_visible()
        await ada.page.keyboard.press("Tab")
        await expect(ada.page.locator("textarea.write")).to_have_value("look, @ben ")
        await ada.page.keyboard.press("Enter")
        await expect(message(ben, "look, @ben")).to_contain_class("for-me")

        is_away.append(True)
        for line in lines:
            await line.close()
        await expect(ben.page.get_by_text("Reconnecting – nothing will be lost")).to_be_visible()
        await ada.write("Said while ben was away")
        await ben.write("Written offline")
        await expect(message(ben, "Written offline")).to_contain_class("sending")
        is_away.clear()
        await expect(message(ben, "Said while ben was away")).to_be_visible()
        await expect(message(ada, "Written offline")).to_have_count(1)
        await expect(message(ben, "Written offline")).not_to_contain_class("sending")
        order = "[...document.querySelectorAll('hansard-timeline .text')].map((each) => each.textContent.trim())"
        assert await ada.page.evaluate(order) == await ben.page.evaluate(order)

        await ada.page.locator("textarea.write").press("ArrowUp")
        await ada.write("Said and mended")
        await expect(message(ben, "Said and mended").get_by_role("button", name="(edited)")).to_be_visible()
        await message(ben, "Said and mended").get_by_role("button", name="(edited)").click()
        await expect(ben.page.get_by_role("dialog").locator("li")).to_have_count(2)
        await ben.page.keyboard.press("Escape")
        await act(ada, "Said and mended", "Delete")
        await ada.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(message(ben, "This message was deleted")).to_be_visible()

        await act(ben, "Good evening", "Reply in thread")
        thread = ben.page.locator("hansard-details")
        await thread.get_by_role("textbox").fill("in the thread")
        await thread.get_by_role("textbox").press("Enter")
        await expect(thread.get_by_text("in the thread")).to_be_visible()
        await expect(message(ada, "Good evening").get_by_role("button", name="1 reply")).to_be_visible()


async def _cuttable(seen: Window) -> tuple[list[WebSocketRoute], list[bool]]:
    """Have the sockets of a window be cut when asked; while the second list holds something none opens."""
    lines: list[WebSocketRoute] = []
    is_away: list[bool] = []

    async def route(line: WebSocketRoute) -> None:
        if is_away:
            await line.close()
        else:
            line.connect_to_server()
            lines.append(line)

    await seen.page.route_web_socket("**/api/v1/ws**", route)
    return lines, is_away


@asynccontextmanager
async def _late_count(seen: Window) -> AsyncIterator[asyncio.Event]:
    """Hold the first answer that says how much of the inbox is unread until the block ends; the event: it was counted."""
    is_counted, let_go, has_come = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(route: Route) -> None:
        found = await route.fetch()
        is_first = not is_counted.is_set()
        is_counted.set()
        if is_first:
            await let_go.wait()
        await route.fulfill(response=found)
        if is_first:
            has_come.set()

    await seen.page.route("**/notifications?limit=1", answer)
    yield is_counted
    let_go.set()
    await has_come.wait()
    await seen.page.evaluate("fetch('/livez').then((answer) => answer.text())")  # it came before this
    await seen.page.unroute("**/notifications?limit=1", answer)


async def test_unread_rooms_say_so_and_a_session_that_is_ended_elsewhere_leads_to_the_door(
    database_url: str, redis_url: str
) -> None:
    async with house(database_url, redis_url) as hansard, people(hansard, "ada") as [ada]:
        first = await ada.open_room("First")
        await ada.open_room("Second")
        ben = await hansard.person("ben")
        await ben.ask("POST", f"/rooms/{first}/join", 200)
        for text in ("one", "two", "@ada three"):
            await ben.say(first, text)
        link = ada.page.get_by_role("link", name="First")
        await expect(link.locator(".badge.loud")).to_have_text("3")
        inbox = ada.page.get_by_role("button", name="Notifications").locator(".badge")
        await expect(inbox).to_have_text("1")
        async with _late_count(ada) as is_counted:
            await ben.say(first, "@ada four")
            await is_counted.wait()
            await ben.say(first, "@ada five")
            await expect(inbox).to_have_text("3")
        await expect(inbox).to_have_text("3")
        await link.click()
        await expect(ada.page.get_by_role("separator", name="New messages")).to_be_visible()
        await expect(link.locator(".badge")).to_have_count(0)
        await expect(inbox).to_be_hidden()
        await expect(message(ada, "@ada three")).to_contain_class("for-me")

        tabs = [await ada.context.new_page() for _ in range(3)]
        await asyncio.gather(
            *(tab.goto(hansard.base) for tab in tabs)
        )  # all renew by one cookie, and none is taken for a thief
        for tab in (ada.page, *tabs):
            await expect(tab.get_by_role("link", name="Second")).to_be_visible()
        for tab in tabs:
            await tab.close()

        elsewhere = hansard.client()
        login = await elsewhere.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD})
        sure = hansard.client(login.json()["access_token"])
        [own] = [each for each in (await sure.get("/auth/sessions")).json()["items"] if not each["is_current"]]
        assert (await sure.delete(f"/auth/sessions/{own['id']}")).status_code == 204
        await expect(ada.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
        await ada.enter(hansard.base, "ada", PASSWORD, is_new=False)
        await expect(link).to_be_visible()
        await link.click()
        await ada.page.get_by_role("textbox", name="Message First").fill("not said yet")
        assert "not said yet" in await ada.page.evaluate("JSON.stringify({...sessionStorage})")
        await ada.page.get_by_role("button", name="Settings", exact=True).click()
        await ada.page.get_by_role("button", name="Log out").click()
        await expect(ada.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
        assert await ada.context.cookies() == []
        assert await ada.page.evaluate("sessionStorage.length") == 0


async def test_pictures_are_shown_and_hostile_text_runs_nowhere(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as hansard, people(hansard, "ada") as [ada]:
        await ada.page.evaluate(HACKED)
        room_id = await ada.open_room("Pictures")
        name = "<img src=x onerror=hacked()>.png"
        given: FilePayload = {"name": name, "mimeType": "image/png", "buffer": png(640, 480)}
        await ada.page.get_by_label("Attach files").and_(ada.page.locator("input")).set_input_files([given])
        await expect(ada.page.locator(".uploads li.done")).to_be_visible()
        await ada.write("a caption")
        picture = message(ada, "a caption").get_by_role("img", name=name)
        await expect(picture).to_have_js_property("naturalWidth", 640)
        for event in ("drop", "paste"):
            await ada.page.evaluate(GIVEN, event)
            await expect(ada.page.locator(".uploads li.done", has_text=f"{event}.txt")).to_be_visible()
            await ada.page.get_by_role("button", name=f"Remove {event}.txt").click()
        await expect(ada.page.locator(".uploads li")).to_have_count(0)

        ben = await hansard.person("ben")
        await ben.ask("POST", f"/rooms/{room_id}/join", 200)
        for text in CORPUS:
            await ben.say(room_id, text)
            await ben.room(name=text.replace("\n", " ")[:100], description=text)
        await expect(ada.page.locator(".message")).to_have_count(1 + len(CORPUS))
        await expect(message(ada, "parent.hacked")).to_be_visible()
        await ada.page.reload()
        await ada.page.evaluate(HACKED)
        await expect(ada.page.locator(".message")).to_have_count(1 + len(CORPUS))
        await ada.page.get_by_role("button", name="Browse rooms").click()
        await expect(ada.page.get_by_role("dialog").locator("li")).to_have_count(1 + len(CORPUS))
        await ada.page.keyboard.press("Escape")
        for row in await ada.page.locator(".message a").all():
            await row.hover()
        assert await ada.page.evaluate("window.wasHacked") is None
        wrong = "hansard-timeline :is(script, iframe, form, svg:not(.icon), [onerror], [onload], .message [style]:not(.picture, hansard-avatar))"
        assert await ada.page.locator(wrong).count() == 0
        addresses = await ada.page.eval_on_selector_all(
            ".message a", "all => all.map((each) => new URL(each.href).protocol)"
        )
        assert set(addresses) <= {"https:"}


async def test_a_timeline_scrolls_both_ways_without_growing_or_jumping(database_url: str, redis_url: str) -> None:
    count = 300
    async with house(database_url, redis_url) as hansard, people(hansard, "ada") as [ada]:
        ben = await hansard.person("ben")
        room_id = await ben.room(name="Long")
        for start in range(0, count, 20):
            texts = [f"number {i}: {'word ' * (i % 40)}" for i in range(start, start + 20)]
            await asyncio.gather(*(ben.say(room_id, text) for text in texts))
        await ada.page.goto(f"{hansard.base}/#{room_id}")
        await ada.page.get_by_role("button", name="Join room").click()
        await expect(ada.page.get_by_text("ada joined")).to_be_visible()
        await expect(message(ada, f"number {count - 1}")).to_be_visible()
        entries, scroller = ada.page.locator(".entry"), ada.page.locator(".scroller")
        assert await entries.count() <= ENTRIES_MAX
        beginning = ada.page.get_by_text("This is the beginning of Long.")
        seen: set[int] = set()
        for _ in range(60):
            seen |= set(await ada.page.evaluate(NUMBERS))
            await scroller.evaluate("each => { each.scrollTop -= 1500; }")
            await ada.page.evaluate(SETTLED)
            assert await entries.count() <= ENTRIES_MAX
            if await beginning.is_visible() and await scroller.evaluate("each => each.scrollTop") == 0:
                break
        seen |= set(await ada.page.evaluate(NUMBERS))
        assert seen == set(range(count)), f"skipped: {sorted(set(range(count)) - seen)}"
        before = await message(ada, "number 3:").bounding_box()
        await ben.say(room_id, "something new")
        jump = ada.page.get_by_role("button", name="1 new")
        await expect(jump).to_be_visible()
        assert await message(ada, "number 3:").bounding_box() == before, "nothing moves while one reads"
        await jump.click()
        await expect(message(ada, "something new")).to_be_visible()
        await ada.page.evaluate(SHIFTS)
        for start in range(0, 256, 16):
            await asyncio.gather(*(ben.say(room_id, f"late {start + i}") for i in range(16)))
        await expect(message(ada, "late 255")).to_be_visible()
        assert await entries.count() <= ENTRIES_MAX
        assert await ada.page.evaluate("window.shifts") < SHIFT_MAX


# A file that is dropped on the room, or pasted into what one writes.
GIVEN = """(kind) => {
    const files = new DataTransfer();
    files.items.add(new File(["plain words"], `${kind}.txt`, { type: "text/plain" }));
    const options = { bubbles: true, cancelable: true, dataTransfer: files, clipboardData: files };
    const event = kind === "drop" ? new DragEvent(kind, options) : new ClipboardEvent(kind, options);
    document.querySelector("textarea.write").dispatchEvent(event);
}"""
SHIFTS = """() => {
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => { window.shifts += value; })).observe({ type: "layout-shift" });
}"""
NUMBERS = "[...document.querySelectorAll('.entry .text')].map((each) => Number(/number (\\d+):/.exec(each.textContent)?.[1])).filter((n) => n >= 0)"
# Two frames, and no request on its way.
SETTLED = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const list = document.querySelector("hansard-timeline").messages;
    await frame();
    while (document.querySelector(".scroller").scrollTop < 700 && list.hasOlder) await frame();
    await frame();
}"""


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there (npm ci)")
async def test_nobody_is_shut_out(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as hansard, people(hansard, "ada") as [ada]:
        room_id = await ada.open_room("Engines")
        ben = await hansard.person("ben")
        await ben.ask("POST", f"/rooms/{room_id}/join", 200)
        said = await ben.say(room_id, "Hello *ada*, `code` and https://a.example")
        await ben.say(room_id, "> quoted\n\n- a list", reply_to=said["id"])
        await ben.ask("PUT", f"/messages/{said['id']}/reactions/👍", 204)
        await expect(message(ada, "a list").locator("li")).to_be_visible()
        for theme in ("light", "dark"):
            await ada.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            assert await faults(ada) == [], theme
        await ada.page.locator(".room-head .chip").click()
        await expect(ada.page.locator("hansard-details li")).to_have_count(2)
        assert await faults(ada) == []
        for button in ("Settings", "New room", "Notifications", "Browse rooms"):
            await ada.page.get_by_role("button", name=button, exact=True).first.click()
            await expect(ada.page.get_by_role("dialog")).to_be_visible()
            assert await faults(ada) == [], button
            await ada.page.keyboard.press("Escape")
        await ada.page.set_viewport_size({"width": 375, "height": 700})
        await ada.page.locator("hansard-details").get_by_role("button", name="Close").click()
        assert await faults(ada) == []
        wide = "[...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > 376).map((each) => each.className)"
        assert await ada.page.evaluate(wide) == []

        # By the keyboard alone: to the last message, and a reply to it.
        await ada.page.locator(".scroller").focus()
        await ada.page.keyboard.press("ArrowUp")
        await ada.page.keyboard.press("ArrowUp")
        await ada.page.keyboard.press("r")
        await expect(ada.page.get_by_text("Replying to ben")).to_be_visible()
        await ada.page.keyboard.type("by keys")
        await ada.page.keyboard.press("Enter")
        await expect(message(ada, "by keys").locator(".quote")).to_be_visible()


async def test_both_languages_say_everything(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, page=PAGE) as hansard, chromium() as browser:
        seen = await window(browser, locale="de-DE")
        await seen.page.goto(hansard.base)
        await expect(seen.page.get_by_role("button", name="Anmelden", exact=True)).to_be_visible()
        words = await seen.page.evaluate(WORDS, f"/assets/{PAGE.digest}/words.js")
        assert words["en"] == words["de"], sorted(set(words["en"]) ^ set(words["de"]))
        await seen.whole()


WORDS = """async (address) => {
    const { LANGUAGES } = await import(address);
    const holes = (text) => (text.match(/\\{\\w+\\}/g) ?? []).sort().join("");
    const all = ({ words }) => Object.entries(words).map(([word, text]) => word + holes(text)).sort();
    return Object.fromEntries(Object.entries(LANGUAGES).map(([name, said]) => [name, all(said)]));
}"""
