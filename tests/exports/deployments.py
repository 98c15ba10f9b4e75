"""A deployment that exports: gateway, projector, notary, the saga of files, and a worker of exports, whose loop a test may run."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from adapters.postgres.export_source import ExportSource
from adapters.redis.task_queue import RedisTasks
from commands.account import GrantRole
from domain.approval import FourEyes
from domain.events import Caller
from domain.ids import UserId
from tests.deployments import MASTER, Gateway, Person, as_login, deployment, ledger, notary, running, until
from tests.files.deployments import ended as file_ended
from tests.files.deployments import worker as files_worker
from tests.files.deployments import working
from workers.exports.export_tasks import ExportWorker
from workers.exports.parts import PART_BYTES
from workers.notary import Notary

REASON = {"Hansard-Reason": "matter 17"}
ALL = ["jsonl", "csv", "eml", "slack", "rsmf"]


class Exporting(NamedTuple):
    hansard: Gateway
    worker: ExportWorker
    notary: Notary
    key: str
    source: ExportSource
    auditor: Person


@asynccontextmanager
async def export_worker(
    database_url: str, redis_url: str, blobs: Any, *, part_bytes: int = PART_BYTES, days: int = 7, block_ms: int = 50,
    claim_seconds: float = 15.0,
) -> AsyncIterator[ExportWorker]:  # fmt: skip
    """A worker's loop of exports, with its own log-in, not running."""
    async with ledger(database_url, size=4, kind="worker") as (db, record, command_bus):
        head = await record.head()
        tasks = RedisTasks.open(redis_url, head.record, uuid4().hex, block_ms=block_ms, claim_seconds=claim_seconds)
        source = await ExportSource.open(as_login(database_url, "worker"), MASTER)
        yield ExportWorker(
            tasks, head.record, command_bus, db, source, blobs, name=uuid4().hex, days=days, part_bytes=part_bytes,
            beat_seconds=0.2, tell_seconds=0.0,
        )  # fmt: skip
        await source.close()
        await tasks.close()


@asynccontextmanager
async def exporting(
    database_url: str,
    redis_url: str,
    *,
    four_eyes: FourEyes = FourEyes(),  # noqa: B008
    **options: Any,
) -> AsyncIterator[Exporting]:
    """All of it, the notary and the saga of files running; the auditor has the role."""
    async with deployment(database_url, redis_url, four_eyes=four_eyes) as hansard:
        auditor = await hansard.person("auditor")  # the notary waits for something to sign
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(auditor.id)), "auditor"), Caller())
        async with (
            files_worker(hansard, database_url, redis_url) as works,
            working(works),
            notary(database_url) as made,
            export_worker(database_url, redis_url, hansard.services.blobs, **options) as worker,
        ):
            key = made._key.verifier
            await made._store.tell_key(str(key), key.name)
            yield Exporting(hansard, worker, made, str(key), worker._source, auditor)


class Said(NamedTuple):
    """What was said in the scene, by name."""

    ada: Person
    ben: Person
    rooms: dict[str, str]
    messages: dict[str, str]
    file_id: str
    direct: str


async def talk(hansard: Gateway) -> Said:
    """Have people say something of everything that an export shows."""
    ada, ben, eve = await hansard.person("ada"), await hansard.person("ben"), await hansard.person("eve")
    public = await ada.room(ben, name="General, “quoted” <b>")
    private = await ada.room(ben, name="Ärger\u2009& Co", is_private=True)
    direct = await ada.ask("POST", "/direct", 201, json={"user_ids": [ben.id]})
    several = await ada.ask("POST", "/direct", 201, json={"user_ids": [ben.id, eve.id]})
    found: dict[str, str] = {}

    async def say(name: str, who: Person, room: str, content: str, **fields: Any) -> None:
        found[name] = (await who.say(room, content, **fields))["id"]

    await say("plain", ada, public, "hello & <welcome>")
    await say("formula", ben, public, '=HYPERLINK("http://evil")')
    await say("edited", ada, public, "first words")
    for words in ("second words", "third words"):
        await ada.ask("PATCH", f"/messages/{found['edited']}", 200, json={"content": words})
    await say("deleted", ben, public, "I never said this")
    headers = {"Hansard-Reason": "off topic"}
    await ada.ask("DELETE", f"/messages/{found['deleted']}", 200, headers=headers)
    await say("reply", ben, public, "in the thread", thread_id=found["plain"])
    await ben.ask("PUT", f"/messages/{found['plain']}/reactions/{quote('👍')}", 204)
    await ada.ask("PUT", f"/messages/{found['plain']}/reactions/{quote('🎉')}", 204)
    await ada.ask("DELETE", f"/messages/{found['plain']}/reactions/{quote('🎉')}", 204)
    uploaded = await ada.upload(b"the minutes of the meeting\n" * 40, "Prötokoll.txt")
    assert (await file_ended(ada, uploaded["id"]))["status"] == "completed"
    await say("file", ada, public, "see attached", message_type="file", file_id=uploaded["id"])
    await say("secret", ada, private, "between us")
    await say("direct", ben, direct["id"], "only you")
    await say("several", eve, several["id"], "us three")
    await ben.ask("POST", f"/rooms/{public}/leave", 204)
    rooms = {"public": public, "private": private, "direct": direct["id"], "several": several["id"]}
    return Said(ada, ben, rooms, found, uploaded["id"], direct["id"])


async def asked(scene: Exporting, **body: Any) -> dict[str, Any]:
    """Ask for an export."""
    body = {"formats": ["jsonl"], **body}
    found: dict[str, Any] = await scene.auditor.ask("POST", "/audit/exports", 202, json=body, headers=REASON)
    return found


async def ended(scene: Exporting, export_id: str, seconds: float = 60.0) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        found.update(await scene.auditor.ask("GET", f"/audit/exports/{export_id}", 200, headers=REASON))
        return found["status"] not in ("awaiting_approval", "queued", "running", "interrupted")

    await until(is_over, seconds)
    return found


async def fetched(scene: Exporting, export_id: str, **headers: str) -> httpx.Response:
    return await scene.auditor.http.get(f"/audit/exports/{export_id}/package", headers=REASON | headers)


async def exported(scene: Exporting, **body: Any) -> bytes:
    """Ask for an export, have it made, and fetch it."""
    export = await asked(scene, **body)
    async with running(scene.worker.run()):
        done = await ended(scene, export["id"])
    assert done["status"] == "completed", done
    answer = await fetched(scene, export["id"])
    assert answer.status_code == 200, answer.text
    return answer.content


def opened(package: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(package))
    assert archive.testzip() is None
    return archive


def lines(archive: zipfile.ZipFile, folder: str) -> list[Any]:
    """Return all lines of JSON of a folder, in the order of the archive."""
    names = [name for name in archive.namelist() if name.startswith(f"{folder}/")]
    return [json.loads(line) for name in names for line in archive.read(name).splitlines()]
