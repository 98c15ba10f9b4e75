"""The client's files: a real gateway, a worker that scans and makes variants, answers that are lost, a store with
addresses of its own."""

import asyncio
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from hansard_client import Refused

from commands.file import NoteProcessing, NoteScan
from domain.events import Caller
from domain.ids import FileId
from tests.blobs.stores import BUCKET, credentials, make_bucket, moto, names
from tests.clients.people import Faults, person
from tests.deployments import deployment
from tests.files import pictures
from tests.files.deployments import pipeline

SECONDS = 30


async def test_a_picture_is_uploaded_waited_for_sent_and_fetched(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a cat.png"
    path.write_bytes(pictures.png())
    async with pipeline(database_url, redis_url) as works, person(works.services) as ada, person(works.services) as ben:
        room = await ada.open_room("Cats")
        await ben.join(room.id)
        file_id = await ada.upload(path, room_id=room.id)
        async with asyncio.timeout(SECONDS):
            file = await ada.processed(file_id)
        assert (file.status, file.original_name, file.progress, file.error) == ("completed", "a cat.png", 1.0, None)
        assert file.processed_at is not None and file.processed_at >= file.created_at
        sent = await ada.send(room.id, "look", file_id=file_id, message_type="image")
        message = await ben.message(sent.id, after=ada.position)
        assert message.file is not None and message.file.id == file_id
        for name, variant in message.file.variants.items():
            fetched = await ben.download(file_id, name)
            assert len(fetched) == variant.size_bytes
        assert await ben.download(file_id) == await ben.download(file_id, "original")
        await ada.delete(sent.id)
        with pytest.raises(Refused, match=r"file\.not_found"):
            await ben.download(file_id, after=ada.position)


async def test_a_file_that_fails_says_why(database_url: str, redis_url: str) -> None:
    async with pipeline(database_url, redis_url) as works, person(works.services) as ada:
        async with asyncio.timeout(SECONDS):
            file = await ada.processed(await ada.upload(pictures.png()[:60], "half.png"))
        assert (file.status, dict(file.variants)) == ("failed", {})
        assert file.error is not None and file.error.code and file.error.detail


@pytest.mark.parametrize("by_path", [True, False])
async def test_an_upload_whose_answer_is_lost_happens_once(
    database_url: str, redis_url: str, tmp_path: Path, by_path: bool
) -> None:
    content, path = b"words " * 10_000, tmp_path / "words.txt"
    path.write_bytes(content)
    async with deployment(database_url, redis_url) as hansard:
        faults = Faults()
        async with person(hansard, transport=faults) as ada:
            faults.faults["/files/upload"] = ["refuse", "lose"]
            first = await ada.upload(path if by_path else content, "words.txt")
            tried = [request for request in faults.requests if request.url.path.endswith("/files/upload")]
            assert len(tried) == 3 and len({request.headers["Idempotency-Key"] for request in tried}) == 1
            file = await ada.file(first, after=ada.position)
            assert (file.size_bytes, file.status) == (len(content), "pending")
            assert len(await names(hansard.services.blobs)) == 1


async def test_a_file_too_large_is_refused(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url, upload_bytes_max=10_000) as hansard, person(hansard) as ada:
        with pytest.raises(Refused) as refused:
            await ada.upload(bytes(5_000_000))
        assert refused.value.status == 413


async def test_a_store_s_own_address_is_followed_and_is_not_told_the_token(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    saga = Caller(agent="test")
    with moto() as endpoint:
        await make_bucket(endpoint)
        store = {"blobs_url": f"s3://{BUCKET}", "endpoint": endpoint, "signed": True}
        async with deployment(database_url, redis_url, **store) as hansard:
            faults = Faults()
            async with person(hansard, transport=faults) as ada:
                file_id = await ada.upload(b"words", "words.txt")
                await hansard.services.command_bus.do(NoteScan(FileId(UUID(file_id)), "basic"), saga)
                outcome = await hansard.services.command_bus.do(NoteProcessing(FileId(UUID(file_id)), ()), saga)
                await ada.file(file_id, after=outcome.position)
                assert await ada.download(file_id) == b"words"
                asked, followed = faults.requests[-2:]
                assert followed.url.netloc == httpx.URL(endpoint).netloc != asked.url.netloc
                assert "Authorization" in asked.headers and "Authorization" not in followed.headers
