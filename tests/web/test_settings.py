"""What people set for themselves, in a real browser: what they are told of and when, on which devices, and by whom never."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from playwright.async_api import CDPSession, Locator, Route, expect

from tests.channels.push_service import push_service
from tests.deployments import PASSWORD, VAPID, Person
from tests.web.axe import AXE, faults
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import house

pytestmark = IN_CHROMIUM

# The subscription that a vendor's push service would give, which a test must not need.
SUBSCRIBED = "PushManager.prototype.subscribe = async () => ({ toJSON: () => (%s) })"
# Whether the worker shows a notification of this title, text and tag.
NOTED = """async (said) => {
    const registration = await navigator.serviceWorker.ready;
    const shown = await registration.getNotifications();
    return shown.some(({ title, body, tag }) => JSON.stringify([title, body, tag]) === JSON.stringify(said));
}"""


async def open_settings(seen: Window, name: str) -> Locator:
    """Open a dialog by way of the settings."""
    await seen.page.get_by_role("button", name="Settings", exact=True).click()
    await seen.page.get_by_role("button", name=name, exact=True).click()
    dialog = seen.page.get_by_role("dialog", name=name)
    await expect(dialog).to_be_visible()
    return dialog


async def is_open_to_all(seen: Window) -> None:
    if AXE.exists():
        assert await faults(seen) == []


async def test_people_say_what_they_are_told_of_and_whom_they_want_nothing_of(
    database_url: str, redis_url: str
) -> None:
    async with (
        push_service(VAPID.public_key) as service,
        house(database_url, redis_url, requests=service.client()) as hansard,
        chromium() as browser,
    ):
        ada, ben = await hansard.person("ada"), await hansard.person("ben")
        room_id, other_id = [await ada.room(ben, name=name) for name in ("Engines", "Looms")]
        seen = await window(browser)
        device = service.device()
        await seen.context.grant_permissions(["notifications"], origin=hansard.base)
        await seen.page.add_init_script(SUBSCRIBED % json.dumps(device.as_json()))
        await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
        await _told_of(seen, ada, room_id)
        await _rooms_at_once(seen, ada, room_id, other_id)
        await _pushed(seen, service, device, room_id)
        await seen.page.keyboard.press("Escape")
        await _blocked(seen, ada, ben, room_id)
        await seen.whole()


async def _told_of(seen: Window, ada: Person, room_id: str) -> None:
    """Assert that settings are kept as they were chosen, and shown so."""
    dialog = await open_settings(seen, "Notification settings")
    await is_open_to_all(seen)
    await dialog.get_by_label("Notify me").select_option("all")
    await dialog.get_by_label("Keywords").fill("deploy, Babbage's engine ")
    await dialog.get_by_label("Do not disturb").select_option("hour")
    await dialog.get_by_label("Keep quiet hours").check()
    for label, value in (("From", "21:30"), ("Until", "06:15"), ("Time zone", "Europe/Berlin")):
        await dialog.get_by_label(label, exact=True).fill(value)
    for day in ("Sat", "Sun"):
        await dialog.get_by_label(day).uncheck()
    await dialog.get_by_label("By mail").select_option("daily")
    await dialog.get_by_label("Show names and text").check()
    await is_open_to_all(seen)
    await dialog.get_by_role("button", name="Save").click()
    await expect(seen.page.get_by_text("Saved.")).to_be_visible()
    async with seen.answered("PUT", "/users/me/notifications"):
        await dialog.get_by_label("Engines").select_option("none")
    kept = await ada.ask("GET", "/users/me/notifications", 200)
    assert kept.pop("dnd_until") is not None
    assert kept == {
        "default": "all", "rooms": {room_id: "none"}, "keywords": ["deploy", "Babbage's engine"], "email": "daily",
        "content": "shown",
        "quiet": {"from": "21:30", "to": "06:15", "time_zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"]},
    }  # fmt: skip
    await seen.page.keyboard.press("Escape")
    dialog = await open_settings(seen, "Notification settings")
    await expect(dialog.get_by_label("From", exact=True)).to_have_value("21:30")
    await expect(dialog.get_by_label("Sun")).not_to_be_checked()
    await expect(dialog.get_by_label("Engines")).to_have_value("none")
    await dialog.get_by_label("Do not disturb").select_option("off")
    await dialog.get_by_label("Keep quiet hours").uncheck()
    async with seen.answered("PUT", "/users/me/notifications"):
        await dialog.get_by_label("Engines").select_option("default")
    async with seen.answered("PUT", "/users/me/notifications"):
        await dialog.get_by_role("button", name="Save").click()
    kept = await ada.ask("GET", "/users/me/notifications", 200)
    assert (kept["rooms"], kept["dnd_until"], kept["quiet"]) == ({}, None, None)


async def _rooms_at_once(seen: Window, ada: Person, *room_ids: str) -> None:
    """Assert that rooms' levels are kept though the next is chosen while the one before is on its way."""
    may_go_on, kept = asyncio.Event(), asyncio.Queue[int]()

    async def slow(route: Route) -> None:
        if route.request.method == "PUT":
            await may_go_on.wait()
        answer = await route.fetch()
        await route.fulfill(response=answer)
        if route.request.method == "PUT":
            kept.put_nowait(answer.status)

    await seen.page.route("**/users/me/notifications", slow)
    dialog = seen.page.get_by_role("dialog")
    for name in ("Engines", "Looms"):
        await dialog.get_by_label(name).select_option("none")
        await seen.page.evaluate("fetch('/api/v1/users/me/notifications').then(() => null)")
    may_go_on.set()
    assert [await kept.get() for _ in room_ids] == [HTTPStatus.OK] * len(room_ids)
    assert (await ada.ask("GET", "/users/me/notifications", 200))["rooms"] == dict.fromkeys(room_ids, "none")
    await seen.page.unroute("**/users/me/notifications")


