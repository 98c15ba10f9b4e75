"""Exports as operations: who may, what is recorded, cancelling, ranges, bounds, expiry, sealing, and workers that die."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pyrage
import pysequoia
import pytest

from adapters.blobs.folder import FolderBlobs
from adapters.clock import now
from adapters.postgres.blob_leases import BlobLeases
from adapters.sealing import SealingError
from commands.account import GrantRole
from commands.export import CancelExport
from domain.approval import SUBJECTS, FourEyes, approval_key
from domain.events import Caller
from domain.ids import UserId
from gateway.routes import export as routes
from projections import exports
from tests.deployments import PASSWORD, deployment, ledger, notary, running, until
from tests.exports.deployments import (
    ALL,
    REASON,
    Exporting,
    asked,
    ended,
    export_worker,
    exported,
    exporting,
    fetched,
    lines,
    opened,
)
from tests.files.deployments import ended as file_ended
from tests.gateway.test_proofs import run_verifier
from tests.retention.scenes import Clock, officer, put, retainer
from workers.erasing import Eraser, World
from workers.exports import gathering, maker, parts
from workers.exports.maker import Maker
from workers.exports.recalling import left, recall
from workers.files.sweeper import Sweeper

DESTROY = "UPDATE vault.data_keys SET wrapped = NULL WHERE subject = $1"


@pytest.fixture
async def scene(database_url: str, redis_url: str) -> AsyncIterator[Exporting]:
    async with exporting(database_url, redis_url, part_bytes=1) as made:
        yield made


async def topics(scene: Exporting, prefix: str) -> list[Any]:
    events = await scene.hansard.services.record.after(0, limit=10_000)
    return [recorded for recorded in events if recorded.event.topic.startswith(prefix)]


async def test_an_export_is_asked_for_with_a_role_and_a_reason_and_all_of_it_is_recorded(scene: Exporting) -> None:
    ada = await scene.hansard.person("ada")
    room = await ada.room()
    await ada.say(room, "hello")
    body = {"formats": ["jsonl"]}
    assert (await ada.ask("POST", "/audit/exports", 403, json=body, headers=REASON))["code"] == "auth.role_needed"
    assert (await scene.auditor.ask("POST", "/audit/exports", 422, json=body))["code"] == "reason.missing"
    export = await asked(scene, rooms=[room], actors=[ada.id])
    assert (export["status"], export["progress"], export["rooms"], export["formats"]) == (
        "queued",
        0.0,
        [room],
        ["jsonl"],
    )
    early = await fetched(scene, export["id"])
    assert (early.status_code, early.json()["code"]) == (409, "export.not_ready")
    async with running(scene.worker.run()):
        done = await ended(scene, export["id"])
    assert (done["status"], done["progress"], done["messages"], done["error"]) == ("completed", 1.0, 1, None)
    whole = await fetched(scene, export["id"])
    assert whole.headers["content-type"] == "application/zip" and len(whole.content) == done["size"]
    part = await fetched(scene, export["id"], Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (await ada.http.get(f"/audit/exports/{export['id']}/package", headers=REASON)).status_code == 403
    requested, completed = await topics(scene, "export.")
    assert (str(requested.event.requested_by), requested.meta.actor) == (
        scene.auditor.id,
        UserId(UUID(scene.auditor.id)),
    )
    assert (completed.event.sha256, completed.event.size_bytes) == (done["sha256"], done["size"])
    entry = await scene.auditor.ask("GET", f"/audit/events/{requested.position}", 200, headers=REASON)
    assert entry["reason"] == "matter 17"
    reads = [recorded.event.filter for recorded in await topics(scene, "audit.read")]
    assert f"/api/v1/audit/exports/{export['id']}/package" in reads


async def test_what_is_asked_for_wrongly_is_refused(scene: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(status: int, **body: Any) -> str:
        answer = await scene.auditor.ask("POST", "/audit/exports", status, json=body, headers=REASON)
        return str(answer["code"])

    await refused(422, formats=[])
    await refused(422, formats=["pdf"])
    await refused(422, formats=["jsonl"], to="2020-01-01T00:00:00Z")
    await refused(422, formats=["jsonl"], recipient="ssh-ed25519 AAAA")
    await refused(422, formats=["jsonl"], recipient=str(pyrage.x25519.Identity.generate()))
    monkeypatch.setattr(routes, "EXPORTS_AT_ONCE_MAX", 2)
    first, second = await asked(scene), await asked(scene)
    assert await refused(409, formats=["jsonl"]) == "export.too_many"
    cancelled = await scene.auditor.ask("POST", f"/audit/exports/{first['id']}/cancel", 200, headers=REASON)
    assert cancelled["status"] == "cancelled"
    third = await asked(scene)
    listed = (await scene.auditor.ask("GET", "/audit/exports", 200, headers=REASON))["items"]
    assert [each["id"] for each in listed] == [third["id"], second["id"], first["id"]]
    unknown = await scene.auditor.ask("GET", f"/audit/exports/{scene.auditor.id}", 404, headers=REASON)
    assert unknown["code"] == "export.not_found"


async def test_a_cancelled_export_ends_while_it_is_made_and_leaves_nothing(scene: Exporting) -> None:
    ada = await scene.hansard.person("ada")
    for _ in range(3):
        await ada.say(await ada.room(), "hello")
    export = await asked(scene)
    store, put, go_on = scene.hansard.services.blobs, asyncio.Event(), asyncio.Event()
    stored: list[str] = []
    real = store.put

    async def slow(blob: str, file: Path) -> None:
        await real(blob, file)
        stored.append(blob)
        put.set()
        await go_on.wait()  # so that it is cancelled amid its parts

    store.put = slow  # type: ignore[method-assign]
    async with running(scene.worker.run()):
        await put.wait()
        await scene.auditor.ask("POST", f"/audit/exports/{export['id']}/cancel", 200, headers=REASON)
        go_on.set()

        async def is_over() -> bool:
            return not await scene.worker._tasks.listed()

        await until(is_over)
        await scene.worker.dispatch()
    assert await left(scene.worker._db, now() + timedelta(hours=1)) == set(stored) and len(stored) == 1
    assert [recorded.event.topic for recorded in await topics(scene, "export.")] == [
        "export.requested",
        "export.cancelled",
    ]
    again = await scene.auditor.ask("POST", f"/audit/exports/{export['id']}/cancel", 200, headers=REASON)
    assert again["status"] == "cancelled"
    async with running(scene.worker.run()):
        done = await ended(scene, (await asked(scene))["id"])
    assert done["messages"] == 3
    late = await scene.auditor.ask("POST", f"/audit/exports/{done['id']}/cancel", 409, headers=REASON)
    assert late["code"] == "export.ended"


async def test_packages_expire_and_their_bytes_are_swept(scene: Exporting, database_url: str) -> None:
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "hello")
    export = await asked(scene)
    services = scene.hansard.services

    async def swept() -> int:
        sweeper = Sweeper(
            services.blobs,
            BlobLeases(scene.worker._db),
            services.record,
            scene.worker._db,
            now=services.now,
            age_seconds=0,
        )
        return await sweeper.step()

    async with running(scene.worker.run()):
        await ended(scene, export["id"])
        owner = await asyncpg.connect(database_url)
        await owner.execute("UPDATE files.holds SET until = now() - interval '1 min'")
        await swept()
        assert (await fetched(scene, export["id"])).status_code == 200
        await owner.execute("UPDATE read.exports SET expires_at = now() - interval '1 min'")
        await scene.worker.dispatch()
    await swept()
    await owner.close()
    assert [page async for page in services.blobs.every() if page] == []
    gone = await scene.auditor.ask("GET", f"/audit/exports/{export['id']}", 200, headers=REASON)
    assert (gone["status"], gone["size"]) == ("expired", None)
    assert (await fetched(scene, export["id"])).json()["code"] == "export.not_ready"
    assert (await topics(scene, "export."))[-1].event.topic == "export.expired"


async def test_a_package_is_sealed_for_a_key_and_opens_with_no_other(scene: Exporting, tmp_path: Path) -> None:
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "between us")
    plain = await exported(scene)
    until_now = (await topics(scene, "export."))[0].event.until
    identity = pyrage.x25519.Identity.generate()
    at = await scene.source.recorded_at(until_now + 1)
    assert at is not None
    sealed = await exported(scene, recipient=str(identity.to_public()), to=at.isoformat())
    assert b"between us" not in sealed and pyrage.decrypt(sealed, [identity]) == plain
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])
    secret = pysequoia.Cert.generate("Auditor <auditor@example.com>")
    sealed = await exported(scene, recipient=str(secret), to=at.isoformat())
    assert b"between us" not in sealed
    keys = secret.secrets
    assert keys is not None
    opened_again = pysequoia.decrypt(bytes=sealed, decryptor=keys.decryptor())
    assert opened_again.bytes == plain
    listed = (await scene.auditor.ask("GET", "/audit/exports", 200, headers=REASON))["items"]
    assert [each["encrypted"] for each in listed] == [True, True, False]
    assert len({each["content_sha256"] for each in listed}) == 1
    paged: list[Any] = []
    cursor: dict[str, Any] = {}
    for items in (2, 1):
        page = await scene.auditor.ask("GET", "/audit/exports", 200, headers=REASON, params={"limit": 2, **cursor})
        assert len(page["items"]) == items
        paged, cursor = paged + page["items"], {"cursor": page["next_cursor"]}
    assert paged == listed and cursor == {"cursor": None}


async def test_what_was_erased_stays_erased(scene: Exporting, database_url: str) -> None:
    ada, ben = await scene.hansard.person("ada"), await scene.hansard.person("ben")
    room = await ada.room(ben)
    await ada.say(room, "the words of ada")
    await ben.say(room, "the words of ben")
    before = await exported(scene, formats=ALL)
    assert b"the words of ada" in before
    owner = await asyncpg.connect(database_url)
    await owner.execute(DESTROY, UUID(ada.id))
    await owner.close()
    scene.source.vault.hear()
    package = await exported(scene, formats=ALL)
    later = now() + timedelta(hours=1)
    kept = await exports.kept(scene.worker._db, later)
    assert len(kept) == 2 and await recall(scene.worker._command_bus, scene.worker._db, later) == 2
    for export_id in kept:  # the one from before, too, which had her words
        assert (await fetched(scene, str(export_id))).json()["code"] == "export.not_ready"
    archive = opened(package)
    assert b"the words of ada" not in package and b"ada@" not in package and b"the words of ben" in package
    hers, his = [item for item in lines(archive, "jsonl") if item["type"] == "message"]
    assert (hers["versions"][0]["is_erased"], hers["versions"][0]["content"]) == (True, None)
    assert (his["versions"][0]["is_erased"], hers["names"][ada.id]) == (False, "erased")
    assert (await topics(scene, "export.completed"))[-1].event.erased == 1
    for name in archive.namelist():
        if name.startswith("csv/"):
            assert b"[erased: the key of this text was destroyed]" in archive.read(name)


async def test_what_is_erased_says_what_for_and_where_the_record_says_so(scene: Exporting, database_url: str) -> None:
    clock = Clock()
    ada, ben = await scene.hansard.person("ada"), await scene.hansard.person("ben")
    manager = await officer(scene.hansard)
    room, short = await ada.room(ben), await ada.room(ben)
    await ada.say(room, "hers")
    await ben.say(short, "what is kept for a month")
    await put(manager, f"/rooms/{short}/retention", days_max=30)
    clock.days = 33
    async with retainer(database_url, clock) as disposing:
        disposed = await disposing.step()
        assert disposed is not None and disposed.messages == 1
    await ada.ask("DELETE", "/users/me", 202, json={"password": PASSWORD})
    async with ledger(database_url, kind="worker") as (db, record, bus):
        sweeper = Sweeper(scene.hansard.services.blobs, BlobLeases(db), record, db, now=now, age_seconds=0)
        eraser = Eraser(World(record, bus, db, sweeper))
        while not await eraser.step(at_once=True):
            pass
    scene.source.vault.hear()
    archive = opened(await exported(scene, formats=ALL))
    texts = [version for item in lines(archive, "jsonl") if item["type"] == "message" for version in item["versions"]]
    told = {version["destroyed"]["why"]: version["destroyed"] for version in texts if version["is_erased"]}
    assert [version["destroyed"] for version in texts if version["what"] == "deleted"] == [None, None]
    for why, topic in (("erasure", "erasure.keys_condemned"), ("retention", "retention.applied")):
        [event] = await topics(scene, topic)
        assert told[why]["position"] == event.position
    tables = b"".join(archive.read(name) for name in archive.namelist() if name.startswith("csv/"))
    for words in (b"[erased when somebody was erased]", b"[erased by the retention of its room]"):
        assert words in tables and words in archive.read("slack-export.zip"), words


async def test_another_worker_goes_on_where_one_was_killed(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """Killed with 9 after each of its parts, and after the package is noted: the bytes are those of one that nobody killed."""
    url = f"file://{tmp_path}"
    async with deployment(database_url, redis_url, blobs_url=url) as hansard:
        auditor = await hansard.person("auditor")
        await hansard.services.command_bus.do(GrantRole(UserId(UUID(auditor.id)), "auditor"), Caller())
        for i in range(2):
            await auditor.say(await auditor.room(name=f"Room {i}"), f"words {i}")
        async with (
            notary(database_url) as made,
            export_worker(database_url, redis_url, FolderBlobs(tmp_path), part_bytes=1, claim_seconds=1.0) as worker,
        ):
            scene = Exporting(hansard, worker, made, "", worker._source, auditor)
            identity = pyrage.x25519.Identity.generate()
            export = await asked(scene, formats=ALL, recipient=str(identity.to_public()))
            for _ in range(3):
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.exports.crashing_worker", database_url, redis_url, str(tmp_path))
                )
                assert await process.wait() == -signal.SIGKILL
            parts = await worker._db.all(int, "SELECT number FROM read.export_parts ORDER BY number")
            assert parts == [0, 1]
            async with running(worker.run()):
                done = await ended(scene, export["id"])
                assert done["status"] == "completed"
                at = await worker._source.recorded_at(done["range"]["until"] + 1)
                assert at is not None
                whole = await ended(scene, (await asked(scene, formats=ALL, to=at.isoformat()))["id"])
            assert whole["sha256"] == done["content_sha256"] and whole["messages"] == done["messages"] == 2
            sealed = (await fetched(scene, done["id"])).content
            # What is recorded of it is of the very bytes that are given out, though no two sealings are the same.
            completed = next(each.event for each in await topics(scene, "export.completed"))
            assert sha256(sealed).hexdigest() == completed.sha256 == done["sha256"]
            content = pyrage.decrypt(sealed, [identity])
    assert len(opened(content).namelist()) == len(set(opened(content).namelist()))


async def test_with_four_eyes_an_export_waits_for_somebody_else(database_url: str, redis_url: str) -> None:
    on = FourEyes(frozenset(SUBJECTS))
    async with exporting(database_url, redis_url, four_eyes=on) as scene:
        other = await scene.hansard.person("records")
        await scene.hansard.services.command_bus.do(GrantRole(UserId(UUID(other.id)), "records_manager"), Caller())
        await other.say(await other.room(), "hello")

        async def decided(how: str) -> dict[str, Any]:
            export = await asked(scene)
            assert export["status"] == "awaiting_approval"
            await scene.worker.dispatch()
            assert not await scene.worker.step()
            approval = approval_key("export", UUID(export["id"]))
            own = await scene.auditor.ask("POST", f"/approvals/{approval}/{how}", 403, headers=REASON)
            assert own["code"] == "approval.own"
            await other.ask("POST", f"/approvals/{approval}/{how}", 200, headers=REASON)
            await scene.worker.dispatch()
            async with running(scene.worker.run()):
                return await ended(scene, export["id"])

        refused = await decided("refuse")
        assert (refused["status"], refused["error"]) == ("failed", "not_approved")
        assert (await fetched(scene, refused["id"])).status_code == 409
        granted = await decided("approve")
        assert (granted["status"], granted["messages"]) == ("completed", 1)


async def test_much_of_a_day_comes_in_parts_and_what_is_missing_says_so(
    scene: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "CHUNK_ITEMS_MAX", 2)
    monkeypatch.setattr(gathering, "PAGE_EVENTS", 3)
    ada = await scene.hansard.person("ada")
    room = await ada.room()
    said = [(await ada.say(room, f"words {i}"))["id"] for i in range(4)]
    file_id = (await ada.upload(b"the bytes that are lost"))["id"]
    assert (await file_ended(ada, file_id))["status"] == "completed"
    await ada.say(room, "look", message_type="file", file_id=file_id)
    async for page in scene.hansard.services.blobs.every():
        for stored in page:
            await scene.hansard.services.blobs.delete(stored.blob)
    package = await exported(scene, formats=ALL)
    archive = opened(package)
    names = [name for name in archive.namelist() if name.startswith("jsonl/")]
    assert [name.partition(".")[2] for name in names] == ["jsonl", "2.jsonl", "3.jsonl", "4.jsonl"]
    items = lines(archive, "jsonl")
    assert [item["message_id"] for item in items if item["type"] == "message"][:4] == said
    assert items[-1]["attachment"]["status"] == "missing" and items[-1]["attachment"]["path"] is None
    assert json.loads(archive.read("manifest.json"))["counts"]["missing"] == 1
    target = tmp_path / "package.zip"
    target.write_bytes(package)
    code, words = await run_verifier("export", target, "--key", scene.key)
    assert (code, "5 messages of" in words) == (0, True), words


async def test_of_two_workers_at_one_export_one_leaves_it(scene: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    gather, both = Maker._gather, asyncio.Barrier(2)

    async def together(maker: Maker, place: gathering.Place) -> None:
        """Neither writes a part before both know of none: the second would else go on behind the first one's."""
        await both.wait()
        await gather(maker, place)

    monkeypatch.setattr(Maker, "_gather", together)
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "hello")
    export = await asked(scene)
    row = await exports.of(scene.worker._db, UUID(export["id"]))
    assert row is not None
    makers = [scene.worker._maker(row).make() for _ in range(2)]
    outcomes = await asyncio.gather(*makers, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Made", "TakenOverError"]
    monkeypatch.undo()
    async with running(scene.worker.run()):
        assert (await ended(scene, export["id"]))["status"] == "completed"


async def test_a_request_that_is_sent_again_makes_one_export(scene: Exporting) -> None:
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "hello")
    ask: dict[str, Any] = {"json": {"formats": ["jsonl"]}, "headers": REASON | {"Idempotency-Key": "once"}}
    first = await scene.auditor.http.post("/audit/exports", **ask)
    again = await scene.auditor.http.post("/audit/exports", **ask)
    assert (first.status_code, again.status_code) == (202, 202) and first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(await topics(scene, "export.")) == 1


