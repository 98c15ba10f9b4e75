"""Blobs in S3, or in a store with the same API. Every request has a time-out and a bounded number of tries.

Bytes are gathered on this machine first, because their name is their hash. Large ones are uploaded in parts, one at a
time, so that memory stays bounded; the parts of an upload that failed are aborted. The library's own `upload_file`
queues a hundred parts and was seen to hang when one fails. Completing an upload may take a store longer than we wait:
then the object itself is looked for, because its name says what it is.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Self

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from adapters.blobs.s3_errors import BeyondTheEndError, translated
from domain.bounds import BLOB_CHUNK_BYTES, BLOB_PAGE_MAX
from domain.file_name import storage_path
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError, StoredBlob

BLOB_PART_BYTES = 6 * 1024 * 1024
BLOB_CONNECT_SECONDS = 3.0
BLOB_ANSWER_SECONDS = 5.0
BLOB_TRIES_MAX = 3
BLOB_REQUEST_SECONDS = 8.0  # all tries of one together: clients wait for ten
BLOB_PARTING_SECONDS = 0.7  # for what is asked after one that was not answered
BLOB_JOINING_SECONDS = 60.0  # a store may take so long to make one object of a large upload's parts
SIGNED_URL_SECONDS = 60

NAME = re.compile(r"[0-9a-f]{64}")
PAUSE_SECONDS = 0.5


class S3Blobs:
    """The port `domain.ports.Blobs`. Credentials and region come from where every AWS client takes them."""

    def __init__(
        self, client: Any, stack: AsyncExitStack, *, bucket: str, prefix: str, sse: str, signed: bool, staging: Path
    ) -> None:
        self._client = client
        self._stack = stack
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._encrypted: dict[str, Any] = {"ServerSideEncryption": sse} if sse else {}
        self._signed = signed
        self._staging = staging

    @classmethod
    async def open(
        cls, *, bucket: str, prefix: str = "", endpoint: str = "", sse: str = "", signed: bool = False, staging: Path
    ) -> Self:
        """Make the client; it connects when it is first used. `sse`: AES256 or aws:kms; "": as the bucket says."""
        await asyncio.to_thread(staging.mkdir, parents=True, exist_ok=True, mode=0o700)
        stack = AsyncExitStack()
        config = AioConfig(
            connect_timeout=BLOB_CONNECT_SECONDS,
            read_timeout=BLOB_ANSWER_SECONDS,
            retries={"total_max_attempts": BLOB_TRIES_MAX, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto"},
            # Not every server knows the newer checksums; a blob's name is its checksum.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        client = await stack.enter_async_context(
            aioboto3.Session().client("s3", region_name=region, endpoint_url=endpoint or None, config=config)
        )
        # Waiting for "100 Continue" is bounded by none of the time-outs (aiohttp): a server that is silent hung a put.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return cls(client, stack, bucket=bucket, prefix=prefix, sse=sse, signed=signed, staging=staging)

    def staging(self) -> Path:
        return self._staging

    async def put(self, blob: str, file: Path) -> None:
        try:
            key = self._key(blob)
            if (await asyncio.to_thread(file.stat)).st_size <= BLOB_PART_BYTES:
                body = await asyncio.to_thread(file.read_bytes)
                await self._asked("put_object", Key=key, Body=body, **self._encrypted)
            else:
                await self._put_in_parts(key, file)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file)

    async def read(self, blob: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0:
            return
        wanted: dict[str, Any] = {}
        if start or length is not None:
            wanted["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            answer = await self._asked("get_object", Key=self._key(blob), **wanted)
        except BeyondTheEndError:
            return
        async with answer["Body"] as body:
            with translated():
                async for chunk in body.content.iter_chunked(BLOB_CHUNK_BYTES):
                    yield chunk

    @asynccontextmanager
    async def local(self, blob: str) -> AsyncIterator[Path]:
        handle, name = mkstemp(dir=self._staging)
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in self.read(blob):
                    await asyncio.to_thread(file.write, chunk)
            yield Path(name)
        finally:
            os.unlink(name)

    async def delete(self, blob: str) -> None:
        await self._asked("delete_object", Key=self._key(blob))

    async def every(self) -> AsyncIterator[Sequence[StoredBlob]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}blobs/", PaginationConfig={"PageSize": BLOB_PAGE_MAX}
        )
        with translated():
            async for page in pages:
                found = [(entry["Key"].rpartition("/")[2], entry) for entry in page.get("Contents", ())]
                yield [StoredBlob(name, e["Size"], e["LastModified"]) for name, e in found if NAME.fullmatch(name)]

    async def clear(self, before: datetime) -> int:
        """Abort uploads that were never completed (their process was killed), and remove files that were left on this
        machine."""
        removed = 0
        answer = await self._asked("list_multipart_uploads", Prefix=f"{self._prefix}blobs/")
        for upload in answer.get("Uploads", ()):
            if upload["Initiated"] < before:
                await self._asked("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
                removed += 1
        for entry in await asyncio.to_thread(lambda: list(os.scandir(self._staging))):
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < before.timestamp():
                    os.unlink(entry.path)
                    removed += 1
        return removed

    async def address(self, blob: str, *, disposition: str, mime_type: str) -> str | None:
        if not self._signed:
            return None
        asked = {
            "Bucket": self._bucket,
            "Key": self._key(blob),
            "ResponseContentDisposition": disposition,
            "ResponseContentType": mime_type,
        }
        with translated():
            return str(
                await self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=SIGNED_URL_SECONDS)
            )

    async def ping(self) -> None:
        try:
            await self._asked("head_bucket")
        except BlobMissingError:
            raise BlobsUnavailableError(f"The blob store refuses: there is no bucket {self._bucket}") from None

    async def close(self) -> None:
        await self._stack.aclose()

    async def _put_in_parts(self, key: str, file: Path) -> None:
        upload = (await self._asked("create_multipart_upload", Key=key, **self._encrypted))["UploadId"]
        parts: list[dict[str, Any]] = []
        try:
            with await asyncio.to_thread(open, file, "rb") as source:
                while chunk := await asyncio.to_thread(source.read, BLOB_PART_BYTES):
                    number = len(parts) + 1
                    sent = await self._asked("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=chunk)
                    parts.append({"ETag": sent["ETag"], "PartNumber": number})
            await self._join(key, upload, parts)
        except BaseException:
            with suppress(BlobsUnavailableError, BlobMissingError):
                taken_back = self._asked("abort_multipart_upload", BLOB_PARTING_SECONDS, Key=key, UploadId=upload)
                await asyncio.shield(taken_back)
            raise

    async def _join(self, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
        """Complete the upload. If the answer was lost, look for the object."""
        try:
            await self._asked("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
        except BlobsUnavailableError as error:
            if isinstance(error.__cause__, ClientError) and "NoSuchUpload" not in str(error):
                raise
            deadline = time.monotonic() + BLOB_JOINING_SECONDS
            while not await self._is_there(key):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)

    async def _is_there(self, key: str) -> bool:
        try:
            await self._asked("head_object", BLOB_PARTING_SECONDS, Key=key)
        except BlobMissingError:
            return False
        return True

    async def _asked(self, operation: str, seconds: float = BLOB_REQUEST_SECONDS, **arguments: Any) -> Any:
        with translated():
            async with asyncio.timeout(seconds):
                return await getattr(self._client, operation)(Bucket=self._bucket, **arguments)

    def _key(self, blob: str) -> str:
        if not NAME.fullmatch(blob):
            raise BlobMissingError(blob)
        return self._prefix + storage_path(blob)
