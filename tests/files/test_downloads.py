"""Downloads: only what is completed, only for those who may see it at that moment, and harmless to open."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from commands.file import FailFile, NoteProcessing, NoteScan
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId
from gateway.routes.file import _name
from tests.blobs.stores import BUCKET, credentials, make_bucket, moto, put
from tests.conftest import Servers, fresh_database
from tests.deployments import Gateway, Person, deployment
from tests.files.test_uploads import PNG
from tests.lines import line

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAGA = Caller(agent="test")
ORIGINAL = b"0123456789" * 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hansard(servers: Servers) -> AsyncIterator[Gateway]:
    async with fresh_database(servers) as database_url, deployment(database_url, servers.redis_url) as made:
        yield made


async def completed(hansard: Gateway, who: Person, content: bytes = PNG, name: str = "cat.png", **options: Any) -> str:
    """Upload a file and have it completed as the saga would: a picture with an original of ours."""
    file_id = FileId(UUID((await who.upload(content, name, **options))["id"]))
    command_bus = hansard.services.command_bus
    await command_bus.do(NoteScan(file_id, "basic"), SAGA)
    blobs = hansard.services.blobs
    variants = [
        Variant(variant, 4, 3, "image/webp", len(made), await put(blobs, made))
        for variant, made in (("thumbnail", b"tiny"), ("original", ORIGINAL))
    ]
    outcome = await command_bus.do(NoteProcessing(file_id, tuple(variants)), SAGA)
    await who.ask("GET", f"/files/{file_id}", 200, headers={"Hansard-After": str(outcome.position)})
    return str(file_id)


async def test_a_picture_is_downloaded_as_it_was_made_here(hansard: Gateway) -> None:
    ada = await hansard.person()
    file_id = await completed(hansard, ada, name='my "cat"\r\n ко́т.png')
    status = await ada.ask("GET", f"/files/{file_id}/status", 200)
    assert (status["status"], status["progress"], status["scan"]) == ("completed", 1.0, "basic")
    assert status["variants"]["thumbnail"] == {
        "width": 4, "height": 3, "mime_type": "image/webp", "size_bytes": 4,
        "url": f"/api/v1/files/{file_id}/variants/thumbnail",
    }  # fmt: skip
    answer = await ada.http.get(f"/files/{file_id}/content")
    assert (answer.status_code, answer.content) == (200, ORIGINAL)
    headers = answer.headers
    assert headers["content-type"] == "image/webp"
    assert headers["content-disposition"].startswith('inline; filename="my _cat_ ')
    assert "filename*=UTF-8''my%20%22cat%22%20%D0%BA" in headers["content-disposition"]
    assert headers["content-disposition"].endswith(".webp")
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "private, no-cache")
    policy = "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
    assert headers["content-security-policy"] == policy
    assert headers.get_list("cross-origin-resource-policy") == ["same-site"]
    assert (headers["content-length"], headers["accept-ranges"]) == ("10000", "bytes")
    async with hansard.client() as http:
        url = hansard.base + status["variants"]["thumbnail"]["url"]
        thumbnail = await http.get(url, headers={"Authorization": f"Bearer {ada.token}"})
    assert thumbnail.content == b"tiny"
    await ada.ask("GET", f"/files/{file_id}/variants/other", 404)
    await ada.ask("GET", f"/files/{file_id}/variants/..%2f..%2fsecret", 404)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><script>alert(1)</script>", b'<svg xmlns="http://www.w3.org/2000/svg"/>']
)
async def test_what_a_browser_would_run_is_just_bytes_to_keep(hansard: Gateway, content: bytes) -> None:
    ada = await hansard.person()
    file_id = await completed(hansard, ada, content, "page.html")
    answer = await ada.http.get(f"/files/{file_id}/content")
    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "status", "part", "said"),
    [
        ("bytes=0-9", 206, slice(0, 10), "bytes 0-9/10000"),
        ("bytes=9990-", 206, slice(9990, None), "bytes 9990-9999/10000"),
        ("bytes=-5", 206, slice(9995, None), "bytes 9995-9999/10000"),
        ("bytes=-99999", 206, slice(0, None), "bytes 0-9999/10000"),
        ("bytes=9999-20000", 206, slice(9999, None), "bytes 9999-9999/10000"),
        ("bytes=10000-", 416, None, "bytes */10000"),
        ("bytes=-0", 416, None, "bytes */10000"),
        ("bytes=5-2", 200, slice(0, None), None),
        ("bytes=0-1,4-5", 200, slice(0, None), None),
        ("lines=1-2", 200, slice(0, None), None),
        ("bytes=-", 200, slice(0, None), None),
    ],
)
async def test_parts_are_given_as_http_says(
    hansard: Gateway, asked: str, status: int, part: slice | None, said: str | None
) -> None:
    ada = await hansard.person()
    file_id = await completed(hansard, ada)
    answer = await ada.http.get(f"/files/{file_id}/content", headers={"Range": asked})
    assert answer.status_code == status
    assert answer.headers.get("content-range") == said
    if part is not None:
        assert int(answer.headers["content-length"]) == len(ORIGINAL[part])
        assert answer.content == ORIGINAL[part]
    head = await ada.http.head(f"/files/{file_id}/content", headers={"Range": asked})
    assert (head.status_code, head.content) == (200, b""), "a range is of a GET alone (RFC 9110 14.2)"
    assert int(head.headers["content-length"]) == len(ORIGINAL) and "content-range" not in head.headers


async def test_who_has_it_already_is_told_so(hansard: Gateway) -> None:
    ada = await hansard.person()
    path = f"/files/{await completed(hansard, ada)}/content"
    first = await ada.http.get(path)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"other", W/{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        ({"Range": "bytes=0-0", "If-Range": etag}, 206),
        ({"Range": "bytes=0-0", "If-Range": modified}, 206),
        ({"Range": "bytes=0-0", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": f"W/{etag}"}, 200),
        ({"If-Match": etag}, 200),
        ({"If-Match": f'"other", {etag}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{etag}"}, 412),
        ({"If-Match": etag, "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"If-Match": '"other"', "If-None-Match": etag}, 412),
        ({"If-Unmodified-Since": modified}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
    ):
        answer = await ada.http.get(path, headers=headers)
        assert answer.status_code == status, headers
        assert answer.headers["etag"] == etag
        assert bool(answer.content) == (status != 304)


async def test_a_file_is_seen_by_those_who_may_read_a_message_that_shows_it(hansard: Gateway) -> None:
    ada, ben, eve = await hansard.person(), await hansard.person(), await hansard.person()
    file_id = await completed(hansard, ada)
    path = f"/files/{file_id}/content"
    await ben.ask("GET", path, 404)
    private = await ada.room(ben, is_private=True)
    said = await ada.say(private, "", message_type="image", file_id=file_id)

    async def sees(who: Person, status: int, after: int | None = None) -> None:
        position = after or (await who.http.get("/meta")).json()["position"]
        headers = {"Hansard-After": str(position)}
        for suffix in ("", "/status", "/content", "/variants/thumbnail"):
            answer = await who.http.get(f"/files/{file_id}{suffix}", headers=headers)
            assert answer.status_code == status, f"{suffix}: {answer.text}"

    await sees(ben, 200)
    await sees(eve, 404)
    await ben.ask("POST", f"/rooms/{private}/leave", 204)
    await sees(ben, 404)
    # In a public room everybody may read it, who is banned may not.
    public = await ada.room(ben)
    shown = await ada.say(public, "look", message_type="file", file_id=file_id)
    await sees(eve, 200)
    await ada.ask("DELETE", f"/rooms/{public}/members/{ben.id}?ban=true", 204)
    await sees(ben, 404)
    # The message is deleted: nobody is shown the file any more but its uploader.
    await ada.ask("DELETE", f"/messages/{shown['id']}", 200)
    await sees(eve, 404)
    await sees(ada, 200)
    assert (await ada.ask("GET", f"/messages/{said['id']}", 200))["file"]["id"] == file_id
    # Who joined later sees what came since, where the room says so.
    late = await ada.room()
    await ada.ask("PATCH", f"/rooms/{late}", 200, json={"history": "joined"})
    await ada.say(late, "", message_type="file", file_id=file_id)
    await eve.ask("POST", f"/rooms/{late}/join", 200)
    await sees(eve, 404)
    await ada.say(late, "", message_type="file", file_id=file_id)
    await sees(eve, 200)


async def test_a_message_shows_its_file_with_variants(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    await ada.say(room_id, "first")
    file_id = (await ada.upload(PNG, "cat.png"))["id"]
    said = await ada.say(room_id, "look", message_type="image", file_id=file_id)
    after = {"Hansard-After": str(said["position"])}
    page = (await ben.ask("GET", f"/rooms/{room_id}/messages", 200, headers=after))["items"]
    assert page[0]["file"]["status"] == "pending" and "file" not in page[1]
    await hansard.services.command_bus.do(NoteScan(FileId(UUID(file_id)), "basic"), SAGA)
    made = Variant("original", 4, 3, "image/webp", 10, "ab" * 32)
    outcome = await hansard.services.command_bus.do(NoteProcessing(FileId(UUID(file_id)), (made,)), SAGA)
    after = {"Hansard-After": str(outcome.position)}
    for render in ("", "?render=html"):
        page = (await ben.ask("GET", f"/rooms/{room_id}/messages{render}", 200, headers=after))["items"]
        assert page[0]["file"]["variants"]["original"]["width"] == 4
        one = await ben.ask("GET", f"/messages/{said['id']}{render}", 200, headers=after)
        assert one["file"] == page[0]["file"]
    await ada.ask("DELETE", f"/messages/{said['id']}", 200)
    assert "file" not in (await ada.ask("GET", f"/messages/{said['id']}", 200))


async def test_a_room_hears_what_a_message_shows_and_need_not_ask(hansard: Gateway) -> None:
    """Pending: enough to draw a place for it, and then its end. Completed, in another room: all of it. Deleted: nothing."""
    ada, ben = await hansard.person(), await hansard.person()
    here, there = await ada.room(ben), await ada.room(ben)
    async with line(hansard, ben, here) as hears, line(hansard, ben, there) as hears_there:
        await hears.until("live")
        await hears_there.until("live")
        file_id = (await ada.upload(PNG, "cat.png"))["id"]
        await ada.say(here, "look", message_type="image", file_id=file_id)
        posted = (await hears.until("event", event="message.posted"))["data"]
        assert posted["file_id"] == posted["file"]["id"] == file_id
        told = {
            name: posted["file"][name] for name in ("status", "original_name", "mime_type", "size_bytes", "variants")
        }
        assert told == {
            "status": "pending", "original_name": "cat.png", "mime_type": "image/png", "size_bytes": len(PNG),
            "variants": {},
        }  # fmt: skip
        await hansard.services.command_bus.do(NoteScan(FileId(UUID(file_id)), "basic"), SAGA)
        made = Variant("original", 4, 3, "image/webp", 10, "ab" * 32)
        await hansard.services.command_bus.do(NoteProcessing(FileId(UUID(file_id)), (made,)), SAGA)
        ended = (await hears.until("event", event="file.completed"))["data"]
        said = await ada.say(there, "look here", message_type="image", file_id=file_id)
        posted = (await hears_there.until("event", event="message.posted"))["data"]
        assert posted["file"] == ended == await ben.ask("GET", f"/files/{file_id}", 200)
        assert "ab" * 32 not in str(posted), "the name of a blob is the store's business"
        await ada.ask("PATCH", f"/messages/{said['id']}", 200, json={"content": "look there"})
        assert "file" not in (await hears_there.until("event", event="message.edited"))["data"]
        await ada.ask("DELETE", f"/messages/{said['id']}", 200)
        await hears_there.until("event", event="message.deleted")
    for room_id, shows in ((here, True), (there, False)):
        async with line(hansard, ben, room_id, "?after=0") as again:
            replayed = (await again.until("event", event="message.posted"))["data"]
            assert ("file" in replayed, "cat.png" in str(replayed)) == (shows, shows)


async def test_a_failed_file_is_never_downloaded_and_says_why(hansard: Gateway) -> None:
    ada = await hansard.person()
    file_id = FileId(UUID((await ada.upload(b"text", "a.txt"))["id"]))
    outcome = await hansard.services.command_bus.do(FailFile(file_id, "unscannable"), SAGA)
    headers = {"Hansard-After": str(outcome.position)}
    status = await ada.ask("GET", f"/files/{file_id}/status", 200, headers=headers)
    assert (status["status"], status["error"]["code"]) == ("failed", "unscannable")
    assert status["error"]["detail"].endswith(".")
    answer = await ada.ask("GET", f"/files/{file_id}/content", 409, headers=headers)
    assert (answer["code"], answer["detail"]) == ("file.failed", status["error"]["detail"])
    room_id = await ada.room()
    body = {"content": "", "message_type": "file", "file_id": str(file_id)}
    assert (await ada.ask("POST", f"/rooms/{room_id}/messages", 409, json=body))["code"] == "file.failed"


async def test_bytes_that_the_store_lost_are_no_answer_that_pretends(hansard: Gateway) -> None:
    ada = await hansard.person()
    file_id = await completed(hansard, ada)
    await hansard.services.blobs.delete(sha256(ORIGINAL).hexdigest())
    assert (await ada.ask("GET", f"/files/{file_id}/content", 503))["code"] == "server.unavailable"


async def test_with_signed_addresses_a_download_is_sent_to_the_store(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    with moto() as endpoint:
        await make_bucket(endpoint)
        store = {"blobs_url": f"s3://{BUCKET}", "endpoint": endpoint, "signed": True}
        async with deployment(database_url, redis_url, **store) as hansard:
            ada, eve = await hansard.person(), await hansard.person()
            file_id = await completed(hansard, ada)
            await eve.ask("GET", f"/files/{file_id}/content", 404)
            answer = await ada.http.get(f"/files/{file_id}/content")
            assert (answer.status_code, answer.content) == (307, b"")
            assert answer.headers["cache-control"] == "private, no-store"
            assert "X-Amz-Expires=60" in answer.headers["location"]
            head = await ada.http.head(f"/files/{file_id}/content")  # an address is good for GET alone
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(ORIGINAL)))
            assert (
                await ada.http.get(f"/files/{file_id}/content", headers={"If-None-Match": head.headers["etag"]})
            ).status_code == 304
            async with httpx.AsyncClient() as http:
                direct = await http.get(answer.headers["location"])
            assert direct.content == ORIGINAL and direct.headers["content-type"] == "image/webp"
            assert direct.headers["content-disposition"].startswith("inline; ")


@pytest.mark.parametrize(
    ("name", "mime_type", "told"),
    [
        ("cat.png", "image/webp", "cat.webp"),
        ("cat.JPEG", "image/jpeg", "cat.JPEG"),
        ("scan.tiff", "image/png", "scan.png"),
        ("report v1.2 final", "image/webp", "report v1.2 final.webp"),
        (".png", "image/webp", ".png.webp"),
        ("cat.png", "application/pdf", "cat.png"),
    ],
)
async def test_an_ending_is_replaced_only_where_it_is_a_pictures(name: str, mime_type: str, told: str) -> None:
    assert _name(name, mime_type) == told
