"""Uploads over HTTP: what is taken, what is refused and when, and that nothing stays of what is not accepted."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio

from domain.file import FILE, FileReceived
from domain.ids import FileId
from gateway.http.upload_slots import UPLOADS_OF_USER_MAX
from gateway.server.http1 import LINGER_BYTES
from tests.blobs.stores import names
from tests.conftest import Servers, fresh_database
from tests.deployments import Gateway, Person, deployment, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f030005fe02fea135b2d60000000049454e44ae426082")  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hansard(servers: Servers) -> AsyncIterator[Gateway]:
    """One for all of these: each looks at what it adds, with people and bytes of its own."""
    async with (
        fresh_database(servers) as database_url,
        deployment(database_url, servers.redis_url, upload_bytes_max=1024 * 1024) as made,
    ):
        yield made


def unheard_of() -> bytes:
    """Return a picture that nobody has uploaded."""
    return PNG + uuid4().bytes


def gathered(hansard: Gateway) -> list[str]:
    return os.listdir(hansard.services.blobs.staging())


async def received(hansard: Gateway, file_id: str) -> FileReceived:
    stream = FILE.id(FileId(UUID(file_id)))
    return (await hansard.services.record.streams([stream]))[stream][0].event  # type: ignore[return-value]


async def test_an_upload_is_answered_at_once_and_is_nobody_s_yet(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    before, content = await names(hansard.services.blobs), unheard_of()
    answer = await ada.upload(content, "cat.txt")
    assert answer == {"task_id": answer["id"], "id": answer["id"], "status": "processing"}
    status = await ada.ask("GET", f"/files/{answer['id']}/status", 200)
    assert (status["status"], status["progress"], status["scan"], status["variants"]) == ("pending", 0.0, None, {})
    view = await ada.ask("GET", f"/files/{answer['id']}", 200)
    assert (view["original_name"], view["mime_type"], view["size_bytes"]) == ("cat.txt", "image/png", len(content))
    assert view["uploader_id"] == ada.id
    for path in ("", "/status", "/content", "/variants/original"):
        await eve.ask("GET", f"/files/{answer['id']}{path}", 404)
    for path in ("/content", "/variants/original"):
        assert (await ada.ask("GET", f"/files/{answer['id']}{path}", 409))["code"] == "file.pending"
    assert await names(hansard.services.blobs) - before == {sha256(content).hexdigest()}
    assert gathered(hansard) == []


async def test_two_uploads_of_the_same_bytes_store_one_blob_and_neither_owner_can_tell(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    before, content = await names(hansard.services.blobs), unheard_of()
    first, second = await ada.upload(content, "a.png"), await ben.upload(content, "a.png")
    assert await names(hansard.services.blobs) - before == {sha256(content).hexdigest()}
    views = [await who.ask("GET", f"/files/{up['id']}", 200) for who, up in ((ada, first), (ben, second))]
    for view in views:
        for own in ("id", "filename", "uploader_id", "created_at"):
            view.pop(own)
    assert views[0] == views[1]
    await ben.ask("GET", f"/files/{first['id']}", 404)


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({"files": {"file": ("a.txt", b"")}}, 422, "file.empty"),
        ({"files": {"wrong": ("a.txt", b"x")}}, 422, "field.unknown"),
        ({"files": [("file", ("a.txt", b"x")), ("file", ("b.txt", b"y"))]}, 422, "field.duplicate"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"other": "1"}}, 422, "field.unknown"),
        ({"files": {"file": (None, b"no file name")}}, 422, "field.invalid"),
        ({"json": {"file": "x"}}, 415, "body.media_type"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "body.not_multipart"),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "body.not_multipart"),
        ({"content": b"--b\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "body.not_multipart"),
        ({"content": b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422, "field.missing"),
        ({"content": b"--b\r\nX: " + b"y" * 90_000, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 413, "body.too_large"),
        ({"content": b"z" * 400_000, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 413, "body.too_large"),
        ({"files": {"file": ("a.bin", b"x" * (1024 * 1024 + 1))}}, 413, "file.too_large"),
        ({"files": {"file": ("a.bin", b"x" * (3 * 1024 * 1024))}}, 413, "file.too_large"),
    ],
)  # fmt: skip
async def test_what_is_no_upload_is_refused_and_leaves_nothing(
    hansard: Gateway, parts: dict[str, object], status: int, code: str
) -> None:
    ada = await hansard.person()
    position, before = (await hansard.services.record.head()).position, await names(hansard.services.blobs)
    answer = await ada.http.post("/files/upload", **parts)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert gathered(hansard) == [] and await names(hansard.services.blobs) == before
    assert (await hansard.services.record.head()).position == position


async def test_the_limit_holds_while_streaming_without_a_length(hansard: Gateway) -> None:
    """A body that never says how long it is, and would go on for ever, is refused when it passes the limit."""
    ada, sent, before = await hansard.person(), 0, await names(hansard.services.blobs)

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while sent < 100 * 1024 * 1024:
            sent += 64 * 1024
            yield b"x" * 64 * 1024

    try:
        answer = await ada.http.post(
            "/files/upload", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "file.too_large")
    except (httpx.WriteError, httpx.ReadError):
        pass
    assert sent < LINGER_BYTES + 20 * 1024 * 1024
    assert gathered(hansard) == [] and await names(hansard.services.blobs) == before


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
async def test_who_sends_too_much_hears_so_at_once_and_is_listened_to_a_little(
    hansard: Gateway, monkeypatch: pytest.MonkeyPatch, expect: str
) -> None:
    monkeypatch.setattr(
        "gateway.edge.outgoing_answer.LINGER_SECONDS", 100.0
    )  # until it is over, or the client's side is closed
    ada = await hansard.person()
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    writer.write(
        f"POST /api/v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n{expect}"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {10**12}\r\n\r\n".encode()
    )
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ") and b"connection: close" in head.lower()
    writer.write(b"x" * 100_000)
    await writer.drain()
    writer.write_eof()
    async with asyncio.timeout(20):
        body = await reader.read()
    assert body.startswith(b"{") and body.endswith(b"}"), "the answer and nothing else"
    writer.close()


async def test_an_upload_that_is_broken_off_leaves_nothing(hansard: Gateway) -> None:
    ada = await hansard.person()
    position, before = (await hansard.services.record.head()).position, await names(hansard.services.blobs)
    for cut in (200, 400, 70_000, 600_000):
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 900_000
        head = (
            f"POST /api/v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body) + 9}\r\n\r\n"
        ).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
        writer.write(head + body[:cut])
        await writer.drain()

        async def begun() -> bool:
            return len(gathered(hansard)) == 1

        await until(begun)
        writer.transport.abort()

        async def gone() -> bool:
            return gathered(hansard) == []

        await until(gone)
    assert await names(hansard.services.blobs) == before
    assert (await hansard.services.record.head()).position == position


@asynccontextmanager
async def begun_upload(
    hansard: Gateway, who: Person
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """An upload by hand, as far as the first bytes of its file."""
    before = len(gathered(hansard))
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    writer.write(
        f"POST /api/v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    )

    async def begun() -> bool:
        return len(gathered(hansard)) > before

    await until(begun)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_a_client_that_feeds_drop_by_drop_is_let_go(hansard: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent for long; but what comes is no upload."""
    monkeypatch.setattr("gateway.http.upload_slots.UPLOAD_IDLE_SECONDS", 0.4)
    async with begun_upload(hansard, await hansard.person()) as (reader, writer):

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        async with running(drip()), asyncio.timeout(30):
            assert (await reader.read(12)) == b"HTTP/1.1 408"


