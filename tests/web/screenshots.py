"""The pictures of README and docs: made anew by `make screenshots`, of a house in which people talk."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.async_api import expect

from tests.deployments import PASSWORD, Gateway, Person, running
from tests.files.deployments import ended
from tests.files.pictures import saved
from tests.gateway.test_operating import rebuilding
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import house
from tests.web.test_audit import auditing, find, open_console, with_role

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
pytestmark = [*IN_CHROMIUM, pytest.mark.timeout(480)]
ROOMS = ("analytical-engine", "announcements", "compilers", "lunch")
SCALE = 2
AUDITOR = "audrey"
WIDE = {"width": 1280, "height": 820}
STATS_MS = 3000  # how often the operator's view asks
SAID = (3, 9, 14, 8, 17, 11, 5, 12)


def chart() -> bytes:
    """A picture worth talking about: latencies, falling."""
    image = Image.new("RGB", (1200, 640), "#f8f8fc")
    draw = ImageDraw.Draw(image)
    for i in range(6):
        draw.line((80, 80 + i * 96, 1140, 80 + i * 96), fill="#e2e3ec", width=2)
    points = [(80 + i * 53, 160 + 330 * (1 - 0.82**i) + (i * 37 % 23)) for i in range(21)]
    draw.polygon([(80, 560), *points, (1140, 560)], fill="#e6e4fd")
    draw.line(points, fill="#4f46e5", width=6, joint="curve")
    for x, y in points[::4]:
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill="#ffffff", outline="#4f46e5", width=5)
    return saved(image, "PNG")


async def talk(hansard: Gateway) -> tuple[str, str]:
    """Have people talk; returns the ids of the room and of a message with a thread."""
    ada, grace, alan, mary = [await hansard.person(name) for name in ("ada", "grace", "alan", "mary")]
    rooms = {name: await ada.room(grace, alan, mary, name=name) for name in reversed(ROOMS)}
    room = rooms["analytical-engine"]
    await ada.ask("PATCH", f"/rooms/{room}", 200, json={"topic": "Cards, cogs and what may be computed with them"})
    await grace.say(rooms["announcements"], "Version 0.1.0 is out. Thank you, everybody.")
    await alan.say(rooms["lunch"], "Who is coming along at noon?")
    await grace.say(room, "Morning! The new build is on the test machine since eight.")
    await grace.say(
        room, "Acknowledged sends are on the disk *before* the answer, so pulling the plug is allowed. Please do."
    )
    first = await alan.say(
        room,
        "I pulled it. Twice. `hansard verify` says:\n\n```\nrecord whole: 128,412 events, tree head signed 0.8 s ago\n```",
    )
    await _react(first["id"], ("🎉", grace, mary, ada), ("👀", ada))
    await mary.say(
        room,
        "Nothing lost on my side either. What I did:\n\n1. wrote offline in the train\n2. came back in the *tunnel* of all places\n3. looked at the order: **the same for all of us**",
    )
    up = await grace.upload(chart(), "latency.png", params={"room_id": room})
    await ended(grace, up["id"])
    shown = await grace.say(
        room, "p99 since the change. @ada this was your idea", message_type="image", file_id=up["id"]
    )
    await _react(shown["id"], ("🚀", ada, alan, mary))
    await alan.say(room, "Down by two thirds, and I could not find one gap", reply_to=shown["id"])
    for who, text in (
        (ada, "Which commit was it?"),
        (grace, "The one that shares commits between gateways."),
        (ada, "Lovely. I will write it up."),
    ):
        await who.say(room, text, thread_id=shown["id"])
    for who, others in ((ada, [grace]), (mary, [ada])):
        direct = await who.ask("POST", "/direct", 201, json={"user_ids": [other.id for other in others]})
        await who.say(direct["id"], "Have a minute?")
    await mary.say(rooms["compilers"], "@ada could you look at the grammar again?")
    await ada.say(room, "Then let us ship it.")
    return room, shown["id"]


async def _react(message_id: str, *given: tuple[str | Person, ...]) -> None:
    for emoji, *people in given:
        for who in people:
            assert isinstance(who, Person)
            await who.ask("PUT", f"/messages/{message_id}/reactions/{emoji}", 204)


async def keep(seen: Window, name: str) -> None:
    """Keep a picture of a window, once everything that it loads is there."""
    await seen.page.wait_for_load_state("networkidle")
    await asyncio.sleep(0.4)  # what only looks nice, like a caret or a scrollbar, comes to rest
    await seen.page.mouse.move(0, 0)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.png"
    await seen.page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
    await seen.whole()


async def test_pictures_of_the_chat(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as hansard, chromium() as browser:
        room, _ = await talk(hansard)
        for name, scheme, viewport in (
            ("chat-light", "light", WIDE),
            ("chat-dark", "dark", WIDE),
            ("phone", "light", {"width": 390, "height": 780}),
        ):
            seen = await window(browser, color_scheme=scheme, viewport=viewport, device_scale_factor=SCALE)
            await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
            await seen.page.goto(f"{hansard.base}/#{room}")
            await expect(seen.page.locator("hansard-timeline img")).to_be_visible()
            if name == "chat-dark":
                await (
                    seen.page.locator(".message", has_text="p99 since").get_by_role("button", name="3 replies").click()
                )
                await expect(seen.page.locator("hansard-details .message")).to_have_count(4)
            await expect(seen.page.locator("hansard-timeline .message").last).to_be_visible()
            await keep(seen, name)


async def test_pictures_of_the_audit_console(database_url: str, redis_url: str) -> None:
    """The record, an edit before and after, and a proof with its tree."""
    async with (
        house(database_url, redis_url) as hansard,
        auditing(hansard, database_url, name=AUDITOR),
        chromium() as browser,
    ):
        room, _ = await talk(hansard)
        edith = await hansard.person("edith")
        await edith.ask("POST", f"/rooms/{room}/join", 200)
        said = await edith.say(room, "Ten tons of coal for the engine, please.")
        change = {
            "json": {"content": "Two tons of coal for the engine, please."},
            "headers": {"Hansard-Reason": "a slip"},
        }
        await edith.ask("PATCH", f"/messages/{said['id']}", 200, **change)
        seen = await window(browser, viewport=WIDE, device_scale_factor=SCALE)
        await seen.enter(hansard.base, AUDITOR, PASSWORD, is_new=False)
        await open_console(seen)
        await expect(seen.page.locator(".events > li").nth(5)).to_be_visible()
        await keep(seen, "audit-list")
        entries = await find(seen, who="edith", type="message.edited")
        await entries.first.locator("summary").click()
        await expect(entries.locator("del")).to_be_visible()
        await keep(seen, "audit-before-after")
        await seen.page.get_by_role("button", name="Prove this entry").click()
        await expect(seen.page.locator(".verdict")).to_contain_text("stands in the signed record")
        await keep(seen, "audit-proof")


async def test_a_picture_of_the_operators_view(database_url: str, redis_url: str) -> None:
    async with (
        house(database_url, redis_url) as hansard,
        rebuilding(database_url, redis_url) as rebuilds,
        auditing(hansard, database_url, name=AUDITOR),
        chromium() as browser,
    ):
        room, _ = await talk(hansard)
        olga = await with_role(hansard, "olga", "admin")
        await olga.ask("POST", f"/rooms/{room}/join", 200)
        seen = await window(browser, viewport={"width": 1280, "height": 1080}, device_scale_factor=SCALE)
        await seen.page.clock.install()
        await seen.enter(hansard.base, "olga", PASSWORD, is_new=False)
        await seen.page.get_by_role("link", name="Operations").click()
        for count in SAID:  # between two answers each, so that the charts have something to draw
            for i in range(count):
                await olga.say(room, f"{count}.{i}")
            async with seen.answered("GET", "/admin/stats"):
                await seen.page.clock.run_for(STATS_MS)
        row = seen.page.locator("hansard-operator").get_by_role("row", name="live", exact=False).first
        await row.get_by_role("button", name="Rebuild live").click()
        await seen.page.get_by_label("Only compare").check()
        await seen.page.get_by_role("button", name="Start").click()
        await seen.page.clock.resume()
        async with running(rebuilds.run()):
            await expect(seen.page.get_by_role("region", name="Rebuild live")).to_contain_text("done")
        await keep(seen, "operations")
