"""A peer: a chat server that can be measured. Whoever joins the comparison is a class like this and a line in `__main__`."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from bench.comparison.talk import Line, Talk


class NotComparableError(Exception):
    """The peer has nothing of the kind."""


class PageRequest(NamedTuple):
    """An HTTP request for the newest messages of a room, and the port that takes it."""

    port: int
    request: bytes


class Peer(Protocol):
    """A server that runs between `async with`; what it keeps, it keeps over several of them."""

    name: str
    label: str
    has_pages: bool

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...

    def processes(self) -> list[int]:
        """Return the processes whose children are all that this peer consists of, Postgres and Redis included."""

    async def gather(self, count: int) -> None:
        """Have so many accounts, numbered from 0. Those that are there stay."""

    async def open_room(self, members: Sequence[int]) -> str:
        """Open a room with these members; return its id."""

    async def line(self, talk: Talk, person: int, room: str, *, is_kept: bool) -> Line:
        """Open a socket that hears a room. Its number is its place in `talk.lines`; `is_kept`: all of it goes into the journal."""

    async def fill(self, person: int, room: str, count: int) -> Talk:
        """Have a room with so many messages; return what was said, as far as it was said by sockets."""

    def page(self, person: int, room: str) -> PageRequest: ...

    async def check(self, talk: Talk, rooms: Sequence[str]) -> list[str]:
        """Read what is kept of these rooms, and return what contradicts what was said, acknowledged and heard."""

    async def check_access(self, room: str) -> list[str]:
        """Try, as a stranger, to read and to hear a room; return what was let through."""
