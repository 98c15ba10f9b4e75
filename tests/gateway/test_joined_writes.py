"""The head and the body of an answer are one write, and nothing is held beyond the turn of the loop in which it was written."""

import asyncio
from collections.abc import Iterable
from typing import Any

from gateway.server.joined_writes import HELD_BYTES_MAX, JoinedWrites


class Written(asyncio.Transport):
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []
        self.is_reset = False

    def is_closing(self) -> bool:
        return self.is_reset

    def write(self, data: Any) -> None:
        if self.is_reset:
            raise RuntimeError("unable to perform operation; the handler is closed")  # as uvloop does
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.calls.append(b"".join(list_of_data))

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def get_write_buffer_size(self) -> int:
        return 10


async def turn_of_the_loop() -> None:
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(passed.set_result, None)
    await passed


async def test_a_head_and_its_body_are_one_write() -> None:
    below = Written()
    joined = JoinedWrites(below)
    joined.write(b"head ")
    assert below.calls == [] and joined.get_write_buffer_size() == 15
    joined.write(b"body")
    assert below.calls == [b"head body"]
    await turn_of_the_loop()
    assert below.calls == [b"head body"]


async def test_a_head_whose_body_comes_later_does_not_wait_for_it() -> None:
    below = Written()
    joined = JoinedWrites(below)
    joined.write(b"head")
    await turn_of_the_loop()
    assert below.calls == [b"head"]
    joined.write(b"x" * (HELD_BYTES_MAX + 1))
    assert below.calls == [b"head", b"x" * (HELD_BYTES_MAX + 1)]


async def test_what_is_held_goes_before_an_end_and_is_dropped_by_an_abort() -> None:
    for end, calls in (("close", [b"head", "close"]), ("write_eof", [b"head", "eof"]), ("abort", ["abort"])):
        below = Written()
        joined = JoinedWrites(below)
        joined.write(b"head")
        getattr(joined, end)()
        await turn_of_the_loop()
        assert below.calls == calls, end


async def test_what_is_held_is_dropped_if_the_client_resets_the_connection() -> None:
    accidents: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: accidents.append(context))
    below = Written()
    joined = JoinedWrites(below)
    joined.write(b"head")
    below.is_reset = True
    await turn_of_the_loop()
    joined.close()
    assert accidents == [] and below.calls == ["close"]
