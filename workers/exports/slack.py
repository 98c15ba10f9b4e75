"""Slack's export, as its own administrators get it and review tools ingest it: users.json, channels.json (public rooms),
groups.json (private ones), dms.json and mpims.json (direct ones), and a folder for each with a file for each day.

Ids are made of ours. A `ts` is a second and the position's last six digits: it orders messages and tells them apart, as Slack's
own counter behind the point does. What Slack has no field for stands in `hansard`. Edits and deletions are entries of their own
(`message_changed`, `message_deleted`), beside the message as it was last; their
`text` says what was before, for tools that show nothing else of them.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from domain.ids import FileId, UserId
from workers.exports import transcript
from workers.exports.archive import Fragment
from workers.exports.conversation import DELETED, Chunk, Happening, Message, Person, Room

CHANNELS = {"public": "channels.json", "private": "groups.json", "direct": "dms.json", "several": "mpims.json"}
SUBTYPES = {"member.joined": "channel_join", "member.left": "channel_leave", "member.removed": "channel_leave"}
NAME_CHARS_MAX = 60

_encode = msgspec.json.Encoder(order="sorted").encode


def write(chunk: Chunk, fragment: Fragment, files: Mapping[FileId, Path]) -> None:
    """Write a chunk into the archive that Slack would give out; `files` are the bytes of what it shows."""
    name = f"{folder_of(chunk.room)}/{chunk.stem.rpartition('/')[2]}.json"
    with fragment.member(name, chunk.last) as writer:
        before = b"["
        for item in chunk.items:
            for entry in _entries(chunk, item, files):
                writer.write(before + b"\n" + _encode(entry))
                before = b","
        writer.write(b"\n]\n")
    for message in chunk.showing:
        if message.attachment is not None and (file_id := message.attachment.file_id) in files:
            with fragment.member(_upload(message), message.at) as writer, files[file_id].open("rb") as source:
                writer.copy(source)


def kind_of(room: Room) -> str:
    """Return which of the lists a room is in."""
    if room.direct:
        return "direct" if len(room.direct) <= 2 else "several"
    return "private" if room.is_private else "public"


def folder_of(room: Room) -> str:
    """Return the name of a room's folder: its own as Slack would write it, and enough of its id that no two are the same."""
    if kind_of(room) == "direct":
        return _id("D", room.room_id)
    name = re.sub(r"[^\w-]+", "-", room.name.lower()).strip("-_")[:NAME_CHARS_MAX]
    if kind_of(room) == "several":
        name = "mpdm"
    return f"{name or 'room'}-{room.room_id.hex[-12:]}"


def channel(room: Room) -> dict[str, Any]:
    """Return a room's line in its list."""
    stays = [msgspec.to_builtins(stay) for stay in room.stays]
    return {
        "id": _id("D" if kind_of(room) == "direct" else "C", room.room_id), "name": folder_of(room),
        "created": int(room.created_at.timestamp()), "creator": _id("U", room.created_by), "is_archived": room.is_archived,
        "members": [_id("U", user_id) for user_id in room.members],
        "topic": {"value": _text(room.topic or ""), "creator": "", "last_set": 0},
        "purpose": {"value": _text(room.description or ""), "creator": "", "last_set": 0},
        "hansard": {"room_id": str(room.room_id), "name": room.name, "stays": stays},
    }  # fmt: skip


def user(person: Person) -> dict[str, Any]:
    """Return somebody's line in users.json."""
    profile = {"real_name": person.shown, "display_name": person.shown, "email": person.email}
    return {
        "id": _id("U", person.user_id), "team_id": "T0", "name": person.shown, "real_name": person.shown, "deleted": person.is_erased,
        "profile": profile, "is_bot": False, "hansard": {"user_id": str(person.user_id)},
    }  # fmt: skip


def array(fragment: Fragment, name: str, at: datetime, lines: Iterable[dict[str, Any]]) -> None:
    """Write a list as a member."""
    with fragment.member(name, at) as writer:
        before = b"["
        for line in lines:
            writer.write(before + b"\n" + _encode(line))
            before = b","
        writer.write((b"[" if before == b"[" else b"") + b"\n]\n")


