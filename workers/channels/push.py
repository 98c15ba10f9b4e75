"""The channel of push: a person's devices, each read from the record at the moment when it is told.

So a device whose session ended a moment ago is not told. One whose session has merely expired (after a week, without anybody's
doing) is still told for a month that there is something, but never what: who holds it has not shown who they are since.
"""

from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from adapters.push.sender import PushSender
from commands.command_bus import CommandBus
from commands.push import ForgetPush
from domain.account import ACCOUNT
from domain.events import Caller
from domain.ids import SubscriptionId, UserId
from domain.ports.channels import Gone, Notice, Outcome
from domain.ports.clock import Clock
from domain.ports.database import Db
from domain.push import SUBSCRIPTIONS, Subscription
from domain.session import SESSION
from projections import push

TOLD_AFTER_EXPIRY_DAYS = 30


class PushChannel:
    """The port `domain.ports.channels.Channel`. Targets are subscriptions."""

    name = "push"

    def __init__(self, command_bus: CommandBus, db: Db, sender: PushSender, *, now: Clock) -> None:
        self._command_bus = command_bus
        self._db = db
        self._sender = sender
        self._now = now

    async def targets(self, account_id: UUID) -> list[UUID]:
        account = (await self._command_bus.see(ACCOUNT, account_id)).state
        if account is None or not account.is_active:
            return []
        return [each.subscription_id for each in await self._live(account_id) if await self._is_told(each) is not None]

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        found = next((each for each in await self._live(notice.account_id) if each.subscription_id == target_id), None)
        shows_content = None if found is None else await self._is_told(found)
        if found is None or shows_content is None:
            return Gone()
        hidden = replace(notice, text=None, room_name=None, actor_name=None)
        return await self._sender.send(found, notice if shows_content else hidden)

    async def forget(self, target_id: UUID) -> None:
        user_id = await push.owner(self._db, SubscriptionId(target_id))
        if user_id is not None:
            await self._command_bus.do(ForgetPush(UserId(user_id), SubscriptionId(target_id)), Caller())

    async def _live(self, account_id: UUID) -> tuple[Subscription, ...]:
        held = (await self._command_bus.see(SUBSCRIPTIONS, account_id)).state
        return () if held is None else held.live

    async def _is_told(self, subscription: Subscription) -> bool | None:
        """Return whether a device may be shown content; None if it is told nothing at all."""
        session = (await self._command_bus.see(SESSION, subscription.session_id)).state
        if session is None or session.ended:
            return None
        since = self._now() - session.expires_at
        return None if since > timedelta(days=TOLD_AFTER_EXPIRY_DAYS) else since < timedelta()
