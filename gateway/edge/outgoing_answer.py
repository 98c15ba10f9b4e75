"""Outgoing answer: what every answer to a request has, whoever made it, and how it is counted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gateway.edge import cors, rate_limits
from gateway.edge.refusal_log import Refusals
from gateway.server.http1 import LINGER_BYTES

LINGER_SECONDS = 10.0


class OutgoingAnswer:
    """A `send` for one request: it adds headers, counts the answer and its refusal, and sees it arrive before a close."""

    def __init__(
        self,
        receive: Any,
        send: Any,
        scope: Any,
        request_id: str,
        origin: bytes | None,
        *,
        count: Callable[[int], None],
        refusals: Refusals,
    ) -> None:
        """`origin` is the page's, if it is a listed one. `count` gets the status."""
        self._receive = receive
        self._send = send
        self._closes = False
        self._scope = scope
        self._count = count
        self._refusals = refusals
        self._headers = [(b"x-request-id", request_id.encode()), *cors.headers_for(origin)]

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            message = self._begin(message)
        elif self._closes and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await _linger(self._receive)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _begin(self, message: Any) -> Any:
        state, status = self._scope["state"], message["status"]
        limits = rate_limits.headers(state.get("quota_states", ()))
        headers = [*message.get("headers", ()), *self._headers, *limits]
        if (code := state.get("refused")) is not None:
            self._note_refusal(status, code)
        self._count(status)
        # A client that was too slow (408) is dropped at once.
        self._closes = (b"connection", b"close") in headers and status != 408
        return {**message, "headers": headers}

    def _note_refusal(self, status: int, code: str) -> None:
        access, client = self._scope["state"].get("access"), self._scope["client"]
        self._refusals.note(status, code, access.user_id if access else None, client[0] if client else None)


async def _linger(receive: Any) -> None:
    """Read the rest of a body and forget it: to close on unread bytes would take the answer back (RFC 9112, 9.6)."""
    left = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0 and (message := await receive()).get("more_body"):
                left -= len(message["body"])