def _entries(chunk: Chunk, item: Message | Happening, files: Mapping[FileId, Path]) -> Iterable[dict[str, Any]]:
    if isinstance(item, Happening):
        yield _happening(chunk, item)
        return
    yield _message(chunk, item, files)
    texts = item.texts
    for before, after in pairwise(texts):
        yield {
            "type": "message", "subtype": "message_changed", "hidden": True, "ts": ts(after.at, after.position),
            "user": _id("U", after.by), "text": _text(f"[edited] before: {transcript.text_of(before)}"),
            "message": _version(item, transcript.text_of(after)), "previous_message": _version(item, transcript.text_of(before)),
            "hansard": {"version": msgspec.to_builtins(after)},
        }  # fmt: skip
    if (deletion := item.deletion) is not None:
        last = transcript.text_of(texts[-1]) if texts else ""
        yield {
            "type": "message", "subtype": "message_deleted", "hidden": True, "ts": ts(deletion.at, deletion.position),
            "user": _id("U", deletion.by), "text": DELETED, "deleted_ts": ts(item.posted_at, item.posted_position),
            "previous_message": _version(item, last), "hansard": {"version": msgspec.to_builtins(deletion)},
        }  # fmt: skip


def _message(chunk: Chunk, message: Message, files: Mapping[FileId, Path]) -> dict[str, Any]:
    texts = message.texts
    found = {
        **_version(message, transcript.text_of(texts[-1]) if texts else ""), "client_msg_id": str(message.message_id),
        "user_profile": {"display_name": chunk.shown(message.sender_id), "real_name": chunk.shown(message.sender_id)},
        "hansard": msgspec.to_builtins(message),
    }  # fmt: skip
    if message.edits:
        last = message.edits[-1]
        found["edited"] = {"user": _id("U", last.by), "ts": ts(last.at, last.position)}
    if message.thread_position is not None and message.thread_at is not None:
        found["thread_ts"] = ts(message.thread_at, message.thread_position)
    if message.replies:
        found |= {
            "thread_ts": ts(message.posted_at, message.posted_position), "reply_count": len(message.replies),
            "replies": [{"user": _id("U", each.by), "ts": ts(each.at, each.position)} for each in message.replies],
            "reply_users": list(dict.fromkeys(_id("U", each.by) for each in message.replies)),
        }  # fmt: skip
    if reactions := _reactions(message):
        found["reactions"] = reactions
    if message.attachment is not None:
        found["files"] = [_file(message, is_here=message.attachment.file_id in files)]
    return found


def _version(message: Message, text: str) -> dict[str, Any]:
    return {
        "type": "message", "user": _id("U", message.sender_id), "text": _text(text),
        "ts": ts(message.posted_at, message.posted_position),
    }  # fmt: skip


def _happening(chunk: Chunk, item: Happening) -> dict[str, Any]:
    who = item.user_id or item.by
    return {
        "type": "message", "subtype": SUBTYPES.get(item.what, "channel_topic"),
        "user": _id("U", who) if who else "USLACKBOT", "text": f"[{item.what}] {chunk.shown(who)}".strip(),
        "ts": ts(item.at, item.position), "hansard": msgspec.to_builtins(item),
    }  # fmt: skip


def _reactions(message: Message) -> list[dict[str, Any]]:
    by: dict[str, list[str]] = {}
    for reaction in message.reactions:
        if reaction.removed_at is None:
            by.setdefault(reaction.emoji, []).append(_id("U", reaction.by))
    return [{"name": _emoji(emoji), "users": people, "count": len(people)} for emoji, people in by.items()]


def _file(message: Message, *, is_here: bool) -> dict[str, Any]:
    attachment = message.attachment
    assert attachment is not None
    place = _upload(message) if is_here and attachment.path else ""
    return {
        "id": _id("F", attachment.file_id), "name": attachment.name, "title": attachment.name, "mimetype": attachment.mime_type,
        "size": attachment.size_bytes, "user": _id("U", message.sender_id), "url_private": place, "url_private_download": place,
        "mode": "hosted" if place else "tombstone",
    }  # fmt: skip


def _upload(message: Message) -> str:
    assert message.attachment is not None and message.attachment.path is not None
    name = message.attachment.path.rpartition("/")[2]
    return f"__uploads/{_id('F', message.attachment.file_id)}/{message.message_id.hex[-12:]}/{name}"


def _emoji(emoji_text: str) -> str:
    import emoji  # a tenth of a second, where nobody exports

    return emoji.demojize(emoji_text, language="alias").strip(":")


def ts(at: datetime, position: int) -> str:
    return f"{int(at.timestamp())}.{position % 1_000_000:06d}"


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _id(letter: str, key: UUID | UserId) -> str:
    return letter + key.hex.upper()