async def test_an_export_that_was_cancelled_is_given_to_nobody_whatever_the_table_says(scene: Exporting) -> None:
    """The gateway died between the record, which says that it is cancelled, and the table, which does not."""
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "hello")
    export = await asked(scene)
    export_id, bus = UUID(export["id"]), scene.hansard.services.command_bus
    await bus.do(CancelExport(export_id), Caller(UserId(UUID(scene.auditor.id)), reason="matter 17"))
    async with running(scene.worker.run()):
        done = await ended(scene, export["id"])
    assert done["status"] == "cancelled"
    assert (await fetched(scene, export["id"])).json()["code"] == "export.not_ready"


async def test_an_export_that_is_cancelled_at_the_last_moment_is_given_to_nobody(
    scene: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "hello")
    export = await asked(scene)
    export_id, bus, keep = UUID(export["id"]), scene.hansard.services.command_bus, exports.keep

    async def cancelled(*args: Any, **fields: Any) -> bool:
        kept = await keep(*args, **fields)
        await bus.do(CancelExport(export_id), Caller(UserId(UUID(scene.auditor.id)), reason="matter 17"))
        return kept

    monkeypatch.setattr(exports, "keep", cancelled)
    async with running(scene.worker.run()):
        done = await ended(scene, export["id"])
    assert done["status"] == "cancelled"
    assert (await fetched(scene, export["id"])).json()["code"] == "export.not_ready"


