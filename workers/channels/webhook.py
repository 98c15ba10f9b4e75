"""The channel of a person's own webhook, read from the record at the moment when it is told."""

from uuid import UUID

from adapters.outbound.notice_bodies import body_of
from adapters.webhooks.sender import WebhookSender
from commands.command_bus import CommandBus
from commands.own_webhook import ForgetOwnWebhook
from domain.account import ACCOUNT
from domain.events import Caller
from domain.ids import UserId
from domain.own_webhook import OWN_WEBHOOK, OwnWebhook
from domain.ports.channels import Gone, Notice, Outcome

BODY_BYTES_MAX = 64 * 1024


class WebhookChannel:
    """The port `domain.ports.channels.Channel`. The one target of an account is the account."""

    name = "webhook"

    def __init__(self, command_bus: CommandBus, sender: WebhookSender) -> None:
        self._command_bus = command_bus
        self._sender = sender

    async def targets(self, account_id: UUID) -> list[UUID]:
        return [] if await self._webhook(account_id) is None else [account_id]

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        webhook = await self._webhook(target_id) if target_id == notice.account_id else None
        if webhook is None:
            return Gone()
        body = body_of(notice, bytes_max=BODY_BYTES_MAX)
        return await self._sender.send(webhook.url, body, id=str(notice.position), secrets=[webhook.secret])

    async def forget(self, target_id: UUID) -> None:
        await self._command_bus.do(ForgetOwnWebhook(UserId(target_id)), Caller())

    async def _webhook(self, account_id: UUID) -> OwnWebhook | None:
        account = (await self._command_bus.see(ACCOUNT, account_id)).state
        if account is None or not account.is_active:
            return None
        found = (await self._command_bus.see(OWN_WEBHOOK, account_id)).state
        return found if found is not None and found.url else None
