"""CSV (RFC 4180): a version, reaction or happening a line, for spreadsheets.

A cell that a spreadsheet would take for a formula begins with an apostrophe (OWASP, "CSV Injection"); so does one that begins
with an apostrophe itself, so that the text can be had back by taking one away. UTF-8 with a byte order mark, as Excel wants it.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import StringIO

import msgspec

from domain.ids import UserId
from workers.exports.archive import Fragment
from workers.exports.conversation import DELETED, ERASED, Chunk, Happening, Message

HEADER = (
    "position", "at", "what", "room_id", "room", "actor_id", "actor", "message_id", "content", "thread_id", "reply_to", "emoji",
    "attachment", "attachment_sha256", "attachment_path", "subject_id", "subject", "reason", "details",
)  # fmt: skip
DANGEROUS = "=+-@\t\r\n'＝＋－＠"
BOM = "\ufeff"
ROWS_AT_ONCE = 200


def write(chunk: Chunk, fragment: Fragment) -> None:
    """Write a chunk."""
    with fragment.member(f"csv/{chunk.stem}.csv", chunk.last) as writer:
        writer.write((BOM + _lines([HEADER])).encode())
        rows: list[tuple[str, ...]] = []
        for item in chunk.items:
            rows += _of_message(chunk, item) if isinstance(item, Message) else [_of_happening(chunk, item)]
            if len(rows) >= ROWS_AT_ONCE:
                writer.write(_lines(rows).encode())
                rows.clear()
        writer.write(_lines(rows).encode())


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(tuple(DANGEROUS)) else text


def _of_message(chunk: Chunk, message: Message) -> Iterator[tuple[str, ...]]:
    attachment = message.attachment
    shown = ("", "", "") if attachment is None else (attachment.name, attachment.sha256 or "", attachment.path or "")
    for version in message.versions:
        content = version.shown
        if content is None:
            content = DELETED if version.what == "deleted" else ""
        yield _row(
            chunk, version.position, version.at, f"message.{version.what}", version.by, message=message, content=content,
            shown=shown, reason=version.reason or "",
        )  # fmt: skip
    for reaction in message.reactions:
        yield _row(
            chunk, reaction.position, reaction.at, "reaction.added", reaction.by, message=message, emoji=reaction.emoji
        )
        if reaction.removed_position is not None and reaction.removed_at is not None:
            yield _row(
                chunk, reaction.removed_position, reaction.removed_at, "reaction.removed", reaction.by, message=message,
                emoji=reaction.emoji,
            )  # fmt: skip


def _of_happening(chunk: Chunk, item: Happening) -> tuple[str, ...]:
    details = msgspec.json.encode(item.details, order="sorted").decode() if item.details else ""
    return _row(
        chunk, item.position, item.at, item.what, item.by, subject=item.user_id, reason=item.reason or "", details=details,
        content=ERASED if item.is_erased else "",
    )  # fmt: skip


def _row(
    chunk: Chunk, position: int, at: datetime, what: str, by: UserId | None, *, message: Message | None = None, content: str = "",
    emoji: str = "", shown: tuple[str, str, str] = ("", "", ""), subject: UserId | None = None, reason: str = "", details: str = "",
) -> tuple[str, ...]:  # fmt: skip
    of_message = (None, None, None) if message is None else (message.message_id, message.thread_id, message.reply_to)
    cells = (
        position, at.astimezone(UTC).isoformat(), what, chunk.room.room_id, chunk.room.name, by, chunk.shown(by), of_message[0], content,
        *of_message[1:], emoji, *shown, subject, chunk.shown(subject), reason, details,
    )  # fmt: skip
    return tuple("" if cell is None else safe(str(cell)) for cell in cells)


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
