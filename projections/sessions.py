"""Sessions: which were opened and which have ended, for authentication and for their owners. Owns the table `read.sessions`."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from domain.account import AccountErased
from domain.events import Recorded
from domain.ids import SessionId, UserId
from domain.ports.database import Db
from domain.session import SessionEnded, SessionOpened, SessionRefreshed
from projections.tables import Change, Projection, Table

SELECT_LIVE = """
    SELECT id, created_at, coalesce(refreshed_at, created_at) AS last_used_at, expires_at, address, agent FROM read.sessions
    WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY created_at DESC, id DESC
"""
SELECT_ADDRESSES = """
    SELECT address FROM read.sessions WHERE user_id = $1 AND created_at > $2 AND address IS NOT NULL
    ORDER BY created_at DESC LIMIT $3
"""
SELECT_CLOCK = "SELECT clock_timestamp()"
SELECT_ENDED = "SELECT id FROM read.sessions WHERE ended_at > $1"

SESSIONS = Table(
    "read.sessions",
    key={"id": "uuid"},
    columns={
        "user_id": "uuid",
        "created_at": "timestamptz",
        "expires_at": "timestamptz",
        "ended_at": "timestamptz",
        "refreshed_at": "timestamptz",
        "address": "text",
        "agent": "text",
    },
)


class SessionRow(Struct, frozen=True):
    """What a person sees of a session; `address` and `agent` are those of its last refresh."""

    id: SessionId
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str | None
    agent: str | None


async def live(db: Db, user_id: UserId, now: datetime) -> list[SessionRow]:
    """Return a person's sessions that have neither ended nor expired, the newest first."""
    return await db.all(SessionRow, SELECT_LIVE, user_id, now)


async def addresses(db: Db, user_id: UserId, since: datetime, *, sessions_max: int) -> list[str]:
    """Return the addresses of a person's recent sessions, ended ones included, the newest first."""
    return await db.all(str, SELECT_ADDRESSES, user_id, since, sessions_max)


async def clock(db: Db) -> datetime:
    """Return the time of the clock that gives events their times."""
    now: datetime = await db.value(SELECT_CLOCK)
    return now


async def ended_since(db: Db, moment: datetime) -> set[SessionId]:
    """Return the sessions that ended after a moment; an access token lives no longer than its 15 minutes."""
    return set(await db.all(SessionId, SELECT_ENDED, moment))


def opened(recorded: Recorded[SessionOpened]) -> Iterable[Change]:
    e = recorded.event
    yield SESSIONS.new(
        e.session_id, user_id=e.user_id, created_at=recorded.at, expires_at=e.expires_at, ended_at=None, refreshed_at=None,
        address=e.address or None, agent=e.agent or None,
    )  # fmt: skip


def refreshed(recorded: Recorded[SessionRefreshed]) -> Iterable[Change]:
    e = recorded.event
    yield SESSIONS.set(e.session_id, refreshed_at=recorded.at, address=e.address or None, agent=e.agent or None)


def ended(recorded: Recorded[SessionEnded]) -> Iterable[Change]:
    yield SESSIONS.set(recorded.event.session_id, ended_at=recorded.at)


def erased(recorded: Recorded[AccountErased]) -> Iterable[Change]:
    yield SESSIONS.blank("user_id", recorded.event.user_id, address=None, agent=None)


PROJECTION = Projection(
    tables=(SESSIONS,),
    handlers={SessionOpened: opened, SessionRefreshed: refreshed, SessionEnded: ended, AccountErased: erased},
)
