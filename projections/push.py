"""Push subscriptions: which devices of a person are told of things. Owns the table `read.push_subscriptions`.

What a device is told by (endpoint and keys) is in no table: whoever sends reads it from the record.
"""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit

from msgspec import Struct

from domain.account import AccountErased
from domain.events import Recorded
from domain.ids import SessionId, SubscriptionId, UserId
from domain.ports.database import Db
from domain.push import PushSubscribed, PushUnsubscribed
from projections.tables import Change, Projection, Table

SELECT_LIVE = """
    SELECT id, session_id, service, device, at FROM read.push_subscriptions
    WHERE user_id = $1 AND is_live ORDER BY at DESC, id
"""
SELECT_OWNER = "SELECT user_id FROM read.push_subscriptions WHERE id = $1"

SUBSCRIPTIONS = Table(
    "read.push_subscriptions",
    key={"id": "uuid"},
    columns={
        "user_id": "uuid",
        "session_id": "uuid",
        "service": "text",
        "device": "text",
        "at": "timestamptz",
        "is_live": "bool",
    },
)


class SubscriptionRow(Struct, frozen=True):
    """`service` is the origin of its push service; `at` is when it was made or renewed."""

    id: SubscriptionId
    session_id: SessionId
    service: str
    device: str | None
    at: datetime


async def live(db: Db, user_id: UserId) -> list[SubscriptionRow]:
    """Return a person's subscriptions, the newest first; never more than fit on a page."""
    return await db.all(SubscriptionRow, SELECT_LIVE, user_id)


async def owner(db: Db, subscription_id: SubscriptionId) -> UserId | None:
    """Return whose subscription it is or was."""
    found: UserId | None = await db.value(SELECT_OWNER, subscription_id)
    return found


def row_of(recorded: Recorded[PushSubscribed]) -> SubscriptionRow:
    """Return the row that a subscription makes."""
    e = recorded.event
    return SubscriptionRow(e.subscription_id, e.session_id, service_of(e.endpoint), e.device or None, recorded.at)


def service_of(endpoint: str) -> str:
    """Return the origin of an endpoint; of none, nothing."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}" if endpoint else ""


def subscribed(recorded: Recorded[PushSubscribed]) -> Iterable[Change]:
    row = row_of(recorded)
    yield SUBSCRIPTIONS.put(
        row.id, user_id=recorded.event.user_id, session_id=row.session_id, service=row.service, device=row.device, at=row.at,
        is_live=not recorded.erased,
    )  # fmt: skip


def unsubscribed(recorded: Recorded[PushUnsubscribed]) -> Iterable[Change]:
    yield SUBSCRIPTIONS.set(recorded.event.subscription_id, device=None, is_live=False)


def erased(recorded: Recorded[AccountErased]) -> Iterable[Change]:
    yield SUBSCRIPTIONS.drop("user_id", recorded.event.user_id)


PROJECTION = Projection(
    tables=(SUBSCRIPTIONS,),
    handlers={PushSubscribed: subscribed, PushUnsubscribed: unsubscribed, AccountErased: erased},
)
