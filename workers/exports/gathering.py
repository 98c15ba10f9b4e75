"""Gathering: walks a room through the record and makes chunks of it. Bounded: what is held is one chunk and one page.

A message is in the export if any of its versions is in the stretch, at the first of these; with all its versions up to the end
of the stretch. What was said in a room is read by the room's own index, its versions by the stream of each message.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.postgres.codec import StoredRow, sealing_key
from adapters.postgres.export_source import DestroyedKey, ExportSource, Kept
from domain.erasure import ERASURE
from domain.events import Recorded, UnknownEvent, UnreadableEvent
from domain.export import ExportRequested
from domain.file import FILE
from domain.ids import FileId, KeyId, MessageId, RoomId, UserId
from domain.membership import MEMBERSHIP
from domain.message import MESSAGE, MessageDeleted, MessageEdited, MessageEvent, MessagePosted
from domain.reaction import REACTIONS
from domain.retention import DISPOSALS
from domain.room import ROOM
from domain.thread import THREAD, ThreadReplied
from domain.topics import FEATURES
from workers.exports.conversation import Chunk, Happening, Item, Message, Reply, Room
from workers.exports.parts_of_messages import Streams, message_of
from workers.exports.people import People, room_of

PAGE_EVENTS = 500
NO_ROOM = RoomId(UUID(int=0))  # in order before all others
CHUNK_ITEMS_MAX = 5_000  # RSMF's own advice is at most 10,000 events a file
CHUNK_CHARS_MAX = 4_000_000
REPLIES_MAX = 1_000  # that are listed with the root of a thread
CHUNK_FILE_BYTES_MAX = 64 * 1024**2
MADE_OF_MESSAGES = (MessagePosted, MessageEdited, MessageDeleted)
OF_ROOMS = tuple(event for stream, events in FEATURES if stream is ROOM or stream is MEMBERSHIP for event in events)
OWN_FIELDS = frozenset({"room_id", "user_id", "by"})


class Place(Struct, frozen=True):
    """How far an export is: the room, the position of the last item, and of which day's part that was."""

    room_id: RoomId
    position: int
    day: date | None = None
    part: int = 0


class Gathered(Struct, frozen=True):
    """A chunk, the rows that prove it, and where the next one begins."""

    chunk: Chunk
    rows: list[StoredRow]
    place: Place


class _Growing:
    """A chunk that is being gathered."""

    def __init__(self, day: date, part: int) -> None:
        self.day, self.part = day, part
        self.items: list[Item] = []
        self.rows: list[StoredRow] = []
        self.chars = self.file_bytes = 0

    def takes(self, item: Item) -> bool:
        chars, file_bytes = weight_of(item)
        return item.at.astimezone(UTC).date() == self.day and (
            not self.items
            or (
                len(self.items) < CHUNK_ITEMS_MAX
                and self.chars + chars <= CHUNK_CHARS_MAX
                and self.file_bytes + file_bytes <= CHUNK_FILE_BYTES_MAX
            )
        )

    def take(self, item: Item, rows: Sequence[StoredRow]) -> None:
        chars, file_bytes = weight_of(item)
        self.items.append(item)
        self.rows += rows
        self.chars += chars
        self.file_bytes += file_bytes


def weight_of(item: Item) -> tuple[int, int]:
    """Return how many characters and bytes of files an item brings along."""
    if isinstance(item, Happening):
        return 100, 0
    attachment = item.attachment
    size = attachment.size_bytes if attachment is not None and attachment.sha256 is not None else 0
    return sum(len(version.content or "") for version in item.versions), size


