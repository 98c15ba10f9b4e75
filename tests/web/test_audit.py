"""The audit console in a real browser: who changed what, from where and why; proofs that the browser judges for itself."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from uuid import UUID

from playwright.async_api import Locator, Route, expect

from commands.account import GrantRole
from domain.account import AccountRole
from domain.approval import FourEyes
from domain.events import Caller
from domain.ids import UserId
from tests.deployments import PASSWORD, Gateway, Person, notary, running
from tests.exports.deployments import export_worker
from tests.web.axe import AXE, faults
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import house

pytestmark = IN_CHROMIUM

WHY = "complaint 17"
# A key of somebody else's: that of the examples in docs/record-format.md.
OTHER_KEY = "hansard/018f0000-0000-7000-8000-000000000000+142e0fb9+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"


async def with_role(hansard: Gateway, name: str, role: AccountRole) -> Person:
    """Somebody to whom an operator gave a role."""
    person = await hansard.person(name)
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(person.id)), role), Caller())
    return person


@asynccontextmanager
async def auditing(
    hansard: Gateway, database_url: str, role: AccountRole = "auditor", *, name: str = "ada"
) -> AsyncIterator[None]:
    """Somebody has a role, and there is a notary, which needs something to sign."""
    await with_role(hansard, name, role)
    async with notary(database_url):
        yield


async def open_console(seen: Window, view: str = "") -> None:
    """Open the console as a person does, and say why."""
    await seen.page.get_by_role("link", name="Audit console").click()
    await seen.page.get_by_label("Reason").fill(WHY)
    await seen.page.get_by_role("button", name="Open", exact=True).click()
    await expect(seen.page.locator(".reason")).to_contain_text(WHY)
    if view:
        await seen.page.get_by_role("link", name=view, exact=True).click()


async def find(seen: Window, **wanted: str) -> Locator:
    """Ask the record, and return the entries that are shown."""
    for label, name in (("Who did it", "who"), ("Type of event", "type")):
        await seen.page.get_by_label(label, exact=True).fill(wanted.get(name, ""))
    async with seen.answered("GET", "/audit/events", **{name: wanted[name] for name in ("type",) if name in wanted}):
        await seen.page.get_by_role("button", name="Show", exact=True).click()
    return seen.page.locator(".events > li")


async def verdict(seen: Window) -> str:
    """Prove the entry that stands open, and return what the page says of it."""
    await seen.page.get_by_role("button", name="Prove this entry").click()
    said = await seen.page.locator(".verdict").text_content()
    await _is_open_to_all(seen)
    await seen.page.keyboard.press("Escape")
    return said or ""


async def test_an_auditor_sees_who_changed_what_and_proves_it(database_url: str, redis_url: str) -> None:
    async with house(database_url, redis_url) as hansard, auditing(hansard, database_url), chromium() as browser:
        ben = await hansard.person("ben")
        room_id = (await ben.ask("POST", "/rooms", 201, json={"name": "Engines"}))["id"]
        said = await ben.say(room_id, "Ten tons of coal")
        change = {"json": {"content": "Two tons of coal"}, "headers": {"Hansard-Reason": "a slip"}}
        await ben.ask("PATCH", f"/messages/{said['id']}", 200, **change)

        his = await window(browser)
        await his.enter(hansard.base, "ben", PASSWORD, is_new=False)
        await his.page.goto(f"{hansard.base}/#{room_id}")
        shown = his.page.locator(".message", has_text="Two tons")
        await shown.hover()
        await shown.get_by_role("button", name="Prove this message").click()
        await expect(his.page.locator(".verdict")).to_have_text(
            f"Entry #{said['position']} stands in the signed record."
        )
        await expect(his.page.locator(".checks")).to_contain_text("for the first time")
        await expect(his.page.get_by_role("link", name="Audit console")).to_be_hidden()

        seen = await window(browser)
        await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
        await open_console(seen)
        entries = await find(seen, who="ben", type="message.edited")
        await expect(entries).to_have_count(1)
        await entries.locator("summary").click()
        await expect(entries.locator("del")).to_have_text("Ten tons of coal")
        await expect(entries.locator("ins")).to_have_text("Two tons of coal")
        for each in ("ben", "127.0.0.1", "a slip", "message.edited"):
            await expect(entries).to_contain_text(each)
        assert "stands in the signed record" in await verdict(seen)
        await _is_open_to_all(seen)
        await _lied_to(seen)

        await seen.page.get_by_role("link", name="Time travel").click()
        await _travelled(seen, said["position"])
        await seen.page.get_by_role("link", name="The record").click()
        await expect(seen.page.locator("hansard-audit-record")).to_be_visible()
        looks = await find(seen, who="ada", type="audit.read")
        await expect(looks.first.locator("q")).to_have_text(WHY)
        for one in (his, seen):
            await one.whole()


async def test_a_records_manager_keeps_agrees_and_hands_out(database_url: str, redis_url: str) -> None:
    on = FourEyes(frozenset({"export"}))
    async with (
        house(database_url, redis_url, four_eyes=on) as hansard,
        auditing(hansard, database_url, "records_manager"),
        chromium() as browser,
    ):
        cleo = await with_role(hansard, "cleo", "auditor")
        room_id = (await cleo.ask("POST", "/rooms", 201, json={"name": "Engines"}))["id"]
        await cleo.say(room_id, "Ten tons of coal")
        asked, _ = [
            await cleo.ask("POST", "/audit/exports", 202, json={"formats": ["jsonl"]}, headers={"Hansard-Reason": each})
            for each in ("matter 17", "matter 18")
        ]

        seen = await window(browser)
        page = seen.page
        await seen.turn_pages("/approvals", "/audit/exports", "/legal-holds", "/retention/rooms")
        await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
        await open_console(seen, "Legal holds")
        await _held(seen)
        await _set_policies(seen)

        await page.get_by_role("link", name="Approvals").click()
        waiting = page.locator("li.card", has_text="An export")
        await expect(waiting).to_have_count(1)
        await _show_more(seen, waiting, 2)
        await _is_open_to_all(seen)
        await waiting.filter(has_text="matter 17").get_by_role("button", name="Approve").click()
        await page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        await expect(waiting).to_have_count(1)
        await waiting.filter(has_text="matter 18").get_by_role("button", name="Refuse").click()
        await page.get_by_role("dialog").get_by_role("button", name="Refuse").click()
        await expect(page.get_by_text("Nothing waits for a decision.")).to_be_visible()
        await page.get_by_role("combobox", name="Show").select_option("refused")
        for each in ("matter 18", "refused", "Decided by", "ada", WHY):
            await expect(waiting).to_contain_text(each)

        async with export_worker(database_url, redis_url, hansard.services.blobs) as exports:
            await exports.dispatch()
            await page.get_by_role("link", name="Exports").click()
            shown = page.locator("li.card")
            await expect(shown).to_contain_text("Nobody else approved it.")
            await _show_more(seen, shown, 2)
            await expect(shown.last).to_contain_text("queued")
            await expect(shown.last.get_by_role("progressbar")).to_be_visible()
            await _is_open_to_all(seen)
            await shown.last.get_by_role("button", name="Cancel").focus()
            async with seen.answered("GET", "/audit/exports"):  # it looks again, and nobody loses their place
                pass
            await expect(shown.last.get_by_role("button", name="Cancel")).to_be_focused()
            async with running(exports.run()), page.expect_download() as handed:
                await page.get_by_role("button", name="Download the package").click()
        package = await (await handed.value).path()
        made = await cleo.ask("GET", f"/audit/exports/{asked['id']}", 200, headers={"Hansard-Reason": "matter 17"})
        assert sha256(package.read_bytes()).hexdigest() == made["sha256"]

        problem = {"code": "server.fault", "title": "Fault", "status": 500, "detail": "It went wrong here."}
        await page.route("**/legal-holds?*", lambda route: route.fulfill(status=500, json=problem))
        await page.get_by_role("link", name="Legal holds").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.unroute("**/legal-holds?*")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator("li.card", has_text="Coal & Co").first).to_be_visible()
        await seen.whole()


async def _show_more(seen: Window, items: Locator, count: int) -> None:
    """Press "Show more" by the keyboard until so many are shown, and assert that one is still there then, and there are no more."""
    more = seen.page.get_by_role("button", name="Show more")
    while await items.count() < count:
        before = await items.count()
        await more.focus()
        await seen.page.keyboard.press("Enter")
        await expect(items).to_have_count(before + 1)
    await expect(more).to_have_count(0)
    assert await seen.page.evaluate("document.activeElement.closest('.pages') !== null")


async def _held(seen: Window) -> None:
    page = seen.page
    await expect(page.get_by_text("There are no holds.")).to_be_visible()
    await page.locator("summary", has_text="Place a hold").click()
    holds = page.locator("li.card", has_text="Coal & Co")
    for each in ("first", "second"):
        await page.get_by_label("Name of the hold").fill(f"Coal & Co, {each}")
        await page.get_by_label("Persons").fill("nobody-at-all")
        await page.locator("form").get_by_role("button", name="Place a hold").click()
        await expect(page.get_by_role("alert")).to_contain_text("Nobody")
        await page.get_by_label("Persons").fill("cleo")
        await page.locator("form").get_by_role("button", name="Place a hold").click()
        await expect(holds).to_have_count(1)
    await _show_more(seen, holds, 2)
    hold = holds.filter(has_text="first")
    await expect(hold).to_contain_text("active")
    await expect(hold).to_contain_text("cleo")
    await _is_open_to_all(seen)
    await hold.get_by_role("button", name="Release").click()
    await page.get_by_role("dialog").get_by_role("button", name="Release").click()
    await expect(hold).to_contain_text("released")


async def _set_policies(seen: Window) -> None:
    """Assert that a policy is set for a room once it was counted what it would destroy, and that it can be removed."""
    page = seen.page
    await page.get_by_role("link", name="Retention").click()
    room_named = page.locator("hansard-audit-retention").get_by_label("Room")
    set_one = page.get_by_role("button", name="Set a policy")
    await page.get_by_label("Days at least").fill("3")
    await page.get_by_label("Days at most").fill("1")
    await page.get_by_role("button", name="Count").click()
    await expect(page.get_by_role("alert")).to_contain_text("cannot be disposed of before")
    await expect(set_one).to_have_count(0)
    await page.get_by_label("Days at least").fill("")
    await page.get_by_role("button", name="Count").click()
    await expect(page.get_by_text("This would be destroyed at")).to_be_visible()
    await _is_open_to_all(seen)
    await room_named.fill("Engines")  # what was counted was of something else
    await expect(set_one).to_have_count(0)
    policies = page.locator("li.card")
    await expect(policies).to_have_count(1)
    await expect(policies).to_contain_text("All rooms without a policy of their own")
    await _sets_what_the_form_shows(seen, set_one)
    for days, room in (("30", "Engines"), ("400", "")):
        await page.get_by_label("Days at most").fill(days)
        await room_named.fill(room)
        await page.get_by_role("button", name="Count").click()
        await set_one.click()
        await expect(page.get_by_role("dialog")).to_contain_text(f"(days at least: no bound, days at most: {days})")
        await expect(page.get_by_role("dialog")).to_contain_text(WHY)
        await page.get_by_role("dialog").get_by_role("button", name="Set a policy").click()
        await expect(page.get_by_role("status").get_by_text("The policy is set").last).to_be_visible()
        await expect(policies.filter(has_text=_of_days(days))).to_contain_text("Destroys from")
        await expect(room_named).to_be_focused()
    own = policies.filter(has_text=_of_days("30")).get_by_role("button", name="Remove the policy")
    await own.click()
    await expect(page.get_by_role("dialog")).to_contain_text("days at most: 400). It would destroy 0 messages now")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.locator("dialog")).to_have_count(0)
    await policies.filter(has_text=_of_days("400")).get_by_role("button", name="Remove the policy").click()
    await expect(page.get_by_role("dialog")).to_contain_text("kept for ever then")
    await page.get_by_role("dialog").get_by_role("button", name="Remove the policy").click()
    await expect(policies.filter(has_text=_of_days("400"))).to_have_count(0)
    await expect(policies).to_have_count(2)
    await own.click()
    await expect(page.get_by_role("dialog")).to_contain_text("days at most: no bound); it destroys nothing")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.locator("dialog")).to_have_count(0)
    await _is_open_to_all(seen)


def _of_days(days: str) -> re.Pattern[str]:
    """Return what only the card of this policy says: its time of day may have the same digits."""
    return re.compile(rf"Days at most\s*{days}(?!\d)")


async def _sets_what_the_form_shows(seen: Window, set_one: Locator) -> None:
    """Assert that what is counted while the form is changed cannot be set, and that it is said what is, and if there is more."""
    page, is_reached, may_go_on = seen.page, asyncio.Event(), asyncio.Event()

    async def in_part(route: Route) -> None:
        is_reached.set()
        await may_go_on.wait()
        answer = await route.fetch()
        body = await answer.json()
        body["dry_run"]["is_complete"] = False
        await route.fulfill(response=answer, json=body)

    await page.route(re.compile("dry_run=true"), in_part)
    count, days = page.get_by_role("button", name="Count"), page.get_by_label("Days at most")
    await days.fill("7")
    await count.click()
    await is_reached.wait()
    await days.fill("9")
    may_go_on.set()
    await expect(count).to_be_enabled()
    await expect(set_one).to_have_count(0)
    await count.click()
    await set_one.click()
    await expect(page.get_by_role("dialog")).to_contain_text("days at most: 9)? It would destroy > 0 messages")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await expect(page.locator("dialog")).to_have_count(0)
    await page.unroute(re.compile("dry_run=true"))


async def _is_open_to_all(seen: Window) -> None:
    if AXE.exists():
        assert await faults(seen) == []


async def _travelled(seen: Window, position: int) -> None:
    """Assert that a room is shown as it was, by the slider's keys."""
    await seen.page.locator("hansard-audit-past").get_by_label("Room", exact=True).fill("Engines")
    await seen.page.get_by_role("button", name="Open", exact=True).click()
    slider, text = seen.page.get_by_label("Position"), seen.page.locator(".then .text")
    await expect(text).to_have_text("Two tons of coal")
    while f"#{position}," not in await seen.page.locator(".stop").inner_text():
        await slider.press("ArrowLeft")
    await expect(text).to_have_text("Ten tons of coal")
    await expect(seen.page.get_by_role("heading", name="Engines")).to_be_visible()
    await _is_open_to_all(seen)
    await slider.press("Home")
    await expect(seen.page.get_by_text("Nothing was said yet.")).to_be_visible()


