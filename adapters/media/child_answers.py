"""Answers of children: what a child may say, and what of it is believed. A child may have been taken over by what it
decoded.

An answer is a line of JSON, then the bytes of each variant in order. An answer of another shape, out of bounds, or with
something that was not asked for is refused: the child is killed, and the job fails as if the child had died.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from domain.bounds import CHILD_ANSWER_BYTES_MAX
from domain.file_snapshot import FileVariant
from domain.variants import BEGINS, fault_of, made_by

REASONS = ("unreadable", "too_large", "too_slow", "encrypted")  # why a child may refuse a file
LAYERS = frozenset({"limits", "user", "landlock", "seccomp"})
PID_MAX = 2**22  # of Linux, and more than others have
CHECKED = ("image", "document")


class Greeting(Struct, frozen=True):
    """The first line: the child's process id and the layers that confine it. It is sent before the child sees a
    stranger's byte."""

    pid: int
    layers: tuple[str, ...]


class Header(Struct, frozen=True):
    """The line before the bytes. `made`: name, width, height, MIME type and size of each variant."""

    made: tuple[tuple[str, int, int, str, int], ...] = ()
    pages: int | None = None
    reason: str | None = None


class BadAnswerError(ValueError):
    """A child said what it cannot have found."""


_greeting = msgspec.json.Decoder(Greeting).decode
_header = msgspec.json.Decoder(Header).decode


def greeting_of(line: bytes) -> Greeting:
    """Return the greeting on this line. Raise `BadAnswerError` if it is none."""
    try:
        greeting = _greeting(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswerError("a greeting of another shape") from error
    if not set(greeting.layers) <= LAYERS or not 1 < greeting.pid <= PID_MAX:
        raise BadAnswerError("held by what is not known")
    return greeting


def header_of(line: bytes, job: str, operations: Sequence[str]) -> Header:
    """Return the header on this line. Raise `BadAnswerError` if this job cannot have it."""
    try:
        header = _header(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswerError("an answer of another shape") from error
    sizes = [size for *_, size in header.made]
    if min(sizes, default=0) < 0 or sum(sizes) > CHILD_ANSWER_BYTES_MAX:
        raise BadAnswerError("sizes beyond all bounds")
    if header.reason is not None and (header.reason not in REASONS or header.made or header.pages is not None):
        raise BadAnswerError("a refusal of another shape")
    if job in CHECKED and header.reason is None:
        _require_asked_for(header, operations)
    return header


def require_kind(content: bytes, mime_type: str) -> None:
    """Raise `BadAnswerError` unless the bytes begin as those of their type do."""
    if not content.startswith(BEGINS[mime_type]):
        raise BadAnswerError("bytes of another type")


def _require_asked_for(header: Header, operations: Sequence[str]) -> None:
    try:
        forms = [FileVariant(*each) for each in header.made]
    except ValueError as error:
        raise BadAnswerError("numbers beyond all bounds") from error
    if (fault := fault_of(forms, header.pages)) is not None:
        raise BadAnswerError(fault)
    made, asked = {form.name for form in forms}, made_by(operations)
    if "count_pages" not in operations:
        if made != asked or header.pages is not None:
            raise BadAnswerError("not the variants that were asked for")
    elif not made <= asked or (made and header.pages is None):
        # Of a document that needs a password there is neither; of a page too thin to draw there is no picture.
        raise BadAnswerError("not what was asked for")
