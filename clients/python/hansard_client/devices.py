"""Devices and servers that are told of things while nobody is connected. A part of `Client`, which asks for it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Unpack

from hansard_client.asking import Asked, path_of
from hansard_client.chat import Id
from hansard_client.models import PushSubscription


class Devices(ABC):
    @abstractmethod
    async def call(self, method: str, path: str, **asked: Unpack[Asked]) -> Any:
        """Call a route and return its body."""

    async def push_key(self) -> str:
        """Return the `applicationServerKey` that a browser, or a UnifiedPush distributor, subscribes with."""
        return str((await self.call("GET", "/push/key"))["public_key"])

    async def subscribe_push(self, subscription: Mapping[str, Any], *, device: str | None = None) -> PushSubscription:
        """Have this session's device told; `subscription` is what `PushSubscription.toJSON()` said there."""
        named = {} if device is None else {"device": device}
        return PushSubscription.of(await self.call("POST", "/push/subscriptions", body={**subscription, **named}))

    async def push_subscriptions(self, *, after: int | None = None) -> list[PushSubscription]:
        """Return one's devices that are told, the newest first."""
        page = await self.call("GET", "/push/subscriptions", after=after)
        return [PushSubscription.of(item) for item in page["items"]]

    async def unsubscribe_push(self, subscription_id: Id) -> None:
        await self.call("DELETE", f"/push/subscriptions/{path_of(subscription_id)}")

    async def test_push(self, subscription_id: Id) -> str:
        """Send a message to a device; return what became of it: told, gone, later or refused."""
        return str((await self.call("POST", f"/push/subscriptions/{path_of(subscription_id)}/test"))["outcome"])

    async def put_webhook(self, url: str) -> str:
        """Set or replace one's own webhook; return the secret that its requests are signed with, which is told only now."""
        return str((await self.call("PUT", "/users/me/webhook", body={"url": url}))["secret"])

    async def webhook(self, *, after: int | None = None) -> str:
        """Return the address of one's own webhook."""
        return str((await self.call("GET", "/users/me/webhook", after=after))["url"])

    async def remove_webhook(self) -> None:
        await self.call("DELETE", "/users/me/webhook")
