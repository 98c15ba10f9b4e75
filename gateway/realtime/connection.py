"""Connection: one authenticated socket as the hub knows it. Whose it is, what it is subscribed to, and its outbox."""

import asyncio
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from domain.ids import RoomId
from domain.ports.credentials import Access
from gateway.protocol import server_frames
from gateway.protocol.framing import text_frame
from gateway.realtime.outbox import Outbox
from gateway.realtime.subscription import Subscription


class Connection:
    """From its authentication to its close."""

    def __init__(
        self, outbox: Outbox, access: Access, *, note_refusal: Callable[[int, str], None], is_of_one_room: bool
    ) -> None:
        """`note_refusal` counts a refusal by its status and code. `is_of_one_room`: the socket's address names its room."""
        self.outbox = outbox
        self.access = access
        self.is_of_one_room = is_of_one_room
        self.is_draining = False  # the client was told to reconnect: its frames are not accepted any more
        self.operations = 0  # frames that were accepted and have no reply yet
        self.subscriptions: dict[RoomId, Subscription] = {}
        self.replay_turn = asyncio.Lock()  # one page of the record at a time, however many rooms are replayed
        self._note_refusal = note_refusal

    @property
    def is_closed(self) -> bool:
        return self.outbox.is_closed

    def send(self, payload: bytes | None) -> None:
        """Queue a frame for this socket alone; for None do nothing."""
        if payload is not None:
            self.outbox.push(text_frame(payload))

    def refuse(
        self,
        request: int | None,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after_seconds: int | UnsetType = UNSET,
        rooms: dict[RoomId, str] | UnsetType = UNSET,
    ) -> None:
        """Reply with a refusal. It is counted as those of HTTP are, whether or not the client numbered its request."""
        self._note_refusal(status, code)
        self.send(
            server_frames.refusal(request, code, detail, status, retry_after_seconds=retry_after_seconds, rooms=rooms)
        )

    def close(self, code: int, reason: str) -> None:
        """End all subscriptions, and close after what was queued. Closing again does nothing."""
        if self.is_closed:
            return
        self._drop_subscriptions()
        self.outbox.close(code, reason)

    def abandon(self) -> None:
        """End all subscriptions of a socket that is gone."""
        self._drop_subscriptions()
        self.outbox.discard()

    def _drop_subscriptions(self) -> None:
        for subscription in list(self.subscriptions.values()):
            subscription.drop()
