"""Links in mails of notices: by which they are stopped without a log-in (RFC 8058), and the ids by which mails form threads.

A link names an account and is signed; it is good for as long as the mail is kept. All it can do is stop mails, or allow them.
"""

from base64 import b64decode, urlsafe_b64encode
from email.utils import parseaddr
from hmac import compare_digest, digest
from uuid import UUID

from domain.addresses import API
from domain.errors import UnsubscribeTokenError
from domain.ids import UserId

MARK_BYTES = 20
ID_BYTES = 12
UNSUBSCRIBE = f"{API}/mail/unsubscribe"


class MailLinks:
    """`base_url` is where mail programs reach this deployment; empty: nowhere. `sender` is from whom mails come."""

    def __init__(self, base_url: str, *, secret: bytes, sender: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        domain = parseaddr(sender)[1].rpartition("@")[2]
        self._domain = domain if "." in domain else "hansard.invalid"

    def unsubscribe(self, user_id: UUID) -> str | None:
        """Return the address that stops mails to this person; None if nobody could reach it."""
        token = urlsafe_b64encode(user_id.bytes + self._mark(b"unsubscribe", user_id)).decode()
        return f"{self._base_url}{UNSUBSCRIBE}?token={token}" if self._base_url else None

    def user_of(self, token: str) -> UserId:
        """Return whom a link names. Raise `UnsubscribeTokenError` unless we made it."""
        try:
            raw = b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            raise UnsubscribeTokenError(pointer="?token") from None
        if len(raw) != 16 + MARK_BYTES or not compare_digest(
            raw[16:], self._mark(b"unsubscribe", UUID(bytes=raw[:16]))
        ):
            raise UnsubscribeTokenError(pointer="?token")
        return UserId(UUID(bytes=raw[:16]))

    def message_id(self, user_id: UUID, about: str) -> str:
        """Return the Message-ID of a mail to this person about something: always the same, and it tells nobody what."""
        marked = digest(self._secret, b"message " + user_id.bytes + about.encode(), "sha256")[:ID_BYTES]
        return f"<{marked.hex()}@{self._domain}>"

    def _mark(self, purpose: bytes, user_id: UUID) -> bytes:
        return digest(self._secret, purpose + user_id.bytes, "sha256")[:MARK_BYTES]
