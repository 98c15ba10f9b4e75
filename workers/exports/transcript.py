"""A transcript: a chunk as people read it, a paragraph an item, for mails and for whoever opens a package without a tool."""

from datetime import UTC, datetime
from itertools import pairwise

from msgspec import Struct

from workers.exports.conversation import Chunk, Happening, Message, Version


class Paragraph(Struct, frozen=True):
    """When, who, what they said, and what is to be known of it: edits, deletions, reactions, attachments."""

    at: datetime
    who: str
    text: str
    notes: tuple[str, ...]


def time_of(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def paragraphs(chunk: Chunk) -> list[Paragraph]:
    """Return what happened, in order."""
    return [_said(chunk, item) if isinstance(item, Message) else _happened(chunk, item) for item in chunk.items]


def participants(chunk: Chunk) -> list[str]:
    """Return a line for each stay in the room that overlaps with the chunk."""
    return [
        f"{chunk.shown(stay.user_id)} ({stay.user_id}): joined {time_of(stay.joined_at)}"
        + (f", {stay.ended_by} {time_of(stay.left_at)}" if stay.left_at is not None else "")
        for stay in chunk.present
    ]


def text_of(version: Version) -> str:
    return version.shown or ""


def _said(chunk: Chunk, message: Message) -> Paragraph:
    notes = []
    if message.posted_at != message.at:
        notes.append(f"posted {time_of(message.posted_at)}, before what is exported")
    if message.thread_id is not None:
        notes.append(f"in the thread of {message.thread_id}")
    if message.reply_to is not None:
        notes.append(f"reply to {message.reply_to}")
    texts = message.texts
    for before, after in pairwise(texts):
        why = f" ({after.reason})" if after.reason else ""
        notes.append(f"edited {time_of(after.at)} by {chunk.shown(after.by)}{why}; before: {text_of(before)}")
    if (deletion := message.deletion) is not None:
        why = f" ({deletion.reason})" if deletion.reason else ""
        notes.append(f"deleted {time_of(deletion.at)} by {chunk.shown(deletion.by)}{why}")
    for reaction in message.reactions:
        until = f", taken back {time_of(reaction.removed_at)}" if reaction.removed_at is not None else ""
        notes.append(f"{reaction.emoji} by {chunk.shown(reaction.by)} {time_of(reaction.at)}{until}")
    if (attachment := message.attachment) is not None:
        name = "[erased]" if attachment.is_erased else attachment.name
        where = f"SHA-256 {attachment.sha256}" if attachment.path else f"no bytes: {attachment.status}"
        notes.append(f"attachment {name}, {attachment.mime_type}, {attachment.size_bytes} bytes, {where}")
    return Paragraph(
        message.posted_at, chunk.shown(message.sender_id), text_of(texts[-1]) if texts else "", tuple(notes)
    )


def _happened(chunk: Chunk, item: Happening) -> Paragraph:
    notes = [f"about {chunk.shown(item.user_id)} ({item.user_id})"] if item.user_id is not None else []
    notes += [f"{name}: {value}" for name, value in sorted(item.details.items())]
    if item.reason:
        notes.append(f"reason: {item.reason}")
    return Paragraph(item.at, chunk.shown(item.by) or "nobody", f"[{item.what}]", tuple(notes))