async def _lied_to(seen: Window) -> None:
    """Assert that nothing is proven when a hash of the path is another, the signature is, or the key."""

    async def other_hash(route: Route) -> None:
        answer = await route.fetch()
        proof = await answer.json()
        proof["hashes"][0] = proof["leaf_hash"]
        await route.fulfill(response=answer, json=proof)

    async def other_signature(route: Route) -> None:
        answer = await route.fetch()
        text, _, line = (await answer.text()).rpartition(" ")
        await route.fulfill(response=answer, body=f"{text} {line[:40]}{'A' if line[40] != 'A' else 'B'}{line[41:]}")

    for path, lie in (("**/proofs/inclusion*", other_hash), ("**/audit/checkpoint", other_signature)):
        await seen.page.route(path, lie)
        assert await verdict(seen) == "This is not proven.", path
        await seen.page.unroute(path)
    kept = json.dumps({"vkey": OTHER_KEY, "since": "2026-11-01T00:00:00Z"})
    await seen.page.evaluate(f"localStorage.setItem('hansard-record-key', '{kept}')")
    await seen.page.get_by_role("button", name="Prove this entry").click()
    await expect(seen.page.locator(".checks")).to_contain_text("It is another key than the one kept since")
    await seen.page.get_by_role("button", name="Keep this key from now on").click()
    await seen.page.keyboard.press("Escape")
    assert "stands in the signed record" in await verdict(seen)
