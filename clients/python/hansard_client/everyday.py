"""Everyday chat: notifications, reactions, threads, pins, direct rooms and blocks. A part of `Client`, which asks for it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Unpack
from urllib.parse import quote

from hansard_client.asking import PAGE_ITEMS, Asked, Said, path_of
from hansard_client.chat import Id
from hansard_client.models import Message, Notification, NotificationChanges, NotificationSettings, Reactor, Room


class Everyday(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    @abstractmethod
    def pages(
        self, kind: type[Said], path: str, query: Mapping[str, str | int | bool | None], after: int | None
    ) -> AsyncIterator[Said]:
        """Iterate over all items of a list."""

    # Reactions

    async def react(self, message_id: Id, emoji: str) -> None:
        """Give a message an emoji; the same one again changes nothing."""
        await self.call("PUT", _reaction(message_id, emoji))

    async def unreact(self, message_id: Id, emoji: str) -> None:
        """Take one's emoji back."""
        await self.call("DELETE", _reaction(message_id, emoji))

    def reactors(self, message_id: Id, *, limit: int = PAGE_ITEMS, after: int | None = None) -> AsyncIterator[Reactor]:
        """Iterate over who gave a message which emoji, the first first."""
        return self.pages(Reactor, f"/messages/{path_of(message_id)}/reactions", {"limit": limit}, after)

    # Threads; replies are sent with `thread_id`

    def replies(
        self,
        message_id: Id,
        *,
        render: Literal["html"] | None = None,
        limit: int = PAGE_ITEMS,
        after: int | None = None,
    ) -> AsyncIterator[Message]:
        """Iterate over the replies in the thread of a message, the oldest first."""
        query = {"limit": limit, "render": render}
        return self.pages(Message, f"/messages/{path_of(message_id)}/thread", query, after)

    async def follow_thread(self, message_id: Id) -> None:
        """Follow the thread of a message: replies from now on are unread."""
        await self.call("PUT", f"/messages/{path_of(message_id)}/thread/follow")

    async def unfollow_thread(self, message_id: Id) -> None:
        """Follow it no longer, until one replies."""
        await self.call("DELETE", f"/messages/{path_of(message_id)}/thread/follow")

    async def mark_thread_read(self, message_id: Id, position: int) -> None:
        """Say how far one has read a thread that one follows."""
        await self.call("PUT", f"/messages/{path_of(message_id)}/thread/read", body={"position": position})

    # Pins

    async def pin(self, message_id: Id) -> None:
        """Pin a message in its room; owners and admins may."""
        await self.call("PUT", f"/messages/{path_of(message_id)}/pin")

    async def unpin(self, message_id: Id) -> None:
        await self.call("DELETE", f"/messages/{path_of(message_id)}/pin")

    async def pins(self, room_id: Id, *, after: int | None = None) -> list[Message]:
        """Return the pinned messages of a room, what was pinned last first."""
        return [each async for each in self.pages(Message, f"/rooms/{path_of(room_id)}/pins", {}, after)]

    # Notifications

    def notifications(self, *, limit: int = PAGE_ITEMS, after: int | None = None) -> AsyncIterator[Notification]:
        """Iterate over one's inbox, the latest first."""
        return self.pages(Notification, "/notifications", {"limit": limit}, after)

    async def unread_notifications(self, *, after: int | None = None) -> int:
        """Return how much of one's inbox is unread, counted up to 1,000."""
        return int((await self.call("GET", "/notifications", query={"limit": 1}, after=after))["unread"])

    async def read_notifications(self, position: int) -> None:
        """Mark everything in one's inbox up to a position as read, on all devices."""
        await self.call("PUT", "/notifications/read", body={"position": position})

    async def notification_settings(self) -> NotificationSettings:
        return NotificationSettings.of(await self.call("GET", "/users/me/notifications"))

    async def change_notifications(self, **changes: Unpack[NotificationChanges]) -> NotificationSettings:
        """Change what one wants to be told of, from now on."""
        return NotificationSettings.of(await self.call("PUT", "/users/me/notifications", body=changes))

    # People

    async def direct(self, user_ids: Sequence[Id]) -> Room:
        """Open the room of these people (at most nine) and oneself, or return it: the same people have one."""
        return Room.of(await self.call("POST", "/direct", body={"user_ids": list(map(path_of, user_ids))}))

    async def block(self, user_id: Id) -> None:
        """Block a person: they can open no direct room with one, nor write in that of both."""
        await self.call("PUT", f"/users/me/blocks/{path_of(user_id)}")

    async def unblock(self, user_id: Id) -> None:
        await self.call("DELETE", f"/users/me/blocks/{path_of(user_id)}")

    async def blocks(self) -> list[str]:
        """Return the ids of those whom one has blocked."""
        return [item["user_id"] for item in (await self.call("GET", "/users/me/blocks"))["items"]]


def _reaction(message_id: Id, emoji: str) -> str:
    return f"/messages/{path_of(message_id)}/reactions/{quote(emoji, safe='')}"
