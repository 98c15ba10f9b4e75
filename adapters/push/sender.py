"""Sending push messages (RFC 8030): to browsers' push services and to UnifiedPush distributors alike.

Every message has the same length, whatever it says, and goes away after a day. The newest of a room takes the place of those
that still wait for the device (Topic); what a topic is of cannot be told from it.
"""

from base64 import urlsafe_b64encode
from hmac import digest
from typing import Literal, Protocol

from adapters.outbound.notice_bodies import body_of
from adapters.outbound.outcomes import sent
from adapters.outbound.requests import OutboundRequests
from adapters.push.encryption import device_keys, encrypted
from adapters.push.vapid import Vapid
from domain.errors import PushKeysInvalidError
from domain.ports.channels import Notice, Outcome, Refused
from domain.ports.clock import Clock

TEXT_BYTES_MAX = 3_072  # and all are padded to it: so a body has 3,175 bytes
TTL_SECONDS = 24 * 3600
TOPIC_BYTES = 24  # 32 characters, the most that a topic may have (RFC 8030 5.4)

Urgency = Literal["low", "normal", "high"]
URGENCIES: dict[str, Urgency] = {"mention": "high", "direct": "high", "test": "high", "file": "low"}


class Device(Protocol):
    """Where a device is told of things (`domain.push.Subscription`). The keys are in Base64url."""

    @property
    def endpoint(self) -> str: ...
    @property
    def p256dh(self) -> str: ...
    @property
    def auth(self) -> str: ...


class PushSender:
    """Sends to one device, once."""

    def __init__(self, requests: OutboundRequests, vapid: Vapid, *, topics_secret: bytes, now: Clock) -> None:
        self._requests = requests
        self._vapid = vapid
        self._topics_secret = topics_secret
        self._now = now

    @property
    def public_key(self) -> str:
        return self._vapid.public_key

    def require_device(self, endpoint: str, p256dh: str, auth: str) -> None:
        """Raise `EndpointRefusedError` or `PushKeysInvalidError` unless this can be sent to, as far as it says itself."""
        self._requests.reachable.require_url(endpoint)
        device_keys(p256dh, auth)

    async def send(self, device: Device, notice: Notice) -> Outcome:
        text, now = body_of(notice, bytes_max=TEXT_BYTES_MAX), self._now()
        try:
            body = encrypted(text, device.p256dh, device.auth, padded_bytes=TEXT_BYTES_MAX)
        except PushKeysInvalidError:
            return Refused("keys of another kind")
        headers = {
            "Authorization": self._vapid.authorization(device.endpoint, now),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(TTL_SECONDS),
            "Urgency": URGENCIES.get(notice.kind, "normal"),
            "Topic": self._topic(device, notice),
        }
        return await sent(self._requests, device.endpoint, body, headers, now=now)

    def _topic(self, device: Device, notice: Notice) -> str:
        """Return a name for what newer messages replace, another one on each device: nobody can put two of them together."""
        about = f"{device.endpoint}\n{notice.room_id or notice.kind}".encode()
        return urlsafe_b64encode(digest(self._topics_secret, about, "sha256")[:TOPIC_BYTES]).decode()
