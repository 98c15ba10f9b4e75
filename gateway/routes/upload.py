"""Uploads: taking a file in, storing its bytes, and recording that it was received. What happens to it then is the
workers' (`workers/files/saga.py`).
"""

from contextlib import suppress
from hashlib import sha256
from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from commands.file import ReceiveFile, may_receive
from commands.unit_of_work import Outcome, UnitOfWork
from domain.errors import QuotaExceededError
from domain.events import Caller
from domain.file import FileReceived
from domain.file_snapshot import FileStatus
from domain.ids import FileId, RoomId
from domain.ports.record import RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from domain.quotas import of_address
from domain.tasks import ScanFile
from gateway.edge import rate_limits
from gateway.http.declarations import Described, declare
from gateway.http.idempotency import receipt_for, require_key
from gateway.http.multipart import Received, receiving
from gateway.http.responses import written
from gateway.operations.execution import execute, me
from gateway.services import Services

UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary", "minLength": 1}},
                "additionalProperties": False,
            }
        }
    },
}


class UploadView(Struct, frozen=True):
    """`task_id` equals `id`."""

    task_id: FileId
    id: FileId
    status: FileStatus


@post(
    "/files/upload",
    status_code=202,
    request_max_body_size=None,
    opt=declare(
        "file.upload",
        "file.upload_for",
        quotas=("uploads",),
        idempotency="receipt",
        described=Described(makes="file_id", form=UPLOAD_BODY, refused_with=frozenset({408})),
    ),
)
async def upload(
    request: Request[Any, Any, Any], services: Services, caller: Caller, room_id: UUID | None = None
) -> Response[UploadView]:
    """Take a file in: multipart/form-data with one field, `file`. It can be downloaded once it was found clean.

    `room_id`: where it is going to be shown; until it is completed it can be shown only there.
    """
    for_room = None if room_id is None else RoomId(room_id)

    async def probe(unit: UnitOfWork) -> None:
        await may_receive(unit, for_room)

    await services.command_bus.admit(probe, caller)
    require_key(request)
    await _take_bytes(request, services, caller)
    bytes_max = services.policy.upload_bytes_max
    with services.uploads.take(me(caller), of_address(caller.address)) as slot:
        async with receiving(request, services.blobs.staging(), slot, bytes_max=bytes_max) as received:
            outcome, file_id = await _receive(request, services, caller, received, for_room)
    recorded = outcome.recorded(FileReceived)
    if recorded is not None:
        file_id = recorded.event.file_id
        with suppress(TasksUnavailableError):  # then the dispatcher finds it in the record
            await services.tasks.add(ScanFile(file_id, me(caller)))
    return written(outcome, UploadView(file_id, file_id, "processing"), status=202)


async def _receive(
    request: Request[Any, Any, Any], services: Services, caller: Caller, received: Received, for_room: RoomId | None
) -> tuple[Outcome, FileId]:
    """Store the bytes, then record that they were received. In between, a lease keeps the sweeper from deleting them."""
    file_id = FileId(services.command_bus.new_id())
    command = ReceiveFile(
        file_id, received.original_name, received.mime_type, received.size_bytes, received.blob, for_room
    )
    content = f"{received.blob}\n{received.original_name}\n{for_room}"
    receipt = receipt_for(request, content.encode(), before=sha256(content.encode()).digest())
    quota = services.policy.storage_bytes_of_user
    if not await services.blob_leases.reserve(me(caller), file_id, received.size_bytes, quota_bytes=quota):
        raise QuotaExceededError
    try:
        await services.blob_leases.hold([received.blob])
        await services.blobs.put(received.blob, received.path)
        outcome = await execute(services, command, caller, receipt)
    except RecordUnavailableError:
        raise  # it may have been written; the reservation expires by itself
    except BaseException:
        await services.blob_leases.release(file_id)
        raise
    if outcome.replayed:
        await services.blob_leases.release(file_id)
    return outcome, file_id


async def _take_bytes(request: Request[Any, Any, Any], services: Services, caller: Caller) -> None:
    """Take the length of the upload, as its header says, from the caller's quota of bytes. More than that is never read."""
    quota = services.policy.quotas.upload_bytes
    if quota is not None:
        length = request.headers.get("content-length", "")
        cost = int(length) if length.isdecimal() else services.policy.upload_bytes_max
        access = request.scope["state"]["access"]
        await rate_limits.take(
            services.limits, request.scope, rate_limits.owner_of(request.scope, access),
            quota.at(max(1, cost)),
        )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [upload]