async def test_nobody_alone_takes_all_the_places_for_uploads(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    async with AsyncExitStack() as stack:
        for _ in range(UPLOADS_OF_USER_MAX):
            await stack.enter_async_context(begun_upload(hansard, ada))
        answer = await ada.http.post("/files/upload", files={"file": ("a", b"one more")})
        assert (answer.status_code, answer.json()["code"]) == (429, "file.too_many_uploads")
        assert answer.headers["retry-after"] == "1"
        await ben.upload(b"somebody else's")

    async def gone() -> bool:
        return gathered(hansard) == []

    await until(gone)
    await ada.upload(b"one more")


async def test_a_client_that_falls_silent_is_let_go(hansard: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.upload_slots.UPLOAD_IDLE_SECONDS", 0.2)
    ada = await hansard.person()
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    writer.write(
        f"POST /api/v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n".encode()
    )
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert gathered(hansard) == []
    writer.close()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ("a\x00b.png", "ab.png"),
        ("x" * 10_240 + ".png", "x" * 251 + ".png"),
        ("ко́шка.png", "ко́шка.png"),
    ],
)
async def test_a_name_leads_nowhere(hansard: Gateway, name: str, kept: str) -> None:
    ada, content, before = await hansard.person(), unheard_of(), await names(hansard.services.blobs)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\n' + content
        + b"\r\n--b--\r\n"
    )  # fmt: skip
    answer = await ada.http.post(
        "/files/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 202, answer.text
    assert (await received(hansard, answer.json()["id"])).original_name == kept
    assert await names(hansard.services.blobs) - before == {sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(50), "image/jpeg"),
        (b"GIF89a" + bytes(50), "image/gif"),
        (b"%PDF-1.7\n" + bytes(50), "application/pdf"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "text/html"),
        (b"  \n<script>alert(1)</script>", "text/html"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "image/svg+xml"),
        ("just words – in UTF-8".encode(), "text/plain"),
        (b"PK\x03\x04" + bytes(50), "application/zip"),
        (b"\x00\x01\x02\x03 nothing known", "application/octet-stream"),
    ],
)
async def test_a_type_is_told_by_content_and_not_by_name(hansard: Gateway, content: bytes, kind: str) -> None:
    ada = await hansard.person()
    answer = await ada.upload(content, "holiday.png")
    assert (await received(hansard, answer["id"])).mime_type == kind


