"""The address of a server: a page for browsers, and what it was for everybody else. And whether it may be sent requests."""

import asyncpg
import pytest

from runtime.migrate import migrations
from tests.deployments import deployment

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("schema_on", [True, False])
async def test_a_browser_is_told_what_this_is_and_a_machine_what_it_was(
    database_url: str, redis_url: str, schema_on: bool
) -> None:
    async with deployment(database_url, redis_url, schema_on=schema_on) as hansard, hansard.client() as http:
        page = await http.get(f"{hansard.base}/", headers={"Accept": BROWSER})
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "Hansard" in page.text and "<script" not in page.text
        assert ("href=/schema/openapi.json" in page.text) is schema_on
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
        assert (await http.head(f"{hansard.base}/", headers={"Accept": BROWSER})).status_code == 200
        ada = await hansard.person()
        for accept in ("*/*", "application/json", "text/html;q=0", "text/*"):
            answer = await http.get(f"{hansard.base}/", headers={"Accept": accept})
            assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_invalid"), accept
            answer = await ada.http.get(f"{hansard.base}/", headers={"Accept": accept})
            assert (answer.status_code, answer.json()["code"]) == (404, "route.not_found"), accept
        answer = await http.get(f"{hansard.base}/rooms", headers={"Accept": BROWSER})
        assert answer.status_code == 401


async def test_a_server_is_not_ready_while_its_database_is_older_than_it(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, hansard.client() as http:
        ready = await http.get(f"{hansard.base}/readyz")
        assert (ready.status_code, ready.json()["migrations"]) == (200, "ok")
        newest = max(migration.number for migration in migrations())
        db = await asyncpg.connect(database_url)
        await db.execute("DELETE FROM public.hansard_migrations WHERE number = $1", newest)
        behind = await http.get(f"{hansard.base}/readyz")
        assert (behind.status_code, behind.json()["migrations"], behind.json()["status"]) == (
            503,
            "due: 1",
            "not ready",
        )
        # One that is newer than the server is what stands while servers are replaced.
        await db.execute("INSERT INTO public.hansard_migrations VALUES ($1, 'x', 'x'), ($1 + 1, 'x', 'x')", newest)
        await db.close()
        assert (await http.get(f"{hansard.base}/readyz")).status_code == 200
