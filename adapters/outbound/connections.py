"""Connections to servers that people name, over aiohttp.

The address is judged in the one place where it cannot change any more: when the socket for it is made, with the very address
that the connection then goes to. So a name that resolves to something else a moment later gains nothing. Redirects are not
followed, no proxy of the environment is used, cookies are not kept, and nothing of an answer is decompressed.
"""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from adapters.outbound.answers import Answer, NoAnswerError
from adapters.outbound.public_addresses import Reachable
from domain.errors import EndpointRefusedError

CONNECT_SECONDS = 5.0
ANSWER_BYTES_MAX = 4_096  # of its body; the rest is not read, and the connection is closed
HEADER_BYTES_MAX = 8_190
CONNECTIONS_MAX = 100
CONNECTIONS_OF_HOST_MAX = 10


class NotReachableError(OSError):
    """The address is not public, and in none of the operator's networks."""


class Connections:
    """Connections that are kept open for a while, to be used again."""

    def __init__(
        self, reachable: Reachable, resolver: AbstractResolver | None, trust: ssl.SSLContext | None, *, seconds: float
    ) -> None:
        connector = aiohttp.TCPConnector(
            resolver=resolver or aiohttp.ThreadedResolver(),
            ssl=trust or ssl.create_default_context(),
            socket_factory=lambda found: _socket(found, reachable),
            use_dns_cache=False,
            limit=CONNECTIONS_MAX,
            limit_per_host=CONNECTIONS_OF_HOST_MAX,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "Hansard", "Accept-Encoding": "identity"},
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )

    async def close(self) -> None:
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body. Raise `EndpointRefusedError` where nothing may be sent, `NoAnswerError` where nobody answers."""
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                read = await answer.content.read(ANSWER_BYTES_MAX)
                if not answer.content.at_eof():
                    answer.close()
                return Answer(answer.status, answer.headers.get("Retry-After"), read)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotReachableError):
                raise EndpointRefusedError from None
            raise NoAnswerError(type(error).__name__) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswerError(type(error).__name__) from None


def _socket(found: Any, reachable: Reachable) -> socket.socket:
    """Return a socket for an address that may be reached; here and nowhere else is one made."""
    family, kind, protocol, _, (address, port, *_) = found
    if not reachable.is_reachable(address, port):
        raise NotReachableError(NotReachableError.__doc__)
    return socket.socket(family, kind, protocol)
