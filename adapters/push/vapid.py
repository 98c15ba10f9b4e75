"""VAPID (RFC 8292): push services are told who sends, by a token that the deployment's key signs.

The key pair is derived from the master key, so every process has it and a backup holds it. It is never changed: a browser ties
each subscription to the public key it was made with.
"""

from base64 import urlsafe_b64encode
from collections import OrderedDict
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from adapters.push.encryption import point_of

# The order of P-256 (FIPS 186-5, SP 800-186 3.2.1.3). 64 bytes modulo it are as good as evenly spread (FIPS 186-5 A.2.1).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PURPOSES = (b"hansard vapid 1", b"hansard vapid 2")
TOKEN_HOURS = 12  # at most 24 (RFC 8292 2)
RENEWED_HOURS = 1  # before that
TOKENS_KEPT_MAX = 1_000


class Vapid:
    """Signs as one deployment. `contact` is where push services complain: `mailto:…` or `https://…`."""

    def __init__(self, secret: bytes, contact: str) -> None:
        """`secret` has 64 bytes: those of `PURPOSES`, one after the other."""
        assert len(secret) == 64, "two secrets of 32 bytes make a key"
        self._private = derive_private_key(int.from_bytes(secret, "big") % (ORDER - 1) + 1, SECP256R1())
        self._contact = contact
        self._tokens: OrderedDict[str, tuple[datetime, str]] = OrderedDict()
        self.public_key = urlsafe_b64encode(point_of(self._private.public_key())).rstrip(b"=").decode()

    def authorization(self, endpoint: str, now: datetime) -> str:
        """Return the Authorization of a request to this endpoint. Requests to one push service share a token."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}".lower()
        ends, token = self._tokens.pop(audience, (now, ""))
        if ends - now < timedelta(hours=RENEWED_HOURS):
            ends = now + timedelta(hours=TOKEN_HOURS)
            claims = {"aud": audience, "exp": int(ends.timestamp()), "sub": self._contact}
            token = jwt.encode(claims, self._private, algorithm="ES256")
        self._tokens[audience] = ends, token
        if len(self._tokens) > TOKENS_KEPT_MAX:
            self._tokens.popitem(last=False)
        return f"vapid t={token}, k={self.public_key}"