async def test_an_upload_for_a_room_needs_a_member_of_it(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    public, private = await ada.room(), await ada.room(is_private=True)
    assert (await eve.upload(PNG, status=403, params={"room_id": public}))["code"] == "room.not_a_member"
    assert (await eve.upload(PNG, status=404, params={"room_id": private}))["code"] == "room.not_found"
    await eve.upload(PNG, status=404, params={"room_id": str(uuid4())})
    await ada.upload(PNG, status=422, params={"room": public})
    answer = await ada.upload(PNG, params={"room_id": private})
    fields = {"message_type": "image", "file_id": answer["id"]}
    assert (await ada.ask("POST", f"/rooms/{public}/messages", 409, json={"content": "", **fields}))["code"] == (
        "file.pending"
    )
    assert (await ada.say(private, "", **fields))["file_id"] == answer["id"]
    async with hansard.client() as stranger:
        assert (await stranger.post("/files/upload", files={"file": ("a", PNG)})).status_code == 401


async def test_an_upload_with_a_key_happens_once(hansard: Gateway) -> None:
    ada = await hansard.person()
    key = {"Idempotency-Key": "one"}
    first = await ada.upload(PNG, "a.png", headers=key)
    assert await ada.upload(PNG, "a.png", headers=key) == first
    assert (await ada.upload(PNG, "b.png", status=422, headers=key))["code"] == "idempotency.mismatch"
    assert (await ada.upload(PNG + b"x", "a.png", status=422, headers=key))["code"] == "idempotency.mismatch"
    outcomes = await asyncio.gather(*(ada.upload(b"text", headers={"Idempotency-Key": "two"}) for _ in range(8)))
    assert len({outcome["id"] for outcome in outcomes}) == 1


async def test_a_person_keeps_no_more_than_the_quota(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url, storage_bytes_of_user=1_000) as hansard:
        ada, ben = await hansard.person(), await hansard.person()
        answers = await asyncio.gather(
            *(ada.http.post("/files/upload", files={"file": ("a", b"%d" % i * 300)}) for i in range(8))
        )
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 5
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"file.quota_exceeded"}
        assert gathered(hansard) == []
        await ben.upload(b"x" * 900)


async def test_a_store_that_refuses_is_told_and_nothing_is_recorded(hansard: Gateway) -> None:
    ada = await hansard.person()
    position = (await hansard.services.record.head()).position
    blobs = hansard.services.blobs.staging().parent / "blobs"
    blobs.rename(blobs.with_name("away"))
    blobs.write_text("in the way")
    assert (await ada.upload(PNG, status=503))["code"] == "server.unavailable"
    assert (await hansard.services.record.head()).position == position and gathered(hansard) == []
    blobs.unlink()
    blobs.with_name("away").rename(blobs)
    await ada.upload(PNG)


async def test_the_document_says_how_to_upload(hansard: Gateway) -> None:
    async with hansard.client() as http:
        document = (await http.get(f"{hansard.base}/schema/openapi.json")).json()
    operation = document["paths"]["/api/v1/files/upload"]["post"]
    assert "multipart/form-data" in operation["requestBody"]["content"]
    assert "202" in operation["responses"]
    assert "/api/v1/files/{file_id}/content" in document["paths"]
