"""A witness that keeps checkpoints: a bucket whose objects cannot be replaced for a while (S3 object lock)."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import aioboto3
from aiobotocore.config import AioConfig
from aiohttp import ClientError as NoConnectionError
from botocore.exceptions import BotoCoreError, ClientError

from domain.ports.witnesses import Prover, WitnessContradictsError, WitnessUnavailableError
from domain.tree_head import NOTE_BYTES_MAX, Signature, TreeHead

BUCKET_CONNECT_SECONDS, BUCKET_ANSWER_SECONDS, BUCKET_TRIES_MAX = 3.0, 10.0, 3


class BucketPlace:
    """Writes an object a checkpoint, locked (compliance mode) so that nobody, the account's owner among them, can replace or
    delete it before its time. The bucket must have been made with object lock."""

    def __init__(self, client: Any, stack: AsyncExitStack, *, bucket: str, prefix: str, days: int) -> None:
        self.name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client = client
        self._stack = stack
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._days = days

    @classmethod
    async def open(cls, *, bucket: str, prefix: str, days: int, endpoint: str = "") -> Self:
        """Make the client; it connects when it is first used. Credentials and region come from where every AWS client
        takes them. `days` is how long objects are locked."""
        stack = AsyncExitStack()
        config = AioConfig(
            connect_timeout=BUCKET_CONNECT_SECONDS,
            read_timeout=BUCKET_ANSWER_SECONDS,
            retries={"total_max_attempts": BUCKET_TRIES_MAX, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto"},
        )
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        client = await stack.enter_async_context(
            aioboto3.Session().client("s3", region_name=region, endpoint_url=endpoint or None, config=config)
        )
        return cls(client, stack, bucket=bucket, prefix=prefix, days=days)

    async def take(self, head: TreeHead, note: str, prove: Prover) -> Signature | None:
        key = f"{self._prefix}{head.origin.rpartition('/')[2]}/{head.size:019d}.checkpoint"
        try:
            await self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=note.encode(),
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=self._days),
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise WitnessUnavailableError(_said(error)) from None
            if await self._read(key) != note:
                raise WitnessContradictsError(
                    f"The bucket holds another checkpoint of {head.size:,} events: {key}."
                ) from None
        except (BotoCoreError, NoConnectionError, TimeoutError, OSError) as error:
            raise WitnessUnavailableError(_said(error)) from None
        return None

    async def notes(self, origin: str) -> AsyncIterator[tuple[str, str]]:
        """Yield what was kept of a record, the smallest tree first. Raise `WitnessUnavailableError`."""
        prefix = f"{self._prefix}{origin.rpartition('/')[2]}/"
        try:
            async for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            ):
                for found in page.get("Contents", ()):
                    yield f"s3://{self._bucket}/{found['Key']}", await self._read(found["Key"])
        except (ClientError, BotoCoreError, NoConnectionError, TimeoutError, OSError) as error:
            raise WitnessUnavailableError(_said(error)) from None

    async def close(self) -> None:
        await self._stack.aclose()

    async def _read(self, key: str) -> str:
        answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        async with answer["Body"] as body:
            return str((await body.content.read(NOTE_BYTES_MAX)).decode())


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
