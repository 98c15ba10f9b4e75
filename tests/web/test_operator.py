"""The operator's view in a real browser: administrators see how the deployment does, and watch a rebuild that they start."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from playwright.async_api import Route, expect

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from projections import PROJECTIONS
from tests.deployments import PASSWORD, Gateway, Person, running, until
from tests.files.deployments import ended
from tests.files.test_saga import Moody
from tests.gateway.test_operating import rebuilding
from tests.gateway.test_tasks import SCANNER_AWAY
from tests.web.axe import AXE, faults
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import house
from workers.files import task_workers

pytestmark = IN_CHROMIUM

AHEAD = timedelta(seconds=10)  # the clock of the page stands still from then on; it must not be there yet
# Whether the page counts as looked at; a browser without a window never hides one by itself.
TURN = """(isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_an_administrator_watches_the_deployment_and_a_rebuild(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_workers, "TASK_BACKOFF_SECONDS_MAX", 3600)
    scanner = Moody()
    async with (
        house(database_url, redis_url, scanner=scanner, backoff_seconds=3600) as hansard,
        rebuilding(database_url, redis_url) as rebuilds,
        chromium() as browser,
    ):
        eve, ada = [await hansard.person(name) for name in ("eve", "ada")]
        await ada.say(await ada.room(eve, name="Engines"), "hello")
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "admin"), Caller())

        seen = await window(browser)
        await seen.page.clock.install()
        async with seen.answered("GET", "/users/me/roles"):
            await seen.enter(hansard.base, "eve", PASSWORD, is_new=False)
        await expect(seen.page.get_by_role("link", name="Engines")).to_be_visible()
        await expect(seen.page.get_by_role("link", name="Operations")).to_have_count(0)
        await seen.page.goto(f"{hansard.base}/#operator")
        await expect(seen.page.get_by_text("needs a role that you do not have")).to_be_visible()

        await seen.context.clear_cookies()
        await seen.page.goto(f"{hansard.base}/#")  # the view is opened when the clock stands still
        await seen.page.reload()
        await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
        link = seen.page.get_by_role("link", name="Operations")
        await expect(link).to_be_visible()
        await seen.page.clock.pause_at(datetime.now(UTC) + AHEAD)
        await link.click()
        view = seen.page.locator("hansard-operator")
        await expect(view.get_by_role("rowheader")).to_have_count(len(PROJECTIONS))
        await expect(view.get_by_text("Live", exact=True)).to_be_visible()
        row = view.get_by_role("row", name="live", exact=False).first
        events = view.get_by_role("img", name="Events per second")
        await expect(events).to_have_accessible_name("Events per second")  # one answer makes no rate yet

        async def is_quiet() -> bool:  # the first looks at things are recorded themselves
            await _a_second_later(seen)
            label, text = await events.get_attribute("aria-label") or "", await row.text_content() or ""
            return "Events per second: 0, most " in label and "served" in text and await _shows_the_head(seen, hansard)

        await until(is_quiet)

        # Nobody looks: nothing is asked, however long that takes.
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(request.url))
        await seen.page.evaluate(TURN, True)
        await seen.page.clock.run_for(30_000)
        assert not any("/admin/stats" in url for url in asked)
        async with seen.answered("GET", "/admin/stats"):
            await seen.page.evaluate(TURN, False)

        await _goes_on_while_the_queue_is_away(seen, hansard, ada)
        await row.get_by_role("button", name="Rebuild live").click()
        await seen.page.get_by_label("Only compare").check()
        await seen.page.get_by_role("button", name="Start").click()
        watched = view.get_by_role("region", name="Rebuild live")
        await expect(watched).to_contain_text("queued")
        await expect(row.get_by_role("button", name="Rebuild live")).to_be_disabled()
        await seen.page.clock.resume()
        async with running(rebuilds.run()):
            await expect(watched).to_contain_text("done")
            await expect(watched).to_contain_text(f"All {len(PROJECTIONS['live'].tables)} tables are equal")
            await expect(watched).to_contain_text("Nothing was exchanged.")
            await expect(row.get_by_role("button", name="Rebuild live")).to_be_enabled()
        await _tried_again(seen, hansard, scanner, eve)
        if AXE.exists():
            for theme in ("light", "dark"):
                await seen.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                assert await faults(seen) == [], theme
        await seen.page.get_by_role("link", name="Engines").click()
        await expect(view).to_have_count(0)
        await expect(seen.page.get_by_role("heading", name="Engines")).to_be_visible()
        await seen.whole()


