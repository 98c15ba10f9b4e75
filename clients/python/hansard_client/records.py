"""What records managers do: legal holds, and how long things are kept. A part of `Client`, which asks for it.

Each call says why (`reason`), and is recorded.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from hansard_client.asking import PAGE_ITEMS, Asked, path_of
from hansard_client.chat import Id
from hansard_client.models import LegalHold, Retention


class Records(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    async def place_hold(
        self,
        name: str,
        *,
        reason: str,
        persons: Sequence[Id] = (),
        rooms: Sequence[Id] = (),
        from_at: datetime | None = None,
        to_at: datetime | None = None,
    ) -> LegalHold:
        """Keep what these persons wrote in these rooms in this time, before and after now. None given: all of them."""
        body: dict[str, Any] = {
            "name": name,
            "persons": [str(id) for id in persons],
            "rooms": [str(id) for id in rooms],
        }
        body |= {key: at.isoformat() for key, at in (("from", from_at), ("to", to_at)) if at is not None}
        return LegalHold.of(await self.call("POST", "/legal-holds", body=body, reason=reason))

    async def holds(
        self,
        *,
        reason: str,
        status: Literal["active", "released"] | None = None,
        limit: int = PAGE_ITEMS,
        after: int | None = None,
    ) -> AsyncIterator[LegalHold]:
        """Iterate over legal holds, those placed last first."""
        query: Mapping[str, str | int | bool | None] = {"status": status, "limit": limit}
        while True:
            page = await self.call("GET", "/legal-holds", query=query, after=after, reason=reason)
            for item in page["items"]:
                yield LegalHold.of(item)
            if page["next_cursor"] is None:
                return
            query = {**query, "cursor": page["next_cursor"]}

    async def release_hold(self, hold_id: Id, *, reason: str) -> datetime:
        """Release a legal hold; return until when it keeps what it did."""
        said = await self.call("POST", f"/legal-holds/{path_of(hold_id)}/release", reason=reason)
        return datetime.fromisoformat(said["keeps_until"])

    async def retention(self, room_id: Id | None = None, *, reason: str, after: int | None = None) -> Retention:
        """Return how long things are kept in a room; None: in those without a policy of their own."""
        return Retention.of(await self.call("GET", _path(room_id), reason=reason, after=after))

    async def put_retention(
        self,
        room_id: Id | None = None,
        *,
        reason: str,
        days_min: int | None = None,
        days_max: int | None = None,
        dry_run: bool = False,
    ) -> Retention:
        """Set how long things are kept, by default (None) or in a room; with `dry_run` only count what that would destroy now."""
        body, query = {"days_min": days_min, "days_max": days_max}, {"dry_run": True} if dry_run else {}
        return Retention.of(await self.call("PUT", _path(room_id), body=body, query=query, reason=reason))

    async def clear_retention(self, room_id: Id | None = None, *, reason: str) -> None:
        """Have a room keep things as the default says, or have no default any more (None)."""
        await self.call("DELETE", _path(room_id), reason=reason)


def _path(room_id: Id | None) -> str:
    return "/retention" if room_id is None else f"/rooms/{path_of(room_id)}/retention"
