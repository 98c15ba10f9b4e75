"""Requests to addresses that people name (SSRF): https alone, to public addresses alone, with an answer that is bounded.

What connects (`connections.py`) is loaded with the first request: a gateway starts without it.
"""

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from adapters.outbound.answers import Answer
from adapters.outbound.public_addresses import Reachable

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from adapters.outbound.connections import Connections

REQUEST_SECONDS = 10.0


class OutboundRequests:
    """A client for all such requests of a process."""

    def __init__(
        self, reachable: Reachable, resolver: "AbstractResolver | None", trust: ssl.SSLContext | None, seconds: float
    ) -> None:
        self.reachable = reachable
        self._resolver = resolver
        self._trust = trust
        self._seconds = seconds
        self._connections: Connections | None = None

    @classmethod
    def open(
        cls,
        reachable: Reachable,
        *,
        resolver: "AbstractResolver | None" = None,
        trust: ssl.SSLContext | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Self:
        """Make a client; no connection is opened yet. `trust` is what certificates are verified with."""
        return cls(reachable, resolver, trust, seconds)

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body. Raise `EndpointRefusedError` where nothing may be sent, `NoAnswerError` where nobody answers."""
        self.reachable.require_url(url)
        if self._connections is None:
            from adapters.outbound.connections import Connections

            self._connections = Connections(self.reachable, self._resolver, self._trust, seconds=self._seconds)
        return await self._connections.post(url, body, headers)
