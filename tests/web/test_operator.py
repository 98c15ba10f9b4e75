"""The operator's view in a real browser: administrators see how the deployment does, and watch a rebuild that they start."""

from uuid import UUID

from playwright.async_api import expect

from commands.account import GrantRole
from domain.events import Caller
from domain.ids import UserId
from projections import PROJECTIONS
from tests.deployments import PASSWORD, running
from tests.gateway.test_operating import rebuilding
from tests.web.axe import AXE, faults
from tests.web.browser import chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import house

pytestmark = IN_CHROMIUM

# Whether the page counts as looked at; a browser without a window never hides one by itself.
TURN = """(isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_an_administrator_watches_the_deployment_and_a_rebuild(database_url: str, redis_url: str) -> None:
    async with (
        house(database_url, redis_url) as hansard,
        rebuilding(database_url, redis_url) as rebuilds,
        chromium() as browser,
    ):
        eve, ada = [await hansard.person(name) for name in ("eve", "ada")]
        await ada.say(await ada.room(eve, name="Engines"), "hello")
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "admin"), Caller())

        seen = await window(browser)
        await seen.page.clock.install()
        async with seen.page.expect_response("**/users/me/roles"):
            await seen.enter(hansard.base, "eve", PASSWORD, is_new=False)
        await expect(seen.page.get_by_role("link", name="Engines")).to_be_visible()
        await expect(seen.page.get_by_role("link", name="Operations")).to_have_count(0)
        await seen.page.goto(f"{hansard.base}/#operator")
        await expect(seen.page.get_by_text("needs a role that you do not have")).to_be_visible()

        await seen.context.clear_cookies()
        await seen.page.reload()
        await seen.enter(hansard.base, "ada", PASSWORD, is_new=False)
        await seen.page.get_by_role("link", name="Operations").click()
        view = seen.page.locator("hansard-operator")
        await expect(view.get_by_role("rowheader")).to_have_count(len(PROJECTIONS))
        await expect(view.get_by_text("Live", exact=True)).to_be_visible()
        head = (await hansard.services.record.head()).position
        await expect(view.get_by_text(f"at position {head}")).to_be_visible()
        row = view.get_by_role("row", name="live", exact=False).first
        await expect(row).to_contain_text("served")
        events = view.get_by_role("img", name="Events per second")
        await expect(events).to_have_accessible_name("Events per second")  # one answer makes no rate yet
        async with seen.page.expect_response("**/admin/stats"):
            await seen.page.clock.run_for(3000)
        await expect(events).to_have_accessible_name("Events per second: 0, most 0")

        # Nobody looks: nothing is asked, however long that takes.
        asked: list[str] = []
        seen.page.on("request", lambda request: asked.append(request.url))
        await seen.page.evaluate(TURN, True)
        await seen.page.clock.run_for(30_000)
        assert not any("/admin/stats" in url for url in asked)
        async with seen.page.expect_response("**/admin/stats"):
            await seen.page.evaluate(TURN, False)

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
        if AXE.exists():
            for theme in ("light", "dark"):
                await seen.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                assert await faults(seen) == [], theme
        await seen.page.get_by_role("link", name="Engines").click()
        await expect(view).to_have_count(0)
        await expect(seen.page.get_by_role("heading", name="Engines")).to_be_visible()
        await seen.whole()
