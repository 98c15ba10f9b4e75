"""Letters: a code is good for one thing, once, and not for long."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.email_token import EmailToken, EmailTokenUsed, use
from domain.errors import BadEmailTokenError
from domain.ids import EmailTokenId, UserId
from gateway.routes.email_token import LIVES, RESET_SECONDS, VERIFY_SECONDS

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
EMAIL_TOKEN = EmailToken(
    EmailTokenId(UUID(int=1)),
    UserId(UUID(int=2)),
    "reset_password",
    "ada@example.com",
    "hash",
    NOON + timedelta(hours=1),
    7,
)


def test_a_code_is_used_once_for_its_purpose_before_it_ends() -> None:
    last = NOON + timedelta(minutes=59, seconds=59)
    assert use(EMAIL_TOKEN, purpose="reset_password", secret_hash="hash", now=last) == (
        EMAIL_TOKEN,
        (EmailTokenUsed(EMAIL_TOKEN.letter_id, EMAIL_TOKEN.user_id),),
    )


@pytest.mark.parametrize(
    ("letter", "purpose", "secret_hash", "seconds"),
    [
        (None, "reset_password", "hash", 0),
        (replace(EMAIL_TOKEN, used=True), "reset_password", "hash", 0),
        (EMAIL_TOKEN, "verify_email", "hash", 0),
        (EMAIL_TOKEN, "reset_password", "another", 0),
        (EMAIL_TOKEN, "reset_password", "hash", 3600),
    ],
    ids=["unknown", "used", "for something else", "wrong", "too late"],
)
def test_whatever_is_wrong_with_a_code_has_one_answer(
    letter: EmailToken | None, purpose: str, secret_hash: str, seconds: int
) -> None:
    with pytest.raises(BadEmailTokenError) as refused:
        use(letter, purpose=purpose, secret_hash=secret_hash, now=NOON + timedelta(seconds=seconds))  # type: ignore[arg-type]
    assert refused.value.detail == BadEmailTokenError.__doc__


def test_codes_live_a_day_at_most() -> None:
    assert LIVES == {"verify_email": VERIFY_SECONDS, "reset_password": RESET_SECONDS}
    assert (VERIFY_SECONDS, RESET_SECONDS) == (24 * 3600, 3600)
