"""Passwords: argon2id (RFC 9106) in a small pool of threads, so that the loop never waits for a hash.

At most two at once; more wait in a bounded queue, and past it the answer is `Busy`: hashing is made to be dear. The
threads take what time of the processors nobody else wants (Linux), and rest between hashes while many wait, so that a
flood of log-ins does not hold up who is logged in.
"""

import asyncio
import gzip
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.refusals import Busy

T = TypeVar("T")

# A core for hashing, another for the talk; on larger machines two.
PROCESSORS = os.cpu_count() or 2
AT_ONCE_MAX = min(2, max(1, PROCESSORS // 2))
WAITING_MAX = 32
# So many waiting is a flood: then hashing takes an eighth of the processors, and a thread rests for so many times as long
# as it worked. Two cores under 200 log-ins a second: the median of an acknowledgement grows by a tenth instead of a half.
FLOOD_WAITING = 8
FLOOD_SHARE = 1 / 8
REST_FACTOR = max(0.0, AT_ONCE_MAX / (PROCESSORS * FLOOD_SHARE) - 1)
BUSY = "Too many log-ins at this moment; try again in a few seconds."


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """Return the shipped list of common and breached passwords, in small letters (`adapters/common_passwords.md`)."""
    packed = (files("adapters") / "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split("\n"))


class Argon2Passwords:
    """The port `domain.ports.Passwords`. Verifying against no hash takes as long as against a real one."""

    def __init__(self, *, memory_kib: int, time_cost: int, parallelism: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="argon2", initializer=_be_nice)
        self._waiting = 0
        self._rests_until = 0.0
        self._decoy = self._hasher.hash("no account has this password")
        self._common = common_passwords()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_full(self) -> bool:
        return self._waiting >= WAITING_MAX

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        matches = await self._run(self._matches, hashed or self._decoy, password)
        return matches and bool(hashed)

    def is_outdated(self, hashed: str) -> bool:
        try:
            return self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:
            return False

    def is_common(self, password: str) -> bool:
        return password.lower() in self._common

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *args: str) -> T:
        if self.is_full:
            raise Busy(BUSY)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._paced, work, *args)
        finally:
            self._waiting -= 1

    def _paced(self, work: Callable[..., T], *args: str) -> T:
        """Do the work, in a thread of the pool; whoever comes next may have to wait until it has rested."""
        if self._rests_until > (now := time.monotonic()):
            time.sleep(self._rests_until - now)
        began = time.monotonic()
        done = work(*args)
        if self._waiting > FLOOD_WAITING:
            self._rests_until = time.monotonic() + REST_FACTOR * (time.monotonic() - began)
        return done


def _be_nice() -> None:
    """Give way to every other thread (Linux: this thread alone), where that is possible."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
