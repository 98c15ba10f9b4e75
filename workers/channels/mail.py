"""The channel of mail: a person's own address, once they have shown that it is theirs, until they want no more of it."""

from uuid import UUID

from adapters.mail_links import MailLinks
from commands.command_bus import CommandBus
from domain.account import ACCOUNT, Account
from domain.ids import RecordId
from domain.mail_notices import MAIL_NOTICES, is_stopped
from domain.ports.channels import Gone, Later, Notice, Outcome, Told
from domain.ports.mail import Mails, MailUnavailableError
from workers.channels.mail_texts import mail_of

LATER_SECONDS = 60.0


class MailChannel:
    """The port `domain.ports.channels.Channel`. The one target of an account is the account.

    An address that nobody has confirmed is told nothing: whoever registers with somebody else's could have them flooded.
    """

    name = "mail"

    def __init__(
        self, command_bus: CommandBus, mails: Mails, links: MailLinks, *, record_id: RecordId, links_url: str
    ) -> None:
        self._command_bus = command_bus
        self._mails = mails
        self._links = links
        self._record_id = record_id
        self._links_url = links_url

    async def targets(self, account_id: UUID) -> list[UUID]:
        return [] if await self._account(account_id) is None else [account_id]

    async def tell(self, target_id: UUID, notice: Notice) -> Outcome:
        account = await self._account(target_id) if target_id == notice.account_id else None
        if account is None:
            return Gone()
        mail = mail_of(notice, account.email, record_id=self._record_id, links=self._links, links_url=self._links_url)
        try:
            await self._mails.send(mail)
        except MailUnavailableError:
            return Later(LATER_SECONDS)
        return Told()

    async def forget(self, target_id: UUID) -> None:
        """There is nothing to forget: an address is the account's, and whether it is told is looked up each time."""

    async def _account(self, account_id: UUID) -> Account | None:
        """Return an account that may be written to."""
        account = (await self._command_bus.see(ACCOUNT, account_id)).state
        if account is None or not (account.is_active and account.is_verified and account.email):
            return None
        return None if is_stopped((await self._command_bus.see(MAIL_NOTICES, account_id)).state) else account
