"""Tickets: what a browser presents when it opens a socket, instead of a token, which must not stand in a URL.

A ticket names a person, an expiry and the origin of the page that may use it. It is signed (HMAC-SHA-256 under a key
derived from the master key), lives half a minute, and is good for one use. Redis remembers that it was used; without
Redis this process does.
"""

from base64 import b64decode, urlsafe_b64encode
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from struct import Struct
from uuid import UUID

from adapters.postgres.master_key import Master
from adapters.redis.cluster_state import TICKET_SECONDS, ClusterState, ClusterStateUnavailableError
from domain.errors import BadTokenError
from domain.ids import SessionId, UserId
from domain.ports.clock import Chance
from domain.ports.credentials import Access

TICKETS_REMEMBERED_MAX = 100_000

# nonce, user, session, seconds at which the token and the ticket end, SHA-256 of the origin
TICKET = Struct(">16s16s16sQQ32s")
MARK_BYTES = 32


class SignedTickets:
    """The port `domain.ports.Tickets`."""

    def __init__(self, master: Master, cluster_state: ClusterState, *, chance: Chance) -> None:
        self._master = master
        self._cluster_state = cluster_state
        self._chance = chance
        self._spent: OrderedDict[bytes, None] = OrderedDict()

    def issue(self, access: Access, origin: str, now: datetime) -> str:
        end = now + timedelta(seconds=TICKET_SECONDS)
        body = TICKET.pack(
            self._chance(16),
            access.user_id.bytes,
            access.session_id.bytes,
            int(access.expires_at.timestamp()),
            int(end.timestamp()),
            _digest(origin),
        )
        return urlsafe_b64encode(body + self._master.ticket_mark(body)).decode()

    async def spend(self, ticket: str, origin: str, now: datetime) -> Access:
        try:
            raw = b64decode(ticket, altchars=b"-_", validate=True)
        except ValueError:
            raise BadTokenError from None
        body, mark = raw[:-MARK_BYTES], raw[-MARK_BYTES:]
        if len(body) != TICKET.size or not compare_digest(mark, self._master.ticket_mark(body)):
            raise BadTokenError
        nonce, user_id, session_id, expires, end, of_origin = TICKET.unpack(body)
        if now.timestamp() > end or not compare_digest(of_origin, _digest(origin)):
            raise BadTokenError
        if not await self._is_first_use(nonce):
            raise BadTokenError
        return Access(
            UserId(UUID(bytes=user_id)), SessionId(UUID(bytes=session_id)), datetime.fromtimestamp(expires, UTC)
        )

    async def _is_first_use(self, nonce: bytes) -> bool:
        if nonce in self._spent:
            return False
        self._spent[nonce] = None
        if len(self._spent) > TICKETS_REMEMBERED_MAX:
            self._spent.popitem(last=False)
        try:
            return await self._cluster_state.spend(nonce)
        except ClusterStateUnavailableError:
            return True


def _digest(origin: str) -> bytes:
    return sha256(origin.encode()).digest()
