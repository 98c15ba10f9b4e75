"""How a message of an export is made of the events of its streams."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapters.postgres.codec import sealing_key
from adapters.postgres.export_source import DestroyedKey, FirstEvent, Kept
from domain.events import Recorded, UnreadableEvent
from domain.file import FileCompleted, FileFailed, FileReceived
from domain.file_name import file_name
from domain.file_snapshot import FileSnapshot
from domain.ids import FileId, KeyId, MessageId, UserId
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.retention import RetentionApplied
from workers.exports.conversation import Attachment, Destroyed, Message, Reaction, Reply, Version

NAME_BYTES_MAX = 120


class Streams(NamedTuple):
    """All that is read of a message: its own events, its reactions, its file, where the root of its thread stands, the
    replies to it, and what is known of keys that are destroyed."""

    versions: Sequence[Kept]
    reactions: Sequence[Kept]
    file: Sequence[Kept]
    root: FirstEvent | None
    replies: Sequence[Reply]
    destroyed: Mapping[KeyId, DestroyedKey]


def message_of(touched: Recorded[Any], streams: Streams) -> Message:
    """Return a message as its streams say it. `touched` is the event for which it is exported."""
    versions, reactions, file, root, replies, destroyed = streams
    event, first = touched.event, versions[0].recorded
    posted = first.event if isinstance(first.event, MessagePosted) else None
    attachment = None
    if event.file_id is not None:
        attachment = attachment_of(
            event.message_id, event.file_id, posted.file if posted else None, file, erased=first.erased
        )
    return Message(
        touched.position, touched.at, event.message_id, event.room_id, event.sender_id, event.message_type,
        first.position, first.at, event.reply_to, event.thread_id, root.position if root else None, root.at if root else None, tuple(replies), event.in_room,
        posted.mentions if posted else (), posted.mentions_room if posted else None,
        tuple(version_of(kept, destroyed) for kept in versions), tuple(reactions_of(reactions)), attachment,
    )  # fmt: skip


def version_of(kept: Kept, destroyed: Mapping[KeyId, DestroyedKey]) -> Version:
    recorded: Recorded[Any] = kept.recorded
    event, meta = recorded.event, recorded.meta
    what: Any = "unreadable"
    content, by = None, meta.actor
    match event:
        case MessagePosted():
            what, content, by = "posted", event.content, event.sender_id
        case MessageEdited():
            what, content, by = "edited", event.content, event.sender_id
        case MessageDeleted():
            what, by = "deleted", event.by
        case UnreadableEvent():
            pass
    erased = recorded.erased and what in ("posted", "edited")
    return Version(
        recorded.position,
        recorded.at,
        what,
        by or UserId(recorded.stream),
        None if erased else content,
        meta.reason,
        erased,
        destruction_of(kept, destroyed) if erased else None,
    )


def destruction_of(kept: Kept, destroyed: Mapping[KeyId, DestroyedKey]) -> Destroyed | None:
    """Return what the text of an event was destroyed for; None: the record does not say."""
    key = sealing_key(kept.row)
    found = None if key is None else destroyed.get(key)
    if found is None:
        return None
    return Destroyed("retention" if found.topic == RetentionApplied.topic else "erasure", found.position, found.at)


def reactions_of(events: Sequence[Kept]) -> list[Reaction]:
    """Return each time that somebody gave an emoji, and when they took it back, in order."""
    given: dict[tuple[str, UserId], Reaction] = {}
    found: list[Reaction] = []
    for kept in events:
        recorded, event = kept.recorded, kept.recorded.event
        if isinstance(event, ReactionAdded):
            given[event.emoji, event.user_id] = Reaction(event.emoji, event.user_id, recorded.position, recorded.at)
        elif isinstance(event, ReactionRemoved) and (one := given.pop((event.emoji, event.user_id), None)):
            found.append(Reaction(one.emoji, one.by, one.position, one.at, recorded.position, recorded.at))
    return sorted([*found, *given.values()], key=lambda reaction: reaction.position)


def attachment_of(
    message_id: MessageId, file_id: FileId, shown: FileSnapshot | None, events: Sequence[Kept], *, erased: bool
) -> Attachment:
    """Return what is known of a file, and where its bytes are in the package if it was completed."""
    status, name, mime_type, size = "unknown", "", "application/octet-stream", 0
    if shown is not None:
        status, name, mime_type, size = shown.status, shown.original_name, shown.mime_type, shown.size_bytes
    blob = None
    for kept in events:
        event = kept.recorded.event
        if isinstance(event, FileReceived | FileCompleted | FileFailed):
            erased = kept.recorded.erased
            name, mime_type, size = event.original_name, event.mime_type, event.size_bytes
            status = {FileReceived: "pending", FileCompleted: "completed", FileFailed: "failed"}[type(event)]
            blob = event.blob if isinstance(event, FileCompleted) and event.blob else None
    name = "" if erased else name
    path = f"files/{message_id}/{path_name(name)}" if blob else None
    return Attachment(file_id, status, name, mime_type, size, blob, path, erased)


def path_name(name: str) -> str:
    """Return a name that is safe as the last part of a path, in a ZIP and on any disk."""
    kept = "".join(c if c.isalnum() or c in "-_. ()" else "_" for c in file_name(name))
    stem, dot, ending = kept.rpartition(".")
    if not dot:
        stem, ending = kept, ""
    ending = ending if len(ending.encode()) <= 20 else ""
    short = stem.encode()[: NAME_BYTES_MAX - 21].decode("utf-8", "ignore").strip(" .") or "file"
    return f"{short}.{ending}" if ending else short
