"""RSMF 2.0 (Relativity Short Message Format): a mail with one attachment `rsmf.zip`, in which are `rsmf_manifest.json` and the
files that it names.

Written from Relativity's description of the format and its schema of the manifest (github.com/relativitydev/rsmf-validator-samples,
RSMFManifestSchema/rsmf_schema_2_0_0.json): `version`, `participants`, `conversations`, `events`; events are `message`, `join`,
`leave`, `history` or `unknown`, with `edits`, `deleted`, `reactions`, `attachments`, and name/value pairs in `custom`.
"""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from domain.ids import FileId, UserId
from workers.exports import mime, transcript
from workers.exports.archive import Fragment, close
from workers.exports.conversation import DELETED, Chunk, Happening, Message
from workers.exports.eml import NOBODY, text_of
from workers.exports.gathering import files_of
from workers.exports.mime import CRLF

VERSION = "2.0.0"
GENERATOR = "Hansard"
SPOOL_BYTES = 8 * 1024**2
EVENTS = {"member.joined": "join", "member.left": "leave", "member.removed": "leave"}


def write(chunk: Chunk, fragment: Fragment, files: Mapping[FileId, Path]) -> None:
    """Write a chunk; `files` are the bytes of what it shows."""
    outer = mime.boundary(f"rsmf {chunk.stem}", 1)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        count = _write_zip(chunk, Fragment(spool), files)  # type: ignore[arg-type]
        spool.seek(0)
        with fragment.member(f"rsmf/{chunk.stem}.rsmf", chunk.last) as writer:
            writer.write(_head_of(chunk, outer, count).encode())
            writer.write(f"--{outer}{CRLF}{mime.text_part('text/plain', text_of(chunk))}".encode())
            writer.write(
                f"--{outer}{CRLF}Content-Type: application/zip{CRLF}Content-Transfer-Encoding: base64{CRLF}"
                f'Content-Disposition: attachment; filename="rsmf.zip"{CRLF}{CRLF}'.encode()
            )
            mime.copy_base64(writer.write, spool)  # type: ignore[arg-type]
            writer.write(f"--{outer}--{CRLF}".encode())


def manifest_of(chunk: Chunk, files: Mapping[FileId, Path]) -> dict[str, Any]:
    """Return the manifest."""
    people = sorted({user_id for item in chunk.items for user_id in item.people} | set(_present(chunk)))
    return {
        "version": VERSION,
        "eventcollectionid": chunk.stem.replace("/", "_"),
        "participants": [_participant(chunk, user_id) for user_id in people],
        "conversations": [_conversation(chunk)],
        "events": [
            _message(chunk, item, files) if isinstance(item, Message) else _happening(chunk, item)
            for item in chunk.items
        ],
    }


def file_name(message: Message) -> str:
    """Return the name of a message's file within rsmf.zip, which has no folders."""
    assert message.attachment is not None and message.attachment.path is not None
    return f"{message.attachment.file_id}_{message.attachment.path.rpartition('/')[2]}"


def _write_zip(chunk: Chunk, fragment: Fragment, files: Mapping[FileId, Path]) -> int:
    manifest = msgspec.json.encode(manifest_of(chunk, files), order="sorted")
    fragment.add("rsmf_manifest.json", chunk.last, manifest)
    shown = {file_id: message for file_id, message in files_of(chunk).items() if file_id in files}
    for file_id, message in shown.items():
        with fragment.member(file_name(message), message.at) as writer, files[file_id].open("rb") as source:
            writer.copy(source)
    close(fragment)
    return len(shown)


def _head_of(chunk: Chunk, outer: str, attachments: int) -> str:
    return (
        f"From: {NOBODY}{CRLF}"
        f"To: undisclosed-recipients:;{CRLF}"
        f"Date: {mime.date_of(chunk.last)}{CRLF}"
        f"Message-ID: <rsmf.{chunk.stem.replace('/', '.')}@hansard.invalid>{CRLF}"
        f"{mime.header('Subject', f'{chunk.room.name or chunk.room.room_id}, {chunk.day:%Y-%m-%d}')}"
        f"X-RSMF-Version: {VERSION}{CRLF}"
        f"X-RSMF-Generator: {GENERATOR}{CRLF}"
        f"X-RSMF-BeginDate: {_time(chunk.first)}{CRLF}"
        f"X-RSMF-EndDate: {_time(chunk.last)}{CRLF}"
        f"X-RSMF-EventCount: {len(chunk.items)}{CRLF}"
        f"X-RSMF-AttachmentCount: {attachments}{CRLF}"
        f"X-RSMF-Application: Hansard{CRLF}"
        f"X-RSMF-EventCollectionID: {chunk.stem.replace('/', '_')}{CRLF}"
        f'MIME-Version: 1.0{CRLF}Content-Type: multipart/mixed;{CRLF} boundary="{outer}"{CRLF}{CRLF}'
    )


