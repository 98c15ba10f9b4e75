"""An event loop whose time is made up: it jumps to the next timer at once. What waits for nothing is a deadlock."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class Deadlock(Exception):
    """Everybody waits, and no timer will ever end it."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """No sockets, no threads: what happens is told by timers and their order alone."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.tasks_made = 0
        super().__init__(_Jumping(self))
        self.set_task_factory(_Numbered.of)

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        self._seconds += seconds


class _Numbered(asyncio.Task[Any]):
    """A task whose place in a set comes from its number, not from its address: asyncio ends groups in that order."""

    number = 0

    def __hash__(self) -> int:
        return self.number

    @classmethod
    def of(cls, loop: Any, work: Any, **options: Any) -> "_Numbered":
        task = cls.__new__(cls)
        loop.tasks_made += 1
        task.number = loop.tasks_made
        task.__init__(work, loop=loop, **options)  # type: ignore[misc]  # the loop hashes it from here on
        return task


class _Jumping(selectors.BaseSelector):
    """Asked to wait, it lets the loop's time pass instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        self._loop.jump(max(0.0, timeout))
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys
