"""The maker of one export: gathers chunks, writes them in the formats that were asked for, and puts the package together.

What blocks (rendering, hashing, disk) runs in a thread, so that the worker's other loops go on. After each part the place is
noted: whoever goes on, here or elsewhere, begins there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.json import format as indented
from msgspec.structs import replace

from adapters.postgres.export_source import ExportSource
from adapters.postgres.tiles import SignedCheckpoint, TileStore
from adapters.sealing import seal
from domain.export import ExportRequested
from domain.ids import FileId, RecordId, UserId
from domain.ports.blobs import BlobMissingError, Blobs
from domain.tree_head import origin_of
from workers.exports import eml, jsonl, package, rsmf, slack, tables
from workers.exports.archive import Fragment
from workers.exports.conversation import Chunk, Message, Person
from workers.exports.gathering import NO_ROOM, Gathered, Gathering, Place, files_of
from workers.exports.package import About
from workers.exports.parts import PART_BYTES, Counts, Growing, Store, counts_of, hashed, place_of
from workers.exports.people import People
from workers.exports.proofs import Proofs

BEGINNING = Place(NO_ROOM, 0)
PEOPLE_AT_ONCE = 500
SIGNED_TRIES, SIGNED_PAUSE_SECONDS = 20, 0.1  # the notary signs within a second
GATHERED = 0.95  # of the work
EPOCH = datetime(1980, 1, 1, tzinfo=UTC)


class NotSignedYetError(Exception):
    """The notary has not signed the end of the stretch yet."""


class UnwantedError(Exception):
    """Nobody wants this export any more: it was cancelled."""


class Made(msgspec.Struct, frozen=True):
    """A package that is in the store."""

    blob: str
    content_sha256: str
    size_bytes: int
    counts: Counts


Tell = Callable[[float, int], Awaitable[None]]


class Maker:
    """Makes one export."""

    def __init__(
        self, requested: ExportRequested, record: RecordId, source: ExportSource, tiles: TileStore, blobs: Blobs, store: Store,
        *, tell: Tell, part_bytes: int = PART_BYTES,
    ) -> None:  # fmt: skip
        """`tell` hears how far it is (0–1), and how many messages there are; it raises `UnwantedError` to have it end."""
        self._requested = requested
        self._record = record
        self._source = source
        self._tiles = tiles
        self._blobs = blobs
        self._store = store
        self._tell = tell
        self._part_bytes = part_bytes
        self._people = People(source)
        self._gathering = Gathering(source, self._people, requested)
        self._proofs: Proofs | None = None
        self._growing = Growing()
        self._number = 0
        self._counts = Counts()
        self._rooms = self._done = 0

    async def make(self) -> Made:
        """Make the package, from where its parts end. Raise `NotSignedYetError`, `UnwantedError`, `ProofUnavailableError`,
        `SealingError`, and what says that a store is away."""
        checkpoint = await self._checkpoint()
        self._proofs = Proofs(self._tiles, checkpoint) if checkpoint is not None else None
        rows = await self._store.rows()
        place = place_of(rows[-1]) if rows else BEGINNING
        self._number = len(rows)
        for row in rows:
            self._counts = self._counts.plus(counts_of(row))
        try:
            await self._gather(place)
            return await self._assemble(checkpoint)
        finally:
            self._growing.close()
            self._store.clear()

    async def _checkpoint(self) -> SignedCheckpoint | None:
        """Return the first checkpoint that holds all of the stretch, which no later one replaces; None if nothing was signed."""
        origin = origin_of(self._record)
        for _ in range(SIGNED_TRIES):
            if found := await self._tiles.checkpoints(origin, after=self._requested.until - 1, limit=1):
                return found[0]
            if not await self._tiles.has_signed(origin):
                return None
            await asyncio.sleep(SIGNED_PAUSE_SECONDS)
        raise NotSignedYetError

    async def _gather(self, place: Place) -> None:
        self._rooms = await self._gathering.count()
        self._done = self._counts.rooms
        if place.position:
            place = await self._room(place)
        while rooms := await self._gathering.rooms(place.room_id):
            for room_id in rooms:
                place = await self._room(Place(room_id, 0))
                self._done += 1
        await self._flush(place)

    async def _room(self, place: Place) -> Place:
        room_id = place.room_id
        async for gathered in self._gathering.chunks(place):
            await self._write(gathered, is_first=not place.position)
            place = gathered.place
            if self._growing.size >= self._part_bytes:
                await self._flush(place)
            await self._say(place.position)
        return place if place.room_id == room_id and place.position else Place(room_id, 0)

    async def _write(self, gathered: Gathered, *, is_first: bool) -> None:
        lines = await self._proofs.lines(gathered.rows) if self._proofs is not None else []
        async with AsyncExitStack() as stack:
            files: dict[FileId, Path] = {}
            for file_id, message in files_of(gathered.chunk).items():
                assert message.attachment is not None and message.attachment.sha256 is not None
                try:
                    files[file_id] = await stack.enter_async_context(self._blobs.local(message.attachment.sha256))
                except BlobMissingError:
                    continue
            chunk = without_missing(gathered.chunk, files)
            await asyncio.to_thread(self._render, chunk, lines, files, is_first)

    def _render(self, chunk: Chunk, lines: list[bytes], files: Mapping[FileId, Path], is_first: bool) -> None:
        growing, formats = self._growing, self._requested.formats
        if is_first:
            growing.rooms.append(chunk.room)
            _write_room(growing.package, chunk)
        if "jsonl" in formats:
            jsonl.write(chunk, growing.package)
        if "csv" in formats:
            tables.write(chunk, growing.package)
        if "eml" in formats:
            eml.write(chunk, growing.package, files)
        if "rsmf" in formats:
            rsmf.write(chunk, growing.package, files)
        if "slack" in formats:
            slack.write(chunk, growing.slack, files)
        if lines:
            growing.package.add(f"proofs/{chunk.stem}.jsonl", chunk.last, b"".join(line + b"\n" for line in lines))
        for message in chunk.showing:
            assert message.attachment is not None and message.attachment.path is not None
            file_id = message.attachment.file_id
            with (
                growing.package.member(message.attachment.path, message.at) as writer,
                files[file_id].open("rb") as file,
            ):
                writer.copy(file)
        growing.counts = growing.counts.plus(counted(chunk, len(lines), is_first=is_first))

    async def _flush(self, place: Place) -> None:
        growing, self._growing = self._growing, Growing()
        if not growing.size:
            growing.close()
            return
        path, blob, lengths = await asyncio.to_thread(self._store.write, growing)
        await self._store.finish(self._number, path, blob, lengths, place, growing.counts)
        self._number += 1
        self._counts = self._counts.plus(growing.counts)

    async def _say(self, position: int) -> None:
        """Tell how far it is: by rooms, and within one by positions."""
        asked = self._requested
        within = (position - asked.after) / max(1, asked.until - asked.after)
        progress = (self._done + within) / max(1, self._rooms)
        await self._tell(min(GATHERED, GATHERED * progress), self._counts.plus(self._growing.counts).messages)

    async def _assemble(self, checkpoint: SignedCheckpoint | None) -> Made:
        at = (await self._source.recorded_at(self._requested.until)) or EPOCH
        signed_at = None if checkpoint is None else checkpoint.signed_at
        keys = [
            key.vkey
            for key in await self._tiles.keys(origin_of(self._record))
            if signed_at is not None and key.made_at <= signed_at
        ]
        note, size = (None, 0) if checkpoint is None else (checkpoint.note, checkpoint.size)
        about = About(self._record, self._requested, note, size, keys, at)
        path = self._store.staged()
        rows = await self._store.rows()
        async with AsyncExitStack() as stack:
            parts = [await stack.enter_async_context(self._store.part(row)) for row in rows]
            made = package.write_to(path, about)
            for part in parts:
                await asyncio.to_thread(made.stretch, part)
                await self._tell(GATHERED, self._counts.messages)
            if "slack" in self._requested.formats:
                ids = await asyncio.to_thread(package.people_of, (room for part in parts for room in part.rooms()))
                people = await self._named(sorted(ids))
                await asyncio.to_thread(made.slack_archive, parts, iter(people))
            await asyncio.to_thread(made.finish, self._counts)
        content = await asyncio.to_thread(hashed, path)
        sealed, blob = path, content
        if self._requested.recipient is not None:
            sealed = self._store.staged()
            await asyncio.to_thread(seal, path, sealed, self._requested.recipient)
            path.unlink()
            blob = await asyncio.to_thread(hashed, sealed)
        size = sealed.stat().st_size
        await self._tell(1.0, self._counts.messages)
        await self._store.put(blob, sealed)
        return Made(blob, content, size, self._counts)

    async def _named(self, ids: Sequence[UserId]) -> list[Person]:
        found: list[Person] = []
        for at in range(0, len(ids), PEOPLE_AT_ONCE):
            some = ids[at : at + PEOPLE_AT_ONCE]
            people = await self._people.of(some, until=self._requested.until)
            found += [people[user_id] for user_id in some]
        return found


def without_missing(chunk: Chunk, files: Mapping[FileId, Path]) -> Chunk:
    """Return a chunk in which attachments whose bytes are gone say so."""

    def mended(message: Message) -> Message:
        attachment = message.attachment
        if attachment is None or attachment.path is None or attachment.file_id in files:
            return message
        return replace(message, attachment=replace(attachment, path=None, status="missing"))

    return replace(chunk, items=tuple(mended(item) if isinstance(item, Message) else item for item in chunk.items))


def counted(chunk: Chunk, proofs: int, *, is_first: bool) -> Counts:
    """Return what is in a chunk."""
    messages = chunk.messages
    attachments = [message.attachment for message in messages if message.attachment is not None]
    return Counts(
        messages=len(messages),
        versions=sum(len(message.versions) for message in messages),
        deleted=sum(message.is_deleted for message in messages),
        reactions=sum(len(message.reactions) for message in messages),
        happenings=len(chunk.items) - len(messages),
        attachments=sum(each.path is not None for each in attachments),
        missing=sum(each.status == "missing" for each in attachments),
        erased=sum(message.erased for message in messages),
        proofs=proofs,
        rooms=int(is_first),
    )


def _write_room(fragment: Fragment, chunk: Chunk) -> None:
    room = msgspec.to_builtins(chunk.room)
    room["names"] = {str(user_id): chunk.shown(user_id) for user_id in sorted(chunk.room.members)}
    content = indented(msgspec.json.encode(room, order="sorted"), indent=1)
    fragment.add(f"rooms/{chunk.room.room_id}.json", chunk.room.created_at, content + b"\n")
