"""The saga of a file: each step looks at the file on the record, does what is due, and records what came of it.

A step may run twice, anywhere, at any time: bytes are stored before they are recorded, under their hash; and a decision
that is taken already is silent. The queue only says what might be due (`workers/files/task_workers.py`).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import assert_never

from adapters.media.child_process import Produced
from adapters.media.sandbox import Sandbox
from adapters.postgres.blob_leases import BlobLeases
from commands.command_bus import CommandBus
from commands.file import FailFile, NoteProcessing, NoteScan
from domain.events import Caller
from domain.file import FILE, File, Variant
from domain.ids import FileId, UserId
from domain.ports.blobs import Blobs, BlobsUnavailableError
from domain.ports.database import Db
from domain.ports.scanner import Scanner, UnscannableError
from domain.processing import SENTENCES, Reason
from domain.tasks import FileTask, ProcessDocument, ProcessImage, ScanFile, next_task
from projections import LIVE, checkpoints, members

SAGA = Caller(agent="hansard worker")
Held = Callable[[], Awaitable[bool]]


class ClaimLostError(Exception):
    """Somebody else has this task by now; nothing more is recorded of it here."""


async def alone() -> bool:
    """The answer of whoever does a task that nobody else can have."""
    return True


class Saga:
    def __init__(
        self, command_bus: CommandBus, blobs: Blobs, holds: BlobLeases, scanner: Scanner, sandbox: Sandbox, db: Db
    ) -> None:
        self._command_bus = command_bus
        self._blobs = blobs
        self._holds = holds
        self._scanner = scanner
        self._sandbox = sandbox
        self._db = db

    async def do(self, task: FileTask, held: Held = alone) -> FileTask | None:
        """Do a task if it is still due; return the task that is due next. An error may go away with another try.

        `held` is called before anything is recorded: whether the task is still this worker's. Raise `ClaimLostError` if not.
        """
        folded = await self._command_bus.see(FILE, task.file_id)
        file = folded.state
        if file is None or next_task(file.file_id, file.uploader_id, file.status, file.mime_type) is None:
            return None
        match task:
            case ScanFile() if file.status == "pending":
                await self._scan(file, folded.position, held)
            case ProcessImage() | ProcessDocument() if file.status == "processing":
                await self._process(file, task, held)
            case ScanFile() | ProcessImage() | ProcessDocument():
                pass  # this step was done, or its turn has not come
            case _:
                assert_never(task)
        file = (await self._command_bus.see(FILE, task.file_id)).state
        assert file is not None, "files do not go away"
        return next_task(file.file_id, file.uploader_id, file.status, file.mime_type)

    async def fail(self, file_id: FileId, reason: Reason, held: Held = alone) -> None:
        """End a file that cannot be processed; one that has ended stays as it is. Raise `ClaimLostError`."""
        await self._note(FailFile(file_id, reason), held)

    async def _note(self, command: FailFile | NoteProcessing | NoteScan, held: Held) -> None:
        if not await held():
            raise ClaimLostError
        await self._command_bus.do(command, SAGA)

    async def _scan(self, file: File, position: int, held: Held) -> None:
        try:
            verdict = await self._scanner.scan(self._blobs.read(file.blob))
        except UnscannableError:
            await self.fail(file.file_id, "unscannable", held)
            return
        told: tuple[UserId, ...] = ()
        if verdict.signature is not None and (room_id := file.room_id or file.for_room):
            await checkpoints.have_reached(self._db, (LIVE.name,), position)  # who looked after the room at the upload
            told = tuple(await members.moderators(self._db, room_id))
        await self._note(NoteScan(file.file_id, verdict.scan, verdict.signature, told), held)

    async def _process(self, file: File, task: ProcessImage | ProcessDocument, held: Held) -> None:
        job = "image" if isinstance(task, ProcessImage) else "document"
        async with self._blobs.local(file.blob) as path:
            result = await self._sandbox.run(job, path, mime_type=file.mime_type, operations=task.operations)
        if result.reason is not None:
            # What a child says was held to what it may say (`adapters/media/child_answers.py`).
            reason: Reason = next((known for known in SENTENCES if known == result.reason), "unreadable")
            await self.fail(file.file_id, reason, held)
            return
        variants = [_variant(made) for made in result.made]
        await self._holds.hold([variant.blob for variant in variants])
        for variant, made in zip(variants, result.made, strict=True):
            await self._blobs.put(variant.blob, await asyncio.to_thread(_gathered, self._blobs.staging(), made.content))
        await self._note(NoteProcessing(file.file_id, tuple(variants), result.pages), held)


def _variant(made: Produced) -> Variant:
    return Variant(
        made.name, made.width, made.height, made.mime_type, len(made.content), sha256(made.content).hexdigest()
    )


def _gathered(staging: Path, content: bytes) -> Path:
    """Return a file of these bytes, to be put into the store. A full disk leaves nothing behind, and counts as a store
    that refuses."""
    try:
        handle, name = mkstemp(dir=staging)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise BlobsUnavailableError(f"A variant cannot be gathered: {error.strerror}") from error
    return Path(name)
