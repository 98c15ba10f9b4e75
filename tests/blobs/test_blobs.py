"""The contract of blob stores, held to a folder, to moto and to a real small S3 server."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aioboto3
import httpx
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError, ConnectionClosedError

from adapters.blobs import s3
from adapters.blobs.s3 import S3Blobs
from domain.ports.blobs import BlobMissingError, Blobs, BlobsUnavailableError
from tests.blobs.faulty import Fault, faulty_s3
from tests.blobs.stores import (
    BUCKET,
    KEY,
    SECRET,
    STORES,
    credentials,
    make_bucket,
    moto,
    names,
    nanio,
    opened,
    put,
    staged,
    whole,
)
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_SUCH_UPLOAD = ClientError({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")
FAULTS: tuple[Fault, ...] = ("503", "500")
LARGE = os.urandom(1024) * (13 * 1024) + b"the last piece"  # three parts


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        pytest.MonkeyPatch.context() as patched,
        moto() as of_moto,
        nanio(tmp_path_factory.mktemp("nanio")) as of_nanio,
    ):
        for name, value in credentials().items():
            patched.setenv(name, value)
        asyncio.run(make_bucket(of_moto))
        asyncio.run(make_bucket(of_nanio))
        yield {"moto": of_moto, "nanio": of_nanio}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stores(
    endpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Blobs]]:
    """One of each kind: a client of S3 takes half a second to make."""
    home = tmp_path_factory.mktemp("stores")
    async with AsyncExitStack() as stack:
        made = {"folder": await stack.enter_async_context(opened("", home))}
        for kind, endpoint in endpoints.items():
            url = f"s3://{BUCKET}/contract"
            made[kind] = await stack.enter_async_context(opened(url, home / kind, endpoint=endpoint, signed=True))
        yield made


@pytest_asyncio.fixture(params=STORES, loop_scope="module")
async def blobs(request: pytest.FixtureRequest, stores: dict[str, Blobs]) -> AsyncIterator[Blobs]:
    """A store, empty."""
    store = stores[request.param]
    yield store
    for blob in await names(store):
        await store.delete(blob)
    await store.clear(datetime.now(UTC) + timedelta(hours=1))


async def test_what_is_put_is_read_again(blobs: Blobs) -> None:
    for content in (b"", b"small", LARGE):
        blob = await put(blobs, content)
        assert await whole(blobs, blob) == content
        async with blobs.local(blob) as file:
            assert file.read_bytes() == content
    assert len(await names(blobs)) == 3
    assert os.listdir(blobs.staging()) == []


async def test_a_part_is_read_exactly(blobs: Blobs) -> None:
    blob = await put(blobs, LARGE)
    for start, length in ((0, 1), (5, 100), (1_000_000, 300_000), (len(LARGE) - 3, 3), (0, len(LARGE))):
        assert await whole(blobs, blob, start=start, length=length) == LARGE[start : start + length]
    assert await whole(blobs, blob, start=len(LARGE) - 4) == LARGE[-4:]
    assert await whole(blobs, blob, start=7, length=0) == b""


async def test_the_same_bytes_are_one_blob(blobs: Blobs) -> None:
    assert await asyncio.gather(*(put(blobs, b"the same") for _ in range(5)))
    assert len(await names(blobs)) == 1


async def test_what_is_not_there_is_missing(blobs: Blobs) -> None:
    for blob in ("00" * 32, "../../../etc/passwd", "", "AB" * 32, "ab" * 32 + "\n", "ab" * 32 + "/x"):
        with pytest.raises(BlobMissingError):
            await whole(blobs, blob)
        with pytest.raises(BlobMissingError):
            async with blobs.local(blob):
                pass
    assert os.listdir(blobs.staging()) == []


async def test_a_name_that_is_no_hash_is_never_stored(blobs: Blobs) -> None:
    for name in ("../outside", "ab" * 31, "ab" * 32 + ".jpg"):
        _, file = staged(blobs, b"x")
        with pytest.raises(BlobMissingError):
            await blobs.put(name, file)
    assert await names(blobs) == set()
    assert os.listdir(blobs.staging()) == []


async def test_what_is_removed_is_gone_and_may_be_removed_again(blobs: Blobs) -> None:
    blob, other = await put(blobs, b"going"), await put(blobs, b"staying")
    await blobs.delete(blob)
    await blobs.delete(blob)
    assert await names(blobs) == {other}


async def test_everything_is_listed_with_size_and_time(blobs: Blobs) -> None:
    blob = await put(blobs, b"12345")
    [[stored]] = [page async for page in blobs.every()]
    assert (stored.blob, stored.size_bytes) == (blob, 5)
    assert abs(datetime.now(UTC) - stored.stored_at) < timedelta(minutes=2)


async def test_what_was_begun_long_ago_is_cleared_and_what_is_stored_is_not(blobs: Blobs) -> None:
    blob = await put(blobs, b"stored")
    staged(blobs, b"left by a process that was killed")
    assert await blobs.clear(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await blobs.clear(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert os.listdir(blobs.staging()) == [] and await names(blobs) == {blob}


async def test_a_signed_address_is_good_for_whoever_has_it_and_says_what_it_is(blobs: Blobs) -> None:
    blob = await put(blobs, b"signed")
    address = await blobs.address(blob, disposition='attachment; filename="a.txt"', mime_type="text/plain")
    if not isinstance(blobs, S3Blobs):
        assert address is None
        return
    assert address
    async with httpx.AsyncClient() as http:
        answer = await http.get(address)
    assert (answer.status_code, answer.content) == (200, b"signed")
    if answer.headers.get("server") != "uvicorn":  # nanio passes over what an answer is to look like
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["content-disposition"] == 'attachment; filename="a.txt"'


# What only a folder, or only S3, can get wrong


async def test_a_folder_is_whole_after_any_crash_of_a_put(tmp_path: Path) -> None:
    """Until the rename nothing stands under the hash; a half-written file never does."""
    async with opened("", tmp_path) as blobs:
        blob, file = staged(blobs, b"half")
        assert await names(blobs) == set()
        await blobs.put(blob, file)
        assert await names(blobs) == {blob} and not file.exists()


async def test_a_full_or_missing_folder_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    async with opened("", tmp_path) as blobs:
        blob, file = staged(blobs, b"x")
        (tmp_path / "files" / "blobs").rename(tmp_path / "away")
        (tmp_path / "files" / "blobs").write_text("in the way")
        with pytest.raises(BlobsUnavailableError):
            await blobs.put(blob, file)
        assert os.listdir(blobs.staging()) == []


async def test_parts_of_an_upload_that_fails_are_taken_back(endpoints: dict[str, str], tmp_path: Path) -> None:
    async with opened(f"s3://{BUCKET}/broken", tmp_path, endpoint=endpoints["moto"]) as blobs:
        assert isinstance(blobs, S3Blobs)
        client, sent = blobs._client, 0
        upload_part = client.upload_part

        async def fails_at_the_second(**asked: object) -> object:
            nonlocal sent
            sent += 1
            if sent == 2:
                raise OSError("the line broke")
            return await upload_part(**asked)

        client.upload_part = fails_at_the_second
        blob, file = staged(blobs, LARGE)
        with pytest.raises(BlobsUnavailableError):
            await blobs.put(blob, file)
        session = aioboto3.Session(aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
        async with session.client("s3", endpoint_url=endpoints["moto"]) as other:
            assert "Uploads" not in await other.list_multipart_uploads(Bucket=BUCKET)
        assert await names(blobs) == set() and os.listdir(blobs.staging()) == []


async def test_encryption_is_asked_for_where_it_is_switched_on(endpoints: dict[str, str], tmp_path: Path) -> None:
    async with opened(f"s3://{BUCKET}/sse", tmp_path, endpoint=endpoints["moto"], sse="AES256") as blobs:
        assert isinstance(blobs, S3Blobs)
        for content in (b"small", LARGE):
            blob = await put(blobs, content)
            head = await blobs._client.head_object(Bucket=BUCKET, Key=blobs._key(blob))
            assert head["ServerSideEncryption"] == "AES256"


async def test_wrong_credentials_are_a_store_that_refuses(
    endpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    async with opened(f"s3://{BUCKET}/x", tmp_path, endpoint=endpoints["nanio"]) as blobs:
        with pytest.raises(BlobsUnavailableError):
            await put(blobs, b"x")


async def test_a_black_hole_is_given_up_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoints: dict[str, str]
) -> None:
    """A server that takes the connection and never answers."""
    monkeypatch.setattr(s3, "BLOB_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(s3, "BLOB_TRIES_MAX", 2)
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(16)
        endpoint = f"http://127.0.0.1:{hole.getsockname()[1]}"
        async with opened(f"s3://{BUCKET}", tmp_path, endpoint=endpoint) as blobs, asyncio.timeout(20):
            with pytest.raises(BlobsUnavailableError):
                await put(blobs, b"x")
            with pytest.raises(BlobsUnavailableError):
                await blobs.ping()


@pytest.mark.parametrize(
    "lost", [ConnectionClosedError(endpoint_url="s3"), NO_SUCH_UPLOAD], ids=["answer", "second try"]
)
async def test_parts_whose_joining_was_not_answered_are_found_by_their_object(
    endpoints: dict[str, str], tmp_path: Path, lost: Exception
) -> None:
    """A store that takes longer to join than it is waited for: asked again, it knows no such upload any more."""
    async with opened(f"s3://{BUCKET}/slow", tmp_path, endpoint=endpoints["moto"]) as blobs:
        assert isinstance(blobs, S3Blobs)
        join = blobs._client.complete_multipart_upload

        async def joins_and_says_nothing(**asked: object) -> object:
            await join(**asked)
            raise lost

        blobs._client.complete_multipart_upload = joins_and_says_nothing
        blob = await put(blobs, LARGE)
        assert await whole(blobs, blob) == LARGE


async def test_a_refused_joining_is_told_and_nothing_is_left(endpoints: dict[str, str], tmp_path: Path) -> None:
    async with opened(f"s3://{BUCKET}/refused", tmp_path, endpoint=endpoints["moto"]) as blobs:
        assert isinstance(blobs, S3Blobs)

        async def refuses(**asked: object) -> object:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "CompleteMultipartUpload")

        blobs._client.complete_multipart_upload = refuses
        blob, file = staged(blobs, LARGE)
        with pytest.raises(BlobsUnavailableError):
            await blobs.put(blob, file)
        assert await names(blobs) == set() and os.listdir(blobs.staging()) == []


async def test_a_store_that_refuses_for_a_moment_is_asked_again(tmp_path: Path, endpoints: dict[str, str]) -> None:
    port = free_port()
    async with faulty_s3(tmp_path / "nanio", port) as s3:
        endpoint = f"http://127.0.0.1:{port}"
        await make_bucket(endpoint)
        async with opened(f"s3://{BUCKET}", tmp_path, endpoint=endpoint) as blobs:
            for fault in FAULTS:
                s3.fail(fault, after=0)
                putting = asyncio.create_task(put(blobs, fault.encode()))
                await s3.hit.wait()
                await s3.heal()
                assert await whole(blobs, await putting) == fault.encode()


async def test_who_puts_bytes_that_are_there_already_cannot_tell(stores: dict[str, Blobs]) -> None:
    """The second put does all that the first did: neither an answer nor its time says that somebody had them."""
    asked: list[str] = []
    for store in stores.values():
        if isinstance(store, S3Blobs):
            store._client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
        for content in (b"had by two", LARGE):
            blob, first = staged(store, content)
            _, second = staged(store, content)
            inode = second.stat().st_ino
            asked.clear()
            await store.put(blob, first)
            asked_first = asked.copy()
            await store.put(blob, second)
            if isinstance(store, S3Blobs):
                assert asked == asked_first * 2 != []
            else:
                assert next((store.staging().parent / "blobs").glob(f"*/{blob}")).stat().st_ino == inode
            await store.delete(blob)