async def _a_second_later(seen: Window) -> None:
    """Let a second of the page pass, and as much time as an answer takes here: what is asked for may be answered in its time."""
    await seen.page.clock.run_for(1000)
    await seen.page.evaluate("fetch('/livez').then((answer) => answer.text())")


async def _shows_the_head(seen: Window, hansard: Gateway) -> bool:
    position = (await hansard.services.record.head()).position
    return await seen.page.locator("hansard-operator").get_by_text(re.compile(rf"at position {position}\b")).count() > 0


async def _goes_on_while_the_queue_is_away(seen: Window, hansard: Gateway, ada: Person) -> None:
    """Assert that all else is drawn while the list of tasks is waited for, and that why there is none is said once."""
    page, asked, may_go_on = seen.page, 0, asyncio.Event()

    async def away(route: Route) -> None:
        nonlocal asked
        asked += 1
        await may_go_on.wait()
        problem = {"code": "server.busy", "title": "Busy", "status": 409, "detail": "The queue does not answer."}
        await route.fulfill(status=409, json=problem, content_type="application/problem+json")

    async def is_asked(times: int) -> bool:
        await _a_second_later(seen)
        return asked >= times

    async def shows_the_head() -> bool:
        await _a_second_later(seen)
        return await _shows_the_head(seen, hansard)

    await page.route("**/admin/tasks?*", away)
    await until(lambda: is_asked(1))
    looks: list[str] = []
    page.on("request", lambda request: looks.append(request.url) if "/admin/stats" in request.url else None)
    for text in ("coal", "is dear"):
        await ada.say(await ada.room(name=text), text)
        await until(shows_the_head)

    async def looks_on() -> bool:
        """Nothing waits for the list, not even until it is asked for anew."""
        await _a_second_later(seen)
        return len(looks) > asked

    await until(looks_on)
    may_go_on.set()
    tasks = page.get_by_role("region", name="What is to be done")
    alert, again = tasks.get_by_role("alert"), tasks.get_by_role("button", name="Try again")
    await expect(alert).to_have_text("The queue does not answer.")
    said = await alert.element_handle()
    await again.focus()
    await until(lambda: is_asked(4))
    assert said is not None and await said.evaluate("each => each.isConnected")
    await expect(again).to_be_focused()
    await page.unroute("**/admin/tasks?*", away)
    await page.clock.run_for(3000)
    await expect(tasks.get_by_text("Nothing waits, and nothing failed.")).to_be_visible()


async def _tried_again(seen: Window, hansard: Gateway, scanner: Moody, eve: Person) -> None:
    """Assert that what fails is listed by page, with why, tried again by the keyboard, and gone once it is done."""
    await seen.turn_pages("/admin/tasks")
    tasks = seen.page.get_by_role("region", name="What is to be done")
    await expect(tasks.get_by_text("Nothing waits, and nothing failed.")).to_be_visible()
    first, second = [(await eve.upload(text))["id"] for text in (b"first", b"second")]
    await expect(tasks.get_by_role("listitem")).to_have_count(1)
    await tasks.get_by_role("button", name="Show more").click()
    rows = {each: tasks.get_by_role("listitem").filter(has_text=each) for each in (first, second)}
    for row in rows.values():
        for each in ("Scans", "fails", SCANNER_AWAY, "tried: 1", "eve"):
            await expect(row).to_contain_text(each)
    for state in ("given up", "running", "given up"):
        await tasks.get_by_label("State").select_option(state)
        await expect(tasks.get_by_text("Nothing is in this state.")).to_be_visible()
    await tasks.get_by_label("State").select_option("fails")
    await tasks.get_by_role("button", name="Show more").click()

    again = rows[first].get_by_role("button", name=f"Try again: Scans {first}")
    await again.focus()
    await seen.page.keyboard.press("Enter")
    await expect(seen.page.get_by_role("status").get_by_text("It is tried again.").first).to_be_visible()
    await expect(rows[first]).to_contain_text("tried: 2")
    if AXE.exists():
        assert await faults(seen) == []
    scanner.away = False
    for row in (rows[first], rows[second]):
        await row.get_by_role("button", name="Try again").click()
        await expect(row).to_have_count(0)
    await expect(tasks.get_by_text("Nothing is in this state.")).to_be_visible()
    await tasks.get_by_label("State").select_option("all")
    await expect(tasks.get_by_text("Nothing waits, and nothing failed.")).to_be_visible()
    for each in (first, second):
        assert (await ended(eve, each))["status"] == "completed"