def _participant(chunk: Chunk, user_id: UserId) -> dict[str, Any]:
    person = chunk.people[user_id]
    found: dict[str, Any] = {"id": str(user_id), "display": person.shown, "account_id": str(user_id)}
    if person.email:
        found["email"] = person.email
    stays = [
        line
        for stay, line in zip(chunk.present, transcript.participants(chunk), strict=True)
        if stay.user_id == user_id
    ]
    return found | _custom(("stay", stay.partition("): ")[2]) for stay in stays)


def _conversation(chunk: Chunk) -> dict[str, Any]:
    room = chunk.room
    there = [str(stay.user_id) for stay in chunk.present if stay.joined_at <= chunk.first]
    found = {
        "id": str(room.room_id), "platform": "hansard", "type": "direct" if room.direct else "channel",
        "display": room.name or str(room.room_id), "participants": list(dict.fromkeys(there)),
    }  # fmt: skip
    kind = "direct" if room.direct else "private" if room.is_private else "public"
    return found | _custom([("kind", kind), ("description", room.description or ""), ("topic", room.topic or "")])


def _message(chunk: Chunk, message: Message, files: Mapping[FileId, Path]) -> dict[str, Any]:
    texts = message.texts
    found: dict[str, Any] = {
        "id": str(message.message_id), "type": "message", "conversation": str(message.room_id),
        "participant": str(message.sender_id), "timestamp": _time(message.posted_at),
        "body": transcript.text_of(texts[-1]) if texts else DELETED, "deleted": message.is_deleted,
    }  # fmt: skip
    if message.thread_id is not None and any(each.message_id == message.thread_id for each in chunk.messages):
        found["parent"] = str(message.thread_id)
    if message.edits:
        found["edits"] = [
            {
                "participant": str(after.by), "timestamp": _time(after.at), "previous": transcript.text_of(before),
                "new": transcript.text_of(after),
            }
            for before, after in pairwise(texts)
        ]  # fmt: skip
    if reactions := _reactions(message):
        found["reactions"] = reactions
    attachment = message.attachment
    if attachment is not None and attachment.path is not None and attachment.file_id in files:
        first = files_of(chunk)[attachment.file_id]
        found["attachments"] = [{"id": file_name(first), "display": attachment.name, "size": attachment.size_bytes}]
    return found | _custom(_told(message))


def _told(message: Message) -> list[tuple[str, str]]:
    """Return what RSMF has no field for."""
    told = [("position", str(message.posted_position)), ("thread", str(message.thread_id or ""))]
    told.append(("reply_to", str(message.reply_to or "")))
    if (deletion := message.deletion) is not None:
        told += [
            ("deleted_by", str(deletion.by)),
            ("deleted_at", _time(deletion.at)),
            ("reason", deletion.reason or ""),
        ]
    if message.erased:
        told.append(("erased", str(message.erased)))
    if (attachment := message.attachment) is not None:
        told += [("attachment", attachment.status), ("attachment_sha256", attachment.sha256 or "")]
    told += [
        ("reaction_removed", f"{each.emoji} {each.by} {_time(each.removed_at)}")
        for each in message.reactions
        if each.removed_at
    ]
    return told


def _reactions(message: Message) -> list[dict[str, Any]]:
    by: dict[str, list[str]] = {}
    for reaction in message.reactions:
        if reaction.removed_at is None:
            by.setdefault(reaction.emoji, []).append(str(reaction.by))
    return [{"value": emoji, "count": len(people), "participants": people} for emoji, people in by.items()]


def _happening(chunk: Chunk, item: Happening) -> dict[str, Any]:
    who: UUID | None = item.user_id or item.by
    found: dict[str, Any] = {
        "id": f"position-{item.position}", "type": EVENTS.get(item.what, "history"), "conversation": str(item.room_id),
        "timestamp": _time(item.at), "body": item.what,
    }  # fmt: skip
    if who is not None:
        found["participant"] = str(who)
    told = [(name, str(value)) for name, value in sorted(item.details.items()) if value is not None]
    return found | _custom(
        [("by", str(item.by or "")), ("position", str(item.position)), ("reason", item.reason or ""), *told]
    )


def _custom(pairs: Any) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in pairs if value]
    return {"custom": told} if told else {}


def _present(chunk: Chunk) -> list[UserId]:
    return [stay.user_id for stay in chunk.present]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
