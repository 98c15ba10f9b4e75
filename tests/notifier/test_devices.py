"""From a message to a device: a gateway, the notifier as a process with its own log-in, and a push service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from projections import NOTIFICATIONS
from tests.channels.push_service import LOOPBACK, Answering, PushService, push_service
from tests.channels.test_push_subscriptions import subscribed
from tests.deployments import MASTER, VAPID, Gateway, as_login, deployment, until
from tests.notifier.test_processes import run
from workers.rebuild import Rebuild


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service(VAPID.public_key) as made:
        yield made


@pytest.fixture
async def hansard(service: PushService, database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url, requests=service.client()) as made:
        yield made


async def rebuilt(database_url: str) -> None:
    """Make every inbox anew, and have it served."""
    operator = await Database.open(as_login(database_url, "operator"), size=4)
    record = PostgresRecord(operator, Vault(operator, MASTER), now=now, chance=bytes)
    verdicts = await Rebuild(NOTIFICATIONS, record, operator, progress=lambda progress: None).run(swap=True)
    assert verdicts and all(verdict.is_equal for verdict in verdicts)
    await operator.close()


async def test_what_a_killed_notifier_was_telling_is_told_by_nobody_again(
    hansard: Gateway, service: PushService, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """`kill -9` while the push service has the notice and has not answered: whether it was told is unknown, and stays so."""
    ada, ben, device = await hansard.person(), await hansard.person(), service.device()
    room_id = await ada.room(ben)
    await ben.ask("PUT", "/users/me/notifications", 200, json={"content": "shown"})
    await subscribed(ben, device)
    (tmp_path / "authority.pem").write_bytes(service.authority)
    environment = {"SSL_CERT_FILE": str(tmp_path / "authority.pem"), "HANSARD_PUSH_NETWORKS": LOOPBACK}
    root = await ada.say(room_id, "a root")

    def texts() -> list[str]:
        return [str(each.said.get("text")) for each in device.received if each.said["kind"] != "invitation"]

    async def is_told(text: str) -> bool:
        return text in texts()

    async def is_invited() -> bool:
        return any(each.said["kind"] == "invitation" for each in device.received)

    process = await run(database_url, redis_url, tmp_path, "notifier", **environment)
    try:
        await ada.say(room_id, f"@{ben.username} one", thread_id=root["id"])
        await until(lambda: is_told(f"@{ben.username} one"), seconds=30)
        await until(is_invited, seconds=30)  # what is told at once may arrive in any order: this one is not to hang
        requests, service.answers = service.requests, [Answering(how="hang")]
        await ada.say(room_id, f"@{ben.username} two")

        async def is_asked() -> bool:
            return service.requests > requests

        await until(is_asked, seconds=30)
        process.kill()
        await process.wait()
        process = await run(database_url, redis_url, tmp_path, "notifier", **environment)
        await ada.say(room_id, f"@{ben.username} three")
        await until(lambda: is_told(f"@{ben.username} three"), seconds=30)
    finally:
        process.kill()
        await process.communicate()
    assert texts() == [f"@{ben.username} one", f"@{ben.username} three"] and service.faults == []
    assert service.requests == len(device.received) + 1, "the one that hung"
    assert [each.said.get("thread_id") for each in device.received if each.said.get("text") in texts()] == [
        root["id"],
        None,
    ]


async def test_a_mention_is_pushed_to_a_device_once_whatever_is_rebuilt(
    hansard: Gateway, service: PushService, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    ada, ben, device = await hansard.person(), await hansard.person(), service.device()
    room_id = await ada.room(ben)
    await ben.ask("PUT", "/users/me/notifications", 200, json={"content": "shown"})
    made = await subscribed(ben, device)
    (tmp_path / "authority.pem").write_bytes(service.authority)
    process = await run(
        database_url, redis_url, tmp_path, "notifier",
        SSL_CERT_FILE=str(tmp_path / "authority.pem"), HANSARD_PUSH_NETWORKS=LOOPBACK,
    )  # fmt: skip
    said = [await ada.say(room_id, f"@{ben.username} one")]

    async def told() -> bool:
        positions = {each.said["position"] for each in device.received}
        return said[-1]["position"] in positions and not service.faults

    try:
        await until(told, seconds=30)
        await rebuilt(database_url)
        said.append(await ada.say(room_id, f"@{ben.username} two"))
        await until(told, seconds=30)
        await ben.ask("PUT", "/users/me/notifications", 200, json={"content": "hidden"})
        said.append(await ada.say(room_id, f"@{ben.username} three"))
        await until(told, seconds=30)
    finally:
        process.terminate()
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    notices = [each.said for each in device.received if each.said["kind"] == "mention"]
    assert [(each["position"], each["count"], each["message_id"]) for each in notices] == [
        (each["position"], 1, each["id"]) for each in said
    ]
    assert [each.get("text") for each in notices] == [f"@{ben.username} one", f"@{ben.username} two", None]
    assert (
        [each.said["kind"] for each in device.received].count("invitation") == 1 == len(device.received) - len(notices)
    )
    assert service.faults == [] and ben.username not in output and made["id"] not in output
