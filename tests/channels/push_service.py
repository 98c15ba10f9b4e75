"""A push service (RFC 8030) with its devices: it holds each request to VAPID (RFC 8292), opens it as the device would (RFC
8291, by Mozilla's `http_ece`), and answers as it is told.
"""

import asyncio
import json
import os
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import http_ece
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.outbound.public_addresses import Reachable
from adapters.outbound.requests import OutboundRequests
from tests.certificates import made

LOOPBACK = "127.0.0.0/8"
VAPID_SECONDS_MAX = 24 * 3600
FLOOD_BYTES = 64 * 1024


class Received(NamedTuple):
    headers: Mapping[str, str]
    claims: dict[str, Any]
    body: bytes
    text: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.text)


class Answering(NamedTuple):
    """What the service does next: answer with a status, or `hang`, `flood` (a body without end) or `cut` the connection."""

    status: int = 201
    headers: Mapping[str, str] = {}
    how: str = "answer"


class FakeDevice:
    """A browser's half of a subscription."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.private = generate_private_key(SECP256R1())
        self.secret = os.urandom(16)
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.p256dh = urlsafe_b64encode(point).rstrip(b"=").decode()
        self.auth = urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        self.received: list[Received] = []

    def as_json(self) -> dict[str, Any]:
        """Return what `PushSubscription.toJSON()` does."""
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": {"p256dh": self.p256dh, "auth": self.auth}}

    def opened(self, body: bytes) -> bytes:
        text: bytes = http_ece.decrypt(body, private_key=self.private, auth_secret=self.secret, version="aes128gcm")
        return text


class PushService:
    """Runs on loopback, with a certificate of its own."""

    def __init__(self, base: str, trust: ssl.SSLContext, public_key: str) -> None:
        self.base = base
        self.trust = trust
        self.public_key = public_key
        self.authority = b""  # whose certificates a process must trust to come here
        self.devices: dict[str, FakeDevice] = {}
        self.answers: list[Answering] = []
        self.faults: list[str] = []
        self.requests = 0
        self.hooked: list[tuple[Mapping[str, str], bytes]] = []

    def device(self) -> FakeDevice:
        name = urlsafe_b64encode(os.urandom(12)).decode()
        made = self.devices[name] = FakeDevice(f"{self.base}/push/{name}")
        return made

    def client(self, *, seconds: float = 10.0) -> OutboundRequests:
        """Return a client that may reach loopback, and trusts this service's certificate."""
        from ipaddress import ip_network

        return OutboundRequests.open(Reachable([ip_network(LOOPBACK)]), trust=self.trust, seconds=seconds)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        answering = self.answers.pop(0) if self.answers else Answering()
        if answering.how == "hang":
            await asyncio.sleep(3600)
        if answering.how == "cut":
            assert request.transport is not None
            request.transport.abort()
        if answering.how == "flood":
            return await _flood(request)
        device = self.devices.get(request.match_info["name"])
        if device is None:
            return web.Response(status=404)
        try:
            received = self._received(request, device, body)
        except Exception as error:
            self.faults.append(repr(error))
            return web.Response(status=400)
        if 200 <= answering.status < 300:
            device.received.append(received)
        return web.Response(status=answering.status, headers=answering.headers)

    async def take_hook(self, request: web.Request) -> web.Response:
        """Take a webhook, as somebody's own server."""
        self.hooked.append((dict(request.headers), await request.read()))
        answering = self.answers.pop(0) if self.answers else Answering(204)
        return web.Response(status=answering.status, headers=answering.headers)

    def _received(self, request: web.Request, device: FakeDevice, body: bytes) -> Received:
        """Return what came; raise unless it is as the RFCs want it."""
        headers = request.headers
        assert len(body) <= 4096 and headers["Content-Encoding"] == "aes128gcm"
        assert headers["TTL"].isdecimal() and headers["Urgency"] in ("very-low", "low", "normal", "high")
        assert len(headers["Topic"]) <= 32 and set(headers["Topic"]) <= set(_BASE64URL)
        claims = self._claims(headers["Authorization"])
        return Received(dict(headers), claims, body, device.opened(body))

    def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, parameters = authorization.partition(" ")
        named = dict(each.strip().split("=", 1) for each in parameters.split(","))
        assert scheme == "vapid" and named["k"] == self.public_key
        head, claims, signature = named["t"].split(".")
        assert json.loads(_decoded(head)) == {"typ": "JWT", "alg": "ES256"}
        raw = _decoded(signature)
        pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _decoded(named["k"]))
        key.verify(pair, f"{head}.{claims}".encode(), ECDSA(SHA256()))
        said: dict[str, Any] = json.loads(_decoded(claims))
        assert said["aud"] == self.base and said["sub"].startswith(("mailto:", "https:"))
        assert time.time() < said["exp"] <= time.time() + VAPID_SECONDS_MAX
        return said


async def _flood(request: web.Request) -> web.StreamResponse:
    endless = web.StreamResponse(status=201)
    await endless.prepare(request)
    while True:
        await endless.write(b"x" * FLOOD_BYTES)


@asynccontextmanager
async def push_service(public_key: str) -> AsyncIterator[PushService]:
    """A push service that knows one sender, running."""
    with TemporaryDirectory(prefix="hansard-push-") as folder:
        shown = made(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.certificate, shown.key)
        trust = ssl.create_default_context(cafile=str(shown.authority))
        authority = shown.authority.read_bytes()
    app = web.Application()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    service = PushService("", trust, public_key)
    service.authority = authority
    app.router.add_post("/push/{name}", service.take)
    app.router.add_post("/hooks/{name}", service.take_hook)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    service.base = f"https://127.0.0.1:{port}"
    try:
        yield service
    finally:
        await runner.cleanup()


def private_key(text: str) -> Any:
    """Return the key of a vector."""
    return derive_private_key(int.from_bytes(_decoded(text), "big"), SECP256R1())


_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
