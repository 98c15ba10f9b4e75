"""A person's own webhook: one address to which their server is told what their devices are. One stream for each person.

Whoever knows the secret can verify that a request is from here. Address and secret are the person's, and sealed.
"""

from typing import ClassVar, assert_never
from uuid import UUID

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId


class _OfOwnWebhook(Event, frozen=True):
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class OwnWebhookPut(_OfOwnWebhook, frozen=True):
    topic: ClassVar = "own_webhook.put"
    sealed: ClassVar = ("url", "secret")

    url: str
    secret: str


class OwnWebhookRemoved(_OfOwnWebhook, frozen=True):
    """`is_gone`: the server answered that it wants no more of them."""

    topic: ClassVar = "own_webhook.removed"

    is_gone: bool = False


OwnWebhookEvent = OwnWebhookPut | OwnWebhookRemoved


class OwnWebhook(Struct, frozen=True):
    """`url` empty: there is none."""

    user_id: UserId
    url: str = ""
    secret: str = ""


def put(user_id: UserId, *, url: str, secret: str) -> tuple[OwnWebhookEvent, ...]:
    """Set or replace the webhook; the same address again gets another secret."""
    return (OwnWebhookPut(user_id, url, secret),)


def remove(webhook: OwnWebhook | None, *, is_gone: bool = False) -> tuple[OwnWebhookEvent, ...]:
    """Remove the webhook, if there is one."""
    return (OwnWebhookRemoved(webhook.user_id, is_gone),) if webhook and webhook.url else ()


def evolve(_: OwnWebhook | None, recorded: Recorded[OwnWebhookEvent]) -> OwnWebhook:
    match recorded.event:
        case OwnWebhookPut() as e:
            return OwnWebhook(e.user_id, e.url, e.secret)
        case OwnWebhookRemoved() as e:
            return OwnWebhook(e.user_id)
        case _:
            assert_never(recorded.event)


OWN_WEBHOOK: Stream[OwnWebhook] = Stream(
    "own_webhook", evolve, OwnWebhook, subject=lambda webhook: (webhook.user_id, None)
)
EVENTS: tuple[type[Event], ...] = (OwnWebhookPut, OwnWebhookRemoved)
