"""Mail: handing one over to a mail server."""

from typing import Protocol

from msgspec import Struct


class Mail(Struct, frozen=True):
    """A mail in plain text, and the same in HTML if there is one. `headers` are further ones, or take the place of our own."""

    to: str
    subject: str
    text: str
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class MailUnavailableError(Exception):
    """The mail server did not take a mail."""


class Mails(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raise `MailUnavailableError` if the server does not take it."""
