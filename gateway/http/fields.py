"""Fields that several routes have in their bodies, with the checks that run before the route does."""

from typing import Annotated

from msgspec import Meta

from domain.bounds import EMAIL_CHARS_MAX, PASSWORD_BYTES_MAX
from domain.text import check_email, check_password, normalised
from gateway.protocol.faults import CHECK

Email = Annotated[
    str,
    Meta(
        max_length=EMAIL_CHARS_MAX,
        extra_json_schema={"format": "email"},
        extra={CHECK: lambda value, _: check_email(value)},
    ),
]
NewPassword = Annotated[
    str,
    Meta(
        max_length=PASSWORD_BYTES_MAX,
        description=f"8 or more characters, at most {PASSWORD_BYTES_MAX} bytes, none that is guessed first.",
        extra_json_schema={"format": "password"},
        extra={CHECK: lambda value, policy: check_password(normalised(value), chars_min=policy.password_chars_min)},
    ),
]
