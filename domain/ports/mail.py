"""Mail: handing one over to a mail server."""

from typing import Protocol

from msgspec import Struct


class Mail(Struct, frozen=True):
    """A mail in plain text."""

    to: str
    subject: str
    text: str


class MailUnavailableError(Exception):
    """The mail server did not take a mail."""


class Mails(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raise `MailUnavailableError` if the server does not take it."""
