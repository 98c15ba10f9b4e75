"""Notice of appends: LISTEN on a connection of its own, with reconnection.

A notification only wakes. The position comes with it, or from the head if nothing was heard for `POLL_SECONDS`. The same
connection hears of destroyed keys, as `key_news.py` does: Postgres wakes everybody who listens to anything for each commit
that tells something, so one connection more would cost as much as this one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from adapters.postgres import key_news
from adapters.postgres.database import connect, translated
from domain.bounds import POLL_SECONDS
from domain.ports.record import Record, RecordUnavailableError

CHANNEL = "hansard_record"


class HeadListener:
    """Follows the head of a record; `close` ends its connection."""

    def __init__(self, url: str, *, keys_gone: Callable[[], None]) -> None:
        """`keys_gone` is called whenever a data key may have been destroyed, also unheard: on each new connection."""
        self._url = url
        self._keys_gone = keys_gone
        self._connection: Any = None
        self._heard = asyncio.Event()
        self._position = 0

    async def follow(self, record: Record) -> AsyncIterator[int]:
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self._url)
                    self._position = 0  # what is heard from here on may be later than the head that is asked for
                    with translated():
                        await self._connection.add_listener(CHANNEL, self._hear)
                        await self._connection.add_listener(key_news.CHANNEL, self._hear_of_keys)
                    self._keys_gone()
                    await self._ask(record)
                else:
                    await self._wait(record)
            except RecordUnavailableError:
                await asyncio.sleep(POLL_SECONDS)
                continue
            yield self._position

    async def _wait(self, record: Record) -> None:
        """Return when something was appended; what is heard while the follower works, or while the head is asked for, is not lost."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._heard.wait()
            self._heard.clear()
        except TimeoutError:
            self._heard.clear()
            await self._ask(record)

    async def _ask(self, record: Record) -> None:
        """Ask for the head, and keep what is heard until the answer is here, if that is later."""
        head = (await record.head()).position
        self._position = max(self._position, head)

    def hear(self, position: int) -> None:
        """Wake who follows, unless it was woken for this position, or a later one, already."""
        if position > self._position:
            self._position = position
            self._heard.set()

    def _hear(self, connection: object, pid: int, channel: str, payload: str) -> None:
        self.hear(int(payload))

    def _hear_of_keys(self, connection: object, pid: int, channel: str, payload: str) -> None:
        self._keys_gone()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
