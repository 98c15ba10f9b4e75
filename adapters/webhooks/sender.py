"""Sending webhooks as Standard Webhooks 1.0 says (standardwebhooks.com): an id, a time, and a signature over both and the body.

The id is the same however often one thing is sent, so that the receiver can tell repeats; the time is that of the attempt.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from hmac import digest

from adapters.outbound.outcomes import LATER_SECONDS, sent
from adapters.outbound.requests import OutboundRequests
from domain.errors import SetupError
from domain.ports.channels import Outcome
from domain.ports.clock import Clock

SECRET_PREFIX = "whsec_"  # noqa: S105  # what a secret begins with
SECRET_BYTES = 32
GONE = frozenset({410})  # a server that is being set up anew answers 404 for a while


class SecretUnusableError(SetupError):
    """A webhook's secret is whsec_ and 24 to 64 bytes in Base64."""


class WebhookSender:
    """Sends a body to one URL, once."""

    def __init__(self, requests: OutboundRequests, *, now: Clock, later_seconds: float = LATER_SECONDS) -> None:
        """`later_seconds`: when to try again, where an answer does not say, or there is none."""
        self._requests = requests
        self._now = now
        self._later_seconds = later_seconds

    def require_url(self, url: str) -> None:
        """Raise `EndpointRefusedError` unless this may be sent to, as far as its text says."""
        self._requests.reachable.require_url(url)

    def new_secret(self) -> str:
        return secret_of(os.urandom(SECRET_BYTES))

    async def send(self, url: str, body: bytes, *, id: str, secrets: Sequence[str]) -> Outcome:
        """Send JSON. Two secrets are given while one takes the other's place."""
        now = self._now()
        headers = {"Content-Type": "application/json", **signed(body, id=id, at=now, secrets=secrets)}
        return await sent(self._requests, url, body, headers, now=now, gone=GONE, later_seconds=self._later_seconds)


def signed(body: bytes, *, id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Return the three headers of a webhook; a signature for each secret."""
    seconds = str(int(at.timestamp()))
    content = f"{id}.{seconds}.".encode() + body
    signatures = (f"v1,{b64encode(digest(_key(secret), content, 'sha256')).decode()}" for secret in secrets)
    return {"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": " ".join(signatures)}


def secret_of(chance: bytes) -> str:
    """Return a secret as receivers are given it."""
    assert len(chance) == SECRET_BYTES, "24 to 64 bytes, the specification says"
    return SECRET_PREFIX + b64encode(chance).decode()


def require_secret(secret: str) -> None:
    """Raise `SecretUnusableError` for what is no secret of a webhook."""
    try:
        size = len(_key(secret))
    except ValueError:
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
        raise SecretUnusableError(SecretUnusableError.__doc__)


def _key(secret: str) -> bytes:
    return b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