class Gathering:
    """Reads what an export is asked to hold."""

    def __init__(self, source: ExportSource, people: People, requested: ExportRequested) -> None:
        self._source = source
        self._people = people
        self._requested = requested
        self._actors = frozenset(requested.actors)

    async def rooms(self, beyond: RoomId) -> list[RoomId]:
        """Return the next rooms behind one, in the order of their ids; none: there are no more."""
        if self._requested.rooms:
            return sorted(room for room in set(self._requested.rooms) if room > beyond)
        return await self._source.rooms(beyond, until=self._requested.until, limit=PAGE_EVENTS)

    async def count(self) -> int:
        """Return how many rooms there are to look at."""
        if self._requested.rooms:
            return len(set(self._requested.rooms))
        count, beyond = 0, NO_ROOM
        while rooms := await self.rooms(beyond):
            count, beyond = count + len(rooms), rooms[-1]
        return count

    async def chunks(self, place: Place) -> AsyncIterator[Gathered]:
        """Yield the chunks of a room behind a place."""
        room = await room_of(self._source, place.room_id, until=self._requested.until)
        if room is None:
            return
        growing: _Growing | None = None
        async for item, rows in self._items(place.room_id, max(place.position, self._requested.after)):
            if growing is None or not growing.takes(item):
                day = item.at.astimezone(UTC).date()
                if growing is not None:
                    place = self._placed(place, growing)
                    yield await self._gathered(room, growing, place)
                growing = _Growing(day, place.part + 1 if place.day == day else 1)
            growing.take(item, rows)
        if growing is not None:
            yield await self._gathered(room, growing, self._placed(place, growing))

    def _placed(self, place: Place, growing: _Growing) -> Place:
        return Place(place.room_id, growing.items[-1].position, growing.day, growing.part)

    async def _gathered(self, room: Room, growing: _Growing, place: Place) -> Gathered:
        named = {user_id for item in growing.items for user_id in item.people}
        people = await self._people.of(named | set(room.members), until=self._requested.until)
        chunk = Chunk(room, growing.day, growing.part, tuple(growing.items), people)
        return Gathered(chunk, growing.rows, place)

    async def _items(self, room_id: RoomId, after: int) -> AsyncIterator[tuple[Item, list[StoredRow]]]:
        until = self._requested.until
        while page := await self._source.events(room_id, after, until=until, limit=PAGE_EVENTS):
            after = page[-1].row.position
            found = await self._page(page)
            for item, rows in found:
                if not self._actors or item.people & self._actors:
                    yield item, rows

    async def _page(self, page: Sequence[Kept]) -> list[tuple[Item, list[StoredRow]]]:
        """Return what a page of a room's events is about: each message once, at its first event in the stretch."""
        read = await self._read([event for kept in page if isinstance(event := kept.recorded.event, MADE_OF_MESSAGES)])
        made: list[tuple[Item, list[StoredRow]]] = []
        for kept in page:
            event = kept.recorded.event
            if isinstance(event, MADE_OF_MESSAGES):
                streams = read[event.message_id]
                first = next(each for each in streams.versions if each.recorded.position > self._requested.after)
                if first.recorded.position == kept.recorded.position:
                    made.append((message_of(kept.recorded, streams), [each.row for each in streams.versions]))
            elif isinstance(event, (*OF_ROOMS, UnreadableEvent)):
                made.append((happening_of(kept.recorded, kept.row), [kept.row]))
        return made

    async def _read(self, events: Sequence[MessageEvent]) -> dict[MessageId, Streams]:
        """Return what there is of each of these messages."""
        wanted = {event.message_id: event for event in events}
        streams = [stream.id(each) for each in wanted for stream in (MESSAGE, REACTIONS, THREAD)]
        streams += [FILE.id(event.file_id) for event in wanted.values() if event.file_id]
        found = await self._source.streams(streams, until=self._requested.until)
        replied = {each: replies_of(found[THREAD.id(each)]) for each in wanted}
        firsts = {MESSAGE.id(reply.message_id) for replies in replied.values() for reply in replies}
        firsts |= {MESSAGE.id(event.thread_id) for event in wanted.values() if event.thread_id}
        begin = await self._source.first_positions(firsts)
        destroyed = await self._destroyed([kept for each in wanted for kept in found[MESSAGE.id(each)]])
        return {
            message_id: Streams(
                found[MESSAGE.id(message_id)],
                found[REACTIONS.id(message_id)],
                found[FILE.id(event.file_id)] if event.file_id else [],
                begin.get(MESSAGE.id(event.thread_id)) if event.thread_id else None,
                [
                    Reply(reply.message_id, reply.user_id, first.position, first.at)
                    for reply in replied[message_id]
                    if (first := begin.get(MESSAGE.id(reply.message_id))) is not None
                ],
                destroyed,
            )
            for message_id, event in wanted.items()
        }

    async def _destroyed(self, versions: Sequence[Kept]) -> dict[KeyId, DestroyedKey]:
        """Return what the record says of the keys of texts that are erased."""
        erased = [kept for kept in versions if kept.recorded.erased]
        streams = set()
        for kept in erased:
            event = kept.recorded.event
            if isinstance(event, MADE_OF_MESSAGES):
                streams |= {ERASURE.id(event.sender_id), DISPOSALS.id(event.room_id)}
        keys = {key for kept in erased if (key := sealing_key(kept.row)) is not None}
        return await self._source.destroyed(streams, keys)


def replies_of(thread: Sequence[Kept]) -> list[ThreadReplied]:
    """Return the first replies of a thread."""
    found = [event for kept in thread if isinstance(event := kept.recorded.event, ThreadReplied)]
    return found[:REPLIES_MAX]


def happening_of(recorded: Recorded[Any], row: StoredRow) -> Happening:
    """Return what an event of a room or a membership says. What cannot be read says so."""
    event = recorded.event
    assert row.room_id is not None, "a room's events have it"
    room_id = RoomId(row.room_id)
    if isinstance(event, UnknownEvent):
        fault = event.fault if isinstance(event, UnreadableEvent) else "unknown"
        return Happening(
            recorded.position, recorded.at, room_id, row.topic, recorded.meta.actor, None, None, {"unreadable": fault}
        )
    fields: dict[str, Any] = msgspec.to_builtins(event)
    user_id = getattr(event, "user_id", None)
    by = getattr(event, "by", None) or recorded.meta.actor
    details = {name: value for name, value in fields.items() if name not in OWN_FIELDS}
    return Happening(
        recorded.position, recorded.at, room_id, event.topic, None if by is None else UserId(by), user_id,
        recorded.meta.reason, details, recorded.erased,
    )  # fmt: skip


def files_of(chunk: Chunk) -> dict[FileId, Message]:
    """Return the files of a chunk whose bytes are in the package, each with the first message that shows it."""
    found: dict[FileId, Message] = {}
    for message in chunk.showing:
        assert message.attachment is not None
        found.setdefault(message.attachment.file_id, message)
    return found
