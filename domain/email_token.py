"""Letter: a mail that lets its reader prove that the address is theirs, by a secret of one use.

Only the SHA-256 of the secret is recorded. A letter is good for its purpose alone, until it expires, is used, or the
password was changed after it was written: whoever reads old mail gets nowhere.
"""

from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.errors import BadLetter
from domain.events import Event, Recorded, Stream
from domain.ids import LetterId, RoomId, UserId

Purpose = Literal["verify_email", "reset_password"]


class _OfLetter(Event, frozen=True):
    letter_id: LetterId
    user_id: UserId

    def key_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id, None


class LetterWritten(_OfLetter, frozen=True):
    topic: ClassVar = "letter.written"
    sealed: ClassVar = ("email", "secret_hash")

    purpose: Purpose
    email: str
    secret_hash: str
    expires_at: datetime


class LetterUsed(_OfLetter, frozen=True):
    topic: ClassVar = "letter.used"


LetterEvent = LetterWritten | LetterUsed


class Letter(Struct, frozen=True):
    letter_id: LetterId
    user_id: UserId
    purpose: Purpose
    email: str
    secret_hash: str
    expires_at: datetime
    position: int
    used: bool = False


def use(
    letter: Letter | None, *, purpose: Purpose, secret_hash: str, now: datetime
) -> tuple[Letter, tuple[LetterEvent, ...]]:
    """Return the letter and that it is used; every reason why it is no good has one answer."""
    if letter is None or letter.used or letter.purpose != purpose:
        raise BadLetter
    if letter.secret_hash != secret_hash or now >= letter.expires_at:
        raise BadLetter
    return letter, (LetterUsed(letter.letter_id, letter.user_id),)


def evolve(letter: Letter | None, fact: Recorded[LetterEvent]) -> Letter:
    event = fact.event
    match event:
        case LetterWritten():
            return Letter(
                event.letter_id, event.user_id, event.purpose, event.email, event.secret_hash, event.expires_at,
                fact.position,
            )  # fmt: skip
        case LetterUsed():
            assert letter is not None, "a letter is written before it is used"
            return replace(letter, used=True)
        case _:
            assert_never(event)


LETTER: Stream[Letter] = Stream("letter", evolve, Letter, subject=lambda letter: (letter.user_id, None))
EVENTS: tuple[type[Event], ...] = (LetterWritten, LetterUsed)
