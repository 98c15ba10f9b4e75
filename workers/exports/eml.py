"""EML: a mail for each room and day (and part of it), with the transcript as text and HTML, and the attachments.

Everything in it is of the record: its date is that of the last item, its id that of the room and the day.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from domain.ids import FileId
from workers.exports import mime, transcript
from workers.exports.archive import Fragment, MemberWriter
from workers.exports.conversation import Chunk
from workers.exports.gathering import files_of
from workers.exports.mime import CRLF

NOBODY = '"Hansard export" <export@hansard.invalid>'
RECIPIENTS_MAX = 500
STYLE = (
    "body{font-family:sans-serif}p{margin:.4em 0;white-space:pre-wrap}small{color:#555;display:block;margin-left:2em}"
)


def write(chunk: Chunk, fragment: Fragment, files: Mapping[FileId, Path]) -> None:
    """Write a chunk; `files` are the bytes of what it shows."""
    outer, inner = mime.boundary(chunk.stem, 1), mime.boundary(chunk.stem, 2)
    with fragment.member(f"eml/{chunk.stem}.eml", chunk.last) as writer:
        writer.write(head_of(chunk, f'multipart/mixed;{CRLF} boundary="{outer}"').encode())
        alternative = f'--{outer}{CRLF}Content-Type: multipart/alternative;{CRLF} boundary="{inner}"{CRLF}{CRLF}'
        writer.write(f"{alternative}--{inner}{CRLF}{mime.text_part('text/plain', text_of(chunk))}".encode())
        writer.write(f"--{inner}{CRLF}{mime.text_part('text/html', html_of(chunk))}--{inner}--{CRLF}".encode())
        for file_id, message in files_of(chunk).items():
            if file_id in files and message.attachment is not None:
                attachment = message.attachment
                writer.write(f"--{outer}{CRLF}{mime.disposition(attachment.name)}".encode())
                write_file(writer, attachment.mime_type, files[file_id])
        writer.write(f"--{outer}--{CRLF}".encode())


def head_of(chunk: Chunk, content_type: str) -> str:
    """Return the headers of a mail."""
    people = list(dict.fromkeys(stay.user_id for stay in chunk.present))
    to = [mime.address(chunk.shown(each), chunk.people[each].email) for each in people[:RECIPIENTS_MAX]]
    messages = len(chunk.messages)
    subject = f"{chunk.room.name or chunk.room.room_id}, {chunk.day:%Y-%m-%d}" + (
        f", part {chunk.part}" if chunk.part > 1 else ""
    )
    return (
        f"From: {NOBODY}{CRLF}"
        f"To: {f',{CRLF} '.join(to) if to else 'undisclosed-recipients:;'}{CRLF}"
        f"Date: {mime.date_of(chunk.last)}{CRLF}"
        f"Message-ID: <{chunk.stem.replace('/', '.')}@hansard.invalid>{CRLF}"
        f"{mime.header('Subject', subject)}"
        f"X-Hansard-Room: {chunk.room.room_id}{CRLF}"
        f"X-Hansard-Positions: {chunk.items[0].position}-{chunk.items[-1].position}{CRLF}"
        f"X-Hansard-Messages: {messages}{CRLF}"
        f"MIME-Version: 1.0{CRLF}"
        f"Content-Type: {content_type}{CRLF}{CRLF}"
    )


def text_of(chunk: Chunk) -> str:
    """Return the transcript as text."""
    lines = [f"{chunk.room.name} ({chunk.room.room_id}), {chunk.day:%Y-%m-%d} UTC", "", "Participants:"]
    lines += [f"  {each}" for each in transcript.participants(chunk)]
    for each in transcript.paragraphs(chunk):
        lines += ["", f"[{transcript.time_of(each.at)}] {each.who}: {each.text}"]
        lines += [f"    {note}" for note in each.notes]
    return "\n".join(lines) + "\n"


def html_of(chunk: Chunk) -> str:
    """Return the transcript as HTML. Nothing of it is markup but what is written here."""
    people = "".join(f"<li>{escape(each)}</li>" for each in transcript.participants(chunk))
    title = escape(f"{chunk.room.name} ({chunk.room.room_id}), {chunk.day:%Y-%m-%d} UTC")
    body = "".join(
        f"<p><b>{escape(each.who)}</b> {escape(transcript.time_of(each.at))}\n{escape(each.text)}"
        + "".join(f"<small>{escape(note)}</small>" for note in each.notes)
        + "</p>\n"
        for each in transcript.paragraphs(chunk)
    )
    head = f"<!doctype html><html><head><meta charset=utf-8><title>{title}</title><style>{STYLE}</style></head>"
    return f"{head}<body><h1>{title}</h1><ul>{people}</ul>\n{body}</body></html>\n"


def write_file(writer: MemberWriter, mime_type: str, path: Path) -> None:
    """Write the rest of a part that is a file."""
    writer.write(f"Content-Type: {mime_type}{CRLF}Content-Transfer-Encoding: base64{CRLF}{CRLF}".encode())
    with path.open("rb") as source:
        mime.copy_base64(writer.write, source)
