"""What mails are made of (RFC 5322, RFC 2045–2047, RFC 2231), by hand, so that the same content gives the same bytes with any
version of Python. Lines end with CRLF; bodies are Base64 in lines of 76 characters."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import BinaryIO
from urllib.parse import quote

CRLF = "\r\n"
LINE_BYTES = 57  # give 76 characters
WORD_BYTES = 42  # give 68 characters with what surrounds them
ASCII_CHARS_MAX = 60
PIECE_BYTES = LINE_BYTES * 16_384


def header(name: str, value: str) -> str:
    """Return a header of free text, encoded where it has to be."""
    return f"{name}: {encoded(value)}{CRLF}"


def encoded(text: str) -> str:
    """Return a text as it stands in a header: itself if it is short and of ASCII, otherwise in encoded words."""
    return text if _is_ascii(text) else words(text)


def words(text: str) -> str:
    """Return a text in encoded words (RFC 2047). Control characters become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return f"{CRLF} ".join(f"=?utf-8?B?{b64encode(word).decode()}?=" for word in _words(clean))


def address(name: str, mail: str) -> str:
    """Return a name and an address (RFC 5322 3.4); without a usable address one that leads nowhere."""
    if not mail.isascii() or any(c.isspace() or c in '<>,;:"' for c in mail) or mail.count("@") != 1:
        mail = "unknown@hansard.invalid"
    return f'"{name}" <{mail}>' if _is_plain(name) else f"{words(name)}{CRLF} <{mail}>"


def date_of(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0))


def boundary(seed: str, which: int) -> str:
    """Return a boundary that no line of Base64 can be."""
    return f"=_hansard_{sha256(seed.encode()).hexdigest()[:32]}_{which}"


def disposition(name: str) -> str:
    """Return the header of an attachment; a name that is not of ASCII is written as RFC 2231 says, and only so."""
    if name and _is_plain(name):
        return f'Content-Disposition: attachment;{CRLF} filename="{name}"{CRLF}'
    return f"Content-Disposition: attachment;{CRLF}{CRLF.join(_extended(name or 'file'))}{CRLF}"


def text_part(mime_type: str, text: str) -> str:
    """Return headers and body of a part that is text."""
    body = CRLF.join(_base64(text.replace("\r\n", "\n").replace("\n", CRLF).encode()))
    return f"Content-Type: {mime_type}; charset=utf-8{CRLF}Content-Transfer-Encoding: base64{CRLF}{CRLF}{body}{CRLF}"


def copy_base64(write: Callable[[bytes], None], source: BinaryIO) -> None:
    """Write what a file has, in lines of Base64."""
    while piece := source.read(PIECE_BYTES):
        write(CRLF.join([*_base64(piece), ""]).encode())


def _base64(content: bytes) -> Iterator[str]:
    for at in range(0, len(content), LINE_BYTES):
        yield b64encode(content[at : at + LINE_BYTES]).decode()


def _extended(name: str) -> Iterator[str]:
    """Yield the lines of a parameter in sections (RFC 2231 3), none of them longer than 78 characters."""
    text = quote(name, safe="")
    cuts, at = [], 0
    while at < len(text):
        end = min(at + 48, len(text))
        while end < len(text) and "%" in text[end - 2 : end]:
            end -= 1
        cuts.append(text[at:end])
        at = end
    for i, cut in enumerate(cuts):
        start = "utf-8''" if i == 0 else ""
        section = "" if len(cuts) == 1 else f"*{i}"
        yield f" filename{section}*={start}{cut}" + (";" if i < len(cuts) - 1 else "")


def _is_ascii(text: str) -> bool:
    is_short = text.isascii() and text.isprintable() and len(text) <= ASCII_CHARS_MAX
    return is_short and "=?" not in text and text == text.strip()


def _is_plain(name: str) -> bool:
    """Return whether a name can stand between quotes."""
    return _is_ascii(name) and not any(c in '"\\' for c in name)


def _words(text: str) -> Iterator[bytes]:
    word = b""
    for char in text:
        more = char.encode()
        if len(word) + len(more) > WORD_BYTES:
            yield word
            word = b""
        word += more
    yield word