async def _pushed(seen: Window, service: Any, device: Any, room_id: str) -> None:
    """Assert that the browser is subscribed, and that its worker shows what it is pushed."""
    dialog = seen.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Tell me on this device").click()
    await expect(dialog.get_by_text("This device")).to_be_visible()
    await dialog.get_by_role("button", name="Try it").click()
    await expect(seen.page.get_by_text("Sent. It appears in a moment.")).to_be_visible()
    assert [each.said["kind"] for each in device.received] == ["test"]
    await is_open_to_all(seen)

    wire = await seen.context.new_cdp_session(seen.page)
    registration = await _registration(wire)
    hidden = {"kind": "mention", "count": 1, "room_id": room_id}
    several = {"kind": "direct", "count": 3}
    shown = {
        "kind": "direct",
        "count": 1,
        "room_id": "r",
        "room_name": "Engines",
        "actor_name": "ben",
        "text": "Ten tons",
    }
    origin = await seen.page.evaluate("location.origin")
    for notice, said in (
        (hidden, ["Hansard", "You were mentioned", room_id]),
        (several, ["Hansard", "3 new notifications", "direct"]),
        (shown, ["Engines", "ben: Ten tons", "r"]),
    ):
        pushed = {"origin": origin, "registrationId": registration, "data": json.dumps(notice)}
        await wire.send("ServiceWorker.deliverPushMessage", pushed)
        await seen.page.wait_for_function(NOTED, arg=said)
    await dialog.get_by_role("button", name="Turn off").click()
    await expect(dialog.get_by_role("button", name="Tell me on this device")).to_be_visible()


async def _registration(wire: CDPSession) -> str:
    """Return the browser's name of the page's worker, once it runs."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(said: Any) -> None:
        for each in said["registrations"]:
            if not (found.done() or each["isDeleted"]):
                found.set_result(each["registrationId"])

    wire.on("ServiceWorker.workerRegistrationUpdated", hear)
    await wire.send("ServiceWorker.enable")
    return await found


async def _blocked(seen: Window, ada: Person, ben: Person, room_id: str) -> None:
    """Assert that somebody is blocked where one meets them, though their name is known late, and let go in the list."""
    are_drawn = asyncio.Event()

    async def name_late(route: Route) -> None:
        await are_drawn.wait()
        await route.continue_()

    await seen.page.route("**/api/v1/users?*", name_late)
    await seen.page.reload()
    await seen.page.get_by_role("link", name="Engines").click()
    await seen.page.locator(".room-head .chip").click()
    await expect(seen.page.locator(".members li")).to_have_count(2)
    are_drawn.set()
    await seen.page.get_by_role("button", name="Block ben").click()
    await seen.page.get_by_role("dialog").get_by_role("button", name="Block", exact=True).click()
    await expect(seen.page.get_by_text("ben is blocked.")).to_be_visible()
    assert (await ada.ask("GET", "/users/me/blocks", 200))["items"] == [{"user_id": ben.id}]
    dialog = await open_settings(seen, "Blocked people")
    await is_open_to_all(seen)
    await dialog.get_by_role("button", name="Unblock ben").click()
    await expect(dialog.get_by_text("You have blocked nobody.")).to_be_visible()
    await dialog.get_by_label("Name").fill("ben")
    await dialog.get_by_role("button", name="Block", exact=True).click()
    await expect(dialog.get_by_role("listitem").filter(has_text="ben")).to_be_visible()
