"""What only some processes open. Each is closed by the exit stack that it is given."""

from contextlib import AsyncExitStack

from adapters.blobs.stores import open_blobs
from adapters.postgres.audit import AuditReader
from adapters.postgres.export_source import ExportSource
from adapters.redis.lanes import Lanes
from adapters.redis.task_queue import RedisTasks
from domain.ports.blobs import Blobs
from runtime.composition.process_context import ProcessContext, process_name
from runtime.locations import redis_url
from runtime.settings import Settings


def opened_lanes(base: ProcessContext, stack: AsyncExitStack) -> Lanes:
    """Open the lanes; the stack closes them."""
    lanes = Lanes.open(redis_url(base.settings), base.record_id, base.settings.lanes)
    stack.push_async_callback(lanes.close)
    return lanes


def opened_tasks(base: ProcessContext, stack: AsyncExitStack) -> RedisTasks:
    """Open the task queue; the stack closes it."""
    tasks = RedisTasks.open(redis_url(base.settings), base.record_id, process_name())
    stack.push_async_callback(tasks.close)
    return tasks


async def opened_audit(base: ProcessContext, stack: AsyncExitStack) -> AuditReader:
    """Open the auditor's reader; the stack closes it."""
    audit = await AuditReader.open(base.db.url, base.vault.master)
    stack.push_async_callback(audit.close)
    return audit


async def opened_exports(base: ProcessContext, stack: AsyncExitStack) -> ExportSource:
    """Open the reader of exports; the stack closes it."""
    source = await ExportSource.open(base.db.url, base.vault.master)
    stack.push_async_callback(source.close)
    return source


async def opened_blobs(settings: Settings, stack: AsyncExitStack) -> Blobs:
    """Open the blob store; the stack closes it."""
    blobs = await open_blobs(
        settings.blobs_url,
        home=settings.home,
        endpoint=settings.s3_endpoint,
        sse="" if settings.s3_encryption == "off" else settings.s3_encryption,
        signed=settings.signed_urls == "on",
    )
    stack.push_async_callback(blobs.close)
    return blobs
