"""What schemathesis must know of this house beside its document: how one logs in, and texts that JSON Schema cannot tell.

It is loaded into schemathesis's own process (`SCHEMATHESIS_HOOKS`), which is told by the environment whom to log in
where. Whoever's session an operation ends has one of their own for each request.
"""

import os
import re
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st
from schemathesis.auths import AuthContext
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from adapters.credentials.passwords import common_passwords
from domain import text
from domain.bounds import PASSWORD_BYTES_MAX, REASON_CHARS_MAX
from domain.emojis import qualified

ENDING = ["/api/v1/auth/logout"]
UNKNOWN_HEADER = "x-schemathesis-unknown-property"
ETAG = re.compile(r'\*|"[0-9]{1,9}"')
ACCESS_SECONDS = 600  # an access token lives 900
LETTERS = st.characters(
    categories=["L", "N"], exclude_characters="".join(map(chr, range(0x115F, 0x1161))) + "\u3164\uffa0"
)
WORDS = st.characters(exclude_categories=["C", "Z"])


def is_name(name: str) -> bool:
    return text.INVISIBLE.search(name) is None and all(c.isalnum() or c in "_.-" for c in name)


def is_good_password(password: str) -> bool:
    is_common = password.lower() in common_passwords() or text.is_about(password)
    return len(password.encode()) <= PASSWORD_BYTES_MAX and not is_common


def point_of(scalar: int) -> bytes:
    public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


FORMATS: dict[str, st.SearchStrategy[str]] = {
    "email": st.from_regex(re.compile(text.EMAIL.pattern, re.ASCII), fullmatch=True).filter(lambda e: len(e) <= 255),
    "username": st.text(LETTERS | st.sampled_from("_.-"), min_size=2, max_size=50).filter(is_name),
    "password": st.text(WORDS | st.just(" "), min_size=8, max_size=200).filter(is_good_password),
    "uri": st.text(LETTERS, max_size=200).map(lambda path: f"https://example.com/{quote(path)}"[:500]),
    "line": st.text(WORDS, min_size=1, max_size=100).filter(lambda name: text.INVISIBLE.sub("", name) != ""),
    "reason": st.text(WORDS, min_size=1, max_size=50).map(quote).filter(lambda reason: len(reason) <= REASON_CHARS_MAX),
    "etag": st.integers(0, 10**9 - 1).map('"{}"'.format) | st.just("*"),
    "time-zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
    "emoji": st.sampled_from(sorted(qualified().values())),
    "p256-point": st.integers(1, 2**200).map(lambda scalar: base64url(point_of(scalar))),
    "push-secret": st.binary(min_size=16, max_size=16).map(base64url),
    # The record of a test is short, and its time is after this.
    "moment": st.integers(0, 2).map(str)
    | st.datetimes(datetime(1970, 1, 1), datetime(2026, 1, 1)).map("{:%Y-%m-%dT%H:%M:%SZ}".format),
    # A cursor is known by whoever was given it alone; the first page has none.
    "cursor": st.nothing(),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)


# What valid data may be refused with, because it depends on what no schema can say.
BEYOND_SCHEMA: dict[str, str] = {
    "as.without_as_of": "which parameters need each other, OpenAPI cannot say",
    "as_of.beyond_head": "a position is on the record, or not yet",
    "reason.missing": "whoever looks as somebody else says why, and nobody else need",
    "audit.out_of_range": "a proof is of what is on the record, and of a tree that was signed",
    "idempotency.mismatch": "a key belongs to the body that it first came with",
    "password.too_common": "a password may be its owner's name",
    "message.reply_unknown": "what is replied to is in the same room",
    "auth.mail_token_invalid": "a code that was mailed is known to its reader alone",
}
BEYOND_SCHEMA_OF: dict[str, str] = {
    "GET /api/v1/users": "which parameters exclude each other, OpenAPI cannot say",
    "GET /api/v1/rooms/{room_id}/messages": "the same",
    "PUT /api/v1/users/me/notifications": "quiet hours end at another time than they begin",
    "PATCH /api/v1/messages/{message_id}": "the caption of a picture may be empty, a text may not",
}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is a failure. Nothing but refusals of valid data, and unknown headers, are passed over."""
    if isinstance(failure, AcceptedNegativeData):
        return UNKNOWN_HEADER not in case.headers  # RFC 9110 5.1: a header that is not known is ignored
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        if not ETAG.fullmatch(case.headers.get("If-Match", "*")):
            return False  # its generator of headers does not always keep to a format
        if case.method == "HEAD":
            return False  # it is told by no body; the same GET is judged
        return response.json()["code"] not in BEYOND_SCHEMA and case.operation.label not in BEYOND_SCHEMA_OF
    return True


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out 7.0: JSON Schema takes it for an integer, and we do not (gateway/http/bodies.py: nothing is converted)."""
    return not isinstance(body, dict) or not any(isinstance(value, float) for value in body.values())


class LogIn:
    """A bearer token, by logging in."""

    def get(self, case: Any, context: AuthContext) -> str:
        body = {"email": os.environ["SCHEMA_EMAIL"], "password": os.environ["SCHEMA_PASSWORD"]}
        answer = requests.post(f"{os.environ['SCHEMA_BASE']}/api/v1/auth/login", json=body, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def set(self, case: Any, data: str, context: AuthContext) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


schemathesis.auth(refresh_interval=ACCESS_SECONDS).skip_for(path=ENDING)(LogIn)
schemathesis.auth(refresh_interval=None).apply_to(path=ENDING)(LogIn)
