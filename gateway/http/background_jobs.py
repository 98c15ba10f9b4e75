"""Background jobs: what is done after the answer, so that neither the answer nor its time reveals it. The queue is bounded,
and in memory only.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from domain.errors import BusyError, DomainError
from domain.ports.mail import Mail, Mails, MailUnavailableError
from domain.ports.record import RecordUnavailableError

JOBS_WAITING_MAX = 1_000
MAIL_TRIES_MAX = 3
MAIL_PAUSE_SECONDS = 5.0
JOB_PAUSE_SECONDS = 0.1

log = structlog.get_logger()

Job = Callable[[], Awaitable[None]]


class BackgroundJobs:
    """Jobs, done one after the other. What fails several times is given up, and logged."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(JOBS_WAITING_MAX)

    def put(self, job: Job) -> None:
        """Queue a job. Raise `BusyError` if too many wait."""
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise BusyError from None

    async def send(self, mail: Mail) -> None:
        for attempt in range(1, MAIL_TRIES_MAX + 1):
            try:
                return await self._mails.send(mail)
            except MailUnavailableError as error:
                log.warning("a mail waits" if attempt < MAIL_TRIES_MAX else "a mail is given up", reason=str(error))
                await asyncio.sleep(MAIL_PAUSE_SECONDS * attempt)
        return None

    async def step(self) -> None:
        """Wait for a job, and then a random moment, so that no later request's time reveals it; then do it."""
        job = await self._jobs.get()
        await asyncio.sleep(random.uniform(0, JOB_PAUSE_SECONDS))
        try:
            await job()
        except (DomainError, RecordUnavailableError) as error:
            log.warning("a background job was not done", reason=type(error).__name__)

    async def run(self) -> None:
        while True:
            await self.step()
