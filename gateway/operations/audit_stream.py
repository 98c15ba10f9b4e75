"""The audit stream: entries of the record as server-sent events (WHATWG HTML 9.2), in position order, with the position as id.

A client that comes again sends the last id that it got, and misses nothing. The record is read page by page, at the client's own
pace: a page is read when the one before it was taken. Whether the client may still listen is asked on the record at least
every `check_seconds`, between two entries as well.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct

from adapters.clock import monotonic
from adapters.postgres.audit import AuditEntry, without_texts
from adapters.postgres.audit_index import Filter
from domain.account import ACCOUNT, require_right
from domain.errors import BadTokenError, DomainError, SessionRevokedError
from domain.ports.credentials import Access
from domain.ports.record import RecordUnavailableError
from gateway.http.audit_streams import AuditStreams
from gateway.services import Services

POLL_SECONDS = 0.5
PAGE_ENTRIES = 50
RETRY_MS = 2_000  # after which a client comes again
HEARTBEAT = b": heartbeat\n\n"


class StreamEnd(Struct, frozen=True):
    """Why the stream ends for good; a client that may not come again need not try."""

    code: str
    detail: str


async def stream(
    services: Services, streams: AuditStreams, access: Access, *, after: int, texts: bool
) -> AsyncIterator[bytes]:
    """Yield the record after a position as events, for ever; end where the client may not listen any more, and where this
    process stops. Raise `TooManyStreamsError` before anything is yielded."""
    with streams.taken(access.user_id):
        # An id without data: whoever comes again before anything was told begins there, too.
        yield f"retry: {RETRY_MS}\nid: {after}\n\n".encode()
        told = checked = monotonic()
        async for entry in _entries(services, after):
            if entry is not None:
                yield _event(entry if texts else without_texts(entry))
                told = monotonic()
            elif monotonic() - told > streams.heartbeat_seconds:
                yield HEARTBEAT
                told = monotonic()
            if monotonic() - checked > streams.check_seconds:
                if (refusal := await _refusal(services, access)) is not None:
                    yield b"event: end\ndata: " + msgspec.json.encode(StreamEnd(refusal.code, refusal.detail)) + b"\n\n"
                    return
                checked = monotonic()


async def _entries(services: Services, after: int) -> AsyncIterator[AuditEntry | None]:
    """Yield entries after a position, and None where there is none for now; end where the record is away, or we go."""
    while not services.hub.draining:
        try:
            page = await services.audit.page(Filter(), after=after, limit=PAGE_ENTRIES)
        except RecordUnavailableError:
            return  # the client comes again
        for entry in page.entries:
            yield entry
            after = entry.position
        yield None
        if page.next_after is None:
            await asyncio.sleep(POLL_SECONDS)


async def _refusal(services: Services, access: Access) -> DomainError | None:
    """Return why a client may not listen any more, according to the record; None if it may."""
    if services.now() >= access.expires_at:
        return BadTokenError()
    if services.sessions.is_over(access):
        return SessionRevokedError()
    try:
        require_right((await services.command_bus.see(ACCOUNT, access.user_id)).state, "audit.read")
    except DomainError as refusal:
        return refusal
    return None


def _event(entry: AuditEntry) -> bytes:
    return b"".join(
        (b"id: ", str(entry.position).encode(), b"\nevent: entry\ndata: ", msgspec.json.encode(entry), b"\n\n")
    )
