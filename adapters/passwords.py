"""Passwords: argon2id (RFC 9106) in a small pool of threads, so that the loop never waits for a hash.

At most two at once; more wait in a bounded queue, and past it the answer is `Busy`: hashing is made to be dear.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.refusals import Busy

T = TypeVar("T")

AT_ONCE_MAX = 2
WAITING_MAX = 64


class Argon2Passwords:
    """The port `domain.ports.Passwords`. Verifying against no hash takes as long as against a real one."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="argon2")
        self._waiting = 0
        self._decoy = self._hasher.hash("no account has this password")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        matches = await self._run(self._matches, hashed or self._decoy, password)
        return matches and bool(hashed)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *args: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise Busy("Too many log-ins at this moment; try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._waiting -= 1