async def test_an_erasure_recalls_an_export_that_has_read_its_first_words_and_said_nothing_yet(
    scene: Exporting, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "the words of ada")
    write, has_read, go_on = Maker._write, asyncio.Event(), asyncio.Event()

    async def slow(maker: Maker, gathered: Any, *, is_first: bool) -> None:
        has_read.set()
        await go_on.wait()
        await write(maker, gathered, is_first=is_first)

    monkeypatch.setattr(Maker, "_write", slow)
    export = await asked(scene)
    async with running(scene.worker.run()):
        await has_read.wait()
        owner = await asyncpg.connect(database_url)
        await owner.execute(DESTROY, UUID(ada.id))
        await owner.close()
        scene.source.vault.hear()
        await recall(scene.worker._command_bus, scene.worker._db, now())
        go_on.set()
        done = await ended(scene, export["id"])
    assert (done["status"], done["error"]) == ("failed", "recalled")
    assert b"the words of ada" not in (await fetched(scene, export["id"])).content


async def test_a_package_that_is_not_wanted_any_more_is_left_in_no_folder(
    scene: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole then, and not encrypted: the staging folder is cleared of what crashes left there after a day alone."""
    ada = await scene.hansard.person("ada")
    await ada.say(await ada.room(), "the words of ada")
    key = str(pyrage.x25519.Identity.generate().to_public())
    loop, hashed, worker = asyncio.get_running_loop(), parts.hashed, scene.worker

    def slow(path: Path) -> str:
        asyncio.run_coroutine_threadsafe(recall(worker._command_bus, worker._db, now()), loop).result()
        return hashed(path)

    def refused(*_: Any) -> None:
        raise SealingError

    async def is_over() -> bool:
        return not await worker._tasks.listed()

    for name, instead, fault in (("hashed", slow, "recalled"), ("seal", refused, "recipient_unusable")):
        export = await asked(scene, recipient=key)
        with monkeypatch.context() as patched:
            patched.setattr(maker, name, instead)
            async with running(worker.run()):
                assert (await ended(scene, export["id"]))["error"] == fault
                await until(is_over)
        assert list(scene.hansard.services.blobs.staging().glob("export-*")) == []
