"""Idempotency-Key: a request that is sent again with its key gets its answer again, instead of being done twice."""

import re
from collections.abc import Collection
from hashlib import sha256
from hmac import digest as hmac
from typing import Any

import msgspec
from litestar import Request

from domain.ports.record import Receipt
from gateway.http.callers import who
from gateway.http.context import context_of
from gateway.http.declarations import declaration_of
from gateway.http.problems import Problem

IDEMPOTENCY_KEY_CHARS_MAX = 255

VISIBLE = re.compile(r"[\x21-\x7e]+")


async def receipt_of(request: Request[Any, Any, Any]) -> Receipt | None:
    """Return the receipt of a request with an Idempotency-Key, or None if it has none. A stranger is known by address.

    Fields that a route declares as `secrets` are left out of the digest of the body: nothing of them is kept.
    """
    if idempotency_key(request) is None:
        return None
    body = await request.body()
    declared = declaration_of(request.scope["route_handler"])
    return receipt_for(request, _without(body, declared.secrets if declared else ()), before=sha256(body).digest())


def receipt_for(request: Request[Any, Any, Any], content: bytes, *, before: bytes | None = None) -> Receipt | None:
    """Return the same for a request whose `content` is given; what is kept of that is an HMAC.

    So whoever reads the table and guesses a body cannot verify the guess. `before` is the digest that earlier releases kept.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    caller = who(request)
    whose = str(caller.user_id) if caller.user_id else f"stranger {caller.address}"
    scope = "\n".join((whose, request.method, request.url.path, key))
    return Receipt(
        sha256(scope.encode()).digest(), hmac(context_of(request).receipts_secret, content, "sha256"), before
    )


def _without(body: bytes, secrets: Collection[str]) -> bytes:
    """Return a JSON body, which was checked already, without these fields."""
    if not secrets:
        return body
    fields: dict[str, Any] = msgspec.json.decode(body)
    return msgspec.json.encode({name: value for name, value in fields.items() if name not in secrets})


def require_key(request: Request[Any, Any, Any]) -> None:
    """Raise `Problem` if the Idempotency-Key is malformed, before a long body is read."""
    idempotency_key(request)


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """Return the Idempotency-Key, or None. Raise `Problem` if it is malformed."""
    key = request.headers.get("idempotency-key")
    if key is not None and (not VISIBLE.fullmatch(key) or len(key) > IDEMPOTENCY_KEY_CHARS_MAX):
        raise Problem(422, "idempotency.key_invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key
