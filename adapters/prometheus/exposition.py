"""Exposition: a registry as text for whoever scrapes it, in the format that they ask for (Prometheus' or OpenMetrics').

Writing thousands of lines takes tens of milliseconds of Python, so it is done in a thread, for one scraper at a time,
and the text is reused for a moment. However often it is asked for, it costs no more than that.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from adapters.clock import monotonic
from adapters.prometheus.registry import Registry

FRESH_SECONDS = 1.0
OPENMETRICS = "application/openmetrics-text"


async def _nothing() -> None:
    """Nothing is to be read before."""


class Exposition:
    """The text of one registry."""

    def __init__(self, registry: Registry, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._registry = registry
        self._fresh_seconds = fresh_seconds
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._turn = asyncio.Lock()

    async def text(self, accept: str, *, before: Callable[[], Awaitable[None]] = _nothing) -> tuple[bytes, str]:
        """Return the text and its media type. `before` is awaited when it is written anew: it sets what is read then."""
        # Not the library's own choice: a version that is no number raises there, and any other comes back in the answer.
        encode: Callable[[Registry], bytes] = generate_latest
        media_type = CONTENT_TYPE_PLAIN_0_0_4
        if OPENMETRICS in accept:
            encode, media_type = openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
        async with self._turn:
            kept = self._kept.get(media_type)
            if kept is None or monotonic() - kept[0] >= self._fresh_seconds:
                await before()
                text = await asyncio.to_thread(encode, self._registry)
                kept = self._kept[media_type] = (monotonic(), text)
        return kept[1], media_type
