"""The sandbox: child processes that decode files of strangers, one file each, and can harm nobody but themselves.

The parent of the children, the nursery, is started once with everything loaded. It forks a child for each file; the
child gets an open file and answers with bytes, has access to nothing else (`workers/files/child.py`), and gets no
second file. A child that is silent for too long is killed. After a child died, and after a number of children in any
case, a new nursery is started, so that what an attacker learned of its memory layout is worth nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from adapters.media.child_process import Child, ChildDiedError, Nursery, Result

CHILD_WALL_SECONDS = 20.0

T = TypeVar("T")
log = structlog.get_logger()


class SandboxMissingError(Exception):
    """The children cannot be locked up as they must be here; the sentence says what to do."""


class Sandbox:
    """At most `size` children at work. Use it as a context manager: at its end no process is left."""

    def __init__(self, *, module: str, size: int, strict: bool, wall_seconds: float = CHILD_WALL_SECONDS) -> None:
        """`module` is what children run; `strict` refuses to work without seccomp."""
        self._module = module
        self._strict = strict
        self._wall_seconds = wall_seconds
        self._free = asyncio.Semaphore(size)
        self._starting = asyncio.Lock()
        self._nursery: Nursery | None = None
        self._children: set[Child] = set()
        self._next: Child | None = None  # forked while its forerunner works
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._children):
            self._end(child)
        if self._nursery is not None:
            self._renew(self._nursery)

    async def run(self, job: str, file: Path, *, mime_type: str, operations: Sequence[str]) -> Result:
        """Have a child do a job on a local file. Raise `ChildDiedError` or `SandboxMissingError`."""
        async with self._free:
            child = await self._started()
            try:
                return await _in_thread(child, child.ask, job, file, mime_type, list(operations), self._wall_seconds)
            except ChildDiedError:
                self._renew(child.nursery)
                raise
            finally:
                self._end(child)

    async def held_by(self) -> tuple[str, ...]:
        """Start a child and return which layers confine it. Raise `SandboxMissingError` or `ChildDiedError`."""
        async with self._free:
            child = await self._started()
            self._end(child)
            return child.layers

    def pids(self) -> list[int]:
        """Return the processes of the children at work."""
        return [child.pid for child in self._children if child.pid]

    async def _started(self) -> Child:
        try:
            return await self._child()
        except (OSError, EOFError) as error:
            raise ChildDiedError(f"no child can be started: {error}") from error

    async def _child(self) -> Child:
        """Return a child that has confined itself, and have the next one forked meanwhile."""
        nursery = await self._warm()
        child, self._next = self._next or Child(nursery), None
        self._children.add(child)
        try:
            self._next = Child(nursery)
            layers = await _in_thread(child, child.start)
        except BaseException:
            self._renew(nursery)
            self._end(child)
            raise
        if "seccomp" not in layers:
            if self._strict:
                self._end(child)
                raise SandboxMissingError(
                    "Files cannot be processed safely: install libseccomp2, on Linux 4.14 or newer."
                )
            if not self._warned:
                log.warning("children are held by limits only: there is no libseccomp here")
                self._warned = True
        return child

    async def _warm(self) -> Nursery:
        """Return a nursery that can fork another child."""
        async with self._starting:
            if self._nursery is not None and self._nursery.is_spent():
                self._renew(self._nursery)
            if self._nursery is None:
                nursery = Nursery(self._module)
                try:
                    await asyncio.to_thread(nursery.wait)
                except BaseException:
                    nursery.retire()
                    raise
                self._nursery = nursery
            return self._nursery

    def _renew(self, nursery: Nursery) -> None:
        """Take no more children from this nursery."""
        if self._nursery is nursery:
            self._nursery = None
            if self._next is not None:
                self._next.kill()
                self._next = None
            nursery.retire()

    def _end(self, child: Child) -> None:
        child.kill()
        self._children.discard(child)


async def _in_thread(child: Child, call: Callable[..., T], *arguments: Any) -> T:
    """Make a blocking call on a child in a thread. If the caller is cancelled, kill the child, which ends the thread."""
    talk = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    try:
        return await asyncio.shield(talk)
    except BaseException:
        child.stop()
        await asyncio.gather(talk, return_exceptions=True)
        raise
