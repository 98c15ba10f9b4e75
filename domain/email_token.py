"""E-mail token: a mailed secret of one use. Whoever has it can read the mail of an address.

Only the SHA-256 of the secret is recorded. A token is valid for one purpose, until it expires, is used, or the password is
changed: old mail is worth nothing. On the record it is called a letter; topics and fields keep that name for ever.
"""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.errors import BadEmailTokenError
from domain.events import Event, Recorded, Stream
from domain.ids import EmailTokenId, RoomId, UserId

Purpose = Literal["verify_email", "reset_password"]


class _OfEmailToken(Event, frozen=True):
    letter_id: EmailTokenId
    user_id: UserId

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class EmailTokenIssued(_OfEmailToken, frozen=True):
    topic: ClassVar = "letter.written"
    sealed: ClassVar = ("email", "secret_hash")

    purpose: Purpose
    email: str
    secret_hash: str
    expires_at: datetime


class EmailTokenUsed(_OfEmailToken, frozen=True):
    topic: ClassVar = "letter.used"


EmailTokenEvent = EmailTokenIssued | EmailTokenUsed


class EmailToken(Struct, frozen=True):
    letter_id: EmailTokenId
    user_id: UserId
    purpose: Purpose
    email: str
    secret_hash: str
    expires_at: datetime
    position: int
    used: bool = False


def use(
    email_token: EmailToken | None, *, purpose: Purpose, secret_hash: str, now: datetime
) -> tuple[EmailToken, tuple[EmailTokenEvent, ...]]:
    """Return the token, and the event that it was used. Raise `BadEmailTokenError`, whatever is wrong with it."""
    if email_token is None or email_token.used or email_token.purpose != purpose:
        raise BadEmailTokenError
    if email_token.secret_hash != secret_hash or now >= email_token.expires_at:
        raise BadEmailTokenError
    return email_token, (EmailTokenUsed(email_token.letter_id, email_token.user_id),)


def evolve(email_token: EmailToken | None, recorded: Recorded[EmailTokenEvent]) -> EmailToken:
    event = recorded.event
    match event:
        case EmailTokenIssued():
            return EmailToken(
                event.letter_id, event.user_id, event.purpose, event.email, event.secret_hash, event.expires_at,
                recorded.position,
            )  # fmt: skip
        case EmailTokenUsed():
            assert email_token is not None, "a token is issued before it is used"
            return replace(email_token, used=True)
        case _:
            assert_never(event)


EMAIL_TOKEN: Stream[EmailToken] = Stream(
    "letter", evolve, EmailToken, subject=lambda email_token: (email_token.user_id, None)
)
EVENTS: tuple[type[Event], ...] = (EmailTokenIssued, EmailTokenUsed)
