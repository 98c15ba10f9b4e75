"""Passwords: argon2id (RFC 9106) in a small pool of threads, so that the event loop never waits for a hash.

A few are hashed at once. More wait in a bounded queue in which addresses and accounts take turns
(`adapters/credentials/fair_queue.py`); when it is full the answer is `BusyError`, because hashing is expensive on purpose.
The threads run at a low priority (Linux). Where the machine has something else to do, one core is left alone, and threads
pause between hashes while many callers wait, so that a flood of log-ins does not slow down people who are logged in,
wherever it comes from. While few wait, nobody waits for a pause; on a machine that is idle otherwise (`other_work.py`), all
cores hash and nobody pauses.
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

from adapters.credentials.fair_queue import FairQueue
from adapters.credentials.other_work import OtherWork
from domain.errors import BusyError

T = TypeVar("T")

# A core for hashing, another for the talk; on larger machines two. On an idle machine all, up to four: 20 MiB each.
PROCESSORS = os.cpu_count() or 2
AT_ONCE_MAX = min(2, max(1, PROCESSORS // 2))
AT_ONCE_IDLE_MAX = min(4, max(AT_ONCE_MAX, PROCESSORS))
# What the log-ins themselves cost besides their hashes is other work, too: a few milliseconds for each hash of twenty.
IDLE_SHARE = 1 / 4
WAITING_MAX = 32
# More waiting than that is a flood, whoever they are: at the pace of a flood two seconds' worth of hashes. Then hashing gets an
# eighth of the processors, as a thread rests for so many times as long as it worked.
FLOOD_WAITING = 8
FLOOD_SHARE = 1 / 8
# Rests follow the processor's time and not the clock's: on a busy machine a flood would otherwise make its own end last
# minutes, with everybody behind it.
REST_SECONDS_MAX = 0.25
REST_FACTOR = max(0.0, AT_ONCE_MAX / (PROCESSORS * FLOOD_SHARE) - 1)
# Beside a busy thread of the same core a hash gets a fourth of it: 0.08 s instead of 0.02. SCHED_IDLE gave way altogether,
# and took 10 s where anything else of the session was busy (a container of gateway and worker); nice 19 took 2 s.
NICE = 5
BUSY = "Too many log-ins at this moment; try again in a few seconds."


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """Return the shipped list of common and breached passwords, in small letters (`adapters/credentials/common_passwords.md`)."""
    packed = (files("adapters.credentials") / "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split("\n"))


class Argon2Passwords:
    """The port `domain.ports.Passwords`. Verifying against no hash takes as long as against a real one."""

    def __init__(
        self,
        *,
        memory_kib: int,
        time_cost: int,
        parallelism: int,
        rest: Callable[[float], None] = time.sleep,
        others: OtherWork | None = None,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._threads = ThreadPoolExecutor(AT_ONCE_IDLE_MAX, thread_name_prefix="argon2", initializer=_be_nice)
        self._others = others or OtherWork()
        self._queue = FairQueue(at_once=self._at_once, places=WAITING_MAX, sentence=BUSY)
        self._rest = rest
        self._thread = threading.local()  # `worked`: the processor's seconds that this thread's last hash took
        self._decoy = self._hasher.hash("no account has this password")
        self._common = common_passwords()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_full_for(self, address: str) -> bool:
        return self._queue.is_full_for(address)

    async def hash(self, password: str, *, address: str, account: str) -> str:
        return await self._run(address, account, self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None, *, address: str, account: str) -> bool:
        matches = await self._run(address, account, self._matches, hashed or self._decoy, password)
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

    async def _run(self, address: str, account: str, work: Callable[..., T], *args: str) -> T:
        await self._queue.turn(address, account)
        try:
            gives_way = len(self._queue) > FLOOD_WAITING and not self._is_idle()
            job = asyncio.get_running_loop().run_in_executor(self._threads, self._paced, gives_way, work, *args)
        except RuntimeError:  # the threads have ended
            self._queue.done()
            raise BusyError(BUSY) from None
        # A thread works on where nobody waits for it any more: the turn ends with it, not with the request.
        job.add_done_callback(lambda _: self._queue.done())
        return await asyncio.shield(job)

    def _is_idle(self) -> bool:
        """Whether this machine has little else to do than to hash."""
        return self._others.processors() < PROCESSORS * IDLE_SHARE

    def _at_once(self) -> int:
        return AT_ONCE_IDLE_MAX if self._is_idle() else AT_ONCE_MAX

    def _paced(self, gives_way: bool, work: Callable[..., T], *args: str) -> T:
        """Do the work, in a thread of the pool. One that gives way first rests from what it did last."""
        if gives_way:
            self._rest(min(REST_FACTOR * getattr(self._thread, "worked", 0.0), REST_SECONDS_MAX))
        began = time.thread_time()
        try:
            return work(*args)
        finally:
            self._thread.worked = time.thread_time() - began
            self._others.note(self._thread.worked)


def _be_nice() -> None:
    """Lower the priority of this thread, where that is possible (Linux: of this thread alone)."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
