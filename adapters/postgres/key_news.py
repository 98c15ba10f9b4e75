"""Key news: every process hears at once that data keys were destroyed, and reads anew those that it has at hand.

Told by the database, in the transaction that destroys them (`vault.tell_gone`): whoever does it, by whatever means,
cannot forget to. Redis's control lane would reach gateways only, and projectors and workers have keys at hand too. What is
said while nobody listens is made good by reading all anew on every connection; where a connection is dead and nobody
knows, keys expire after `KEY_SECONDS`.
"""

import asyncio
from collections.abc import Callable

import structlog

from adapters.postgres.database import connect, translated
from domain.bounds import POLL_SECONDS
from domain.ports.record import RecordUnavailableError

log = structlog.get_logger()

CHANNEL = "hansard_keys"


class KeyNews:
    """Listens on a connection of its own, and calls each of `told` whenever a key may have been destroyed."""

    def __init__(self, url: str, *told: Callable[[], None]) -> None:
        self._url = url
        self._told = told

    async def run(self) -> None:
        """Listen for ever, on one connection after another."""
        while True:
            try:
                await self.step()
            except RecordUnavailableError as error:
                log.warning("news of keys wait for Postgres", reason=str(error))
            await asyncio.sleep(POLL_SECONDS)

    async def step(self) -> None:
        """Listen until the connection is lost."""
        connection = await connect(self._url)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            with translated():
                await connection.add_listener(CHANNEL, self._hear)
            self._tell()
            await lost.wait()
        finally:
            connection.terminate()

    def _hear(self, connection: object, pid: int, channel: str, payload: str) -> None:
        self._tell()

    def _tell(self) -> None:
        for told in self._told:
            told()
