"""Files: a file goes with the last message that shows it, its bytes too; one that is shown elsewhere stays."""

from pathlib import Path

import asyncpg

from adapters.clock import now
from adapters.postgres.blob_leases import BlobLeases
from tests.deployments import ledger
from tests.files.deployments import ended, pipeline
from tests.retention.scenes import Clock, counts, officer, put, retainer
from tests.retention.test_retaining import caught_up, everything_follows_from_the_record, tables_that_say
from workers.files.sweeper import Sweeper


async def test_a_file_and_its_bytes_go_with_the_last_message_that_shows_it(database_url: str, redis_url: str) -> None:
    clock = Clock()
    async with pipeline(database_url, redis_url) as works:
        hansard = works.services
        ada, manager = await hansard.person(), await officer(hansard)
        room_id, other = await ada.room(name="room"), await ada.room(name="other")
        alone, shared = [
            (await ada.upload(f"bytes of {name}".encode(), name=f"{name}.bin"))["id"] for name in ("alone", "shared")
        ]
        for file_id in (alone, shared):
            await ended(ada, file_id)
            await ada.say(room_id, "see", message_type="file", file_id=file_id)
        await ada.say(other, "see", message_type="file", file_id=shared)
        await put(manager, f"/rooms/{room_id}/retention", days_max=10)
        before = (await caught_up(ada, database_url))["Hansard-After"]
        folder = Path(hansard.services.blobs.staging()).parent
        assert _bytes_in(folder) == {b"bytes of alone", b"bytes of shared"}
        clock.days = 13
        async with retainer(database_url, clock) as worker, ledger(database_url, kind="worker") as (db, record, _):
            done = await worker.step()
            assert done is not None and (done.messages, done.files, done.keys) == (2, 1, 1)
            seen = await caught_up(ada, database_url)
            status = await ada.ask("GET", f"/files/{alone}/status", 200, headers=seen)
            assert (status["status"], status["error"]["code"]) == ("failed", "expired")
            view = await ada.ask("GET", f"/files/{alone}", 200)
            assert (view["original_name"], view["size_bytes"], view["variants"]) == ("", 0, {})
            assert (await ada.http.get(f"/files/{alone}/content")).status_code in (404, 409)
            past = await ada.http.get(f"/files/{alone}?as_of={before}")
            assert "alone.bin" not in past.text
            assert (await ada.ask("GET", f"/files/{shared}", 200))["original_name"] == "shared.bin"
            assert await tables_that_say(database_url, "alone.bin") == []
            owner = await asyncpg.connect(database_url)
            await owner.execute("DELETE FROM files.holds")  # an hour has gone since the upload
            await owner.close()
            await Sweeper(hansard.services.blobs, BlobLeases(db), record, db, now=now, age_seconds=0).step()
            assert _bytes_in(folder) == {b"bytes of shared"}
        await everything_follows_from_the_record(database_url)


def _bytes_in(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_file_goes_too_whose_message_was_deleted_before_it_was_due(database_url: str, redis_url: str) -> None:
    """Deleting hides a message; its file is still its uploader's, and auditors', until it is as old as it may get."""
    clock = Clock()
    async with pipeline(database_url, redis_url) as works:
        hansard = works.services
        ada, manager = await hansard.person(), await officer(hansard)
        room_id = await ada.room(name="room")
        file_id = (await ada.upload(b"bytes of hers", name="hers.bin"))["id"]
        await ended(ada, file_id)
        message = await ada.say(room_id, "see", message_type="file", file_id=file_id)
        await ada.ask("DELETE", f"/messages/{message['id']}", 200)
        await put(manager, f"/rooms/{room_id}/retention", days_max=10)
        await hansard.settled()
        clock.days = 13
        said = await counts(hansard, room_id, clock, days_max=10)
        async with retainer(database_url, clock) as worker:
            done = await worker.step()
        assert done is not None and (done.messages, done.files, done.keys) == (0, 1, 1)
        assert (said.messages, said.files) == (0, 1)
        await hansard.settled()
        view = await ada.ask("GET", f"/files/{file_id}", 200)
        assert (view["original_name"], view["size_bytes"], view["error"]["code"]) == ("", 0, "expired")
        assert await tables_that_say(database_url, "hers.bin") == []
        await everything_follows_from_the_record(database_url)
