"""The page as it is deployed: by compose.yaml's own commands and settings, and before two gateways that share a port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aioboto3
import asyncpg
import psutil
from playwright.async_api import expect

from runtime.groups import LOGINS, login
from runtime.settings_reader import read
from tests.blobs.stores import moto
from tests.conftest import Servers
from tests.deployments import LOGIN_PASSWORD, PASSWORD, as_login, until
from tests.ports import free_port
from tests.runtime.composed import ROOT, Composed, published, services
from tests.runtime.test_up import System, of_port, system
from tests.web.browser import Window, chromium, window
from tests.web.chromium import IN_CHROMIUM

pytestmark = IN_CHROMIUM


async def hears(seen: Window, text: str) -> None:
    await expect(seen.page.locator("hansard-timeline .message", has_text=text)).to_be_visible()


def listening(hansard: System) -> list[psutil.Process]:
    """The gateways that share the port, and serve."""
    found = [process for process in hansard.family() if process.cmdline()[-1:] == ["gateway"]]
    return [process for process in found if of_port(process, hansard.port, psutil.CONN_LISTEN)]


async def test_two_gateways_behind_one_port_are_one_to_the_page(tmp_path: Path) -> None:
    """Each is killed in turn: so each goes on with sessions, cookies and rooms that began at the other."""
    async with system(tmp_path, HANSARD_GATEWAYS="2", HANSARD_LIMITS="off") as hansard, chromium() as browser:

        async def both_serve() -> bool:
            return len(listening(hansard)) == 2

        await until(both_serve, 60)
        gateways = listening(hansard)
        ada, ben = [await window(browser) for _ in range(2)]
        await ada.enter(hansard.base, "ada", PASSWORD)
        await ben.enter(hansard.base, "ben", PASSWORD)
        room_id = await ada.open_room("Engines")
        await ben.page.goto(f"{hansard.base}/#{room_id}")
        await ben.page.get_by_role("button", name="Join room").click()
        for number, gateway in enumerate(gateways):
            await until(both_serve, 60)
            gateway.kill()
            await ada.write(f"said to {number}")
            await hears(ben, f"said to {number}")
            await ben.page.reload()  # by the cookie, at whichever answers
            await hears(ben, f"said to {number}")
            await ben.write(f"answered to {number}")
            await hears(ada, f"answered to {number}")
        assert not {process.pid for process in gateways} & {process.pid for process in listening(hansard)}
        for seen in (ada, ben):
            assert await seen.page.evaluate("window.violations") == []


@asynccontextmanager
async def composed(servers: Servers, folder: Path, port: int) -> AsyncIterator[Composed]:
    """What compose.yaml describes, with this machine's Postgres, Valkey and a store of blobs in place of its images."""
    name = f"composed_{uuid4().hex}"
    owner = await asyncpg.connect(servers.database("postgres"))
    await owner.execute(f'CREATE DATABASE "{name}"')
    url = servers.database(name)
    with moto() as blobs:
        session = aioboto3.Session("hansard", "hansard-hansard", region_name="us-east-1")
        async with session.client("s3", endpoint_url=blobs) as client:
            await client.create_bucket(Bucket=services()["blobs"]["environment"]["S3_BUCKET"])
        places = {
            "postgresql://hansard:hansard@db:5432/hansard": url,
            **{
                f"postgresql://{login(kind).name}:{LOGIN_PASSWORD}@db:5432/hansard": as_login(url, kind)
                for kind in LOGINS
            },
            "redis://redis:6379/0": servers.redis_url,
            "http://blobs:8333": blobs,
            "/var/lib/hansard": str(folder),
            "0.0.0.0": "127.0.0.1",
            ":8000": f":{port}",
        }
        made = Composed(places)
        try:
            yield made
        finally:
            await made.stop()
            await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            await owner.close()


async def test_the_page_of_compose_yaml_is_there_and_chats(servers: Servers, tmp_path: Path) -> None:
    address, _, inner = published(services()["api"])
    image = (ROOT / "Dockerfile").read_text()
    assert (address, inner) == ("127.0.0.1", read({}).port)
    assert f"\nEXPOSE {inner}\n" in image and "\nCOPY web web\n" in image
    port = free_port()
    async with composed(servers, tmp_path, port) as made, chromium() as browser:
        for once in ("keys", "migrate"):
            assert await (await made.start(once)).wait() == 0, once
        for beside in ("projector", "worker"):
            await made.start(beside)
        api = await made.start("api", HANSARD_PORT=str(port))

        async def is_healthy() -> bool:
            assert api.returncode is None
            return await made.is_healthy("api")

        await until(is_healthy, 60)
        ada = await window(browser)
        await ada.enter(f"http://{address}:{port}", "ada", PASSWORD)
        await ada.open_room("Engines")
        await ada.write("composed")
        await hears(ada, "composed")
        await expect(ada.page.locator(".message.sending")).to_have_count(0)
        await ada.page.reload()
        await hears(ada, "composed")
        await ada.whole()
