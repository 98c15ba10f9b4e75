"""Sessions: which were opened and which have ended, for the door. Owns the table `read.sessions`."""

from collections.abc import Iterable
from datetime import datetime

from domain.facts import Recorded
from domain.ids import SessionId
from domain.ports import Db
from domain.session import SessionEnded, SessionOpened
from projections.tables import Change, Projection, Table

SELECT_ENDED = "SELECT id FROM read.sessions WHERE ended_at > $1"

SESSIONS = Table(
    "read.sessions",
    key={"id": "uuid"},
    columns={
        "user_id": "uuid",
        "created_at": "timestamptz",
        "expires_at": "timestamptz",
        "ended_at": "timestamptz",
    },
)


async def ended_since(db: Db, moment: datetime) -> set[SessionId]:
    """Return the sessions that ended after a moment; an access token lives no longer than its 15 minutes."""
    return set(await db.all(SessionId, SELECT_ENDED, moment))


def opened(fact: Recorded[SessionOpened]) -> Iterable[Change]:
    e = fact.event
    yield SESSIONS.new(e.session_id, user_id=e.user_id, created_at=fact.at, expires_at=e.expires_at, ended_at=None)


def ended(fact: Recorded[SessionEnded]) -> Iterable[Change]:
    yield SESSIONS.set(fact.event.session_id, ended_at=fact.at)


PROJECTION = Projection(tables=(SESSIONS,), handlers={SessionOpened: opened, SessionEnded: ended})
