"""Letter: a mail that lets its reader prove that the address is theirs, by a secret of one use.

Only the SHA-256 of the secret is recorded. A letter is good for its purpose alone, until it expires, is used, or the
password was changed after it was written: whoever reads old mail gets nowhere.
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
    letter: EmailToken | None, *, purpose: Purpose, secret_hash: str, now: datetime
) -> tuple[EmailToken, tuple[EmailTokenEvent, ...]]:
    """Return the letter and that it is used; every reason why it is no good has one answer."""
    if letter is None or letter.used or letter.purpose != purpose:
        raise BadEmailTokenError
    if letter.secret_hash != secret_hash or now >= letter.expires_at:
        raise BadEmailTokenError
    return letter, (EmailTokenUsed(letter.letter_id, letter.user_id),)


def evolve(letter: EmailToken | None, recorded: Recorded[EmailTokenEvent]) -> EmailToken:
    event = recorded.event
    match event:
        case EmailTokenIssued():
            return EmailToken(
                event.letter_id, event.user_id, event.purpose, event.email, event.secret_hash, event.expires_at,
                recorded.position,
            )  # fmt: skip
        case EmailTokenUsed():
            assert letter is not None, "a letter is written before it is used"
            return replace(letter, used=True)
        case _:
            assert_never(event)


EMAIL_TOKEN: Stream[EmailToken] = Stream("letter", evolve, EmailToken, subject=lambda letter: (letter.user_id, None))
EVENTS: tuple[type[Event], ...] = (EmailTokenIssued, EmailTokenUsed)
